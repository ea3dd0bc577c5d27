"""CPU kernels, the parts shared by forward and backward: settings, spans of memory, tiles of frames, inner loops.

A row is 64 pixels. All arrays are flat float32 and addressed by offsets, so that numba neither slices nor tests bounds.
"""

# numba ships no type information; the functions below are typed by numba when it compiles them.
# pyright: basic
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numba import njit, types

from mkpn.ops.simd import fma8, fma16, load8, load16, splat8, splat16, store8

TILE = 64
TILE_ROWS = 32
# Floats that a vector may touch beyond a row's end, with its results there discarded.
GUARD = 16
# A row of full-resolution gradients: 64 pixels between two guards of zeros.
PADDED = TILE + 2 * GUARD
# Not "nnan": a NaN in one frame must stay in the pixels whose windows see it. Not "reassoc": nothing here needs it.
JIT = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
INNER = {**JIT, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

FLOATS = types.Array(types.float32, 1, "C")
INTS = types.Array(types.int64, 1, "C")
# B, N, C, H, W, h, w
DIMS = types.UniTuple(types.int64, 7)
# First and end row, first and end column, row and column of the first coefficient.
REGION = types.UniTuple(types.int64, 6)
# Rows and columns of a task.
BLOCK = types.UniTuple(types.int64, 2)


def _probe() -> None:
    pass


def _can_cache() -> bool:
    """Whether numba finds a directory to write to: `__pycache__`, else one below the user's home."""
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        return False
    return True


# For the functions that Python calls; what they call is compiled into them.
ENTRY = {**JIT, "cache": _can_cache()}


def source_fingerprint() -> int:
    """A number for the sources of all kernels; numba's cache itself notices only a change of the cached file."""
    digest = hashlib.sha256()
    for name in ("simd", "cpu_rows", "cpu_resample", "cpu_forward", "cpu_backward_coeffs", "cpu_backward_frames"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return int.from_bytes(digest.digest()[:6], "big")


@njit(forceinline=True, **INNER)
def copy_span(source, s, target, t, count):
    """`target[t : t+count] = source[s : s+count]`."""
    m = 0
    while m + 8 <= count:
        store8(target, t + m, load8(source, s + m))
        m += 8
    while m < count:
        target[t + m] = source[s + m]
        m += 1


@njit(**INNER)
def add_span(weight, source, s, target, t, count):
    """`target[t : t+count] += weight * source[s : s+count]`."""
    weights = splat8(weight)
    m = 0
    while m + 8 <= count:
        store8(target, t + m, fma8(weights, load8(source, s + m), load8(target, t + m)))
        m += 8
    while m < count:
        target[t + m] += weight * source[s + m]
        m += 1


@njit(**INNER)
def zero_span(target, t, count):
    """`target[t : t+count] = 0`."""
    zero = splat8(np.float32(0))
    m = 0
    while m + 8 <= count:
        store8(target, t + m, zero)
        m += 8
    while m < count:
        target[t + m] = np.float32(0)
        m += 1


@njit(**INNER)
def largest(sizes):
    """The largest side; numpy's own `max` costs seconds of compilation."""
    result = 0
    for size in sizes:
        result = max(result, size)
    return result


@njit(**INNER)
def size_planes(size, separable):
    """Half-resolution planes of one kernel."""
    return 2 * size if separable else size * size


@njit(**INNER)
def frame_planes(sizes, separable):
    """Half-resolution planes of one frame: `2p` or `q`."""
    count = 0
    for size in sizes:
        count += size_planes(size, separable)
    return count


@njit(**INNER)
def tile_stride(columns, radius):
    """Length of a row of a tile with its border and guard, a multiple of 16."""
    return (columns + 2 * radius + GUARD + 15) // 16 * 16


@njit(**INNER)
def copy_tile(frames, base, dims, y0, rows, x0, radius, tile, plane, stride):
    """Copies a frame's window whose first row and column are `y0 - radius`, `x0 - radius`; zero outside the frame."""
    colours, height, width = dims[2], dims[3], dims[4]
    low = max(0, radius - x0)
    high = max(low, min(stride, width - x0 + radius))
    for c in range(colours):
        for row in range(rows):
            y = y0 - radius + row
            to = c * plane + row * stride
            if y < 0 or y >= height:
                zero_span(tile, to, stride)
                continue
            zero_span(tile, to, low)
            start = base + (c * height + y) * width + x0 - radius
            copy_span(frames, start + low, tile, to + low, high - low)
            zero_span(tile, to + high, stride - high)


@njit(**INNER)
def load_gradient(grad_image, grad_estimates, has_image, has_estimates, dims, frame, s, n_sizes, y, x0, g):
    """Gradient of the estimate `I_i^s` at 64 pixels: its own plus its share `1/(N S)` of the image's (Eq. 2)."""
    _, n_frames, colours, height, width, _, _ = dims
    scale = np.float32(1.0 / (n_frames * n_sizes))
    columns = min(TILE, width - x0)
    for c in range(colours):
        zero_span(g, c * TILE, TILE)
        if has_image:
            o = ((frame // n_frames * colours + c) * height + y) * width + x0
            add_span(scale, grad_image, o, g, c * TILE, columns)
        if has_estimates:
            o = (((frame * n_sizes + s) * colours + c) * height + y) * width + x0
            add_span(np.float32(1), grad_estimates, o, g, c * TILE, columns)


@njit(**INNER)
def row_products(tile, p0, plane, up, u0, size):
    """`sum_dx u f` at 16 pixels for one row of the window, three colours."""
    a0 = splat16(np.float32(0))
    a1 = a0
    a2 = a0
    p1 = p0 + plane
    p2 = p1 + plane
    for dx in range(size):
        u = load16(up, u0 + dx * TILE)
        a0 = fma16(u, load16(tile, p0 + dx), a0)
        a1 = fma16(u, load16(tile, p1 + dx), a1)
        a2 = fma16(u, load16(tile, p2 + dx), a2)
    return a0, a1, a2


@njit(**INNER)
def row_pair_products(tile, p0, stride, plane, up, u0, size):
    """`sum_dx u f` at 16 pixels for two rows of the window, three colours: both rows share the loads of `u`.

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
    q0 = p0 + stride
    q1 = p1 + stride
    q2 = p2 + stride
    for dx in range(size):
        u = load16(up, u0 + dx * TILE)
        a0 = fma16(u, load16(tile, p0 + dx), a0)
        a1 = fma16(u, load16(tile, p1 + dx), a1)
        a2 = fma16(u, load16(tile, p2 + dx), a2)
        b0 = fma16(u, load16(tile, q0 + dx), b0)
        b1 = fma16(u, load16(tile, q1 + dx), b1)
        b2 = fma16(u, load16(tile, q2 + dx), b2)
    return a0, a1, a2, b0, b1, b2
