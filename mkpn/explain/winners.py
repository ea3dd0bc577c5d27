"""Which model has the lowest error where, by how much, and whether other noise would say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

TIE = -1


@dataclass(frozen=True)
class Winners:
    """Patch by patch.

    Attributes:
        side: of a patch in pixels; the last row and column of patches may be smaller.
        size: H and W of the picture.
        winner: `[h,w]`, the index of the model with the lowest error, or `TIE`.
        margin: `[h,w]`, by how many dB the second model is worse.
        errors: `[M,h,w]`, mean squared error.
    """

    side: int
    size: tuple[int, int]
    winner: NDArray[np.int64]
    margin: NDArray[np.float64]
    errors: NDArray[np.float64]


def squared_error(image: torch.Tensor, clean: torch.Tensor) -> NDArray[np.float32]:
    """Returns the squared error of intensities clipped to [0,1], the mean of the channels, `[H,W]`."""
    return (image.float().cpu().clamp(0, 1) - clean.float().cpu()).square().mean(0).numpy()


def patch_means(values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Returns the mean of every patch of `side` x `side` pixels, `[...,h,w]` of `[...,H,W]`.

    Raises:
        ValueError: if the side is below one.
    """
    if side < 1:
        raise ValueError(f"side: expected at least one pixel, got {side}")
    height, width = values.shape[-2:]
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=-2), columns, axis=-1)
    tall, wide = np.minimum(side, height - rows), np.minimum(side, width - columns)
    return sums / np.multiply.outer(tall, wide)


def winners(errors: Sequence[NDArray[np.float32]], side: int, least: float = 0.0) -> Winners:
    """Finds the winner of every patch.

    Args:
        errors: for each seed the squared errors `[M,H,W]` of M models, two or more.
        side: of a patch in pixels.
        least: a smaller margin in dB is a tie.

    Returns:
        The winner by the mean over the seeds. It is a tie where the seeds do not agree on the winner, or the margin
        is below `least`.

    Raises:
        ValueError: if there are not at least one seed and two models, all of one shape.
    """
    if not errors or len({array.shape for array in errors}) != 1 or errors[0].ndim != 3 or len(errors[0]) < 2:
        shapes = [list(array.shape) for array in errors]
        raise ValueError(f"errors: expected at least one [M,H,W] with two models or more, all alike, got {shapes}")
    each = np.stack([patch_means(array, side) for array in errors])  # [R,M,h,w]
    mean = each.mean(0)
    best, second = np.sort(mean, axis=0)[:2]
    margin = 10 * np.log10(np.maximum(second, 1e-12) / np.maximum(best, 1e-12))
    winner = mean.argmin(0)
    tied = (each.argmin(1) != winner).any(0) | (margin < least) | (best == second)
    height, width = errors[0].shape[1:]
    return Winners(side, (height, width), np.where(tied, TIE, winner), margin, mean)


def area_shares(
    found: Winners, models: int, regions: NDArray[np.uint8] | None = None, region: int = 0
) -> NDArray[np.float64]:
    """Returns the share of the area that each model wins, and last the share of ties, `[M+1]`.

    Args:
        found: of `winners`.
        models: their number M.
        regions: `[H,W]` classes of the pixels; None counts all pixels.
        region: the class that is counted.
    """
    height, width = found.size
    spread = found.winner.repeat(found.side, axis=0).repeat(found.side, axis=1)[:height, :width]
    counted = np.ones((height, width), bool) if regions is None else regions == region
    total = max(1, int(counted.sum()))
    return np.array([(counted & (spread == index)).sum() / total for index in [*range(models), TIE]])
