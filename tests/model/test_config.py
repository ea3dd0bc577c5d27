"""Configurations refuse what makes no sense, and the ten names are the paper's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mkpn.evaluation.config import EvaluateConfig
from mkpn.model.config import MODELS, ModelConfig, model_config
from mkpn.synthesis.motion import BurstConfig
from mkpn.training.config import TrainConfig


def test_ten_models_with_the_papers_kernels() -> None:
    sizes = {name: model_config(name).sizes for name in MODELS}
    expected = {f"kpn-l{k}": (k,) for k in (1, 3, 5, 7, 9, 11, 13, 25)} | {"kpn": (5,), "mkpn": (1, 3, 5, 7, 9, 11)}
    assert sizes == expected
    assert [name for name in MODELS if not model_config(name).separable] == ["kpn"]


def test_the_last_convolution_gives_2pn_channels() -> None:
    assert model_config("mkpn").out_channels == 2 * 36 * 8
    assert model_config("kpn").out_channels == 25 * 8


def test_a_compact_head_has_a_quarter_of_the_papers_channels_and_64_at_least() -> None:
    widths = {name: model_config(name).head_width for name in MODELS}
    assert widths == dict.fromkeys(MODELS, 64) | {"kpn": 64 + 7 * 25, "kpn-l25": 96, "mkpn": 144}
    assert all(model_config(name, "paper").head_width is None for name in MODELS)


@pytest.mark.parametrize("sizes", [(), (2,), (33,), (3, 3), (-1,)])
def test_kernel_sides_are_checked(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sizes: expected"):
        ModelConfig(name="x", sizes=sizes)


def test_unknown_names_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="mkpn"):
        model_config("kpn-l2")
    with pytest.raises(ValueError, match="paper, compact"):
        model_config("mkpn", "huge")


@pytest.mark.parametrize(
    ("field", "value"), [("patch", 40), ("steps", 0), ("ema", 1.0), ("images", ()), ("annealing", 0)]
)
def test_training_settings_are_checked(field: str, value: object) -> None:
    good = TrainConfig(images=(Path("x"),), run=Path("r"))
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(good, **{field: value})


def test_burst_and_evaluation_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="rate"):
        BurstConfig(rate=-1)
    with pytest.raises(ValueError, match="large"):
        BurstConfig(large=65)
    with pytest.raises(ValueError, match="crop"):
        EvaluateConfig(images=(Path("x"),), out=Path("o"), crop=-1)
