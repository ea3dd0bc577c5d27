"""Figures for files: what is drawn follows the figures, the paper's numbers stand once and are right."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mkpn.__main__ import curves
from mkpn.evaluation.report import measured_on
from mkpn.figures.learning_curves import _apart, _smooth, learning_curves, read_curve
from mkpn.figures.table1 import table1_chart
from mkpn.methods import label
from mkpn.model.config import MODELS
from mkpn.paper import PAPER, paper_rows


def test_the_papers_table() -> None:
    """Spot checks against the print, and what the paper says about its own table."""
    assert len(PAPER) == 40
    assert PAPER["mkpn", 1] == (35.10, 0.925)
    assert PAPER["kpn", 2] == (31.46, 0.862)
    assert PAPER["kpn-l1", 8] == (21.30, 0.486)
    for gain in (1, 2, 4, 8):
        order = sorted(MODELS, key=lambda name: PAPER[name, gain][0])
        assert order[-2:] == ["kpn-l25", "mkpn"]
        assert order[:2] == ["kpn-l1", "kpn-l3"]
    assert [row["model"] for row in paper_rows()[:10]] == list(MODELS)


def test_labels() -> None:
    assert [label(name) for name in ("kpn", "kpn-l25", "noisy", "mine")] == [
        "KPN 5×5",
        "KPN L25",
        "noisy frame",
        "mine",
    ]
    settings = {"images": ["CBSD68"], "downsample": 2, "crop": 128, "seed": 0}
    text = "CBSD68: 68 images, box-downsampled by 2, centred 128×128 crops, seed 0."
    assert measured_on(settings, 68) == text
    assert measured_on({**settings, "downsample": 1, "crop": 0}, 2) == "CBSD68: 2 images, whole, seed 0."


def test_the_chart_of_table_1() -> None:
    rows = [row for row in paper_rows() if row["gain"] == 8]
    against = [{"model": "kpn-l25", "gain": 8, "low": 0.0, "high": 0.3}]
    png = table1_chart(rows, against, "Test images.")
    assert png != table1_chart(rows, [], "Test images.")
    assert min(Image.open(io.BytesIO(png)).size) > 600
    oracles = [{"model": f"oracle-{reach}", "gain": 8, "psnr": 25 + 0.05 * reach} for reach in (0, 2, 12)]
    assert table1_chart([*rows, *oracles], against, "Test images.") != png
    assert label("oracle-12") == "truly aligned mean, reach 12"
    assert table1_chart(rows, against, "Test images.", "pdf") == table1_chart(rows, against, "Test images.", "pdf")


def test_the_bars_are_the_intervals_below_mkpn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("mkpn.figures.table1.save_figure", lambda figure, _: drawn.append(figure) or b"")
    figures = {"kpn-l9": 29.8, "mkpn": 30.0, "oracle-12": 29.5, "oracle-4": 29.0}
    rows = [{"model": name, "gain": 8, "psnr": psnr} for name, psnr in figures.items()]
    table1_chart(rows, [{"model": "kpn-l9", "gain": 8, "low": 0.1, "high": 0.4}], "Test images.")
    own, paper = drawn[0].axes
    (bar,) = [line for line in own.get_lines() if str(line.get_label()).startswith("95 % interval")]
    # MKPN minus KPN L9 is 0.1 to 0.4 dB, so that KPN L9 is as much below MKPN's 30 dB.
    np.testing.assert_allclose(bar.get_xdata(), 9)
    np.testing.assert_allclose(sorted(bar.get_ydata()), [29.6, 29.9])
    assert not any(str(line.get_label()).startswith("95 % interval") for line in paper.get_lines())
    # A kernel of 9 pixels reaches 4.
    (aligned,) = [line for line in own.get_lines() if str(line.get_label()).startswith("mean of the frames")]
    np.testing.assert_array_equal([aligned.get_xdata(), aligned.get_ydata()], [[9, 25], [29.0, 29.5]])


def write_run(folder: Path, model: str, level: float, validate: bool = False) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model": model}))
    lines = [{"step": 50 * i, "loss": level * (1 + 9 / i**2)} for i in range(1, 41)]
    if validate:
        lines += [{"step": step, "psnr": {"1": 30 + step / 1000, "8": 20}} for step in (1000, 2000)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "stats.jsonl").write_text(text + '{"step": 2050, "lo')  # a run that is being written
    return folder


def test_curves_are_read(tmp_path: Path) -> None:
    curve = read_curve(write_run(tmp_path / "one", "kpn-l5", 0.03, validate=True))
    assert (curve.name, curve.model, len(curve.steps)) == ("one", "kpn-l5", 40)
    assert curve.loss[0] == pytest.approx(0.3)
    np.testing.assert_allclose(curve.validated, [1000, 2000])
    np.testing.assert_allclose(curve.psnr, [25.5, 26.0])
    with pytest.raises(ValueError, match=r"stats\.jsonl"):
        read_curve(tmp_path)
    (tmp_path / "stats.jsonl").write_text("")
    with pytest.raises(ValueError, match="expected losses"):
        read_curve(tmp_path)


def test_damaged_lines_and_settings_lose_no_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", "kpn-l5", 0.03)
    with (run / "stats.jsonl").open("ab") as file:
        file.write(b"\n7\nnull\n[1]\n{}\n\0\0\n\xff\xfe\n")
    for text in ("{", "[]", "{}"):
        (run / "config.json").write_text(text)
        curve = read_curve(run)
        assert (curve.model, len(curve.steps)) == ("", 40)


def test_a_curve_that_falls_again_is_drawn_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "one", "mkpn", 0.02)
    lines = [{"step": step, "psnr": {"1": psnr}} for step, psnr in ((500, 30), (1000, 35), (2000, 33))]
    with (run / "stats.jsonl").open("a") as file:
        file.write("\n" + "".join(json.dumps(line) + "\n" for line in lines))
    drawn: list[Any] = []
    monkeypatch.setattr("mkpn.figures.learning_curves.save_figure", lambda figure, _: drawn.append(figure) or b"")
    learning_curves([read_curve(run)])
    low, high = drawn[0].axes[1].get_ylim()
    assert low < 33
    assert high > 35


def test_the_curves_command_draws_all_runs(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, name, 0.03 + 0.0001 * i) for i, name in enumerate(MODELS)]
    curves(tuple(runs), out=tmp_path / "made" / "curves.png")
    data = (tmp_path / "made" / "curves.png").read_bytes()
    plain = Image.open(io.BytesIO(data))
    assert plain.format == "PNG"
    assert data != learning_curves([read_curve(run) for run in runs[1:]])
    validated = write_run(tmp_path / "validated", "mkpn", 0.02, validate=True)
    wide = Image.open(io.BytesIO(learning_curves([read_curve(validated)])))
    assert wide.width > plain.width


def test_labels_are_moved_apart_about_their_mean() -> None:
    assert _apart([0.1, 0.5, 0.9], 0.05) == pytest.approx([0.1, 0.5, 0.9])
    assert _apart([0.1, 0.5, 0.5, 0.5], 0.05) == pytest.approx([0.1, 0.45, 0.5, 0.55])
    assert _apart([0.98, 1.0], 0.05) == pytest.approx([0.95, 1.0])


def test_the_loss_is_smoothed_by_a_centred_mean_over_a_twentieth() -> None:
    impulse = np.zeros(80)
    impulse[40] = 1
    np.testing.assert_allclose(_smooth(impulse), (np.abs(np.arange(80) - 40) <= 2) / 5, atol=1e-12)
    # At the ends the mean is that of the places that there are.
    ends = [1, 1.5, 2, 3], [76, 77, 77.5, 78]
    ramp = _smooth(np.arange(80.0))
    np.testing.assert_allclose((ramp[:4], ramp[-4:]), ends)
