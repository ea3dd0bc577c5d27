"""The guard before every request: which hosts, sites, paths and sizes are let in, and which headers an answer has.

It stands outermost, around Gradio's own middleware, which would let every site call a public app (see `around`).
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from gradio.route_utils import FnIndexInferError

from mkpn.ui.run.pictures import PICTURES
from mkpn.ui.service.logs import LOGGER, REQUEST_ID, request_id
from mkpn.ui.service.options import FILES_AT_ONCE, ServiceOptions
from mkpn.ui.service.visitors import Visitors

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""This machine's names for itself."""

_MESSAGE_BYTES = 4 * 2**20  # of any other request: a saved view has up to a million characters
_JOIN = "/gradio_api/queue/join"
_AT_START = (("GET", "/gradio_api/startup-events"), ("HEAD", "/"))
_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FILE = re.compile(r"/gradio_api/file=(?!https?:)", re.IGNORECASE)
_READ = re.compile(
    r"/|/(config|logout|manifest\.json|robots\.txt|favicon\.ico|theme\.css|pwa_icon.*)"
    r"|/(assets|static|svelte)/.*"
    r"|/gradio_api/(info|startup-events|theme\.css|user|token|app_id|login_check|upload_progress|queue/data)/?"
    r"|/gradio_api/(call|heartbeat|mcp)/.*|/gradio_api/mcp"
)
_SENT = re.compile(
    r"/login/?|/gradio_api/(upload|queue/join|component_server|cancel|reset)/?|/gradio_api/(call|mcp)/.*|/gradio_api/mcp"
)


