"""Recipes: every phase starts from the one before, nothing is done twice, and what a recipe sets is not overruled."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import two_ranks

from mkpn.model.checkpoint import read_metadata, shipped_models
from mkpn.model.config import MODELS, model_config
from mkpn.training import phases
from mkpn.training.config import RegisterConfig, TrainConfig, recorded
from mkpn.training.phases import TRUNK, phase_settings, train_recipe
from mkpn.training.recipes import OF_ALL, Phase, Recipe, recipes
from mkpn.training.start.register import register

THREE = ("kpn-l3", "kpn", "mkpn")


@pytest.fixture
def config(photo_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(images=(photo_folder,), run=tmp_path / "all", downsample=1, device="cpu", threads=1)


def test_two_processes_train_by_a_recipe(config: TrainConfig) -> None:
    """The first one registers and writes; the other waits for what it reads next, phase after phase."""
    options = ["--images", str(config.images[0]), "--run", str(config.run), "--downsample", "1", "--device", "cpu"]
    command = ["train", "kpn-l3", "--recipe", "tiny", *options, "--threads", "1", "--json", "--quiet"]
    config.run.mkdir()
    first, second = two_ranks(command, config.run)
    end = config.run / "apart" / "kpn-l3" / "kpn-l3.safetensors"
    assert json.loads(first) == {"exported": {"kpn-l3": str(end)}}
    assert second == ""
    assert read_metadata(end)["training"]["steps_done"] == 2


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, TrainConfig]]:
    """The runs that a recipe asks for, of which none is done."""
    runs: list[tuple[str, TrainConfig]] = []

    def note(model: str, run: TrainConfig) -> Path:
        runs.append((model, run))
        return run.run / f"{model}.safetensors"

    monkeypatch.setattr(phases, "train", note)
    monkeypatch.setattr(phases, "register", lambda _: {})
    return runs


def test_all_networks_come_from_one_trunk_and_resume(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    real, trained = phases.train, []

    def counted(model: str, run: TrainConfig) -> Path:
        trained.append((run.run.parent.name, model))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(model, run)

    monkeypatch.setattr(phases, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(THREE, config, "tiny")
    assert trained == [("trunk", "kpn-l11"), ("apart", "kpn-l3"), ("apart", "kpn")]
    ends = train_recipe(THREE, config, "tiny")
    # What was finished is not trained again, what was interrupted is.
    assert trained[3:] == [("apart", "kpn"), ("apart", "mkpn")]
    assert ends == {name: config.run / "apart" / name / f"{name}.safetensors" for name in THREE}
    for name, path in ends.items():
        training = read_metadata(path)["training"]
        assert training["recipe"]["seed"] == 2, name
        assert training["started_from"]["model"] == "kpn-l11"
        assert "registration" in training["started_from"]["training"]["started_from"]["training"]
    before = len(trained)
    assert train_recipe(THREE, config, "tiny") == ends
    assert len(trained) == before
    with pytest.raises(ValueError, match="recipe: expected one of shipped, on, paper, tiny, got 'fast'"):
        train_recipe(THREE, config, "fast")


def test_the_last_convolution_learns_slower_the_more_taps_it_has(
    config: TrainConfig, noted: list[tuple[str, TrainConfig]]
) -> None:
    """The rates of the model card: 2.5 / taps, at least 0.1, by which 25 taps and more learn alike."""
    assert list(train_recipe(MODELS, config, OF_ALL)) == list(MODELS)
    expected = {"kpn-l1": 2.5, "kpn-l3": 0.83, "kpn-l5": 0.5, "kpn": 0.1, "kpn-l11": 0.23, "mkpn": 0.1}
    rates = {model: run.lr_last for model, run in noted if run.run.parent.name == "more"}
    assert rates == pytest.approx(expected, abs=0.005)


def test_a_network_leaves_out_the_phases_of_others(config: TrainConfig, noted: list[tuple[str, TrainConfig]]) -> None:
    ends = train_recipe(("kpn-l1", "kpn", "mkpn"), config, "shipped")
    last = {model: path.parent.parent.name for model, path in ends.items()}
    assert last == {"kpn-l1": "released-small", "kpn": "taught-released", "mkpn": "released-mkpn-held-last"}
    inits = {(run.run.parent.name, model): run.init for model, run in noted}
    trunk = config.run / "trunk" / "kpn-l11" / "kpn-l11.safetensors"
    assert inits["apart", "kpn-l1"] == inits["apart", "mkpn"] == trunk
    assert inits["scenes-full", "kpn"] == config.run / "brightness" / "kpn" / "kpn.safetensors"
    assert [model for model, run in noted if run.run.parent.name == "trunk"] == ["kpn-l11"]


def test_a_phase_of_others_needs_nothing(config: TrainConfig, noted: list[tuple[str, TrainConfig]]) -> None:
    """Not even the teacher of its networks."""
    assert list(train_recipe(("kpn-l1",), config, "shipped")) == ["kpn-l1"]
    assert {model for model, run in noted if run.run.parent.name != "trunk"} == {"kpn-l1"}


def test_a_pupil_comes_with_its_teacher(config: TrainConfig, noted: list[tuple[str, TrainConfig]]) -> None:
    assert list(train_recipe(("kpn",), config, "shipped")) == ["kpn"]
    runs = {(run.run.parent.name, model): run for model, run in noted}
    assert runs["taught", "kpn"].teacher == runs["scenes", "kpn-l5"].run / "kpn-l5.safetensors"
    assert {run.teacher for (phase, _), run in runs.items() if not phase.startswith("taught")} == {None}
    with pytest.raises(ValueError, match="teacher: expected none beside the recipe shipped"):
        train_recipe(("kpn",), replace(config, teacher=Path("own.safetensors")), "shipped")


def test_a_network_comes_with_the_one_that_it_starts_from(
    config: TrainConfig, noted: list[tuple[str, TrainConfig]]
) -> None:
    assert list(train_recipe(("kpn-l25", "kpn-l7"), config, "shipped")) == ["kpn-l25", "kpn-l7"]
    runs = {(run.run.parent.name, model): run for model, run in noted}
    assert {model for _, model in runs} == {"kpn-l5", "kpn-l7", "kpn-l11", "kpn-l25"}
    assert runs["released-l7", "kpn-l7"].init == runs["released", "kpn-l5"].run / "kpn-l5.safetensors"
    assert runs["released-l25", "kpn-l25"].init == runs["released-l11", "kpn-l11"].run / "kpn-l11.safetensors"
    assert runs["wider", "kpn-l11"].init == runs["longer", "kpn-l11"].run / "kpn-l11.safetensors"


def test_a_start_of_ones_own_replaces_the_recipe_s(
    config: TrainConfig, noted: list[tuple[str, TrainConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: RegisterConfig) -> dict[str, float]:
        raise AssertionError("there is a start")

    monkeypatch.setattr(phases, "register", never)
    own = Path("own.safetensors")
    train_recipe(["mkpn"], replace(config, init=own, steps=300), "on")
    assert [(run.init, run.steps, run.patch, run.lr) for _, run in noted] == [(own, 300, 128, 2e-4)]
    train_recipe(["mkpn"], replace(config, init=own), "tiny")
    assert noted[1][1].init == own


def test_a_finished_run_is_not_that_of_other_settings(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "start.safetensors"
    register(RegisterConfig(images=config.images, out=start, downsample=1, bursts=8, patches=(64,), steps=1, batch=16))
    config = replace(config, init=start, sharp=0.0)
    ends = train_recipe(["kpn-l1"], config, "tiny")
    before = ends["kpn-l1"].stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"run: .*trunk.* holds a run with other settings \(sharp was 0\.0, is 1\.0\)"):
        train_recipe(["kpn-l1"], replace(config, sharp=1.0), "tiny")
    # What changes no step may differ, and where the folder lies, and how many processes go on.
    moved = config.run.rename(config.run.with_name("moved"))
    monkeypatch.setattr("mkpn.training.train.process_count", lambda: 2)
    assert train_recipe(["kpn-l1"], replace(config, run=moved), "tiny")["kpn-l1"].is_relative_to(moved)
    monkeypatch.undo()
    moved.rename(config.run)
    assert train_recipe(["kpn-l1"], replace(config, log_every=7, threads=2), "tiny") == ends
    assert ends["kpn-l1"].stat().st_mtime_ns == before
    own = config.run / "apart" / "kpn-l1" / "config.json"
    own.write_text(own.read_text(encoding="utf-8").replace('"clip": 1.0', '"clip": 2.0'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"run: .*apart.* holds a run with other settings \(clip was 2\.0, is 1\.0\)"):
        train_recipe(["kpn-l1"], config, "tiny")


def test_a_start_is_not_that_of_other_settings(
    config: TrainConfig, noted: list[tuple[str, TrainConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "register", register)
    train_recipe(["mkpn"], config, "tiny")
    start = config.run / "registering.safetensors"
    before = start.stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"registering\.safetensors was made .* \(sharp was 0\.1, is 1\.0\)"):
        train_recipe(["mkpn"], replace(config, sharp=1.0), "tiny")
    train_recipe(["mkpn"], replace(config, threads=2), "tiny")
    assert start.stat().st_mtime_ns == before
    assert {run.init for _, run in noted if run.run.parent.name == "trunk"} == {start}


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("on", {"init": None}, "init: expected a checkpoint, from which the recipe on goes on, got none"),
        ("shipped", {"fresh_last": True}, "fresh_last: expected none beside the recipe shipped, which has phases"),
        ("shipped", {"registration": Path("a.safetensors")}, "registration: expected none beside the recipe shipped"),
        ("shipped", {"preset": "paper"}, "preset: expected compact with the recipe shipped, whose trunk is wider than"),
    ],
)
def test_what_no_phase_can_do_is_refused_before_any_work(
    config: TrainConfig, noted: list[tuple[str, TrainConfig]], recipe: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train_recipe(["kpn-l5"], replace(replace(config, init=Path("b.safetensors")), **changes), recipe)  # pyright: ignore[reportArgumentType]
    assert noted == []


def test_no_phase_is_run_for_nothing() -> None:
    """What a network has learned in a phase is in its own weights in the end, or in those of one that starts there."""
    recipe = recipes()[OF_ALL]
    assert {run for lineage in _lineages(recipe).values() for run in lineage} == {
        (phase.name, model) for phase in recipe.phases for model in ((TRUNK,) if phase.trunk else phase.models)
    }


OF_ONE_RUN = {"images", "run", "init", "registration", "teacher", "validate_images", "device", "threads"} | {
    "synthesis",
    "compile",
    "annealing",  # has no weight in any phase
}
"""What says where and how a run was computed, and what it went on from: no part of a recipe."""


@pytest.mark.parametrize("model", MODELS)
def test_the_recipe_is_that_of_the_shipped_weights(model: str) -> None:
    """Phase by phase as each checkpoint tells it; two processes drew three bursts each where the recipe says six."""
    recipe = recipes()[OF_ALL]
    phases = {phase.name: phase for phase in recipe.phases}
    told: list[tuple[str, dict[str, Any]]] = []
    network: dict[str, Any] | None = {"model": model, "training": read_metadata(shipped_models()[model])["training"]}
    while network:
        told.insert(0, (network["model"], network["training"]))
        network = network["training"].get("started_from")
    lineage = _lineages(recipe)[model]
    (_, start), *runs = told
    assert start["registration"]["model"] == TRUNK
    assert [name for name, _ in runs] == [name for _, name in lineage]
    for (name, training), (phase, _) in zip(runs, lineage, strict=True):
        wanted = _settings(phases[phase], name)
        own = training["recipe"]
        assert training["steps_done"] == wanted["steps"], (phase, name)
        assert Path(own.get("teacher") or "").stem == (phases[phase].teacher or ""), (phase, name)
        for key in wanted.keys() & own.keys():
            if key == "batch":
                assert own[key] in (wanted[key], wanted[key] / 2), (phase, name)
            elif key == "lr_last":
                # Two digits of it were written in the first runs.
                assert own[key] == pytest.approx(wanted[key], abs=0.005), (phase, name)
            else:
                assert own[key] == wanted[key], (phase, name, key)


def test_the_model_card_counts_steps_and_hours() -> None:
    """Steps of eight 64x64 patches, with those of the networks that each one started from."""
    recipe = recipes()[OF_ALL]
    phases = {phase.name: phase for phase in recipe.phases}
    card = (Path(__file__).parent.parent.parent / "checkpoints" / "README.md").read_text(encoding="utf-8")
    names, counts = (re.search(rf"^\| {head} \|(.*)\|$", card, re.MULTILINE) for head in ("network", "steps"))
    assert names
    assert counts
    told = dict(zip(names[1].split("|"), counts[1].split("|"), strict=True))
    for model, lineage in _lineages(recipe).items():
        settings = [_settings(phases[phase], name) for phase, name in lineage]
        steps = sum(one["steps"] * one["batch"] * one["patch"] ** 2 for one in settings) / (8 * 64**2)
        label = model_config(model).label.removeprefix("KPN ")
        assert told[f" {label} "].strip() == f"{steps:,.0f}", model
    # A phase that several networks come from is counted once.
    hours: dict[str, float] = {}
    for model in MODELS:
        training: dict[str, Any] | None = read_metadata(shipped_models()[model])["training"]
        while training and "hours" in training:
            hours[json.dumps(training, sort_keys=True)] = training["hours"]
            training = (training.get("started_from") or {}).get("training")
    assert f"together took {sum(hours.values()):.0f} hours" in card.replace("\n", " ")


def _settings(phase: Phase, model: str) -> dict[str, Any]:
    """All of a phase; what it leaves out has the default of today."""
    nobody = recorded(TrainConfig(images=(Path(),), run=Path()))
    unstated = {key: value for key, value in nobody.items() if key not in OF_ONE_RUN and not key.endswith("_every")}
    return {**unstated, **phase_settings(phase, model, "compact")}


def _lineages(recipe: Recipe) -> dict[str, list[tuple[str, str]]]:
    """The runs, (phase, network), that are in each network's weights."""
    ends: dict[str, list[tuple[str, str]]] = {model: [] for model in MODELS}
    for phase in recipe.phases:
        before = dict(ends)
        for model in MODELS if phase.trunk else phase.models:
            ends[model] = [*before[phase.start or model], (phase.name, TRUNK if phase.trunk else model)]
    return ends


