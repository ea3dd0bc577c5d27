"""Folders of photographs become a seeded stream of training bursts, and fixed test sets."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.checks import one_line
from mkpn.synthesis.burst import Burst, add_noise, burst_of, burst_windows, rng_for
from mkpn.synthesis.files import OWN_MEGAPIXELS
from mkpn.synthesis.images import (
    box_downsample,
    load_image,
    to_channels_first,
    to_channels_last,
    to_intensities,
    to_levels,
)
from mkpn.synthesis.modern import MODERN_SUFFIXES
from mkpn.synthesis.motion import BurstConfig, sample_offsets
from mkpn.synthesis.noise import Noise, NoiseRange, sample_noise
from mkpn.synthesis.scenes import KINDS, drawn_scene

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", *MODERN_SUFFIXES)


@dataclass(frozen=True)
class Batch:
    """Training bursts.

    Attributes:
        frames: `[B,N,C,h,w]` float32.
        clean: `[B,C,h,w]` float32.
        noise_std: `[B,C,h,w]` float32.
        offsets: `[B,N,2]` int64, see `mkpn.synthesis.burst.Burst`.
    """

    frames: torch.Tensor
    clean: torch.Tensor
    noise_std: torch.Tensor
    offsets: torch.Tensor


def image_files(folders: Sequence[Path], without: Path | None = None) -> list[Path]:
    """Lists the image files under the folders, sorted by path, each once; nothing whose name begins with a dot.

    Args:
        folders: searched recursively.
        without: a folder that is left out, e.g. one that a command writes pictures into.

    Raises:
        ValueError: if a folder does not exist or may not be read, or nothing is found. Closed folders below are named
            in the log and left out.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"images: expected a folder, got {folder}, which is none")
    found = {
        # A file counts once, though its folder may be named twice or lie in another one.
        path.resolve(): path
        for folder in reversed(folders)
        for path in _files_below(folder)
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    if without is not None:
        found = {place: path for place, path in found.items() if without.resolve() not in place.parents}
    files = sorted(found.values())
    if not files:
        raise ValueError(f"images: expected {', '.join(SUFFIXES)} under {', '.join(map(str, folders))}, got none")
    return files


def _files_below(folder: Path) -> Iterator[Path]:
    """Yields files; not what begins with a dot, as what other systems put beside photographs, nor what lies in such."""

    def closed(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise ValueError(f"images: expected a folder that may be read, got {folder} ({error.strerror})") from error
        log.warning("left out %s: %s", one_line(str(error.filename)), error.strerror)

    for where, below, names in os.walk(folder, onerror=closed):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(where, name) for name in names if not name.startswith("."))


def load_photographs(
    folders: Sequence[Path],
    *,
    downsample: int,
    large_downsample: int,
    large_side: int,
    min_side: int,
    without: Path | None = None,
) -> list[NDArray[np.uint8]]:
    """Reads photographs, box-downsampled, as `[C,H,W]` 8-bit arrays.

    Args:
        folders: searched recursively.
        downsample: box-downsampling factor.
        large_downsample: the factor where the short side has `large_side` pixels or more.
        large_side: see `large_downsample`.
        min_side: smallest side after downsampling; smaller photographs are named in the log and skipped, and so are
            unreadable ones.
        without: see `image_files`.

    Raises:
        ValueError: if nothing usable is left.
    """
    photographs: list[NDArray[np.uint8]] = []
    for path in image_files(folders, without):
        try:
            image = load_image(path, min_side=1, max_megapixels=OWN_MEGAPIXELS)
        except ValueError as error:
            log.warning("skipped %s: %s", one_line(str(path)), error)
            continue
        factor = large_downsample if min(image.shape[:2]) >= large_side else downsample
        if min(image.shape[:2]) // factor < min_side:
            name = one_line(str(path))
            log.warning("skipped %s: under %d pixels after downsampling by %d", name, min_side, factor)
            continue
        small = box_downsample(image, factor)
        photographs.append(to_channels_first(to_levels(small)))
    if not photographs:
        raise ValueError(
            f"images: expected {min_side} pixels or more on the short side after downsampling, got no such file"
        )
    return photographs


class TrainingStream:
    """An endless stream of training batches; every sample is a pure function of (seed, step, rank * batch + index).

    Rank and index enter as one number, `rank * batch + index`, so that two processes with batches of 4 see what one
    process with a batch of 8 sees.

    Args:
        photographs: `[C,H,W]` 8-bit arrays, see `load_photographs`.
        batch: bursts per step.
        patch: side of the bursts in pixels.
        noise_range: see `mkpn.synthesis.noise.sample_noise`.
        seed: of the stream.
        rank: of the process.
        burst: motion settings; the paper's by default.
        sharp: share of samples that show a drawn scene (`mkpn.synthesis.scenes`) instead of a photograph.
    """

    def __init__(
        self,
        photographs: Sequence[NDArray[np.uint8]],
        *,
        batch: int,
        patch: int,
        noise_range: NoiseRange,
        seed: int,
        rank: int = 0,
        burst: BurstConfig | None = None,
        sharp: float = 0.0,
    ) -> None:
        self.photographs = photographs
        self.batch, self.patch, self.seed, self.rank, self.sharp = batch, patch, seed, rank, sharp
        self.noise_range: NoiseRange = noise_range
        self.burst = burst or BurstConfig()

    def sample(
        self, step: int, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], Noise]:
        """Returns noisy frames `[N,C,h,w]`, the clean reference `[C,h,w]`, offsets `[N,2]` and noise of one sample."""
        rng = rng_for(self.seed, step, self.rank * self.batch + index)
        margin, side = self.burst.margin, self.patch + 2 * self.burst.margin
        # A stream without drawn scenes takes no number for them: it is what it was before there were any.
        if self.sharp and rng.random() < self.sharp:
            scene = drawn_scene(rng, side, side)
        else:
            photograph = self.photographs[int(rng.integers(len(self.photographs)))]
            top = rng.integers(photograph.shape[1] - side, endpoint=True)
            left = rng.integers(photograph.shape[2] - side, endpoint=True)
            scene = to_intensities(photograph[:, top : top + side, left : left + side])
        if rng.random() < 0.5:
            scene = scene[:, :, ::-1]
        if rng.random() < 0.5:
            scene = scene[:, ::-1]
        if rng.random() < 0.5:
            scene = scene.transpose(0, 2, 1)
        noise = sample_noise(rng, self.noise_range)
        offsets = sample_offsets(rng, self.burst)
        windows = burst_windows(scene, offsets, margin)
        return add_noise(windows, noise, rng), windows[0], offsets, noise

    def __call__(self, step: int) -> Batch:
        """Returns the batch of a step."""
        frames, clean, offsets, noises = zip(*(self.sample(step, index) for index in range(self.batch)), strict=True)
        stacked = np.stack(frames)
        noise_std = np.stack([noise.std(burst[0]) for noise, burst in zip(noises, stacked, strict=True)])
        return Batch(*(torch.from_numpy(array) for array in (stacked, np.stack(clean), noise_std, np.stack(offsets))))


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """A fixed test set: one burst per image, identical on every machine for the same settings.

    Attributes:
        files: the images, in order; with `drawn`, what their pictures are called.
        noise: parameters of Eq. 7.
        gain: its name, which also enters the seed.
        downsample: box-downsampling factor.
        crop: side of the centred crop that is evaluated, in pixels; 0 takes the whole image.
        seed: of the whole set.
        burst: motion settings.
        seen: how many frames keep their content; the others become copies of the reference.
        drawn: show drawn scenes (`mkpn.synthesis.scenes`) of `crop` pixels instead, all kinds in turn.
        kept: where scenes come from that several sets share; None reads each with `scene`.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest

    files: tuple[Path, ...]
    noise: Noise
    gain: int
    downsample: int
    crop: int
    seed: int
    burst: BurstConfig
    seen: int | None = None
    drawn: bool = False
    kept: Callable[[Path], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def scene(self, path: Path) -> NDArray[np.float32]:
        """Returns what of an image is used: the displaced crop with its margin, `[H,W,C]`.

        Raises:
            ValueError: if the file cannot be read or is too small.
        """
        image = load_image(path, min_side=1, max_megapixels=OWN_MEGAPIXELS)
        image = box_downsample(image, self.downsample)
        margin = self.burst.margin
        if self.crop:
            # A copy, which does not hold the whole image in memory.
            return centre_crop(image, self.crop + 2 * margin).copy()
        if min(image.shape[:2]) <= 2 * margin:
            raise ValueError(
                f"image: expected sides over {2 * margin} px after downsampling, got {image.shape[1]}x{image.shape[0]}"
            )
        return image

    def __getitem__(self, index: int) -> Burst:
        if self.drawn:
            side = self.crop + 2 * self.burst.margin
            scene = to_channels_last(drawn_scene(rng_for(self.seed, index), side, side, KINDS[index % len(KINDS)]))
        else:
            scene = (self.kept or self.scene)(self.files[index])
        burst = burst_of(scene, self.noise, rng_for(self.seed, self.gain, index), self.burst)
        if self.seen is not None and burst.surroundings is not None:
            frames = burst.surroundings.frames
            frames[self.seen :] = frames[0].clone()
            burst.offsets[self.seen :] = 0
        return burst

    def __iter__(self) -> Iterator[Burst]:
        return (self[index] for index in range(len(self)))


def centre_crop(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Returns the centred square `[side,side,C]` of `[H,W,C]`.

    Raises:
        ValueError: if the image is smaller.
    """
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    if min(top, left) < 0:
        raise ValueError(
            f"crop: expected images of at least {side}x{side} pixels after downsampling (the crop and its margin), "
            f"got {image.shape[1]}x{image.shape[0]}"
        )
    return image[top : top + side, left : left + side]
