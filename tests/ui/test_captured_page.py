"""A visitor's own burst: the endpoint through `gradio_client`, and the tab's service layer directly."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers import break_network, untrained
from numpy.typing import NDArray
from PIL import Image

import mkpn
from mkpn.synthesis.images import to_uint8
from mkpn.ui.page import captured
from mkpn.ui.page.answers import KEEP
from mkpn.ui.page.captured import captured_panel, compared, outcome, progress, wire_captured
from mkpn.ui.run.captured import CapturedRun, run_captured, start_captured
from mkpn.ui.run.models import ModelStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """Two untrained networks: the average of the burst, nearly."""
    return ModelStore(untrained(tmp_path_factory.mktemp("checkpoints"), ("kpn-l3", "mkpn")), "cpu")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> list[Path]:
    burst = mkpn.synthesize(photo[:150, :150], gain=4, seed=0, config=mkpn.BurstConfig(rate=0))
    folder = tmp_path_factory.mktemp("burst")
    paths = [folder / f"<i>{index}.png" for index in range(4)]
    for path, frame in zip(paths, burst.frames, strict=False):
        Image.fromarray(to_uint8(frame)).save(path)
    return paths


@pytest.fixture(scope="module")
def client(store: ModelStore) -> Iterator[object]:
    gradio_client = pytest.importorskip("gradio_client")
    from mkpn.ui.launch import launch

    folder = next(iter(store.paths.values())).parent
    page, address = launch(device="cpu", checkpoints=folder, block=False)
    yield gradio_client.Client(address, verbose=False)
    page.close(verbose=False)


def test_the_endpoint_gives_what_the_library_gives(client, store: ModelStore, frames: list[Path]) -> None:
    from gradio_client import handle_file

    uploads = [handle_file(path) for path in frames]
    answer = client.predict(uploads, ["kpn-l3"], 0.04, 0.0126, "auto", api_name="/denoise_burst")
    burst = mkpn.read_burst(frames, noise=mkpn.Noise(0.04, 0.0126), crop=512)
    result = store.get("kpn-l3")(burst)
    report = mkpn.residual(burst, result.image)
    (row,) = answer["models"]
    assert row["model"] == "kpn-l3"
    assert row["std"] == pytest.approx(report.std, abs=1e-6)
    assert row["verdict"] == report.verdict()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["png"]))))
    assert np.array_equal(picture, to_uint8(result.image))
    assert any("as given" in note for note in answer["notes"])
    assert any("4 photographs are repeated" in note for note in answer["notes"])


def test_bad_calls_are_told_what_is_wrong(client, frames: list[Path]) -> None:
    from gradio_client import handle_file

    uploads = [handle_file(path) for path in frames]
    for arguments, message in (
        ((uploads[:1], [], None, None, "auto"), "burst: expected 2 to 8 photographs, got 1"),
        ((uploads, ["kpn-l9"], None, None, "auto"), "models: expected one of kpn-l3, mkpn, got 'kpn-l9'"),
        ((uploads, [], 0.1, None, "auto"), "sigma_r and sigma_s: expected both or none of them, got one"),
        ((uploads, [], 7, 0.1, "auto"), "sigma_r: expected a number from 0 to 1, got 7"),
        ((uploads, [], None, None, "dark"), "light: expected one of auto, linear, display, got 'dark'"),
        ((uploads, [], None, None, "linear"), "light: expected raw files, got photographs"),
        (("/etc/passwd", [], None, None, "auto"), "photographs: expected a list of uploaded files"),
        ((["/etc/passwd", "/etc/hosts"], [], None, None, "auto"), "photographs: expected an uploaded file, got '/etc"),
    ):
        with pytest.raises(Exception, match=message.replace("(", r"\(")):
            client.predict(*arguments, api_name="/denoise_burst")


def test_the_outcome_shows_every_picture_and_figure(store: ModelStore, frames: list[Path], tmp_path: Path) -> None:
    run = start_captured(frames, ("kpn-l3", "mkpn"), store, tmp_path)
    assert "0 of 2 models" in progress(run)
    for _ in run_captured(run, store):
        done = run.finished[-1]
        assert done.picture.is_file()
        assert Image.open(done.figure).size == (1536, 896)
    html = outcome(run)
    assert html.count("<img ") == 2
    assert html.count(" download=") == 3
    assert {pane["id"]: pane["status"] for pane in compared(run)["panes"]} == dict.fromkeys(
        ("noisy", "kpn-l3", "mkpn"), "done"
    )
    assert all(pane["psnr"] is None for pane in compared(run)["panes"])
    assert "Done." in progress(run)
    assert "&lt;i&gt;1.png has moved by" in html
    assert "<i>" not in html
    run.close()
    assert list(tmp_path.iterdir()) == []
    # What the page may still hold of it has no pixels.
    assert run.burst.frames.untyped_storage().nbytes() == 4
    assert min(run.size) > 48


def test_stop_gives_up_the_network_that_runs(store: ModelStore, frames: list[Path], tmp_path: Path) -> None:
    run = start_captured(frames, ("kpn-l3", "mkpn"), store, tmp_path)
    for _ in run_captured(run, store):
        assert [done.model for done in run.finished] == ["kpn-l3"]
        assert len(store.going) == 1
        run.cancel()
    assert "Stopped: 1 of 2 models are kept." in progress(run)
    assert [pane["status"] for pane in compared(run)["panes"]] == ["done", "done", "stopped"]
    assert len(store.going) == 0
    run.close()


def test_a_network_named_twice_runs_once(
    store: ModelStore, frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_captured(frames, ("kpn-l3", "kpn-l3"), store, tmp_path)
    assert [len(now.finished) for now in run_captured(run, store)] == [1]
    run.close()
    break_network(monkeypatch, "kpn-l3")
    failed = start_captured(frames, ("kpn-l3", "kpn-l3"), store, tmp_path)
    assert len(list(run_captured(failed, store))) == 1
    assert "Done: 0 of 1 models." in progress(failed)
    failed.close()


def test_a_network_that_fails_does_not_lose_the_others(
    client, store: ModelStore, frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_network(monkeypatch, "kpn-l3")
    run = start_captured(frames, ("kpn-l3", "mkpn"), store, tmp_path)
    assert [len(now.finished) for now in run_captured(run, store)] == [0, 1]
    assert [pane["status"] for pane in compared(run)["panes"]] == ["done", "failed", "done"]
    assert "Done: 1 of 2 models." in progress(run)
    assert "KPN L3 failed: RuntimeError: out of memory" in outcome(run)
    run.close()
    uploads = [pytest.importorskip("gradio_client").handle_file(str(path)) for path in frames]
    answer = client.predict(uploads, ["kpn-l3", "mkpn"], None, None, "auto", api_name="/denoise_burst")
    assert [row["model"] for row in answer["models"]] == ["mkpn"]
    assert answer["notes"][-1] == "KPN L3 failed: RuntimeError: out of memory"
    with pytest.raises(Exception, match="KPN L3 failed: RuntimeError: out of memory"):
        client.predict(uploads, ["kpn-l3"], None, None, "auto", api_name="/denoise_burst")


def test_a_new_burst_of_the_page_closes_the_one_before(store: ModelStore, frames: list[Path], tmp_path: Path) -> None:
    with gr.Blocks() as page:
        wire_captured(captured_panel(store, 60), store, tmp_path)
    (denoise,) = (function.fn for function in page.fns.values() if function.name == "denoise")
    assert denoise is not None
    # What is set for raw files is of no matter to photographs.
    first, *_ = denoise(frames, "auto", None, None, "linear", ["kpn-l3"], None)
    assert not first.run.closed
    refused, *_ = denoise(frames[:1], "auto", None, None, "auto", ["kpn-l3"], first.run)
    assert refused.run == KEEP
    assert not first.run.closed
    nothing, *_ = denoise(frames, "auto", None, None, "auto", [], first.run)
    assert "Models: expected at least one, got none" in nothing.outcome
    second, *rest = denoise(frames, "entered", 0.04, 0.01, "auto", ["kpn-l3"], first.run)
    assert "Done." in rest[-1].state
    assert (first.run.closed, second.run.closed) == (True, False)
    second.run.close()
    assert list(tmp_path.iterdir()) == []


def test_stop_while_a_burst_is_read_leaves_nothing(
    store: ModelStore, frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gr.Blocks() as page:
        wire_captured(captured_panel(store, 60), store, tmp_path)
    named = {function.name: function.fn for function in page.fns.values()}
    denoise, stop = named["denoise"], named["stop"]
    assert denoise is not None
    assert stop is not None
    said: list[str] = []
    monkeypatch.setattr(captured, "warn", said.append)

    def read_then_stop(*arguments: Any, **options: Any) -> CapturedRun:
        run = start_captured(*arguments, **options)
        stop(None)
        return run

    kept = store.going.kept
    monkeypatch.setattr(captured, "start_captured", read_then_stop)
    assert list(denoise(frames, "auto", None, None, "auto", ["kpn-l3"], None)) == []
    assert said == ["The burst that was being read is given up."]
    assert list(tmp_path.iterdir()) == []
    assert store.going.kept == kept
    # The next burst of the same visitor is not given up with it.
    monkeypatch.setattr(captured, "start_captured", start_captured)
    *_, last = denoise(frames, "auto", None, None, "auto", ["kpn-l3"], None)
    assert "Done." in last.state
    stop(None)
    assert said[1:] == ["No network is running."]


def test_nothing_is_left_where_a_burst_is_refused(store: ModelStore, frames: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 2 to 8"):
        start_captured(frames[:1], ("mkpn",), store, tmp_path)
    assert list(tmp_path.iterdir()) == []
