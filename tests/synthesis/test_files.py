"""Files as people bring them: bombs, damaged and odd ones, and formats that hold more than eight bits."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

import mkpn
from mkpn.synthesis.files import MAX_FILE_BYTES, MAX_MEGAPIXELS, OWN_MEGAPIXELS
from mkpn.synthesis.images import conversion_notes
from mkpn.ui.run.sources import upload_source

SIDE = int((MAX_MEGAPIXELS * 10**6) ** 0.5)

# Peak of the process in MB that reading one picture adds; VmHWM, unlike ru_maxrss, does not begin at the parent's.
PEAK = """
import sys
from PIL import Image
from mkpn.synthesis.images import load_image
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
Image.init()
before = peak()
try:
    load_image(sys.argv[1])
except ValueError as error:
    print(error, file=sys.stderr)
print((peak() - before) // 1024)
"""


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(image: Image.Image, **tags: tuple[int, int]) -> bytes:
    """A TIFF with more tags, each `(number, value)`."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in tags.values():
        directory[number] = value
    return save(image, "TIFF", tiffinfo=directory)


def webp_header(width: int, height: int) -> bytes:
    """A lossless WebP of a few bytes that claims any size; its pixels are missing."""
    bits = (width - 1) | (height - 1) << 14 | 1 << 28
    payload = b"\x2f" + struct.pack("<I", bits) + b"\x88\x88\x08"
    body = b"WEBPVP8L" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's account of memory")
@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_the_largest_bomb_costs_under_300_mb(tmp_path: Path, kind: str) -> None:
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "JPEG":
        options = {"progressive": True, "subsampling": 0}
    else:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6  # turning it takes a second copy
    path = tmp_path / f"bomb.{kind.lower()}"
    path.write_bytes(save(Image.new("RGB" if kind == "JPEG" else "RGBA", (SIDE, SIDE), (9, 9, 9)), kind, **options))
    assert path.stat().st_size < 2**20
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, cwd=Path(mkpn.__file__).parents[1]
    )
    assert run.stderr == ""
    assert 12 * SIDE**2 / 2**20 < int(run.stdout) < 300


@pytest.mark.parametrize("limit", [MAX_MEGAPIXELS, OWN_MEGAPIXELS])
def test_a_webp_of_34_bytes_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("opened: Pillow would have made room for the picture")

    monkeypatch.setattr(Image, "open", never)
    with pytest.raises(ValueError, match=rf"image: expected at most {MAX_MEGAPIXELS} megapixels.*got 7000x7000"):
        mkpn.load_image(webp_header(7000, 7000), max_megapixels=limit)


def test_many_pixels_need_a_file_of_some_size() -> None:
    flat = save(Image.new("L", (5000, 4000)), "PNG")
    with pytest.raises(ValueError, match=f"expected at most 16 megapixels from a file of {len(flat)} bytes"):
        mkpn.load_image(flat, max_megapixels=OWN_MEGAPIXELS)
    padded = flat + bytes(10**5)
    assert mkpn.load_image(padded, max_megapixels=OWN_MEGAPIXELS).shape == (4000, 5000, 3)
    with pytest.raises(ValueError, match="expected at most 16 megapixels, got 5000x4000 pixels"):
        mkpn.load_image(padded)


@pytest.mark.parametrize("line_end", [b"\n", b""])
def test_a_long_comment_is_refused_at_once(line_end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"P6\n# " + b"a b " * 5000 + line_end + b"64 64\n255\n" + bytes(64 * 64 * 3)
    monkeypatch.setattr(Image, "open", None)  # reading it byte by byte is what takes long
    with pytest.raises(ValueError, match="image: expected a PPM that names its size within 4096 bytes"):
        mkpn.load_image(data)


def test_a_short_comment_is_read() -> None:
    assert mkpn.load_image(b"P6\n# made by hand\n64 64\n255\n" + bytes(64 * 64 * 3)).max() == 0


def test_huge_files_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ValueError, match=r"huge\.png: expected a file of at most 512 MB"):
        mkpn.load_image(huge)
    with pytest.raises(ValueError, match="got a folder or a device"):
        mkpn.load_image(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(ValueError, match=r"pipe\.png: .*got a folder or a device"):
            mkpn.load_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    "data",
    [
        tiff(Image.new("RGB", (64, 64)), dng=(50706, 1)),
        tiff(Image.new("RGB", (64, 64)), thumbnail=(254, 1), pages=(330, 8)),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(99),
        b"FUJIFILMCCD-RAW 0201" + bytes(99),
        b"IIRO\x08\0\0\0" + bytes(99),
    ],
    ids=["dng", "thumbnail first", "cr2", "raf", "orf"],
)
def test_raw_files_are_refused_with_the_reason(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image: expected a developed picture, got a raw file"):
        mkpn.load_image(data)
    (tmp_path / "shot.NEF").write_bytes(save(Image.new("RGB", (64, 64)), "TIFF"))
    with pytest.raises(ValueError, match=r"shot\.NEF: expected a developed picture, got a raw file"):
        mkpn.load_image(tmp_path / "shot.NEF")


def test_a_damaged_second_page_does_not_matter() -> None:
    page = Image.fromarray(np.full((64, 64), 51, np.uint8))
    data = bytearray(save(page, "TIFF", save_all=True, append_images=[page]))
    second = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[second : second + 2])[0]
    following = struct.unpack("<I", data[second + 2 + 12 * count :][:4])[0]
    data[following : following + 2] = b"\0\0"  # a page without any entry
    np.testing.assert_allclose(mkpn.load_image(bytes(data)), 0.2, atol=1e-6)
    assert conversion_notes(bytes(data)) == ["grey, used as three equal channels"]


