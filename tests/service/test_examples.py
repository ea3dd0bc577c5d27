"""The README's programs run against the app, in the order in which they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import HOME, Server
from skimage import data

import mkpn
from mkpn.synthesis.images import to_uint8

README = HOME / "mkpn" / "ui" / "service" / "README.md"


def test_the_readme_s_programs_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = data.chelsea()[40:160, 100:220]
    Image.fromarray(photo).save("photo.png")
    burst = mkpn.synthesize(photo, gain=4, seed=1)
    for name, frame in zip("abc", burst.frames, strict=False):
        Image.fromarray(to_uint8(frame)).save(f"{name}.png")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 3
    found: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("http://127.0.0.1:7860", server.address), found)
    out = capsys.readouterr().out
    assert "6 figures so far" not in out.split("3 figures so far")[0]
    assert np.asarray(Image.open("mkpn.png")).shape == (43, 80, 3)
    assert Image.open("figure.png").width > 500
    (report,) = found["result"]["models"]  # pyright: ignore
    assert report["verdict"] in out
