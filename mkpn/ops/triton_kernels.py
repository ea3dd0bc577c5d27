"""Triton kernels of the local convolution.

A program owns a block of pixels, so nothing is written twice and no atomics are needed: results are deterministic. The
window's columns are the first axis of a tile `[columns, pixels]`, rows are a loop. Coefficients are
up-sampled in registers. Gradients of coefficients are gathered: a half-resolution coefficient visits the at most 4 x 4
pixels that its up-sampling reaches. Inputs may be float32, float16 or bfloat16; all sums are float32.
"""

# Triton's language is typed by its own compiler.
# pyright: basic, reportGeneralTypeIssues=false
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _bilinear(y, h):
    """The two half-resolution rows (or columns) that make up pixel `y`, and their weights."""
    j = y // 2
    odd = y % 2 == 1
    ja = tl.where(odd, j, tl.maximum(j - 1, 0))
    jb = tl.where(odd, tl.minimum(j + 1, h - 1), j)
    return ja, tl.where(odd, 0.75, 0.25), jb, tl.where(odd, 0.25, 0.75)


@triton.jit
def _upsample(plane, y, x, h, w, mask):
    """Bilinear x2 up-sampling (`align_corners=False`) of the planes at `plane` to the pixels `(y, x)`."""
    ya, va, yb, vb = _bilinear(y, h)
    xa, ua, xb, ub = _bilinear(x, w)
    top = ua * tl.load(plane + ya * w + xa, mask, 0.0).to(tl.float32)
    top += ub * tl.load(plane + ya * w + xb, mask, 0.0).to(tl.float32)
    bottom = ua * tl.load(plane + yb * w + xa, mask, 0.0).to(tl.float32)
    bottom += ub * tl.load(plane + yb * w + xb, mask, 0.0).to(tl.float32)
    return va * top + vb * bottom


@triton.jit
def _weight(pixel, j, length):
    """The share of half-resolution position `j` in `pixel`: the transpose of `_bilinear`."""
    ja, wa, jb, wb = _bilinear(pixel, length)
    return tl.where(ja == j, wa, 0.0) + tl.where(jb == j, wb, 0.0)


@triton.jit
def _gradient(grad_image, grad_estimates, image_at, estimate_at, mask, scale, HAS_IMAGE, HAS_ESTIMATES):
    """Gradient of an estimate: its own plus its share `1/(N S)` of the image's (Eq. 2)."""
    g = tl.zeros(mask.shape, tl.float32)
    if HAS_IMAGE:
        g += scale * tl.load(grad_image + image_at, mask, 0.0).to(tl.float32)
    if HAS_ESTIMATES:
        g += tl.load(grad_estimates + estimate_at, mask, 0.0).to(tl.float32)
    return g


