"""What rows of results are called that are no networks, and what tables call all of them."""

from __future__ import annotations

from mkpn.model.config import MODELS, model_config

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
