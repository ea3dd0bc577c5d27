"""Every call ends in a result or in one sentence, and the server goes on: no traceback, no folder, no foreign file.

`MKPN_LONG=1` makes 400 calls and sends 200 files instead of the first ones; `-s` shows the report.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from odd_calls import API, Answer, Call, odd_calls, perform
from odd_files import odd_files
from serving import HOME, Server

LONG = os.environ.get("MKPN_LONG") == "1"
LONGEST = 450  # characters of a sentence


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address) as client:
        yield client


@pytest.fixture
def uploaded(client: httpx.Client, small_picture: Path) -> str:
    """Where the server has put the small picture."""
    return upload(client, "cat.png", small_picture.read_bytes()).json()[0]


def upload(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return client.post(f"{API}/upload", files={"files": (name, data)}, timeout=60)


def problem(call: Call, answer: Answer, server: Server) -> str:
    """What is wrong with an answer; empty for a result or a sentence."""
    refused = answer.last in ("error", "nothing") or answer.status >= 400
    whole = f"{answer.body} {json.dumps(answer.data)} {answer.notices}"
    if answer.status >= 500:
        return f"status {answer.status}"
    if refused and call.method != "HEAD" and not answer.reason:
        return "no reason"
    if refused and (len(answer.reason) > LONGEST or "\n" in answer.reason):
        return f"no single sentence: {answer.reason[:200]}"
    if "Traceback" in whole or str(HOME) in whole or "site-packages" in whole or "root:x:0" in whole:
        return f"shows the server: {whole[:300]}"
    # The way of an upload is Gradio's own: the client is told it, and sends it back.
    if refused and b"UPLOADED" not in (call.content or b"") and str(server.folder) in whole:
        return f"shows a folder: {whole[:300]}"
    return ""


def test_every_call_ends_in_a_result_or_a_sentence(server: Server, client: httpx.Client, uploaded: str) -> None:
    info, config = client.get(f"{API}/info").json(), client.get("/config").json()
    before, outcomes, problems = server.memory(), Counter[str](), list[str]()
    count = 400 if LONG else 60
    for call in odd_calls(info, config, count):
        answer = perform(client, call, uploaded)
        outcomes[answer.last or str(answer.status)] += 1
        if wrong := problem(call, answer, server):
            problems.append(f"{call.kind[:200]}: {wrong}")
    print(f"\n{count} calls: {dict(outcomes)}, {len(problems)} problems, {server.memory() - before} MB more")
    assert problems == []
    assert server.tracebacks() == ""
    assert outcomes["complete"] > count / 10
    assert outcomes["error"] > count / 10
    # A call that was given up ends with the layer that it computes.
    end = time.monotonic() + 30
    while client.get("/health").json()["queue"]["running"]:
        assert time.monotonic() < end, "a run goes on that nobody waits for"
        time.sleep(0.1)


def test_every_upload_ends_in_a_picture_or_a_sentence(server: Server, client: httpx.Client) -> None:
    take = next(one["id"] for one in client.get("/config").json()["dependencies"] if one["api_name"] == "take_upload")
    count = 200 if LONG else 24
    outcomes, problems = Counter[str](), list[str]()
    for index, file in enumerate(odd_files(count, seed=1)):
        # A name that HTTP cannot carry is none that a server hears of; the page tells its own one later.
        sent = upload(client, file.name.encode("ascii", "ignore").decode() or "x", file.data)
        assert sent.status_code in (200, 400, 413), (file.kind, sent.text)
        if sent.status_code != 200:
            outcomes["refused by its name"] += 1
            continue
        data = {"path": sent.json()[0], "name": file.name.encode("utf-8", "replace").decode()}
        body = {"fn_index": take, "data": [None], "event_data": data, "session_hash": f"upload{index}"}
        call = Call(file.kind, "POST", f"{API}/queue/join", json.dumps(body).encode(), event=True)
        answer = perform(client, call, "")
        outcomes["refused" if answer.notices else answer.last] += 1
        refused = Answer(200, "", "error", " ".join(answer.notices)) if answer.notices else answer
        if wrong := problem(call, refused, server):
            problems.append(f"{file.kind}, called {file.name[:60]!r}: {wrong}")
    print(f"\n{count} uploads: {dict(outcomes)}, {len(problems)} problems")
    assert problems == []
    assert server.tracebacks() == ""
    assert min(outcomes["complete"], outcomes["refused"]) > count / 10


def test_no_file_of_another_server_is_fetched(client: httpx.Client) -> None:
    image = {"path": "https://example.com/x.png", "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [image, 4, 0, 1, ["kpn-l1"], False]}).encode()
    answer = perform(client, Call("remote", "POST", f"{API}/call/denoise", body, event=True), "")
    assert answer.reason == "data: expected uploaded files, got the address of one on another server"


def test_a_large_file_of_nothing_is_no_burden(server: Server, client: httpx.Client) -> None:
    """The largest picture that is read, eight times: the memory comes back."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGBA", (4000, 4000)).save(buffer, "WEBP", lossless=True)
    take = next(one["id"] for one in client.get("/config").json()["dependencies"] if one["api_name"] == "take_upload")
    before = server.memory()
    for index in range(8 if LONG else 1):
        path = upload(client, "flat.webp", buffer.getvalue()).json()[0]
        data = {"path": path, "name": "flat.webp"}
        body = {"fn_index": take, "data": [None], "event_data": data, "session_hash": f"flat{index}"}
        perform(client, Call("flat", "POST", f"{API}/queue/join", json.dumps(body).encode(), event=True), "")
    assert server.memory() - before < 400


def test_an_endpoint_that_there_is_not_is_named(client: httpx.Client) -> None:
    answer = client.post(f"{API}/call/nothing", json={"data": []})
    assert (answer.status_code, "endpoint" in answer.json()["detail"]) == (404, True)
