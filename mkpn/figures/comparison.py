"""The paper's comparison figure (Fig. 3 and 4): whole pictures above, the same rectangle of each enlarged below.

Arrays in, PNG and PDF files out, without Gradio. Both rows are enlarged by whole factors only, so that every pixel of
the files is a pixel of the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mkpn.figures.sheet import Box, Picture, Sheet, Text, font, paint_pdf, paint_png
from mkpn.geometry import Rectangle

GREEN = "#00c46a"
"""The rectangle, green as in the paper."""

MOST_IN_A_ROW = 6

_NARROWEST = 280  # pixels of a column, for its caption's sake
_TALLEST = 1.25  # height of a crop, in widths of its column
_PAGE, _WIDEST_COLUMN = 7.16, 1.75  # inches; the first is the text width of a two-column paper
_INK, _FAINT, _OUTLINE = "#14171f", "#565d6b", "#0b0d12"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One column of the figure.

    Attributes:
        label: its name.
        pixels: the whole picture, `[H,W,3]` 8-bit levels as they are shown.
        psnr: of the whole picture in dB; None for the ground truth.
        ssim: of the whole picture.
        crop_psnr: of the rectangle in dB.
        crop_ssim: of the rectangle; None where it is too small for SSIM's window.
    """

    label: str
    pixels: NDArray[np.uint8]
    psnr: float | None = None
    ssim: float | None = None
    crop_psnr: float | None = None
    crop_ssim: float | None = None


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """The finished figure.

    Attributes:
        png: a PNG file; its text chunks hold title and description.
        pdf: a PDF file; its document information holds title and description.
        alt: the description in words, for people who do not see the picture.
        size: width and height of the PNG in pixels.
        whole_factor: enlargement of the whole pictures.
        crop_factor: enlargement of the crops.
        whole_corners: top left pixel of each whole picture in the PNG, in the panels' order.
        crop_corners: top left pixel of each crop in the PNG.
    """

    png: bytes
    pdf: bytes
    alt: str
    size: tuple[int, int]
    whole_factor: int
    crop_factor: int
    whole_corners: tuple[tuple[int, int], ...]
    crop_corners: tuple[tuple[int, int], ...]


def paper_figure(panels: Sequence[Panel], rectangle: Rectangle, *, title: str, note: str) -> PaperFigure:
    """Draws the comparison.

    Args:
        panels: pictures of one size, in the order shown.
        rectangle: what is enlarged, inside of the pictures.
        title: what is compared, e.g. `Chelsea the cat, gain 4, seed 4`.
        note: the metrics' definition and other small print, set below the pictures.

    Raises:
        ValueError: if there is no panel, their sizes differ, or the rectangle is not inside of them.
    """
    _check(panels, rectangle)
    sheet = _layout(panels, rectangle, f"{title}. {note}")
    factor = sheet.above[0].factor
    alt = alt_text(panels, rectangle, factor, title)
    return PaperFigure(
        png=paint_png(sheet, title, alt),
        pdf=paint_pdf(sheet, title, alt),
        alt=alt,
        size=(sheet.width, sheet.height),
        whole_factor=sheet.below[0].factor,
        crop_factor=factor,
        whole_corners=tuple((picture.x, picture.y) for picture in sheet.below),
        crop_corners=tuple((picture.x, picture.y) for picture in sheet.above),
    )


def alt_text(panels: Sequence[Panel], rectangle: Rectangle, factor: int, title: str) -> str:
    """Returns the figure in words: what is shown where, and every number of the captions."""
    height, width = panels[0].pixels.shape[:2]
    bands, columns = _grid(len(panels))
    where = f"{columns} columns" if columns > 1 else "one column"
    band, order = "", "From left to right"
    if bands > 1:
        where += f" and {bands} bands, one below the other"
        band, order = " of a band", "From left to right, band by band"
    figures = " ".join(
        f"{panel.label}: {'; in the rectangle '.join(lines)}." if (lines := _spoken(panel)) else f"{panel.label}."
        for panel in panels
    )
    return (
        f"Comparison of pictures in {where}: {title}. Upper row{band}: the whole picture, {width} by {height} pixels, "
        f"with a green rectangle of {rectangle.w} by {rectangle.h} pixels at x {rectangle.x}, y {rectangle.y}. "
        f"Lower row{band}: this rectangle, each pixel enlarged {factor} times. {order}, with PSNR and SSIM of the "
        f"whole picture: {figures}"
    )


def caption(panel: Panel) -> list[str]:
    """Returns the lines under a panel: its name, PSNR / SSIM of the whole picture, and those of the rectangle."""
    lines = [panel.label]
    for psnr, ssim in _figures(panel):
        decibel = "∞" if math.isinf(psnr) else f"{psnr:.2f}"
        lines.append(f"{decibel} dB" if ssim is None else f"{decibel} dB / {ssim:.3f}")
    return lines


