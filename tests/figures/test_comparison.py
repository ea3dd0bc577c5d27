"""The paper's comparison figure: exact pixels in both files, captions, alt text and where the files say it."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from mkpn.figures.comparison import GREEN, MOST_IN_A_ROW, Panel, PaperFigure, alt_text, caption, paper_figure
from mkpn.figures.sheet import font
from mkpn.geometry import Rectangle

WIDTH, HEIGHT = 97, 61
AREA = Rectangle(30, 11, 24, 17)
TITLE = "Chelsea the cat, gain 4, seed 3"
NOTE = "PSNR and SSIM on intensities clipped to [0,1]."


def panel(index: int, label: str = "MKPN", **figures: float | None) -> Panel:
    pixels = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return Panel(label=label, pixels=pixels, **figures)


def measured(index: int, label: str) -> Panel:
    return panel(index, label, psnr=20 + index, ssim=0.5, crop_psnr=19.5, crop_ssim=0.25)


PANELS = [measured(0, "Noisy frame"), measured(1, "KPN 5×5"), measured(2, "MKPN"), panel(3, "Ground truth")]


@pytest.fixture(scope="module")
def figure() -> PaperFigure:
    return paper_figure(PANELS, AREA, title=TITLE, note=NOTE)


def enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def crop_of(pixels: NDArray[np.uint8], area: Rectangle = AREA) -> NDArray[np.uint8]:
    return pixels[area.y : area.y + area.h, area.x : area.x + area.w]


def test_every_pixel_of_the_crops_is_exact(figure: PaperFigure) -> None:
    sheet = np.asarray(Image.open(io.BytesIO(figure.png)))
    assert sheet.shape == (figure.size[1], figure.size[0], 3)
    assert figure.crop_factor > 1
    for shown, (x, y) in zip(PANELS, figure.crop_corners, strict=True):
        expected = enlarged(crop_of(shown.pixels), figure.crop_factor)
        height, width = expected.shape[:2]
        np.testing.assert_array_equal(sheet[y : y + height, x : x + width], expected)
        # The frame lies around it.
        np.testing.assert_array_equal(sheet[y - 1, x : x + width], np.tile(ImageColor.getrgb(GREEN), (width, 1)))


def test_the_whole_pictures_are_exact_but_for_the_rectangle(figure: PaperFigure) -> None:
    sheet = np.asarray(Image.open(io.BytesIO(figure.png)))
    factor = figure.whole_factor
    for shown, (x, y) in zip(PANELS, figure.whole_corners, strict=True):
        expected = enlarged(shown.pixels, factor)
        part = sheet[y : y + HEIGHT * factor, x : x + WIDTH * factor]
        inside = (
            slice(AREA.y * factor, (AREA.y + AREA.h) * factor),
            slice(AREA.x * factor, (AREA.x + AREA.w) * factor),
        )
        np.testing.assert_array_equal(part[inside], expected[inside])
        different = (part != expected).any(axis=2)
        around = np.zeros_like(different)
        margin = 3 * factor
        around[
            AREA.y * factor - margin : (AREA.y + AREA.h) * factor + margin,
            AREA.x * factor - margin : (AREA.x + AREA.w) * factor + margin,
        ] = True
        assert different.any()
        assert not (different & ~around).any()


def pdf_pictures(data: bytes) -> list[NDArray[np.uint8]]:
    """The pictures inside of a PDF; their filter is the PNG's, so that a PNG's frame makes them readable."""
    pictures = []
    for found in re.finditer(rb"<<([^>]*?/Subtype /Image.*?)>>\s*stream\r?\n", data, re.DOTALL):
        header = found.group(1)
        width, height = (int(re.search(rb"/%s (\d+)" % key, header).group(1)) for key in (b"Width", b"Height"))
        body = data[found.end() : data.index(b"\nendstream", found.end())]
        if b"/DeviceRGB" not in header:
            continue

        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        png += chunk(b"IDAT", body) + chunk(b"IEND", b"")
        # matplotlib stores a picture from its last row up.
        pictures.append(np.asarray(Image.open(io.BytesIO(png)))[::-1])
    return pictures


def test_the_pdf_holds_the_pixels_themselves(figure: PaperFigure) -> None:
    pictures = pdf_pictures(figure.pdf)
    expected = [shown.pixels for shown in PANELS] + [crop_of(shown.pixels) for shown in PANELS]
    assert len(pictures) == len(expected)
    for one in expected:
        assert any(one.shape == other.shape and (one == other).all() for other in pictures)


def test_both_files_carry_title_and_alt_text(figure: PaperFigure) -> None:
    chunks = Image.open(io.BytesIO(figure.png)).text
    assert chunks["Title"] == TITLE
    assert chunks["Description"] == figure.alt
    assert b"tEXtDescription\0" in figure.png
    assert f"/Title ({TITLE})".encode() in figure.pdf
    # Letters beyond ASCII make it UTF-16 with a mark.
    subject = re.search(rb"/Subject \((.*?[^\\])\)\n", figure.pdf, re.DOTALL).group(1)
    plain = re.sub(rb"\\(.)", rb"\1", subject)
    text = plain.decode("utf-16") if plain.startswith(b"\xfe\xff") else plain.decode("ascii")
    assert text == figure.alt


def test_the_same_figure_is_the_same_file(figure: PaperFigure) -> None:
    again = paper_figure(PANELS, AREA, title=TITLE, note=NOTE)
    assert again.png == figure.png
    assert again.pdf == figure.pdf


def test_captions_and_alt_text_say_every_number() -> None:
    assert caption(PANELS[1]) == ["KPN 5×5", "21.00 dB / 0.500", "19.50 dB / 0.250"]
    assert caption(PANELS[3]) == ["Ground truth"]
    assert caption(panel(0, psnr=float("inf"), ssim=1.0, crop_psnr=30.0)) == ["MKPN", "∞ dB / 1.000", "30.00 dB"]
    text = alt_text(PANELS, AREA, 5, TITLE)
    for part in (
        TITLE,
        "4 columns",
        "97 by 61 pixels",
        "24 by 17 pixels at x 30, y 11",
        "enlarged 5 times",
        "KPN 5×5: 21.00 dB, 0.500; in the rectangle 19.50 dB, 0.250.",
        "Ground truth.",
    ):
        assert part in text


def test_many_panels_are_set_in_equal_rows() -> None:
    many = [measured(index % 4, "KPN L25") for index in range(MOST_IN_A_ROW + 2)]
    figure = paper_figure(many, AREA, title=TITLE, note=NOTE)
    rows = sorted({y for _, y in figure.crop_corners})
    assert [sum(y == row for _, y in figure.crop_corners) for row in rows] == [4, 4]
    assert figure.size[1] > rows[-1] + AREA.h * figure.crop_factor
    assert "in 4 columns and 2 bands, one below the other" in figure.alt
    assert "From left to right, band by band" in figure.alt


@pytest.mark.parametrize(
    "area", [Rectangle(0, 0, 1, 1), Rectangle(0, 0, WIDTH, HEIGHT), Rectangle(90, 0, 7, 61), Rectangle(0, 60, 97, 1)]
)
def test_rectangles_of_any_shape_fit(area: Rectangle) -> None:
    figure = paper_figure(PANELS[2:], area, title=TITLE, note=NOTE)
    sheet = np.asarray(Image.open(io.BytesIO(figure.png)))
    expected = enlarged(crop_of(PANELS[3].pixels, area), figure.crop_factor)
    x, y = figure.crop_corners[1]
    np.testing.assert_array_equal(sheet[y : y + expected.shape[0], x : x + expected.shape[1]], expected)


def test_a_long_label_fits_its_column() -> None:
    label = "A network with quite a long name"
    figure = paper_figure([panel(0, label)], AREA, title="x" * 400, note=NOTE)
    sheet = np.asarray(Image.open(io.BytesIO(figure.png)).convert("L"))
    assert (sheet[:, :4] > 250).all()
    assert font(9, bold=True).getlength(label) < figure.size[0]


def test_wrong_panels_are_refused() -> None:
    for panels, area, message in (
        ([], AREA, "at least one picture"),
        ([panel(0), Panel(label="x", pixels=np.zeros((3, 4, 3), np.uint8))], AREA, "of one size"),
        ([Panel(label="x", pixels=np.zeros((61, 97, 3), np.float32))], AREA, "8-bit"),  # pyright: ignore[reportArgumentType]
        ([panel(0)], Rectangle(90, 0, 8, 8), "inside of 97x61"),
        ([panel(0)], Rectangle(0, 0, 0, 8), "inside of 97x61"),
    ):
        with pytest.raises(ValueError, match=message):
            paper_figure(panels, area, title=TITLE, note=NOTE)
