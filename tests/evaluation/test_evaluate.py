"""Tables: the rows are the means of what the API measures, intervals behave, and files say what was measured."""

from __future__ import annotations

import csv
import errno
import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import perturbed, two_ranks
from numpy.typing import NDArray

import mkpn
from mkpn.__main__ import main
from mkpn.evaluation.baselines import _DENOISERS  # pyright: ignore[reportPrivateUsage]
from mkpn.evaluation.config import EvaluateConfig
from mkpn.evaluation.evaluate import Measurement, compare, evaluate, interval, summarise
from mkpn.evaluation.report import (
    csv_table,
    detail_table,
    interval_table,
    latex_table,
    markdown_table,
    spread,
    spread_table,
)
from mkpn.explain.regions import REGIONS, classify
from mkpn.figures.table1 import table1_chart
from mkpn.metrics import LUMA
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.synthesis.burst import make_burst, rng_for
from mkpn.synthesis.datasets import centre_crop, image_files
from mkpn.synthesis.noise import GAINS


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small untrained networks that carry the names of shipped ones."""
    folder = tmp_path_factory.mktemp("networks")
    for name in ("kpn-l3", "mkpn"):
        network = perturbed(model_config(name))
        save_model(folder / f"{name}.safetensors", network.config, network.state_dict(), {})
    return folder


def blank(*_: object) -> bytes:
    return b""


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws the charts, where a test reads them: they take longer than the measurements of a small test."""
    monkeypatch.setattr("mkpn.evaluation.evaluate.table1_chart", table1_chart)


@pytest.fixture(autouse=True)
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkpn.evaluation.evaluate.table1_chart", blank)


@pytest.fixture
def config(photo_folder: Path, networks: Path, tmp_path: Path) -> EvaluateConfig:
    models = tuple(str(networks / f"{name}.safetensors") for name in ("kpn-l3", "mkpn"))
    return EvaluateConfig(
        images=(photo_folder,),
        out=tmp_path / "out",
        models=models,
        crop=48,
        limit=3,
        gains=(1, 8),
        device="cpu",
        threads=1,
    )


def test_evaluation_is_the_mean_of_the_images(photo_folder: Path, tmp_path: Path) -> None:
    network = perturbed(model_config("kpn-l3"))
    save_model(tmp_path / "mine.safetensors", network.config, network.state_dict(), {})
    photographs = tmp_path / "two"
    photographs.mkdir()
    for path in image_files([photo_folder])[:2]:
        shutil.copy(path, photographs)
    settings = {"images": (photographs,), "out": tmp_path / "out", "crop": 64}
    report = evaluate(
        EvaluateConfig(models=(str(tmp_path / "mine.safetensors"),), stamp=True, device="cpu", **settings)
    )
    assert report == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["model"], row["gain"]) for row in report["rows"]] == [
        (model, gain) for gain in GAINS for model in ("noisy", "mean", "oracle-1", "mine")
    ]
    denoiser, values = mkpn.load(tmp_path / "mine.safetensors", "cpu"), []
    for index, path in enumerate(image_files([photo_folder])[:2]):
        scene = np.ascontiguousarray(centre_crop(mkpn.load_image(path), 96).transpose(2, 0, 1))
        burst = make_burst(scene, GAINS[8], rng_for(0, 8, index))
        values.append(mkpn.psnr(denoiser(burst).image, burst.clean))
    row = next(row for row in report["rows"] if row["model"] == "mine" and row["gain"] == 8)
    assert row["psnr"] == pytest.approx(np.mean(values), abs=1e-6)
    assert row["psnr_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert set(row) == {
        *("model", "gain", "psnr", "ssim", "psnr_sd", "ssim_sd", "images", "bias"),
        *("psnr_flat", "psnr_edge", "psnr_texture"),
    }
    assert report["metric"]["border"] == 8
    stamped = mkpn.load(tmp_path / "mine.safetensors", "cpu").metadata["metrics"]
    assert stamped["rows"] == [row for row in report["rows"] if row["model"] == "mine"]
    assert [row["model"] for row in stamped["references"]] == ["noisy", "mean", "oracle-1"] * 4
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("results.json", "results.md", "results.csv", "results.tex", "images.csv")
    }