def _figures(panel: Panel) -> list[tuple[float, float | None]]:
    pairs = ((panel.psnr, panel.ssim), (panel.crop_psnr, panel.crop_ssim))
    return [(psnr, ssim) for psnr, ssim in pairs if psnr is not None]


def _spoken(panel: Panel) -> list[str]:
    return [
        ("infinite" if math.isinf(psnr) else f"{psnr:.2f} dB") + ("" if ssim is None else f", {ssim:.3f}")
        for psnr, ssim in _figures(panel)
    ]


def _check(panels: Sequence[Panel], rectangle: Rectangle) -> None:
    if not panels:
        raise ValueError("panels: expected at least one picture, got none")
    shapes = {panel.pixels.shape for panel in panels}
    if len(shapes) > 1 or len(next(iter(shapes))) != 3 or any(panel.pixels.dtype != np.uint8 for panel in panels):
        raise ValueError(f"panels: expected 8-bit pictures [H,W,3] of one size, got {sorted(map(str, shapes))}")
    height, width = panels[0].pixels.shape[:2]
    if not rectangle.lies_in(Rectangle.whole(height, width)):
        raise ValueError(f"rectangle: expected a rectangle inside of {width}x{height} pixels, got {astuple(rectangle)}")


def _grid(panels: int) -> tuple[int, int]:
    """In how many bands the panels are set, one below the other, and how many stand in one."""
    bands = -(-panels // MOST_IN_A_ROW)
    return bands, -(-panels // bands)


def _layout(panels: Sequence[Panel], rectangle: Rectangle, note: str) -> Sheet:
    height, width = panels[0].pixels.shape[:2]
    whole = -(-_NARROWEST // width)
    column = width * whole
    enlarged = max(1, min(column // rectangle.w, int(_TALLEST * column) // rectangle.h))
    gap, line = max(8, column // 22), max(2, column // 130)
    _, columns = _grid(len(panels))
    captions = [caption(panel) for panel in panels]
    size = _fitting([text for lines in captions for text in lines], column, column // 12)
    pitch = round(1.28 * size)
    sheet_width = gap + (column + gap) * columns
    sheet = Sheet(sheet_width, 0, min(_PAGE, _WIDEST_COLUMN * columns), [], [], [], [])
    y = gap
    for start in range(0, len(panels), columns):
        crop_y = y + height * whole + gap // 2 + line
        text_y = crop_y + rectangle.h * enlarged + gap // 3 + line
        for place, (panel, lines) in enumerate(
            zip(panels[start : start + columns], captions[start : start + columns], strict=True)
        ):
            x = gap + (column + gap) * place
            sheet.below.append(Picture(panel.pixels, x, y, whole))
            marked = rectangle.scaled(whole)
            sheet.boxes.extend(_marks(replace(marked, x=x + marked.x, y=y + marked.y), line))
            pixels = panel.pixels[rectangle.slices]
            crop = Picture(pixels, x + (column - rectangle.w * enlarged) // 2, crop_y, enlarged)
            sheet.above.append(crop)
            sheet.boxes.append(Box(Rectangle(crop.x, crop.y, crop.width, crop.height), line, GREEN))
            for row, text in enumerate(lines):
                middle = text_y + pitch * row + pitch // 2
                color = _FAINT if row == 2 else _INK
                sheet.texts.append(Text(x + column // 2, middle, text, size, color, bold=row == 0))
        y = text_y + pitch * max(map(len, captions)) + gap
    small = max(11, round(0.7 * size))
    for text in _wrapped(note, sheet_width - 2 * gap, small):
        sheet.texts.append(Text(gap, y + small // 2, text, small, _FAINT, anchor="lm"))
        y += round(1.4 * small)
    return Sheet(sheet_width, y + gap // 2, sheet.inches, sheet.below, sheet.boxes, sheet.above, sheet.texts)


def _marks(rectangle: Rectangle, line: int) -> list[Box]:
    """A green box within a dark one: on any picture one of the two stands out."""
    outside = Rectangle(rectangle.x - line, rectangle.y - line, rectangle.w + 2 * line, rectangle.h + 2 * line)
    return [Box(outside, max(1, line // 2), _OUTLINE), Box(rectangle, line, GREEN)]


def _fitting(texts: list[str], width: int, size: int) -> int:
    """The largest font size up to `size` at which every text fits into a column."""
    widest = max(font(size, bold=True).getlength(text) for text in texts)
    return size if widest <= width else max(9, int(size * width / widest))


def _wrapped(text: str, width: int, size: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font(size).getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
