"""CPU kernels of the local convolution, forward: numba functions on flat float32 arrays.

The image is cut into blocks. For a block, one frame after the other is copied with a border of zeros (no bounds tests
later). Coefficients are up-sampled along three rows of the block, kept in a ring, and from there between the rows, 64
pixels at a time, into a small buffer that is used at once (Eq. 2). So neither coefficients at full resolution nor
stacks of windows ever exist, and everything that is read often stays in the caches.

Blocks are as wide as the image if they can be: hundreds of planes of coefficients are read side by side, and runs of a
whole row take a quarter less time than runs of 64 pixels. What a pixel's sums are added up from, and in which order,
does not depend on the block: neither do results on the number of threads.

Colours are handled three at a time, the last group being filled up with planes of zeros.
"""

# numba ships no type information; the functions below are typed by numba when it compiles them.
# pyright: basic
from __future__ import annotations

import numpy as np
from numba import njit, types

from mkpn.ops.cpu_resample import blend_rows, spread_row
from mkpn.ops.cpu_rows import (
    BLOCK,
    DIMS,
    ENTRY,
    FLOATS,
    GUARD,
    INNER,
    INTS,
    REGION,
    TILE,
    add_span,
    copy_span,
    copy_tile,
    frame_planes,
    largest,
    row_products,
    size_planes,
    source_fingerprint,
    tile_stride,
    zero_span,
)
from mkpn.ops.simd import fma16, fma32, load16, load32, mul16, splat16, splat32, store16, store32


@njit(**INNER)
def shared_row_products(tile, p0, plane, up, u0, u1, size):
    """`sum_dx u f` at 16 pixels of three colours with the factors of two image rows, which share the loads of `f`.

    The twelve accumulators (AVX2) stay in registers; this loop is where the time goes.
    """
    a0 = splat16(np.float32(0))
    a1 = a0
    a2 = a0
    b0 = a0
    b1 = a0
    b2 = a0
    p1 = p0 + plane
    p2 = p1 + plane
    for dx in range(size):
        u = load16(up, u0 + dx * TILE)
        w = load16(up, u1 + dx * TILE)
        f = load16(tile, p0 + dx)
        a0 = fma16(u, f, a0)
        b0 = fma16(w, f, b0)
        f = load16(tile, p1 + dx)
        a1 = fma16(u, f, a1)
        b1 = fma16(w, f, b1)
        f = load16(tile, p2 + dx)
        a2 = fma16(u, f, a2)
        b2 = fma16(w, f, b2)
    return a0, a1, a2, b0, b1, b2


@njit(**INNER)
def separable_pair(tile, f0, stride, plane, up, size, out):
    """One separable kernel at two rows of 64 pixels of three colours (Eq. 2, one term).

    `out[row, c, x] = sum_dy v sum_dx u f`, with both factors of the upper row in `up[: 2 K 64]`, the lower's behind.
    """
    lower = 2 * size * TILE
    for x in range(0, TILE, 16):
        u0 = size * TILE + x
        u1 = u0 + lower
        # The first row of frames is seen by the upper image row alone, the last one by the lower.
        a0, a1, a2 = row_products(tile, f0 + x, plane, up, u0, size)
        v = load16(up, x)
        o0 = mul16(v, a0)
        o1 = mul16(v, a1)
        o2 = mul16(v, a2)
        b0, b1, b2 = row_products(tile, f0 + size * stride + x, plane, up, u1, size)
        v = load16(up, lower + (size - 1) * TILE + x)
        q0 = mul16(v, b0)
        q1 = mul16(v, b1)
        q2 = mul16(v, b2)
        for dy in range(1, size):
            a0, a1, a2, b0, b1, b2 = shared_row_products(tile, f0 + dy * stride + x, plane, up, u0, u1, size)
            v = load16(up, dy * TILE + x)
            o0 = fma16(v, a0, o0)
            o1 = fma16(v, a1, o1)
            o2 = fma16(v, a2, o2)
            v = load16(up, lower + (dy - 1) * TILE + x)
            q0 = fma16(v, b0, q0)
            q1 = fma16(v, b1, q1)
            q2 = fma16(v, b2, q2)
        store16(out, x, o0)
        store16(out, TILE + x, o1)
        store16(out, 2 * TILE + x, o2)
        store16(out, 3 * TILE + x, q0)
        store16(out, 4 * TILE + x, q1)
        store16(out, 5 * TILE + x, q2)


@njit(**INNER)
def full_row(tile, f0, stride, plane, up, u0, size, out, t):
    """One full kernel at 64 pixels of three colours: `out[t + c, x] = sum_dy,dx k f`, kernels from `up[u0]` on."""
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
                k = load32(up, u0 + (dy * size + dx) * TILE + x)
                o0 = fma32(k, load32(tile, p0 + dx), o0)
                o1 = fma32(k, load32(tile, p1 + dx), o1)
                o2 = fma32(k, load32(tile, p2 + dx), o2)
        store32(out, t + x, o0)
        store32(out, t + TILE + x, o1)
        store32(out, t + 2 * TILE + x, o2)


