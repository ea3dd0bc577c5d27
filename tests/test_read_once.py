"""A picture and a checkpoint are read once: every open of a file is counted, in the app, in denoise and in evaluate."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.evaluation import synthetic
from mkpn.evaluation.config import EvaluateConfig
from mkpn.evaluation.evaluate import evaluate
from mkpn.inference.denoiser import load
from mkpn.model import checkpoint
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.read_once import ReadOnce

Opens = Callable[[], Counter[str]]

_watchers: list[list[str]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watchers and isinstance(arguments[0], str | Path) and "r" in str(arguments[1] or "r"):
        _watchers[-1].append(str(arguments[0]))


@pytest.fixture(scope="module")
def hooked() -> None:
    """Python tells of every file that it opens; a hook cannot be taken away again, so it only listens when asked."""
    sys.addaudithook(_note)


@pytest.fixture
def opens(hooked: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:  # noqa: ARG001
    """How often each file has been opened so far; checkpoints, which Rust opens, by the calls that do."""
    seen: list[str] = []
    real = checkpoint.safe_open

    def counted(path: Path, **options: str) -> object:
        seen.append(str(path))
        return real(path, **options)

    monkeypatch.setattr(checkpoint, "safe_open", counted)
    _watchers.append(seen)
    yield lambda: Counter(seen)
    _watchers.pop()


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    made = KernelPredictionNetwork(model_config("kpn-l1"))
    path = tmp_path / "kpn-l1.safetensors"
    save_model(path, made.config, made.state_dict(), {})
    return path


@pytest.fixture
def pictures(photo: NDArray[np.uint8], tmp_path: Path) -> list[Path]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(photo[:96, 10 * index : 10 * index + 96]).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def test_denoise_reads_each_picture_and_network_once(
    opens: Opens, network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    synthesis = synthetic.Synthesis(gain=4, downsample=1, seed=0, file_format="png", save_burst=True)
    with one_thread():
        denoisers = {"kpn-l1": load(network, "cpu")}
        for image in synthetic.usable_images(pictures, synthesis, strict=False):
            assert len(list(synthetic.denoise_picture(image, tmp_path / image.stem, synthesis, denoisers))) == 3
    assert [opens()[str(path)] for path in (*pictures, network)] == [1, 1, 1, 1]


def test_evaluate_reads_each_picture_and_network_once(
    opens: Opens, network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    config = EvaluateConfig(
        images=(pictures[0].parent,),
        out=tmp_path / "out",
        models=(str(network),),
        gains=(1, 8),
        device="cpu",
        threads=1,
    )
    with one_thread():
        assert len(evaluate(config)["images"]) == 2 * 3 * 4
    assert [opens()[str(path)] for path in (*pictures, network)] == [1, 1, 1, 1]


def test_the_app_reads_an_upload_once_per_run_and_a_header_before_the_weights(
    opens: Opens, network: Path, pictures: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("gradio")
    from mkpn.ui.page.events import build
    from mkpn.ui.run.models import ModelStore
    from mkpn.ui.run.session import run_models, start_run
    from mkpn.ui.run.settings import Settings
    from mkpn.ui.run.sources import upload_source

    store = ModelStore(network.parent, "cpu")
    build(store, tmp_path)
    assert opens()[str(network)] == 1
    source = upload_source(pictures[0], "mine.png", tmp_path)
    assert source.sha256
    assert opens()[str(pictures[0])] == 1
    with one_thread():
        for times in (1, 2):
            # Between two runs the picture lies on the disk, not in the memory of a session that may never run again.
            settings = Settings(noise=synthetic.noise_for_gain(4), models=("kpn-l1",))
            run = start_run(source.pixels(), source.title, settings, store, tmp_path)
            assert [pane.status for pane in run_models(run, store)] == ["done"]
            assert opens()[str(pictures[0])] == 1 + times
            assert opens()[str(network)] == 2


def test_what_finds_no_room_is_read_again(pictures: list[Path]) -> None:
    read: list[str] = []

    def reading(path: Path) -> bytes:
        read.append(path.name)
        return path.read_bytes()

    first = len(pictures[0].read_bytes())
    kept = ReadOnce(reading, len, most=first)
    for _ in range(2):
        for path in pictures:
            assert kept(path) == path.read_bytes()
    assert Counter(read) == {"0.png": 1, "1.png": 2, "2.png": 2}
    # What is used up makes room.
    assert kept.take(pictures[0]) == pictures[0].read_bytes()
    for _ in range(2):
        kept(pictures[0])
    assert Counter(read)["0.png"] == 2
