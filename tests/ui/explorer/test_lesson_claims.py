"""The lesson on the pictures that it offers, with the shipped networks: what its steps say is what the numbers show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.images import EXAMPLES, example_image, load_image
from mkpn.synthesis.noise import GAINS
from mkpn.ui.explorer import component
from mkpn.ui.explorer.service import Service
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, run_models, start_run
from mkpn.ui.run.settings import Settings

LESSON = (Path(component.__file__).parent / "lesson.js").read_text(encoding="utf-8")
PICTURES = re.findall(r'\["(\w+)", (\d), "[^"]+"\]', LESSON)
SINGLE = [name for name in MODELS if name.startswith("kpn-l")]


@dataclass
class Opened:
    """A picture of the lesson, run with all ten networks as its link does."""

    run: Run
    service: Service

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        answer = self.service.answer({"what": what, "token": self.run.token, **fields})
        assert "error" not in answer, answer
        return answer

    def psnr(self, model: str, region: str) -> float:
        own = self.ask("measure", gain="run", seed=4, model=model)
        return own["psnr"][region]

    @property
    def far(self) -> list[int]:
        """Frames whose true place KPN L5 does not reach."""
        return [i for i, (x, y) in enumerate(self.run.burst.offsets.tolist()) if max(abs(x), abs(y)) > 2]


@pytest.fixture(scope="module")
def store() -> ModelStore:
    return ModelStore(device="cpu")


@pytest.fixture(scope="module", params=PICTURES, ids=lambda picture: f"{picture[0]}-{picture[1]}")
def opened(
    request: pytest.FixtureRequest, store: ModelStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    image, gain = request.param
    name = next(example.name for example in EXAMPLES if example.loader == image)
    settings = Settings(noise=GAINS[int(gain)], seed=4, models=MODELS)
    run = start_run(load_image(example_image(name)), name, settings, store, tmp_path_factory.mktemp("lesson"), 64)
    assert len(list(run_models(run, store))) == len(MODELS)
    service = Service(store)
    service.value(run)
    yield Opened(run, service)
    run.close()


def array(record: dict[str, Any]) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(record["data"]), record["type"]).reshape(record["shape"])


def test_the_lesson_offers_pictures_of_the_app() -> None:
    assert len(PICTURES) == 3
    assert {image for image, _ in PICTURES} <= {example.loader for example in EXAMPLES}


def test_counts_that_the_lesson_names() -> None:
    mkpn = model_config("mkpn").sizes
    for number in (8 * 9, 8 * 25**2, 25**2, 2 * 25, sum(size**2 for size in mkpn), 2 * sum(mkpn)):
        assert re.search(rf"\b{number:,}\b", LESSON), number


def test_the_mean_has_less_noise_but_is_not_the_answer(opened: Opened) -> None:
    panes = opened.run.panes
    assert opened.far, "the burst of the first step moves"
    assert panes["noisy"].psnr < panes["mean"].psnr < panes["mkpn"].psnr


def test_flat_and_texture_are_as_the_steps_say(opened: Opened) -> None:
    flat = {name: opened.psnr(name, "flat") for name in SINGLE}
    texture = {name: opened.psnr(name, "texture") for name in SINGLE}
    # More weights mean less noise: every side up to 5 is better than the one before it, and one value alone is worst.
    assert flat["kpn-l1"] < flat["kpn-l3"] < flat["kpn-l5"]
    assert min(flat, key=flat.__getitem__) == min(texture, key=texture.__getitem__) == "kpn-l1"
    # In texture the largest kernel gains less over 5x5 than in the flat third.
    assert texture["kpn-l25"] - texture["kpn-l5"] < flat["kpn-l25"] - flat["kpn-l5"]


def test_a_frame_out_of_reach_is_left_out(opened: Opened) -> None:
    places = opened.ask("places")["places"]
    place = next(place for place in places if place["kind"] == "misaligned")
    kernel = opened.ask("probe", model="kpn-l5", x=place["x"], y=place["y"])["kernels"]["5"]
    sums, offsets = np.abs(kernel["sum"]), np.abs(opened.run.burst.offsets.numpy()).max(1)
    near = [index for index in range(8) if index not in opened.far]
    assert all(kernel["true"][index] is None for index in opened.far)
    # The step names the frame that moved farthest, whose sum is below every other's within reach.
    assert sums[offsets.argmax()] < min(sums[near])
    # Others out of reach are left out, too, if not as well where bricks look alike.
    assert np.mean(sums[opened.far]) < np.mean(sums[near]) / 2


def test_mkpn_averages_most_where_it_is_flat(opened: Opened) -> None:
    means = opened.ask("maps", model="mkpn")["means"]
    assert min(means["noise_gain"]) == means["noise_gain"][0]


def test_leaving_a_size_out_costs_or_gives_little(opened: Opened) -> None:
    sizes = list(model_config("mkpn").sizes)
    frames = list(range(8))
    costs = {}
    for size in sizes:
        left = [other for other in sizes if other != size]
        answer = opened.ask("ablate", model="mkpn", sizes=left, frames=frames, renormalise=True)
        costs[size] = answer["full"] - answer["psnr"]
    # What each gives, the step says; and that the large ones carry the picture, the maps show.
    assert max(costs.values()) > 0.1
    assert costs[11] > costs[1]


def test_mkpn_loses_somewhere_and_wins_somewhere(opened: Opened) -> None:
    places = opened.ask("places")["places"]
    lost = [place["psnr"][place["best"]] - place["psnr"]["mkpn"] for place in places if place["best"] != "mkpn"]
    assert all(by > 0 for by in lost)
    shares = {}
    for side in (8, 32):
        found = opened.ask("winners", side=side, least=0, seeds=[])
        shares[side] = found["shares"]["all"][found["models"].index("mkpn")]
        assert array(found["winner"]).max() <= len(MODELS)
    # The last step shows a place where MKPN loses; where it loses nowhere, it sends the reader to smaller patches.
    assert not lost or shares[32] < 1
    assert lost or opened.run.title != "Coffee cup"
    assert 0 < shares[8] < 0.9