@triton.jit
def forward_kernel(
    frames,
    coeffs,
    image,
    estimates,
    N,
    C,
    H,
    W,
    h,
    w,
    planes,
    first_plane,
    S,
    s,
    K: tl.constexpr,
    COLUMNS: tl.constexpr,
    SEPARABLE: tl.constexpr,
    HAS_ESTIMATES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Adds one size's share of the image `[B, C, H, W]` (Eq. 2) and writes its estimates (Eq. 6)."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b = tl.program_id(1) // C
    c = tl.program_id(1) % C
    inside = pixel < H * W
    y = (pixel // W)[None, :]
    x = (pixel % W)[None, :]
    dx = tl.arange(0, COLUMNS)[:, None]
    used = (dx < K) & inside[None, :]
    column = x + dx - K // 2
    in_columns = used & (column >= 0) & (column < W)
    mean = tl.zeros([BLOCK], tl.float32)
    for n in range(N):
        frame = (b * N + n).to(tl.int64)
        kernel = coeffs + (frame * planes + first_plane) * h * w
        pixels = frames + (frame * C + c) * H * W
        result = tl.zeros([BLOCK], tl.float32)
        if SEPARABLE:
            u = _upsample(kernel + (planes // 2 + dx) * h * w, y, x, h, w, used)
        for dy in range(K):
            row = y + dy - K // 2
            f = tl.load(pixels + row * W + column, in_columns & (row >= 0) & (row < H), 0.0).to(tl.float32)
            if SEPARABLE:
                v = _upsample(kernel + dy * h * w, y, x, h, w, inside[None, :])
                result += tl.sum(v * (u * f), axis=0)
            else:
                result += tl.sum(_upsample(kernel + (dy * K + dx).to(tl.int64) * h * w, y, x, h, w, used) * f, axis=0)
        if HAS_ESTIMATES:
            tl.store(estimates + ((frame * S + s) * C + c) * H * W + pixel, result, inside)
        mean += result
    at = image + (b * C + c).to(tl.int64) * H * W + pixel
    tl.store(at, tl.load(at, inside, 0.0) + mean / (N * S), inside)


@triton.jit
def backward_coeffs_kernel(
    frames,
    coeffs,
    grad_image,
    grad_estimates,
    grad_coeffs,
    N,
    C,
    H,
    W,
    h,
    w,
    planes,
    first_plane,
    S,
    s,
    K: tl.constexpr,
    COLUMNS: tl.constexpr,
    SEPARABLE: tl.constexpr,
    HAS_IMAGE: tl.constexpr,
    HAS_ESTIMATES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Writes the gradient of one size's coefficients."""
    # Full kernels: one program per row of the window. Separable ones: the third axis has length one.
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    frame = tl.program_id(1).to(tl.int64)
    own_row = tl.program_id(2)
    inside = (place < h * w)[None, :]
    jy = (place // w)[None, :]
    jx = (place % w)[None, :]
    dx = tl.arange(0, COLUMNS)[:, None]
    kernel = coeffs + (frame * planes + first_plane) * h * w
    grad_u = tl.zeros([COLUMNS, BLOCK], tl.float32)
    grad_v = tl.zeros([COLUMNS, BLOCK], tl.float32)
    for step in range(16):
        y = 2 * jy - 1 + step // 4
        x = 2 * jx - 1 + step % 4
        mask = inside & (y >= 0) & (y < H) & (x >= 0) & (x < W)
        weight = tl.where(mask, _weight(y, jy, h) * _weight(x, jx, w), 0.0)
        used = mask & (dx < K)
        column = x + dx - K // 2
        in_columns = used & (column >= 0) & (column < W)
        if SEPARABLE:
            u = _upsample(kernel + (planes // 2 + dx) * h * w, y, x, h, w, used)
        for c in range(C):
            pixels = frames + (frame * C + c) * H * W
            image_at = (frame // N * C + c) * H * W + y * W + x
            estimate_at = ((frame * S + s) * C + c) * H * W + y * W + x
            g = weight * _gradient(
                grad_image, grad_estimates, image_at, estimate_at, mask, 1.0 / (N * S), HAS_IMAGE, HAS_ESTIMATES
            )
            if SEPARABLE:
                for dy in range(K):
                    row = y + dy - K // 2
                    f = tl.load(pixels + row * W + column, in_columns & (row >= 0) & (row < H), 0.0).to(tl.float32)
                    v = _upsample(kernel + dy * h * w, y, x, h, w, mask)
                    grad_u += (v * g) * f
                    # Only the window's row `dy` of the tile takes this sum.
                    grad_v += tl.where(dx == dy, g * tl.sum(u * f, axis=0)[None, :], 0.0)
            else:
                row = y + own_row - K // 2
                f = tl.load(pixels + row * W + column, in_columns & (row >= 0) & (row < H), 0.0).to(tl.float32)
                grad_u += g * f
    at = grad_coeffs + (frame * planes + first_plane) * h * w + place[None, :]
    stored = inside & (dx < K)
    if SEPARABLE:
        tl.store(at + dx * h * w, grad_v, stored)
        tl.store(at + (planes // 2 + dx) * h * w, grad_u, stored)
    else:
        tl.store(at + (own_row * K + dx).to(tl.int64) * h * w, grad_u, stored)


@triton.jit
def backward_frames_kernel(
    coeffs,
    grad_image,
    grad_estimates,
    grad_frames,
    N,
    C,
    H,
    W,
    h,
    w,
    planes,
    first_plane,
    S,
    s,
    K: tl.constexpr,
    COLUMNS: tl.constexpr,
    SEPARABLE: tl.constexpr,
    HAS_IMAGE: tl.constexpr,
    HAS_ESTIMATES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Adds one size's share of the gradient of the frames `[B, N, C, H, W]`."""
    # A pixel gathers from the pixels (y, x) whose windows see it at (dy, dx).
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    frame = (tl.program_id(1) // C).to(tl.int64)
    c = tl.program_id(1) % C
    inside = pixel < H * W
    dx = tl.arange(0, COLUMNS)[:, None]
    x = (pixel % W)[None, :] - dx + K // 2
    in_columns = (dx < K) & inside[None, :] & (x >= 0) & (x < W)
    kernel = coeffs + (frame * planes + first_plane) * h * w
    result = tl.zeros([BLOCK], tl.float32)
    for dy in range(K):
        y = (pixel // W)[None, :] - dy + K // 2
        mask = in_columns & (y >= 0) & (y < H)
        image_at = (frame // N * C + c) * H * W + y * W + x
        estimate_at = ((frame * S + s) * C + c) * H * W + y * W + x
        g = _gradient(grad_image, grad_estimates, image_at, estimate_at, mask, 1.0 / (N * S), HAS_IMAGE, HAS_ESTIMATES)
        if SEPARABLE:
            u = _upsample(kernel + (planes // 2 + dx) * h * w, y, x, h, w, mask)
            v = _upsample(kernel + dy * h * w, y, x, h, w, mask)
            result += tl.sum(u * v * g, axis=0)
        else:
            result += tl.sum(_upsample(kernel + (dy * K + dx).to(tl.int64) * h * w, y, x, h, w, mask) * g, axis=0)
    at = grad_frames + (frame * C + c) * H * W + pixel
    tl.store(at, tl.load(at, inside, 0.0) + result, inside)
