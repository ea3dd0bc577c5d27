"""`denoise FRAME...` and `denoise --burst DIR`: pictures, figures, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import perturbed
from numpy.typing import NDArray
from PIL import Image

import mkpn
from mkpn import __main__ as command_line
from mkpn.capture.burst import burst_files
from mkpn.figures.residual import residual_figure
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
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


def test_pictures_are_written_as_deep_as_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--burst", folder / "burst", "--models", "kpn-l1", "--device", "cpu")
    for file_format, suffix in (("png16", ".png"), ("tiff", ".tiff")):
        out = folder / file_format
        assert run(monkeypatch, capsys, *given, "--format", file_format, "--out", out)[0] == 0
        assert {path.name for path in out.iterdir()} == {f"noisy{suffix}", f"kpn-l1{suffix}", "residual-kpn-l1.png"}
    assert (folder / "png16" / "kpn-l1.png").read_bytes()[24] == 16  # bits of each channel


def test_noise_is_taken_as_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--burst", folder / "burst", "--out", folder / "a", "--models", "kpn-l1", "--device", "cpu")
    _, text = run(monkeypatch, capsys, *given, "--sigma-r", 0.04, "--sigma-s", 0.0126)
    assert text.startswith("Noise, as given (stored values): red sigma_r 0.04000, sigma_s 0.012600; green")
    code, text = run(monkeypatch, capsys, *given, "--sigma-r", 0.04)
    assert (code, text) == (2, "mkpn: sigma_r and sigma_s: expected both or none of them, got one\n")


def test_networks_of_one_file_name_are_two(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = perturbed(model_config("kpn-l1"))
    save_model(folder / "mine" / "kpn-l1.safetensors", network.config, network.state_dict(), {})
    given = ("--burst", folder / "burst", "--out", folder / "a", "--device", "cpu")
    models = ("--models", folder / "mine" / "kpn-l1.safetensors", "kpn-l1")
    code, text = run(monkeypatch, capsys, *given, *models, "--json", "--quiet")
    assert code == 0
    assert [row["model"] for row in json.loads(text)["models"]] == ["kpn-l1-2", "kpn-l1"]
    names = [f"{kind}{name}.png" for name in ("kpn-l1", "kpn-l1-2") for kind in ("", "residual-")]
    pictures = {path.name: path.read_bytes() for path in (folder / "a").iterdir()}
    assert set(pictures) == {"noisy.png", *names}
    assert len(set(pictures.values())) == 5


def test_what_cannot_be_used_is_refused_before_the_burst_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the burst was read")

    monkeypatch.setattr("mkpn.capture.burst.read_burst", never)
    (folder / "file").touch()
    frames, out = sorted((folder / "burst").iterdir()), folder / "a"
    code, text = run(monkeypatch, capsys, *frames, "--out", folder / "file", "--device", "cpu")
    assert (code, text) == (2, f"mkpn: out: expected a folder, got the file {folder / 'file'}\n")
    code, text = run(monkeypatch, capsys, *frames, "--out", out, "--models", "kpn-l1", "typo", "--device", "cpu")
    assert code == 2
    assert text.startswith("mkpn: model: expected one of ")
    code, text = run(monkeypatch, capsys, *frames, "--out", out, "--gain", 3, "--seed", -5)
    assert (code, text) == (2, "mkpn: gain and seed: expected an image with a synthetic burst, got a real burst\n")
    code, text = run(monkeypatch, capsys, "--burst", folder / "burst", "--each", "--save-burst", "--out", out)
    assert (code, text) == (
        2,
        "mkpn: each and save_burst: expected an image with a synthetic burst, got a real burst\n",
    )
    code, text = run(monkeypatch, capsys, *frames, "--strict", "--out", out)
    assert (code, text) == (2, "mkpn: strict: expected an image with a synthetic burst, got a real burst\n")
    code, text = run(monkeypatch, capsys, *frames, "--light", "linear", "--out", out)
    reason = "expected raw files, got photographs, whose values are used as stored"
    assert (code, text) == (2, f"mkpn: light: {reason}\n")
    code, text = run(monkeypatch, capsys, "--out", out, "--models", "--", *frames)
    assert (code, text) == (2, "mkpn: models: expected at least one network, got none\n")
    assert not out.exists()


def test_what_is_for_a_real_burst_is_refused_for_an_image(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, value in (("sigma-r", 5), ("sigma-s", 0), ("light", "linear")):
        code, text = run(monkeypatch, capsys, folder / "burst/0.png", "--out", folder / "a", f"--{option}", value)
        reason = "expected photographs of a real burst, got an image with a synthetic burst"
        assert (code, text) == (2, f"mkpn: {option.replace('-', '_')}: {reason}\n")
    assert not (folder / "a").exists()


def test_the_photographs_themselves_are_spared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results among them would be photographs of the next burst."""
    burst, given = folder / "burst", ("--models", "kpn-l1", "--device", "cpu")
    (burst / "0.png").rename(burst / "noisy.png")
    before = {path.name: path.read_bytes() for path in burst.iterdir()}
    for photographs in (("--burst", burst), sorted(burst.iterdir())):
        code, text = run(monkeypatch, capsys, *photographs, "--out", burst, *given)
        assert code == 2
        assert text.startswith(f"mkpn: out: expected a folder without the photographs themselves, got {burst}, ")
    assert {path.name: path.read_bytes() for path in burst.iterdir()} == before
    code, _ = run(monkeypatch, capsys, "--burst", burst, "--out", burst / "out", *given)
    assert code == 0


