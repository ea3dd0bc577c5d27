"""A run and its page: what a visitor chooses while networks run stays chosen, and nothing on the way ends the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ui.page.answers import Shown
from mkpn.ui.page.handlers import Handlers, close_run
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.sources import example_source

NAMES = ["kpn-l1", "kpn-l3"]
EXAMPLE = "Printed letters (grey)"  # the smallest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        network = KernelPredictionNetwork(model_config(name))
        save_model(folder / f"{name}.safetensors", network.config, network.state_dict(), {})
    return ModelStore(folder, "cpu")


@pytest.fixture
def handlers(store: ModelStore, tmp_path: Path) -> Handlers:
    return Handlers(store, tmp_path)


def press_run(handlers: Handlers, previous: Any = None, downsample: int = 2, seed: float | None = 7) -> Iterator[Shown]:
    """What a click sends: the noisy frame is shown whole, the square has 32 pixels."""
    source = example_source(EXAMPLE, handlers.root)
    settings = (source, downsample, "shrink", "4", None, None, 1.5, 2, 8, seed, NAMES)
    return handlers.run(*settings, "noisy", 32, previous)


def whole_picture(markup: str) -> str:
    found = re.search(r'data-pane="([^"]+)"', markup)
    assert found
    return found[1]


def side(markup: str) -> str:
    found = re.search(r'data-side="(\d+)"', markup)
    assert found
    return found[1]


def test_the_whole_picture_that_is_chosen_during_a_run_stays(handlers: Handlers) -> None:
    pages = press_run(handlers)
    first = next(pages)
    assert whole_picture(first.overview) == "noisy"
    assert whole_picture(handlers.show(first.run, "truth")) == "truth"
    assert [whole_picture(page.overview) for page in pages] == ["truth", "truth"]
    # A click on the picture moves the square and leaves the picture.
    moved = handlers.move_square(first.run, SimpleNamespace(_data={"x": 30, "y": 20}))
    assert whole_picture(moved.overview) == "truth"
    close_run(first.run)


def test_what_is_chosen_while_a_run_waits_for_its_turn_holds_for_it(handlers: Handlers) -> None:
    """The values of the page are of the click; the run before knows what has been chosen since."""
    before = next(press_run(handlers)).run
    for downsample in (2, 1):  # of the same size, and of another one
        pages = press_run(handlers, before, downsample)
        handlers.show(before, "truth")
        handlers.resize_square(before, 48)
        page = next(pages)
        assert (whole_picture(page.overview), side(page.overview)) == ("truth", "48")
        close_run(page.run)
    # A run whose results are gone still tells what the page shows.
    before.close()
    handlers.show(before, "mean")
    page = next(press_run(handlers, before))
    assert whole_picture(page.overview) == "mean"
    close_run(page.run)


def test_a_square_is_as_large_again_after_a_small_picture(handlers: Handlers) -> None:
    small = next(press_run(handlers, seed=1)).run
    handlers.resize_square(small, 192)
    assert small.square.h < 192
    page = next(press_run(handlers, small, downsample=1))
    assert page.run.square.h == min(192, page.run.size[1])
    close_run(page.run)
    close_run(small)
