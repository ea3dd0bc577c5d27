"""The noise curve as a PNG figure.

A pure function without Gradio. The curve is an explicit matplotlib `Figure`, never pyplot's global state, so that
several threads may draw at once.
Backgrounds are transparent; a theme chooses the ink. Files hold twice the pixels at which the page shows them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mkpn.synthesis.noise import GAINS, Noise

Theme = Literal["light", "dark"]
_DPI = 200  # twice the size at which the page shows a figure, for dense screens


@dataclass(frozen=True)
class _Ink:
    text: str
    faint: str
    line: str
    accent: str


_INKS: dict[str, _Ink] = {
    "light": _Ink("#1f2430", "#626a79", "#d4d8df", "#0b7a6e"),
    "dark": _Ink("#e8eaf0", "#a6adbb", "#3b4252", "#3ecfb8"),
}


def noise_curve(noise: Noise, theme: Theme = "light") -> bytes:
    """Draws the noise's standard deviation (Eq. 8) against intensity, with the paper's four gains for reference.

    Args:
        noise: what is drawn strong.
        theme: ink for a light or a dark page.

    Returns:
        A PNG file.
    """
    ink = _INKS[theme]
    figure, axes = _figure(3.3, 2.1, ink)
    intensity = np.linspace(0, 1, 101, dtype=np.float32)
    for gain, reference in GAINS.items():
        curve = reference.std(intensity)
        axes.plot(intensity, curve, color=ink.faint, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.annotate(
            f"gain {gain}", (1, curve[-1]), (3, 0), textcoords="offset points", va="center", color=ink.faint, fontsize=7
        )
    axes.plot(intensity, noise.std(intensity), color=ink.accent, linewidth=2.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("intensity")
    axes.set_ylabel("noise std")
    return _png(figure)


def _figure(width: float, height: float, ink: _Ink) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=_DPI / 2)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(ink.line)
    axes.grid(color=ink.line, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink.faint, labelsize=8, length=0)
    axes.xaxis.label.set(color=ink.text, fontsize=8.5)
    axes.yaxis.label.set(color=ink.text, fontsize=8.5)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=_DPI, transparent=True, bbox_inches="tight", pad_inches=0.04)
    return buffer.getvalue()
