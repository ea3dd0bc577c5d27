"""Arrays become PNG figures: noise curve, PSNR against kernel size, kernels of a pixel.

Pure functions without Gradio. Curves are explicit matplotlib `Figure`s, never pyplot's global state, so that several
threads may draw at once; kernels are drawn by Pillow, because matplotlib takes seconds for a thousand numbers.
Backgrounds are transparent; a theme chooses the ink. Files hold twice the pixels at which the page shows them.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mkpn.synthesis.noise import GAINS, Noise

Theme = Literal["light", "dark"]
_DPI = 200  # twice the size at which the page shows a figure, for dense screens


@dataclass(frozen=True)
class _Ink:
    theme: Theme
    text: str
    faint: str
    line: str
    accent: str
    second: str
    diverging: tuple[str, str, str]


_INKS: dict[str, _Ink] = {
    "light": _Ink("light", "#1f2430", "#626a79", "#d4d8df", "#0b7a6e", "#b4460f", ("#1d4f91", "#ffffff", "#b3261e")),
    "dark": _Ink("dark", "#e8eaf0", "#a6adbb", "#3b4252", "#3ecfb8", "#ffa067", ("#6fb1ff", "#12151c", "#ff8b6e")),
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


def size_plot(
    points: Sequence[tuple[int, float]],
    full: Sequence[tuple[int, float]] = (),
    mkpn: float | None = None,
    mean: float | None = None,
    theme: Theme = "light",
) -> bytes:
    """Draws PSNR against kernel size, with MKPN as a horizontal line (in the manner of Table 1).

    Args:
        points: (kernel side, dB) of the separable networks.
        full: (kernel side, dB) of networks with full kernels.
        mkpn: dB of MKPN, which has no single size.
        mean: dB of the plain average of the burst.
        theme: ink for a light or a dark page.

    Returns:
        A PNG file.
    """
    ink = _INKS[theme]
    figure, axes = _figure(6.6, 2.9, ink)
    if points:
        sides, values = zip(*sorted(points), strict=True)
        axes.plot(sides, values, color=ink.accent, linewidth=1.6, marker="o", markersize=5, label="KPN, separable")
    if full:
        sides, values = zip(*full, strict=True)
        axes.plot(sides, values, color=ink.text, linestyle="", marker="D", markersize=5, label="KPN, full kernel")
    if mkpn is not None:
        axes.axhline(mkpn, color=ink.second, linewidth=2, label="MKPN")
    if mean is not None:
        axes.axhline(mean, color=ink.faint, linewidth=1, linestyle=(0, (4, 2)), label="burst mean")
    axes.set_xticks(sorted({side for side, _ in [*points, *full]}) or [1])
    axes.set_xlabel("kernel side K in pixels")
    axes.set_ylabel("PSNR in dB")
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_color(ink.text)
    return _png(figure)


def kernel_grid(
    by_size: Mapping[int, NDArray[np.float32]],
    fused: NDArray[np.float32],
    theme: Theme = "light",
    offsets: Sequence[tuple[int, int]] | None = None,
) -> bytes:
    """Draws all kernels of one pixel (Fig. 2): a row for each size and one for the fused kernel, a column per frame.

    Every kernel fills a box of about the same size. One colour scale, symmetric about zero, serves all of them.
    Weights are printed in kernels of up to 5x5; below each box stands the sum of its weights. With offsets, a frame
    marks the weight of the true place: where frame `i` shows what the reference shows at this pixel.

    Args:
        by_size: for each side K the kernels `[N,K,K]`.
        fused: `[N,K,K]` with the largest K (Eq. 3).
        theme: ink for a light or a dark page.
        offsets: (x, y) of each frame in pixels, see `mkpn.synthesis.burst.Burst`.

    Returns:
        A PNG file.
    """
    ink = _INKS[theme]
    rows = [(f"{size}×{size}", kernels) for size, kernels in sorted(by_size.items())]
    if len(rows) > 1:
        rows.append(("fused", fused))
    left, top, pitch, line, box = 130, 44 if offsets is None else 76, 226, 252, 210
    limit = symmetric_limit([kernels for _, kernels in rows])
    canvas = Image.new("RGBA", (left + pitch * len(fused) + 130, max(top + line * len(rows), 300)))
    draw = ImageDraw.Draw(canvas)
    for column in range(len(fused)):
        name = f"frame {column}" if column else "reference"
        draw.text((left + pitch * column + box // 2, 22), name, ink.text, _font(24), anchor="mm")
        if offsets is not None and column:
            moved = "moved {:+d}, {:+d}".format(*offsets[column]).replace("-", "−").replace("+0", "0")
            draw.text((left + pitch * column + box // 2, 54), moved, ink.faint, _font(20), anchor="mm")
    for row, (label, kernels) in enumerate(rows):
        y = top + line * row
        draw.text((left - 18, y + box // 2), label, ink.text, _font(24), anchor="rm")
        for column, kernel in enumerate(kernels):
            x = left + pitch * column
            cell = box // len(kernel)
            _draw_kernel(draw, kernel, (x, y), cell, limit, ink, numbers=len(kernel) <= 5)
            if offsets is not None:
                _mark_place(draw, (x, y), cell, len(kernel), offsets[column], ink)
            draw.text(
                (x + box // 2, y + box + 18),
                f"Σ {kernel.sum():.3f}".replace("-", "−"),
                ink.faint,
                _font(20),
                anchor="mm",
            )
    _color_bar(draw, (canvas.width - 118, top), min(canvas.height - top - 42, 3 * line), limit, ink)
    return _encode(canvas)


def kernel_numbers(kernel: NDArray[np.float32], limit: float | None = None, theme: Theme = "light") -> bytes:
    """Draws one kernel large, with every weight printed in hundredths.

    Args:
        kernel: `[K,K]`, K up to 31.
        limit: end of the symmetric colour scale; None takes the kernel's largest magnitude.
        theme: ink for a light or a dark page.

    Returns:
        A PNG file.
    """
    ink = _INKS[theme]
    size, left, top = len(kernel), 70, 14
    cell = max(46, min(120, 800 // size))
    limit = limit or symmetric_limit([kernel])
    canvas = Image.new("RGBA", (left + cell * size + 150, top + cell * size + 76))
    draw = ImageDraw.Draw(canvas)
    _draw_kernel(draw, kernel, (left, top), cell, limit, ink, numbers=True)
    step = 1 if size <= 13 else 3
    for offset in range(-(size // 2) // step * step, size // 2 + 1, step):
        if abs(offset) <= size // 2:
            centre = int((offset + size // 2 + 0.5) * cell)
            text = f"{offset:+d}".replace("-", "−") if offset else "0"
            draw.text((left - 12, top + centre), text, ink.faint, _font(19), anchor="rm")
            draw.text((left + centre, top + cell * size + 18), text, ink.faint, _font(19), anchor="mm")
    caption = "dx across, dy down, in pixels"
    draw.text((left + cell * size // 2, top + cell * size + 54), caption, ink.text, _font(20), anchor="mm")
    _color_bar(draw, (canvas.width - 126, top), min(cell * size, 620), limit, ink)
    return _encode(canvas)


def symmetric_limit(kernels: Sequence[NDArray[np.float32]]) -> float:
    """Returns the largest magnitude in some kernels: the end of a colour scale that is symmetric about zero."""
    return max(float(np.abs(kernel).max()) for kernel in kernels) or 1.0


def signed_colors(values: NDArray[np.float32], limit: float, theme: Theme = "light") -> NDArray[np.uint8]:
    """Returns the colours `[...,3]` of values on the diverging scale from -limit to +limit; zero is the middle."""
    stops = np.array([ImageColor.getrgb(color) for color in _INKS[theme].diverging], np.float64)
    place = np.clip(values / limit, -1, 1) + 1  # 0 to 2
    channels = [np.interp(place, (0, 1, 2), stops[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _draw_kernel(
    draw: ImageDraw.ImageDraw,
    kernel: NDArray[np.float32],
    corner: tuple[int, int],
    cell: int,
    limit: float,
    ink: _Ink,
    numbers: bool,
) -> None:
    colors = signed_colors(kernel, limit, ink.theme)
    font = _font(max(14, min(34, int(cell * 0.36))))
    for (row, column), weight in np.ndenumerate(kernel):
        x, y = corner[0] + column * cell, corner[1] + row * cell
        red, green, blue = (int(channel) for channel in colors[row, column])
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), (red, green, blue))
        if numbers:
            text = _short(float(weight))
            bright = 0.299 * red + 0.587 * green + 0.114 * blue > 128
            text_ink = ink.line if text == "0" else "#10131a" if bright else "#f4f6fb"
            draw.text((x + cell // 2, y + cell // 2), text, text_ink, font, anchor="mm")
    side = cell * len(kernel)
    draw.rectangle((corner[0] - 1, corner[1] - 1, corner[0] + side, corner[1] + side), outline=ink.line, width=1)


def _mark_place(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, size: int, offset: tuple[int, int], ink: _Ink
) -> None:
    """Frames the weight of the pixel that shows what the reference shows, if the kernel reaches it."""
    column, row = (size // 2 - moved for moved in offset)
    if 0 <= column < size and 0 <= row < size:
        x, y = corner[0] + column * cell, corner[1] + row * cell
        draw.rectangle((x - 2, y - 2, x + cell + 1, y + cell + 1), outline=ink.accent, width=4)


def _color_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], height: int, limit: float, ink: _Ink) -> None:
    x, y = corner
    for step, color in enumerate(signed_colors(np.linspace(limit, -limit, height, dtype=np.float32), limit, ink.theme)):
        draw.line((x, y + step, x + 27, y + step), tuple(int(channel) for channel in color))
    draw.rectangle((x - 1, y - 1, x + 28, y + height), outline=ink.line)
    for fraction in (1.0, 0.5, 0.0, -0.5, -1.0):
        place = y + round((1 - fraction) / 2 * (height - 1))
        draw.line((x + 28, place, x + 34, place), ink.faint)
        text = f"{limit * fraction:+.2g}".replace("-", "−") if fraction else "0"
        draw.text((x + 40, place), text, ink.text, _font(20), anchor="lm")


def _short(weight: float) -> str:
    """Two decimals without the leading zero, `0` for what rounds to it."""
    text = f"{weight:.2f}"
    return "0" if text in ("0.00", "-0.00") else text.replace("0.", ".", 1).replace("-", "−")


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib's own copy: the one font that is certain to be there.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


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


def _encode(canvas: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()
