"""Files as nobody should send them, made from a seed: odd pictures, mutated ones, bombs, other files, odd names.

`odd_files(2000)` gives the whole set; a shorter run is its beginning, in which every maker has its turn.
"""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Random = np.random.Generator

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F")
SIDES = (1, 2, 15, 47, 48, 49, 64, 97, 130)
ABSURD = (0, 1, 7, 4001, 2**14 - 1, 2**15, 2**16 - 1, 2**24 - 1, 2**31 - 1, 2**32 - 1)
SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".ppm", ".avif", ".dng", ".txt", ".nef", "", ".PNG.exe")
NAMES = (
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "<img src=x onerror=alert(1)>",
    "a\nb\r\nSet-Cookie: x=1",
    "nul\0byte",
    "{0.__class__} %s %n",
    "'; DROP TABLE runs; --",
    "\u202egnp.exe",
    "é" * 120,
    "x" * 5000,
    " ",
    ".",
    "..",
    "-rf",
    "con",
    "\ud800 lone surrogate",
    "🦊",
)


@dataclass(frozen=True)
class OddFile:
    """One file: what its user calls it, how it was made, its bytes."""

    name: str
    kind: str
    data: bytes


def odd_files(count: int, seed: int = 0) -> Iterator[OddFile]:
    """Yields `count` files; the same seed gives the same files."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        make = MAKERS[index % len(MAKERS)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of writing such files is not the point
            kind, suffix, data = make(rng)
        suffix = suffix if rng.random() < 0.7 else str(rng.choice(SUFFIXES))
        stem = f"file-{index}" if rng.random() < 0.8 else NAMES[int(rng.integers(len(NAMES)))]
        yield OddFile(stem + suffix, f"{index} {make.__name__}: {kind}", data)


def pixels(rng: Random, height: int, width: int) -> NDArray[np.uint8]:
    """A picture with smooth parts and noise."""
    ramp = np.add.outer(np.linspace(0, 90, height), np.linspace(0, 90, width))
    return (ramp[..., None] + rng.integers(0, 70, (height, width, 3))).astype(np.uint8)


def side(rng: Random) -> int:
    return int(rng.choice(SIDES))


def picture(rng: Random, mode: str | None = None) -> Image.Image:
    mode = mode or str(rng.choice(MODES))
    levels = pixels(rng, side(rng), side(rng))
    if mode == "I":
        return Image.fromarray(levels[..., 0].astype(np.int32) * 257)
    if mode == "I;16":
        return Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(levels[..., 0].astype(np.float32) / 255)
    if mode in ("LAB", "RGBX"):
        return Image.frombytes(mode, (levels.shape[1], levels.shape[0]), levels.tobytes() * 2, "raw", mode, 0, 1)
    if mode == "PA":
        return Image.fromarray(levels).convert("P").convert("PA")
    return Image.fromarray(levels).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A file; where the format does not know the mode, of the same picture in colour."""
    for candidate in (image, image.convert("RGB") if image.mode not in ("I", "I;16", "F", "LAB") else None):
        if candidate is not None:
            buffer = io.BytesIO()
            try:
                candidate.save(buffer, kind, **options)
                return buffer.getvalue()
            except (OSError, ValueError, KeyError, TypeError):
                continue
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "GIF": ".gif", "BMP": ".bmp", "PPM": ".ppm"}


def any_format(rng: Random) -> tuple[str, str]:
    kind = str(rng.choice(list(FORMATS)))
    return kind, FORMATS[kind]


def good(rng: Random) -> tuple[str, str, bytes]:
    kind, suffix = any_format(rng)
    image = picture(rng)
    return f"{kind} {image.mode} {image.size}", suffix, encoded(image, kind)


def other_format(rng: Random) -> tuple[str, str, bytes]:
    kind, suffix = [("AVIF", ".avif"), ("ICO", ".ico"), ("TGA", ".tga"), ("PCX", ".pcx"), ("JPEG2000", ".jp2")][
        int(rng.integers(5))
    ]
    return kind, suffix, encoded(picture(rng, "RGB"), kind)


