"""Decoding of whatever a user brings, box-downsampling, and the bundled examples."""

from __future__ import annotations

import io
import socket
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mkpn.synthesis.files import MAX_MEGAPIXELS, OWN_MEGAPIXELS
from mkpn.synthesis.images import EXAMPLES, box_downsample, conversion_notes, example_image, load_image

HEIGHT, WIDTH = 50, 64
RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))


def png(header: bytes, rows: NDArray[np.generic], transparent: tuple[int, ...] = ()) -> bytes:
    """A PNG as Pillow cannot write it, of the bytes of its rows and its transparent level or colour."""
    told = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return header + told + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png16(pixels: NDArray[np.uint16], transparent: tuple[int, ...] = ()) -> bytes:
    """A 16-bit colour PNG."""
    return png(png_header(pixels.shape[1], pixels.shape[0], 16), pixels.astype(">u2"), transparent)


def shallow_png(levels: NDArray[np.uint8], depth: int, transparent: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits."""
    bits = np.unpackbits(levels[..., None], axis=-1)[..., 8 - depth :]
    header = png_header(levels.shape[1], levels.shape[0], depth, 0)
    return png(header, np.packbits(bits.reshape(len(levels), -1), axis=1), (transparent,))


def grey3(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.repeat(values[..., None], 3, axis=2)


def over_white(color: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.floating]:
    return color / 255 * (alpha / 255) + 1 - alpha / 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "PPM"])
def test_lossless_colour_is_exact(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_allclose(load_image(encode(Image.fromarray(COLOR), kind, **options)), COLOR / 255, atol=1e-7)


def test_grey_becomes_three_equal_channels() -> None:
    data = encode(Image.fromarray(GREY))
    np.testing.assert_allclose(load_image(data), grey3(GREY / 255), atol=1e-7)
    assert conversion_notes(data) == ["grey, used as three equal channels"]


def test_one_bit() -> None:
    bits = GREY > 127
    np.testing.assert_array_equal(load_image(encode(Image.fromarray(bits))), grey3(bits.astype(float)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_depth(kind: str) -> None:
    deep = RNG.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    data = encode(Image.fromarray(deep), kind)
    np.testing.assert_allclose(load_image(data), grey3(deep / 65535), atol=1e-7)
    assert "16-bit grey, kept at full depth" in conversion_notes(data)


def test_the_transparent_level_of_16_bit_grey_is_white() -> None:
    deep = RNG.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    deep[:9, 7:] = 1234
    data = encode(Image.fromarray(deep), transparency=1234)
    np.testing.assert_allclose(load_image(data), grey3(np.where(deep == 1234, 1, deep / 65535)), atol=1e-7)
    assert conversion_notes(data) == ["16-bit grey, kept at full depth", "transparency is laid over white"]


def test_16_bit_colour_is_read_at_8_bits_and_says_so() -> None:
    deep = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    data = png16(deep)
    np.testing.assert_allclose(load_image(data), deep / 65535, atol=1 / 255)
    assert conversion_notes(data) == ["16-bit colour, read at 8 bits per channel"]


@pytest.mark.parametrize("white", [1023, 65535])
def test_a_deep_ppm_says_that_it_is_read_at_8_bits(white: int) -> None:
    deep = RNG.integers(0, white + 1, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    data = f"P6 {WIDTH} {HEIGHT} {white}\n".encode() + deep.astype(">u2").tobytes()
    np.testing.assert_allclose(load_image(data), deep / white, atol=1 / 255)
    assert conversion_notes(data) == ["16-bit colour, read at 8 bits per channel"]
    shallow = f"P6 {WIDTH} {HEIGHT} 255\n".encode() + (deep >> 8).astype(np.uint8).tobytes()
    assert conversion_notes(shallow) == []


def test_lab_says_that_it_is_converted() -> None:
    stream = io.BytesIO()
    Image.new("LAB", (WIDTH, HEIGHT)).save(stream, "TIFF")
    assert conversion_notes(stream.getvalue()) == ["LAB, converted to RGB without a colour profile"]


def test_the_transparent_colour_of_16_bit_colour_is_white_and_no_other() -> None:
    deep = RNG.integers(0x100, 0x8000, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    deep[:9, 7:] = (0x8001, 0x9002, 0xA003)
    deep[9:20] = (0x0001, 0x0002, 0x0003)  # the same low bytes
    image = load_image(png16(deep, (0x8001, 0x9002, 0xA003)))
    assert (image[:9, 7:] == 1).all()
    np.testing.assert_allclose(image[9:], deep[9:] / 65535, atol=1 / 255)
    # A picture of Pillow's is brought to 8 bits once, however often it is read.
    opened = Image.open(io.BytesIO(png16(deep, (0x8001, 0x9002, 0xA003))))
    for _ in range(2):
        np.testing.assert_array_equal(load_image(opened), image)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_transparent_level_of_shallow_grey_is_white_and_no_other(depth: int) -> None:
    most = 2**depth - 1
    levels = GREY & most
    for transparent in (0, 1, most):
        expected = grey3(np.where(levels == transparent, 1, levels / most))
        np.testing.assert_allclose(load_image(shallow_png(levels, depth, transparent)), expected, atol=1e-7)


def test_transparency_is_laid_over_white() -> None:
    data = encode(Image.fromarray(np.concatenate([COLOR, ALPHA], axis=2)))
    np.testing.assert_allclose(load_image(data), over_white(COLOR, ALPHA), atol=1.01 / 255)
    assert conversion_notes(data) == ["transparency is laid over white"]
    grey_alpha = encode(Image.fromarray(np.concatenate([GREY[..., None], ALPHA], axis=2), "LA"))
    np.testing.assert_allclose(load_image(grey_alpha), over_white(COLOR * 0 + GREY[..., None], ALPHA), atol=1.01 / 255)


def test_palette_with_and_without_transparency() -> None:
    palette = Image.fromarray(GREY % 4, "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
    np.testing.assert_allclose(load_image(encode(palette)), colors[GREY % 4] / 255, atol=1e-7)
    colors[1] = 255
    np.testing.assert_allclose(load_image(encode(palette, transparency=1)), colors[GREY % 4] / 255, atol=1e-7)


def test_a_palette_with_alpha_is_laid_over_white() -> None:
    """The same picture gives the same pixels as Pillow's and as a file."""
    clear = Image.new("RGBA", (WIDTH, HEIGHT), (255, 0, 0, 0)).quantize()
    assert (clear.mode, clear.info) == ("P", {})
    for source in (clear, encode(clear)):
        np.testing.assert_array_equal(load_image(source), 1)
    assert conversion_notes(encode(clear)) == ["transparency is laid over white"]


def test_premultiplied_grey_is_laid_over_white() -> None:
    stored = Image.merge("LA", (Image.new("L", (WIDTH, HEIGHT), 0), Image.new("L", (WIDTH, HEIGHT), 51))).convert("La")
    np.testing.assert_allclose(load_image(stored), 0.8, atol=0.01)


def test_12_bit_levels_are_refused() -> None:
    """Pillow leaves them as they are: as 16 bits the picture would be 16 times too dark."""
    side, levels = 64, b"\xff" * (64 * 64 * 3 // 2)
    entries = [(256, side), (257, side), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, side)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*entries, (279, len(levels))])
    data = b"II*\0" + struct.pack("<IH", 8, 9) + fields + struct.pack("<I", 0)
    assert len(data) == 122
    with pytest.raises(ValueError, match="expected levels of 8, 16 or 32 bits, got 12-bit ones"):
        load_image(data + levels)


