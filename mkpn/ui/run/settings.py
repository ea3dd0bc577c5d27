"""What the user asked for, and the image brought to the size that it runs at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mkpn.checks import choice, whole
from mkpn.model.config import MODELS
from mkpn.synthesis.images import box_downsample
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import Noise

MAX_SIDE = 512
"""Longest side of the scene in pixels: ten models then keep about 250 MB of features per session."""

_LEAST_LEFT = 0.75
"""Part of `MAX_SIDE` below which a bundled picture would be shrunk too far, so that it is cropped instead."""

MIN_SHOWN = 16
"""Shortest side of what is left inside of the displacements' margin."""

FIRST_SIDE = 64
"""Side of the compared square in pixels."""

FIRST_GAIN = 4
FIRST_SEED = 4
"""A burst with two frames that move far. Three seeds in five have one or more; seed 0 has none."""

LARGEST_SEED = 2**53 - 1
"""Beyond it the page's JavaScript rounds whole numbers, so that neither an address nor a figure's file has them."""

Fit = Literal["shrink", "crop"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run, apart from the image.

    Attributes:
        noise: parameters of Eq. 7.
        downsample: box-downsampling factor, 1, 2 or 4.
        fit: what happens to a scene over 512 pixels: box-downsampled further, or cropped at its centre.
        motion: how the frames are displaced.
        seed: 0 to `LARGEST_SEED`; the same seed gives the same burst.
        models: names of the networks to run.
    """

    noise: Noise
    downsample: int = 1
    fit: Fit = "shrink"
    motion: BurstConfig = field(default_factory=BurstConfig)
    seed: int = 0
    models: tuple[str, ...] = MODELS

    def __post_init__(self) -> None:
        choice("downsample", self.downsample, (1, 2, 4))
        choice("fit", self.fit, ("shrink", "crop"))
        whole("seed", self.seed, 0, LARGEST_SEED)
        for name in self.models:
            choice("models", name, MODELS)


@dataclass(frozen=True)
class ImageRef:
    """Which picture a view shows.

    Attributes:
        title: its name for people.
        bundled: the short name of a bundled example, None for a picture of the user's own.
        sha256: of the file as it was uploaded, or of a bundled example's pixels; empty where it is not known.
    """

    title: str
    bundled: str | None = None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a view's numbers were when it was recorded.

    Attributes:
        weights: SHA-256 of each model's weights, or the beginning of it.
        metric: fingerprint of the metrics' definition; empty where it is not known.
        figures: PSNR in dB and SSIM of the whole picture by pane.
    """

    weights: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())
    metric: str = ""
    figures: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict[str, tuple[float, float]]())


def fit_scene(pixels: NDArray[np.float32], settings: Settings) -> tuple[NDArray[np.float32], list[str]]:
    """Brings an image to at most 512 pixels and tells what was done.

    Args:
        pixels: `[H,W,3]` intensities.
        settings: `downsample`, `fit` and `motion` matter.

    Returns:
        The scene `[h,w,3]` and one sentence per change.

    Raises:
        ValueError: if nothing sensible is left inside of the displacements' margin.
    """
    notes: list[str] = []
    scene = pixels
    if settings.downsample > 1:
        scene = box_downsample(scene, settings.downsample)
        notes.append(f"Shrunk by {settings.downsample} (box-downsampling) to {_size(scene)}.")
    height, width = scene.shape[:2]
    margin = settings.motion.margin
    smallest = 2 * margin + MIN_SHOWN
    if max(height, width) > MAX_SIDE:
        if settings.fit == "shrink":
            factor = min(math.ceil(max(height, width) / MAX_SIDE), height, width)
            scene = box_downsample(scene, factor)
            notes.append(
                f"{width}×{height} is over {MAX_SIDE} px: shrunk by {factor} (box-downsampling) to {_size(scene)}."
            )
        else:
            top, left = max(0, (height - MAX_SIDE) // 2), max(0, (width - MAX_SIDE) // 2)
            scene = scene[top : top + MAX_SIDE, left : left + MAX_SIDE]
            notes.append(f"{width}×{height} is over {MAX_SIDE} px: cropped at the centre to {_size(scene)}.")
    if min(scene.shape[:2]) < smallest:
        # A long picture that only shrinking has made too small.
        cut = f"; “crop the centre” under “A picture over {MAX_SIDE} px” takes a part of it unshrunk"
        way = cut if min(height, width) >= smallest else ""
        raise ValueError(
            f"image: expected at least {smallest}×{smallest} px after downsampling (displaced frames need {margin} px "
            f"around the {MIN_SHOWN} px that are shown), got {_size(scene)}{way}"
        )
    if margin:
        shown = f"{scene.shape[1] - 2 * margin}×{scene.shape[0] - 2 * margin}"
        notes.append(f"A margin of {margin} px around the picture feeds the displaced frames: {shown} px are shown.")
    return scene, notes


def example_fit(pixels: NDArray[np.float32]) -> Fit:
    """Returns what happens to a bundled picture `[H,W,3]` over 512 pixels: cut where shrinking would take its detail.

    A coffee cup of 600 pixels would become one of 300: the networks then run in a third of the time, but fine
    structures are gone before any noise comes (mkpn/ui/README.md has the figures).
    """
    longest = max(pixels.shape[:2])
    return (
        "crop" if longest > MAX_SIDE and longest // math.ceil(longest / MAX_SIDE) < _LEAST_LEFT * MAX_SIDE else "shrink"
    )


def _size(scene: NDArray[np.float32]) -> str:
    return f"{scene.shape[1]}×{scene.shape[0]}"
