"""CPU kernels: bilinear x2 up-sampling of a row of coefficients (`align_corners=False`) and its transpose."""

# numba ships no type information; the functions below are typed by numba when it compiles them.
# pyright: basic, reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from mkpn.ops.cpu_rows import GUARD, INNER, PADDED, TILE, size_planes, zero_span
from mkpn.ops.simd import (
    evens,
    fma8,
    fma16,
    interleave,
    load8,
    load16,
    mul8,
    mul16,
    odds,
    prefetch,
    splat8,
    splat16,
    store8,
    store16,
)


@njit(forceinline=True, **INNER)
def bilinear_rows(y, h):
    """The two half-resolution rows that make up row `y`, and their weights (x2, `align_corners=False`)."""
    j = y >> 1
    if y & 1:
        return j, np.float32(0.75), min(j + 1, h - 1), np.float32(0.25)
    return max(j - 1, 0), np.float32(0.25), j, np.float32(0.75)


@njit(forceinline=True, **INNER)
def blend8(coeffs, a, wa, b, wb):
    """`wa * coeffs[a : a+8] + wb * coeffs[b : b+8]`."""
    return fma8(wa, load8(coeffs, a), mul8(wb, load8(coeffs, b)))


@njit(forceinline=True, **INNER)
def upsample8(coeffs, a, wa, b, wb, out, t):
    """Sixteen pixels from the blended columns `a-1 .. a+8`: `out[t : t+16]`."""
    quarter = splat8(np.float32(0.25))
    middle = mul8(blend8(coeffs, a, wa, b, wb), splat8(np.float32(0.75)))
    even = fma8(blend8(coeffs, a - 1, wa, b - 1, wb), quarter, middle)
    odd = fma8(blend8(coeffs, a + 1, wa, b + 1, wb), quarter, middle)
    store16(out, t, interleave(even, odd))


@njit(forceinline=True, **INNER)
def upsample1(coeffs, a, wa, b, wb, left, right, out, t):
    """Two pixels from the blended column `a` and its neighbours at the distances `left` and `right`."""
    middle = np.float32(0.75) * (wa * coeffs[a] + wb * coeffs[b])
    out[t] = middle + np.float32(0.25) * (wa * coeffs[a - left] + wb * coeffs[b - left])
    out[t + 1] = middle + np.float32(0.25) * (wa * coeffs[a + right] + wb * coeffs[b + right])


@njit(**INNER)
def upsample_row(coeffs, base, rows, h, w, y, x0, width, out, o):
    """Up-samples `rows` planes `[h, w]`, the first at `base`, to the pixels `(y, x0 .. x0+63)`.

    They go to `out[o:]`, 64 per plane; pixels outside the image become zero.
    """
    ja, wa, jb, wb = bilinear_rows(y, h)
    va = splat8(wa)
    vb = splat8(wb)
    j0 = x0 >> 1
    # Columns with both neighbours; the first and the last column of a plane are their own outer neighbours.
    low = max(j0, 1)
    high = min(j0 + 32, w - 1)
    for k in range(rows):
        a = base + (k * h + ja) * w
        b = base + (k * h + jb) * w
        t = o + k * TILE - 2 * j0
        j = low
        while j + 8 <= high:
            upsample8(coeffs, a + j, va, b + j, vb, out, t + 2 * j)
            j += 8
        if j < high and high - low >= 8:
            # The last vector ends at the last column; some pixels are written twice.
            j = high - 8
            upsample8(coeffs, a + j, va, b + j, vb, out, t + 2 * j)
            j = high
        while j < high:
            upsample1(coeffs, a + j, wa, b + j, wb, 1, 1, out, t + 2 * j)
            j += 1
        if j0 == 0:
            upsample1(coeffs, a, wa, b, wb, 0, min(1, w - 1), out, t)
        if j0 < w <= j0 + 32 and w > 1:
            upsample1(coeffs, a + w - 1, wa, b + w - 1, wb, 1, 0, out, t + 2 * w - 2)
        if width - x0 < TILE:
            zero_span(out, o + k * TILE + width - x0, TILE - width + x0)