def test_32_bit_levels_are_scaled_or_refused() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 2**32, (64, 64), dtype=np.uint32)
    signed = Image.fromarray(levels.view(np.int32))
    unsigned = bytearray(save(signed, "TIFF"))
    with pytest.raises(ValueError, match="expected unsigned or floating-point levels, got signed 32-bit ones"):
        mkpn.load_image(bytes(unsigned))
    place = unsigned.index(struct.pack("<HHI", 339, 3, 1))  # SampleFormat: 2 becomes 1
    unsigned[place + 8 : place + 10] = struct.pack("<H", 1)
    expected = np.repeat((levels / (2**32 - 1))[..., None], 3, axis=2)
    np.testing.assert_allclose(mkpn.load_image(bytes(unsigned)), expected, atol=1e-7)
    with pytest.raises(ValueError, match=r"image: expected levels of 0 to 65535, got \d+"):
        mkpn.load_image(signed)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_is_read_rightly_or_refused(planes: str, kind: str, channels: int, order: Any) -> None:
    """16-bit channels in separate planes once came out scrambled, with a mean error of 0.15."""
    tifffile = pytest.importorskip("tifffile")
    truth = 0.5 + 0.5 * np.sin(np.linspace(0, 60, 56 * 72 * channels)).reshape(56, 72, channels)
    scale = 1 if kind == "f4" else np.iinfo(kind).max
    levels = (truth if kind == "f4" else np.round(truth * scale)).astype(kind)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        levels if planes == "contig" else np.ascontiguousarray(levels.transpose(2, 0, 1)),
        photometric="rgb",
        planarconfig=planes,
        byteorder=order,
        extrasamples=("unassalpha",) if channels == 4 else None,
    )
    if kind == "u1" or (kind, planes) == ("u2", "contig"):
        alpha = truth[..., 3:] if channels == 4 else 1
        expected = truth[..., :3] * alpha + 1 - alpha
        np.testing.assert_allclose(mkpn.load_image(stream.getvalue()), expected, atol=2 / 255)
    else:
        with pytest.raises(ValueError, match="image: expected "):
            mkpn.load_image(stream.getvalue())


def test_orientations_that_do_not_exist_are_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    data = save(Image.new("RGB", (64, 50)), "PNG", exif=exif)
    assert mkpn.load_image(data).shape == (50, 64, 3)
    assert conversion_notes(data) == []


def test_a_cut_short_pil_image_and_odd_types_are_value_errors() -> None:
    data = save(Image.effect_noise((200, 200), 50), "PNG")
    with pytest.raises(ValueError, match="image: expected a whole file, got one that is damaged or cut short"):
        mkpn.load_image(Image.open(io.BytesIO(data[: len(data) // 2])))
    with pytest.raises(ValueError, match="image: expected a path, bytes, a PIL image or an array, got list"):
        mkpn.load_image([[0.0]])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="without a mask"):
        mkpn.load_image(np.ma.masked_greater(np.zeros((64, 64), np.uint8), 1))
    with pytest.raises(ValueError, match=r"image: expected floating-point intensities in \[0,1\] .*got 0 to 2"):
        mkpn.load_image(Image.fromarray(np.linspace(0, 2, 64 * 64, dtype=np.float32).reshape(64, 64)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_results_are_arrays_of_their_own(dtype: type) -> None:
    source = np.zeros((64, 64, 3), dtype)
    for image in (source, save(Image.new("L", (64, 64)), "PNG")):
        loaded = mkpn.load_image(image)
        loaded += 1
    assert source.max() == 0


def test_a_name_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    (tmp_path / "a\nb\u202e.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^a\ufffdb\ufffd\.png: expected an image"):
        mkpn.load_image(tmp_path / "a\nb\u202e.png")
    (tmp_path / "upload.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^a\ufffd\ufffdSet-Cookie: x=1\.png: expected an image"):
        upload_source(tmp_path / "upload.png", "a\r\nSet-Cookie: x=1.png", tmp_path)


def test_a_deep_negative_is_refused() -> None:
    """Pillow leaves 16-bit levels whose zero is white as they are, and turns those of 8 bits around."""
    tifffile = pytest.importorskip("tifffile")

    def encoded(level: int, dtype: type[np.uint8] | type[np.uint16]) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, np.full((60, 60), level, dtype), photometric="miniswhite")
        return stream.getvalue()

    with pytest.raises(ValueError, match=r"whose zero is black, got one whose zero is white, of 16 bits$"):
        mkpn.load_image(encoded(1000, np.uint16))
    assert mkpn.load_image(encoded(51, np.uint8)) == pytest.approx(0.8)


def test_a_tiff_that_pillow_cannot_read_is_called_one() -> None:
    """Colour in floating point, which `denoise --format tiff` itself writes."""
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((60, 60, 3), np.float32), photometric="rgb")
    with pytest.raises(ValueError, match="expected a TIFF of 8 or 16 bits, or grey in floating point, got another"):
        mkpn.load_image(stream.getvalue())
    with pytest.raises(ValueError, match=r"expected an image .* got another file"):
        mkpn.load_image(b"no picture at all")


def test_a_picture_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")

    def forbidden(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", forbidden)
    with pytest.raises(ValueError, match=r"^a\.png: expected a file that may be read, got one that may not$"):
        mkpn.load_image(tmp_path / "a.png")
