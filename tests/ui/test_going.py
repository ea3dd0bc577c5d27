"""The app as a process: its own folder, its end by a signal; runs that are stopped, kept and closed."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mkpn.model.checkpoint import read_metadata, save_model, write_tensors
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.noise import Noise
from mkpn.ui.page.published import table1
from mkpn.ui.run.going import Going
from mkpn.ui.run.models import ModelStore
from mkpn.ui.service.options import ServiceOptions
from mkpn.ui.service.queue import limit_runs

HOME = Path(__file__).parents[2]

# A stand-in for a run that computes and does not end by itself, in a process with the app's folder and signals.
PROCESS = """
import signal, sys, threading
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves run under nohup
from pathlib import Path
from mkpn.ui.launch import leave_on_signals
from mkpn.ui.run.going import Going
from mkpn.ui.run.pictures import PictureFolder, make_root

class Run:
    def __init__(self):
        self.stop, self.owner, self.closed = threading.Event(), "", False
    def cancel(self):
        self.stop.set()

def compute(run):
    with going.computing(run):
        run.stop.wait()
        print("stopped", flush=True)

root, going, run = make_root(Path(sys.argv[1])), Going(), Run()
leave_on_signals(root, going)
PictureFolder(root)
threading.Thread(target=compute, args=[run]).start()
import os
print(os.environ["GRADIO_TEMP_DIR"], flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_run_and_removes_the_folder(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "a#b%20c&copy d"
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder)],
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    uploads = Path(process.stdout.readline().strip())
    assert uploads.is_dir()
    assert uploads.is_relative_to(folder)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    from mkpn.ui.run.pictures import make_root

    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path)], cwd=HOME, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    (left,) = tmp_path.iterdir()
    own = make_root(tmp_path)
    assert left.is_dir(), "its process lives"
    process.kill()
    process.communicate(timeout=60)
    later = make_root(tmp_path)
    assert not left.exists()
    assert {*tmp_path.iterdir()} == {own, later}


def test_a_run_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkpn.ui.run.pictures import PictureFolder
    from mkpn.ui.run.session import start_run
    from mkpn.ui.run.settings import Settings

    def full(self: PictureFolder, name: str, _: Any) -> Path:
        (self.path / f"{name}.png").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PictureFolder, "save", full)
    store = ModelStore(None, "cpu")
    with pytest.raises(OSError, match="No space left"):
        start_run(np.zeros((80, 80, 3), np.float32), "a", Settings(noise=Noise(0, 0)), store, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"GRADIO_SERVER_PORT": "http"}, "GRADIO_SERVER_PORT: expected a port, 1 to 65535, got 'http'"),
        ({"GRADIO_SERVER_PORT": "80000"}, "GRADIO_SERVER_PORT: expected a port, 1 to 65535, got '80000'"),
        ({"GRADIO_ROOT_PATH": "a b"}, "GRADIO_ROOT_PATH: expected a path such as /mkpn or an address, got '/a b'"),
    ],
)
def test_wrong_variables_are_told(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str) -> None:
    from mkpn.ui.launch import launch

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        launch(block=False)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("path", ["mkpn", "/mkpn", "mkpn/", "/mkpn/"])
def test_a_root_path_needs_no_slashes(path: str) -> None:
    assert ServiceOptions(root_path=path).root_path == "/mkpn"
    assert ServiceOptions(root_path="https://lab.example/mkpn/").root_path == "https://lab.example/mkpn"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    from mkpn.ui.run.pictures import make_root

    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match=r"folder: expected one that can be written to, got .*file"):
        make_root(file)