def test_cmyk() -> None:
    ink = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    ink[:, : WIDTH // 2, 0] = 255  # cyan on the left half, paper on the right
    data = encode(Image.fromarray(ink, "CMYK"), "TIFF")
    image = load_image(data)
    np.testing.assert_allclose(image[:, : WIDTH // 2], np.broadcast_to([0, 1, 1], (HEIGHT, WIDTH // 2, 3)), atol=0.01)
    np.testing.assert_allclose(image[:, WIDTH // 2 :], 1, atol=0.01)
    assert conversion_notes(data) == ["CMYK, converted to RGB without a colour profile"]
    assert load_image(encode(Image.fromarray(ink, "CMYK"), "JPEG"))[:, -8:].min() > 0.9


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(COLOR), exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_allclose(load_image(data), upright / 255, atol=1e-7)
    assert conversion_notes(data) == ["turned upright as its EXIF data say"]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in (40, 120, 200)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_allclose(load_image(data), 40 / 255, atol=1.01 / 255)
    assert "the first of 3 frames is used" in conversion_notes(data)


def test_arrays_and_paths(tmp_path: Path) -> None:
    Image.fromarray(COLOR).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(COLOR), COLOR, COLOR / 255):
        np.testing.assert_allclose(load_image(source), COLOR / 255, atol=1e-6)
    np.testing.assert_allclose(load_image(np.concatenate([COLOR, ALPHA], 2)), over_white(COLOR, ALPHA), atol=1e-6)
    rounded = load_image(np.full((HEIGHT, WIDTH), np.nextafter(1, 2)))
    assert rounded.min() == rounded.max() == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((HEIGHT, WIDTH), 1.5), "intensities in \\[0,1\\]"),
        (np.full((HEIGHT, WIDTH), np.nan), "without NaN"),
        (np.zeros((HEIGHT, WIDTH, 2), np.uint8), "expected an array"),
        (np.zeros((HEIGHT, WIDTH), np.int32), "unsigned integers"),
        (np.zeros(5, np.uint8), "expected an array"),
        (np.zeros((47, 99), np.uint8), "at least 48x48 pixels, got 99x47"),
    ],
)
def test_wrong_arrays_are_refused(array: NDArray[np.generic], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_image(array)


def test_smallest_size() -> None:
    assert load_image(encode(Image.new("RGB", (48, 48)))).shape == (48, 48, 3)
    with pytest.raises(ValueError, match="at least 48x48 pixels, got 47x300"):
        load_image(encode(Image.new("RGB", (47, 300))))


@pytest.mark.parametrize("read", [load_image, conversion_notes])
@pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (10_000, 10_000), (60_000, 60_000)])
def test_too_large_is_found_before_decoding(read: Callable[[bytes], object], width: int, height: int) -> None:
    """The file ends behind its header, so that decoding it would be another error; Pillow's own warning is not seen."""
    assert width * height > OWN_MEGAPIXELS * 10**6
    data = png_header(width, height) + chunk(b"IDAT", b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=f"expected at most {MAX_MEGAPIXELS} megapixels, got"):
            read(data)


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", b"<svg/>"])
def test_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected an image"):
        load_image(data)


