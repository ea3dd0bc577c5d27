"""One pixel of the output, added up from weights times noisy values (Eq. 2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.checks import whole
from mkpn.geometry import Rectangle
from mkpn.inference.blockwise import continued
from mkpn.model.config import DEPTH_MULTIPLE
from mkpn.synthesis.burst import Burst


def seen_frames(frames: torch.Tensor) -> torch.Tensor:
    """Frames `[N,C,H,W]` as the networks see them: below and to the right they are mirrored up to a multiple of 16.

    Beyond that, and above and to the left, there are zeros.
    """
    height, width = (-(-side // DEPTH_MULTIPLE) * DEPTH_MULTIPLE for side in frames.shape[-2:])
    return continued(frames, Rectangle.whole(height, width))


def neighbourhood(burst: Burst, x: int, y: int, size: int) -> NDArray[np.float32]:
    """Returns the values that a kernel reads around one pixel.

    Args:
        burst: with its surroundings, if it has any.
        x: column of the pixel.
        y: row of the pixel.
        size: side K of the kernel, odd.

    Returns:
        `[N,C,K,K]`; outside of the frames their surroundings, beyond them what the networks see there, see
        `seen_frames`.

    Raises:
        ValueError: if the pixel is outside of the frames or the side is even.
    """
    height, width = burst.frames.shape[-2:]
    x, y = whole("x", x, 0, width - 1), whole("y", y, 0, height - 1)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size: expected an odd side, got {size}")
    radius = size // 2
    frames = (burst.surroundings or burst).frames
    x, y, (height, width) = x + burst.rim, y + burst.rim, frames.shape[-2:]
    values = np.zeros((*frames.shape[:2], size, size), np.float32)
    # The frames are copied only where the kernel reaches what is mirrored.
    frames = seen_frames(frames) if x + radius >= width or y + radius >= height else frames
    height, width = frames.shape[-2:]
    top, left = max(0, y - radius), max(0, x - radius)
    bottom, right = min(height, y + radius + 1), min(width, x + radius + 1)
    inside = frames[:, :, top:bottom, left:right].cpu().numpy()
    row, column = top - (y - radius), left - (x - radius)
    values[:, :, row : row + bottom - top, column : column + right - left] = inside
    return values


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
