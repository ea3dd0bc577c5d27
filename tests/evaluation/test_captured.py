"""`denoise FRAME...` and `denoise --burst DIR`: pictures, figures, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import mkpn
from mkpn import __main__ as command_line
from mkpn.figures.residual import residual_figure
from mkpn.synthesis.images import to_uint8


@pytest.fixture
def folder(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """Three noisy photographs of one scene, and two that have nothing to do with a command's burst."""
    burst = mkpn.synthesize(photo[:150, :150], gain=4, seed=0, config=mkpn.BurstConfig(rate=0))
    (tmp_path / "burst").mkdir()
    for index, frame in enumerate(burst.frames[:3]):
        Image.fromarray(to_uint8(frame)).save(tmp_path / "burst" / f"{index}.png")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["mkpn", "denoise", *map(str, arguments)])
    try:
        command_line.main()
    except SystemExit as error:
        return int(error.code or 0), capsys.readouterr().err
    return 0, capsys.readouterr().out


def test_photographs_and_folder_give_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--models", "kpn-l5", "--device", "cpu")
    frames = sorted((folder / "burst").iterdir())
    code, named = run(monkeypatch, capsys, *frames, "--out", folder / "a", *given)
    assert code == 0
    code, listed = run(monkeypatch, capsys, "--burst", folder / "burst", "--out", folder / "b", *given)
    assert code == 0
    assert {path.name for path in (folder / "a").iterdir()} == {"noisy.png", "kpn-l5.png", "residual-kpn-l5.png"}
    for name in ("noisy.png", "kpn-l5.png", "residual-kpn-l5.png"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()
    assert named.startswith("Noise, estimated from the frames (stored values): red sigma_r 0.0")
    assert "3 photographs are repeated in turn to fill 8 frames." in listed
    assert "kpn-l5" in named.splitlines()[-1]
    assert "What was removed looks like the noise that is expected." in named


def test_noise_is_taken_as_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--burst", folder / "burst", "--out", folder / "a", "--models", "kpn-l1", "--device", "cpu")
    _, text = run(monkeypatch, capsys, *given, "--sigma-r", 0.04, "--sigma-s", 0.0126)
    assert text.startswith("Noise, as given (stored values): red sigma_r 0.04000, sigma_s 0.012600; green")
    code, text = run(monkeypatch, capsys, *given, "--sigma-r", 0.04)
    assert (code, text) == (2, "mkpn: sigma_r and sigma_s: expected both or none of them, got one\n")


def test_a_burst_is_named_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = folder / "burst" / "0.png"
    code, text = run(monkeypatch, capsys, frame, "--burst", folder / "burst", "--out", folder / "a")
    assert (code, text) == (2, "mkpn: images: expected photographs or --burst DIR, got both\n")
    code, text = run(monkeypatch, capsys, "--out", folder / "a")
    assert code == 2
    assert text.startswith("mkpn: images: expected an image, several photographs, a folder, or --burst DIR")
    assert not (folder / "a").exists()


def test_the_figure_is_a_picture_of_fixed_bytes(folder: Path) -> None:
    burst = mkpn.read_burst(sorted((folder / "burst").iterdir()))
    report = mkpn.residual(burst, burst.frames.mean(0))
    picture = residual_figure(report, "mean")
    assert Image.open(io.BytesIO(picture)).size == (1536, 896)
    assert residual_figure(report, "mean") == picture
    assert residual_figure(mkpn.residual(burst, torch.zeros_like(burst.noise_std)), "mean") != picture
