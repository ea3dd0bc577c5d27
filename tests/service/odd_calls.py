"""Calls as nobody should make them, from a seed: endpoints with odd values, the page's own events, odd requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

API = "/gradio_api"
WAIT = 120  # seconds for one answer
UPLOADED = {"path": "UPLOADED", "orig_name": "cat.png", "meta": {"_type": "gradio.FileData"}}
"""Stands for the small picture that has been uploaded."""


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    10**30,
    -0.0,
    1.5,
    1e308,
    "",
    "x" * 100_000,
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "kpn-l1\nkpn-l3",
    "\ud83e\udd8a",
    [],
    {},
    nested(300),
    [None],
    ["kpn-l1"] * 1000,
    [["kpn-l1"]],
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": "/etc/passwd"},
    {"path": "http://127.0.0.1:1/x.png", "meta": {"_type": "gradio.FileData"}},
    {"url": "http://127.0.0.1:1/x.png", "path": "", "meta": {"_type": "gradio.FileData"}},
    {"url": "file:///etc/passwd", "path": None},
    {"path": ["a"], "orig_name": 7},
    {"path": "a\0b"},
    UPLOADED,
    {**UPLOADED, "orig_name": "<img src=x onerror=alert(1)>"},
    {**UPLOADED, "orig_name": "x" * 100_000},
    {**UPLOADED, "orig_name": None},
    "Chelsea the cat\0",
    {"__type__": "update", "value": 1},
    {"background": None, "layers": [], "composite": None},
)

GOOD = {"image": UPLOADED, "model": "kpn-l1", "models": ["kpn-l1"], "gain": 4, "gains": [4], "x": 5, "y": 5, "seed": 1}


@dataclass(frozen=True)
class Call:
    """One request; with `event` the answer comes by the event stream."""

    kind: str
    method: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    event: bool = False


@dataclass(frozen=True)
class Answer:
    """What came: the status, the body, and of an event its last word (`complete` or `error`), data and toasts."""

    status: int
    body: str
    last: str = ""
    data: Any = None
    notices: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The sentence of a refusal, empty where there is none."""
        data = self.data if self.last else _parsed(self.body)
        if isinstance(data, dict):
            data = data.get("error") or data.get("detail")
        return data if isinstance(data, str) else json.dumps(data) if data else ""


def odd_calls(info: dict[str, Any], config: dict[str, Any], count: int, seed: int = 0) -> Iterator[Call]:
    """Yields `count` calls.

    Args:
        info: answer of `/gradio_api/info`.
        config: answer of `/config`.
        count: number of calls.
        seed: the same seed gives the same calls.
    """
    endpoints = info["named_endpoints"]
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        make = (endpoint, event, endpoint, request)[index % 4]
        yield make(rng, endpoints if make is endpoint else config)


def pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def endpoint(rng: np.random.Generator, endpoints: dict[str, Any]) -> Call:
    """A public endpoint with one or two odd values, sometimes with too few or too many."""
    name = pick(rng, sorted(endpoints))
    parameters = endpoints[name]["parameters"]
    data = [GOOD.get(each["parameter_name"], each["parameter_default"]) for each in parameters]
    told = "as it should be"
    for _ in range(int(rng.integers(0, 3))):
        if data:
            place = int(rng.integers(len(data)))
            data[place] = pick(rng, VALUES)
            told = f"{parameters[place]['parameter_name']} = {str(data[place])[:60]!r}"
    if rng.random() < 0.1:
        data = pick(rng, (data[:-1], [*data, 1], [], data * 50))
        told = f"{len(data)} values"
    body = json.dumps({"data": data}).encode()
    return Call(f"{name} {told}", "POST", f"{API}/call{name}", body, event=True)


def event(rng: np.random.Generator, config: dict[str, Any]) -> Call:
    """An event of the page, all of which are reachable by their number, with odd values and odd event data."""
    one = pick(rng, config["dependencies"])
    number = one["id"] if rng.random() < 0.9 else pick(rng, (-1, 10**6, "0", None, 1.5))
    data = [pick(rng, VALUES) if rng.random() < 0.5 else None for _ in one["inputs"]]
    body = {"fn_index": number, "data": data, "session_hash": f"odd{int(rng.integers(10**9))}"}
    if rng.random() < 0.7:
        body["event_data"] = pick(
            rng, (*VALUES, {"name": "Coffee cup"}, {"x": -1, "y": 10**9}, {"path": "/etc/passwd"})
        )
    if rng.random() < 0.2:
        body["trigger_id"] = pick(rng, VALUES)
    told = f"event {number} {one['api_name']} {str(data)[:80]} {str(body.get('event_data'))[:40]}"
    return Call(told, "POST", f"{API}/queue/join", json.dumps(body).encode(), event=True)


