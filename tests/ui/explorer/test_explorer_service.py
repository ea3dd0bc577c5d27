"""What the explorer is told of a run: the networks' own numbers, for its own page only, whatever is asked."""

from __future__ import annotations

import base64
import gc
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import untrained
from numpy.typing import NDArray

from mkpn.explain import probe
from mkpn.explain.maps import behaviour
from mkpn.inference.denoiser import Stopped
from mkpn.synthesis.images import to_uint8
from mkpn.synthesis.noise import GAINS
from mkpn.ui.explorer import component
from mkpn.ui.explorer.cache import Cache
from mkpn.ui.explorer.packing import packed, quantised
from mkpn.ui.explorer.service import FORGOTTEN, ORACLE_SIZES, Service
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, run_models, square_metrics, start_run
from mkpn.ui.run.settings import Settings

NAMES = ("kpn-l3", "kpn", "mkpn")


def unpacked(record: dict[str, Any]) -> NDArray[Any]:
    """What the page makes of an array."""
    values = np.frombuffer(base64.b64decode(record["data"]), record["type"]).reshape(record["shape"])
    return values if "low" not in record else record["low"] + values / 65535 * record["span"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(untrained(tmp_path_factory.mktemp("weights"), NAMES, 0.003), "cpu")


def made(store: ModelStore, folder: Path) -> Run:
    pixels = np.random.default_rng(5).random((90, 101, 3), dtype=np.float32)
    run = start_run(pixels, "noise", Settings(noise=GAINS[4], seed=3, models=NAMES), store, folder, 32)
    assert len(list(run_models(run, store))) == len(NAMES)
    return run


@pytest.fixture(scope="module")
def run(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(store, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def service(store: ModelStore, run: Run) -> Service:
    kept = Service(store)
    kept.value(run)
    return kept


def ask(service: Service, run: Run, what: str, **fields: Any) -> dict[str, Any]:
    answer = service.answer({"what": what, "token": run.token, **fields})
    assert "error" not in answer, answer
    return answer


def test_arrays_come_back() -> None:
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_array_equal(unpacked(packed(values)), values)
    np.testing.assert_array_equal(unpacked(packed(np.arange(6, dtype=np.uint8))), np.arange(6))
    assert np.abs(unpacked(quantised(values)) - values).max() <= np.ptp(values) / 131_000
    np.testing.assert_array_equal(unpacked(quantised(np.full((2, 2), 0.25))), 0.25)


@pytest.mark.parametrize("name", NAMES)
def test_the_probe_is_the_networks_kernels_and_its_products_the_output(service: Service, run: Run, name: str) -> None:
    x, y = 68, 57  # the last column, where the kernels read mirrored pixels
    answer = ask(service, run, "probe", model=name, x=x, y=y)
    result = run.panes[name].result
    assert result is not None
    expected = probe(result, x, y)
    values, total = unpacked(answer["values"]), np.zeros(3)
    for size, kernels in expected.by_size.items():
        weights = unpacked(answer["kernels"][str(size)]["weights"])
        np.testing.assert_array_equal(weights, kernels)
        edge = (values.shape[-1] - size) // 2
        read = values[..., edge : edge + size, edge : edge + size]
        total += np.einsum("nkl,nckl->c", weights, read, dtype=np.float64) / (8 * len(expected.by_size))
    assert np.abs(total - answer["output"]).max() < 1e-5
    np.testing.assert_allclose(answer["output"], result.image[:, y, x], atol=1e-7)
    assert (answer["fused"] is None) == (len(expected.by_size) == 1)


def test_everything_on_is_the_models_picture(service: Service, run: Run) -> None:
    on = {"model": "mkpn", "sizes": [1, 3, 5, 7, 9, 11], "frames": list(range(8)), "renormalise": True}
    answer = ask(service, run, "ablate", **on)
    image = run.panes["mkpn"].image
    assert image is not None
    levels = np.abs(unpacked(answer["picture"]).astype(int) - to_uint8(image).astype(int))
    assert levels.max() <= 1  # a value on the border of two levels may round to the other
    assert (levels > 0).mean() < 1e-3
    assert answer["psnr"] == pytest.approx(run.panes["mkpn"].psnr, abs=1e-3)
    less = ask(service, run, "ablate", **{**on, "frames": [0], "renormalise": False})
    assert less["psnr"] < answer["psnr"]
    assert less["full"] == pytest.approx(answer["full"])


def test_maps_are_those_of_the_library(service: Service, run: Run) -> None:
    answer = ask(service, run, "maps", model="mkpn")
    result = run.panes["mkpn"].result
    assert result is not None
    found = behaviour(result)
    np.testing.assert_allclose(unpacked(answer["maps"]["radius"]), found.radius, atol=1e-3)
    np.testing.assert_allclose(unpacked(answer["maps"]["share-3"]), found.shares[1], atol=1e-4)
    assert len(answer["means"]["frames"]) == 3


def test_own_figures_are_those_of_the_table(service: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # No network runs again for what the run itself has measured, whatever its noise is called.
    monkeypatch.setattr(service.store, "get", lambda name: pytest.fail(f"{name} ran again"))
    for name in NAMES:
        answer = ask(service, run, "measure", gain="run", seed=3, model=name)
        # Exactly: figures that nearly agree are rounded to different ones now and then.
        assert answer["psnr"]["whole"] == run.panes[name].psnr
        assert (answer["psnr"]["square"],) == (square_metrics(run, run.panes[name]) or ())[:1]
        assert ask(service, run, "measure", gain="4", seed=3, model=name)["psnr"] == answer["psnr"]
    monkeypatch.undo()
    other = ask(service, run, "measure", gain="1", seed=8, model="kpn-l3")
    assert other["psnr"]["whole"] > ask(service, run, "measure", gain="8", seed=8, model="kpn-l3")["psnr"]["whole"]
    oracle = ask(service, run, "measure", gain="run", seed=3, model="oracle")["oracle"]
    assert list(oracle) == [str(size) for size in ORACLE_SIZES]


def test_a_stop_reaches_into_a_running_network(service: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    running, answers = threading.Event(), []
    measured = {"what": "measure", "token": run.token, "gain": "2", "seed": 77, "model": "mkpn", "job": 5}

    class Slow:
        """Denoises until it is told to stop: only a question that reaches the network ends it."""

        def __call__(self, _burst: Any, *, stop: Callable[[], bool]) -> Any:
            running.set()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                if stop():
                    raise Stopped("stopped")
                time.sleep(0.01)
            raise AssertionError("was not stopped")

    monkeypatch.setattr(service.store, "get", lambda _name: Slow())
    first = threading.Thread(target=lambda: answers.append(service.answer(measured)))
    first.start()
    assert running.wait(30)
    # Another one waits for its turn, and is stopped there.
    second = threading.Thread(target=lambda: answers.append(service.answer({**measured, "model": "kpn"})))
    second.start()
    assert service.answer({"what": "stop", "token": run.token, "job": 5}) == {"job": 5}
    for thread in (first, second):
        thread.join(10)
        assert not thread.is_alive()
    assert answers == [{"stopped": True}] * 2
    # What comes in behind its stop does not begin; other sweeps go on, begun earlier or later.
    assert service.answer(measured) == {"stopped": True}
    monkeypatch.undo()
    for job in (4, 6):
        assert "psnr" in ask(service, run, **{**measured, "job": job})


def test_winners_over_seeds_places_and_regions(service: Service, run: Run) -> None:
    one = ask(service, run, "winners", side=16, least=0, seeds=[])
    assert one["models"] == list(NAMES)
    assert one["seeds"] == [3]
    assert sum(one["shares"]["all"]) == pytest.approx(1)
    # A seed counts when all models have been measured with it, and never makes a run by itself.
    assert ask(service, run, "winners", side=16, least=0, seeds=[4])["seeds"] == [3]
    for name in NAMES:
        ask(service, run, "measure", gain="run", seed=4, model=name)
    both = ask(service, run, "winners", side=16, least=0, seeds=[4])
    assert both["seeds"] == [3, 4]
    assert both["shares"]["all"][-1] >= one["shares"]["all"][-1]
    places = ask(service, run, "places")["places"]
    assert {place["kind"] for place in places} >= {"differ"}
    assert all(place["best"] == max(place["psnr"], key=place["psnr"].get) for place in places)
    assert unpacked(ask(service, run, "regions")["regions"]).shape == (58, 69)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "what: expected one of"),
        ({"what": "probe"}, FORGOTTEN),
        ({"what": "probe", "token": 7}, FORGOTTEN),
        ({"what": "probe", "token": "TOKEN", "model": "kpn-l5", "x": 0, "y": 0}, "has not run"),
        ({"what": "probe", "token": "TOKEN", "model": "mkpn", "x": 69, "y": 0}, "x: expected"),
        ({"what": "probe", "token": "TOKEN", "model": "mkpn", "x": "0", "y": 0}, "x: expected"),
        ({"what": "ablate", "token": "TOKEN", "model": "mkpn", "sizes": [2], "frames": []}, "size: expected"),
        ({"what": "ablate", "token": "TOKEN", "model": "mkpn", "sizes": 2, "frames": []}, "sizes: expected a list"),
        ({"what": "winners", "token": "TOKEN", "side": 7}, "side: expected"),
        ({"what": "winners", "token": "TOKEN", "side": 8, "seeds": [{}]}, "seed: expected"),
        ({"what": "measure", "token": "TOKEN", "gain": "3", "seed": 0, "model": "mkpn"}, "gain: expected"),
        ({"what": "measure", "token": "TOKEN", "gain": "8", "seed": 0, "model": "kpn-l5"}, "model: expected"),
        ({"what": "measure", "token": "TOKEN", "gain": "8", "seed": -1, "model": "mkpn"}, "seed: expected"),
        ({"what": "measure", "token": "TOKEN", "gain": "8", "seed": 0, "model": "mkpn", "job": "1"}, "job: expected"),
        ({"what": "stop", "token": "TOKEN"}, "job: expected"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(service: Service, run: Run, request_: Any, complaint: str) -> None:
    if isinstance(request_, dict) and request_.get("token") == "TOKEN":
        request_ = {**request_, "token": run.token}
    assert complaint in service.answer(request_)["error"]


def test_a_run_that_is_gone_is_forgotten_with_all_that_was_kept_of_it(store: ModelStore, tmp_path: Path) -> None:
    service, first = Service(store), made(store, tmp_path)
    service.value(first)
    ask(service, first, "maps", model="kpn-l3")
    token = first.token
    assert service.kept.bytes > 0
    del first
    gc.collect()
    assert service.answer({"what": "regions", "token": token}) == {"error": FORGOTTEN}
    second = made(store, tmp_path)
    assert second.token != token
    service.value(second)
    assert service.kept.bytes == 0
    assert service.value(None) is None
    # Nobody has to come for it: what is closed leaves nothing behind, even if its page still holds it.
    ask(service, second, "maps", model="kpn-l3")
    assert service.kept.bytes > 0
    second.close()
    assert service.kept.bytes == 0


@pytest.mark.parametrize("what", [{"what": "winners", "side": 16, "seeds": []}, {"what": "regions"}])
def test_a_question_in_flight_when_its_run_is_closed_is_told_so(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: dict[str, Any]
) -> None:
    service, closing = Service(store), made(store, tmp_path)
    service.value(closing)
    make = Cache.make

    def late(self: Cache, *arguments: Any) -> Any:
        closing.close()
        return make(self, *arguments)

    monkeypatch.setattr(Cache, "make", late)
    assert service.answer({**what, "token": closing.token}) == {"error": FORGOTTEN}


def test_the_oldest_goes_first_when_there_is_no_room() -> None:
    kept = Cache(100)
    for name in "abc":
        kept.make(("run", name), lambda name=name: (name, 40))
        kept.get(("run", "a"))
    assert [kept.get(("run", name)) for name in "abc"] == ["a", None, "c"]
    assert kept.make(("run", "large"), lambda: ("large", 1000)) == "large"
    assert kept.bytes == 1000


def test_every_part_that_a_script_asks_for_is_there() -> None:
    folder = Path(component.__file__).parent
    html = (folder / "explorer.html").read_text(encoding="utf-8")
    there = set(re.findall(r'data-ui="([a-z0-9-]+)"', html))
    asked: set[str] = set()
    for path in folder.glob("*.js"):
        asked |= set(re.findall(r'\bui\("([a-z0-9-]+)"\)', path.read_text(encoding="utf-8")))
    assert asked - there == set()
