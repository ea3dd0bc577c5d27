"""Every file ends in a picture or in one sentence that names it: no other error, nothing written, bounded memory.

`MKPN_LONG=1` tries 2,000 files instead of the first ones; `-s` shows the report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from odd_files import MAKERS, OddFile, odd_files

import mkpn
from mkpn.synthesis.images import conversion_notes, load_image
from mkpn.ui.run.sources import upload_source

LONG = os.environ.get("MKPN_LONG") == "1"
COUNT = 2000 if LONG else 3 * len(MAKERS)
SLOWEST = 10  # seconds of a processor for one file, however busy the machine is; the slowest takes about one
LONGEST = 300  # characters of a message, the file's own name left aside


def wrong_message(message: str, name: str, folder: Path) -> str:
    """What is wrong with a refusal; empty for one sentence that names the file and what was expected."""
    if not message.startswith(f"{name}: "):
        return "does not begin with the name"
    reason = message.removeprefix(f"{name}: ")
    if "expected " not in reason:
        return "does not say what was expected"
    if not reason.isprintable() or len(reason) > LONGEST:
        return "is not one line"
    return "shows the server's folder" if str(folder) in message else ""


def attempt(file: OddFile, folder: Path) -> tuple[str, str]:
    """Reads a file as the page does; returns `picture` or `refused`, and what was wrong."""
    path = folder / "upload"
    path.write_bytes(file.data)
    name = "odd file"
    began = time.process_time()
    try:
        source = upload_source(path, name, folder)
        pixels = source.pixels()
        problem = "" if np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1 else "not intensities"
        outcome = "picture"
    except ValueError as error:
        outcome, problem = "refused", wrong_message(str(error), name, folder)
        problem = problem and f"message {problem}: {error}"
    if time.process_time() - began > SLOWEST:
        problem = problem or f"took {time.process_time() - began:.0f} s"
    return outcome, problem


def test_every_file_ends_in_a_picture_or_a_sentence(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "own"
    outside.mkdir()
    folder.mkdir()
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    for file in odd_files(COUNT):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning would reach the server's log
            outcome, problem = attempt(file, folder)
        outcomes[outcome] += 1
        problems += [f"{file.kind}: {problem}"] * bool(problem)
        for left in folder.iterdir():
            left.unlink()
    print(f"\n{COUNT} files: {dict(outcomes)}, {len(problems)} problems")
    assert problems == []
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "own"]
    # Both happen often enough for the test to mean something.
    assert min(outcomes["picture"], outcomes["refused"]) > COUNT / 10


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's account of memory")
def test_all_of_them_together_cost_under_300_mb() -> None:
    """One process reads them one after the other: its peak shows the worst of them, and what stays behind."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from odd_files import odd_files
from mkpn.synthesis.images import conversion_notes, load_image
from PIL import Image

def account(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) // 1024

Image.init()
files = list(odd_files(int(sys.argv[2])))
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # the peak begins here, after the files were made
before = account("VmRSS")
for file in files:
    for read in (load_image, conversion_notes):
        try:
            read(file.data)
        except ValueError:
            pass
print(account("VmHWM") - before, account("VmRSS") - before)
"""
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", code, str(here), str(COUNT)],
        capture_output=True,
        text=True,
        cwd=Path(mkpn.__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    peak, left = map(int, run.stdout.split())
    print(f"\npeak {peak} MB, {left} MB left")
    assert peak < 300
    assert left < 150


def test_files_that_once_failed(tmp_path: Path) -> None:
    """The kinds found by attack: each has its sentence, or is read."""
    body = b"WEBPVP8L" + bytes([8, 0, 0, 0]) + b"\x2f\x57\xdb\xd5\x16\x88\x88\x08"
    for data, expected in [
        (b"RIFF" + len(body).to_bytes(4, "little") + body, "expected at most 16 megapixels"),
        (b"P6\n#" + b"a b " * 10**5 + b"\n64 64\n255\n" + bytes(9000), "names its size within 4096 bytes"),
        (b"", "expected an image"),
    ]:
        with pytest.raises(ValueError, match=expected):
            load_image(data)
        with pytest.raises(ValueError, match=expected):
            conversion_notes(data)
        outcome, problem = attempt(OddFile("x.png", "known", data), tmp_path)
        assert (outcome, problem) == ("refused", "")
