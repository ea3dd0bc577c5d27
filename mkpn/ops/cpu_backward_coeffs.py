"""CPU kernels of the local convolution, backward: numba functions on flat float32 arrays.

Like the forward pass, these stream: up-sampled factors are recomputed row by row, nothing of full resolution is stored.
A task owns a strip of one frame's gradient and reads the few rows beyond it that it needs again, so no two
tasks write the same number and results do not depend on the number of threads.
"""

# numba ships no type information; the functions below are typed by numba when it compiles them.
# pyright: basic
from __future__ import annotations

import numpy as np
from numba import njit, types

from mkpn.ops.cpu_resample import reduce_row, upsample_kernel
from mkpn.ops.cpu_rows import (
    DIMS,
    ENTRY,
    FLOATS,
    GUARD,
    INNER,
    INTS,
    PADDED,
    TILE,
    copy_tile,
    frame_planes,
    largest,
    load_gradient,
    row_pair_products,
    row_products,
    size_planes,
    source_fingerprint,
    tile_stride,
    zero_span,
)
from mkpn.ops.simd import fma16, fma32, load16, load32, mul16, splat32, store16, store32

# Rows of half resolution whose gradients one task owns.
STRIP = 32


@njit(**INNER)
def vertical_gradient(tile, f0, stride, plane, up, size, g, g0, scaled, grad):
    """Adds the gradient of the vertical factor, `sum_c g sum_dx u f`; leaves `v * g` in `scaled[dy, c, x]`."""
    for x in range(0, TILE, 16):
        g_0 = load16(g, g0 + x)
        g_1 = load16(g, g0 + TILE + x)
        g_2 = load16(g, g0 + 2 * TILE + x)
        for dy in range(0, size - 1, 2):
            a0, a1, a2, b0, b1, b2 = row_pair_products(
                tile, f0 + dy * stride + x, stride, plane, up, size * TILE + x, size
            )
            q = dy * PADDED + GUARD + x
            store16(grad, q, fma16(g_0, a0, fma16(g_1, a1, fma16(g_2, a2, load16(grad, q)))))
            q += PADDED
            store16(grad, q, fma16(g_0, b0, fma16(g_1, b1, fma16(g_2, b2, load16(grad, q)))))
        # Sizes are odd: one row is left.
        a0, a1, a2 = row_products(tile, f0 + (size - 1) * stride + x, plane, up, size * TILE + x, size)
        q = (size - 1) * PADDED + GUARD + x
        store16(grad, q, fma16(g_0, a0, fma16(g_1, a1, fma16(g_2, a2, load16(grad, q)))))
        for dy in range(size):
            v = load16(up, dy * TILE + x)
            store16(scaled, 3 * dy * TILE + x, mul16(v, g_0))
            store16(scaled, (3 * dy + 1) * TILE + x, mul16(v, g_1))
            store16(scaled, (3 * dy + 2) * TILE + x, mul16(v, g_2))


@njit(**INNER)
def add_row(grad, k, x, value):
    """Adds 32 numbers to coefficient `k` of the full-resolution gradient row."""
    q = k * PADDED + GUARD + x
    store32(grad, q, fma32(value, splat32(np.float32(1)), load32(grad, q)))


@njit(**INNER)
def horizontal_gradient(tile, f0, stride, plane, scaled, size, grad):
    """Adds the gradient of the horizontal factor, `sum_c sum_dy (v g) f`, three columns of the window at a time."""
    zero = splat32(np.float32(0))
    for x in range(0, TILE, 32):
        for dx in range(0, size, 3):
            a0 = zero
            a1 = zero
            a2 = zero
            for dy in range(size):
                for c in range(3):
                    p = f0 + c * plane + dy * stride + x + dx
                    s = load32(scaled, (3 * dy + c) * TILE + x)
                    a0 = fma32(s, load32(tile, p), a0)
                    a1 = fma32(s, load32(tile, p + 1), a1)
                    a2 = fma32(s, load32(tile, p + 2), a2)
            # The last group may reach past the window, into the guard: those sums are dropped.
            add_row(grad, size + dx, x, a0)
            if dx + 1 < size:
                add_row(grad, size + dx + 1, x, a1)
            if dx + 2 < size:
                add_row(grad, size + dx + 2, x, a2)


