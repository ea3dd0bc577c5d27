"""Three figures of a `Study`: what MKPN's kernels do at two pixels, where kernel size matters, who wins where."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from mkpn.explain.study import SINGLE, Study, in_reach
from mkpn.explain.winners import TIE
from mkpn.figures.style import FAINT, FULL, LINE, MKPN, TEXT, save_figure, style_axes
from mkpn.figures.style import SINGLE as INK
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.images import to_uint8

# The explorer's colours: sizes are an order, from dark to light; the two other networks stand apart.
COLORS = dict(
    zip(SINGLE, ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21908d", "#27ad81", "#5dc863", "#bedf26"), strict=True)
) | {"kpn": "#fa96d4", "mkpn": "#e66100"}
_TIE = "#888888"
_SHOWN = 0.95
"""Decibels below MKPN that the second figure shows; what lies further below is marked at the edge, with its value."""


def kernels_figure(made: Study) -> bytes:
    """Draws MKPN's fused kernels of every frame at a flat and at an edge pixel, as a PNG file."""
    frames = len(made.burst.frames)
    figure = Figure(figsize=(10.6, 2.8), layout="constrained")
    grid = figure.add_gridspec(2, frames + 4, width_ratios=[1, 1, 1, 0.12, *[1] * frames])
    axes: Any = figure.add_subplot(grid[:, :3])
    axes.imshow(to_uint8(made.burst.frames[0]), interpolation="nearest")
    for name, spot in zip("AB", made.spots, strict=True):
        x, y = spot.kernels.x, spot.kernels.y
        for color, width in (("black", 3), ("white", 1.4)):
            axes.add_patch(Rectangle((x - 5.5, y - 5.5), 11, 11, fill=False, edgecolor=color, linewidth=width))
        axes.annotate(
            name, (x, y), (-9, -13), textcoords="offset points", weight="bold", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "black", "pad": 1.5, "linewidth": 0.6},
        )  # fmt: skip
    axes.set_axis_off()
    axes.set_title(f"frame 0 at gain {made.gain}", fontsize=8.5, color=TEXT)
    marks = in_reach(made)
    for row, (name, spot) in enumerate(zip("AB", made.spots, strict=True)):
        top = float(np.abs(spot.kernels.fused).max())
        shown: list[Any] = []
        picture: Any = None
        for frame in range(frames):
            cell: Any = figure.add_subplot(grid[row, frame + 4])
            shown.append(cell)
            picture = cell.imshow(
                spot.kernels.fused[frame], cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest"
            )
            place = marks[frame]
            if place:
                corner = (place[0] - 0.5, place[1] - 0.5)
                cell.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1))
            cell.set_xticks([])
            cell.set_yticks([])
            for side in cell.spines.values():
                side.set_color(LINE)
            cell.set_xlabel(f"{spot.numbers.total[frame]:.2f}", fontsize=7.5, color=TEXT)
            if not row:
                x, y = made.burst.offsets[frame].tolist()
                where = f"{x:+d}, {y:+d} px".replace("-", "\N{MINUS SIGN}") if place else "out of reach"
                text = f"frame {frame}\n{where}"
                cell.set_title(text, fontsize=7.5, color=TEXT if place else MKPN)
        shown[0].set_ylabel(f"{name}: {spot.kind}\nsum below", fontsize=8, color=TEXT)
        bar = figure.colorbar(picture, ax=shown, aspect=12, pad=0.01)
        bar.ax.tick_params(labelsize=7, colors=FAINT)
        bar.set_label("weight", fontsize=7.5, color=TEXT)
    return save_figure(figure, "png", made.record())


