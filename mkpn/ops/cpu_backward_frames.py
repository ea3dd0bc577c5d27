"""CPU kernel of the local convolution, backward with respect to the frames.

Training never asks for it; it makes the operator complete. Streams as `cpu_backward_coeffs` does.
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
    INNER,
    INTS,
    TILE,
    TILE_ROWS,
    copy_span,
    frame_planes,
    largest,
    load_gradient,
    size_planes,
    source_fingerprint,
    tile_stride,
    zero_span,
)
from mkpn.ops.simd import fma16, load16, mul16, store16


@njit(**INNER)
def scatter_row(tile, t0, plane, weights, w0, size, g, g0):
    """Adds `weights[dx] * g[c]` of 64 pixels to the pixels `dx` to the right of `t0`, three colours."""
    for dx in range(size):
        for x in range(0, TILE, 16):
            weight = load16(weights, w0 + dx * TILE + x)
            for c in range(3):
                q = t0 + c * plane + dx + x
                store16(tile, q, fma16(weight, load16(g, g0 + c * TILE + x), load16(tile, q)))


def _build(fingerprint):
    @njit(
        types.void(
            types.int64,
            types.int64,
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
    def backward_frames(
        first, last, coeffs, sizes, dims, separable, has_image, has_estimates, grad_image, grad_estimates, grad_frames
    ):
        """Writes the gradient of the frames for the strips `first .. last-1` (of all frames) to `grad_frames`."""
        # A captured variable is part of the key under which numba caches the compiled code.
        _ = fingerprint
        _, _, colours, height, width, h, w = dims
        planes = frame_planes(sizes, separable)
        radius = largest(sizes) // 2
        groups = (colours + 2) // 3
        stride = tile_stride((width + TILE - 1) // TILE * TILE, radius)
        plane = TILE_ROWS * stride
        tile = np.empty(3 * groups * plane, np.float32)
        up = np.empty(size_planes(largest(sizes), separable) * TILE, np.float32)
        g = np.zeros(3 * groups * TILE, np.float32)
        scaled = np.empty(3 * TILE, np.float32)
        down = (height + TILE_ROWS - 1) // TILE_ROWS
        for task in range(first, last):
            frame = task // down
            y0 = task % down * TILE_ROWS
            rows = min(TILE_ROWS, height - y0)
            zero_span(tile, 0, tile.size)
            for x0 in range(0, width, TILE):
                for y in range(max(0, y0 - radius), min(height, y0 + rows + radius)):
                    first_plane = frame * planes
                    for s in range(sizes.size):
                        size = sizes[s]
                        upsample_kernel(coeffs, first_plane, planes, size, separable, h, w, y, x0, width, up)
                        first_plane += size if separable else size * size
                        r = size // 2
                        load_gradient(
                            grad_image, grad_estimates, has_image, has_estimates, dims, frame, s, sizes.size, y, x0, g
                        )
                        # Only the rows of the window that lie in this strip.
                        for dy in range(max(0, y0 - y + r), min(size, y0 + rows - y + r)):
                            t0 = (y + dy - r - y0) * stride + x0 + radius - r
                            for group in range(groups):
                                to = t0 + 3 * group * plane
                                if separable:
                                    for m in range(0, 3 * TILE, 16):
                                        v = load16(up, dy * TILE + m % TILE)
                                        store16(scaled, m, mul16(v, load16(g, 3 * group * TILE + m)))
                                    scatter_row(tile, to, plane, up, size * TILE, size, scaled, 0)
                                else:
                                    scatter_row(tile, to, plane, up, dy * size * TILE, size, g, 3 * group * TILE)
            for c in range(colours):
                for row in range(rows):
                    o = ((frame * colours + c) * height + y0 + row) * width
                    copy_span(tile, c * plane + row * stride + radius, grad_frames, o, width)

    return backward_frames


backward_frames = _build(source_fingerprint())
