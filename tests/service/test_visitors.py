"""What a visitor leaves behind: kept while the page is open, gone soon after it is closed, memory and disk."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import httpx
import pytest
from serving import Server
from visiting import completed, visiting

from mkpn.ui.run.going import Going
from mkpn.ui.service.logs import LOGGER
from mkpn.ui.service.uploads import trim
from mkpn.ui.service.visitors import Visitors
from mkpn.ui.service.watch import every


def kept(server: Server) -> dict[str, int]:
    return httpx.get(f"{server.address}/health").json()["kept"]


def wait_until_forgotten(server: Server, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while kept(server) != {"sessions": 0, "runs": 0}:
        assert time.monotonic() < end, kept(server)
        time.sleep(0.2)


def test_a_closed_page_leaves_nothing(server: Server, small_picture: Path) -> None:
    config = httpx.get(f"{server.address}/config").json()
    wait_until_forgotten(server)
    before = server.runs()
    with visiting(server.address, "leaver", config) as page:
        page.upload(small_picture)
        assert completed(page.run(["kpn-l1"]))["success"]
        # An open page keeps its results, however long its visitor only looks at them.
        time.sleep(server.forget_seconds + 2)
        assert kept(server) == {"sessions": 1, "runs": 1}
        assert len(server.runs() - before) == 1
    wait_until_forgotten(server)
    assert server.runs() <= before
    assert list(server.folder.glob("mkpn-studio-*/upload-*.png")) == []
    # Who comes back is told to choose again, instead of getting a result of another picture.
    with visiting(server.address, "leaver", config) as page:
        told = [message["log"] for message in page.run(["kpn-l1"]) if message["msg"] == "log"]
        assert told == ["This page was away for so long that its picture is no longer kept: choose it again."]
        page.upload(small_picture)
        assert "Done: 1 models" in str(completed(page.run(["kpn-l1"])))
    wait_until_forgotten(server)
    assert server.tracebacks() == ""


def test_a_job_s_lines_carry_the_id_of_its_request(server: Server, small_picture: Path) -> None:
    config = httpx.get(f"{server.address}/config").json()
    with visiting(server.address, "logged", config) as page:
        page.upload(small_picture)
        page.client.headers["x-request-id"] = "run-of-7"
        page.run(["kpn-l1"])
    # Join and its messages, the event, the model.
    lines = server.logged("run-of-7", 4)
    (event,) = [line for line in lines if line["message"] == "event"]
    assert (event["event"], event["outcome"], event["session"]) == ("run", "done", "logged")
    assert event["ms"] > 0
    # From the worker's thread, while the networks ran.
    assert [line["model"] for line in lines if line["message"] == "model"] == ["kpn-l1"]


def request(path: str, query: bytes = b"", method: str = "GET") -> dict[str, object]:
    return {"path": path, "query_string": query, "method": method}


def test_who_listens_is_there() -> None:
    visitors, long_ago = Visitors(), time.monotonic() - 1000
    assert visitors.away("a", long_ago) >= 1000
    with visitors.listening(request("/gradio_api/heartbeat/a")):
        with visitors.listening(request("/gradio_api/queue/data", b"x=1&session_hash=a")):
            pass
        assert visitors.away("a", long_ago) == 0
        assert visitors.away("b", long_ago) >= 1000
    assert visitors.away("a", long_ago) < 10
    for other in (request("/gradio_api/heartbeat/b", method="POST"), request("/"), request("/gradio_api/queue/data")):
        with visitors.listening(other):
            assert visitors.away("b", long_ago) >= 1000
    with visitors.listening(request("/gradio_api/call/denoise/event7")):
        assert visitors.away("event7", long_ago) == 0
    visitors.forget_unknown({"a"}, -1)
    assert visitors.away("event7", long_ago) >= 1000
    assert visitors.away("a", long_ago) < 10


def test_only_so_many_forgotten_names_are_remembered() -> None:
    going = Going()
    for number in range(10_002):
        going.forget(str(number))
    assert [going.forgotten(name) for name in ("0", "1", "2", "10001")] == [False, False, True, True]
    going.welcome("2")
    assert not going.forgotten("2")


def test_the_oldest_uploads_go_first(tmp_path: Path) -> None:
    # Neither the names nor the order in which a folder lists them tell the age.
    for number, name in enumerate("cab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(bytes(100))
        os.utime(tmp_path / name / "x.png", (number, number))
    each = 2 * 4096  # a block of its own, and one for its folder
    assert trim(tmp_path, 3 * each) == 0
    assert trim(tmp_path, 3 * each - 1) == 1
    assert sorted(path.parent.name for path in tmp_path.rglob("*.png")) == ["a", "b"]
    assert trim(tmp_path, 3 * each // 2) == 1
    assert [path.parent.name for path in tmp_path.rglob("*.png")] == ["b"]
    # A folder that is empty then goes, too.
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert trim(tmp_path / "none", 0) == 0


def test_many_small_uploads_are_counted_as_what_they_take_on_disk(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "x.png").write_bytes(b"x")
    assert trim(tmp_path, 2**16) == 92
    assert len(list(tmp_path.iterdir())) == 8


def test_an_upload_that_cannot_be_deleted_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate("ab"):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (number, number))
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self.name == "a":
            raise PermissionError(1, "Operation not permitted", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert trim(tmp_path, 100) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_watch_goes_on_after_a_step_that_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    async def step() -> None:
        taken.append(len(taken))
        if len(taken) == 1:
            raise OSError("no such folder")

    async def live() -> None:
        async with every(0.001, step):
            for _ in range(10_000):
                if len(taken) >= 3:
                    return
                await asyncio.sleep(0.001)

    monkeypatch.setattr(LOGGER, "propagate", True)
    asyncio.run(live())
    assert len(taken) >= 3
    # Of what tests before this one left behind, Python may tell at any time.
    own = [record for record in caplog.records if record.name == LOGGER.name]
    assert [record.exc_info is not None for record in own] == [True]
