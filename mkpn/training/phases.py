"""Runs a recipe: a start that registers, one trunk, and from it one network or all ten, phase by phase."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from mkpn.checks import writable_folder
from mkpn.distributed import local_device, process_group, wait_for_all
from mkpn.model.checkpoint import read_metadata
from mkpn.model.config import Preset, model_config
from mkpn.training.config import RegisterConfig, TrainConfig, differences, recorded
from mkpn.training.recipes import Phase, Recipe, recipe_named
from mkpn.training.start.register import register
from mkpn.training.train import check_settings, train

log = logging.getLogger(__name__)

TRUNK = "kpn-l11"
"""The network as which the trunk is trained: its kernels hold those of the smaller ones."""

START = "registering.safetensors"
"""What the recipe's own start is called in the folder of the run."""

LAST_RATE, LEAST_LAST_RATE = 2.5, 0.1
"""Of `Phase.lr_last_by_taps`: kernels of many taps sum up as many steps of Adam."""


def train_recipe(models: Sequence[str], config: TrainConfig, name: str) -> dict[str, Path]:
    """Trains networks by a recipe, or goes on where an earlier command stopped.

    Args:
        models: names of the networks.
        config: data, device and folder, and whatever the recipe leaves open; `init` replaces the recipe's own start.
        name: of the recipe.

    Returns:
        The last checkpoint of each network, `<run>/<phase>/<model>/<model>.safetensors`.

    Raises:
        ValueError: if there is no such recipe, `config` says otherwise than it, a run holds other settings, or there is
            nothing to train on.
    """
    recipe = recipe_named(name)
    for field in fields(config):
        given = getattr(config, field.name)
        if field.name in recipe.sets and field.default is not MISSING and given != field.default:
            raise ValueError(f"{field.name}: expected none beside the recipe {name}, which sets it, got {given}")
    if recipe.needs_init and config.init is None:
        raise ValueError(f"init: expected a checkpoint, from which the recipe {name} goes on, got none")
    if len(recipe.phases) > 1:
        # Each phase would do it again, and undo what those before have learned.
        for field in ("fresh_last", "registration"):
            if given := getattr(config, field):
                raise ValueError(f"{field}: expected none beside the recipe {name}, which has phases, got {given}")
    _check_widths(recipe, models, config.preset)
    with process_group(local_device(config.device)) as (rank, _):
        return _train_phases(models, config, recipe, rank)


def _check_widths(recipe: Recipe, models: Sequence[str], preset: Preset) -> None:
    """Refuses, before any work, a phase whose start has a wider last block than the network that goes on from it."""
    for phase in recipe.phases:
        for model in recipe.needed(models):
            start = TRUNK if phase.trunk else phase.start if model in phase.models else None
            if start and _head_width(start, preset) > (own := _head_width(model, preset)):
                raise ValueError(
                    f"preset: expected compact with the recipe {recipe.name}, whose {phase.name} is wider than {model} "
                    f"({_head_width(start, preset)} channels in the last block, not {own}), got {preset}"
                )


def _head_width(model: str, preset: Preset) -> int:
    architecture = model_config(model, preset)
    return architecture.head_width or architecture.out_channels


def _train_phases(models: Sequence[str], config: TrainConfig, recipe: Recipe, rank: int) -> dict[str, Path]:
    start = config.init
    if start is None and recipe.register is not None:
        if rank == 0:
            _start(config, recipe.register)
        wait_for_all()
        start = config.run / START
    wanted, models = models, recipe.needed(models)
    ends = dict.fromkeys(models, start)
    # Phase by phase, so that all networks are as far as each other whenever the command is stopped.
    for phase in recipe.phases:
        those = [model for model in models if model in phase.models]
        if phase.trunk:
            ends = dict.fromkeys(models, _run(phase, TRUNK, start, config))
        elif those:
            teacher = ends[phase.teacher] if phase.teacher else config.teacher
            here = replace(config, teacher=teacher)
            starts = {model: ends[phase.start or model] for model in those}
            ends |= {model: _run(phase, model, starts[model], here) for model in those}
    return {model: end for model in wanted if (end := ends[model]) is not None}


def _start(config: TrainConfig, settings: Any) -> None:
    start = config.run / START
    names = {field.name for field in fields(RegisterConfig)} & {field.name for field in fields(TrainConfig)}
    shared = {key: getattr(config, key) for key in names - {"steps", "batch", "lr", "seed"}}
    options: dict[str, Any] = {**shared, **settings}
    if "patches" in options:
        options["patches"] = tuple(options["patches"])
    own = RegisterConfig(out=start, **options)
    if not start.exists():
        writable_folder(config.run, "run")
        log.info("registered: %s", register(own))
        return
    defaults = recorded(RegisterConfig(images=own.images, out=start))
    before = defaults | read_metadata(start)["training"].get("registration", {})
    if changed := differences(before, recorded(own), ("images", "out", "threads")):
        raise ValueError(f"run: {start} was made with other settings ({changed}); expected the same command")


def phase_settings(phase: Phase, model: str, preset: Preset) -> dict[str, Any]:
    """Returns the fields of `TrainConfig` that a phase sets for a network."""
    settings: dict[str, Any] = dict(phase.settings)
    if phase.lr_last_by_taps:
        architecture = model_config(model, preset)
        taps = architecture.kernel_channels // (2 if architecture.separable else 1)
        settings["lr_last"] = max(LEAST_LAST_RATE, LAST_RATE / taps)
    return settings


def _run(phase: Phase, model: str, init: Path | None, config: TrainConfig) -> Path:
    settings = phase_settings(phase, model, config.preset)
    own = replace(config, run=config.run / phase.name / model, init=init, **settings)
    done = own.run / f"{model}.safetensors"
    if done.exists() and read_metadata(done)["training"].get("steps_done") == own.steps:
        _check_finished(model, own, config)
        return done
    return train(model, own)


def _check_finished(model: str, own: TrainConfig, config: TrainConfig) -> None:
    """Refuses what was trained otherwise; machine, processes and the folder's own place may have changed since."""
    if not (own.run / "config.json").exists():
        return
    free = {"processes", "teacher"}
    if own.synthesis == "auto":
        free.add("synthesis")
    if own.init != config.init:
        free.add("init")  # what the phase before has made
    check_settings(model, own, free)
