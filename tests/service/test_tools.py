"""The endpoints as tools of a language model: the same functions, results and sentences as the API."""

from __future__ import annotations

import ast
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import serving

from mkpn.ui.service.options import ServiceOptions


def test_without_the_extra_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkpn.ui.service.options.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^mcp: expected the extra mcp"):
        ServiceOptions(mcp=True)
    assert not ServiceOptions().mcp


def test_tools_are_the_endpoints(tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp", reason="needs the extra mcp")
    from mcp.client.streamable_http import streamablehttp_client

    example: dict[str, Any] = {"image": "Chelsea the cat", "seed": 1, "downsample": 4, "models": ["kpn-l1"]}

    async def ask(address: str) -> tuple[set[str], Any, Any]:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            right = await session.call_tool("denoise", {**example, "gain": 4})
            return tools, right, await session.call_tool("denoise", {**example, "gain": 3})

    with serving(tmp_path, "--mcp") as server:
        # A thread of its own: Playwright's loop may run in this one.
        with ThreadPoolExecutor(1) as thread:
            tools, right, wrong = thread.submit(lambda: asyncio.run(ask(server.address))).result()
        endpoints = httpx.get(f"{server.address}/gradio_api/info").json()["named_endpoints"]
        assert tools == {name.removeprefix("/") for name in endpoints}
        from gradio_client import Client

        rows = Client(server.address, verbose=False).predict(*example_values(example), api_name="/denoise")
        for ours, theirs in zip(ast.literal_eval(right.content[0].text), rows, strict=True):
            assert {**ours, "seconds": None} == {**theirs, "seconds": None}
        assert wrong.isError
        assert wrong.content[0].text == "gain: expected one of 1, 2, 4, 8, got 3"
        assert server.tracebacks() == ""


def example_values(example: dict[str, Any]) -> list[Any]:
    return [example["image"], 4, example["seed"], example["downsample"], example["models"]]