def _build(fingerprint):
    @njit(
        types.void(
            types.int64,
            types.int64,
            FLOATS,
            FLOATS,
            INTS,
            DIMS,
            REGION,
            BLOCK,
            types.boolean,
            types.boolean,
            FLOATS,
            FLOATS,
        ),
        **ENTRY,
    )
    def forward(first, last, frames, coeffs, sizes, dims, region, block, separable, want_estimates, image, estimates):
        """Computes the blocks `first .. last-1` of the image (Eq. 2) and, if wanted, of the estimates (Eq. 6).

        `region` is the part of the frames' area that is computed, first and end row, first and end column, and the
        cell (row, column) of the first coefficient. `block` is an even number of rows and a multiple of 64 columns.
        """
        # A captured variable is part of the key under which numba caches the compiled code.
        _ = fingerprint
        _, n_frames, colours, height, width, h, w = dims
        planes = frame_planes(sizes, separable)
        radius = largest(sizes) // 2
        groups = (colours + 2) // 3
        block_rows, block_columns = block
        stride = tile_stride(block_columns, radius)
        plane = (block_rows + 2 * radius) * stride
        tile = np.zeros(3 * groups * plane + GUARD, np.float32)
        line = planes * block_columns
        spread = np.zeros(3 * line, np.float32)
        up = np.empty(2 * size_planes(largest(sizes), separable) * TILE, np.float32)
        out = np.empty(6 * TILE, np.float32)
        total = np.empty(3 * groups * block_rows * block_columns, np.float32)
        one = np.float32(1)
        scale = np.float32(1.0 / (n_frames * sizes.size))
        top, bottom, left, right, cell_y, cell_x = region
        out_height = bottom - top
        out_width = right - left
        across = (out_width + block_columns - 1) // block_columns
        down = (out_height + block_rows - 1) // block_rows
        for task in range(first, last):
            b = task // (down * across)
            y0 = top + task // across % down * block_rows
            x0 = left + task % across * block_columns
            rows = min(block_rows, bottom - y0)
            columns = min(block_columns, right - x0)
            pieces = (columns + TILE - 1) // TILE
            zero_span(total, 0, total.size)
            for i in range(n_frames):
                frame = b * n_frames + i
                start = frame * colours * height * width
                even_rows = (rows + 1) // 2 * 2
                copy_tile(frames, start, dims, y0, even_rows + 2 * radius, x0, radius, tile, plane, stride)
                spread_to = -1
                for row in range(0, rows, 2):
                    # Rows 2j and 2j+1 blend the half-resolution rows j-1, j, j+1; each is read and spread once.
                    j = (y0 + row) // 2 - cell_y
                    below = min(j + 1, h - 1)
                    j_next = max(spread_to + 1, max(j - 1, 0)) if spread_to >= 0 else max(j - 1, 0)
                    while j_next <= below:
                        base = frame * planes * h * w
                        cells_at = x0 - 2 * cell_x
                        spread_row(coeffs, base, planes, h, w, j_next, cells_at, pieces, spread, j_next % 3 * line)
                        spread_to = j_next
                        j_next += 1
                    above_at = max(j - 1, 0) % 3 * line
                    own_at = j % 3 * line
                    below_at = below % 3 * line
                    for x in range(0, pieces * TILE, TILE):
                        first_plane = 0
                        for s in range(sizes.size):
                            size = sizes[s]
                            count = size_planes(size, separable)
                            parts = 2 if separable else 1
                            for part in range(parts):
                                o = x * planes + (first_plane + part * (planes // 2)) * TILE
                                blend_rows(
                                    spread,
                                    above_at + o,
                                    own_at + o,
                                    below_at + o,
                                    count // parts * TILE,
                                    up,
                                    part * size * TILE,
                                    count * TILE,
                                )
                            first_plane += count // parts
                            shift = radius - size // 2
                            for group in range(groups):
                                f0 = 3 * group * plane + (row + shift) * stride + shift + x
                                if separable:
                                    separable_pair(tile, f0, stride, plane, up, size, out)
                                else:
                                    full_row(tile, f0, stride, plane, up, 0, size, out, 0)
                                    full_row(tile, f0 + stride, stride, plane, up, count * TILE, size, out, 3 * TILE)
                                for lower in range(min(2, rows - row)):
                                    for c in range(min(3, colours - 3 * group)):
                                        colour = 3 * group + c
                                        o = (3 * lower + c) * TILE
                                        t = (colour * block_rows + row + lower) * block_columns + x
                                        add_span(one, out, o, total, t, TILE)
                                        if want_estimates:
                                            e = ((frame * sizes.size + s) * colours + colour) * out_height
                                            e = (e + y0 + row + lower - top) * out_width + x0 + x - left
                                            copy_span(out, o, estimates, e, min(TILE, columns - x))
            for c in range(colours):
                for row in range(rows):
                    o = ((b * colours + c) * out_height + y0 + row - top) * out_width + x0 - left
                    zero_span(image, o, columns)
                    add_span(scale, total, (c * block_rows + row) * block_columns, image, o, columns)

    return forward


forward = _build(source_fingerprint())