@pytest.mark.parametrize(("field", "value"), [("lr", 1e-3), ("lr_last", 0.5), ("beta", 1.0), ("steps", 7)])
def test_what_a_recipe_sets_is_not_overruled(config: TrainConfig, field: str, value: float) -> None:
    with pytest.raises(
        ValueError, match=f"{field}: expected none beside the recipe shipped, which sets it, got {value}"
    ):
        train_recipe(["mkpn"], replace(config, **{field: value}), "shipped")


def test_every_recipe_has_settings_that_exist(config: TrainConfig) -> None:
    config = replace(config, init=Path("start.safetensors"))
    for recipe in recipes().values():
        assert len({phase.name for phase in recipe.phases}) == len(recipe.phases)
        assert recipe.register is None or set(recipe.register) <= set(RegisterConfig.__dataclass_fields__)
        for phase in recipe.phases:
            assert replace(config, **phase.settings) != config, phase.name
            assert {*phase.models} | {name for name in (phase.teacher, phase.start) if name} <= set(MODELS)
            assert not phase.lr_last_by_taps or "lr_last" not in phase.settings


def test_the_command_offers_all_and_the_recipes() -> None:
    command = [sys.executable, "-m", "mkpn", "train", "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert "or all of them: all" in text.stdout
    for name, recipe in recipes().items():
        assert f"{name}: {recipe.about[:40]}" in " ".join(text.stdout.replace("│", " ").split())
