"""Figures for files: PSNR against kernel size beside the paper's Table 1, on white, PNG or PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from mkpn.figures.style import FAINT, FULL, MKPN, SINGLE, TEXT, save_figure, style_axes
from mkpn.methods import is_oracle, reach
from mkpn.model.config import MODELS, model_config
from mkpn.paper import MEASURED_ON, paper_rows

Rows = Sequence[Mapping[str, Any]]

_BELOW, _ABOVE = 1.8, 0.4
"""Decibels that a panel shows below and above MKPN; the same everywhere, so that slopes compare."""


def table1_chart(rows: Rows, against: Rows, measured_on: str, file_format: Literal["png", "pdf"] = "png") -> bytes:
    """Draws PSNR against kernel size, a column per gain, with the paper's Table 1 below on the same scales.

    Args:
        rows: `{model, gain, psnr}`; of other methods than `mkpn.MODELS` only the truly aligned means are drawn.
        against: `{model, gain, low, high}`, MKPN minus the model in dB; drawn as bars about the model's point.
        measured_on: one sentence, printed above these figures.
        file_format: of the result.

    Returns:
        A PNG or PDF file.
    """
    rows = [row for row in rows if row["model"] in MODELS or is_oracle(row["model"])]
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
            axes.set_title(f"gain {gain}", fontsize=9, color=TEXT)
        panels[0].set_ylabel("PSNR in dB", color=TEXT, fontsize=8.5)
        part.suptitle(f"{name}. {where}", fontsize=8.5, color=TEXT, x=0.01, ha="left", wrap=True)
    handles = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
        labelcolor=TEXT,
    )
    return save_figure(figure, file_format)


def _size_panel(axes: Any, rows: Rows, bars: Rows) -> None:
    oracles = [(2 * reach(row["model"]) + 1, float(row["psnr"])) for row in rows if is_oracle(row["model"])]
    values = {row["model"]: float(row["psnr"]) for row in rows if row["model"] in MODELS}
    reference = values.get("mkpn", max(values.values(), default=0.0))
    low, high = reference - _BELOW, reference + _ABOVE
    style_axes(axes)
    single = [(model_config(name), values[name]) for name in MODELS if name in values and name != "mkpn"]
    for config, value in single:
        for bar in (bar for bar in bars if bar["model"] == config.name and bar["low"] is not None and value >= low):
            ends = reference - bar["high"], reference - bar["low"]
            axes.plot([config.sizes[0]] * 2, ends, color=FAINT, linewidth=1, label="95 % interval against MKPN")
    if oracles:
        sides, heights = zip(*sorted(oracles), strict=True)
        axes.plot(
            sides, heights, color=FAINT, linewidth=1, linestyle="--", label="mean of the frames truly aligned in reach"
        )
    separable = [(config.sizes[0], value) for config, value in single if config.separable]
    if separable:
        sides, heights = zip(*separable, strict=True)
        axes.plot(
            sides,
            heights,
            color=SINGLE,
            linewidth=1.4,
            marker="o",
            markersize=4,
            label="KPN L1 to L25, separable kernels",
        )
    for config, value in single:
        if not config.separable:
            axes.plot(config.sizes[0], value, "D", color=FULL, markersize=5, label="KPN, full 5×5 kernels")
    if "mkpn" in values:
        axes.axhline(reference, color=MKPN, linewidth=1.6, label="MKPN, sides 1 to 11")
    # What lies far below (KPN L1) is named at the edge; its distance would press all other differences flat.
    outside = [(config, value) for config, value in single if value < low]
    for row, (config, value) in enumerate(outside):
        axes.annotate(
            f"{config.label} {value:.2f} ↓",
            (config.sizes[0], low),
            (config.sizes[0] + 2.2, low + 0.05 + 0.13 * row),
            fontsize=7,
            color=FAINT,
            va="bottom",
        )
    axes.set_ylim(low, max(high, max(values.values(), default=high) + 0.1))
    axes.set_xlim(-0.5, 26.5)
    axes.set_xticks([1, 5, 9, 13, 25])
    axes.set_xlabel("kernel side in pixels", color=TEXT, fontsize=8)