def test_the_oracle_may_be_denoised(config: EvaluateConfig, networks: Path) -> None:
    models = (str(networks / "mkpn.safetensors"),)
    report = evaluate(replace(config, models=models, gains=(8,), limit=1, oracle_nlm=True))
    psnr = {row["model"]: row["psnr"] for row in report["rows"]}
    assert list(psnr) == ["noisy", "mean", "oracle-5", "oracle-5+nlm", "mkpn"]
    assert psnr["oracle-5+nlm"] > psnr["oracle-5"] + 1
    table = (config.out / "results.md").read_text(encoding="utf-8")
    assert "truly aligned mean, reach 5 |" in table
    assert "truly aligned mean + NLM, reach 5 |" in table
    with pytest.raises(ValueError, match="oracle_nlm: expected --oracle"):
        replace(config, oracle=False, oracle_nlm=True)


def test_two_files_of_one_name_are_two_rows(config: EvaluateConfig, networks: Path, tmp_path: Path) -> None:
    network = perturbed(model_config("mkpn"), seed=1)
    other = tmp_path / "run" / "mkpn.safetensors"
    save_model(other, network.config, network.state_dict(), {})
    models = (str(networks / "mkpn.safetensors"), str(other))
    report = evaluate(replace(config, models=models, gains=(4,), limit=1))
    psnr = {row["model"]: row["psnr"] for row in report["rows"]}
    assert set(psnr) == {"noisy", "mean", "oracle-5", "mkpn", "mkpn-2"}
    assert psnr["mkpn"] != psnr["mkpn-2"]


def test_a_shipped_network_and_a_file_of_its_name_are_two_rows(config: EvaluateConfig, networks: Path) -> None:
    own = str(networks / "kpn-l3.safetensors")
    for models in ((own, "kpn-l3"), ("kpn-l3", own), ("kpn-l3", own, "kpn-l3", own)):
        report = evaluate(replace(config, models=models, gains=(4,), limit=1, oracle=False))
        names = ["kpn-l3-2" if model == own else model for model in dict.fromkeys(models)]
        assert [row["model"] for row in report["rows"]] == ["noisy", "mean", *names]
        assert report["weights"]["kpn-l3"] == mkpn.load("kpn-l3", "cpu").metadata["sha256"]
        assert report["weights"]["kpn-l3-2"] == mkpn.load(own, "cpu").metadata["sha256"]


def test_no_network_takes_the_name_of_a_baseline(config: EvaluateConfig, tmp_path: Path) -> None:
    network = perturbed(model_config("kpn-l3"))
    taken = ["noisy", "mean", "nlm", "oracle-1", "oracle-1+nlm"]
    files = [str(tmp_path / f"{name}.safetensors") for name in taken]
    for file in files:
        save_model(Path(file), network.config, network.state_dict(), {})
    measured = replace(config, models=tuple(files), gains=(4,), limit=1, oracle_nlm=True, baselines=("nlm",))
    rows = {row["model"]: row["psnr"] for row in evaluate(measured)["rows"]}
    assert list(rows) == [*taken, *(f"{name}-2" for name in taken)]
    assert rows["noisy"] != rows["noisy-2"]


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


def test_an_interval_is_of_the_mean_and_holds_95_percent() -> None:
    """Nine ones among 90: a resampled sum is binomial, 4 to 15 (5 to 14 at 90 %), and the median is zero."""
    found = interval([1.0] * 9 + [0.0] * 81)
    assert found["difference"] == pytest.approx(9 / 90)
    assert (found["low"], found["high"]) == (pytest.approx(4 / 90), pytest.approx(15 / 90))


