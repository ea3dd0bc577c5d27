"""Recipes: what `mkpn train --recipe NAME` sets, phase by phase; the data are in recipes.toml."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mkpn.checks import choice
from mkpn.model.config import MODELS

OF_ALL = "shipped"
"""The recipe of `train all` where none is named."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One training run of a recipe.

    Attributes:
        name: of its folder.
        settings: fields of `TrainConfig`.
        models: the networks that go through it; the others keep what the phase before made of them.
        teacher: the network whose kernels it imitates, as the phases before have made it (`TrainConfig.teacher`).
        trunk: one network is trained for all, from which each of them goes on.
        start: the network from which those of the phase go on, as the phases before have made it, instead of from
            themselves.
        lr_last_by_taps: the last convolution learns with 2.5 / taps of the learning rate, 0.1 at least; taps are the
            side of a separable kernel, the sum of the sides, or the square of the side of a full kernel.
    """

    name: str
    settings: Mapping[str, Any]
    models: tuple[str, ...] = MODELS
    teacher: str | None = None
    trunk: bool = False
    start: str | None = None
    lr_last_by_taps: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network, or all ten, come about.

    Attributes:
        name: what it is called.
        about: what it does, in one line.
        phases: one after the other, each from what the phase before it has made.
        register: fields of `RegisterConfig` for the start; None where a recipe makes none.
        needs_init: whether it goes on from a network that the command must name.
    """

    name: str
    about: str
    phases: tuple[Phase, ...]
    register: Mapping[str, Any] | None = None
    needs_init: bool = False

    def needed(self, models: Sequence[str]) -> list[str]:
        """Returns networks with those that they imitate or start from in some phase, which come before them."""
        found = list(dict.fromkeys(models))
        for phase in reversed(self.phases):
            if {*phase.models} & {*found}:
                others = [name for name in (phase.teacher, phase.start) if name]
                found = list(dict.fromkeys([*others, *found]))
        return found

    @property
    def sets(self) -> frozenset[str]:
        """The fields of `TrainConfig` that it decides in one phase or another."""
        keys = {key for phase in self.phases for key in phase.settings}
        for phase in self.phases:
            keys |= {"lr_last"} if phase.lr_last_by_taps else set[str]()
            keys |= {"teacher"} if phase.teacher else set[str]()
        return frozenset(keys)


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Returns the recipes by name."""
    text = (Path(__file__).parent / "recipes.toml").read_text(encoding="utf-8")
    found: dict[str, Recipe] = {}
    for name, table in tomllib.loads(text).items():
        phases = tuple(_phase(phase, table.get("all", {})) for phase in table["phases"])
        about, start, needs_init = table["about"], table.get("register"), table.get("needs_init", False)
        found[name] = Recipe(name=name, about=about, phases=phases, register=start, needs_init=needs_init)
    return found


def recipe_named(name: str) -> Recipe:
    """Returns a recipe.

    Raises:
        ValueError: if there is none of that name.
    """
    return recipes()[choice("recipe", name, tuple(recipes()))]


def _phase(table: dict[str, Any], common: Mapping[str, Any]) -> Phase:
    own = {"name", "models", "teacher", "trunk", "start", "lr_last_by_taps"}
    # A phase has the one or the other.
    shared = {key: value for key, value in common.items() if key != "lr_last" or not table.get("lr_last_by_taps")}
    return Phase(
        name=table["name"],
        settings={**shared, **{key: value for key, value in table.items() if key not in own}},
        models=tuple(table.get("models", MODELS)),
        teacher=table.get("teacher"),
        trunk=table.get("trunk", False),
        start=table.get("start"),
        lr_last_by_taps=table.get("lr_last_by_taps", False),
    )
