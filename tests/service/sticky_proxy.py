"""A small proxy that sends each visitor always to the same replica, by a cookie, as the documents of .deploy say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from serving import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

COOKIE = "replica"
_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class StickyProxy:
    """Hands requests on to replicas; a visitor without a cookie gets the next one in turn, and its cookie.

    Attributes:
        replicas: their addresses.
        handed: how many requests each has got.
    """

    def __init__(self, replicas: list[str]) -> None:
        self.replicas, self.handed, self._next = replicas, [0] * len(replicas), 0
        self._client = httpx.AsyncClient(timeout=None)

    async def __call__(self, request: Request) -> Response:
        chosen = request.cookies.get(COOKIE, "")
        wanted = int(chosen) if chosen.isdigit() and int(chosen) < len(self.replicas) else None
        if wanted is None:
            wanted, self._next = self._next, (self._next + 1) % len(self.replicas)
        # One that has gone is passed over, and the visitor stays where he then is.
        for place in [wanted, *(place for place in range(len(self.replicas)) if place != wanted)]:
            try:
                return await self._handed(request, place, fresh=str(place) != chosen)
            except httpx.ConnectError:
                continue
        return JSONResponse({"detail": "no replica answers"}, 502)

    async def _handed(self, request: Request, place: int, fresh: bool) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _HOP]
        headers.append(("host", request.headers["host"]))
        url = f"{self.replicas[place]}{request.url.path}?{request.url.query}"
        asked = self._client.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await self._client.send(asked, stream=True)
        self.handed[place] += 1

        async def body() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        response = StreamingResponse(body(), answer.status_code)
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
        response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
        if fresh:
            response.set_cookie(COOKIE, str(place), httponly=True, samesite="lax")
        return response


@contextmanager
def proxying(replicas: list[str]) -> Iterator[tuple[str, StickyProxy]]:
    """Runs the proxy in a thread; yields its address and itself."""
    proxy, port = StickyProxy(replicas), free_port()

    async def endpoint(request: Request) -> Response:
        return await proxy(request)

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    started = threading.Event()
    startup: Any = server.startup

    async def tell(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        started.set()

    server.startup = tell
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield f"http://127.0.0.1:{port}", proxy
    finally:
        server.should_exit = True
        thread.join(30)
