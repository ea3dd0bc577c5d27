"""Denoises a burst of real photographs, without a ground truth: pictures, and whether what was removed is noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mkpn.capture.burst import CapturedBurst
from mkpn.capture.residual import Residual, residual
from mkpn.figures.residual import residual_figure
from mkpn.inference.denoiser import Denoiser
from mkpn.synthesis.writing import RESIDUAL, FileFormat, file_name, write_picture
from mkpn.whole_files import written_whole


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """What a network made of a captured burst.

    Attributes:
        model: its name by `mkpn.evaluation.names.named_networks`.
        image: `[C,H,W]` frame values.
        seconds: time of the network and the local convolution.
        report: what was removed.
    """

    model: str
    image: torch.Tensor
    seconds: float
    report: Residual


def describe(burst: CapturedBurst) -> list[str]:
    """Returns in sentences where the noise's parameters come from, what the frames hold, and the burst's notes."""
    source = {"profile": "from the file's NoiseProfile", "given": "as given", "estimated": "estimated from the frames"}
    values = {
        "stored": "stored values",
        "linear": "linear light",
        "display": "of linear light; denoised as display values",
    }
    parts = [
        f"{name} sigma_r {noise.sigma_r:.5f}, sigma_s {noise.sigma_s:.6f}"
        for name, noise in zip(("red", "green", "blue"), burst.noise, strict=True)
    ]
    noise = f"Noise, {source[burst.noise_source]} ({values[burst.light]}): {'; '.join(parts)}."
    return [noise, *burst.notes]


def files_of(out: Path, networks: Iterable[str], file_format: FileFormat = "png") -> list[Path]:
    """Returns what `denoise_captured` will write."""
    names = list(networks)
    pictures = [out / file_name(name, file_format) for name in ("noisy", *names)]
    return [*pictures, *(out / f"{RESIDUAL}{name}.png" for name in names)]


def denoise_captured(
    burst: CapturedBurst,
    denoisers: Mapping[str, Denoiser],
    out: Path,
    profile: bytes | None = None,
    file_format: FileFormat = "png",
) -> Iterator[Denoised]:
    """Runs networks on a burst; writes `noisy`, and `MODEL` and `residual-MODEL.png` of each.

    Args:
        burst: see `mkpn.capture.burst.read_burst`.
        denoisers: networks by name.
        out: folder, made if it does not exist.
        profile: ICC profile of the photographs, kept in the pictures.
        file_format: of the pictures, see `mkpn.synthesis.writing.STORED`; residuals are always PNGs.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_picture(out, "noisy", burst.displayed(burst.frames[0]), file_format, profile)
    for name, denoiser in denoisers.items():
        result = denoiser(burst)
        report = residual(burst, result.image)
        write_picture(out, name, burst.displayed(result.image), file_format, profile)
        with written_whole(out / f"{RESIDUAL}{name}.png") as temporary:
            temporary.write_bytes(residual_figure(report, name))
        yield Denoised(model=name, image=result.image, seconds=result.seconds, report=report)