def animation(rng: Random) -> tuple[str, str, bytes]:
    kind, suffix = [("GIF", ".gif"), ("WEBP", ".webp"), ("PNG", ".png"), ("TIFF", ".tif")][int(rng.integers(4))]
    frames = [Image.fromarray(pixels(rng, 64, 70)) for _ in range(int(rng.integers(2, 6)))]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return kind, suffix, buffer.getvalue()


def metadata(rng: Random) -> tuple[str, str, bytes]:
    """EXIF orientations that exist or not, damaged EXIF, colour profiles that are none, text chunks."""
    kind, suffix = [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif")][int(rng.integers(4))]
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(-3, 12)) % 2**16
    exif[0x010E] = "x" * int(rng.integers(0, 3000))
    raw = bytearray(exif.tobytes())
    if rng.random() < 0.5:
        for place in rng.integers(6, len(raw), 8):
            raw[place] = int(rng.integers(256))
    options: dict[str, object] = {"exif": bytes(raw)} if kind != "TIFF" else {}
    if rng.random() < 0.5:
        options["icc_profile"] = rng.bytes(int(rng.integers(1, 5000)))
    return f"{kind} {exif[0x0112]}", suffix, encoded(picture(rng, "RGB"), kind, **options)


def truncated(rng: Random) -> tuple[str, str, bytes]:
    what, suffix, data = good(rng)
    length = int(rng.integers(0, len(data)))
    return f"{what} cut at {length}", suffix, data[:length]


def flipped(rng: Random) -> tuple[str, str, bytes]:
    what, suffix, data = (good, animation, metadata)[int(rng.integers(3))](rng)
    raw = bytearray(data)
    count = int(rng.integers(1, 30))
    # Half of the changes meet the header, where they matter most.
    reach = len(raw) if rng.random() < 0.5 else min(len(raw), 120)
    for place in rng.integers(0, reach, count):
        raw[place] = int(rng.integers(256))
    return f"{what} with {count} other bytes", suffix, bytes(raw)


def spliced(rng: Random) -> tuple[str, str, bytes]:
    what, suffix, data = good(rng)
    place = int(rng.integers(0, len(data)))
    piece = [b"", bytes(200), b"\xff" * 200, rng.bytes(200), data[:300]][int(rng.integers(5))]
    skipped = int(rng.integers(0, 60))
    return f"{what} spliced at {place}", suffix, data[:place] + piece + data[place + skipped :]


def header_number(rng: Random) -> tuple[str, str, bytes]:
    """A large or absurd number somewhere in the header."""
    what, suffix, data = good(rng)
    number = int(rng.choice(ABSURD))
    layout = str(rng.choice(["<I", ">I", "<H", ">H"]))
    raw = bytearray(data)
    place = int(rng.integers(0, min(len(raw), 64)))
    written = struct.pack(layout, number % (2**16 if layout[1] == "H" else 2**32))
    raw[place : place + len(written)] = written
    return f"{what} with {number} at {place}", suffix, bytes(raw)


def chunk(name: bytes, body: bytes, right: bool = True) -> bytes:
    checksum = zlib.crc32(name + body) if right else 0
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png_bomb(rng: Random) -> tuple[str, str, bytes]:
    """Absurd dimensions, compressed texts and profiles that unpack to a lot, chunks with wrong sums."""
    width, height = int(rng.choice(ABSURD)), int(rng.choice(ABSURD))
    depth, colour = [(8, 2), (16, 6), (1, 0), (8, 3), (16, 0), (3, 7)][int(rng.integers(6))]
    zeros = zlib.compress(bytes(10**7), 9)
    small = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n"
    pick = int(rng.integers(5))
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(rng.integers(2))))
    body = [
        large + chunk(b"IDAT", zeros),
        chunk(b"IHDR", small) + chunk(b"zTXt", b"comment\0\0" + zeros) + chunk(b"IDAT", zlib.compress(bytes(65 * 64))),
        chunk(b"IHDR", small) + chunk(b"iCCP", b"profile\0\0" + zeros) + chunk(b"IDAT", zlib.compress(bytes(65 * 64))),
        chunk(b"IHDR", small) + chunk(b"IDAT", zeros),
        chunk(b"IHDR", small, right=False) + chunk(b"IDAT", zlib.compress(bytes(65 * 64))),
    ][pick]
    return f"{pick} {width}x{height} {depth}/{colour}", ".png", head + body + chunk(b"IEND", b"")