def test_tables_mark_the_best_and_the_ties() -> None:
    figures = measurements(noisy=[20.0, 22.0], **{"kpn-l5": [30.1, 30.8], "kpn": [29.0, 30.0]}, mkpn=[30.0, 31.0])
    rows, against = summarise(figures), compare(figures, "mkpn")
    assert rows[0]["psnr"] == 21
    assert rows[0]["psnr_sd"] == pytest.approx(math.sqrt(2))
    markdown = markdown_table(rows, against)
    assert "| MKPN | **30.50** / **0.762** |" in markdown
    assert "| noisy frame | 21.00 / 0.525 |" in markdown
    assert "| KPN L5 | 30.45 / 0.761 ≈ |" in markdown
    assert "| KPN 5×5 | 29.50 / 0.738 |" in markdown
    latex = latex_table(rows, against)
    assert r"MKPN & \textbf{30.50} & \textbf{0.762} \\" in latex
    assert r"KPN L5 & 30.45$^{\approx}$ & 0.761 \\" in latex
    assert r"KPN 5$\times$5 & 29.50 & 0.738 \\" in latex
    assert "| KPN L5 | +0.05 [−0.10, +0.20] ≈ |" in interval_table(against)
    assert "| KPN 5×5 | +1.00 [+1.00, +1.00] |" in interval_table(against)


def test_one_image_has_no_interval() -> None:
    figures = measurements(**{"kpn-l5": [30.0]}, mkpn=[31.0])
    rows, against = summarise(figures), compare(figures, "mkpn")
    assert against == [{"model": "kpn-l5", "gain": 4, "difference": 1.0, "low": None, "high": None, "tie": True}]
    assert "| KPN L5 | +1.00 [–] ≈ |" in interval_table(against)
    assert "| KPN L5 | 30.00 / 0.750 ≈ |" in markdown_table(rows, against)
    latex = latex_table(rows, against)
    assert "one image has no interval" in latex
    assert "contains zero" not in latex
    # Without a comparison nothing is said of one.
    assert "MKPN" not in latex_table(rows[:1])
    assert table1_chart(rows, against, "One image.").startswith(b"\x89PNG")


def test_no_zero_has_a_sign() -> None:
    rows = [{"model": "mkpn", "gain": gain, "bias": bias} for gain, bias in ((1, -1e-6), (2, 1e-6), (4, -1e-4))]
    assert "| MKPN | 0.00 | 0.00 | −0.03 |" in detail_table(rows, ("bias",), 255)


def test_images_are_listed_by_where_mkpn_differs() -> None:
    figures = [
        asdict(row) for row in measurements(**{"kpn-l5": [28.0, 29.0], "kpn-l25": [27.0, 31.0]}, mkpn=[27.5, 33.0])
    ]
    rows = spread(figures)
    assert [(row["image"], row["best_single"]) for row in rows] == [("1", "kpn-l25"), ("0", "kpn-l5")]
    assert [row["mkpn_minus_best_single"] for row in rows] == [2.0, -0.5]
    assert [row["mkpn_minus_kpn-l5"] for row in rows] == [4.0, -0.5]
    assert "| 4 | 1 | 33.00 | KPN L25 | +2.00 | +4.00 |" in spread_table(rows)
    assert csv_table(rows).splitlines()[0].startswith("gain,image,kpn-l5,kpn-l25,mkpn,best_single,")
    assert spread_table(spread([asdict(row) for row in measurements(mine=[20.0])])) == ""


