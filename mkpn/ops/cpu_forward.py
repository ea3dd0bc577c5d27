"""CPU kernels of the local convolution, forward: numba functions on flat float32 arrays.

The image is cut into tiles. For a tile, one frame after the other is copied with a border of zeros (no bounds tests
later); for every row of 64 pixels the coefficients are up-sampled into a small buffer and used at once (Eq. 2). So
neither coefficients at full resolution nor stacks of windows ever exist, and everything stays in the L1 and L2 caches.
A tile is computed by one thread in one order: results do not depend on the number of threads.

Colours are handled three at a time, the last group being filled up with planes of zeros.
"""

# numba ships no type information; the functions below are typed by numba when it compiles them.
# pyright: basic
from __future__ import annotations

import numpy as np
from numba import njit, types

from mkpn.ops.cpu_resample import upsample_kernel
from mkpn.ops.cpu_rows import (
    DIMS,
    ENTRY,
    FLOATS,
    GUARD,
    INNER,
    INTS,
    REGION,
    TILE,
    TILE_ROWS,
    add_span,
    copy_span,
    copy_tile,
    frame_planes,
    largest,
    row_pair_products,
    row_products,
    size_planes,
    source_fingerprint,
    tile_stride,
    zero_span,
)
from mkpn.ops.simd import fma16, fma32, load16, load32, splat16, splat32, store16, store32


@njit(**INNER)
def separable_row(tile, f0, stride, plane, up, size, out):
    """One separable kernel at 64 pixels of three colours: `out[c, x] = sum_dy v sum_dx u f` (Eq. 2, one term)."""
    for x in range(0, TILE, 16):
        o0 = splat16(np.float32(0))
        o1 = o0
        o2 = o0
        for dy in range(0, size - 1, 2):
            a0, a1, a2, b0, b1, b2 = row_pair_products(
                tile, f0 + dy * stride + x, stride, plane, up, size * TILE + x, size
            )
            va = load16(up, dy * TILE + x)
            vb = load16(up, (dy + 1) * TILE + x)
            o0 = fma16(va, a0, fma16(vb, b0, o0))
            o1 = fma16(va, a1, fma16(vb, b1, o1))
            o2 = fma16(va, a2, fma16(vb, b2, o2))
        # Sizes are odd: one row is left.
        a0, a1, a2 = row_products(tile, f0 + (size - 1) * stride + x, plane, up, size * TILE + x, size)
        va = load16(up, (size - 1) * TILE + x)
        store16(out, x, fma16(va, a0, o0))
        store16(out, TILE + x, fma16(va, a1, o1))
        store16(out, 2 * TILE + x, fma16(va, a2, o2))


@njit(**INNER)
def full_row(tile, f0, stride, plane, up, size, out):
    """One full kernel at 64 pixels of three colours: `out[c, x] = sum_dy,dx k f`."""
    zero = splat32(np.float32(0))
    for x in range(0, TILE, 32):
        o0 = zero
        o1 = zero
        o2 = zero
        for dy in range(size):
            p0 = f0 + dy * stride + x
            p1 = p0 + plane
            p2 = p1 + plane
            for dx in range(size):
                k = load32(up, (dy * size + dx) * TILE + x)
                o0 = fma32(k, load32(tile, p0 + dx), o0)
                o1 = fma32(k, load32(tile, p1 + dx), o1)
                o2 = fma32(k, load32(tile, p2 + dx), o2)
        store32(out, x, o0)
        store32(out, TILE + x, o1)
        store32(out, 2 * TILE + x, o2)


def _build(fingerprint):
    @njit(
        types.void(
            types.int64, types.int64, FLOATS, FLOATS, INTS, DIMS, REGION, types.boolean, types.boolean, FLOATS, FLOATS
        ),
        **ENTRY,
    )
    def forward(first, last, frames, coeffs, sizes, dims, region, separable, want_estimates, image, estimates):
        """Computes the tiles `first .. last-1` of the image (Eq. 2) and, if wanted, of the estimates (Eq. 6).

        `region` is the part of the frames' area that is computed, first and end row, first and end column, and the
        cell (row, column) of the first coefficient.
        """
        # A captured variable is part of the key under which numba caches the compiled code.
        _ = fingerprint
        _, n_frames, colours, height, width, h, w = dims
        planes = frame_planes(sizes, separable)
        radius = largest(sizes) // 2
        groups = (colours + 2) // 3
        stride = tile_stride(TILE, radius)
        plane = (TILE_ROWS + 2 * radius) * stride
        tile = np.zeros(3 * groups * plane + GUARD, np.float32)
        up = np.empty(size_planes(largest(sizes), separable) * TILE, np.float32)
        out = np.empty(3 * TILE, np.float32)
        total = np.empty(3 * groups * TILE_ROWS * TILE, np.float32)
        one = np.float32(1)
        scale = np.float32(1.0 / (n_frames * sizes.size))
        top, bottom, left, right, cell_y, cell_x = region
        out_height = bottom - top
        out_width = right - left
        across = (out_width + TILE - 1) // TILE
        down = (out_height + TILE_ROWS - 1) // TILE_ROWS
        for task in range(first, last):
            b = task // (down * across)
            y0 = top + task // across % down * TILE_ROWS
            x0 = left + task % across * TILE
            rows = min(TILE_ROWS, bottom - y0)
            columns = min(TILE, right - x0)
            zero_span(total, 0, total.size)
            for i in range(n_frames):
                frame = b * n_frames + i
                start = frame * colours * height * width
                copy_tile(frames, start, dims, y0, rows + 2 * radius, x0, radius, tile, plane, stride)
                for row in range(rows):
                    first_plane = frame * planes
                    for s in range(sizes.size):
                        size = sizes[s]
                        y = y0 + row - 2 * cell_y
                        x = x0 - 2 * cell_x
                        upsample_kernel(coeffs, first_plane, planes, size, separable, h, w, y, x, x + columns, up)
                        first_plane += size if separable else size * size
                        shift = radius - size // 2
                        for group in range(groups):
                            f0 = 3 * group * plane + (row + shift) * stride + shift
                            if separable:
                                separable_row(tile, f0, stride, plane, up, size, out)
                            else:
                                full_row(tile, f0, stride, plane, up, size, out)
                            for c in range(min(3, colours - 3 * group)):
                                colour = 3 * group + c
                                add_span(one, out, c * TILE, total, (colour * TILE_ROWS + row) * TILE, TILE)
                                if want_estimates:
                                    e = ((frame * sizes.size + s) * colours + colour) * out_height + y0 + row - top
                                    copy_span(out, c * TILE, estimates, e * out_width + x0 - left, columns)
            for c in range(colours):
                for row in range(rows):
                    o = ((b * colours + c) * out_height + y0 + row - top) * out_width + x0 - left
                    zero_span(image, o, columns)
                    add_span(scale, total, (c * TILE_ROWS + row) * TILE, image, o, columns)

    return forward


forward = _build(source_fingerprint())