@njit(**INNER)
def upsample_kernel(coeffs, first, planes, size, separable, h, w, y, x0, width, up):
    """Up-samples the planes of one kernel; `first` is that of its vertical factor or of the whole kernel.

    `up[2, K, 64]` receives the vertical, then the horizontal factor, or `up[K*K, 64]` the kernel.
    """
    # One call in a loop, not one per factor: half the code to compile.
    parts = 2 if separable else 1
    count = size_planes(size, separable) // parts
    for part in range(parts):
        base = (first + part * (planes // 2)) * h * w
        upsample_row(coeffs, base, count, h, w, y, x0, width, up, part * count * TILE)


@njit(forceinline=True, **INNER)
def spread8(coeffs, a, out, t):
    """Sixteen pixels from the columns `a-1 .. a+8`: `out[t : t+16]`."""
    quarter = splat8(np.float32(0.25))
    middle = mul8(load8(coeffs, a), splat8(np.float32(0.75)))
    even = fma8(load8(coeffs, a - 1), quarter, middle)
    odd = fma8(load8(coeffs, a + 1), quarter, middle)
    store16(out, t, interleave(even, odd))


@njit(**INNER)
def spread_row(coeffs, base, rows, h, w, j, x0, pieces, out, o):
    """Up-samples row `j` of `rows` planes `[h, w]` along the row only, to `pieces` times 64 columns from `x0` on.

    The first plane is at `base`; they go to `out[o:]` as `[pieces, rows, 64]`. Pixels outside the image are left as
    they are.
    """
    one = np.float32(1)
    zero = np.float32(0)
    # Planes are too many streams for a processor to foresee. Two of them ahead, but some hundred cycles at least.
    ahead = max(2, 16 // pieces) * h * w
    for k in range(rows):
        a = base + (k * h + j) * w
        # All pieces of a plane before the next plane: memory is read in long runs.
        for piece in range(pieces):
            j0 = (x0 >> 1) + piece * (TILE // 2)
            low = max(j0, 1)
            high = min(j0 + TILE // 2, w - 1)
            t = o + (piece * rows + k) * TILE - 2 * j0
            prefetch(coeffs, a + ahead + j0)
            prefetch(coeffs, a + ahead + j0 + 16)
            m = low
            while m + 8 <= high:
                spread8(coeffs, a + m, out, t + 2 * m)
                m += 8
            if m < high and high - low >= 8:
                # The last vector ends at the last column; some pixels are written twice.
                m = high - 8
                spread8(coeffs, a + m, out, t + 2 * m)
                m = high
            while m < high:
                upsample1(coeffs, a + m, one, a + m, zero, 1, 1, out, t + 2 * m)
                m += 1
            if j0 == 0:
                upsample1(coeffs, a, one, a, zero, 0, min(1, w - 1), out, t)
            if j0 < w <= j0 + TILE // 2 and w > 1:
                upsample1(coeffs, a + w - 1, one, a + w - 1, zero, 1, 0, out, t + 2 * w - 2)


@njit(**INNER)
def blend_rows(spread, above, own, below, count, up, t, distance):
    """Two full-resolution rows from three spread ones: `up[t : t+count]` and `distance` further."""
    quarter = splat16(np.float32(0.25))
    three_quarters = splat16(np.float32(0.75))
    for m in range(0, count, 16):
        middle = mul16(load16(spread, own + m), three_quarters)
        store16(up, t + m, fma16(load16(spread, above + m), quarter, middle))
        store16(up, t + distance + m, fma16(load16(spread, below + m), quarter, middle))


@njit(**INNER)
def reduce_row(grad, g, rows, base, h, w, y, x0, j0, j1, grad_coeffs):
    """Transpose of `upsample_row`: adds full-resolution gradients to the half-resolution rows `j0 .. j1-1`.

    The gradients of plane `k` are `grad[g + k*PADDED + GUARD :]`, zero outside the image and in the guards.
    """
    ja, wa, jb, wb = bilinear_rows(y, h)
    quarter = splat8(np.float32(0.25))
    three_quarters = splat8(np.float32(0.75))
    own_a = j0 <= ja < j1
    own_b = j0 <= jb < j1
    va = splat8(wa)
    vb = splat8(wb)
    low = max((x0 >> 1) - 1, 0)
    high = min((x0 >> 1) + 33, w)
    for k in range(rows):
        a = base + (k * h + ja) * w
        b = base + (k * h + jb) * w
        q = g + k * PADDED + GUARD - x0
        # What clamping sends to the border columns.
        first = np.float32(0.25) * grad[q] if x0 == 0 else np.float32(0)
        end = np.float32(0.25) * grad[q + 2 * w - 1] if x0 < 2 * w <= x0 + TILE else np.float32(0)
        if own_a:
            grad_coeffs[a] += wa * first
            grad_coeffs[a + w - 1] += wa * end
        if own_b:
            grad_coeffs[b] += wb * first
            grad_coeffs[b + w - 1] += wb * end
        j = low
        while j + 8 <= high:
            # Column j receives the pixels 2j-1 .. 2j+2 with weights 1/4, 3/4, 3/4, 1/4.
            left = load16(grad, q + 2 * j - 1)
            right = load16(grad, q + 2 * j + 1)
            outer = fma8(evens(left), quarter, mul8(odds(right), quarter))
            line = fma8(odds(left), three_quarters, fma8(evens(right), three_quarters, outer))
            if own_a:
                store8(grad_coeffs, a + j, fma8(line, va, load8(grad_coeffs, a + j)))
            if own_b:
                store8(grad_coeffs, b + j, fma8(line, vb, load8(grad_coeffs, b + j)))
            j += 8
        while j < high:
            m = q + 2 * j
            value = np.float32(0.25) * (grad[m - 1] + grad[m + 2]) + np.float32(0.75) * (grad[m] + grad[m + 1])
            if own_a:
                grad_coeffs[a + j] += wa * value
            if own_b:
                grad_coeffs[b + j] += wb * value
            j += 1
