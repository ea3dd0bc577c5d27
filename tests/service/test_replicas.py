"""Two replicas behind a proxy: a visitor stays on one, both give the same numbers, and one may go away.

Two apps start, so `MKPN_LONG=1` is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import serving
from sticky_proxy import COOKIE, proxying

pytestmark = pytest.mark.skipif(os.environ.get("MKPN_LONG") != "1", reason="starts two apps: MKPN_LONG=1")


class Visitor:
    """A browser's session at the level of the API: its cookies, its uploads, its runs."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=120)
        assert self.client.get("/").status_code == 200

    @property
    def replica(self) -> str:
        return self.client.cookies[COOKIE]

    def upload(self, picture: Path) -> str:
        return self.client.post("/gradio_api/upload", files={"files": picture.read_bytes()}).json()[0]

    def denoise(self, path: str) -> Any:
        image = {"path": path, "orig_name": "cat.png", "meta": {"_type": "gradio.FileData"}}
        data = {"data": [image, 4, 7, 1, ["kpn-l3", "mkpn"], False]}
        event = self.client.post("/gradio_api/call/denoise", json=data).json()["event_id"]
        text = self.client.get(f"/gradio_api/call/denoise/{event}").text
        assert "event: complete" in text, text
        rows = httpx.Response(200, text=text.rpartition("data: ")[2]).json()[0]
        return [(row["model"], round(row["psnr"], 4), round(row["ssim"], 5)) for row in rows]


def test_two_replicas(tmp_path: Path, small_picture: Path) -> None:
    with (
        serving(tmp_path / "a") as first,
        serving(tmp_path / "b") as second,
        proxying([first.address, second.address]) as (address, proxy),
    ):
        visitors = [Visitor(address) for _ in range(4)]
        assert [visitor.replica for visitor in visitors] == ["0", "1", "0", "1"]
        uploads = [visitor.upload(small_picture) for visitor in visitors]
        for visitor, path in zip(visitors, uploads, strict=True):
            server = (first, second)[int(visitor.replica)]
            assert path.startswith(str(server.folder))
        answers = [visitor.denoise(path) for visitor, path in zip(visitors, uploads, strict=True)]
        # Also the second run of each, with everything that lies in between, meets the replica that has the upload.
        answers += [visitor.denoise(path) for visitor, path in zip(visitors, uploads, strict=True)]
        assert all(answer == answers[0] for answer in answers)
        assert min(proxy.handed) >= 2 * 4
        # The other site's page may not call through the proxy either; the proxy's own address is the app's.
        join = "/gradio_api/queue/join"
        assert httpx.post(address + join, json={}, headers={"origin": "https://evil.example"}).status_code == 403
        assert httpx.post(address + join, json={}, headers={"origin": address}).status_code == 422
        # One goes away: its visitors go on at the other, with a new upload.
        first.process.terminate()
        first.process.wait(30)
        moved = visitors[0]
        assert moved.denoise(moved.upload(small_picture)) == answers[0]
        assert moved.replica == "1"
        assert visitors[1].denoise(uploads[1]) == answers[0]
