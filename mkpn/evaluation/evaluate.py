"""Models x gains on a test set: Table 1 of the paper, on any folder of images."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import distributed
from tqdm import tqdm

from mkpn.checks import one_line, writable_folder
from mkpn.distributed import local_device, process_group, shows_progress
from mkpn.evaluation.baselines import BASELINES, baselines, nlm_within
from mkpn.evaluation.config import EvaluateConfig
from mkpn.evaluation.names import keep_photographs, named_networks
from mkpn.evaluation.report import Rows, csv_table, latex_table, markdown_report, measured_on, spread
from mkpn.explain.oracle import aligned_mean
from mkpn.explain.regions import REGIONS, RULE, classify
from mkpn.figures.table1 import table1_chart
from mkpn.inference.denoiser import Denoiser, load
from mkpn.methods import DENOISED, ORACLE
from mkpn.metrics import LUMA, MetricDefinition, psnr, ssim
from mkpn.model.checkpoint import shipped_models, stamp_metrics
from mkpn.model.config import MAX_KERNEL, MODELS
from mkpn.synthesis.burst import Burst
from mkpn.synthesis.datasets import TestSet, image_files
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import noise_for_gain
from mkpn.synthesis.read_once import ReadOnce
from mkpn.synthesis.scenes import KINDS
from mkpn.whole_files import written_whole

log = logging.getLogger(__name__)

Method = Callable[[Burst], torch.Tensor]

_BOOTSTRAP_SAMPLES = 10_000
# What other methods are called, whatever their reach: no network may be.
_OF_METHODS = (*BASELINES, *(f"{ORACLE}{reach}{end}" for reach in range(MAX_KERNEL // 2 + 1) for end in ("", DENOISED)))
_SCENES, _SCENE_SIDE = 6, 128
# Equal pictures, e.g. of one white, would have an infinite PSNR, of which there is no mean: 120 dB.
_LEAST_ERROR = 1e-12
_HIGHEST = -10 * math.log10(_LEAST_ERROR)


@dataclass(frozen=True)
class Measurement:
    """Figures of one method on one image at one gain.

    Attributes:
        model: the method.
        gain: of the noise.
        image: its name.
        psnr: in dB, at most 120.
        ssim: at most 1.
        bias: mean error of the brightness, intensities of the clipped result minus the truth.
        psnr_flat: PSNR of flat pixels by `mkpn.explain.regions`; None where there are none.
        psnr_edge: of pixels at edges.
        psnr_texture: of textured pixels.
    """

    model: str
    gain: int
    image: str
    psnr: float
    ssim: float
    bias: float | None = None
    psnr_flat: float | None = None
    psnr_edge: float | None = None
    psnr_texture: float | None = None


_MEANS = ("bias", *(f"psnr_{region}" for region in REGIONS))


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Measures every method on every test set and writes the tables.

    Under `torchrun` the bursts are shared out among the processes; the figures are those of one process.

    Args:
        config: the evaluation.

    Returns:
        What `results.json` holds: `rows` (a model at a gain: means and standard deviations over images), `against`
        (MKPN minus each other method, paired bootstrap), `previous` (this run minus `config.against`), `images`
        (per-image figures), `burst_sha256` (by gain and image), `metric`, `settings`, `weights`, `skipped` (baselines
        that cannot run, and why), `left_out` (images that cannot be used, and why).

    Raises:
        ValueError: if models, gains or `out` cannot be used, no image can be used, or, with `config.strict`, any of
            them cannot, or `config.against` was measured differently.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    with process_group(local_device(config.device)) as (rank, world):
        if rank == 0:
            keep_photographs([config.out / "table1.png"], [], config.images)
            writable_folder(config.out, "out")
        report = _report(config, rank, world)
        if rank == 0:
            try:
                _write(config, report)
            except OSError:
                # Hours of work must not be lost with the files.
                tables = markdown_report(report, MetricDefinition(border=config.border, channels=config.channels))
                log.error("out: %s could not be written; measured:\n%s", config.out, tables)
                raise
    return report


def _report(config: EvaluateConfig, rank: int, world: int) -> dict[str, Any]:
    definition = MetricDefinition(border=config.border, channels=config.channels)
    # Whatever may be wrong is found before the work, which takes minutes.
    device = str(local_device(config.device))
    networks = {name: load(path, device) for name, path in _checkpoints(config.models).items()}
    scenes = ReadOnce(_test_set(config, config.gains[0], ()).scene, lambda scene: scene.nbytes)
    files, left_out = _usable(config, definition, scenes)
    sets = [replace(_test_set(config, gain, files), kept=scenes) for gain in config.gains]
    folders = [folder.resolve().name for folder in config.images] if config.scene == "photographs" else ["drawn scenes"]
    settings: dict[str, Any] = {
        "images": [one_line(title) for title in ([config.title] if config.title else folders)],
        "downsample": sets[0].downsample,
        "crop": sets[0].crop,
        "seed": config.seed,
        "frames": config.frames,
        "still": config.still,
        "far": config.far,
        "scene": config.scene,
        "regions": RULE,
        "first_burst_sha256": {str(test.gain): burst_hash(test[0]) for test in sets},
    }
    report: dict[str, Any] = {"metric": definition.to_dict(), "settings": settings}
    earlier = _earlier(config.against, report, sets) if config.against else []
    methods: dict[str, Method] = {"noisy": lambda burst: burst.frames[0], "mean": lambda burst: burst.frames.mean(0)}
    classical, skipped = baselines(config.baselines)
    methods |= classical
    if config.oracle:
        sides = sorted({max(network.config.sizes) for network in networks.values()})
        methods |= {f"{ORACLE}{side // 2}": partial(aligned_mean, size=side) for side in sides}
        if config.oracle_nlm:
            methods |= {f"{ORACLE}{side // 2}{DENOISED}": partial(nlm_within, size=side) for side in sides}
    methods = {name: _of_seen(method, config.frames) for name, method in methods.items()}
    for name, network in networks.items():
        methods[name] = _denoise_with(network)
    measurements, hashes = _measure(methods, sets, definition, rank, world)
    return {
        "rows": summarise(measurements),
        "against": compare(measurements, "mkpn") if "mkpn" in methods else [],
        "previous": compare_runs(measurements, earlier),
        **report,
        "weights": {name: network.metadata["sha256"] for name, network in networks.items()},
        "skipped": skipped,
        "left_out": left_out,
        "images": [vars(measurement) for measurement in measurements],
        "burst_sha256": hashes,
    }


def _write(config: EvaluateConfig, report: dict[str, Any]) -> None:
    rows, against, out = report["rows"], report["against"], config.out
    definition = MetricDefinition(border=config.border, channels=config.channels)
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "results.json": json.dumps(report, indent=1) + "\n",
        "results.md": markdown_report(report, definition),
        "results.csv": csv_table(rows),
        "results.tex": latex_table(rows, against),
        "images.csv": csv_table(spread(report["images"])),
    }
    for name, text in texts.items():
        with written_whole(out / name) as temporary:
            # A file's name may be anything but UTF-8.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    where = measured_on(report["settings"], rows[0]["images"])
    if any(row["model"] in MODELS for row in rows):
        for kind in ("png", "pdf"):
            with written_whole(out / f"table1.{kind}") as temporary:
                temporary.write_bytes(table1_chart(rows, against, where, kind))
    if config.stamp:
        shared = {"metric": report["metric"], "settings": report["settings"]}
        ties = {(row["model"], row["gain"]) for row in against if row["tie"]}
        shared["references"] = [
            {**row, "tie": (row["model"], row["gain"]) in ties} for row in rows if row["model"] not in report["weights"]
        ]
        for name, path in _checkpoints(config.models).items():
            own = {key: [row for row in report[key] if row["model"] == name] for key in ("rows", "against")}
            stamp_metrics(path, {**own, **shared}, report["weights"][name])


def burst_hash(burst: Burst) -> str:
    """Returns the SHA-256 of a burst's frames in 16 bits, which rounding errors between machines leave alone."""
    rounded = ((burst.frames + 4) / 8 * 65535).clamp(0, 65535).round().to(torch.int32).numpy().astype("<u2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()


def summarise(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """Returns `{model, gain, psnr, ssim, psnr_sd, ssim_sd, bias, psnr_flat, ..., images}` by model and gain, in order.

    Means over the images; of the regions, over those images that have such pixels.
    """
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
        for key in _MEANS:
            known = [value for value in (getattr(measurement, key) for measurement in group) if value is not None]
            row[key] = statistics.fmean(known) if known else None
        rows.append({**row, "images": len(group)})
    return rows


def compare(measurements: Iterable[Measurement], against: str) -> Rows:
    """Paired bootstrap over images: how much better `against` is than every other model, in dB of PSNR.

    Returns:
        `{model, gain, difference, low, high, tie}` as `interval` tells.
    """
    table = _by_gain(measurements)
    return [
        {"model": model, "gain": gain, **interval(np.subtract(models[against], values))}
        for gain, models in table.items()
        for model, values in models.items()
        if model != against
    ]


def compare_runs(measurements: Iterable[Measurement], earlier: Iterable[Measurement]) -> Rows:
    """Paired bootstrap over images: this run minus an earlier one on the same bursts, as `compare`.

    What only one of the runs measured is left out.
    """
    before = _by_gain(earlier)
    return [
        {"model": model, "gain": gain, **interval(np.subtract(values, before[gain][model]))}
        for gain, models in _by_gain(measurements).items()
        for model, values in models.items()
        if model in before.get(gain, {})
    ]


def interval(differences: ArrayLike) -> dict[str, Any]:
    """Returns the mean of differences, its 95 % bootstrap interval, and whether that contains zero (a tie).

    The same resampling from a fixed seed serves every comparison: the intervals are reproducible. A single difference
    says nothing of its spread: it has no interval (None), and tells nothing apart (a tie).
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return {"difference": float(values.mean()), "low": None, "high": None, "tie": True}
    picks = np.random.default_rng(0).integers(len(values), size=(_BOOTSTRAP_SAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return {
        "difference": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "tie": bool(low <= 0 <= high),
    }


def _by_gain(measurements: Iterable[Measurement]) -> dict[int, dict[str, list[float]]]:
    table: dict[int, dict[str, list[float]]] = {}
    for measurement in measurements:
        table.setdefault(measurement.gain, {}).setdefault(measurement.model, []).append(measurement.psnr)
    return table


def _earlier(path: Path, report: dict[str, Any], sets: list[TestSet]) -> list[Measurement]:
    """Reads the measurements of an earlier run; a run that was measured differently is refused."""
    try:
        other = json.loads(path.read_text(encoding="utf-8"))
        before = {"metric": other["metric"], **other["settings"], "first_burst_sha256": {}}
        before["files"] = list(dict.fromkeys(row["image"] for row in other["images"]))
        hashes: dict[str, str] = other["settings"]["first_burst_sha256"]
        # A run of an earlier version tells those of the first image only.
        all_hashes: dict[str, dict[str, str]] = {
            gain: dict(by_image) for gain, by_image in dict(other.get("burst_sha256", {})).items()
        }
        # A run of one image, of an earlier version, may hold an infinite figure.
        measurements = [Measurement(**{**row, "psnr": min(row["psnr"], _HIGHEST)}) for row in other["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"against: expected a results.json of mkpn evaluate, got {path} ({error})") from error
    now: dict[str, Any] = {"metric": report["metric"], **report["settings"], "files": _names(sets[0].files)}
    wrong = [
        f"{key} was {_short(before[key])}, is {_short(now[key])}"
        for key in ("metric", "downsample", "crop", "seed", "files")
        if before.get(key) != now[key]
    ]
    own: dict[str, str] = now["first_burst_sha256"]
    wrong += [f"other bursts at gain {gain}" for gain in own if hashes.get(gain, own[gain]) != own[gain]]
    if not {*own} & {*hashes}:
        wrong.append(f"gains were {', '.join(hashes)}, are {', '.join(own)}")
    # All bursts are made for this, besides those that are measured: only where nothing else tells the runs apart.
    wrong = wrong or [other for test in sets for other in _other_bursts(test, all_hashes.get(str(test.gain)))]
    if wrong:
        raise ValueError(f"against: {path} was measured differently, so its figures do not compare: {'; '.join(wrong)}")
    return measurements


def _other_bursts(test: TestSet, hashes: dict[str, str] | None) -> list[str]:
    """Says where the bursts of a set begin to differ from those with the given hashes, by image; nothing if nowhere."""
    if hashes is None:
        return []
    for name, burst in zip(_names(test.files), test, strict=True):
        if hashes.get(name) != burst_hash(burst):
            return [f"other bursts at gain {test.gain}, first of {name}"]
    return []


def _short(value: object) -> str:
    return f"{len(value)} names" if isinstance(value, list) else json.dumps(value)


def _checkpoints(models: tuple[str, ...]) -> dict[str, Path]:
    shipped = shipped_models()
    named = named_networks(models or tuple(shipped), _OF_METHODS)
    return {name: shipped.get(model, Path(model)) for name, model in named.items()}


def _of_seen(method: Method, frames: int) -> Method:
    """A method that is given only the frames that are seen; with copies among them it would expect less noise."""

    def given(burst: Burst) -> torch.Tensor:
        seen = replace(burst, frames=burst.frames[:frames], offsets=burst.offsets[:frames], surroundings=None)
        return method(seen)

    return given


def _denoise_with(denoiser: Denoiser) -> Method:
    return lambda burst: denoiser(burst).image


def _usable(
    config: EvaluateConfig, definition: MetricDefinition, scenes: ReadOnce[NDArray[np.float32]]
) -> tuple[tuple[Path, ...], list[dict[str, str]]]:
    """Reads every image once: those to measure, up to the limit, and the others with the reason; or names scenes."""
    if config.scene == "sharp":
        count = config.limit or _SCENES * len(KINDS)
        return tuple(Path(f"{KINDS[index % len(KINDS)]} {index // len(KINDS)}") for index in range(count)), []
    margin = _test_set(config, config.gains[0], ()).burst.margin
    usable: list[Path] = []
    left_out: list[dict[str, str]] = []
    for path in image_files(config.images):
        if config.limit and len(usable) == config.limit:
            break
        try:
            height, width = (side - 2 * margin for side in scenes(path).shape[:2])
            if not definition.fits(height, width):
                least = 2 * config.border + 11
                raise ValueError(f"image: expected sides of {least} pixels or more, got {width}x{height}")
        except ValueError as error:
            if config.strict:
                raise ValueError(f"images: {path} cannot be used: {error}") from error
            log.warning("left out %s: %s", one_line(str(path)), error)
            left_out.append({"image": str(path), "reason": str(error)})
            continue
        usable.append(path)
    if not usable:
        raise ValueError(
            f"images: expected one that can be used, got {len(left_out)} others; the first: {left_out[0]['reason']}"
        )
    return tuple(usable), left_out


def _test_set(config: EvaluateConfig, gain: int, files: tuple[Path, ...]) -> TestSet:
    sharp = config.scene == "sharp"
    return TestSet(
        files=files,
        noise=noise_for_gain(gain),
        gain=gain,
        downsample=1 if sharp else config.downsample,
        crop=config.crop or (_SCENE_SIDE if sharp else 0),
        seed=config.seed,
        burst=BurstConfig(rate=0, small=0) if config.still else BurstConfig(far=config.far),
        seen=config.frames,
        drawn=sharp,
    )


def _names(files: Sequence[Path]) -> list[str]:
    """File names, or whole paths where two folders hold the same name."""
    names = [path.name for path in files]
    return names if len(set(names)) == len(names) else [str(path) for path in files]


def _measure(
    methods: dict[str, Method], sets: list[TestSet], definition: MetricDefinition, rank: int, world: int
) -> tuple[list[Measurement], dict[str, dict[str, str]]]:
    """Measures every `world`-th burst and gathers what the other processes measured, in one process's order.

    Returns:
        The measurements, and the bursts' hashes by gain and image.
    """
    bursts = [(test, index, name) for test in sets for index, name in enumerate(_names(test.files))]
    shards: list[list[tuple[str, list[Measurement]]]] = [[] for _ in range(world)]
    for test, index, name in tqdm(bursts[rank::world], unit="burst", disable=not shows_progress(rank)):
        burst = test[index]
        own_hash = burst_hash(burst)
        images = {model: method(burst).clamp(0, 1) for model, method in methods.items()}
        regions = classify(burst.clean.numpy())
        rows = [
            Measurement(
                model,
                test.gain,
                name,
                min(psnr(image, burst.clean, definition), _HIGHEST),
                ssim(image, burst.clean, definition),
                **_details(image, burst.clean, regions, definition),
            )
            for model, image in images.items()
        ]
        shards[rank].append((own_hash, rows))
    if world > 1:
        distributed.all_gather_object(shards, shards[rank])
    measured = [shards[position % world][position // world] for position in range(len(bursts))]
    hashes: dict[str, dict[str, str]] = {}
    for (test, _, name), (own_hash, _) in zip(bursts, measured, strict=True):
        hashes.setdefault(str(test.gain), {})[name] = own_hash
    return [row for _, rows in measured for row in rows], hashes


def _details(
    image: torch.Tensor, clean: torch.Tensor, regions: NDArray[np.uint8], definition: MetricDefinition
) -> dict[str, float | None]:
    """Bias of the brightness, and PSNR of each region."""
    height, width = regions.shape
    border = definition.border
    inner = slice(border, height - border), slice(border, width - border)
    error = (image.double() - clean.double())[:, *inner].cpu().numpy()
    if definition.channels == "luma" and len(error) == len(LUMA):
        error = np.tensordot(LUMA, error, 1)[None]
    squares, kinds = (error**2).mean(0), regions[inner]
    details: dict[str, float | None] = {"bias": float(error.mean())}
    for index, region in enumerate(REGIONS):
        here = squares[kinds == index]
        details[f"psnr_{region}"] = -10 * math.log10(max(float(here.mean()), _LEAST_ERROR)) if here.size else None
    return details
