"""AVIF, HEIC and JPEG XL: read where the extra `formats` is installed, else refused by name."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, features
from test_files import PEAK, SIDE

import mkpn
from mkpn.synthesis.files import MAX_MEGAPIXELS
from mkpn.synthesis.images import conversion_notes
from mkpn.synthesis.modern import Kind, jxl_header, modern_kind, modern_reader
from mkpn.synthesis.writing import icc_profile

KINDS: tuple[Kind, ...] = ("AVIF", "HEIC", "JPEG XL")
HEADS = {
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0",
    "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0",
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
}


def needs(kind: Kind) -> None:
    if modern_reader(kind) is None:
        pytest.skip(f"needs the extra formats, to write and read {kind}")
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()  # so that Pillow can write it


def written(image: Image.Image, kind: Kind, **options: Any) -> bytes:
    """A file of that kind, as near to lossless as its writer can."""
    needs(kind)
    best: dict[str, dict[str, Any]] = {
        "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 8},
        "HEIC": {"quality": -1, "chroma": 444},
        "JPEG XL": {"lossless": True, "effort": 1},
    }
    buffer = io.BytesIO()
    image.save(buffer, {"AVIF": "AVIF", "HEIC": "HEIF", "JPEG XL": "JXL"}[kind], **best[kind] | options)
    assert modern_kind(buffer.getvalue()) == kind
    return buffer.getvalue()


def smooth(height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """A picture that no symmetry leaves as it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 200 * x * y / (width * height)], axis=2).astype(np.uint8)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".heic", ".jpg"])
def test_without_the_extra_the_refusal_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: Kind, suffix: str
) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(features, "check", lambda _: False)
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(HEADS[kind] + bytes(500))
    with pytest.raises(
        ValueError,
        match=rf"^photo{suffix}: expected PNG, .*, got {kind}; to read it: pip install 'mkpn-studio\[formats\]'$",
    ):
        mkpn.load_image(path)


def test_the_brands_decide_where_the_first_one_is_general() -> None:
    assert modern_kind(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf") == "HEIC"
    assert modern_kind(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"
    assert modern_kind(b"\xff\x0a\x5a\x1f") == "JPEG XL"
    assert modern_kind(b"\0\0\0\x1cftypisom\0\0\0\0mif1avifmiaf") is None


@pytest.mark.parametrize(("kind", "error"), [("AVIF", 2), ("HEIC", 3), ("JPEG XL", 0)])
def test_colour_is_read(kind: Kind, error: int) -> None:
    data = written(Image.fromarray(smooth()), kind)
    assert np.abs(mkpn.load_image(data) * 255 - smooth()).max() <= error + 1e-4
    assert conversion_notes(data) == []


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_is_laid_over_white(kind: Kind) -> None:
    rgba = np.dstack([smooth(), np.full((64, 96), 255, np.uint8)])
    rgba[:32, :, 3] = 0
    data = written(Image.fromarray(rgba), kind)
    pixels = mkpn.load_image(data)
    assert pixels[:30].min() > 0.98
    assert np.abs(pixels[34:] * 255 - smooth()[34:]).max() < 5
    assert "transparency is laid over white" in conversion_notes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_colour_profile_is_found(kind: Kind, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "photo.x"
    options = {"use_original_profile": True} if kind == "JPEG XL" else {"icc_profile": profile}
    path.write_bytes(written(Image.fromarray(smooth()), kind, **options))
    found = icc_profile(path, MAX_MEGAPIXELS)
    assert found is not None
    # The writer of JPEG XL takes no profile and describes its own sRGB.
    assert found == profile or kind == "JPEG XL"


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_pictures_are_turned_upright_once(kind: Kind, orientation: int) -> None:
    data = written(Image.fromarray(smooth()), kind, exif=turned(orientation))
    upright = np.rot90(smooth(), {3: 2, 6: -1}[orientation])
    assert np.abs(mkpn.load_image(data) * 255 - upright).max() <= 3


def test_of_a_jpeg_xl_the_streams_orientation_counts(tmp_path: Path) -> None:
    # ISO/IEC 18181-1: EXIF's orientation is ignored.
    assert np.array_equal(
        mkpn.load_image(written(Image.fromarray(smooth()), "JPEG XL", exif=turned(6))) * 255, smooth()
    )
    # A recompressed JPEG comes out as that JPEG, which its EXIF data turn.
    path = tmp_path / "photo.jpg"
    Image.fromarray(smooth()).save(path, exif=turned(6), quality=95, subsampling=0)
    with Image.open(path) as jpeg:
        data = written(jpeg, "JPEG XL", lossless_jpeg=True)
    assert np.array_equal(mkpn.load_image(data), mkpn.load_image(path))
    assert "turned upright as its EXIF data say" in conversion_notes(data)


def test_a_heic_of_10_bits_is_read_at_8_and_says_so() -> None:
    needs("HEIC")
    import pillow_heif

    levels = np.linspace(0, 65535, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint16)
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (96, 64), levels.tobytes()).save(buffer, quality=-1, chroma=444)
    assert np.abs(mkpn.load_image(buffer.getvalue()) - levels / 65535).max() < 4 / 255
    assert conversion_notes(buffer.getvalue()) == ["10 bits per channel, read at 8"]


def test_a_jpeg_xl_keeps_16_bits_of_grey() -> None:
    levels = np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)
    data = written(Image.fromarray(levels), "JPEG XL")
    assert np.array_equal(mkpn.load_image(data)[..., 0], (levels / 65535).astype(np.float32))
    assert conversion_notes(data) == ["16-bit grey, kept at full depth"]


def test_of_a_heic_with_several_pictures_the_main_one_is_used() -> None:
    needs("HEIC")
    import pillow_heif

    file = pillow_heif.from_pillow(Image.new("RGB", (64, 64), (255, 0, 0)))
    file.add_from_pillow(Image.fromarray(smooth()))
    buffer = io.BytesIO()
    file.save(buffer, quality=-1, chroma=444, primary_index=1)
    assert np.abs(mkpn.load_image(buffer.getvalue()) * 255 - smooth()).max() <= 3
    assert conversion_notes(buffer.getvalue()) == ["the main of 2 pictures is used"]


# The first bytes of what `imagecodecs.jpegxl_encode(levels, lossless=True, bitspersample=bits)` writes for 96x64.
@pytest.mark.parametrize(
    ("start", "bits"),
    [
        ("ff0a0f412408040100ca2d002b598991", 8),
        ("ff0a0f5140d12208040100fa76002b59", 10),
        ("ff0a0f6140d1220804010082bc002b59", 12),
    ],
)
def test_a_jpeg_xl_tells_its_size_and_depth(start: str, bits: int) -> None:
    stream = bytes.fromhex(start)
    assert jxl_header(io.BytesIO(stream)) == (96, 64, bits)

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    boxes = HEADS["JPEG XL"] + box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"Exif", bytes(10**4))
    for holder in (box(b"jxlc", stream), box(b"jxlp", b"\0\0\0\0" + stream)):
        assert jxl_header(io.BytesIO(boxes + holder)) == (96, 64, bits)


