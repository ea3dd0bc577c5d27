"""Which files may be opened as pictures, and how large they may be: judged by their headers, before any decoding.

A file of a few bytes may claim any size. What it claims is checked first, so that reading one picture costs at most
`MAX_MEGAPIXELS * 20` bytes of memory at its peak, the result included (measured in `tests/synthesis/test_files.py`).
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from mkpn.checks import one_line
from mkpn.synthesis.modern import jxl_header, modern_kind, modern_reader, to_first_frame

MAX_MEGAPIXELS = 16
"""Largest picture that is read where nothing else is asked for."""

OWN_MEGAPIXELS = 50
"""Largest picture that the commands read from their user's own folders: what large cameras write."""

MAX_FILE_BYTES = 512 * 2**20

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
"""What Pillow may decode: photographs only, none of its document formats that run other programs."""

COMMON = "PNG, JPEG, WebP, TIFF, GIF or BMP"
"""What is read without an extra, for messages."""

RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".raf", ".rw2", ".pef", ".srw", ".3fr")

_DENSEST = 200  # pixels per byte above MAX_MEGAPIXELS: photographs have 2 to 30, pictures made to harm over 250
_REASON = 120  # characters of Pillow's own message that are repeated
_HEADER = 4096  # bytes in which a PPM must name its size
_COUNTED = 2**20  # bytes of a GIF or TIFF whose pages are counted: counting walks through all of them
_SUBFILE, _PHOTOMETRIC, _SUB_PAGES, _DNG = 254, 262, 330, 50706
_TILE_SIDES = (322, 323)
_BITS, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 258, 277, 284, 339
_SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw


Reader = Callable[[IO[bytes]], Image.Image]
"""What opens a file whose first bytes have been looked at."""


class Refused(ValueError):
    """A file that is no picture this program reads; the message has no name yet."""


@contextmanager
def opened(source: str | Path | bytes | Image.Image, max_megapixels: float) -> Generator[Image.Image]:
    """Opens a picture by its header; whatever goes wrong until the end of the block is a ValueError that names it.

    Args:
        source: a path, the bytes of a file, or a PIL image, which stays open.
        max_megapixels: largest size that is accepted.

    Raises:
        ValueError: `NAME: expected ..., got ...`, if it is no picture, damaged, a raw file, or too large.
    """
    with named(source):
        if isinstance(source, Image.Image):
            _check(source, max_megapixels)
            yield source
            return
        file, size, read = _checked_file(source, max_megapixels)
        # Our own limit holds; Pillow's warning at half of its limit would be noise.
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                opened_file = read(file)
            except Image.DecompressionBombError as error:
                raise Refused(f"expected at most {max_megapixels:g} megapixels, got far more") from error
            with opened_file as image:
                _check(image, max_megapixels, size)
                yield image


def read_file(path: Path) -> bytes:
    """Returns a file that may be a picture, for several looks at it.

    Raises:
        ValueError: as `opened`, as far as the path tells.
    """
    with named(path):
        return _checked_path(path).read_bytes()


@contextmanager
def named(source: str | Path | bytes | Image.Image) -> Generator[None]:
    """Turns whatever goes wrong with a picture's pixels into a ValueError that begins with the picture's name."""
    name = one_line(Path(source).name) if isinstance(source, str | Path) else ""
    name = name or "image"
    try:
        yield
    except Refused as error:
        raise ValueError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: expected an image ({COMMON}), got another file") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: expected a picture of fewer pixels, got far more than are read") from error
    except PermissionError as error:
        raise ValueError(f"{name}: expected a file that may be read, got one that may not") from error
    # Damaged files end in any of Pillow's errors: OSError, SyntaxError, TypeError, struct.error, ...
    except Exception as error:
        # Where the file lies is nobody's business who reads the message over the network.
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:_REASON]
        raise ValueError(f"{name}: expected a whole file, got one that is damaged or cut short ({reason})") from error


def _check(image: Image.Image, max_megapixels: float, file_bytes: int | None = None) -> None:
    check_size(image.width, image.height, max_megapixels, file_bytes)
    if image.format == "TIFF":
        _check_tiff(image)


def check_size(width: int, height: int, max_megapixels: float, file_bytes: int | None = None) -> None:
    """Refuses a picture that is too large, or very large out of a very small file.

    Raises:
        Refused: with the limit and the size.
    """
    if width * height > max_megapixels * 10**6:
        raise Refused(f"expected at most {max_megapixels:g} megapixels, got {width}x{height} pixels")
    dense = file_bytes is not None and width * height > file_bytes * _DENSEST
    if dense and width * height > MAX_MEGAPIXELS * 10**6:
        raise Refused(
            f"expected at most {MAX_MEGAPIXELS} megapixels from a file of {file_bytes} bytes, got {width}x{height} "
            "pixels; no photograph is that small"
        )


