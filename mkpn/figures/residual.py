"""Was what a network removed noise? The residual's picture, histogram, autocorrelation and level as one figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mkpn.capture.residual import LAGS, Residual
from mkpn.figures.style import FAINT, FULL, MKPN, SINGLE, TEXT, save_figure, style_axes


def residual_figure(report: Residual, title: str) -> bytes:
    """Draws the figures of a residual as a PNG.

    Args:
        report: see `mkpn.capture.residual.residual`.
        title: what was denoised, and by which network.
    """
    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    figure.suptitle(f"{title}: {report.verdict()}", fontsize=9.5, color=TEXT)
    (picture, histogram), (lags, levels) = figure.subplots(2, 2)
    shown = picture.imshow(report.values.mean(axis=0) * len(report.values) ** 0.5, cmap="RdBu_r", vmin=-4, vmax=4)
    picture.set_axis_off()
    figure.colorbar(shown, ax=picture, shrink=0.9).ax.tick_params(labelsize=7.5, colors=FAINT, length=0)
    _name(picture, "Residual, mean of the channels, in standard deviations")
    middles = (report.edges[:-1] + report.edges[1:]) / 2
    histogram.bar(middles, report.density, report.edges[1] - report.edges[0], color=SINGLE, label="residual")
    for spread, style, label in ((1.0, "-", "noise"), (report.expected, "--", "noise less frame 0's own share")):
        normal = np.exp(-0.5 * (middles / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        histogram.plot(middles, normal, style, color=FULL, linewidth=1, label=label)
    histogram.set_ylim(0, 1.6 * max(0.4, float(report.density.max())))
    histogram.legend(fontsize=7.5, frameon=False, loc="upper right")
    _name(histogram, f"Histogram: mean {report.mean:.3f}, standard deviation {report.std:.3f}")
    lags.imshow(report.autocorrelation, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
    for y in range(2 * LAGS + 1):
        for x in range(2 * LAGS + 1):
            value = report.autocorrelation[y, x]
            bright = abs(value) > 0.15
            lags.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=5, color="white" if bright else TEXT)
    ticks = range(0, 2 * LAGS + 1, 2)
    lags.set_xticks(ticks, [str(tick - LAGS) for tick in ticks])
    lags.set_yticks(ticks, [str(tick - LAGS) for tick in ticks])
    lags.tick_params(colors=FAINT, labelsize=7.5, length=0)
    _name(lags, "Autocorrelation by lag in pixels: 0 around the centre for noise")
    levels.axhline(report.expected, color=FULL, linestyle="--", linewidth=1)
    levels.plot(report.levels, report.level_std, "o-", color=MKPN, markersize=3, linewidth=1)
    levels.set_ylim(0, max(1.5, 1.05 * float(report.level_std.max())))
    levels.set_xlabel("intensity", fontsize=7.5, color=FAINT)
    _name(levels, "Standard deviation by intensity: flat if sigma_r and sigma_s are right")
    for axes in (histogram, levels):
        style_axes(axes)
    return save_figure(figure, "png")


def _name(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=8, color=TEXT, loc="left")