def text_bomb(rng: Random) -> tuple[str, str, bytes]:
    information = PngImagePlugin.PngInfo()
    for index in range(int(rng.integers(1, 40))):
        information.add_text(f"key{index}", "y" * 100_000, zip=True)
    return "texts", ".png", encoded(picture(rng, "L"), "PNG", pnginfo=information)


def flat_bomb(rng: Random) -> tuple[str, str, bytes]:
    """A real picture of many equal pixels: tiny as a file, large in memory."""
    kind, suffix = [("PNG", ".png"), ("GIF", ".gif"), ("WEBP", ".webp"), ("TIFF", ".tif")][int(rng.integers(4))]
    width, height = int(rng.choice((3900, 4001, 6000))), int(rng.choice((100, 1000, 4001)))
    options: dict[str, object] = {"TIFF": {"compression": "tiff_adobe_deflate"}, "WEBP": {"lossless": True}}.get(
        kind, {}
    )
    mode = "L" if kind == "GIF" else str(rng.choice(["L", "RGB", "RGBA"]))
    return f"{kind} {mode} {width}x{height}", suffix, encoded(Image.new(mode, (width, height)), kind, **options)


def webp_bomb(rng: Random) -> tuple[str, str, bytes]:
    """A WebP of a few bytes that claims any size, in each of its three ways."""
    width, height = (1 + int(number) % 2**14 for number in rng.choice(ABSURD, 2))
    bits = (width - 1) % 2**14 | (height - 1) % 2**14 << 14 | 1 << 28
    lossless = b"VP8L" + struct.pack("<I", 8) + b"\x2f" + struct.pack("<I", bits) + b"\x88\x88\x08"
    lossy = b"VP8 " + struct.pack("<I", 12) + b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0\0"
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    pick = int(rng.integers(4))
    body = b"WEBP" + [lossless, lossy, extended, extended + lossless][pick]
    return f"{pick} {width}x{height}", ".webp", b"RIFF" + struct.pack("<I", len(body)) + body


def claimed(rng: Random) -> tuple[str, str, bytes]:
    """BMP, GIF and PPM headers that claim any size, and comments that do not end."""
    width, height = int(rng.choice(ABSURD)), int(rng.choice(ABSURD))
    bmp = b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, width % 2**31, height % 2**31, 1, 24, 0, 0, 0, 0, 0, 0
    )
    gif = b"GIF89a" + struct.pack("<HHBBB", width % 2**16, height % 2**16, 0x80, 0, 0) + bytes(6) + b","
    gif += struct.pack("<HHHHB", 0, 0, width % 2**16, height % 2**16, 0) + b"\x02\x02\x4c\x01\0;"
    pnm = str(rng.choice(["P1", "P2", "P3", "P4", "P5", "P6", "P7", "Pf", "PF"])).encode()
    long = b"#" + b"a b " * int(rng.integers(1, 200_000)) if rng.random() < 0.3 else b""
    ppm = pnm + b"\n" + long + b"\n%d %d\n%d\n" % (width, -height if rng.random() < 0.1 else height, 255) + bytes(9000)
    suffix, data = [(".bmp", bmp + bytes(500)), (".gif", gif), (".ppm", ppm)][int(rng.integers(3))]
    return f"{width}x{height} {pnm.decode()}", suffix, data


