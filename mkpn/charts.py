"""Figures for files: PSNR against kernel size beside the paper's Table 1, and learning curves. On white, PNG or PDF."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mkpn.config import MODELS, ModelConfig, model_config
from mkpn.table1 import MEASURED_ON, label, paper_rows

Rows = Sequence[Mapping[str, Any]]

_TEXT, _FAINT, _LINE = "#1f2430", "#626a79", "#d4d8df"
_SINGLE, _FULL, _MKPN = "#0b7a6e", "#1f2430", "#b4460f"
_BELOW, _ABOVE = 1.8, 0.4
"""Decibels that a panel shows below and above MKPN; the same everywhere, so that slopes compare."""


def table1_chart(rows: Rows, against: Rows, measured_on: str, file_format: Literal["png", "pdf"] = "png") -> bytes:
    """Draws PSNR against kernel size, a column per gain, with the paper's Table 1 below on the same scales.

    Args:
        rows: `{model, gain, psnr}`; other methods than `mkpn.MODELS` are left out.
        against: `{model, gain, low, high}`, MKPN minus the model in dB; drawn as bars about the model's point.
        measured_on: one sentence, printed above these figures.
        file_format: of the result.

    Returns:
        A PNG or PDF file.
    """
    rows = [row for row in rows if row["model"] in MODELS]
    gains = list(dict.fromkeys(row["gain"] for row in rows))
    figure = Figure(figsize=(1.2 + 2.35 * max(2, len(gains)), 6.2), layout="constrained")
    upper, lower = np.asarray(figure.subfigures(2, 1, hspace=0.06)).tolist()
    for part, name, shown, bars, where in (
        (upper, "This evaluation", rows, against, measured_on),
        (lower, "The paper's Table 1", paper_rows(), [], MEASURED_ON),
    ):
        panels = part.subplots(1, len(gains), squeeze=False)[0]
        for axes, gain in zip(panels, gains, strict=True):
            _size_panel(axes, [row for row in shown if row["gain"] == gain], [b for b in bars if b["gain"] == gain])
            axes.set_title(f"gain {gain}", fontsize=9, color=_TEXT)
        panels[0].set_ylabel("PSNR in dB", color=_TEXT, fontsize=8.5)
        part.suptitle(f"{name}. {where}", fontsize=8.5, color=_TEXT, x=0.01, ha="left", wrap=True)
    handles = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
        labelcolor=_TEXT,
    )
    return _save(figure, file_format)


def _size_panel(axes: Any, rows: Rows, bars: Rows) -> None:
    values = {row["model"]: float(row["psnr"]) for row in rows}
    reference = values.get("mkpn", max(values.values(), default=0.0))
    low, high = reference - _BELOW, reference + _ABOVE
    _style(axes)
    single = [(model_config(name), values[name]) for name in MODELS if name in values and name != "mkpn"]
    for config, value in single:
        for bar in (bar for bar in bars if bar["model"] == config.name and value >= low):
            ends = reference - bar["high"], reference - bar["low"]
            axes.plot([config.sizes[0]] * 2, ends, color=_FAINT, linewidth=1, label="95 % interval against MKPN")
    separable = [(config.sizes[0], value) for config, value in single if config.separable]
    if separable:
        sides, heights = zip(*separable, strict=True)
        axes.plot(
            sides,
            heights,
            color=_SINGLE,
            linewidth=1.4,
            marker="o",
            markersize=4,
            label="KPN L1 to L25, separable kernels",
        )
    for config, value in single:
        if not config.separable:
            axes.plot(config.sizes[0], value, "D", color=_FULL, markersize=5, label="KPN, full 5×5 kernels")
    if "mkpn" in values:
        axes.axhline(reference, color=_MKPN, linewidth=1.6, label="MKPN, sides 1 to 11")
    # What lies far below (KPN L1) is named at the edge; its distance would press all other differences flat.
    outside = [(config, value) for config, value in single if value < low]
    for row, (config, value) in enumerate(outside):
        axes.annotate(
            f"{config.label} {value:.2f} ↓",
            (config.sizes[0], low),
            (config.sizes[0] + 2.2, low + 0.05 + 0.13 * row),
            fontsize=7,
            color=_FAINT,
            va="bottom",
        )
    axes.set_ylim(low, max(high, max(values.values(), default=high) + 0.1))
    axes.set_xlim(-0.5, 26.5)
    axes.set_xticks([1, 5, 9, 13, 25])
    axes.set_xlabel("kernel side in pixels", color=_TEXT, fontsize=8)


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
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the last line of a run that is being written
    losses = [(record["step"], record["loss"]) for record in records if "loss" in record]
    if not losses:
        raise ValueError(f"runs: {path} holds no losses yet")
    checks = [(record["step"], float(np.mean([*record["psnr"].values()]))) for record in records if "psnr" in record]
    settings = run / "config.json"
    model = json.loads(settings.read_text())["model"] if settings.is_file() else ""
    steps, loss = np.array(losses, np.float64).T
    validated, psnr = np.array(checks, np.float64).reshape(-1, 2).T
    name = run.resolve().name
    return Curve(name=name, model=model, steps=steps, loss=loss, validated=validated, psnr=psnr)


def learning_curves(curves: Sequence[Curve]) -> bytes:
    """Draws the smoothed loss of runs against steps, and their PSNR where they were validated; a line for each run.

    Args:
        curves: the runs, each of at least one line.

    Returns:
        A PNG file.
    """
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
    # The first steps fall by a factor of hundreds: the axis shows what comes after the first twentieth.
    late = [values[curve.steps >= curve.steps[-1] / 20] for curve, values in zip(curves, smooth, strict=True)]
    panels[0].set_ylim(min(values.min() for values in late) * 0.93, max(values.max() for values in late) * 1.07)
    panels[0].yaxis.set_minor_formatter("{x:.3g}")
    panels[0].yaxis.set_major_formatter("{x:.3g}")
    panels[0].set_ylabel("training loss, smoothed", color=_TEXT, fontsize=8.5)
    if validated:
        _curve_panel(panels[1], [(name, _ink(curve), curve.validated, curve.psnr) for curve, name in validated])
        panels[1].set_ylabel("validation PSNR in dB, mean of the gains", color=_TEXT, fontsize=8.5)
    for axes in panels:
        _place_labels(axes)
    return _save(figure, "png")


def _curve_panel(axes: Any, lines: Sequence[tuple[str, Any, NDArray[np.float64], NDArray[np.float64]]]) -> None:
    _style(axes)
    for name, ink, steps, values in lines:
        axes.plot(steps, values, label=name, **ink)
    axes.set_xlabel("steps", color=_TEXT, fontsize=8.5)
    axes.set_xlim(0, max(steps[-1] for _, _, steps, _ in lines))


def _place_labels(axes: Any) -> None:
    """Names each line at its end; names that would overlap are moved apart, in the order of the lines."""
    transform = axes.transData + axes.transAxes.inverted()
    wanted: list[tuple[float, Any]] = []
    for line in axes.get_lines():
        _, height = transform.transform((line.get_xdata()[-1], line.get_ydata()[-1]))
        wanted.append((min(1.0, max(0.0, float(height))), line))
    wanted.sort(key=lambda pair: pair[0])
    gap = 0.048
    heights: list[float] = []
    for height, _ in wanted:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    # Pushed back under the top from above, so that the stack stays inside of the axes.
    ceiling = 1.0
    for index in reversed(range(len(heights))):
        heights[index] = min(heights[index], ceiling)
        ceiling = heights[index] - gap
    end = axes.get_xlim()[1]
    for (height, line), shown in zip(wanted, heights, strict=True):
        reached = line.get_xdata()[-1] / end
        axes.annotate(
            line.get_label(),
            (reached, height),
            (1.03, shown),
            xycoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=line.get_color(),
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "linewidth": 0.6, "alpha": 0.6},
        )


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
        return {"color": _FAINT, "linewidth": 1.3}
    config: ModelConfig = model_config(curve.model)
    if len(config.sizes) > 1:
        return {"color": _MKPN, "linewidth": 2.4}
    if not config.separable:
        return {"color": _FULL, "linewidth": 1.4, "linestyle": (0, (4, 2))}
    rank = [1, 3, 5, 7, 9, 11, 13, 25].index(max(config.sizes)) / 7
    return {"color": colormaps["viridis"](0.82 * (1 - rank)), "linewidth": 1.4}


def _style(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_LINE)
    axes.grid(color=_LINE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=_FAINT, labelsize=7.5, length=0)


def _save(figure: Figure, file_format: Literal["png", "pdf"]) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    # Without a date, so that the same figures give the same file.
    metadata: dict[str, Any] = {"CreationDate": None} if file_format == "pdf" else {"Software": None}
    figure.savefig(buffer, format=file_format, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()
