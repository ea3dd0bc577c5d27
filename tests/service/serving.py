"""The app as a process of its own, as one leaves it running: its address, its log, its memory."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import mkpn

HOME = Path(mkpn.__file__).parents[1]
START = 400  # seconds; a few, unless the machine is busy


@dataclass
class Server:
    """A running app.

    Attributes:
        address: without a slash at its end.
        process: of the server.
        log: what it has written, stdout and stderr.
        folder: its folder of temporary files.
        forget_seconds: how long it keeps what closed pages leave.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    folder: Path
    forget_seconds: int = 3

    def memory(self, key: str = "VmRSS") -> int:
        """Memory in MB; `VmHWM` is the peak."""
        return self.memory_kb(key) // 1024

    def memory_kb(self, key: str = "VmRSS") -> int:
        """The same in KB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key))

    def runs(self) -> set[Path]:
        """The folders of runs that are kept; the first results, which all visitors are shown, have one, too."""
        return set(self.folder.glob("mkpn-studio-*/run-*"))

    def records(self) -> list[dict[str, Any]]:
        """The lines of its log that are JSON."""
        # The last line may not be whole yet.
        lines = self.log.read_text("utf-8").rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, request_id: str, lines: int = 1) -> list[dict[str, Any]]:
        """The lines of the log that belong to a request, of which there must be so many; an answer comes before its."""
        end = time.monotonic() + 60
        while True:
            found = [record for record in self.records() if record.get("request_id") == request_id]
            if len(found) >= lines or time.monotonic() > end:
                return found
            time.sleep(0.05)

    def tracebacks(self) -> str:
        """The end of the log where it holds a traceback, else nothing."""
        text = self.log.read_text("utf-8")
        return text[text.index("Traceback") - 500 :][:5000] if "Traceback" in text else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, *options: str, **variables: str) -> Iterator[Server]:
    """Starts `app.py` and ends it with SIGTERM.

    Args:
        folder: for its log and its temporary files.
        options: of `app.py`, beside port, device and log.
        variables: of the environment.
    """
    port = free_port()
    kept = folder / "tmp"
    kept.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(kept), **variables}
    environment.pop("GRADIO_TEMP_DIR", None)
    command = [sys.executable, "app.py", "--port", str(port), "--device", "cpu", "--log", "json"]
    command += ["--forget-seconds", str(Server.forget_seconds), *options]
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=HOME, env=environment, stdout=out, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}", process, log, kept)
    try:
        _wait(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server) -> None:
    """Waits until all models are loaded and have made the first results, so that no test measures either."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert server.process.poll() is None, server.log.read_text("utf-8")
        try:
            models = httpx.get(f"{server.address}/health").json()["models"]
        except httpx.HTTPError:
            models = {}
        computed = sum(record["message"] == "model" for record in server.records())
        if models and models["found"] == models["loaded"] <= computed:
            return
        server.process.poll()
        time.sleep(0.1)
    raise AssertionError(f"not up after {START} s: {server.log.read_text('utf-8')}")