@njit(**INNER)
def full_gradient(tile, f0, stride, plane, size, g, g0, grad):
    """Adds the gradient of a full kernel, `sum_c g f`."""
    for x in range(0, TILE, 32):
        gr0 = load32(g, g0 + x)
        gr1 = load32(g, g0 + TILE + x)
        gr2 = load32(g, g0 + 2 * TILE + x)
        for dy in range(size):
            p = f0 + dy * stride + x
            for dx in range(size):
                q = (dy * size + dx) * PADDED + GUARD + x
                total = fma32(gr0, load32(tile, p + dx), load32(grad, q))
                total = fma32(gr1, load32(tile, p + plane + dx), total)
                store32(grad, q, fma32(gr2, load32(tile, p + 2 * plane + dx), total))


def _build(fingerprint):
    @njit(
        types.void(
            types.int64,
            types.int64,
            FLOATS,
            FLOATS,
            INTS,
            DIMS,
            types.boolean,
            types.boolean,
            types.boolean,
            FLOATS,
            FLOATS,
            FLOATS,
        ),
        **ENTRY,
    )
    def backward_coeffs(
        first,
        last,
        frames,
        coeffs,
        sizes,
        dims,
        separable,
        has_image,
        has_estimates,
        grad_image,
        grad_estimates,
        grad_coeffs,
    ):
        """Adds the gradient of the coefficients for the strips `first .. last-1` (of all frames) to `grad_coeffs`."""
        # A captured variable is part of the key under which numba caches the compiled code.
        _ = fingerprint
        _, _, colours, height, width, h, w = dims
        planes = frame_planes(sizes, separable)
        radius = largest(sizes) // 2
        groups = (colours + 2) // 3
        stride = tile_stride(TILE, radius)
        plane = (2 * STRIP + 2 + 2 * radius) * stride
        tile = np.zeros(3 * groups * plane + 2 * GUARD, np.float32)
        up = np.empty(size_planes(largest(sizes), separable) * TILE, np.float32)
        g = np.zeros(3 * groups * TILE, np.float32)
        scaled = np.empty(3 * largest(sizes) * TILE, np.float32)
        grad = np.zeros(size_planes(largest(sizes), separable) * PADDED, np.float32)
        strips = (h + STRIP - 1) // STRIP
        for task in range(first, last):
            frame = task // strips
            j0 = task % strips * STRIP
            j1 = min(j0 + STRIP, h)
            y0 = max(0, 2 * j0 - 1)
            y1 = min(height, 2 * j1 + 1)
            for x0 in range(0, width, TILE):
                copy_tile(
                    frames,
                    frame * colours * height * width,
                    dims,
                    y0,
                    y1 - y0 + 2 * radius,
                    x0,
                    radius,
                    tile,
                    plane,
                    stride,
                )
                for y in range(y0, y1):
                    first_plane = frame * planes
                    for s in range(sizes.size):
                        size = sizes[s]
                        count = size_planes(size, separable)
                        parts = 2 if separable else 1
                        shift = radius - size // 2
                        load_gradient(
                            grad_image, grad_estimates, has_image, has_estimates, dims, frame, s, sizes.size, y, x0, g
                        )
                        zero_span(grad, 0, count * PADDED)
                        if separable:
                            upsample_kernel(coeffs, first_plane, planes, size, separable, h, w, y, x0, width, up)
                        for group in range(groups):
                            f0 = 3 * group * plane + (y - y0 + shift) * stride + shift
                            g0 = 3 * group * TILE
                            if separable:
                                vertical_gradient(tile, f0, stride, plane, up, size, g, g0, scaled, grad)
                                horizontal_gradient(tile, f0, stride, plane, scaled, size, grad)
                            else:
                                full_gradient(tile, f0, stride, plane, size, g, g0, grad)
                        if width - x0 < TILE:
                            # Zero gradient times a NaN pixel inside the window of a pixel outside the image.
                            for k in range(count):
                                zero_span(grad, k * PADDED + GUARD + width - x0, TILE - width + x0)
                        for part in range(parts):
                            base = (first_plane + part * (planes // 2)) * h * w
                            rows = count // parts
                            reduce_row(grad, part * rows * PADDED, rows, base, h, w, y, x0, j0, j1, grad_coeffs)
                        first_plane += count // parts

    return backward_coeffs


backward_coeffs = _build(source_fingerprint())
