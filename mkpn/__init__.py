"""Burst denoising by kernel prediction: MKPN and nine KPN baselines (Marinč et al., ICIP 2019).

`load` gives a network, `synthesize` a noisy burst, `psnr` and `ssim` measure, `explain.probe` shows the kernels of a
pixel, `ops.local_conv` applies kernels. `python -m mkpn --help` lists the commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mkpn import explain, ops
    from mkpn.capture.burst import CapturedBurst, read_burst
    from mkpn.capture.residual import Residual, residual
    from mkpn.inference.denoiser import Denoiser, Result, load
    from mkpn.metrics import MetricDefinition, psnr, ssim
    from mkpn.model.config import MODELS, ModelConfig, model_config
    from mkpn.synthesis.burst import Burst, synthesize
    from mkpn.synthesis.images import load_image
    from mkpn.synthesis.motion import BurstConfig
    from mkpn.synthesis.noise import GAINS, Noise

# Names are looked up at first use, so that importing mkpn costs nothing.
_HOMES = {
    "MODELS": "model.config",
    "CapturedBurst": "capture.burst",
    "read_burst": "capture.burst",
    "Residual": "capture.residual",
    "residual": "capture.residual",
    "BurstConfig": "synthesis.motion",
    "ModelConfig": "model.config",
    "model_config": "model.config",
    "Burst": "synthesis.burst",
    "GAINS": "synthesis.noise",
    "Noise": "synthesis.noise",
    "MetricDefinition": "metrics",
    "psnr": "metrics",
    "ssim": "metrics",
    "load_image": "synthesis.images",
    "synthesize": "synthesis.burst",
    "Denoiser": "inference.denoiser",
    "Result": "inference.denoiser",
    "load": "inference.denoiser",
}
_FOLDERS = ("explain", "ops")

__all__ = [
    "GAINS",
    "MODELS",
    "Burst",
    "BurstConfig",
    "CapturedBurst",
    "Denoiser",
    "MetricDefinition",
    "ModelConfig",
    "Noise",
    "Residual",
    "Result",
    "explain",
    "load",
    "load_image",
    "model_config",
    "ops",
    "psnr",
    "read_burst",
    "residual",
    "ssim",
    "synthesize",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"mkpn.{_HOMES[name]}"), name)
    if name in _FOLDERS:
        return import_module(f"mkpn.{name}")
    raise AttributeError(f"module 'mkpn' has no attribute {name!r}")