def sizes_figure(made: Study) -> bytes:
    """Draws PSNR against kernel size, less MKPN's, for every gain, as a PNG file."""
    figure = Figure(figsize=(10.6, 3.0), layout="constrained")
    panels = figure.subplots(1, len(made.psnr), sharey=True)
    places = np.arange(len(SINGLE))
    highest = max(row[name] - row["mkpn"] for row in made.psnr.values() for name in SINGLE)
    for axes, (gain, row) in zip(panels, made.psnr.items(), strict=True):
        style_axes(axes)
        values = np.array([row[name] - row["mkpn"] for name in SINGLE])
        near = values >= -_SHOWN
        axes.axhline(0, color=MKPN, linestyle=(0, (5, 3)), linewidth=1.4)
        axes.plot(places[near], values[near], color=INK, marker="o", markersize=3.6, linewidth=1.6)
        best = int(values.argmax())
        axes.plot(places[best], values[best], marker="o", markersize=8, color="none", markeredgecolor=INK)
        axes.annotate(
            f"L{SINGLE[best].removeprefix('kpn-l')}", (places[best], values[best]), (0, 8),
            textcoords="offset points", ha="center", fontsize=8, weight="bold", color=INK,
        )  # fmt: skip
        for place, value in zip(places[~near], values[~near], strict=True):
            axes.plot(place, -_SHOWN, marker="v", markersize=5, color=INK, clip_on=False)
            axes.annotate(
                f"{value:.1f}".replace("-", "\N{MINUS SIGN}"), (place, -_SHOWN), (0, 6),
                textcoords="offset points", ha="center", fontsize=7, color=INK,
            )  # fmt: skip
        full = row["kpn"] - row["mkpn"]
        place = SINGLE.index("kpn-l5")
        axes.plot(
            place, max(full, -_SHOWN), marker="D", markersize=5, color="white", markeredgecolor=FULL, clip_on=False
        )
        if full < -_SHOWN:
            axes.annotate(
                f"{full:.1f}".replace("-", "\N{MINUS SIGN}"), (place, -_SHOWN), (0, 6),
                textcoords="offset points", ha="center", fontsize=7, color=FULL,
            )  # fmt: skip
        axes.set_xticks(places, [name.removeprefix("kpn-l") for name in SINGLE])
        axes.set_ylim(-_SHOWN, max(highest + 0.12, 0.05))  # MKPN's own line is seen, too
        axes.set_title(f"gain {gain}: MKPN {row['mkpn']:.2f} dB", fontsize=8.5, color=TEXT)
        axes.set_xlabel("side of the kernel in px", fontsize=8, color=TEXT)
    panels[0].set_ylabel("PSNR less MKPN's in dB", fontsize=8, color=TEXT)
    return save_figure(figure, "png", made.record())


def maps_figure(made: Study) -> bytes:
    """Draws MKPN's noise gain at every cell and the winner of every patch, as a PNG file."""
    figure = Figure(figsize=(10.6, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    gain = made.maps.noise_gain
    shown = left.imshow(gain, cmap="viridis", vmin=0, vmax=float(np.quantile(gain, 0.99)), interpolation="nearest")
    left.set_title("MKPN: noise gain of the kernels (the highest 1 % have the last colour)", fontsize=8.5, color=TEXT)
    bar = figure.colorbar(shown, ax=left, aspect=18, pad=0.02)
    bar.ax.tick_params(labelsize=7, colors=FAINT)
    bar.set_label("variance out over variance in", fontsize=7.5, color=TEXT)
    height, width = made.regions.shape
    luma = made.burst.clean.mean(0).numpy()
    winner = made.found.winner.repeat(made.found.side, 0).repeat(made.found.side, 1)[:height, :width]
    margin = made.found.margin.repeat(made.found.side, 0).repeat(made.found.side, 1)[:height, :width]
    palette = np.array([*(to_rgb(COLORS[name]) for name in MODELS), to_rgb(_TIE)])
    # As in the explorer: stronger where the lead is larger, full at one decibel.
    alpha = np.where(winner == TIE, 0.35, 0.45 + 0.5 * np.minimum(1, margin))[..., None]
    right.imshow(alpha * palette[winner] + (1 - alpha) * luma[..., None], interpolation="nearest")
    side = made.found.side
    right.set_title(f"lowest error in each {side}\N{MULTIPLICATION SIGN}{side} patch", fontsize=8.5, color=TEXT)
    share = made.record()["shares"]
    ahead = sorted((name for name in MODELS if share[name] > 0), key=lambda name: -share[name])
    right.legend(
        handles=[Patch(color=COLORS[n], label=f"{model_config(n).label} {100 * share[n]:.0f} %") for n in ahead],
        loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7.5, frameon=False, labelcolor=TEXT,
    )  # fmt: skip
    for axes in (left, right):
        axes.set_axis_off()
    return save_figure(figure, "png", made.record())


FIGURES = {"kernels": kernels_figure, "sizes": sizes_figure, "maps": maps_figure}
"""The figures by the name of their file."""
