"""Memory over a thousand runs, each of another visitor: flat once the first ones are forgotten.

Half of the visitors come by the page (upload, run, page closed), half by the API. `MKPN_LONG=1` is needed; with
`MKPN_REPORT=FOLDER` the figures stay there as `memory.csv`, written run by run, and `memory.png`.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import Server, serving
from skimage import data
from visiting import completed, denoised, visiting

pytestmark = pytest.mark.skipif(os.environ.get("MKPN_LONG") != "1", reason="makes 1,000 runs: MKPN_LONG=1")

RUNS = int(os.environ.get("MKPN_RUNS", "1000"))
SETTLED = RUNS // 5
"""Runs until the first visitors are forgotten and every buffer has been needed once."""

STEEPEST = 10.0
"""KB a run, over the runs after these: 8 MB in all, a twentieth of what is kept of the visitors otherwise."""

GIVEN_BACK = 20_000
"""KB: a fall by more is no noise, but memory that was given back in a pause of ten seconds."""

FORGET_SECONDS = "30"
"""Less than by default, so that the number of sessions does not depend on how fast the machine is."""

MODELS = ["kpn-l1", "mkpn"]


def by_page(server: Server, number: int, picture: Path, config: dict[str, object]) -> None:
    with visiting(server.address, f"memory{number}", config) as page:
        page.upload(picture)
        assert "Done: 2 models" in str(completed(page.run(MODELS, seed=number)))


def test_memory_is_flat_over_a_thousand_runs(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()[100:164, 150:214]).save(picture)
    rows: list[tuple[int, float, int, int, int]] = []
    folder = Path(os.environ.get("MKPN_REPORT") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "memory.csv").open("w", newline="", encoding="utf-8") as file,
        serving(tmp_path, "--forget-seconds", FORGET_SECONDS) as server,
        httpx.Client(base_url=server.address) as client,
    ):
        writer = csv.writer(file)
        writer.writerow(("run", "seconds", "rss_kb", "sessions", "runs_kept"))
        client.timeout = httpx.Timeout(600)
        config = client.get("/config").json()
        began = time.monotonic()
        for number in range(1, RUNS + 1):
            if number % 2:
                by_page(server, number, picture, config)
            else:
                assert denoised(client, picture, 4, number, MODELS, f"{number}.png")[-1]["status"] == "done"
            kept = client.get("/health").json()["kept"]
            memory = server.memory_kb()
            rows.append((number, round(time.monotonic() - began, 1), memory, kept["sessions"], kept["runs"]))
            # A measurement that is broken off leaves what it has seen.
            writer.writerow(rows[-1])
            file.flush()
        assert server.tracebacks() == ""
    first, last, slope = longest_stretch(rows)
    print(
        f"\n{RUNS} runs in {rows[-1][1]:.0f} s: {rows[0][2] // 1024} MB after the first, {rows[-1][2] // 1024} MB at "
    )
    print(f"the end, at most {max(row[2] for row in rows) // 1024} MB; {slope:.1f} KB a run from {first} to {last}")
    drawing(folder / "memory.png", rows)
    assert slope < STEEPEST


def longest_stretch(rows: list[tuple[int, float, int, int, int]]) -> tuple[int, int, float]:
    """The most runs in a row without a pause in which memory was given back: first, last, slope in KB a run.

    A machine that is busy with something else makes such pauses; what is given back would hide growth.
    """
    after = np.array(rows[SETTLED:], np.float64)
    given_back = np.flatnonzero(np.diff(after[:, 2]) < -GIVEN_BACK)
    stretch = max(np.split(after, given_back + 1), key=len)
    return int(stretch[0, 0]), int(stretch[-1, 0]), float(np.polyfit(stretch[:, 0], stretch[:, 2], 1)[0])


def drawing(path: Path, rows: list[tuple[int, float, int, int, int]]) -> None:
    """Draws memory over runs."""
    from matplotlib.figure import Figure

    first, last, slope = longest_stretch(rows)
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(rows, np.float64)
    axes.plot(values[:, 0], values[:, 2] / 1024, color="#0f766e", linewidth=1)
    axes.set(xlabel="run, each of another visitor", ylabel="memory (MB)", xlim=(0, len(rows)), ylim=(0, None))
    axes.set_title(f"{slope * 100 / 1024:+.2f} MB per 100 runs, runs {first} to {last}", fontsize=9, loc="right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
