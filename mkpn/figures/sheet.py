"""A sheet of pictures, boxes and lines of text becomes a PNG or a PDF file of the same layout.

No picture is resampled: the PNG enlarges by whole factors with nearest neighbour, the PDF embeds the pixels themselves.
Lengths are pixels of the PNG.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib import patches
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from mkpn.geometry import Rectangle, grow

_SOFTWARE = "MKPN Studio"

# Letters as outlines that every journal accepts; matplotlib's default, Type 3, is refused by some. Set once for all,
# because an rc_context is not safe among threads.
matplotlib.rcParams["pdf.fonttype"] = 42


@dataclass(frozen=True)
class Picture:
    """8-bit levels `[H,W,3]`, their top left corner on the sheet, and a whole factor of enlargement."""

    pixels: NDArray[np.uint8]
    x: int
    y: int
    factor: int

    @property
    def width(self) -> int:
        """Width on the sheet."""
        return self.pixels.shape[1] * self.factor

    @property
    def height(self) -> int:
        """Height on the sheet."""
        return self.pixels.shape[0] * self.factor


@dataclass(frozen=True)
class Box:
    """A line around the outside of a rectangle, so that it covers none of what is in it."""

    rectangle: Rectangle
    line: int
    color: str


@dataclass(frozen=True)
class Text:
    """One line of text, by the middle of its height and its centre (`mm`) or its left end (`lm`)."""

    x: int
    y: int
    text: str
    size: int
    color: str
    bold: bool = False
    anchor: Literal["mm", "lm"] = "mm"


@dataclass(frozen=True)
class Sheet:
    """What is painted: pictures, boxes above them, more pictures above those, and text.

    Attributes:
        width: of the sheet.
        height: of the sheet.
        inches: width on paper.
        below: pictures that boxes may be drawn on.
        boxes: drawn on `below`.
        above: pictures that nothing covers.
        texts: captions.
    """

    width: int
    height: int
    inches: float
    below: list[Picture]
    boxes: list[Box]
    above: list[Picture]
    texts: list[Text]


def paint_png(sheet: Sheet, title: str, description: str) -> bytes:
    """Returns the PNG file, with title and description in its text chunks."""
    canvas = Image.new("RGB", (sheet.width, sheet.height), "white")
    draw = ImageDraw.Draw(canvas)
    for picture in sheet.below:
        canvas.paste(_enlarged(picture), (picture.x, picture.y))
    for box in sheet.boxes:
        (top, bottom), (left, right) = grow(box.rectangle.rows, box.line), grow(box.rectangle.columns, box.line)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=box.color, width=box.line)
    for picture in sheet.above:
        canvas.paste(_enlarged(picture), (picture.x, picture.y))
    for text in sheet.texts:
        draw.text((text.x, text.y), text.text, text.color, font(text.size, text.bold), anchor=text.anchor)
    information = PngInfo()
    for keyword, value in (("Title", title), ("Description", description), ("Software", _SOFTWARE)):
        information.add_text(keyword, value)
    per_inch = sheet.width / sheet.inches
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", pnginfo=information, dpi=(per_inch, per_inch))
    return buffer.getvalue()


def paint_pdf(sheet: Sheet, title: str, description: str) -> bytes:
    """Returns the PDF file, with title and description (as its subject) in the document information."""
    per_inch = sheet.width / sheet.inches
    points = 72 / per_inch
    figure = Figure(figsize=(sheet.inches, sheet.height / per_inch), dpi=per_inch)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet.width), ylim=(sheet.height, 0), autoscale_on=False)
    axes.axis("off")
    for picture in (*sheet.below, *sheet.above):
        # Axes of its own for each: matplotlib merges the pictures of one into a single, resampled one.
        bottom = 1 - (picture.y + picture.height) / sheet.height
        size = (picture.width / sheet.width, picture.height / sheet.height)
        place: Any = figure.add_axes((picture.x / sheet.width, bottom, *size), zorder=-1)
        place.axis("off")
        place.imshow(picture.pixels, interpolation="none", aspect="auto")
    for box in sheet.boxes:
        inside = box.rectangle
        corner = (inside.x - box.line / 2, inside.y - box.line / 2)
        style: dict[str, Any] = {"edgecolor": box.color, "linewidth": box.line * points, "joinstyle": "miter"}
        axes.add_patch(patches.Rectangle(corner, inside.w + box.line, inside.h + box.line, fill=False, **style))
    for text in sheet.texts:
        axes.text(
            text.x,
            text.y,
            text.text,
            fontsize=text.size * points,
            fontweight="bold" if text.bold else "normal",
            fontfamily="DejaVu Sans",
            color=text.color,
            ha="center" if text.anchor == "mm" else "left",
            va="center_baseline",
            # A file's name may hold dollar signs, which are no formula.
            parse_math=False,
        )
    # Without a date the same figure is the same file.
    metadata = {"Title": title, "Subject": description, "Creator": _SOFTWARE, "CreationDate": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata=metadata)
    return buffer.getvalue()


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns matplotlib's own copy of DejaVu Sans, so that both files show the same letters."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, size)


def _enlarged(picture: Picture) -> Image.Image:
    return Image.fromarray(np.repeat(np.repeat(picture.pixels, picture.factor, axis=0), picture.factor, axis=1))