class App(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one connection."""


class TooLarge(Exception):
    """A request has more bytes than it may have."""


class Refusal(Exception):
    """What a request is refused with: the status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """An ASGI application around another one.

    Attributes:
        app: what answers the requests that are let in.
        options: hosts, origins, frames, sizes.
        root: folder of the pictures, which addresses leave out.
        health: tells how the service is, for `/health`.
        visitors: told of the requests that an open page holds.
    """

    def __init__(
        self,
        app: App,
        options: ServiceOptions,
        root: Path,
        health: Callable[[], Mapping[str, Any]],
        host: str = "0.0.0.0",
        visitors: Visitors | None = None,
    ) -> None:
        """Takes over an application; `host` is the address that it listens on."""
        self.app, self.options, self.root, self.health = app, options, root, health
        self.visitors = Visitors() if visitors is None else visitors
        self._local_only = host in LOOPBACK and not (options.hosts or options.root_path or options.share)
        self._extra = [(name.encode(), value.encode()) for name, value in _response_headers(options).items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers `/health`, refuses what may not come in, and hands the rest on."""
        if scope["type"] != "http":
            if scope["type"] != "websocket":  # Gradio needs none
                await self.app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        own = _value(headers, b"x-request-id")
        token = request_id.set(own if _OWN_ID.fullmatch(own) else uuid.uuid4().hex)
        began, status, asked = time.perf_counter(), 0, scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._answered(message["headers"], headers)
            await send(message)

        async def worded(message: Message) -> None:
            """Lets an answer pass, unless it is one that Gradio words for programmers: they get a sentence instead."""
            if message["type"] == "http.response.start" and message["status"] in (422, 500):
                if asked["path"].rstrip("/") == "/login":
                    raise Refusal(400, "login: expected a name and a password")
                raise Refusal(message["status"], "body: expected the JSON of a call, with the fields that it needs")
            await answer(message)

        try:
            scope = self._admitted(scope)
            if scope["path"] == "/health":
                found = dict(self.health())
                await _respond(answer, 200 if found["status"] == "ok" else 503, found)
            # Gradio asks itself so at its start, gives up after 3 s, and would make the whole page for it.
            elif (scope["method"], scope["path"]) == ("HEAD", "/"):
                await _respond(answer, 200, {})
            else:
                with self.visitors.listening(scope):
                    await self.app(scope, self._counted(scope, receive), worded)
        # Whatever it is, the visitor learns no more than a sentence; the log has the rest with the request's id.
        except Exception as error:
            refusal = self._refusal(error, asked)
            if refusal.status == 500:
                LOGGER.error("request failed", exc_info=error)
            if not status:
                await _respond(answer, refusal.status, {"detail": str(refusal)})
        finally:
            self._log(asked, status, began)
            request_id.reset(token)

    def _refusal(self, error: BaseException, scope: Message) -> Refusal:
        """What the visitor hears of an error, judged by what it came from."""
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__context__) is not None:
            causes.append(cause)
        if any(isinstance(cause, TooLarge) for cause in causes):
            return Refusal(413, self._size_sentence(scope))
        # Gradio looks the event up in a dictionary without having asked whether it is there.
        if scope["path"].rstrip("/") == _JOIN and any(isinstance(cause, KeyError) for cause in causes):
            return Refusal(404, "fn_index: expected the number of an event of this page")
        if any(isinstance(cause, FnIndexInferError) for cause in causes):
            return Refusal(404, "path: expected the name of an endpoint; /gradio_api/info lists them")
        if isinstance(error, Refusal) and error.status != 500:
            return error
        return Refusal(500, f"The server failed; its log has request {request_id.get()}.")

    def _admitted(self, scope: Message) -> Message:
        """Returns the scope that the app may see.

        Raises:
            Refusal: if the request may not come in.
        """
        headers: Headers = scope["headers"]
        path, method = scope["path"], scope["method"]
        host = _value(headers, b"host")
        # An orchestrator asks by an address that is none of the app's names, and so does Gradio when it starts.
        if (path == "/health" and method in ("GET", "HEAD")) or (method, path) in _AT_START:
            return scope
        forwarded = _value(headers, b"x-forwarded-host").split(",")[0].strip()
        known = self.options.hosts
        if known and not (host in known and forwarded in ("", *known)):
            raise Refusal(421, "host: expected one of the names that this app is served by")
        # Otherwise any site could let its name mean this machine, and its pages would call the app as their own.
        if self._local_only and _without_port(host) not in LOOPBACK:
            raise Refusal(421, "host: expected a name of this machine; --hosts lets others in")
        origin = _value(headers, b"origin")
        if method in _CHANGES and origin and not self._may_call(origin, host):
            raise Refusal(403, "origin: expected this app's own page, got a call from another site")
        if method == "OPTIONS":
            raise Refusal(204 if origin in self.options.origins else 403, "origin: expected a site that may call")
        readable = _FILE.match(path) or _READ.fullmatch(path)
        if not (readable if method in ("GET", "HEAD") else method == "POST" and _SENT.fullmatch(path)):
            raise Refusal(404, "path: expected an address of this app")
        length = _value(headers, b"content-length")
        if length.isdigit() and int(length) > self._most_bytes(path):
            raise Refusal(413, self._size_sentence(scope))
        # Gradio would build addresses from them, and so lead the page to whatever a proxy or a visitor names.
        dropped = (b"x-gradio-server",) if known else (b"x-gradio-server", b"x-forwarded-host")
        if path.startswith(f"/{PICTURES}"):
            picture = self._kept_picture(path.removeprefix(f"/{PICTURES}"))
            if picture is None:
                raise Refusal(404, "path: expected a picture that is still kept")
            path = f"/gradio_api/file={picture.as_posix()}"
        kept = [(name, value) for name, value in headers if name not in dropped]
        return {**scope, "path": path, "headers": kept, REQUEST_ID: request_id.get()}

    def _kept_picture(self, name: str) -> Path | None:
        try:
            picture = (self.root / name.lstrip("/")).resolve()
            kept = picture.is_relative_to(self.root) and picture.is_file()
        # No file can have such a name: it is too long, or has a NUL.
        except (OSError, ValueError):
            return None
        return picture if kept else None

    def _may_call(self, origin: str, host: str) -> bool:
        own = {host, urlsplit(self.options.root_path).netloc, *self.options.hosts} - {""}
        try:
            site = urlsplit(origin).netloc
        except ValueError:  # no address, e.g. `http://[`
            return False
        return origin in self.options.origins or site in own

    def _most_bytes(self, path: str) -> int:
        if path.rstrip("/") != "/gradio_api/upload":
            return _MESSAGE_BYTES
        return (FILES_AT_ONCE * self.options.max_upload_mb + 1) * 2**20

    def _size_sentence(self, scope: Message) -> str:
        return f"size: expected at most {self._most_bytes(scope['path']) // 2**20} MB in one request, got more"

    def _counted(self, scope: Message, receive: Receive) -> Receive:
        """Ends a request whose body, of whatever announced length, becomes too long."""
        left = self._most_bytes(scope["path"])

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge
            return message

        return counted

    def _answered(self, headers: Headers, asked: Headers) -> Headers:
        """The headers of an answer: Gradio's own leave to other sites goes, ours comes."""
        ours = {b"x-frame-options", *(name for name, _ in self._extra)}
        kept = [
            (name, value)
            for name, value in headers
            if not name.lower().startswith(b"access-control-") and name.lower() not in ours
        ]
        kept += [*self._extra, (b"x-request-id", request_id.get().encode())]
        origin = _value(asked, b"origin")
        if origin in self.options.origins:
            # Gradio's own client sends headers of its own, and a site that was named may send what it likes.
            wanted = _value(asked, b"access-control-request-headers") or "content-type, authorization"
            kept += [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-allow-headers", wanted.encode("latin-1")),
                (b"vary", b"origin, access-control-request-headers"),
            ]
        return kept

    def _log(self, scope: Message, status: int, began: float) -> None:
        path = str(scope["path"])
        LOGGER.info(
            "request",
            extra={
                "fields": {
                    "method": scope["method"],
                    "path": path if len(path) <= 200 else f"{path[:200]}…",
                    "status": status,
                    "ms": round(1000 * (time.perf_counter() - began), 1),
                }
            },
        )


def around(
    options: ServiceOptions, root: Path, health: Callable[[], Mapping[str, Any]], host: str, visitors: Visitors
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Returns the life span that puts the guard around a FastAPI application.

    Middleware that is handed to Gradio stands within Gradio's own, which gives every site leave to call a public app.
    When the application's life begins its stack of middleware is complete, so there it can be taken in as a whole.

    Args:
        options: what may come in.
        root: folder of the pictures.
        health: tells how the service is.
        host: the address that the server listens on.
        visitors: told of the requests that an open page holds.
    """

    @asynccontextmanager
    async def life(app: Any) -> AsyncGenerator[None]:
        app.middleware_stack = Guard(app.middleware_stack, options, root, health, host, visitors)
        yield

    return life


def _response_headers(options: ServiceOptions) -> dict[str, str]:
    framed = " ".join(["'self'", *options.frames])
    headers = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "content-security-policy": f"frame-ancestors {framed}; object-src 'none'; base-uri 'self'",
        "cross-origin-resource-policy": "cross-origin" if options.origins else "same-origin",
    }
    # Old browsers know this one only; it cannot name a site.
    return headers if options.frames else {**headers, "x-frame-options": "SAMEORIGIN"}


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host)


async def _respond(send: Send, status: int, content: Mapping[str, Any]) -> None:
    body = b"" if status == 204 else json.dumps(content, ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _value(headers: Headers, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
