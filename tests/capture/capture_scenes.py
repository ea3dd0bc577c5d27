"""Bursts of known scenes, motion and noise, as arrays and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.transform import EuclideanTransform, warp

from mkpn.synthesis.burst import rng_for
from mkpn.synthesis.noise import Noise

BLACK, WHITE = 512, 16383
NEUTRAL = (0.5, 1.0, 0.8)
"""AsShotNeutral: white balance multiplies red by 2, green by 1, blue by 1.25."""

XYZ_TO_SRGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.969266, 1.8760108, 0.041556], [0.0556434, -0.2040259, 1.0572252]]
)
"""Linear sRGB of XYZ, white D65 (IEC 61966-2-1)."""

MARGIN = 32


def moved_scene(
    scene: NDArray[np.float32], x: float = 0, y: float = 0, degrees: float = 0, margin: int = MARGIN
) -> NDArray[np.float32]:
    """The inner part of a scene `[H,W,C]` as a camera sees it that has moved by (x, y), with `Burst.offsets`' sign."""
    height, width = scene.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = EuclideanTransform(rotation=angle, translation=centre - (x, y) - turn @ centre)
    if degrees or x % 1 or y % 1:
        seen = warp(scene, there.inverse, order=3, mode="edge", preserve_range=True).clip(0, 1)
    else:
        seen = np.roll(scene, (-int(y), -int(x)), (0, 1))
    return seen[margin : height - margin, margin : width - margin].astype(np.float32)


def noisy(clean: NDArray[Any], noise: Noise, seed: int) -> NDArray[np.float32]:
    std = noise.std(clean.astype(np.float32))
    return (clean + std * rng_for(seed).standard_normal(clean.shape)).astype(np.float32)


def to_counts(linear: NDArray[Any]) -> NDArray[np.uint16]:
    """Sensor counts between black and white."""
    return np.rint(linear * (WHITE - BLACK) + BLACK).clip(0, 65535).astype(np.uint16)


def mosaic(scene: NDArray[Any]) -> NDArray[Any]:
    """`[H,W]` of an RGGB sensor whose 2x2 blocks all see one pixel of a scene `[H/2,W/2,3]`."""
    height, width = scene.shape[:2]
    sensor = np.empty((2 * height, 2 * width), scene.dtype)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = scene[..., channel]
    return sensor


def write_dng(
    path: Path,
    counts: NDArray[np.uint16],
    *,
    profile: tuple[float, ...] = (),
    neutral: tuple[float, ...] = NEUTRAL,
    orientation: int = 1,
    pattern: bytes = bytes((0, 1, 1, 2)),
    matrix: NDArray[np.float64] | None = None,
) -> Path:
    """Writes a DNG: `[H,W]` as a Bayer sensor, `[H,W,3]` as linear RGB. `profile` is NoiseProfile (51041).

    `matrix` is ColorMatrix1, from XYZ to the camera's colours in daylight (D65); by default that of a camera whose
    colours, divided by `neutral`, are linear sRGB.
    """
    bayer = counts.ndim == 2
    planes = 1 if bayer else 3
    matrix = np.diag(neutral) @ XYZ_TO_SRGB if matrix is None else matrix
    cells = [v for cell in matrix.ravel() for v in (round(10000 * cell), 10000)]
    fractions = [v for value in neutral for v in (round(10000 * value), 10000)]
    tags: list[tuple[Any, ...]] = [
        (274, "H", 1, orientation, False),
        (50706, "B", 4, bytes((1, 4, 0, 0)), False),
        (50707, "B", 4, bytes((1, 1, 0, 0)), False),
        (50708, "s", 0, "MKPN test", False),
        (50714, "H", planes, (BLACK,) * planes, False),
        (50717, "H", planes, (WHITE,) * planes, False),
        (50721, "2i", 9, cells, False),
        (50728, "2I", 3, fractions, False),
        (50778, "H", 1, 21, False),
    ]
    if bayer:
        side = round(len(pattern) ** 0.5)
        tags += [(33421, "H", 2, (side, side), False), (33422, "B", len(pattern), pattern, False)]
        tags += [(50710, "B", 3, bytes((0, 1, 2)), False), (50711, "H", 1, 1, False)]
    if profile:
        tags.append((51041, "d", len(profile), profile, False))
    photometric = 32803 if bayer else 34892
    tifffile.imwrite(path, counts, photometric=photometric, extratags=tags, metadata=None)
    return path
