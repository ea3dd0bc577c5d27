"""Ctrl+C and SIGTERM while networks run: the process ends by itself, with code 0, and leaves nothing.

An app starts for each, so `MKPN_LONG=1` is needed; `tests/ui/test_going.py` does the same with a stand-in.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from serving import serving
from visiting import visiting

from mkpn.model.config import MODELS

pytestmark = pytest.mark.skipif(os.environ.get("MKPN_LONG") != "1", reason="starts two apps: MKPN_LONG=1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_run(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        config = httpx.get(f"{server.address}/config").json()
        with visiting(server.address, "signal", config) as page:

            def run() -> None:
                try:
                    page.send("pick_example", event_data={"name": "Chelsea the cat"})
                    page.run(list(MODELS))
                except httpx.HTTPError:
                    pass  # the server has gone

            visitor = threading.Thread(target=run)
            visitor.start()
            end = time.monotonic() + 120
            while not httpx.get(f"{server.address}/health").json()["queue"]["running"]:
                assert time.monotonic() < end
            time.sleep(0.5)
            server.process.send_signal(number)
            assert server.process.wait(30) == 0
            visitor.join(60)
        assert server.tracebacks() == ""
        assert "terminate" not in server.log.read_text("utf-8")
        assert list(server.folder.iterdir()) == []
