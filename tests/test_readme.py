"""The README's Python code and commands do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpy.typing import NDArray
from PIL import Image

from mkpn.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def photo_path(photo: NDArray, tmp_path: Path) -> Path:  # pyright: ignore[reportMissingTypeArgument]
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo[:160, :160]).save(path, quality=95)
    return path


def test_python_block_runs_as_printed(photo_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code += "\nassert result.image.shape == burst.clean.shape == (3, 128, 128)\n"
    code += "assert kernels.fused.shape == (8, 11, 11)\n"
    code += "assert callable(mkpn.ops.local_conv)\n"
    code += "assert mkpn.psnr(result.image, burst.clean) > mkpn.psnr(burst.frames[0], burst.clean) + 6\n"
    path = f"{ROOT}"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=photo_path.parent, env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    _, figures, _ = run.stdout.split("\n", 2)
    psnr, ssim = map(float, figures.split())
    assert 20 < psnr < 40
    assert 0.3 < ssim < 1


def mkpn(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{ROOT}", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "mkpn", *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_denoise_writes_the_pictures_and_figures(photo_path: Path) -> None:
    run = mkpn(
        "denoise", "photo.jpg", "--out", "out", "--gain", "8", "--models", "kpn-l3", "mkpn", cwd=photo_path.parent
    )
    assert run.returncode == 0, run.stderr
    assert {path.name for path in (photo_path.parent / "out").iterdir()} == {
        "clean.png",
        "noisy.png",
        "kpn-l3.png",
        "mkpn.png",
    }
    figures = {name: float(value) for name, value in re.findall(r"^(\S+)\s+([\d.]+) dB", run.stdout, re.MULTILINE)}
    assert figures["mkpn"] > figures["noisy"] + 6
    assert "8-pixel border" in run.stdout


def in_process(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs a command here, for what a process of its own would not change; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["mkpn", *arguments])
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def test_parameter_counts_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_process(monkeypatch, "models") == 0
    out = capsys.readouterr().out
    assert re.search(r"mkpn +1,3,5,7,9,11 +separable +2,835,456 +35,265,984", out)
    assert len(out.splitlines()) == 11


def test_bad_arguments_end_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process(monkeypatch, "denoise", str(tmp_path / "none.jpg"), "--out", str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert said.startswith("mkpn: none.jpg: expected an image file, got no file of this name")
    assert "Traceback" not in said
    given = ("--images", str(tmp_path), "--run", str(tmp_path / "run"), "--patch", "40")
    assert in_process(monkeypatch, "train", "mkpn", *given) == 2
    assert "patch: expected a positive multiple of 16, got 40" in capsys.readouterr().err
