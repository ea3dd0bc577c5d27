"""Is this installation right? Weights as shipped, one burst per network against its stored figures, back ends agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mkpn.device import select_device
from mkpn.inference.denoiser import load
from mkpn.metrics import psnr
from mkpn.model.checkpoint import checkpoint_folder, shipped_models
from mkpn.model.config import MODELS
from mkpn.ops import backends, local_conv
from mkpn.synthesis.burst import Burst, synthesize
from mkpn.synthesis.images import example_image
from mkpn.whole_files import written_whole

EXPECTED = "verify.json"
"""File beside the weights with the figures of the networks that are shipped."""

DECIBEL = 0.01
"""Largest difference to a stored PSNR: machines differ in the order of their sums, by far less than this."""

RELATIVE = 1e-4
"""Largest difference of a back end to the reference, of the reference's largest value."""

_EXAMPLE, _SIDE, GAIN, SEED = "Chelsea the cat", 160, 8, 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: a network, or a back end of the local convolution.
        right: whether it is as it should be; None where it cannot run here.
        found: in words, with what was expected.
    """

    name: str
    right: bool | None
    found: str


def verify(folder: Path | None = None, device: str = "auto") -> Iterator[Check]:
    """Checks the networks of a folder and the back ends of this machine.

    Args:
        folder: of the checkpoints and `EXPECTED`; the shipped ones by default.
        device: see `mkpn.load`.

    Raises:
        ValueError: if the device is not available, or the stored figures are missing or damaged.
    """
    folder = folder or checkpoint_folder()
    where = select_device(device)
    expected = _stored(folder / EXPECTED)
    yield from check_backends(where)
    burst, paths = verification_burst(), shipped_models(folder)
    for name in MODELS:
        if name not in paths:
            yield Check(
                name=name, right=False, found=f"expected {folder / name}.safetensors, but there is no such file"
            )
        elif name not in expected:
            yield Check(name=name, right=False, found=f"has no figures in {folder / EXPECTED}")
        else:
            yield _check_network(name, paths[name], expected[name], burst, device)


def store(folder: Path | None = None, device: str = "auto") -> Path:
    """Measures the networks of a folder and writes what `verify` compares with; returns the file.

    Raises:
        ValueError: if there are no networks, or one of them cannot be loaded.
    """
    folder = folder or checkpoint_folder()
    networks = shipped_models(folder)
    if not networks:
        raise ValueError(f"checkpoints: expected NAME.safetensors of {', '.join(MODELS)} in {folder}, got none")
    burst = verification_burst()
    figures: dict[str, dict[str, Any]] = {}
    for name, path in networks.items():
        weights, decibel = _measured(path, burst, device)
        figures[name] = {"weights": weights, "psnr": round(decibel, 4)}
    text = json.dumps({"gain": GAIN, "seed": SEED, "networks": figures}, indent=1) + "\n"
    with written_whole(folder / EXPECTED) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / EXPECTED


def verification_burst() -> Burst:
    """Returns the burst on which the networks are compared: 128x128 pixels of a bundled picture, at gain 8."""
    return synthesize(example_image(_EXAMPLE)[:_SIDE, :_SIDE], gain=GAIN, seed=SEED)


def check_backends(device: torch.device) -> Iterator[Check]:
    """Compares values and gradients of every back end that runs on a device with the reference's."""
    for name, missing in backends().items():
        if name == "reference":
            continue
        suited = device.type == {"cpu": "cpu", "triton": "cuda"}[name]
        if missing is not None or not suited:
            yield Check(name=name, right=None, found=f"not used: {missing or f'it does not run on {device}'}")
            continue
        # Python's own max would pass over NaN.
        worst = float(torch.stack([_difference(name, separable, device) for separable in (True, False)]).max())
        found = (
            f"differs from the reference by {worst:.1e} of its values and gradients, at most {RELATIVE:.0e} expected"
        )
        yield Check(name=name, right=worst <= RELATIVE, found=found)


def _difference(backend: str, separable: bool, device: torch.device) -> torch.Tensor:
    """The largest difference of values and gradients, relative to the reference's largest; NaN where one is NaN."""
    generator = torch.Generator().manual_seed(SEED)
    frames = torch.rand(1, 8, 3, 37, 52, generator=generator)
    sizes = (1, 3, 5, 7)
    taps = (2, sum(sizes)) if separable else (sum(size**2 for size in sizes),)
    coeffs = torch.randn(1, 8, *taps, 19, 26, generator=generator)
    found: dict[str, list[torch.Tensor]] = {}
    for name in ("reference", backend):
        inputs = [tensor.to(device).requires_grad_() for tensor in (frames, coeffs)]
        image = local_conv(inputs[0], inputs[1], sizes, backend=name)
        found[name] = [image.detach(), *torch.autograd.grad(image.square().sum(), inputs)]
    pairs = zip(found["reference"], found[backend], strict=True)
    return torch.stack([(one - other).abs().max() / one.abs().max() for one, other in pairs]).max()


def _check_network(name: str, path: Path, expected: dict[str, Any], burst: Burst, device: str) -> Check:
    try:
        weights, decibel = _measured(path, burst, device)
    except ValueError as error:
        return Check(name=name, right=False, found=str(error))
    same = weights == expected["weights"]
    near = abs(decibel - expected["psnr"]) <= DECIBEL
    said = "weights as shipped" if same else "other weights than the shipped ones"
    found = f"{said}; gain {GAIN}: {decibel:.2f} dB, expected {expected['psnr']:.2f} dB"
    return Check(name=name, right=same and near, found=found)


def _measured(path: Path, burst: Burst, device: str) -> tuple[str, float]:
    """SHA-256 of the weights, which loading has compared with the file's own, and PSNR in dB."""
    denoiser = load(path, device=device)
    return denoiser.metadata["sha256"], psnr(denoiser(burst).image.clamp(0, 1), burst.clean)


def _stored(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stored: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["networks"]
        return {name: {"weights": str(row["weights"]), "psnr": float(row["psnr"])} for name, row in stored.items()}
    except FileNotFoundError as error:
        raise ValueError(f"checkpoints: expected stored figures in {path}, got no file of this name") from error
    except OSError as error:
        raise ValueError(f"checkpoints: expected stored figures in {path}, got {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoints: expected stored figures in {path}, got none ({error})") from error
