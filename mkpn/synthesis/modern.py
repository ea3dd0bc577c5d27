"""AVIF, HEIC and JPEG XL: told by their first bytes, read where the extra `formats` is installed.

AVIF is read by Pillow itself, 11.3 or later; HEIC by pillow-heif and JPEG XL by pillow-jxl-plugin. All three give
8 bits per channel, except that JPEG XL keeps 16 bits of grey. Pictures come out upright, or with EXIF data that say how
to turn them.

What a file claims is checked before it is decoded. An AVIF may hide a larger picture behind a small claim; it is
decoded and scaled (81 megapixels behind 64x64 cost 168 MB), and libavif refuses sides over 16,384 pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import IO, Any, Literal

from PIL import Image, features

Kind = Literal["AVIF", "HEIC", "JPEG XL"]

MODERN_SUFFIXES = (".avif", ".heic", ".heif", ".jxl")

_JXL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_STREAM = b"\xff\x0a"
_HEAD = 4096  # bytes in which an AVIF describes itself
_MOST_BOXES = 64
_DEEPEST_HEADER = 64  # bytes: size and metadata of a JPEG XL are far shorter
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def modern_kind(head: bytes) -> Kind | None:
    """Names one of the three kinds by a file's first bytes; None for all other files.

    ISO/IEC 14496-12 (`ftyp`), AV1 Image File Format 6.2, ISO/IEC 23008-12 10 and ISO/IEC 18181-2 9.
    """
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        # These two brands say only that it is a still picture or several; what codes it stands among the others.
        if brand in (b"mif1", b"msf1"):
            end = min(int.from_bytes(head[:4], "big"), len(head))
            others = {head[at : at + 4] for at in range(16, end, 4)}
            return "AVIF" if others & {b"avif", b"avis"} else "HEIC"
        if brand in (b"avif", b"avis"):
            return "AVIF"
        return "HEIC" if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx") else None
    return "JPEG XL" if head.startswith((_JXL_STREAM, _JXL_BOXES)) else None


def modern_reader(kind: Kind) -> Callable[[IO[bytes]], Image.Image] | None:
    """Returns what opens such a file as a Pillow picture; None where the extra `formats` is not installed.

    The picture's `info["bit_depth"]` holds the bits per channel of the file, or None where its header does not say.
    """
    module, name = {
        "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
        "HEIC": ("pillow_heif", "HeifImageFile"),
        "JPEG XL": ("pillow_jxl.JpegXLImagePlugin", "JXLImageFile"),
    }[kind]
    try:
        plugin: Any = importlib.import_module(module)
    except ImportError:
        return None
    # Pillow may have been built without it.
    if kind == "AVIF" and not features.check("avif"):
        return None

    def read(file: IO[bytes]) -> Image.Image:
        head = file.read(_HEAD)
        file.seek(0)
        bits = {"AVIF": lambda: _avif_bits(head), "HEIC": lambda: None, "JPEG XL": lambda: jxl_header(file)[2]}[kind]()
        image: Image.Image = getattr(plugin, name)(file)
        image.info.setdefault("bit_depth", bits)
        return image

    return read


def upright_already(image: Image.Image) -> bool:
    """Tells whether a picture's EXIF orientation means nothing, because its reader has applied the file's own one.

    So it is with JPEG XL (ISO/IEC 18181-1, D.3.2), unless it is a recompressed JPEG, which comes out as that JPEG.
    """
    return image.format == "JXL" and not getattr(image, "jpeg", False)


def to_first_frame(image: Image.Image) -> None:
    """Goes to the frame that is used: the first one, of a HEIC its main picture, at which it is opened."""
    if image.format != "HEIF":
        image.seek(0)


def jxl_header(file: IO[bytes]) -> tuple[int, int, int | None]:
    """Reads width, height and bits per channel (None where not said) of a JPEG XL, because its reader decodes at once.

    ISO/IEC 18181-1, D.2 and D.3; in a container the stream is in a box `jxlc`, or begins in the first box `jxlp`.

    Args:
        file: stands at its beginning, and again afterwards.

    Raises:
        EOFError: if the file ends before it has named its size, or hides it behind too many boxes.
    """
    try:
        return _Bits(_stream_start(file)).header()
    finally:
        file.seek(0)


def _avif_bits(head: bytes) -> int | None:
    """AV1 Codec ISO Media File Format Binding 2.3.3: the third byte has the bits high_bitdepth and twelve_bit."""
    at = head.find(b"av1C")
    return {0: 8, 0x40: 10, 0x60: 12}.get(head[at + 6] & 0x60) if 0 <= at < len(head) - 6 else None


def _stream_start(file: IO[bytes]) -> bytes:
    start = file.read(len(_JXL_BOXES))
    if start.startswith(_JXL_STREAM):
        return start[len(_JXL_STREAM) :] + file.read(_DEEPEST_HEADER)
    for _ in range(_MOST_BOXES):
        box = file.read(8)
        length, kind = int.from_bytes(box[:4], "big"), box[4:8]
        rest = length - 8
        if length == 1:
            rest = int.from_bytes(file.read(8), "big") - 16
        if kind in (b"jxlc", b"jxlp"):
            if kind == b"jxlp":
                file.seek(4, 1)  # the part's number
            return file.read(_DEEPEST_HEADER).removeprefix(_JXL_STREAM)
        # A length of 0 says that the box is the last one.
        if len(box) < 8 or rest < 0:
            break
        file.seek(rest, 1)
    raise EOFError("no stream within its boxes")


class _Bits:
    """Reads a JPEG XL's header bit by bit, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise EOFError("its header is cut short")
        result = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return result

    def choice(self, *ways: tuple[int, int]) -> int:
        """One of four ways to write a number, each an offset and a count of bits."""
        offset, count = ways[self.take(2)]
        return offset + self.take(count)

    def size(self) -> tuple[int, int]:
        eighths = self.take(1)

        def side() -> int:
            return 8 * (1 + self.take(5)) if eighths else self.choice((1, 9), (1, 13), (1, 18), (1, 30))

        height = side()
        if ratio := self.take(3):
            numerator, denominator = _RATIOS[ratio - 1]
            return height * numerator // denominator, height
        return side(), height

    def header(self) -> tuple[int, int, int | None]:
        return *self.size(), self.depth()

    def depth(self) -> int | None:
        if self.take(1):  # everything has its default
            return 8
        if self.take(1):
            self.take(3)  # orientation
            if self.take(1):
                self.size()  # intrinsic size
            if self.take(1):
                return None  # a preview, which nobody writes
            if self.take(1):  # animation
                self.choice((100, 0), (1000, 0), (1, 10), (1, 30))
                self.choice((1, 0), (1001, 0), (1, 8), (1, 10))
                self.choice((0, 0), (0, 3), (0, 16), (0, 32))
                self.take(1)
        if self.take(1):
            return self.choice((32, 0), (16, 0), (24, 0), (1, 6))  # floating point
        return self.choice((8, 0), (10, 0), (12, 0), (1, 6))