@pytest.mark.parametrize("size", [(48, 48), (57, 201), (300, 400), (320, 180), (1031, 515)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_is_what_its_reader_says(size: tuple[int, int], container: bool) -> None:
    data = written(Image.new("RGB", size), "JPEG XL", use_container=container)
    assert jxl_header(io.BytesIO(data)) == (*size, 8)


@pytest.mark.parametrize("boxes", [b"", b"\0\0\0\x07free" * 9, b"\0\0\0\x08free" * 99, b"\0\0\0\x01free" + bytes(8)])
def test_a_jpeg_xl_that_hides_its_size_is_refused(boxes: bytes) -> None:
    with pytest.raises(EOFError):
        jxl_header(io.BytesIO(HEADS["JPEG XL"] + boxes))


def test_too_large_is_found_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("JPEG XL")
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    # 1 + 13 bits of width and height: 8000x8000.
    bits = 1 << 1 | 7999 << 3 | 1 << 19 | 7999 << 21
    stream = b"\xff\x0a" + bits.to_bytes(70, "little")
    monkeypatch.setattr(JXLImageFile, "_open", None)
    with pytest.raises(ValueError, match="expected at most 16 megapixels, got 8000x8000 pixels"):
        mkpn.load_image(stream)


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_a_false_size_is_refused(kind: Kind) -> None:
    data = written(Image.fromarray(smooth()), kind)
    at = data.index(b"ispe") + 8
    claims = {side: data[:at] + struct.pack(">II", side, side) + data[at + 8 :] for side in (64, 16000)}
    with pytest.raises(ValueError, match=r"expected at most 16 megapixels, got 16000x16000 pixels|damaged"):
        mkpn.load_image(claims[16000])
    if kind == "AVIF":  # its library scales the picture to the size that the file claims
        assert mkpn.load_image(claims[64]).shape == (64, 64, 3)
    else:
        with pytest.raises(ValueError, match="damaged or cut short"):
            mkpn.load_image(claims[64])


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_one_kind_of_error(kind: Kind) -> None:
    data = written(Image.fromarray(smooth()), kind)
    generator = np.random.default_rng(0)
    for _ in range(30):
        cut = data[: generator.integers(12, len(data) - len(data) // 8)]
        with pytest.raises(ValueError, match=r"^image: expected a whole file"):
            mkpn.load_image(cut)
        changed = bytearray(data)
        changed[generator.integers(12, len(data))] ^= 1 << generator.integers(8)
        # A changed bit may change nothing, or a size that the file claims; all else is one kind of error.
        with contextlib.suppress(ValueError):
            assert mkpn.load_image(bytes(changed)).shape[2] == 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_costs_what_other_formats_cost(tmp_path: Path, kind: Kind) -> None:
    side = SIDE // 2  # the writers are slow
    image = Image.new("RGBA", (side, side), (9, 9, 9))
    options: dict[str, Any] = {"AVIF": {"speed": 10}, "HEIC": {"quality": 20}, "JPEG XL": {}}[kind]
    path = tmp_path / "bomb"
    path.write_bytes(written(image, kind, exif=turned(6), **options))
    assert path.stat().st_size < 2**20
    # The readers' libraries are not the picture's.
    ready = "\nfrom mkpn.synthesis.modern import modern_reader\nmodern_reader(sys.argv[2])\n"
    program = PEAK.replace("\nImage.init()\n", ready + "Image.init()\n")
    run = subprocess.run(
        [sys.executable, "-c", program, str(path), kind],
        capture_output=True,
        text=True,
        cwd=Path(mkpn.__file__).parents[1],
    )
    assert run.stderr == ""
    # 300 MB for the largest picture; 40 MB of threads and strips do not grow with it.
    assert 12 * side**2 / 2**20 < int(run.stdout) < 300 / 4 + 40
