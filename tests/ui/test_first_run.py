"""The first results: made once, copied for each page, and gone from a page without harm to the others."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import untrained

import mkpn
from mkpn.inference.denoiser import Denoiser
from mkpn.synthesis.images import EXAMPLES, example_image, load_image
from mkpn.ui.page.answers import KEEP, Shown
from mkpn.ui.page.handlers import Handlers
from mkpn.ui.page.run_controls import CUSTOM, RunControls
from mkpn.ui.page.sharing import Pending, Sharing
from mkpn.ui.run import session
from mkpn.ui.run.first import FirstRun
from mkpn.ui.run.going import MOST_KEPT
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Pane, Run, start_run
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED
from mkpn.ui.run.sources import example_source
from mkpn.ui.saved.permalink import from_query

NAMES = ("kpn-l1", "kpn-l3")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(untrained(tmp_path_factory.mktemp("checkpoints"), NAMES), "cpu")


def test_networks_are_loaded_ahead_as_long_as_the_app_lives(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = next(iter(store.paths.values())).parent
    monkeypatch.setattr("mkpn.ui.run.models.warm_up", lambda: None)
    called: list[int] = []
    ahead = ModelStore(folder, "cpu")
    thread = ahead.preload(lambda: called.append(ahead.loaded))
    thread.join(60)
    assert not thread.is_alive()
    assert called == [len(NAMES)]
    # When the app ends, nothing is loaded that nobody will ask for.
    monkeypatch.setattr(threading, "main_thread", lambda: SimpleNamespace(is_alive=lambda: False))
    ending = ModelStore(folder, "cpu")
    ending.preload(lambda: called.append(ending.loaded)).join(60)
    assert (ending.loaded, len(called)) == (0, 1)


@pytest.fixture(scope="module")
def first(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    made = FirstRun(store, tmp_path_factory.mktemp("pictures"))
    assert [pane.status for pane in made.run.model_panes] == ["running", "waiting"]
    made.compute()
    return made


def test_a_network_is_done_only_when_its_kernels_and_time_are_there(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may copy the first results at any moment, and is told of no change behind "done"."""
    finish, there = session._finish, dict[str, bool]()

    def finished(run: Run, pane: Pane, image: torch.Tensor) -> None:
        there[pane.id] = pane.result is not None and pane.seconds is not None
        finish(run, pane, image)

    monkeypatch.setattr(session, "_finish", finished)
    FirstRun(store, tmp_path).compute()
    assert [there[name] for name in NAMES] == [True, True]


def test_the_first_results_are_those_of_the_library(first: FirstRun, store: ModelStore) -> None:
    burst = mkpn.synthesize(load_image(example_image(EXAMPLES[0].name)), gain=FIRST_GAIN, seed=FIRST_SEED)
    for name in NAMES:
        pane = first.run.panes[name]
        assert pane.psnr == pytest.approx(mkpn.psnr(store.get(name)(burst).image, burst.clean), abs=1e-3)


