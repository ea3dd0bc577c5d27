"""One pixel of the output, added up from weights times noisy values (Eq. 2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.explain.kernels import PixelKernels


def neighbourhood(frames: torch.Tensor, x: int, y: int, size: int) -> NDArray[np.float32]:
    """Returns the values that a kernel reads around one pixel.

    Args:
        frames: `[N,C,H,W]`.
        x: column of the pixel.
        y: row of the pixel.
        size: side K of the kernel, odd.

    Returns:
        `[N,C,K,K]`; zero outside of the frames, as the network sees them.

    Raises:
        ValueError: if the pixel is outside of the frames or the side is even.
    """
    height, width = frames.shape[-2:]
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"pixel: expected 0 <= x < {width} and 0 <= y < {height}, got x={x}, y={y}")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size: expected an odd side, got {size}")
    radius = size // 2
    values = np.zeros((*frames.shape[:2], size, size), np.float32)
    top, left = max(0, y - radius), max(0, x - radius)
    bottom, right = min(height, y + radius + 1), min(width, x + radius + 1)
    inside = frames[:, :, top:bottom, left:right].cpu().numpy()
    row, column = top - (y - radius), left - (x - radius)
    values[:, :, row : row + bottom - top, column : column + right - left] = inside
    return values


def contributions(kernels: PixelKernels, frames: torch.Tensor) -> dict[int, NDArray[np.float32]]:
    """Returns what every weight adds to the pixel: weight times value, over the number of frames and sizes (Eq. 2).

    Args:
        kernels: of the pixel.
        frames: `[N,C,H,W]`, the burst that was denoised.

    Returns:
        For each side K `[N,C,K,K]`; the sum of all of them is the network's output at the pixel, per channel.
    """
    count = len(kernels.by_size) * len(kernels.fused)
    largest = max(kernels.by_size)
    values = neighbourhood(frames, kernels.x, kernels.y, largest)
    parts: dict[int, NDArray[np.float32]] = {}
    for size, weights in kernels.by_size.items():
        edge = (largest - size) // 2
        parts[size] = weights[:, None] * values[:, :, edge : edge + size, edge : edge + size] / count
    return parts


def true_place(offset: tuple[int, int], size: int) -> tuple[int, int] | None:
    """Returns the column and row in a kernel of the weight that reads the very spot of the scene.

    Args:
        offset: (x, y) of the frame, see `mkpn.synthesis.burst.Burst`.
        size: side K of the kernel.

    Returns:
        None where the kernel does not reach it.
    """
    column, row = (size // 2 - moved for moved in offset)
    return (column, row) if 0 <= column < size and 0 <= row < size else None
