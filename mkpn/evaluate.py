"""Models x gains on a test set: Table 1 of the paper, on any folder of images."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mkpn.burst import Burst
from mkpn.checkpoint import shipped_models, stamp_metrics, weights_hash
from mkpn.config import MODELS, BurstConfig, EvaluateConfig
from mkpn.data import TestSet, image_files
from mkpn.inference import Denoiser, load
from mkpn.metrics import MetricDefinition, psnr, ssim
from mkpn.noise import noise_for_gain

Method = Callable[[Burst], torch.Tensor]

_BOOTSTRAP_SAMPLES = 10_000


@dataclass(frozen=True)
class Measurement:
    """PSNR (dB) and SSIM of one method on one image at one gain."""

    model: str
    gain: int
    image: str
    psnr: float
    ssim: float


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Measures every method on every test set and writes the tables.

    Args:
        config: the evaluation.

    Returns:
        What `results.json` holds: `rows` (a model at a gain: means and standard deviations over images), `against`
        (paired bootstrap of each model against MKPN), `images` (per-image figures), `metric`, `settings`, `weights`.

    Raises:
        ValueError: if images, models or gains cannot be used.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    definition = MetricDefinition(border=config.border, channels=config.channels)
    paths = _checkpoints(config.models)
    methods: dict[str, Method] = {"noisy": lambda burst: burst.frames[0], "mean": lambda burst: burst.frames.mean(0)}
    for name, path in paths.items():
        methods[name] = _denoise_with(load(path, config.device))
    sets = list(_test_sets(config))
    measurements = list(_measure(methods, sets, definition))
    report: dict[str, Any] = {
        "rows": summarise(measurements),
        "against": compare(measurements, "mkpn") if "mkpn" in methods else [],
        "metric": definition.to_dict(),
        "settings": {
            "images": [str(folder) for folder in config.images],
            "downsample": config.downsample,
            "crop": config.crop,
            "seed": config.seed,
            "first_burst_sha256": {str(test.gain): burst_hash(test[0]) for test in sets},
        },
        "weights": {name: weights_hash(path) for name, path in paths.items()},
        "images": [vars(measurement) for measurement in measurements],
    }
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (config.out / "results.md").write_text(markdown_table(report["rows"]) + "\n" + definition.describe() + "\n")
    (config.out / "results.csv").write_text(csv_table(report["rows"]))
    (config.out / "results.tex").write_text(latex_table(report["rows"]))
    if config.stamp:
        for name, path in paths.items():
            rows = [row for row in report["rows"] if row["model"] == name]
            stamp_metrics(path, {"rows": rows, "metric": report["metric"], "settings": report["settings"]})
    return report


def burst_hash(burst: Burst) -> str:
    """Returns the SHA-256 of a burst's frames in 16 bits, which rounding errors between machines leave alone."""
    rounded = ((burst.frames + 4) / 8 * 65535).clamp(0, 65535).round().to(torch.int32).numpy().astype("<u2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()


def summarise(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """Returns `{model, gain, psnr, ssim, psnr_sd, ssim_sd, images}` for every model and gain, in order."""
    groups: dict[tuple[str, int], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.model, measurement.gain), []).append(measurement)
    rows: list[dict[str, Any]] = []
    for (model, gain), group in groups.items():
        row: dict[str, Any] = {"model": model, "gain": gain}
        for key in ("psnr", "ssim"):
            values = [getattr(measurement, key) for measurement in group]
            row[key] = statistics.fmean(values)
            row[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
        rows.append({**row, "images": len(group)})
    return rows


def compare(measurements: Iterable[Measurement], against: str) -> list[dict[str, Any]]:
    """Paired bootstrap over images: how much better `against` is than every other model, in dB of PSNR.

    Returns:
        `{model, gain, difference, low, high, tie}`: the mean difference, its 95 % interval, and whether that interval
        contains zero.
    """
    table: dict[int, dict[str, list[float]]] = {}
    for measurement in measurements:
        table.setdefault(measurement.gain, {}).setdefault(measurement.model, []).append(measurement.psnr)
    rows: list[dict[str, Any]] = []
    for gain, models in table.items():
        for model, values in models.items():
            if model == against:
                continue
            differences = np.array(models[against]) - np.array(values)
            # The same resampling for all models, from a fixed seed: the intervals are reproducible.
            rng = np.random.default_rng(0)
            picks = rng.integers(len(differences), size=(_BOOTSTRAP_SAMPLES, len(differences)))
            low, high = np.percentile(differences[picks].mean(axis=1), [2.5, 97.5])
            tie = bool(low <= 0 <= high)
            mean = float(differences.mean())
            rows.append(
                {"model": model, "gain": gain, "difference": mean, "low": float(low), "high": float(high), "tie": tie}
            )
    return rows


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Returns models x gains as a Markdown table, `PSNR / SSIM`, the best of each column in bold."""
    gains, models, cells, best = _table(rows)
    lines = ["| model | " + " | ".join(f"gain {gain}" for gain in gains) + " |", "| --- |" + " --- |" * len(gains)]
    for model in models:
        texts = [
            " / ".join(
                f"**{cells[model, gain][key]:.{digits}f}**"
                if cells[model, gain][key] == best[key, gain]
                else f"{cells[model, gain][key]:.{digits}f}"
                for key, digits in (("psnr", 2), ("ssim", 3))
            )
            for gain in gains
        ]
        lines.append(f"| {model} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def latex_table(rows: list[dict[str, Any]]) -> str:
    """Returns models x gains as a LaTeX `tabular`, in the layout of the paper's Table 1."""
    gains, models, cells, best = _table(rows)
    lines = [r"\begin{tabular}{l" + "cc" * len(gains) + "}"]
    lines.append(
        " & ".join(["Model"] + [rf"\multicolumn{{2}}{{c}}{{Gain $\times {gain}$}}" for gain in gains]) + r" \\"
    )
    lines.append(" & ".join([""] + ["PSNR & SSIM"] * len(gains)) + r" \\ \hline")
    for model in models:
        texts = [model]
        for gain in gains:
            for key, digits in (("psnr", 2), ("ssim", 3)):
                value = cells[model, gain][key]
                text = f"{value:.{digits}f}"
                texts.append(rf"\textbf{{{text}}}" if value == best[key, gain] else text)
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\end{tabular}", ""])


def csv_table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(
    rows: list[dict[str, Any]],
) -> tuple[list[int], list[str], dict[tuple[str, int], dict[str, Any]], dict[tuple[str, int], float]]:
    gains = list(dict.fromkeys(row["gain"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    cells = {(row["model"], row["gain"]): row for row in rows}
    best = {(key, gain): max(cells[model, gain][key] for model in models) for key in ("psnr", "ssim") for gain in gains}
    return gains, models, cells, best


def _checkpoints(models: tuple[str, ...]) -> dict[str, Path]:
    shipped = shipped_models()
    if not models:
        return shipped
    paths: dict[str, Path] = {}
    for model in models:
        if model in shipped:
            paths[model] = shipped[model]
        elif model.endswith(".safetensors"):
            paths[Path(model).stem] = Path(model)
        else:
            raise ValueError(f"models: expected names of {', '.join(MODELS)} or .safetensors files, got {model!r}")
    return paths


def _denoise_with(denoiser: Denoiser) -> Method:
    return lambda burst: denoiser(burst).image


def _test_sets(config: EvaluateConfig) -> Iterator[TestSet]:
    files = tuple(image_files(config.images))
    for gain in config.gains:
        yield TestSet(
            files=files[: config.limit or None],
            noise=noise_for_gain(gain),
            gain=gain,
            downsample=config.downsample,
            crop=config.crop,
            seed=config.seed,
            burst=BurstConfig(),
        )


def _measure(methods: dict[str, Method], sets: list[TestSet], definition: MetricDefinition) -> Iterator[Measurement]:
    with tqdm(total=sum(map(len, sets)), unit="burst") as progress:
        for test in sets:
            for path, burst in zip(test.files, test, strict=True):
                for name, method in methods.items():
                    image = method(burst)
                    yield Measurement(
                        name,
                        test.gain,
                        path.name,
                        psnr(image, burst.clean, definition),
                        ssim(image, burst.clean, definition),
                    )
                progress.update()
