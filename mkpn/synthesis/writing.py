"""Pictures and whole bursts as files: 8-bit PNG, 16-bit PNG, or TIFF with values that are not clipped."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.synthesis.burst import Burst
from mkpn.synthesis.files import opened
from mkpn.synthesis.images import rgb_profile, row_strips, to_channels_last, to_pixels, to_uint8
from mkpn.whole_files import written_whole

FileFormat = Literal["png", "png16", "tiff"]

STORED: dict[FileFormat, str] = {
    "png": "8-bit levels, clipped to [0,1]",
    "png16": "16-bit levels, clipped to [0,1]",
    "tiff": "32-bit floating point, not clipped",
}
"""What the files of each format hold."""


BURST_FACTS = "burst.json"
"""File beside the frames of a burst that was written, with what it was made from."""

RESIDUAL = "residual-"
"""What the name of a residual's figure begins with; the name of the result that it belongs to follows."""


def icc_profile(path: Path, max_megapixels: float) -> bytes | None:
    """Returns the colour profile of a picture's file if it is one for RGB; None if there is no such profile.

    Raises:
        ValueError: as `mkpn.load_image`.
    """
    with opened(path, max_megapixels) as image:
        return rgb_profile(image)


def file_name(name: str, file_format: FileFormat) -> str:
    """Returns the name of a picture's file."""
    return f"{name}.{'tiff' if file_format == 'tiff' else 'png'}"


def write_picture(
    folder: Path, name: str, picture: torch.Tensor, file_format: FileFormat = "png", profile: bytes | None = None
) -> Path:
    """Writes a picture `[C,H,W]` of intensities.

    Args:
        folder: exists.
        name: of the file, without its suffix.
        picture: see `STORED` for what becomes of values beyond [0,1].
        file_format: see `STORED`.
        profile: ICC profile to keep, for RGB.

    Returns:
        The file.
    """
    values = picture.detach().cpu().numpy()
    path = folder / file_name(name, file_format)
    with written_whole(path) as temporary:
        if file_format == "png":
            Image.fromarray(to_uint8(values)).save(temporary, "PNG", icc_profile=profile)
        elif file_format == "png16":
            temporary.write_bytes(_png16(to_pixels(values, np.uint16), profile))
        else:
            import tifffile  # here, because most pictures are PNG

            # Not into the file itself: NumPy's error for a full disk names neither reason nor file.
            tiff = io.BytesIO()
            tifffile.imwrite(tiff, to_channels_last(values), photometric="rgb", iccprofile=profile)
            temporary.write_bytes(tiff.getbuffer())
    return path


def burst_names(frames: int, file_format: FileFormat) -> list[str]:
    """Returns the names of the files that `write_burst` writes."""
    pictures = [*(f"frame-{index}" for index in range(frames)), "clean"]
    return [*(file_name(picture, file_format) for picture in pictures), BURST_FACTS]


def write_burst(
    folder: Path,
    burst: Burst,
    parameters: Mapping[str, Any],
    file_format: FileFormat = "png",
    profile: bytes | None = None,
) -> None:
    """Writes a synthetic burst: `frame-0` to the last frame, `clean`, and `burst.json` with what it was made from.

    Args:
        folder: made if it does not exist.
        burst: what is written.
        parameters: JSON values that are not in the burst, e.g. its seed.
        file_format: see `STORED`.
        profile: ICC profile to keep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(burst.frames):
        write_picture(folder, f"frame-{index}", frame, file_format, profile)
    write_picture(folder, "clean", burst.clean, file_format, profile)
    facts: dict[str, Any] = {
        **parameters,
        "sigma_r": burst.noise.sigma_r,
        "sigma_s": burst.noise.sigma_s,
        "offsets": burst.offsets.tolist(),
        "shape": list(burst.frames.shape),
        "stored": STORED[file_format],
    }
    with written_whole(folder / BURST_FACTS) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _png16(levels: NDArray[np.uint16], profile: bytes | None) -> bytes:
    """A PNG of 16 bits per channel (ISO/IEC 15948), which Pillow cannot write, of `[H,W,3]`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = levels.shape[:2]
    packer, data = zlib.compressobj(), bytearray()
    above = np.zeros((1, 2 * width * levels.shape[2]), np.uint8)
    for part in row_strips(height, width):
        rows = np.frombuffer(levels[part].astype(">u2").tobytes(), np.uint8).reshape(part.stop - part.start, -1)
        # Every row begins with its filter: 2, the difference to the row above, byte by byte.
        filtered = np.full((len(rows), 1 + rows.shape[1]), 2, np.uint8)
        filtered[:, 1:] = np.diff(rows, axis=0, prepend=above)
        data += packer.compress(filtered.tobytes())
        above = rows[-1:]
    data += packer.flush()
    colors = {1: 0, 3: 2}[levels.shape[2]]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colors, 0, 0, 0)),
            b"" if profile is None else chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)),
            chunk(b"IDAT", bytes(data)),
            chunk(b"IEND", b""),
        )
    )