def floats(rng: Random) -> tuple[str, str, bytes]:
    """Floating-point and integer TIFFs of every type, planes apart or together, some with NaN, infinity or far out."""
    kind = str(rng.choice(["float16", "float32", "float64", "uint8", "uint16", "uint32", "uint64", "int8", "int16"]))
    shape = [(64, 64), (64, 64, 3), (3, 64, 64), (64, 64, 4), (2, 64, 64), (64, 64, 2), (5, 64, 64, 3)][
        int(rng.integers(7))
    ]
    values = rng.random(shape)
    if kind.startswith("float"):
        spoil = [None, np.nan, np.inf, -np.inf, -0.5, 255.0, 6e4][int(rng.integers(7))]
        if spoil is not None:
            values.flat[int(rng.integers(values.size))] = spoil
        array = values.astype(kind)
    else:
        array = (values * np.iinfo(kind).max).astype(kind)
    options: dict[str, object] = {"photometric": "rgb" if 3 in (shape[0], shape[-1]) else "minisblack"}
    if rng.random() < 0.3:
        options["tile"] = (16, 32)
    if rng.random() < 0.3:
        options["compression"] = "zlib"
    if rng.random() < 0.2:
        options["bigtiff"] = True
    if rng.random() < 0.3:
        options["byteorder"] = ">"
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return f"{kind} {shape}", ".tif", buffer.getvalue()


def tiff_directory(rng: Random) -> tuple[str, str, bytes]:
    """A TIFF whose tags are overwritten: types, counts, offsets, the chain of pages."""
    what, suffix, data = ("two pages", ".tif", animation_of_tiffs(rng)) if rng.random() < 0.5 else floats(rng)
    raw = bytearray(data)
    start = struct.unpack("<I", raw[4:8])[0] if raw[:2] == b"II" else 8
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(start, min(len(raw) - 4, start + 220))) if start < len(raw) - 8 else 4
        raw[place : place + 4] = struct.pack("<I", int(rng.choice(ABSURD)))
    return f"{what} with other tags", suffix, bytes(raw)


def animation_of_tiffs(rng: Random) -> bytes:
    page = Image.fromarray(pixels(rng, 64, 64))
    buffer = io.BytesIO()
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    return buffer.getvalue()


def dng(rng: Random) -> tuple[str, str, bytes]:
    """A raw file, by its tag, by its photometric interpretation, or damaged."""
    mosaic = rng.integers(0, 4096, (64, 64), dtype=np.uint16)
    buffer = io.BytesIO()
    tags = [(50706, 1, 4, bytes([1, 4, 0, 0]), True)] if rng.random() < 0.7 else []
    tifffile.imwrite(buffer, mosaic, photometric=str(rng.choice(["cfa", "minisblack"])), extratags=tags)
    data = bytearray(buffer.getvalue())
    if rng.random() < 0.3:
        for place in rng.integers(0, len(data), 20):
            data[place] = int(rng.integers(256))
    return "mosaic", str(rng.choice([".dng", ".tif", ".png"])), bytes(data)


def no_picture(rng: Random) -> tuple[str, str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../escape.txt", "x")
    choices = [
        b"",
        b"\0",
        b"hello\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n(x) run\n",
        b"%PDF-1.7\n1 0 obj<<>>endobj\n",
        b"\x7fELF" + rng.bytes(200),
        archive.getvalue(),
        b'{"format": "mkpn-studio-view-1", "image": {}}',
        b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'\n",
        b"II*\0" + rng.bytes(300),
        b"\x89PNG\r\n\x1a\n" + rng.bytes(300),
        b"\xff\xd8\xff\xe0" + rng.bytes(300),
        b"RIFF" + rng.bytes(300),
        b"\0\0\0\x1cftypavif" + rng.bytes(300),
        rng.bytes(int(rng.integers(1, 5000))),
        bytes(10**6),
    ]
    pick = int(rng.integers(len(choices)))
    return str(pick), str(rng.choice(SUFFIXES)), choices[pick]


def joined(rng: Random) -> tuple[str, str, bytes]:
    """Two files in one, or one format's beginning before another's rest."""
    (first, suffix, a), (second, _, b) = good(rng), good(rng)
    cut = int(rng.integers(4, 64))
    data = a + b if rng.random() < 0.4 else a[:cut] + b[cut:]
    return f"{first} and {second}", suffix, data


MAKERS: tuple[Callable[[Random], tuple[str, str, bytes]], ...] = (
    good,
    truncated,
    flipped,
    header_number,
    floats,
    no_picture,
    png_bomb,
    webp_bomb,
    animation,
    metadata,
    tiff_directory,
    spliced,
    good,
    claimed,
    dng,
    joined,
    flipped,
    other_format,
    truncated,
    text_bomb,
    floats,
    header_number,
    flat_bomb,
    tiff_directory,
)
