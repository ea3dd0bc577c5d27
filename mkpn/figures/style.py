"""The look of figures for files: white ground, quiet axes, the same bytes for the same figures."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Literal

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# As in `sheet`: otherwise a chart's bytes would depend on whether that module has been imported.
matplotlib.rcParams["pdf.fonttype"] = 42

TEXT, FAINT, LINE = "#1f2430", "#626a79", "#d4d8df"
SINGLE, FULL, MKPN = "#0b7a6e", "#1f2430", "#b4460f"


def style_axes(axes: Any) -> None:
    """Gives axes a quiet frame and a grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.grid(color=LINE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=FAINT, labelsize=7.5, length=0)


def save_figure(figure: Figure, file_format: Literal["png", "pdf"], data: Mapping[str, Any] | None = None) -> bytes:
    """Returns the file of a figure on white; the same figure gives the same bytes.

    Args:
        data: the figures that it shows (JSON values), which a PNG file keeps as the text `Data`.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    # Without a date, so that the same figures give the same file.
    metadata: dict[str, Any] = {"CreationDate": None} if file_format == "pdf" else {"Software": None}
    if data is not None:
        metadata["Data"] = json.dumps(data)
    figure.savefig(buffer, format=file_format, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()
