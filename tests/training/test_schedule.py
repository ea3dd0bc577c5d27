"""All networks from one command: every piece starts from the one before, and nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mkpn.model.checkpoint import read_metadata
from mkpn.model.config import MODELS
from mkpn.training import schedule
from mkpn.training.config import TrainConfig
from mkpn.training.schedule import SCHEDULES, train_all


@pytest.fixture
def config(photo_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(images=(photo_folder,), run=tmp_path / "all", downsample=1, device="cpu", threads=1)


def test_all_networks_come_from_one_trunk_and_resume(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "MODELS", ("kpn-l3", "kpn", "mkpn"))
    real, trained = schedule.train, []

    def counted(model: str, piece: TrainConfig) -> Path:
        trained.append((piece.run.parent.name, model))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(model, piece)

    monkeypatch.setattr(schedule, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        train_all(config, "tiny")
    assert trained == [("trunk", "kpn-l11"), ("apart", "kpn-l3"), ("apart", "kpn")]
    ends = train_all(config, "tiny")
    # What was finished is not trained again, what was interrupted is.
    assert trained[3:] == [("apart", "kpn"), ("apart", "mkpn")]
    assert ends == {name: config.run / "apart" / name / f"{name}.safetensors" for name in ("kpn-l3", "kpn", "mkpn")}
    for name, path in ends.items():
        training = read_metadata(path)["training"]
        assert training["recipe"]["seed"] == 2, name
        assert training["started_from"]["model"] == "kpn-l11"
        assert "registration" in training["started_from"]["training"]["started_from"]["training"]
    before = len(trained)
    assert train_all(config, "tiny") == ends
    assert len(trained) == before
    with pytest.raises(ValueError, match="schedule: expected one of shipped, tiny, got 'fast'"):
        train_all(config, "fast")


def test_the_last_convolution_learns_slower_the_more_taps_it_has(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rates of the model card: 2.5 / taps, at least 0.1, by which 25 taps and more learn alike."""
    rates: dict[str, float] = {}

    def noted(model: str, piece: TrainConfig) -> Path:
        if piece.run.parent.name == "more":
            rates[model] = piece.lr_last
        return piece.run / f"{model}.safetensors"

    monkeypatch.setattr(schedule, "train", noted)
    monkeypatch.setattr(schedule, "register", lambda _: {})
    assert list(train_all(config)) == list(MODELS)
    expected = {"kpn-l1": 2.5, "kpn-l3": 0.83, "kpn-l5": 0.5, "kpn": 0.1, "kpn-l7": 0.36, "kpn-l9": 0.28}
    expected |= {"kpn-l11": 0.23, "kpn-l13": 0.19, "kpn-l25": 0.1, "mkpn": 0.1}
    assert rates == pytest.approx(expected, abs=0.005)


def test_every_schedule_has_settings_that_exist() -> None:
    fields = set(TrainConfig.__dataclass_fields__)
    for _, pieces in SCHEDULES.values():
        assert len({piece.name for piece in pieces}) == len(pieces)
        for piece in pieces:
            assert set(piece.settings) <= fields


def test_the_command_offers_all() -> None:
    command = [sys.executable, "-m", "mkpn", "train", "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert "or all of them: all" in text.stdout
    assert "--schedule" in text.stdout
