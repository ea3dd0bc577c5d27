"""CUDA back end of the local convolution: launches one Triton kernel per kernel size."""

# Triton's language is typed by its own compiler, so that Python numbers do not look like its constants.
# pyright: basic, reportArgumentType=false
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from mkpn.ops.triton_kernels import backward_coeffs_kernel, backward_frames_kernel, forward_kernel

BLOCK = 64


def _per_size(coeffs: Tensor, sizes: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """For each size its index, itself, the window's columns rounded up to a power of two, and its first plane."""
    result: list[tuple[int, int, int, int]] = []
    first_plane = 0
    for s, size in enumerate(sizes):
        result.append((s, size, triton.next_power_of_2(size), first_plane))
        first_plane += size if coeffs.dim() == 6 else size * size
    return result


def _planes(coeffs: Tensor) -> int:
    """Half-resolution planes per frame: `2p` or `q`."""
    return coeffs[0, 0].numel() // (coeffs.shape[-2] * coeffs.shape[-1])


def forward(frames: Tensor, coeffs: Tensor, sizes: Sequence[int], estimates: bool) -> tuple[Tensor, Tensor]:
    """Image `[B, C, H, W]` (Eq. 2) and estimates `[B, N, S, C, H, W]` (Eq. 6; empty unless asked for)."""
    frames, coeffs = frames.contiguous(), coeffs.contiguous()
    b, n, c, height, width = frames.shape
    h, w = coeffs.shape[-2:]
    image = torch.zeros((b, c, height, width), device=frames.device, dtype=torch.float32)
    each = frames.new_empty((b, n, len(sizes), c, height, width) if estimates else (0,))
    grid = (triton.cdiv(height * width, BLOCK), b * c)
    # Triton launches on the current GPU, whichever the tensors are on.
    with torch.cuda.device_of(frames):
        for s, size, columns, first_plane in _per_size(coeffs, sizes):
            forward_kernel[grid](
                frames,
                coeffs,
                image,
                each,
                n,
                c,
                height,
                width,
                h,
                w,
                _planes(coeffs),
                first_plane,
                len(sizes),
                s,
                K=size,
                COLUMNS=columns,
                SEPARABLE=coeffs.dim() == 6,
                HAS_ESTIMATES=estimates,
                BLOCK=BLOCK,
            )
    return image.to(frames.dtype), each


def backward(
    grad_image: Tensor | None,
    grad_estimates: Tensor | None,
    frames: Tensor,
    coeffs: Tensor,
    sizes: Sequence[int],
    need_frames: bool,
    need_coeffs: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of frames and coefficients, each empty unless needed."""
    frames, coeffs = frames.contiguous(), coeffs.contiguous()
    nothing = frames.new_empty(0)
    gradients = (
        nothing if grad_image is None else grad_image.contiguous(),
        nothing if grad_estimates is None else grad_estimates.contiguous(),
    )
    b, n, c, height, width = frames.shape
    h, w = coeffs.shape[-2:]
    separable = coeffs.dim() == 6
    # Sizes add to it one after the other, so it stays float32 until the end.
    grad_frames = torch.zeros(frames.shape if need_frames else (0,), device=frames.device, dtype=torch.float32)
    grad_coeffs = torch.empty_like(coeffs) if need_coeffs else coeffs.new_empty(0)
    with torch.cuda.device_of(frames):
        for s, size, columns, first_plane in _per_size(coeffs, sizes):
            numbers = (n, c, height, width, h, w, _planes(coeffs), first_plane, len(sizes), s)
            options = {
                "K": size,
                "COLUMNS": columns,
                "SEPARABLE": separable,
                "HAS_IMAGE": grad_image is not None,
                "HAS_ESTIMATES": grad_estimates is not None,
                "BLOCK": BLOCK,
            }
            if need_coeffs:
                grid = (triton.cdiv(h * w, BLOCK), b * n, 1 if separable else size)
                backward_coeffs_kernel[grid](frames, coeffs, *gradients, grad_coeffs, *numbers, **options)
            if need_frames:
                grid = (triton.cdiv(height * width, BLOCK), b * n * c)
                backward_frames_kernel[grid](coeffs, *gradients, grad_frames, *numbers, **options)
    return grad_frames.to(frames.dtype), grad_coeffs
