"""What averaging could reach at most by alignment alone: the mean of the frames whose motion a kernel can follow."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from mkpn.synthesis.burst import Burst


def aligned_mean(burst: Burst, size: int) -> torch.Tensor:
    """Averages the frames that a kernel of one size can align, each moved back by its true offset.

    Args:
        burst: with known offsets.
        size: side K of the kernel; it reaches offsets of up to (K - 1) / 2 pixels in both directions.

    Returns:
        `[C,H,W]`; pixels that a frame does not show are averaged over the others.
    """
    return mean_within(burst, size)[0]


def mean_within(burst: Burst, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `aligned_mean` and how many frames it averaged at each pixel, `[H,W]`; arguments as there."""
    offsets: list[tuple[int, int]] = [(x, y) for x, y in burst.offsets.tolist()]
    within = [index for index, offset in enumerate(offsets) if max(map(abs, offset)) <= size // 2]
    return average(burst.frames.cpu()[within], [offsets[index] for index in within])


def average(frames: torch.Tensor, offsets: Iterable[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Averages frames where each one shows what the reference shows.

    Args:
        frames: `[N,C,H,W]`, the reference among them.
        offsets: (x, y) of each frame, with the meaning of `Burst.offsets`.

    Returns:
        The mean `[C,H,W]` and how many frames show each pixel `[H,W]`, 1 to N.
    """
    height, width = frames.shape[2:]
    total, count = torch.zeros_like(frames[0]), torch.zeros(height, width)
    for frame, (x, y) in zip(frames, offsets, strict=True):
        # Pixel (r, c) of the reference is pixel (r - y, c - x) of this frame.
        if abs(y) >= height or abs(x) >= width:
            continue
        rows, columns = (slice(max(0, d), n + min(0, d)) for d, n in ((y, height), (x, width)))
        from_rows, from_columns = (slice(max(0, -d), n + min(0, -d)) for d, n in ((y, height), (x, width)))
        total[:, rows, columns] += frame[:, from_rows, from_columns]
        count[rows, columns] += 1
    return total / count, count
