"""Tables: the rows are the means of what the API measures, intervals behave, and files say what was measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import perturbed

import mkpn
from mkpn.burst import make_burst, rng_for
from mkpn.checkpoint import save_model
from mkpn.config import EvaluateConfig, model_config
from mkpn.data import centre_crop, image_files
from mkpn.evaluate import Measurement, compare, evaluate, latex_table, markdown_table, summarise
from mkpn.noise import GAINS


def test_evaluation_is_the_mean_of_the_images(photo_folder: Path, tmp_path: Path) -> None:
    network = perturbed(model_config("kpn-l3"))
    save_model(tmp_path / "mine.safetensors", network.config, network.state_dict(), {})
    settings = {"images": (photo_folder,), "out": tmp_path / "out", "crop": 64, "limit": 2, "gains": (1, 8)}
    report = evaluate(
        EvaluateConfig(models=(str(tmp_path / "mine.safetensors"),), stamp=True, device="cpu", **settings)
    )
    assert report == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["model"], row["gain"]) for row in report["rows"]] == [
        (model, gain) for gain in (1, 8) for model in ("noisy", "mean", "mine")
    ]
    denoiser, values = mkpn.load(tmp_path / "mine.safetensors", "cpu"), []
    for index, path in enumerate(image_files([photo_folder])[:2]):
        scene = np.ascontiguousarray(centre_crop(mkpn.load_image(path), 96).transpose(2, 0, 1))
        burst = make_burst(scene, GAINS[8], rng_for(0, 8, index))
        values.append(mkpn.psnr(denoiser(burst).image, burst.clean))
    row = next(row for row in report["rows"] if row["model"] == "mine" and row["gain"] == 8)
    assert row["psnr"] == pytest.approx(np.mean(values), abs=1e-6)
    assert row["psnr_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert set(row) == {"model", "gain", "psnr", "ssim", "psnr_sd", "ssim_sd", "images"}
    assert report["metric"]["border"] == 8
    stamped = mkpn.load(tmp_path / "mine.safetensors", "cpu").metadata["metrics"]
    assert stamped["rows"] == [row for row in report["rows"] if row["model"] == "mine"]
    assert {"results.md", "results.csv", "results.tex"} <= {path.name for path in (tmp_path / "out").iterdir()}


def measurements(**models: list[float]) -> list[Measurement]:
    return [Measurement(m, 4, str(i), v, v / 40) for m, values in models.items() for i, v in enumerate(values)]


def test_bootstrap_tells_ties_from_differences() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(30, 3, 68)
    rows = compare(
        measurements(
            mkpn=base.tolist(),
            worse=(base - 0.2 + rng.normal(0, 0.1, 68)).tolist(),
            tied=(base + rng.normal(0, 0.1, 68)).tolist(),
        ),
        "mkpn",
    )
    worse, tied = rows
    assert not worse["tie"]
    assert worse["low"] < 0.2 < worse["high"]
    # A paired interval of a mean: about +-1.96 sd/sqrt(n), far narrower than the spread between images.
    assert worse["high"] - worse["low"] == pytest.approx(2 * 1.96 * 0.1 / math.sqrt(68), rel=0.3)
    assert tied["tie"]


def test_tables_mark_the_best() -> None:
    rows = summarise(measurements(noisy=[20.0, 22.0], mkpn=[30.0, 31.0]))
    assert rows[0]["psnr"] == 21
    assert rows[0]["psnr_sd"] == pytest.approx(math.sqrt(2))
    assert "| mkpn | **30.50** / **0.762** |" in markdown_table(rows)
    assert "| noisy | 21.00 / 0.525 |" in markdown_table(rows)
    assert r"mkpn & \textbf{30.50} & \textbf{0.762} \\" in latex_table(rows)


def test_unknown_models_are_named(photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'foo'"):
        evaluate(EvaluateConfig(images=(photo_folder,), out=tmp_path, models=("foo",)))
