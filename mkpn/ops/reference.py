"""The local convolution as it is defined: plain PyTorch, any floating type, never optimised.

Paper section 2, Eq. 1, 2 and 4: every pixel of every frame has its own kernels, and the image is the mean of all
frames filtered by all of their kernels. Every other back end is tested against this file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample(coeffs: Tensor, height: int, width: int) -> Tensor:
    """Bilinear x2 up-sampling (`align_corners=False`), cropped top left.

    Args:
        coeffs: `[..., h, w]`.
        height: rows to keep, at most `2h`.
        width: columns to keep, at most `2w`.

    Returns:
        `[..., height, width]`.
    """
    planes = coeffs.reshape(1, -1, *coeffs.shape[-2:])
    large = F.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)
    return large[..., :height, :width].reshape(*coeffs.shape[:-2], height, width)


def kernels(coeffs: Tensor, sizes: tuple[int, ...], height: int, width: int) -> list[Tensor]:
    """The kernels at full resolution, one tensor per size.

    Args:
        coeffs: separable `[B, N, 2, p, h, w]` (0: vertical factor, 1: horizontal) or full `[B, N, q, h, w]`.
        sizes: odd sides of the kernels.
        height: rows of the image.
        width: columns of the image.

    Returns:
        For each size `K` a tensor `[B, N, K, K, height, width]`: row offset, then column offset.
    """
    large = upsample(coeffs, height, width)
    if coeffs.dim() == 6:
        vertical, horizontal = large.unbind(2)
        factors = zip(vertical.split(sizes, dim=2), horizontal.split(sizes, dim=2), strict=True)
        # Separable kernels (end of section 2): the outer product of the factors.
        return [v.unsqueeze(3) * u.unsqueeze(2) for v, u in factors]
    areas = [size * size for size in sizes]
    return [k.unflatten(2, (size, size)) for k, size in zip(large.split(areas, dim=2), sizes, strict=True)]


def filter_frames(frames: Tensor, kernel: Tensor) -> Tensor:
    """Each frame filtered by its own kernel at every pixel, zero outside the frame.

    Args:
        frames: `[B, N, C, H, W]`.
        kernel: `[B, N, K, K, H, W]`.

    Returns:
        `I_i^s`, `[B, N, C, H, W]`.
    """
    height, width = frames.shape[-2:]
    size = kernel.shape[2]
    radius = (size - 1) // 2
    padded = F.pad(frames, (radius, radius, radius, radius))
    result = torch.zeros_like(frames)
    for dy, row in enumerate(kernel.unbind(2)):
        for dx, weight in enumerate(row.unbind(2)):
            window = padded[..., dy : dy + height, dx : dx + width]  # [B, N, C, H, W]
            result = result + weight.unsqueeze(2) * window
    return result


def local_conv(frames: Tensor, coeffs: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The definition of `mkpn.ops.local_conv`; arguments as there, already validated.

    Returns:
        The image `[B, C, H, W]` (Eq. 2, equal to Eq. 4) and the estimates `I_i^s` of Eq. 6, `[B, N, S, C, H, W]`.
    """
    height, width = frames.shape[-2:]
    estimates = [filter_frames(frames, kernel) for kernel in kernels(coeffs, sizes, height, width)]
    stacked = torch.stack(estimates, dim=2)  # [B, N, S, C, H, W]
    return stacked.mean(dim=(1, 2)), stacked
