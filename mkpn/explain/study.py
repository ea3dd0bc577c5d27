"""The numbers behind the figures of README.md in this folder: one picture, one seed, every gain, every network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mkpn.explain.kernels import PixelKernels, probe
from mkpn.explain.maps import Behaviour, behaviour
from mkpn.explain.places import find_places, motion_error
from mkpn.explain.rebuild import true_place
from mkpn.explain.regions import EDGE, REGIONS, classify
from mkpn.explain.statistics import KernelStatistics, kernel_statistics
from mkpn.explain.winners import Winners, area_shares, squared_error, winners
from mkpn.inference.denoiser import Denoiser, Result
from mkpn.metrics import definition_for, psnr
from mkpn.model.config import MODELS
from mkpn.synthesis.burst import Burst, synthesize
from mkpn.synthesis.noise import GAINS

SINGLE = tuple(name for name in MODELS if name.startswith("kpn-l"))
"""The networks of one separable size, by size."""

PATCH = 32
"""Side in pixels of the winner map's patches, and of the places."""

LEAST_SIDE = 2 * PATCH
"""Side in pixels that a burst must show: wherever the networks differ most, a patch is left for a flat and an edge."""

BORDER = 8
"""Pixels at the border from which no spot is taken, as in the metrics."""


@dataclass(frozen=True)
class Spot:
    """One pixel with MKPN's kernels.

    Attributes:
        kind: `flat` or `edge`, see `mkpn.explain.regions`.
        kernels: of the pixel.
        numbers: of the fused kernels, `[N]` each.
    """

    kind: str
    kernels: PixelKernels
    numbers: KernelStatistics


@dataclass(frozen=True)
class Study:
    """What the figures draw.

    Attributes:
        gain: of everything but `psnr`.
        burst: at that gain.
        psnr: in dB by gain and model, whole image.
        spots: a flat and an edge pixel.
        maps: what MKPN's kernels do.
        regions: `[H,W]`, the index in `REGIONS`.
        found: the winner of each patch; models in the order of `mkpn.MODELS`.
    """

    gain: int
    burst: Burst
    psnr: dict[int, dict[str, float]]
    spots: tuple[Spot, Spot]
    maps: Behaviour
    regions: NDArray[np.uint8]
    found: Winners

    def record(self) -> dict[str, Any]:
        """Returns the numbers that README.md in this folder names, for JSON."""
        cells = self.regions[::2, ::2]
        shares = area_shares(self.found, len(MODELS))
        reach = max(self.spots[0].kernels.by_size) // 2
        far = [index for index, (x, y) in enumerate(self.burst.offsets.tolist()) if max(abs(x), abs(y)) > reach]
        return {
            "psnr": {
                str(gain): {name: round(value, 3) for name, value in row.items()} for gain, row in self.psnr.items()
            },
            "spots": {
                spot.kind: {
                    "x": spot.kernels.x,
                    "y": spot.kernels.y,
                    "radius": [round(float(value), 3) for value in spot.numbers.radius],
                    "noise_gain": round(float(spot.numbers.noise_gain.sum()) / len(spot.numbers.noise_gain) ** 2, 4),
                    "sum": [round(float(value), 3) for value in spot.numbers.total],
                }
                for spot in self.spots
            },
            "far": far,
            "means": {
                name: [round(float(values[cells == index].mean()), 4) for index in range(len(REGIONS))]
                for name, values in (("noise_gain", self.maps.noise_gain), ("radius", self.maps.radius))
            },
            "shares": {name: round(float(share), 4) for name, share in zip(MODELS, shares, strict=False)},
        }


def study(
    image: NDArray[Any],
    denoisers: Mapping[str, Denoiser],
    *,
    gain: int = 8,
    seed: int = 4,
    downsample: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> Study:
    """Runs every network at every gain on one picture.

    Args:
        image: `[H,W,3]`, 8 bits or intensities in [0,1].
        denoisers: all of `mkpn.MODELS`.
        gain: of the kernels, maps and winners.
        seed: of the bursts; the same frames move at every gain.
        downsample: box-downsampling factor.
        progress: told what is being done.

    Raises:
        ValueError: if a network is missing, the burst shows less than `LEAST_SIDE` pixels on a side, or no patch is
            left for an edge, or for a flat spot.
    """
    missing = [name for name in MODELS if name not in denoisers]
    if missing:
        raise ValueError(f"denoisers: expected all of {', '.join(MODELS)}, got none for {', '.join(missing)}")
    figures: dict[int, dict[str, float]] = {}
    errors: list[NDArray[np.float32]] = []
    burst: Burst | None = None
    result: Result | None = None
    for each in GAINS:
        made = synthesize(image, gain=each, seed=seed, downsample=downsample)
        height, width = made.clean.shape[-2:]
        if min(height, width) < LEAST_SIDE:
            raise ValueError(
                f"image: expected at least {LEAST_SIDE}x{LEAST_SIDE} shown pixels (after downsampling by {downsample}, "
                f"without the margin that feeds the displaced frames), got {width}x{height}"
            )
        if not (classify(made.clean.numpy()) == EDGE).any():
            raise ValueError("image: expected a picture with edges, got an even one")
        definition = definition_for(height, width)
        figures[each] = {}
        for name in MODELS:
            progress(f"gain {each}, {name}")
            done = denoisers[name](made)
            figures[each][name] = psnr(done.image.clamp(0, 1), made.clean, definition)
            if each == gain:
                errors.append(squared_error(done.image, made.clean))
                burst, result = made, done if name == "mkpn" else result
    if burst is None or result is None:
        raise ValueError(f"gain: expected one of {', '.join(map(str, GAINS))}, got {gain}")
    stacked, regions = np.stack(errors), classify(burst.clean.numpy())
    places = find_places(stacked, regions, motion_error(burst), side=PATCH)
    dy, dx = np.gradient(burst.clean.mean(0).numpy())
    steep = dx**2 + dy**2
    spots: list[Spot] = []
    for kind in ("flat", "edge"):
        place = next((place for place in places if place.kind == kind), None)
        if place is None:
            raise ValueError(f"image: expected a patch of {kind} pixels besides those where the networks differ most")
        # Of the place's patch the pixel with the weakest gradient if it is to be flat, else the one with the strongest.
        top, left = (max(0, centre - PATCH // 2) for centre in (place.y, place.x))
        patch = steep[top : top + PATCH, left : left + PATCH].copy()
        # Near the border a kernel reads what the picture does not show.
        rows, columns = np.mgrid[top : top + len(patch), left : left + patch.shape[1]]
        inner = (np.minimum(rows, len(steep) - 1 - rows) >= BORDER) & (
            np.minimum(columns, steep.shape[1] - 1 - columns) >= BORDER
        )
        patch[~inner] = np.inf if kind == "flat" else -np.inf
        row, column = np.unravel_index(patch.argmin() if kind == "flat" else patch.argmax(), patch.shape)
        kernels = probe(result, left + int(column), top + int(row))
        spots.append(Spot(kind, kernels, kernel_statistics(kernels.fused)))
    found = winners([stacked], PATCH)
    return Study(gain, burst, figures, (spots[0], spots[1]), behaviour(result), regions, found)


def in_reach(made: Study) -> list[tuple[int, int] | None]:
    """Where each frame's true place lies in a fused kernel, (column, row); None where it is out of reach."""
    size = max(made.spots[0].kernels.by_size)
    return [true_place((x, y), size) for x, y in made.burst.offsets.tolist()]