def request(rng: np.random.Generator, _config: dict[str, Any]) -> Call:
    """A request that is none of the above."""
    bodies = (
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"data": 1}',
        b'{"data": [], "fn_index": "x"}',
        b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"data": [' + b"9" * 5000 + b"]}",
        b'{"data": [NaN, Infinity]}',
        b'{"session_hash": 7, "fn_index": 0, "data": []}',
        b'{"event_id": "x", "fn_index": 0, "session_hash": "y"}',
        b"\xff\xfe\x00",
        b"x" * 100_000,
    )
    paths = (
        f"{API}/queue/join",
        f"{API}/call/denoise",
        f"{API}/call/nothing",
        f"{API}/call/v2/denoise",
        f"{API}/cancel",
        f"{API}/reset",
        f"{API}/upload",
        f"{API}/run/denoise",
        "/login",
        f"{API}/component_server",
    )
    read = (
        f"{API}/file=/etc/passwd",
        f"{API}/file=/proc/self/environ",
        f"{API}/file=app.py",
        f"{API}/file=" + "x" * 3000,
        f"{API}/file=a%00b",
        f"{API}/file=%2Fetc%2Fpasswd",
        f"{API}/file=pictures/%2e%2e/%2e%2e/etc/passwd",
        f"{API}/file=http://127.0.0.1:1/",
        f"{API}/call/denoise/none",
        f"{API}/queue/data?session_hash=",
        f"{API}/upload_progress?upload_id=none",
        f"{API}/heartbeat/",
        "/static/../../app.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/assets/..%2f..%2fapp.py",
        "/svelte/../../../../etc/passwd",
        "/theme.css?x=" + "y" * 3000,
        "/config?" + "&".join(f"a{i}=1" for i in range(500)),
        f"/{'n' * 3000}",
        "/<script>",
    )
    if rng.random() < 0.4:
        path = pick(rng, read)
        return Call(f"GET {path[:60]}", str(pick(rng, ("GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"))), path)
    path, content = pick(rng, paths), pick(rng, bodies)
    kind = pick(
        rng, ("application/json", "application/json", "text/plain", "multipart/form-data; boundary=x", "x/\x7f")
    )
    headers = {"content-type": kind, **pick(rng, ({}, {"origin": "null"}, {"cookie": "access-token=x"}))}
    return Call(f"POST {path} {kind} {content[:40]!r}", "POST", path, content, headers)


def perform(client: httpx.Client, call: Call, uploaded: str) -> Answer:
    """Makes a call and waits for its answer; `uploaded` is the path of the small picture."""
    content = call.content and call.content.replace(b'"UPLOADED"', json.dumps(uploaded).encode())
    answer = client.request(call.method, call.path, content=content, headers=call.headers, timeout=WAIT)
    if not call.event or answer.status_code != 200:
        return Answer(answer.status_code, answer.text)
    queued = answer.json()
    if call.path.endswith("/queue/join"):
        session = json.loads(content or b"{}")["session_hash"]
        return _listen(client, f"{API}/queue/data?session_hash={session}", by_message=True)
    return _listen(client, f"{call.path}/{queued['event_id']}", by_message=False)


def _listen(client: httpx.Client, path: str, by_message: bool) -> Answer:
    last, notices = "", []
    with client.stream("GET", path, timeout=WAIT) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                last = line.removeprefix("event: ")
            if not line.startswith("data: "):
                continue
            data = json.loads(line.removeprefix("data: "))
            if by_message:
                if data["msg"] == "log":
                    notices.append(data["log"])
                if data["msg"] == "process_completed":
                    last = "complete" if data["success"] else "error"
                    return Answer(200, "", last, data["output"], tuple(notices))
                if data["msg"] in ("unexpected_error", "server_stopped"):
                    return Answer(200, "", "error", data.get("message"))
            elif last in ("complete", "error"):
                return Answer(200, "", last, data)
    return Answer(200, "", "nothing")


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
