"""What averaging could reach at most by alignment alone: the mean of the frames whose motion a kernel can follow."""

from __future__ import annotations

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
    reach = size // 2
    height, width = burst.clean.shape[-2:]
    total, count = torch.zeros_like(burst.clean), torch.zeros(height, width)
    for frame, (x, y) in zip(burst.frames.cpu(), burst.offsets.tolist(), strict=True):
        if max(abs(x), abs(y)) > reach:
            continue
        # Pixel (r, c) of the reference is pixel (r - y, c - x) of this frame.
        rows, columns = (slice(max(0, d), n + min(0, d)) for d, n in ((y, height), (x, width)))
        from_rows, from_columns = (slice(max(0, -d), n + min(0, -d)) for d, n in ((y, height), (x, width)))
        total[:, rows, columns] += frame[:, from_rows, from_columns]
        count[rows, columns] += 1
    return total / count
