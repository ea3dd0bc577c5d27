"""A visitor at the level of the page: session, heartbeat, upload, events, as a browser makes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

API = "/gradio_api"
WAIT = 120


class PageVisitor:
    """One open page.

    Attributes:
        client: its connection.
        session: its random name.
        events: the page's events by name: id and number of inputs.
    """

    def __init__(self, client: httpx.Client, session: str, config: dict[str, Any]) -> None:
        self.client, self.session = client, session
        self.events = {one["api_name"]: (one["id"], len(one["inputs"])) for one in config["dependencies"]}

    def send(self, name: str, data: list[Any] | None = None, event_data: Any = None) -> list[dict[str, Any]]:
        """Sends an event and returns all messages up to its end."""
        number, inputs = self.events[name]
        body = {
            "fn_index": number,
            "data": [None] * inputs if data is None else data,
            "session_hash": self.session,
            "event_data": event_data,
        }
        answer = self.client.post(f"{API}/queue/join", json=body)
        assert answer.status_code == 200, answer.text
        return list(self._messages())

    def upload(self, picture: Path, name: str = "cat.png") -> list[dict[str, Any]]:
        """Uploads a picture and lets the page take it."""
        sent = self.client.post(f"{API}/upload", files={"files": (name, picture.read_bytes())})
        return self.send("take_upload", event_data={"path": sent.json()[0], "name": name})

    def run(self, models: list[str], seed: int = 1, gain: str = "4") -> list[dict[str, Any]]:
        """Presses Run."""
        controls = [1, "shrink", gain, 0.0, 0.0, 1.5, 2, 16, seed, models]
        return self.send("run", [None, "noisy", 64, None, *controls])

    def _messages(self) -> Iterator[dict[str, Any]]:
        with self.client.stream("GET", f"{API}/queue/data?session_hash={self.session}", timeout=WAIT) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    message = json.loads(line.removeprefix("data: "))
                    yield message
                    if message["msg"] in ("close_stream", "unexpected_error", "server_stopped"):
                        return


@contextmanager
def visiting(address: str, session: str, config: dict[str, Any]) -> Iterator[PageVisitor]:
    """Opens a page: its heartbeat goes on until the block ends."""
    over = threading.Event()

    def listen() -> None:
        with (
            httpx.Client(base_url=address, timeout=None) as client,
            client.stream("GET", f"{API}/heartbeat/{session}") as stream,
        ):
            assert stream.status_code == 200
            for _ in stream.iter_lines():
                there.set()
                over.wait()
                return

    there = threading.Event()
    heart = threading.Thread(target=listen, daemon=True)
    heart.start()
    assert there.wait(WAIT)
    try:
        with httpx.Client(base_url=address, timeout=WAIT) as client:
            yield PageVisitor(client, session, config)
    finally:
        over.set()
        heart.join(WAIT)


def completed(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The last word of an event."""
    return next(message for message in reversed(messages) if message["msg"] == "process_completed")


def denoised(
    client: httpx.Client, picture: Path, gain: int, seed: int, models: list[str], name: str = "cat.png"
) -> list[dict[str, Any]]:
    """One call of `/denoise` with an upload, as a client makes it; the last table."""
    path = client.post(f"{API}/upload", files={"files": (name, picture.read_bytes())}).json()[0]
    image = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    call = f"{API}/call/denoise"
    event = client.post(call, json={"data": [image, gain, seed, 1, models, False]}).json()["event_id"]
    text = client.get(f"{call}/{event}").text
    kind, _, last = text.rstrip().rpartition("event: ")[2].partition("\ndata: ")
    assert kind == "complete", text
    return json.loads(last)[0]