class Run:
    """As much of a run as `Going` asks for."""

    def __init__(self, owner: str) -> None:
        self.owner, self.closed, self.cancelled = owner, False, False

    def cancel(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.closed = True


def test_only_so_many_runs_are_kept_and_none_that_is_computed() -> None:
    going = Going(most_kept=2)
    runs = [Run(name) for name in "abcd"]
    with going.computing(runs[0]):
        for run in runs:
            going.keep(run)
        assert [run.closed for run in runs] == [False, True, True, False]
        going.cancel("b")
        assert not runs[0].cancelled
        assert not going.cancel_all()
        assert runs[0].cancelled
    assert going.cancel_all()


def test_only_runs_count_against_their_limit() -> None:
    taken: list[int] = []

    async def push(body: Any, *_: Any) -> tuple[bool, str, str]:
        taken.append(body.fn_index)
        return True, "id", "success"

    queue = SimpleNamespace(push=push, event_queue_per_concurrency_id={"models": SimpleNamespace(queue=[1, 2])})
    fns = {0: SimpleNamespace(concurrency_id="models"), 1: SimpleNamespace(concurrency_id="quick")}
    page: Any = SimpleNamespace(_queue=queue, fns=fns)
    limit_runs(page, "models", 2)
    done, sentence, kind = asyncio.run(queue.push(SimpleNamespace(fn_index=0), None, None))
    assert (done, kind) == (False, "queue_full")
    assert sentence.startswith("queue: expected at most 2 waiting runs")
    assert asyncio.run(queue.push(SimpleNamespace(fn_index=1), None, None))[0]
    assert taken == [1]


def test_a_job_that_nobody_listens_to_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two jobs one is read, though never to the end, the other one only joined."""
    from mkpn.ui.service import queue as service_queue

    # A clock of its own: a busy machine must not make a listener late.
    now = [0.0]
    monkeypatch.setattr(service_queue, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(service_queue, "_STEP", 0.001)
    going, runs = Going(), {name: Run(name) for name in ("heard", "unheard")}
    events: dict[str, Any] = {
        name: SimpleNamespace(
            session_hash=name,
            concurrency_id="models",
            alive=True,
            _id=name,
            fn=SimpleNamespace(api_name="run"),
            request=SimpleNamespace(scope={}),
        )
        for name in runs
    }
    messages = {name: asyncio.Queue[int]() for name in runs}

    async def clean_events(*, event_id: str) -> None:
        events[event_id].alive = False

    queue = SimpleNamespace(
        active_jobs=[[event] for event in events.values()],
        event_queue_per_concurrency_id={},
        pending_messages_per_session=messages,
        clean_events=clean_events,
    )
    page: Any = SimpleNamespace(_queue=queue)

    async def watch() -> None:
        async with service_queue.stopping_unheard(page, going, "models"):
            for _ in range(8):
                for name in runs:
                    for _ in range(3):
                        messages[name].put_nowait(1)
                await asyncio.sleep(0.01)
                while messages["heard"].qsize() > 1:
                    messages["heard"].get_nowait()
                now[0] += service_queue.UNHEARD_SECONDS / 5
                await asyncio.sleep(0.01)

    with going.computing(runs["heard"]), going.computing(runs["unheard"]):
        asyncio.run(watch())
    assert {name: run.cancelled for name, run in runs.items()} == {"heard": False, "unheard": True}


def test_a_job_that_was_cancelled_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's /cancel takes the job off its list; all networks of its run were computed beside the next visitor's."""
    from mkpn.ui.service import queue as service_queue

    monkeypatch.setattr(service_queue, "_STEP", 0.001)
    going, cancelled, other, of_no_job = Going(), Run("one session"), Run("one session"), Run("")
    first, second = (
        SimpleNamespace(session_hash="one session", concurrency_id="models", alive=True, _id=name)
        for name in ("first", "second")
    )
    queue = SimpleNamespace(active_jobs=[[first]], event_queue_per_concurrency_id={}, pending_messages_per_session={})
    page: Any = SimpleNamespace(_queue=queue)

    async def watch() -> None:
        async with service_queue.stopping_unheard(page, going, "models"):
            with going.computing(of_no_job), going.computing(cancelled):
                await asyncio.sleep(0.05)
                assert not cancelled.cancelled
                # The next job of the same client begins while the first one's run has not ended.
                queue.active_jobs = [[second]]
                with going.computing(other):
                    await asyncio.sleep(0.05)

    asyncio.run(watch())
    assert (cancelled.cancelled, other.cancelled, of_no_job.cancelled) == (True, False, False)


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A good checkpoint, one of another network under its name, one without a configuration, one that is text."""
    for name, config in (("kpn-l1", "kpn-l1"), ("kpn-l3", "kpn-l5")):
        network = KernelPredictionNetwork(model_config(config))
        save_model(tmp_path / f"{name}.safetensors", network.config, network.state_dict(), {})
    write_tensors(tmp_path / "kpn-l7.safetensors", {"a": torch.zeros(1)}, {"config": [1]})
    (tmp_path / "mkpn.safetensors").write_text("text")
    return tmp_path


def test_odd_checkpoints_are_named_and_left_out(odd_folder: Path) -> None:
    store = ModelStore(odd_folder, "cpu")
    assert store.names == ("kpn-l1",)
    assert store.left_out == [
        "kpn-l3.safetensors: expected the kernels of KPN L3, got sizes [5]",
        "kpn-l7.safetensors: expected a checkpoint of this program (TypeError)",
        "mkpn.safetensors: expected a checkpoint of this program (ValueError)",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [{"model": "mkpn", "gain": "<script>alert(1)</script>", "psnr": 1.0, "ssim": 0.5, "images": 1}]},
        {"rows": [{"model": "mkpn", "gain": 1, "psnr": "<script>", "ssim": 0.5, "images": 1}]},
        {"metric": {"border": "<script>", "channels": "rgb"}},
        {"settings": {"images": 3}},
        {"rows": []},
    ],
)
def test_figures_that_are_none_are_not_shown(tmp_path: Path, change: dict[str, Any]) -> None:
    good = {
        "metric": {"border": 8, "channels": "rgb"},
        "settings": {"images": ["<script>set"], "crop": 0, "downsample": 1, "seed": 0},
        "rows": [{"model": "<script>net", "gain": 1, "psnr": 30.0, "ssim": 0.5, "images": 1}],
    }
    path = tmp_path / "mkpn.safetensors"
    for stamp, shown in ((good, True), ({**good, **change}, False), ([1], False)):
        write_tensors(path, {"a": torch.zeros(1)}, {"config": {}, "metrics": stamp})
        html = table1({"mkpn": read_metadata(path)})
        assert "<script" not in html
        assert ("30.00" in html) is shown


def test_gradio_writes_below_the_app_s_folder() -> None:
    from gradio.utils import get_upload_folder

    from mkpn.ui.run.pictures import make_root

    make_root()
    assert Path(get_upload_folder()) == Path(os.environ["GRADIO_TEMP_DIR"])
    assert "mkpn-studio-" in get_upload_folder()
