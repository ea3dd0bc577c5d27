"""Ten networks from one command: a start that registers, one trunk, and from it every network in the same pieces."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mkpn.model.checkpoint import read_metadata
from mkpn.model.config import MODELS, model_config
from mkpn.training.config import RegisterConfig, TrainConfig
from mkpn.training.start.register import register
from mkpn.training.train import train

log = logging.getLogger(__name__)

Schedule = Literal["shipped", "tiny"]

TRUNK = "kpn-l11"
"""The network as which the trunk is trained: its kernels hold those of the smaller ones."""


@dataclass(frozen=True)
class Piece:
    """One training run of a schedule.

    Attributes:
        name: of its folder.
        settings: fields of `TrainConfig`.
        by_taps: give the last convolution 2.5 / taps of the learning rate, 0.1 at least and 2.5 at most.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    by_taps: bool = False


_SMALL: dict[str, Any] = {"batch": 8, "patch": 64}
_LARGE: dict[str, Any] = {"batch": 3, "patch": 128}
_ROTATED: dict[str, Any] = {**_LARGE, "rotate": True, "lr_last": 0.15}
_TINY: dict[str, Any] = {"batch": 1, "patch": 32, "warmup": 1, "checkpoint_every": 1, "sample_every": 0}

SCHEDULES: dict[str, tuple[dict[str, Any], tuple[Piece, ...]]] = {
    # The pieces of the model card; the first one is the trunk.
    "shipped": (
        {},
        (
            Piece("trunk", {**_SMALL, "steps": 8000, "lr": 4e-4, "lr_last": 0.3, "lr_end": 0.1, "seed": 1}),
            Piece("apart", {**_SMALL, "steps": 4000, "lr": 3e-4, "lr_last": 0.3, "seed": 2}),
            Piece("more", {**_SMALL, "steps": 1500, "lr": 1.5e-4, "seed": 3}, by_taps=True),
            Piece("large", {**_LARGE, "steps": 700, "lr": 1e-4, "warmup": 70, "seed": 4}, by_taps=True),
            Piece("rotated", {**_ROTATED, "steps": 2500, "lr": 3e-4, "seed": 5}),
            Piece("last", {**_ROTATED, "steps": 500, "lr": 2e-4, "seed": 6}),
        ),
    ),
    # To see that everything runs.
    "tiny": (
        {"bursts": 8, "patches": (64,), "steps": 2, "batch": 16},
        (Piece("trunk", {**_TINY, "steps": 2, "seed": 1}), Piece("apart", {**_TINY, "steps": 2, "seed": 2})),
    ),
}
"""Settings of the registration, and the pieces, by name."""


def train_all(config: TrainConfig, schedule: str = "shipped") -> dict[str, Path]:
    """Trains the trunk and the ten networks, or resumes where an earlier command stopped.

    Args:
        config: data, device and folder; steps, patches, learning rates, seeds and starts are the schedule's.
        schedule: one of `SCHEDULES`.

    Returns:
        The last checkpoint of each network, `<run>/<piece>/<model>/<model>.safetensors`.

    Raises:
        ValueError: if the schedule is unknown, a run holds other settings, or there is nothing to train on.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}")
    registration, pieces = SCHEDULES[schedule]
    start = config.run / "registering.safetensors"
    if not start.exists():
        shared = ("images", "preset", "recipe", "sharp", "downsample", "large_downsample", "large_side", "threads")
        settings: dict[str, Any] = {key: getattr(config, key) for key in shared} | registration
        figures = register(RegisterConfig(out=start, **settings))
        log.info("registered: %s", figures)
    trunk, *rest = pieces
    common = _piece(trunk, TRUNK, replace(config, run=config.run / trunk.name / TRUNK, init=start))
    ends = {str(model): common for model in MODELS}
    # Piece by piece, so that all ten are as far as each other whenever the command is stopped.
    for piece in rest:
        for model in MODELS:
            run = config.run / piece.name / model
            ends[model] = _piece(piece, model, replace(config, run=run, init=ends[model]))
    return ends


def _piece(piece: Piece, model: str, config: TrainConfig) -> Path:
    settings = {"beta": 0.0, "hold_registration": True, **piece.settings}
    if piece.by_taps:
        taps = model_config(model, config.preset).kernel_channels
        taps = taps // 2 if model_config(model, config.preset).separable else taps
        settings["lr_last"] = max(0.1, 2.5 / taps)
    done = config.run / f"{model}.safetensors"
    if done.exists() and read_metadata(done)["training"].get("steps_done") == settings["steps"]:
        return done
    return train(model, replace(config, **settings))
