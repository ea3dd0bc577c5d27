"""A run and its page: what a visitor chooses while networks run stays chosen, and nothing on the way ends the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from helpers import untrained

from mkpn.geometry import Rectangle
from mkpn.metrics import psnr
from mkpn.synthesis.noise import GAINS
from mkpn.ui.page import views
from mkpn.ui.page.answers import Shown
from mkpn.ui.page.handlers import Handlers, close_run
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import CROP_DEFINITION, Run, run_models, square_metrics, start_run
from mkpn.ui.run.settings import Settings
from mkpn.ui.run.sources import example_source

NAMES = ["kpn-l1", "kpn-l3"]
EXAMPLE = "Printed letters (grey)"  # the smallest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(untrained(tmp_path_factory.mktemp("checkpoints"), NAMES), "cpu")


@pytest.fixture
def handlers(store: ModelStore, tmp_path: Path) -> Handlers:
    return Handlers(store, tmp_path)


def press_run(handlers: Handlers, previous: Any = None, downsample: int = 2, seed: float | None = 7) -> Iterator[Shown]:
    """What a click sends: the noisy frame is shown whole, the square has 32 pixels."""
    source = example_source(EXAMPLE, handlers.root)
    controls = (downsample, "shrink", "4", None, None, 1.5, 2, 8, seed, NAMES)
    return handlers.run(source, "noisy", 32, previous, None, *controls)


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


def started(store: ModelStore, folder: Path, models: tuple[str, ...] = tuple(NAMES)) -> Run:
    source = example_source(EXAMPLE, folder)
    return start_run(source.pixels(), "letters", Settings(noise=GAINS[4], models=models, downsample=2), store, folder)


def test_a_network_that_is_not_there_does_not_lose_the_others(store: ModelStore, tmp_path: Path) -> None:
    run = started(store, tmp_path, ("kpn-l1", "kpn-l13"))
    assert [pane.status for pane in run_models(run, store)] == ["done", "failed"]
    assert run.panes["kpn-l13"].message == "model: expected one of kpn-l1, kpn-l3, got 'kpn-l13'"
    # Two that ran are not called done where one of them failed.
    assert "Done: 1 of 2 models in" in views.status_line(run)
    close_run(run)


def test_figures_of_the_square_are_of_one_square(store: ModelStore, tmp_path: Path) -> None:
    """Another event may move it while it is measured."""
    run = started(store, tmp_path)

    class Moving:
        burst, reads = run.burst, 0

        @property
        def square(self) -> Rectangle:
            self.reads += 1
            return Rectangle(10 * self.reads, 0, 24, 24)

    pane, moving = run.panes["noisy"], Moving()
    measured = square_metrics(cast("Run", moving), pane)
    assert pane.measured is not None
    assert pane.image is not None
    rows, columns = pane.measured[0].slices
    clean = run.burst.clean[:, rows, columns]
    expected = psnr(pane.image[:, rows, columns].clamp(0, 1), clean, CROP_DEFINITION)
    assert measured is not None
    assert measured[0] == pytest.approx(expected)
    # Of the square that it has become since, the figures are new.
    assert square_metrics(cast("Run", moving), pane) != measured
    assert pane.measured[0] == Rectangle(20, 0, 24, 24)
    close_run(run)


def test_frames_that_have_moved_far_are_marked(store: ModelStore, tmp_path: Path) -> None:
    pixels, settings = example_source(EXAMPLE, tmp_path).pixels(), Settings(noise=GAINS[4], models=(), seed=4)
    run = start_run(pixels, "letters", settings, store, tmp_path)
    moved = run.burst.offsets.abs().amax(1).tolist()
    assert 2 in moved  # the largest usual displacement
    assert max(moved) > 2
    figures = views.burst_frames(run).split("<figure")[1:]
    assert [" strong" in figure for figure in figures] == ["· large" in figure for figure in figures]
    assert [" strong" in figure for figure in figures] == [largest > 2 for largest in moved]
    close_run(run)


def test_a_region_ends_with_the_picture_and_stays_where_the_next_one_is_as_large(handlers: Handlers) -> None:
    run = next(press_run(handlers)).run
    width, height = run.size
    sent = {"x": width - 4, "y": 2, "w": 10, "h": 5}
    handlers.measure_region(run, SimpleNamespace(_data=sent))  # pyright: ignore[reportArgumentType]
    assert run.region == Rectangle(width - 4, 2, 4, 5)
    same = next(press_run(handlers, run, seed=8)).run
    assert same.region == run.region
    other = next(press_run(handlers, same, downsample=1)).run
    assert other.region is None
    sent = {"x": 0, "y": height, "w": 10, "h": 5}
    handlers.measure_region(same, SimpleNamespace(_data=sent))  # pyright: ignore[reportArgumentType]
    assert same.region is None
    for each in (run, same, other):
        close_run(each)


def test_all_parts_of_an_answer_show_one_square(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = press_run(handlers)
    run, crops = next(pages).run, views.crops

    def late(seen: Run) -> str:
        run.look_at((0, 0), 32)
        return crops(seen)

    run.look_at((70, 30), 32)
    monkeypatch.setattr(views, "crops", late)
    page = next(pages)
    assert page.viewer["square"]["x"] == 54
    for part in (page.overview, page.crops):
        assert re.search(r"at x 54,|--x:54;", part)
    close_run(run)


def test_a_late_answer_does_not_take_the_square_back(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two moves are answered at once, and the first one is drawn after the second has come."""
    run = next(press_run(handlers)).run
    drawn, moves = views.overview, [{"x": 34, "y": 20}]

    def late(seen: Run) -> str:
        while moves:
            handlers.move_square(run, SimpleNamespace(_data=moves.pop()))  # pyright: ignore[reportArgumentType]
        return drawn(seen)

    monkeypatch.setattr(views, "overview", late)
    moved = handlers.move_square(run, SimpleNamespace(_data={"x": 30, "y": 20}))  # pyright: ignore[reportArgumentType]
    assert 'data-x="34"' in moved.overview
    close_run(run)


@pytest.mark.parametrize("sent", [None, {"x": 0, "y": 0, "w": 8}, {"x": 0, "y": 0, "w": 1.5, "h": 2}, {"x": -1}])
def test_a_region_that_is_no_rectangle_is_refused(handlers: Handlers, sent: Any) -> None:
    with pytest.raises(ValueError, match=r"event.*: expected (an object|a whole number from 0 to 512), got"):
        handlers.measure_region(None, SimpleNamespace(_data=sent))  # pyright: ignore[reportArgumentType]