def test_a_saved_burst_is_read_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--models", "kpn-l1", "--device", "cpu")
    code, text = run(monkeypatch, capsys, folder / "burst/0.png", "--out", folder / "a", "--save-burst", *given)
    assert code == 0, text
    assert (folder / "a/burst/clean.png").exists()
    code, text = run(monkeypatch, capsys, "--burst", folder / "a/burst", "--out", folder / "b", *given)
    assert code == 0, text
    frames = [f"frame-{index}.png" for index in range(8)]
    assert [path.name for path in burst_files(folder / "a/burst")] == frames


def test_results_beside_the_photographs_are_no_photographs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were read as photographs and refused by their number or size."""
    frames = sorted((folder / "burst").iterdir())
    given = ("--models", "kpn-l1", "--device", "cpu")
    code, text = run(monkeypatch, capsys, *frames, "--out", folder / "burst", *given)
    assert code == 0, text
    code, text = run(monkeypatch, capsys, "--burst", folder / "burst", "--out", folder / "out", *given)
    assert code == 2
    assert text.startswith(f"mkpn: burst: expected photographs only in {folder / 'burst'}, got results of denoise")
    assert "residual-kpn-l1.png" in text
    (folder / "burst" / "noisy.png").unlink()
    assert len(burst_files(folder / "burst")) == 5


def test_a_burst_is_named_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = folder / "burst" / "0.png"
    code, text = run(monkeypatch, capsys, frame, "--burst", folder / "burst", "--out", folder / "a")
    assert (code, text) == (2, "mkpn: images: expected photographs or --burst DIR, got both\n")
    code, text = run(monkeypatch, capsys, "--out", folder / "a")
    assert code == 2
    assert text.startswith("mkpn: images: expected an image, several photographs or a folder, before --models")
    assert not (folder / "a").exists()


def test_the_figure_is_a_picture_of_fixed_bytes(folder: Path) -> None:
    burst = mkpn.read_burst(sorted((folder / "burst").iterdir()))
    report = mkpn.residual(burst, burst.frames.mean(0))
    picture = residual_figure(report, "mean")
    assert Image.open(io.BytesIO(picture)).size == (1536, 896)
    assert residual_figure(report, "mean") == picture
    assert residual_figure(mkpn.residual(burst, torch.zeros_like(burst.noise_std)), "mean") != picture
