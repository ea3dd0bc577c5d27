"""Denoises synthetic bursts of pictures, with their ground truth: files, PSNR and SSIM."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from mkpn.checks import one_line, whole
from mkpn.evaluation.names import unique_name
from mkpn.inference.denoiser import Denoiser
from mkpn.metrics import definition_for, psnr, ssim
from mkpn.synthesis.burst import Burst, burst_of, rng_for
from mkpn.synthesis.datasets import image_files
from mkpn.synthesis.files import OWN_MEGAPIXELS
from mkpn.synthesis.images import Photograph, box_downsample, load_photograph
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import noise_for_gain
from mkpn.synthesis.read_once import ReadOnce
from mkpn.synthesis.writing import FileFormat, burst_names, file_name, write_burst, write_picture

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A picture of a burst against its ground truth.

    Attributes:
        image: the file that the burst was made of.
        model: `noisy`, `mean`, or the network's name.
        psnr: in dB.
        ssim: 0 to 1, hardly ever below.
        seconds: of the network and the local convolution; None for `noisy` and `mean`.
        metric: the definition in a sentence.
    """

    image: str
    model: str
    psnr: float
    ssim: float
    seconds: float | None
    metric: str


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """How pictures become bursts, and what is written of them.

    Attributes:
        gain: 1, 2, 4 or 8.
        downsample: box-downsampling factor.
        seed: of every burst.
        file_format: of all pictures.
        save_burst: write every burst with its truth and parameters, too.
    """

    gain: int
    downsample: int
    seed: int
    file_format: FileFormat
    save_burst: bool

    def __post_init__(self) -> None:
        noise_for_gain(self.gain)
        whole("downsample", self.downsample, 1)
        whole("seed", self.seed, 0)

    @cached_property
    def pictures(self) -> ReadOnce[Photograph]:
        """Reads pictures, box-downsampled: each is looked at before the work, and read once where it has room."""

        def read(path: Path) -> Photograph:
            picture = load_photograph(path, OWN_MEGAPIXELS)
            pixels = box_downsample(picture.pixels, self.downsample)
            margin = BurstConfig().margin
            height, width = (side - 2 * margin for side in pixels.shape[:2])
            if not definition_for(height, width).fits(height, width):
                raise ValueError(
                    f"image: expected room for one 11x11 window of SSIM inside of the margin of {margin} pixels, got "
                    f"{pixels.shape[1]}x{pixels.shape[0]} after downsampling by {self.downsample}"
                )
            return replace(picture, pixels=pixels)

        return ReadOnce(read, lambda picture: picture.pixels.nbytes)

    def burst(self, path: Path) -> Burst:
        """Makes the burst of a picture, which is not kept any longer.

        Raises:
            ValueError: if the picture cannot be used.
        """
        return burst_of(self.pictures.take(path).pixels, noise_for_gain(self.gain), rng_for(self.seed))


def usable_images(given: Sequence[Path], synthesis: Synthesis, strict: bool) -> list[Path]:
    """Returns the pictures of which a burst can be made, each once: the files given, and those in the folders given.

    Args:
        given: files and folders.
        synthesis: every picture is read for it, so that a bad one is found before any work.
        strict: whether a bad picture stops everything, instead of being named in the log and left out.

    Raises:
        ValueError: if no picture is left, or, with `strict`, one of them cannot be used.
    """
    files = [file for path in given for file in (image_files([path]) if path.is_dir() else [path])]
    usable: list[Path] = []
    for path in {path.resolve(): path for path in files}.values():
        try:
            synthesis.pictures(path)
        except ValueError as error:
            if len(files) == 1:
                raise
            if strict:
                raise ValueError(f"images: {path} cannot be used: {error}") from error
            log.warning("left out %s: %s", one_line(str(path)), error)
        else:
            usable.append(path)
    if not usable:
        raise ValueError(f"images: expected pictures, got {len(files)} files of which none can be used")
    return usable


def output_folders(images: Sequence[Path], out: Path) -> list[Path]:
    """Returns a folder below `out` for each picture, named after it; of one name the second is `NAME-2`."""
    names: list[str] = []
    for image in images:
        names.append(unique_name(image.stem, names))
    return [out / name for name in names]


def files_of(folder: Path, synthesis: Synthesis, networks: Iterable[str]) -> list[Path]:
    """Returns what `denoise_picture` will write."""
    files = [folder / file_name(name, synthesis.file_format) for name in ("clean", "noisy", *networks)]
    if synthesis.save_burst:
        files += [folder / "burst" / name for name in burst_names(BurstConfig().frames, synthesis.file_format)]
    return files


def denoise_picture(
    image: Path, folder: Path, synthesis: Synthesis, denoisers: Mapping[str, Denoiser]
) -> Iterator[Measured]:
    """Makes a picture's burst, denoises it, writes and measures everything.

    Args:
        image: the picture.
        folder: for `clean`, `noisy`, one picture per network, and `burst/` where that is asked for; made if needed.
        synthesis: see there.
        denoisers: networks by name.

    Yields:
        `noisy`, `mean` and every network, as soon as it is done.
    """
    profile = synthesis.pictures(image).profile
    burst = synthesis.burst(image)
    folder.mkdir(parents=True, exist_ok=True)
    write_picture(folder, "clean", burst.clean, synthesis.file_format, profile)
    write_picture(folder, "noisy", burst.frames[0], synthesis.file_format, profile)
    if synthesis.save_burst:
        parameters = {"image": image.name, "gain": synthesis.gain, "seed": synthesis.seed}
        parameters["downsample"] = synthesis.downsample
        write_burst(folder / "burst", burst, parameters, synthesis.file_format, profile)
    definition = definition_for(*burst.clean.shape[-2:])

    def measured(model: str, picture: torch.Tensor, seconds: float | None = None) -> Measured:
        shown = picture.clamp(0, 1)
        return Measured(
            image=image.name,
            model=model,
            psnr=psnr(shown, burst.clean, definition),
            ssim=ssim(shown, burst.clean, definition),
            seconds=seconds,
            metric=definition.describe(),
        )

    yield measured("noisy", burst.frames[0])
    yield measured("mean", burst.frames.mean(0))
    for name, denoiser in denoisers.items():
        result = denoiser(burst)
        denoised, seconds = result.image, result.seconds
        # What it keeps for its kernels would otherwise stay while the next network runs.
        del result
        write_picture(folder, name, denoised, synthesis.file_format, profile)
        done = measured(name, denoised, seconds)
        del denoised
        yield done