def test_the_first_results_let_visitors_go_before(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FirstRun(store, tmp_path)
    others, waited = iter((1, 1, 0, 0)), list[bool]()
    monkeypatch.setattr(store.going, "others", lambda _: next(others))
    clock = SimpleNamespace(sleep=lambda _: waited.append(made.run.done("kpn-l1") and not made.run.done("kpn-l3")))
    monkeypatch.setattr("mkpn.ui.run.first.time", clock)
    made.compute()
    assert waited == [True, True]
    assert made.run.done("kpn-l3")


def test_a_copy_has_its_own_square_and_leaves_everything_behind(first: FirstRun) -> None:
    one, other = first.copy(32, "one"), first.copy(64, "other")
    assert (one.square.w, other.square.w) == (32, 64)
    assert one.token != other.token
    one.look_at((10, 10), 32)
    assert other.square != one.square
    one.close()
    assert first.run.panes["kpn-l1"].image is not None
    assert other.panes["kpn-l1"].image is not None
    path = other.panes["kpn-l1"].path
    assert path is not None
    assert path.exists()
    assert other.burst.frames.abs().sum() > 0


def test_a_page_follows_while_networks_run(store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    get = ModelStore.get

    def gated(self: ModelStore, name: str) -> Denoiser:
        assert gate.wait(60)
        return get(self, name)

    monkeypatch.setattr(ModelStore, "get", gated)
    handlers = Handlers(store, tmp_path, FirstRun(store, tmp_path))
    assert handlers.first is not None
    thread = threading.Thread(target=handlers.first.compute)
    opening = handlers.arrive("noisy", 64)
    assert isinstance(opening.run, Run)
    assert "0 of 2 models" in opening.status
    thread.start()
    gate.set()
    *_, last, end = handlers.follow(opening.run)
    thread.join()
    assert "Done: 2 models" in last.status
    # Gradio sends the last answer again: it must not write over a run that was started meanwhile.
    assert end == Shown()


def test_a_run_of_the_visitor_s_own_ends_what_follows_the_first(store: ModelStore, tmp_path: Path) -> None:
    handlers = Handlers(store, tmp_path, FirstRun(store, tmp_path))
    arrived = handlers.arrive("noisy", 64).run
    pages = handlers.follow(arrived)
    own = handlers.first.copy(64) if handlers.first is not None else None
    assert own is not None
    stream = handlers.stream(own, arrived)
    # Nothing on the page is of other settings any more; what is changed later is for `fits` to say.
    assert next(stream).stale == ""
    assert list(pages) == [Shown()]
    # The page shows the new run: nobody looks at the old one any more.
    assert [page.stale for page in stream if page.stale != Shown().stale] == []
    assert (arrived.closed, own.closed) == (True, False)
    # A run of the visitor's own shows itself.
    assert list(handlers.follow(own)) == list(handlers.follow(None)) == [Shown()]


def test_a_refused_run_leaves_the_first_results_coming(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio.Warning", str)
    handlers = Handlers(store, tmp_path, FirstRun(store, tmp_path))
    assert handlers.first is not None
    arrived = handlers.arrive("noisy", 64).run
    source = example_source(EXAMPLES[0].name, tmp_path)
    controls = (1, "shrink", "4", None, None, 1.5, 2, 16, 1e17, list(NAMES))
    (refused,) = handlers.run(source, "noisy", 64, arrived, None, *controls)
    assert "Seed: expected a whole number" in refused.stale
    assert refused._replace(stale=KEEP) == Shown()
    handlers.first.compute()
    *_, last, _ = handlers.follow(arrived)
    assert "Done: 2 models" in last.status


def test_only_stop_ends_what_fills_the_page(store: ModelStore, tmp_path: Path) -> None:
    """A click on Run may be refused, by its values or by a full queue: the first results must go on coming."""
    from mkpn.ui.page.events import build

    page = build(store, tmp_path, FirstRun(store, tmp_path))
    names = {number: fn.name for number, fn in page.fns.items()}
    ended = {name for fn in page.fns.values() for name in map(names.get, fn.cancels)}
    assert ended == {"run", "rebuild", "denoise"}
    follows = [fn for fn in page.fns.values() if fn.name == "follow"]
    assert {names[fn.trigger_after] for fn in follows} == {"arrive", "rebuild"}
    # What waits for the first results keeps nobody's run waiting.
    assert {fn.concurrency_id for fn in follows} == {"arrivals"}


def test_a_link_to_the_first_results_does_not_hold_the_queue_of_the_runs(store: ModelStore, tmp_path: Path) -> None:
    """After a restart every open page comes back with such a link, while nothing has been computed yet."""
    sharing = Sharing(Handlers(store, tmp_path, FirstRun(store, tmp_path)))
    state, _ = from_query(f"image=chelsea&gain={FIRST_GAIN}&seed={FIRST_SEED}&models={','.join(NAMES)}")
    assert state is not None
    source = example_source(EXAMPLES[0].name, tmp_path)
    pages: list[Any] = []
    rebuilding = threading.Thread(
        target=lambda: pages.extend(sharing.rebuild(Pending(state, "the link"), source, None)), daemon=True
    )
    rebuilding.start()
    rebuilding.join(60)
    assert not rebuilding.is_alive()
    assert "0 of 2 models" in pages[-1][1]
    assert pages[-1][0].shared


def test_results_of_other_settings_or_another_picture_are_marked(
    first: FirstRun, store: ModelStore, tmp_path: Path
) -> None:
    handlers, run = Handlers(store, tmp_path), first.copy(64)
    own, other = (example_source(example.name, tmp_path) for example in EXAMPLES[:2])
    chosen = RunControls(1, "shrink", str(FIRST_GAIN), None, None, 1.5, 2, 16, FIRST_SEED, list(NAMES))
    assert handlers.fits(run, own, *chosen) == ""
    # A checkpoint that is not there runs nowhere.
    assert handlers.fits(run, own, *chosen._replace(models=[*NAMES, "kpn-l25"])) == ""
    assert "other settings" in handlers.fits(run, other, *chosen)
    changes: list[dict[str, Any]] = [{"gain": "1"}, {"gain": "8"}, {"seed": FIRST_SEED + 1}, {"models": ["kpn-l3"]}]
    for change in (*changes, {"fit": "crop"}, {"downsample": 2}):
        assert "other settings. Run renews them." in handlers.fits(run, own, *chosen._replace(**change)), change
    # While it is computed, another one does not begin.
    with store.going.computing(run):
        assert "other settings. Stop it, then Run." in handlers.fits(run, own, *chosen._replace(gain="1"))
    # What cannot be run says why, before it is tried; an empty field is no zero.
    for change, said in (
        ({"rate": 99.0}, "Frames that move far, λ: expected a number from 0 to 64, got 99"),
        ({"seed": -3}, "Seed: expected a whole number, 0 to 9007199254740991, got -3"),
        ({"seed": None}, "Seed: expected a whole number, 0 to 9007199254740991, got None"),
        ({"gain": CUSTOM}, "Read noise σr: expected a number from 0 to 1, got None"),
    ):
        assert said in handlers.fits(run, own, *chosen._replace(**change)), change
    assert handlers.fits(None, own, *chosen) == ""
    run.close()
    assert handlers.fits(run, own, *chosen._replace(gain="1")) == ""


def test_a_visitor_is_told_of_another_one_s_run(store: ModelStore, tmp_path: Path) -> None:
    handlers = Handlers(store, tmp_path, FirstRun(store, tmp_path))
    assert handlers.first is not None
    request: Any = SimpleNamespace(session_hash="me")
    own, other = handlers.first.copy(64, "me"), handlers.first.copy(64, "you")
    with store.going.computing(handlers.first.run), store.going.computing(own):
        assert handlers.wait(request) == KEEP
        with store.going.computing(other):
            assert "Another visitor&#x27;s run comes first" in str(handlers.wait(request))


def test_runs_of_equal_settings_are_told_apart(store: ModelStore, tmp_path: Path) -> None:
    """A visitor who presses Run at once asks for what the first run computes; tensors cannot be compared by `==`."""
    first = FirstRun(store, tmp_path)
    source = example_source(EXAMPLES[0].name, tmp_path)
    same = [start_run(source.pixels(), source.title, first.run.settings, store, tmp_path) for _ in range(MOST_KEPT + 2)]
    with store.going.computing(first.run):
        with store.going.computing(same[0]):
            assert store.going.others(first.run) == 1
            for run in same:
                store.going.keep(run)
        assert store.going.others(first.run) == 0
    assert [run.closed for run in same] == [False, True, True, *[False] * (MOST_KEPT - 1)]
    for run in same:
        run.close()
    assert len(store.going) == 0


def test_what_the_networks_cannot_be_loaded_for_does_not_keep_pages_waiting(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("no device")

    monkeypatch.setattr("mkpn.ui.run.models.warm_up", broken)
    monkeypatch.setattr(ModelStore, "get", broken)
    called: list[bool] = []
    ModelStore(next(iter(store.paths.values())).parent, "cpu").preload(lambda: called.append(True)).join(60)
    assert called == [True]


def test_only_the_same_picture_and_settings_are_the_first_run(first: FirstRun) -> None:
    run = first.run
    assert first.shows(run.image, run.settings)
    assert not first.shows(run.image, type(run.settings)(noise=run.settings.noise, seed=FIRST_SEED + 1))
