"""Commands as users run them: any locale, a bad image among good ones, results on stdout and nothing else."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import perturbed
from numpy.typing import NDArray
from PIL import Image

from mkpn.__main__ import main
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config

ROOT = Path(__file__).parents[1]


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs `python -m mkpn`."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "mkpn", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    """Two photographs, one that is damaged, one that is too small, and a network."""
    root = tmp_path_factory.mktemp("commands")
    (root / "images").mkdir()
    for index, name in enumerate(("a.png", "b.png")):
        Image.fromarray(photo[:96, 96 * index : 96 * (index + 1)]).save(root / "images" / name)
    (root / "images" / "damaged.png").write_bytes((root / "images" / "a.png").read_bytes()[:2000])
    Image.fromarray(photo[:40, :40]).save(root / "images" / "small.png")
    network = perturbed(model_config("mkpn"))
    save_model(root / "mkpn.safetensors", network.config, network.state_dict(), {})
    return root


EVALUATE = ("evaluate", "--images", "images", "--models", "mkpn.safetensors", "--gains", "8", "--crop", "48")


Evaluated = tuple[str, Path, subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module", params=["cp1252", "ascii"])
def evaluated(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """An evaluation where the screen takes only these characters: the encoding, the tables' folder, the process."""
    out = tmp_path_factory.mktemp("tables")
    encoding: str = request.param
    done = run(
        *(*EVALUATE, "--out", str(out), "--threads", "1"),
        cwd=folder,
        LC_ALL="C",
        LANG="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING=f"{encoding}:strict",
    )
    assert done.returncode == 0, done.stderr
    return encoding, out, done


def test_no_locale_loses_results(evaluated: Evaluated) -> None:
    """Code page 1252 has no sign for a tie, and the C locale none for anything: files are UTF-8, the screen is read."""
    encoding, out, done = evaluated
    written = (out / "results.md").read_text(encoding="utf-8")
    assert "≈" in written
    assert written.splitlines()[0].encode(encoding) in done.stdout
    assert b"\\u2248" in done.stdout


def test_every_text_file_names_its_encoding() -> None:
    """`read_text`, `write_text`, and `open` in text mode, in all of the package."""
    wrong: list[str] = []
    for path in sorted(ROOT.glob("mkpn/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named = any(keyword.arg == "encoding" for keyword in node.keywords)
            words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            text = (name == "read_text" and not words) or (name == "write_text" and len(node.args) < 2)
            if name == "open" and isinstance(node.func, ast.Name):
                text = not any("b" in str(word) for word in words[:2])
            if name == "open" and isinstance(node.func, ast.Attribute) and words:
                text = words[0] in ("r", "w", "a", "x")
            if text and not named:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert wrong == []


def test_a_bad_image_is_named_and_left_out(evaluated: Evaluated) -> None:
    encoding, _, done = evaluated
    text = done.stdout.decode(encoding)
    assert "images: 2 images" in text
    for name in ("damaged.png", "small.png"):
        assert f"Left out: images/{name} (" in text
        assert name in done.stderr.decode(encoding)


def test_stdout_holds_results_and_stderr_no_flood(evaluated: Evaluated) -> None:
    """The plot's PDF makes fontTools talk, at a level that is not ours."""
    encoding, out, done = evaluated
    written = (out / "results.md").read_text(encoding="utf-8")
    assert done.stdout.decode(encoding).strip() == written.encode(encoding, "backslashreplace").decode(encoding).strip()
    lines = [line for line in done.stderr.decode(encoding).replace("\r", "\n").splitlines() if line.strip()]
    ours = ("burst", "damaged.png", "small.png")
    assert all(any(word in line for word in ours) for line in lines), lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "--images", "images", "--models", "kpn-l2"), "model: expected"),
        ((*EVALUATE, "--out", "new-tables", "--strict"), "images/damaged.png cannot be used"),
        (("evaluate", "--images", "images", "--out", "mkpn.safetensors"), "out: expected a folder"),
        (("evaluate", "--images", "images", "--out", "/proc/none"), "out: expected a folder to write to"),
        (("evaluate", "--images", "images", "--gains", "8", "8"), "gains: expected at least one, each once"),
        (("denoise", "images/a.png", "--out", "new", "--models", "kpn-l1", "nonsense"), "model: expected"),
        (("denoise", "images/a.png", "--out", "mkpn.safetensors", "--models", "kpn-l1"), "out: expected a folder"),
        (("curves", "images", "--out", "images"), "out: expected a file"),
    ],
)
def test_what_is_wrong_is_said_first(
    folder: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["mkpn", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert not (folder / "new").exists()


def test_a_folder_named_twice_counts_once(folder: Path) -> None:
    from mkpn.synthesis.datasets import image_files

    images = folder / "images"
    assert len(image_files([images, images, folder])) == len(image_files([images])) == 4


@pytest.mark.skipif(os.name == "nt", reason="no file can be called so on Windows")
def test_a_name_does_not_break_the_lines_of_the_table(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a\nb.png").write_bytes((folder / "images" / "a.png").read_bytes())
    (tmp_path / "images" / "c\nd.png").write_bytes(b"no picture")
    given = ("--models", "kpn-l1", "--out", "out", "--device", "cpu")
    done = run("denoise", "images", *given, cwd=tmp_path, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith(str(Path("images", "a\ufffdb.png")) + ": PSNR and SSIM")
    assert [line.split()[0] for line in lines[1:]] == ["noisy", "mean", "kpn-l1"]
    assert done.stderr.decode().count("\n") == 1


@pytest.mark.parametrize("option", [("--out", ""), ("--out", "out", "--burst", "")])
def test_an_empty_path_is_refused(
    option: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable of the shell that is not set gives one, and Python reads it as the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mkpn", "denoise", "a.png", *option])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "an empty one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_imports_is_quiet(tmp_path: Path) -> None:
    # Stands for a slow import that Ctrl+C meets.
    (tmp_path / "tyro.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8")
    # Where the tests run in the background of a script the signal is ignored, and would be in what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run("models", cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
