"""The paper's Table 1 (section 3.3), and what methods are called in tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mkpn.model.config import MODELS, model_config

MEASURED_ON = (
    "Images of Open Images, box-downsampled by 4, 128×128 patches; the number of images, the border and the channels "
    "of the metric are not given. Networks of up to four times the width, 1,000,000 training steps."
)
"""What the paper's figures were measured on, as far as sections 3.1 to 3.3 say."""

_GAINS = (1, 2, 4, 8)
_FIGURES = {
    "kpn-l1": ((31.66, 0.837), (28.50, 0.759), (24.32, 0.607), (21.30, 0.486)),
    "kpn-l3": ((33.65, 0.897), (30.79, 0.844), (27.26, 0.735), (24.55, 0.632)),
    "kpn-l5": ((34.30, 0.906), (31.36, 0.855), (27.76, 0.754), (24.88, 0.658)),
    "kpn": ((34.28, 0.914), (31.46, 0.862), (27.86, 0.756), (24.90, 0.654)),
    "kpn-l7": ((34.54, 0.918), (31.65, 0.866), (28.10, 0.765), (25.37, 0.679)),
    "kpn-l9": ((34.57, 0.917), (31.63, 0.867), (28.07, 0.769), (25.34, 0.681)),
    "kpn-l11": ((34.67, 0.919), (31.78, 0.871), (28.15, 0.773), (25.26, 0.679)),
    "kpn-l13": ((34.71, 0.918), (31.77, 0.870), (28.15, 0.772), (25.34, 0.683)),
    "kpn-l25": ((34.96, 0.922), (32.04, 0.871), (28.44, 0.770), (25.66, 0.686)),
    "mkpn": ((35.10, 0.925), (32.22, 0.878), (28.61, 0.781), (25.78, 0.692)),
}

PAPER: dict[tuple[str, int], tuple[float, float]] = {
    (model, gain): figures for model in MODELS for gain, figures in zip(_GAINS, _FIGURES[model], strict=True)
}
"""PSNR in dB and SSIM of the paper's Table 1 by (model, gain)."""

_LABELS = {
    "noisy": "noisy frame",
    "mean": "burst mean",
    "aligned": "aligned mean",
    "nlm": "aligned mean + NLM",
    "opencv": "aligned mean + NLM (OpenCV)",
    "bm3d": "aligned mean + BM3D",
}


ORACLE = "oracle-"
"""Rows of this name and a reach in pixels: the mean of the frames that are truly aligned within that reach."""

DENOISED = "+nlm"
"""What ends the name of a truly aligned mean that non-local means denoised."""

SHARP = "synthetic sharp scenes"
"""What a test set of drawn scenes is called."""


def is_oracle(method: str) -> bool:
    """Whether a method is the truly aligned mean within some reach."""
    return method.startswith(ORACLE) and method.removeprefix(ORACLE).isdecimal()


def reach(oracle: str) -> int:
    """Returns the reach in pixels of a truly aligned mean, denoised or not."""
    return int(oracle.removeprefix(ORACLE).removesuffix(DENOISED))


def label(method: str) -> str:
    """Returns what a table calls a method; a checkpoint of your own keeps its name."""
    if is_oracle(method):
        return f"truly aligned mean, reach {reach(method)}"
    if is_oracle(method.removesuffix(DENOISED)):
        return f"truly aligned mean + NLM, reach {reach(method)}"
    return model_config(method).label if method in MODELS else _LABELS.get(method, method)


def paper_rows() -> list[dict[str, str | int | float]]:
    """Returns the paper's figures as `{model, gain, psnr, ssim}`, gain by gain, in the order of `MODELS`."""
    return [
        {"model": model, "gain": gain, "psnr": PAPER[model, gain][0], "ssim": PAPER[model, gain][1]}
        for gain in _GAINS
        for model in MODELS
    ]


def measured_on(settings: Mapping[str, Any], images: int) -> str:
    """Returns what the figures of an evaluation were measured on, one sentence for captions.

    Args:
        settings: `settings` of its `results.json`.
        images: how many images.
    """
    crop, factor = settings["crop"], settings["downsample"]
    # Figures that were written before these settings existed have none.
    still = ", without motion" if settings.get("still") else ""
    still += ", every frame but the reference moved by 3 to 16 pixels" if settings.get("far") else ""
    seen = f", {settings['frames']} of 8 frames seen" if settings.get("frames", 8) < 8 else ""
    return (
        f"{' + '.join(settings['images'])}: {images} images, {f'box-downsampled by {factor}, ' if factor > 1 else ''}"
        f"{f'centred {crop}×{crop} crops' if crop else 'whole'}, seed {settings['seed']}{still}{seen}."
    )