@pytest.mark.usefixtures("charts")
def test_runs_are_compared_only_where_they_were_measured_alike(
    config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(config)
    monkeypatch.setattr("mkpn.evaluation.evaluate.table1_chart", blank)
    assert first["previous"] == []
    with (config.out / "images.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 3
    by_key = {(row["model"], row["gain"], row["image"]): row["psnr"] for row in first["images"]}
    assert float(table[0]["mkpn"]) == by_key["mkpn", 1, table[0]["image"]]
    assert (config.out / "table1.png").read_bytes().startswith(b"\x89PNG")
    assert (config.out / "table1.pdf").read_bytes().startswith(b"%PDF")

    kept = config.out / "results.json"
    again = replace(config, out=config.out / "again", against=kept, models=config.models[1:], gains=(8,))
    rows = evaluate(again)["previous"]
    assert [(row["model"], row["gain"]) for row in rows] == [*(("noisy", 8), ("mean", 8), ("oracle-5", 8), ("mkpn", 8))]
    assert all(row["difference"] == row["low"] == row["high"] == 0 and row["tie"] for row in rows)
    assert "This run minus the earlier one" in (again.out / "results.md").read_text()

    for changes, message in (
        ({"border": 4}, r'metric was .*"border": 8.*, is .*"border": 4'),
        ({"channels": "luma"}, "metric was"),
        ({"crop": 64}, "crop was 48, is 64"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"limit": 2}, "files was 3 names, is 2 names"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(replace(again, **changes))
    evaluate(replace(again, gains=(1,), against=None, out=config.out / "low"))
    with pytest.raises(ValueError, match="gains were 1, are 8"):
        evaluate(replace(again, against=config.out / "low" / "results.json"))
    other = json.loads(kept.read_text())
    assert [list(other["burst_sha256"][gain]) for gain in ("1", "8")] == [["0.png", "1.png", "2.png"]] * 2
    other["burst_sha256"]["8"]["2.png"] = "0"
    kept.write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"other bursts at gain 8, first of 2\.png"):
        evaluate(again)
    # A run of an earlier version knows the first burst only.
    del other["burst_sha256"]
    kept.write_text(json.dumps(other))
    assert evaluate(again)["previous"] == rows
    other["settings"]["first_burst_sha256"]["8"] = "0"
    kept.write_text(json.dumps(other))
    with pytest.raises(ValueError, match="other bursts at gain 8"):
        evaluate(again)
    kept.write_text("{}")
    with pytest.raises(ValueError, match=r"expected a results\.json"):
        evaluate(again)


def test_the_command_needs_only_images(
    config: EvaluateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--images", str(config.images[0]), "--limit", "1", "--gains", "8", "--crop", "48", "--threads", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mkpn", "evaluate", *given, "--models", config.models[0]])
    main()
    written = tmp_path / "out" / "table1" / "results.md"
    assert written.read_text().strip() in capsys.readouterr().out


@pytest.mark.usefixtures("charts")
def test_two_processes_measure_what_one_does(config: EvaluateConfig, tmp_path: Path) -> None:
    """Three bursts on two ranks, started as torchrun does: every file is the same, byte for byte."""
    evaluate(replace(config, gains=(8,)))
    shared = config.out / "two"
    command = ["evaluate", "--images", str(config.images[0]), "--out", str(shared), "--models", *config.models]
    command += ["--crop", "48", "--limit", "3", "--gains", "8", "--device", "cpu", "--threads", "1"]
    assert two_ranks(command, tmp_path) == [(shared / "results.md").read_text() + "\n", ""]
    names = {path.name for path in shared.iterdir()}
    assert "results.json" in names
    for name in names:
        assert (shared / name).read_bytes() == (config.out / name).read_bytes(), name


def test_frames_can_be_hidden_and_motion_left_out(config: EvaluateConfig) -> None:
    whole = psnr_by_model(evaluate(config))
    alone = psnr_by_model(evaluate(replace(config, frames=1)))
    still = evaluate(replace(config, still=True))
    # Eight copies of the reference average to the reference.
    assert alone["mean"] == pytest.approx(alone["noisy"], abs=1e-4)
    assert alone["noisy"] == whole["noisy"]
    # Nor do copies move, so that their truly aligned mean is the reference, too.
    assert alone["oracle-1"] == alone["oracle-5"] == pytest.approx(alone["noisy"], abs=1e-4)
    # Without motion, eight frames of independent noise average to an eighth of its variance.
    assert psnr_by_model(still)["mean"] == pytest.approx(whole["noisy"] + 10 * math.log10(8), abs=0.3)
    assert "without motion" in (config.out / "results.md").read_text()
    # All frames are within every reach: the truly aligned mean is the mean.
    for name in ("oracle-1", "oracle-5"):
        assert psnr_by_model(still)[name] == pytest.approx(psnr_by_model(still)["mean"], abs=1e-5)
    with pytest.raises(ValueError, match="other bursts at gain 1"):
        evaluate(replace(config, frames=1, against=config.out / "results.json"))
    with pytest.raises(ValueError, match="frames: expected a whole number, 1 to 8, got 0"):
        replace(config, frames=0)
    whole_set = replace(config, stamp=True, limit=0, gains=tuple(GAINS))
    for changes in ({"still": True}, {"limit": 1}, {"gains": (8,)}, {"frames": 4}):
        with pytest.raises(ValueError, match="stamp: expected figures of all photographs"):
            replace(whole_set, **changes)


def test_copies_of_the_reference_average_no_noise_away(config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[float] = []

    def watched(image: NDArray[np.float32], level: float, _: object) -> NDArray[np.float32]:
        levels.append(level)
        return image

    monkeypatch.setitem(_DENOISERS, "nlm", watched)
    alone = replace(
        config, gains=(1,), limit=1, frames=1, baselines=("nlm",), oracle_nlm=True, models=config.models[:1]
    )
    noisy = psnr_by_model(evaluate(alone))["noisy"]
    # The baseline and the truly aligned mean expect the noise of the one frame that they see.
    assert levels == pytest.approx([10 ** (-noisy / 20)] * 2, rel=0.1)


def test_a_picture_without_an_error_has_a_finite_figure(
    config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mkpn.evaluation.evaluate.noise_for_gain", lambda _: mkpn.Noise(0, 0))
    report = evaluate(replace(config, gains=(8,), limit=2))
    noisy = report["rows"][0]
    assert [noisy[key] for key in ("model", "psnr", "psnr_sd", "psnr_flat")] == ["noisy", 120, 0, 120]
    json.dumps(report, allow_nan=False)
    # A run of one image could write an infinite figure.
    for row in report["images"]:
        row["psnr"] = math.inf if row["psnr"] == 120 else row["psnr"]
    earlier = config.out / "earlier.json"
    earlier.write_text(json.dumps(report))
    again = evaluate(replace(config, gains=(8,), limit=2, against=earlier))
    assert {row["difference"] for row in again["previous"]} == {0}


def test_results_are_not_written_among_the_photographs(config: EvaluateConfig) -> None:
    """The next time, the plot would be measured, too."""
    with pytest.raises(ValueError, match=r"^out: expected a folder without the photographs themselves"):
        evaluate(replace(config, out=config.images[0] / "out"))


def test_what_was_measured_is_told_where_it_cannot_be_written(
    config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mkpn.evaluation.evaluate._write", full)
    with pytest.raises(OSError, match="No space left"), caplog.at_level("ERROR"):
        evaluate(config)
    assert "could not be written; measured:" in caplog.text
    assert "| MKPN" in caplog.text


def test_far_frames_are_beyond_small_kernels(config: EvaluateConfig) -> None:
    """No frame but the reference is within one pixel, and some are within five, so only the larger oracle averages."""
    report = evaluate(replace(config, far=True, oracle=True))
    psnr = psnr_by_model(report)
    assert psnr["oracle-1"] == psnr["noisy"]
    assert psnr["oracle-5"] > psnr["noisy"] + 0.5
    assert "every frame but the reference moved by 3 to 16 pixels" in (config.out / "results.md").read_text()
    assert "truly aligned mean, reach 5" in (config.out / "results.md").read_text()
    without = evaluate(replace(config, far=True, oracle=False))
    assert set(psnr_by_model(without)) == {"noisy", "mean", "kpn-l3", "mkpn"}
    with pytest.raises(ValueError, match="far: expected no motion or far motion"):
        replace(config, far=True, still=True)
    with pytest.raises(ValueError, match="stamp: expected figures of all photographs"):
        replace(config, far=True, stamp=True)


def test_sharp_scenes_need_no_images(config: EvaluateConfig) -> None:
    report = evaluate(replace(config, images=(), scene="sharp", limit=7, gains=(8,), crop=0))
    names = list(dict.fromkeys(row["image"] for row in report["images"]))
    assert names == ["text 0", "line art 0", "chart 0", "screenshot 0", "star 0", "grating 0", "text 1"]
    assert report["settings"]["images"] == ["drawn scenes"]
    assert report["settings"]["crop"] == 128
    with pytest.raises(ValueError, match="images: expected at least one folder"):
        replace(config, images=())
    for changes in ({}, {"images": (), "downsample": 2}, {"images": (), "strict": True}):
        with pytest.raises(ValueError, match="scene: expected no --images, --downsample or --strict with sharp"):
            replace(config, scene="sharp", **changes)


def test_regions_and_bias_are_those_of_the_errors(config: EvaluateConfig, photo_folder: Path) -> None:
    report = evaluate(replace(config, limit=1, gains=(4,)))
    row = next(row for row in report["rows"] if row["model"] == "mean")
    scene = np.ascontiguousarray(centre_crop(mkpn.load_image(image_files([photo_folder])[0]), 80).transpose(2, 0, 1))
    burst = make_burst(scene, GAINS[4], rng_for(0, 4, 0))
    error = (burst.frames.mean(0).clamp(0, 1) - burst.clean).numpy()[:, 8:-8, 8:-8]
    assert row["bias"] == pytest.approx(float(error.mean()), abs=1e-6)
    regions = classify(burst.clean.numpy())[8:-8, 8:-8]
    for index, name in enumerate(REGIONS):
        expected = -10 * math.log10(float((error[:, regions == index].astype(np.float64) ** 2).mean()))
        assert row[f"psnr_{name}"] == pytest.approx(expected, abs=1e-4)
    luma = evaluate(replace(config, limit=1, gains=(4,), channels="luma", out=config.out / "luma"))
    own = next(row for row in luma["rows"] if row["model"] == "mean")
    squared = np.tensordot(LUMA, error.astype(np.float64), 1) ** 2
    assert own["psnr_flat"] == pytest.approx(-10 * math.log10(squared[regions == 0].mean()), abs=1e-4)
    text = (config.out / "results.md").read_text()
    cells = " / ".join(f"{row[f'psnr_{name}']:.2f}" for name in REGIONS)
    assert f"| burst mean | {cells} |" in text
    # In levels of 255.
    bias = f"{255 * row['bias']:.2f}".replace("-", "−")
    assert f"| burst mean | {bias} |" in text.split("Bias of the brightness")[1]


def psnr_by_model(report: dict[str, Any]) -> dict[str, float]:
    return {row["model"]: row["psnr"] for row in report["rows"] if row["gain"] == 1}


@pytest.mark.usefixtures("charts")
def test_names_that_are_no_text_are_written(config: EvaluateConfig, photo_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos-\udcff"
    folder.mkdir()
    name = "caf\udce9.png"
    (folder / name).write_bytes((photo_folder / "0.png").read_bytes())
    evaluate(replace(config, images=(folder,), gains=(8,)))
    assert "caf\\udce9.png" in (config.out / "results.md").read_text(encoding="utf-8")
    assert "caf\\udce9.png" in (config.out / "images.csv").read_text(encoding="utf-8")


def test_unknown_models_are_named(photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'foo'"):
        evaluate(EvaluateConfig(images=(photo_folder,), out=tmp_path, models=("foo",)))
