"""Places worth a look: where the models differ most, and one of each kind of content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mkpn.explain.regions import REGIONS
from mkpn.explain.winners import patch_means
from mkpn.synthesis.burst import Burst

_LEAST_BLUR = 0.002
"""Half a level of 8 bits: what rounds to nothing is no misalignment."""


@dataclass(frozen=True)
class Place:
    """A pixel and why it is worth a look.

    Attributes:
        x: column.
        y: row.
        kind: `differ`, `flat`, `edge`, `texture`, `misaligned` or `behind`.
        value: how many dB lie between the models for `differ`, the share of the kind for the regions, the root mean
            square of `motion_error` for `misaligned`, how many dB the best model is ahead for `behind`; above 0.
    """

    x: int
    y: int
    kind: str
    value: float


def motion_error(burst: Burst) -> NDArray[np.float32]:
    """Returns the squared error of the plain mean of the frames had they no noise, `[H,W]`: what motion alone does.

    Beyond its border the picture repeats its edge.
    """
    clean = burst.clean.numpy()
    rows, columns = (np.arange(side) for side in clean.shape[1:])
    frames = [
        clean[:, np.clip(rows + y, 0, rows[-1])][..., np.clip(columns + x, 0, columns[-1])]
        for x, y in burst.offsets.tolist()
    ]
    return np.square(np.mean(frames, axis=0) - clean).mean(axis=0)


def find_places(
    errors: NDArray[np.float32],
    regions: NDArray[np.uint8],
    blur: NDArray[np.float32],
    *,
    side: int = 32,
    count: int = 5,
    subject: int | None = None,
) -> list[Place]:
    """Finds places, each the centre of a whole patch.

    Args:
        errors: squared errors `[M,H,W]` of the models to compare.
        regions: `[H,W]` of `mkpn.explain.regions.classify`.
        blur: `[H,W]` of `motion_error`.
        side: of a patch in pixels; smaller pictures have one patch.
        count: how many places where the models differ most.
        subject: the index of a model of which a place is wanted where it is not the best.

    Returns:
        First those where the models differ most, the strongest first and no two next to each other; then a flat, an
        edge, a texture and a misaligned place; last, of the other patches, the one where the subject is furthest
        behind. A kind that the picture has nowhere is left out.

    Raises:
        ValueError: if the shapes differ.
    """
    if errors.ndim != 3 or errors.shape[1:] != regions.shape or regions.shape != blur.shape:
        raise ValueError(
            f"places: expected [M,H,W] and twice [H,W], got {list(errors.shape)}, {list(regions.shape)} and "
            f"{list(blur.shape)}"
        )
    height, width = regions.shape
    side = min(side, height, width)
    # Whole patches only: a narrow strip at the border would win by chance.
    tall, wide = height // side, width // side

    def patches(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return patch_means(values[..., : tall * side, : wide * side], side)

    means = np.maximum(patches(errors), 1e-9)
    spread = 10 * np.log10(means.max(0) / means.min(0))
    shares = [patches((regions == index).astype(np.float32)) for index in range(len(REGIONS))]
    blurred = np.sqrt(patches(blur))
    found: list[Place] = []
    free = np.ones((tall, wide), bool)

    def take(score: NDArray[np.float64], kind: str, around: int) -> None:
        row, column = np.unravel_index(np.where(free, score, 0).argmax(), score.shape)
        if not free[row, column] or score[row, column] <= 0:
            return
        free[max(0, row - around) : row + around + 1, max(0, column - around) : column + around + 1] = False
        centre = side // 2
        value = float(score[row, column])
        found.append(Place(int(column) * side + centre, int(row) * side + centre, kind, value))

    for _ in range(count):
        take(spread, "differ", 1)
    free[:] = True
    for place in found:
        free[place.y // side, place.x // side] = False
    for name, share in zip(REGIONS, shares, strict=True):
        take(share, name, 0)
    take(np.where(blurred >= _LEAST_BLUR, blurred, 0), "misaligned", 0)
    if subject is not None:
        take(10 * np.log10(means[subject] / means.min(0)), "behind", 0)
    return found
