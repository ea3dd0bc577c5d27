"""The burst as a ZIP: what the page hands out is the burst that the run has."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from mkpn.synthesis.images import to_uint8
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import noise_for_gain
from mkpn.ui.page.burst_panel import burst_link
from mkpn.ui.run.burst_files import burst_archive
from mkpn.ui.run.session import Run, start_run
from mkpn.ui.run.settings import Settings

NAMES = [*(f"frame-{index}" for index in range(8)), "clean"]


@pytest.fixture
def run(tmp_path: Path, photo: NDArray[np.uint8]) -> Iterator[Run]:
    settings = Settings(noise=noise_for_gain(8), seed=3, motion=BurstConfig(large=8), models=())
    store: Any = SimpleNamespace(device_name="cpu")
    made = start_run(photo[:96, :112] / np.float32(255), "cat <1>", settings, store, tmp_path)
    yield made
    made.close()
    assert list(tmp_path.iterdir()) == []


def pictures(run: Run) -> dict[str, Any]:
    return dict(zip(NAMES, [*run.burst.frames, run.burst.clean], strict=True))


def test_floating_point_is_the_very_burst(run: Run) -> None:
    with zipfile.ZipFile(burst_archive(run, "tiff")) as archive:
        assert sorted(archive.namelist()) == sorted(["burst/burst.json", *(f"burst/{name}.tiff" for name in NAMES)])
        for name, picture in pictures(run).items():
            stored = tifffile.imread(io.BytesIO(archive.read(f"burst/{name}.tiff")))
            np.testing.assert_array_equal(stored.transpose(2, 0, 1), picture.numpy())
        facts = json.loads(archive.read("burst/burst.json"))
    assert facts["offsets"] == run.burst.offsets.tolist()
    assert (facts["sigma_r"], facts["sigma_s"]) == (run.burst.noise.sigma_r, run.burst.noise.sigma_s)
    assert (facts["image"], facts["seed"], facts["motion"]["large"]) == ("cat <1>", 3, 8)


def test_png_is_what_the_page_shows_and_repeats(run: Run) -> None:
    path = burst_archive(run, "png")
    with zipfile.ZipFile(path) as archive:
        for name, picture in pictures(run).items():
            stored = np.asarray(Image.open(io.BytesIO(archive.read(f"burst/{name}.png"))))
            np.testing.assert_array_equal(stored, to_uint8(picture))
    first = path.read_bytes()
    assert burst_archive(run, "png").read_bytes() == first


def test_a_download_that_goes_on_keeps_its_file(run: Run) -> None:
    path = burst_archive(run, "tiff")
    whole, files = path.read_bytes(), sorted(run.folder.path.iterdir())
    with path.open("rb") as downloading:
        begun = downloading.read(100)
        assert burst_archive(run, "tiff") == path
        assert begun + downloading.read() == whole
        assert os.fstat(downloading.fileno()).st_ino != path.stat().st_ino
    assert sorted(run.folder.path.iterdir()) == files


def test_the_link_names_a_file_and_what_is_missing_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("gradio.Warning", said.append)
    link = burst_link(run, "png16")
    assert re.search(r'href="\S+/burst-seed3-png16\.zip" download="burst-seed3-png16\.zip"', link)
    assert (run.folder.path / "burst-seed3-png16.zip").is_file()
    assert burst_link(None, "png") == ""
    assert "press Run first" in said[-1]
    assert burst_link(run, "gif") == ""
    assert "format: expected one of png, png16, tiff, got 'gif'" in unescape(said[-1])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(run.folder.path / "burst.zip"))

    with monkeypatch.context() as patch:
        patch.setattr("mkpn.ui.page.burst_panel.burst_archive", full)
        assert burst_link(run, "png") == ""
    # Not where the server keeps it.
    assert said[-1] == "The burst was not written: No space left on device"
    run.close()
    assert burst_link(run, "png") == ""
    assert "no longer kept" in said[-1]
