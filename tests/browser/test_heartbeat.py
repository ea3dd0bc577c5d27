"""A page whose connections are cut, as by a proxy or a computer that sleeps, keeps its run as long as it is open."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

FORGET = 4  # seconds


class CuttingProxy:
    """Hands every connection on to the app.

    Attributes:
        address: of the proxy.
        heartbeats: the connections over which the page has asked for its heartbeat.
    """

    def __init__(self, port: int) -> None:
        self.port, self.heartbeats = port, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Breaks the heartbeats' connections."""
        for connection in self.heartbeats:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                app = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self._pipe, args=(client, app), daemon=True).start()
                threading.Thread(target=self._pipe, args=(app, client), daemon=True).start()

    def _pipe(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                if b"GET /gradio_api/heartbeat/" in data:
                    self.heartbeats.append(source)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(chromium: object, untrained: Path) -> Iterator[CuttingProxy]:
    """In front of an app that soon forgets who has gone."""
    from mkpn.ui.launch import launch
    from mkpn.ui.service.options import ServiceOptions

    del chromium  # asked for so that nothing is launched where it is missing
    page, address = launch(
        device="cpu", checkpoints=untrained, block=False, service=ServiceOptions(forget_seconds=FORGET)
    )
    made = CuttingProxy(int(address.rstrip("/").rpartition(":")[2]))
    yield made
    made.close()
    page.close(verbose=False)


def test_a_page_whose_heartbeat_breaks_keeps_its_run(chromium, proxy: CuttingProxy) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(proxy.address)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done", timeout=120_000)
    proxy.cut()
    end = time.monotonic() + 30
    while len(proxy.heartbeats) < 2 and time.monotonic() < end:
        page.wait_for_timeout(100)
    assert len(proxy.heartbeats) == 2
    page.wait_for_timeout(1000 * (FORGET + 3))
    caption = page.locator("#overview .caption")
    before = caption.inner_text()
    page.locator("#overview .overview").click(position={"x": 30, "y": 30})
    expect(caption).not_to_have_text(before)
    expect(page.get_by_text("no longer kept")).to_have_count(0)
    page.close()