def count_frames(image: Image.Image, source: str | Path | bytes) -> int | None:
    """Returns how many frames or pages a file has, 1 where the second is damaged; None: several, not counted."""
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    try:
        if image.format in ("GIF", "TIFF") and size > _COUNTED:
            image.seek(1)
            return None
        return int(getattr(image, "n_frames", 1))
    # Any of Pillow's errors, as above: the first frame is whole, and it is the one that counts.
    except Exception:
        return 1
    finally:
        to_first_frame(image)


def _checked_file(source: str | Path | bytes, max_megapixels: float) -> tuple[IO[bytes], int, Reader]:
    if isinstance(source, bytes):
        file: IO[bytes] = io.BytesIO(source)
        size = len(source)
    else:
        path = _checked_path(Path(source))
        file, size = path.open("rb"), path.stat().st_size
    try:
        head = file.read(_HEADER)
        file.seek(0)
        if size > MAX_FILE_BYTES:
            raise Refused(f"expected a file of at most {MAX_FILE_BYTES // 2**20} MB, got {size // 2**20} MB")
        if head[8:10] == b"CR" or head[:15] == b"FUJIFILMCCD-RAW" or head[:4] in (b"IIRO", b"IIRS", b"IIU\0"):
            raise _raw_file()
        read: Reader = _open_common
        if kind := modern_kind(head):
            reader = modern_reader(kind)
            if reader is None:
                raise Refused(f"expected {COMMON}, got {kind}; to read it: pip install 'mkpn-studio[formats]'")
            read = reader
            # Its reader decodes it as soon as it opens it.
            if kind == "JPEG XL":
                check_size(*jxl_header(file)[:2], max_megapixels, size)
        if re.match(rb"P[1-7fF]\s", head) and len(re.sub(rb"#[^\r\n]*", b"", head).split(None, 3)) < 3:
            raise Refused(f"expected a PPM that names its size within {_HEADER} bytes, got a longer comment")
        # Pillow makes room for a WebP as soon as it opens it.
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and (claimed := _webp_size(head)):
            check_size(*claimed, max_megapixels, size)
    except BaseException:
        file.close()
        raise
    return file, size, read


def _open_common(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) in _TIFF:
            # Colour in floating point, e.g. what `denoise --format tiff` writes.
            raise Refused("expected a TIFF of 8 or 16 bits, or grey in floating point, got another kind") from None
        raise


def _checked_path(path: Path) -> Path:
    if not path.exists():
        raise Refused("expected an image file, got no file of this name")
    # A pipe or a device may never end.
    if not path.is_file():
        raise Refused("expected an image file, got a folder or a device")
    if path.suffix.lower() in RAW_SUFFIXES:
        raise _raw_file()
    return path


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a WebP claims; None where it is none."""
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(head) >= 30:
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how such files begin, small and big ones


def _check_tiff(image: Image.Image) -> None:
    """Refuses what Pillow would read wrongly: raw files by their thumbnail, unusual integers and planes."""
    tags: Any = getattr(image, "tag_v2", {})
    thumbnail = _SUB_PAGES in tags and tags.get(_SUBFILE, 0) & 1
    if _DNG in tags or tags.get(_PHOTOMETRIC) in _SENSOR or thumbnail:
        raise _raw_file()
    if int(tags.get(_TILE_SIDES[0], 0)) * int(tags.get(_TILE_SIDES[1], 0)) > 4 * max(image.width * image.height, 2**20):
        raise Refused(f"expected tiles no larger than the picture, got {tags[_TILE_SIDES[0]]}x{tags[_TILE_SIDES[1]]}")
    bits, kind = max(tags.get(_BITS, (1,))), max(tags.get(_SAMPLE_FORMAT, (1,)))
    several = tags.get(_SAMPLES, 1) > 1
    if kind == 2 or kind not in (1, 3, 4) or (bits > 16 and kind != 3 and several):
        got = f"{'signed ' if kind == 2 else ''}{bits}-bit ones"
        raise Refused(f"expected unsigned or floating-point levels, got {got}")
    # Pillow leaves levels of e.g. 12 bits as they are, which looks like 16 bits of a very dark picture.
    if bits not in (1, 2, 4, 8, 16, 32, 64):
        raise Refused(f"expected levels of 8, 16 or 32 bits, got {bits}-bit ones")
    # Pillow turns such levels around where they have 8 bits or fewer, and leaves others as they are: a negative.
    if tags.get(_PHOTOMETRIC) == 0 and bits > 8:
        raise Refused(
            f"expected a TIFF of over 8 bits whose zero is black, got one whose zero is white, of {bits} bits"
        )
    if several and bits > 8 and tags.get(_PLANAR, 1) == 2:
        raise Refused(f"expected a TIFF whose channels lie side by side, got {bits}-bit channels in separate planes")


def _raw_file() -> Refused:
    return Refused("expected a developed picture, got a raw file, of which only the thumbnail could be read")
