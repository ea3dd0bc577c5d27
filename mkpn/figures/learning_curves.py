"""The learning curves of training runs as one figure: smoothed loss, and validation where there is one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from mkpn.figures.style import FAINT, FULL, MKPN, TEXT, save_figure, style_axes
from mkpn.methods import label
from mkpn.model.config import MODELS, model_config

_RANGE = 2.5
"""Decibels that the validation curves show below the best of them."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What a run's `stats.jsonl` says.

    Attributes:
        name: of the run.
        model: the network, `""` if unknown.
        steps: where the loss was written, `[n]`.
        loss: mean loss since the line before, `[n]`.
        validated: where the network was validated, `[m]`; may be empty.
        psnr: mean PSNR over the gains in dB, `[m]`.
    """

    name: str
    model: str
    steps: NDArray[np.float64]
    loss: NDArray[np.float64]
    validated: NDArray[np.float64]
    psnr: NDArray[np.float64]


def read_curve(run: Path) -> Curve:
    """Reads the statistics of a training run.

    Args:
        run: the folder of the run.

    Raises:
        ValueError: if there are none.
    """
    path = run / "stats.jsonl"
    if not path.is_file():
        raise ValueError(f"runs: expected folders of training runs with a stats.jsonl, got {run}")
    records: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        record = _json_object(line)  # none: the last line of a run that is being written, or of one that was cut off
        if "step" in record:
            records.append(record)
    losses = [(record["step"], record["loss"]) for record in records if "loss" in record]
    if not losses:
        raise ValueError(f"runs: expected losses in {path}, got none yet")
    checks = [(record["step"], float(np.mean([*record["psnr"].values()]))) for record in records if "psnr" in record]
    settings = run / "config.json"
    text = settings.read_text(encoding="utf-8", errors="replace") if settings.is_file() else ""
    model = str(_json_object(text).get("model", ""))
    steps, loss = np.array(losses, np.float64).T
    validated, psnr = np.array(checks, np.float64).reshape(-1, 2).T
    name = run.resolve().name
    return Curve(name=name, model=model, steps=steps, loss=loss, validated=validated, psnr=psnr)


def _json_object(text: str) -> dict[str, Any]:
    """The object that a text holds; an empty one if it holds none."""
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {}


def learning_curves(curves: Sequence[Curve]) -> bytes:
    """Draws the smoothed loss of runs against steps, and their PSNR where they were validated; a line for each run.

    Args:
        curves: the runs, each of at least one line.

    Returns:
        A PNG file.

    Raises:
        ValueError: if there are none.
    """
    if not curves:
        raise ValueError("runs: expected at least one folder of a training run, got none")
    models = [curve.model for curve in curves]
    names = [label(curve.model) if curve.model and models.count(curve.model) == 1 else curve.name for curve in curves]
    validated = [(curve, name) for curve, name in zip(curves, names, strict=True) if len(curve.validated)]
    figure = Figure(figsize=(10.6 if validated else 8.4, 4.2), layout="constrained")
    panels = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
    smooth = [_smooth(curve.loss) for curve in curves]
    _curve_panel(
        panels[0],
        [(name, _ink(curve), curve.steps, values) for name, curve, values in zip(names, curves, smooth, strict=True)],
    )
    panels[0].set_yscale("log")
    # The first steps fall by a factor of hundreds: the axis shows what comes after a twentieth of the longest run.
    start = max(curve.steps[-1] for curve in curves) / 20
    late = [
        values[(curve.steps >= start) | (curve.steps == curve.steps[-1])]
        for curve, values in zip(curves, smooth, strict=True)
    ]
    low, high = min(values.min() for values in late) * 0.95, max(values.max() for values in late) * 1.05
    panels[0].set_ylim(low, high)
    panels[0].yaxis.set_major_formatter("{x:.3g}")
    panels[0].yaxis.set_minor_formatter("{x:.3g}" if high < 6 * low else NullFormatter())
    panels[0].set_ylabel("training loss, smoothed", color=TEXT, fontsize=8.5)
    if validated:
        _curve_panel(panels[1], [(name, _ink(curve), curve.validated, curve.psnr) for curve, name in validated])
        # KPN L1 lies far below; shown whole, it would press all other differences flat.
        best = max(curve.psnr.max() for curve, _ in validated)
        panels[1].set_ylim(max(panels[1].get_ylim()[0], best - _RANGE), best + 0.1)
        panels[1].set_ylabel("validation PSNR in dB, mean of the gains", color=TEXT, fontsize=8.5)
    for axes in panels:
        _place_labels(axes)
    return save_figure(figure, "png")


def _curve_panel(axes: Any, lines: Sequence[tuple[str, Any, NDArray[np.float64], NDArray[np.float64]]]) -> None:
    style_axes(axes)
    for name, ink, steps, values in lines:
        axes.plot(steps, values, label=name, **ink)
    axes.set_xlabel("steps", color=TEXT, fontsize=8.5)
    axes.set_xlim(0, max(steps[-1] for _, _, steps, _ in lines))


def _place_labels(axes: Any) -> None:
    """Names each line at its end; names that would overlap are moved apart, in the order of the lines."""
    transform = axes.transData + axes.transAxes.inverted()
    wanted: list[tuple[float, Any]] = []
    for line in axes.get_lines():
        _, height = transform.transform((line.get_xdata()[-1], line.get_ydata()[-1]))
        wanted.append((min(1.0, max(0.0, float(height))), line))
    wanted.sort(key=lambda pair: pair[0])
    heights = _apart([height for height, _ in wanted], 0.048)
    end = axes.get_xlim()[1]
    for (height, line), shown in zip(wanted, heights, strict=True):
        reached = line.get_xdata()[-1] / end
        value = line.get_ydata()[-1]
        axes.annotate(
            line.get_label() + (f" ({value:.1f} ↓)" if value < axes.get_ylim()[0] else ""),
            (reached, height),
            (1.04, shown),
            xycoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=line.get_color(),
            arrowprops={
                "arrowstyle": "-",
                "color": line.get_color(),
                "linewidth": 0.6,
                "alpha": 0.6,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 2,
            },
        )


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Moves ascending heights at least a gap apart, each group by as little as possible about its own mean."""
    steps = gap * np.arange(len(heights))
    spread: list[float] = (isotonic_regression(np.subtract(heights, steps)).x + steps).tolist()
    # Inside of the axes, from below and then from above.
    for index in range(len(spread)):
        spread[index] = max(spread[index], index * gap)
    for index in range(len(spread)):
        spread[-1 - index] = min(spread[-1 - index], 1 - index * gap)
    return spread


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A centred running mean over a twentieth of the run; narrower at its ends."""
    reach = max(1, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    left, right = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return (total[right] - total[left]) / (right - left)


def _ink(curve: Curve) -> dict[str, Any]:
    """Single sizes run through one colour scale by kernel side; MKPN and full kernels stand out."""
    if curve.model not in MODELS:
        return {"color": FAINT, "linewidth": 1.3}
    config = model_config(curve.model)
    if len(config.sizes) > 1:
        return {"color": MKPN, "linewidth": 2.4}
    if not config.separable:
        return {"color": FULL, "linewidth": 1.4, "linestyle": (0, (4, 2))}
    rank = [1, 3, 5, 7, 9, 11, 13, 25].index(max(config.sizes)) / 7
    return {"color": colormaps["viridis"](0.82 * (1 - rank)), "linewidth": 1.4}
