"""Measures how the outer rows and columns of denoised images differ from the inside, for 30 sizes and all networks.

Not collected by pytest. Run it from the root of the checkout: `python tests/inference/border_table.py`; `--bursts`,
`--models` and `--sizes` make it shorter. Every image is also denoised as the inner part of a larger one, where nothing
of it lies at a border: what the whole image is below its inside there is no border's fault. `--cost` measures what the
true borders cost: PSNR of the same pixels inside of a larger image, with a rim, and without one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from skimage import data

import mkpn
from mkpn.metrics import MetricDefinition
from mkpn.synthesis.burst import Burst, NoisyBurst, Surroundings, make_burst, rim_of, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import noise_for_gain

BORDER = 8
MARGIN = BurstConfig().margin
AROUND = 32  # pixels that the larger image has around the ones that are measured
INNER = (..., slice(AROUND, -AROUND), slice(AROUND, -AROUND))
BORDERS = MetricDefinition(border=0), MetricDefinition(border=BORDER)


def thirty_sizes() -> list[tuple[int, int]]:
    """Heights and widths from 48x48 to 300x451; the heights have each remainder by 16 at least once."""
    heights = [48 + round(252 * index / 29) for index in range(30)]
    widths = [48 + round(403 * index / 29) for index in range(30)]
    return list(zip(heights, widths, strict=True))


def bursts(height: int, width: int, count: int, gain: int) -> Iterator[Burst]:
    """Bursts of random windows of four photographs; a photograph that is too small is left out."""
    photographs = [data.astronaut(), data.coffee(), data.rocket(), data.chelsea()]
    high, wide = height + 2 * MARGIN, width + 2 * MARGIN
    fitting = [photo for photo in photographs if photo.shape[0] >= high and photo.shape[1] >= wide]
    for index in range(count):
        photo, rng = fitting[index % len(fitting)], rng_for(12, height, width, index)
        top, left = rng.integers(photo.shape[0] - high + 1), rng.integers(photo.shape[1] - wide + 1)
        scene = photo[top : top + high, left : left + wide].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        yield make_burst(np.ascontiguousarray(scene), noise_for_gain(gain), rng)


@dataclass(frozen=True)
class Border:
    """How a network treats the border at one size, in units of 1/255 and in dB.

    Attributes:
        rounded: largest difference between the mean error of one of the last 8 rows or columns and the inside's.
        true: the same of the first 8 rows and columns, which no padding touches.
        whole: mean PSNR of the whole images.
        inner: mean PSNR without the outer 8 pixels.
        larger_whole: as `whole`, of the same pixels as the inner part of a larger image.
        larger_inner: as `inner`, likewise.
        tiles: largest difference that small tiles make.
    """

    rounded: float
    true: float
    whole: float
    inner: float
    larger_whole: float
    larger_inner: float
    tiles: float

    @property
    def below(self) -> float:
        """dB that the whole image is below its inside."""
        return self.inner - self.whole

    @property
    def owed(self) -> float:
        """The part of `below` that is not there inside of a larger image."""
        return self.below - (self.larger_inner - self.larger_whole)


def measure(denoiser: mkpn.Denoiser, samples: list[Burst]) -> Border:
    """Averages over bursts of one size, each with `AROUND` more pixels on all sides."""
    rim = rim_of(*samples[0].clean[INNER].shape[-2:])
    errors: list[torch.Tensor] = []
    scores: list[list[float]] = []
    for burst in samples:
        truth = burst.clean[INNER]
        image, larger = denoiser(cropped(burst, rim)).image, denoiser(burst).image[INNER]
        errors.append(255 * (image - truth).mean(0))
        scores.append([mkpn.psnr(one, truth, border) for one in (image, larger) for border in BORDERS])
    error = torch.stack(errors).mean(0)
    lines = (
        error.mean(1) - error[BORDER:-BORDER, BORDER:-BORDER].mean(),
        error.mean(0) - error[BORDER:-BORDER, BORDER:-BORDER].mean(),
    )
    true, rounded = (
        max(float(line[part].abs().max()) for line in lines) for part in (slice(BORDER), slice(-BORDER, None))
    )
    psnrs = (float(np.mean(column)) for column in zip(*scores, strict=True))
    return Border(rounded, true, *psnrs, tile_difference(denoiser, cropped(samples[0], rim)))


def tile_difference(denoiser: mkpn.Denoiser, burst: NoisyBurst) -> float:
    """Largest difference, in units of 1/255, between the image and that of the smallest memory budget that will do."""
    expected = denoiser(burst).image
    for megabytes in range(2, 200, 2):
        small = mkpn.Denoiser(denoiser.network, "cpu", memory_budget=megabytes * 2**20)
        try:
            return 255 * float((small(burst).image - expected).abs().max())
        except ValueError as error:
            if "room for tiles" not in str(error):
                raise
    raise AssertionError("no memory budget will do")


def cost(denoiser: mkpn.Denoiser, height: int, width: int, count: int, gain: int) -> dict[str, tuple[float, float]]:
    """PSNR of the same noisy pixels, whole and without 8 pixels, by what the network sees beyond them."""
    scores: dict[str, list[tuple[float, float]]] = {}
    for burst in bursts(height + 2 * AROUND, width + 2 * AROUND, count, gain):
        images = {
            "a larger image": denoiser(burst).image[INNER],
            "a rim": denoiser(cropped(burst, rim_of(height, width))).image,
            "nothing": denoiser(cropped(burst, 0)).image,
        }
        for name, image in images.items():
            whole, inner = (mkpn.psnr(image, burst.clean[INNER], border) for border in BORDERS)
            scores.setdefault(name, []).append((whole, inner))
    return {name: (float(np.mean([a for a, _ in v])), float(np.mean([b for _, b in v]))) for name, v in scores.items()}


def cropped(burst: Burst, rim: int) -> NoisyBurst:
    """The inner part of a burst, with a rim of its real pixels."""
    side = slice(AROUND - rim, rim - AROUND)
    frames, noise_std = burst.frames[..., side, side].contiguous(), burst.noise_std[..., side, side].contiguous()
    shown = (..., slice(rim, frames.shape[-2] - rim), slice(rim, frames.shape[-1] - rim))
    around = Surroundings(frames=frames, noise_std=noise_std, rim=rim) if rim else None
    return NoisyBurst(frames=frames[shown], noise_std=noise_std[shown], surroundings=around)


def main() -> None:
    """Prints one line for each network and size, and the worst of each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bursts", type=int, default=20)
    parser.add_argument("--gain", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=list(mkpn.MODELS))
    parser.add_argument("--sizes", nargs="+", help="e.g. 61x79; 30 sizes by default")
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    given = [tuple(int(side) for side in size.split("x")) for size in options.sizes or ()]
    rows: dict[str, list[Border]] = {name: [] for name in options.models}
    denoisers = {name: mkpn.load(name, "cpu") for name in options.models}
    if options.cost:
        for height, width in given:
            for name, denoiser in denoisers.items():
                for seen, (whole, inner) in cost(denoiser, height, width, options.bursts, options.gain).items():
                    print(f"{height:3}x{width:<4} {name:8} sees {seen:14} {whole:6.2f} {inner:6.2f}", flush=True)
        return
    print("size     model     last 8  first 8   PSNR  without border  below: alone, in a larger image  tiles")
    for height, width in given or thirty_sizes():
        samples = list(bursts(height + 2 * AROUND, width + 2 * AROUND, options.bursts, options.gain))
        for name, denoiser in denoisers.items():
            row = measure(denoiser, samples)
            rows[name].append(row)
            print(
                f"{height:3}x{width:<4} {name:8} {row.rounded:7.2f} {row.true:8.2f} {row.whole:6.2f} {row.inner:15.2f} "
                f"{row.below:13.3f} {row.below - row.owed:17.3f} {row.tiles:6.3f}",
                flush=True,
            )
    print("\nworst    model     last 8  first 8   below: largest, mean   owed to the border: largest, mean  tiles")
    for name, found in rows.items():
        below, owed = [row.below for row in found], [row.owed for row in found]
        print(
            f"         {name:8} {max(row.rounded for row in found):7.2f} {max(row.true for row in found):8.2f} "
            f"{max(below):15.3f} {np.mean(below):6.3f} {max(owed):28.3f} {np.mean(owed):6.3f} "
            f"{max(row.tiles for row in found):6.3f}"
        )


if __name__ == "__main__":
    main()