def test_damaged_files_give_one_kind_of_error() -> None:
    files = [
        encode(Image.fromarray(COLOR)),
        encode(Image.fromarray(COLOR), "JPEG"),
        encode(Image.fromarray(COLOR), "TIFF"),
        encode(Image.fromarray(COLOR), "GIF"),
        encode(Image.fromarray(COLOR), "WEBP"),
    ]
    for data in files:
        with pytest.raises(ValueError):  # noqa: PT011 - what matters is that it is no other error
            load_image(data[: len(data) // 3])
        for _ in range(60):
            broken = bytearray(data)
            for place in RNG.integers(0, min(len(data), 400), 3):
                broken[place] = RNG.integers(0, 256)
            try:
                image = load_image(bytes(broken))
            except ValueError:
                continue
            assert image.shape[2] == 3


def test_box_downsampling_is_the_mean_of_boxes() -> None:
    image = RNG.random((7, 9, 3), dtype=np.float32)
    small = box_downsample(image, 2)
    assert small.shape == (3, 4, 3)
    np.testing.assert_allclose(small[1, 2], image[2:4, 4:6].mean((0, 1)), rtol=1e-6)
    with pytest.raises(ValueError, match="downsample: expected a whole number, 1 or more"):
        box_downsample(image, 0)
    assert box_downsample(image, 7).shape == (1, 1, 3)
    with pytest.raises(ValueError, match="downsample: expected 1 to 7, got 8"):
        box_downsample(image, 8)


def test_examples_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an example asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for example in EXAMPLES:
        pixels = example_image(example.name)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert min(pixels.shape[:2]) >= 128
        assert any(term in example.credit for term in ("CC0", "public domain"))
    with pytest.raises(ValueError, match="Chelsea the cat"):
        example_image("no such picture")
