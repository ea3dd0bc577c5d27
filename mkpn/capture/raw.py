"""Raw files become linear intensities whose noise still is that of Eq. 7.

LibRaw (rawpy) decodes them. Each 2x2 block of a Bayer sensor then becomes one pixel: its red, the mean of its two
greens, its blue. Demosaicing would interpolate, so that the noise of neighbours would be mixed; here it stays
independent, and the variance of each channel stays `a + b * intensity`. LibRaw's own development is not used, because
it clips at the black level: the noise of dark places would lose its negative half.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mkpn.synthesis.files import MAX_FILE_BYTES, RAW_SUFFIXES, Refused, check_size, named
from mkpn.synthesis.noise import Noise

NOISE_PROFILE = 51041
"""DNG 1.3 and later: for each colour plane S and O; the variance of a value x in [0,1] is `S * x + O`."""

XYZ_FROM_SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""IEC 61966-2-1, for its white D65."""

_SINGULAR = 1e-6


@dataclass(frozen=True, kw_only=True)
class RawFrame:
    """A raw file as linear light.

    Attributes:
        pixels: `[H,W,3]` float32 in the camera's colours, white-balanced; 0 is black, and a white that clips has 1 or
            more in every channel. Not clipped, so that noise about black keeps its negative half.
        noise: of each channel, from the file's NoiseProfile; None where it has none.
        white: the value `[3]` at which each channel clips.
        matrix: `[3,3]`, from the camera's colours to linear sRGB.
    """

    pixels: NDArray[np.float32]
    noise: tuple[Noise, ...] | None
    white: tuple[float, ...]
    matrix: NDArray[np.float32]


def is_raw(path: str | Path) -> bool:
    """Tells by the file's suffix whether it is a raw file."""
    return Path(path).suffix.lower() in RAW_SUFFIXES


def read_raw(path: str | Path, max_megapixels: float, white: tuple[float, ...] | None = None) -> RawFrame:
    """Decodes a Bayer or linear raw file.

    Args:
        path: a DNG, or another raw file that LibRaw knows.
        max_megapixels: the largest sensor that is accepted.
        white: of another file (`RawFrame.white`), whose white balance is then used; the file's own by default.

    Raises:
        ValueError: `NAME: expected ..., got ...`, if it is damaged, too large or of another kind of sensor, or if the
            extra `raw` is not installed.
    """
    rawpy = _rawpy(path)
    with named(path):
        file = Path(path)
        if not file.is_file():
            raise Refused("expected a raw file, got no file of this name")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Refused(f"expected a file of at most {MAX_FILE_BYTES // 2**20} MB, got more")
        with rawpy.imread(str(file)) as raw:
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_megapixels)
            pixels, greens = _planes(raw)
            balance = np.array(raw.camera_whitebalance[:3] if white is None else white, np.float32)
            # Files without a white balance hold zeros.
            balance = balance / balance.min() if balance.min() > 0 else np.ones(3, np.float32)
            matrix = _to_srgb(raw)
            flip = raw.sizes.flip
        profile = _noise_profile(file)
    noise = None
    if profile is not None:
        # A gain g makes b * intensity of S * x, with b = g * S, and g^2 * O of O. The mean of two greens halves both.
        share = np.array([1.0, 1.0 / greens, 1.0])
        slopes, offsets = profile[:, 0] * balance * share, profile[:, 1] * balance**2 * share
        with named(path):
            noise = tuple(
                Noise(float(np.sqrt(offset)), float(slope)) for slope, offset in zip(slopes, offsets, strict=True)
            )
    return RawFrame(
        pixels=np.ascontiguousarray(_upright(pixels * balance, flip)),
        noise=noise,
        white=tuple(map(float, balance)),
        matrix=matrix,
    )


def _upright(pixels: NDArray[np.float32], flip: int) -> NDArray[np.float32]:
    """Turns `[H,W,C]` as the bits of LibRaw's `flip` say: 2 and 1 mirror rows and columns, 4 swaps them afterwards."""
    pixels = pixels[::-1] if flip & 2 else pixels
    pixels = pixels[:, ::-1] if flip & 1 else pixels
    return pixels.swapaxes(0, 1) if flip & 4 else pixels


def _to_srgb(raw: Any) -> NDArray[np.float32]:
    """The matrix `[3,3]` from the camera's white-balanced colours to linear sRGB; the identity where none is known.

    For many cameras LibRaw has no such matrix, but the one from XYZ to the camera; its rows are scaled so that white
    stays white, as in LibRaw's own `cam_xyz_coeff`.
    """
    matrix = np.array(raw.color_matrix, np.float64)[:3, :3]
    if not np.isfinite(matrix).all() or not matrix.any():
        to_camera = np.array(raw.rgb_xyz_matrix, np.float64)[:3] @ XYZ_FROM_SRGB
        if not np.isfinite(to_camera).all() or abs(np.linalg.det(to_camera)) < _SINGULAR:
            return np.eye(3, dtype=np.float32)
        matrix = np.linalg.inv(to_camera / to_camera.sum(1, keepdims=True))
    return matrix.astype(np.float32)


def _planes(raw: Any) -> tuple[NDArray[np.float32], int]:
    """Linear values `[H,W,3]` between black and white, and how many samples each green is the mean of."""
    values = raw.raw_image_visible.astype(np.float32)
    black = np.array(raw.black_level_per_channel, np.float32)
    names = raw.color_desc.decode()
    if values.ndim == 3 and names.startswith("RGB"):
        return _between(values[..., :3], black[:3], raw.white_level), 1
    if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2) or values.ndim != 2:
        raise Refused("expected a Bayer sensor (2x2 pattern of red, green, blue) or linear RGB, got another sensor")
    height, width = (side // 2 * 2 for side in values.shape)
    found: dict[str, list[NDArray[np.float32]]] = {"R": [], "G": [], "B": []}
    for row in (0, 1):
        for column in (0, 1):
            index = int(raw.raw_colors_visible[row, column])
            if names[index] not in found:
                raise Refused(f"expected a sensor of red, green and blue, got {names}")
            samples = values[row:height:2, column:width:2]
            found[names[index]].append(_between(samples, black[index], raw.white_level))
    return np.stack([np.mean(found[name], axis=0) for name in "RGB"], axis=2), len(found["G"])


def _between(values: NDArray[np.float32], black: Any, white: float) -> NDArray[np.float32]:
    if not np.all(white > black):
        raise Refused(f"expected a white level above the black level, got {white} and {black}")
    return ((values - black) / (white - black)).astype(np.float32)


def _noise_profile(path: Path) -> NDArray[np.float64] | None:
    """(S, O) of red, green and blue `[3,2]`; None where the file has no profile that can be used."""
    tifffile: Any = importlib.import_module("tifffile")  # here, because most photographs are no raw files
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for top in file.pages for page in (*(top.pages or ()), top)]
            tags = [page.tags[NOISE_PROFILE].value for page in pages if NOISE_PROFILE in page.tags]
    # Other makers' raw files: LibRaw reads them, and none of them has the tag. Whatever else tifffile stumbles over,
    # TiffFileError, KeyError, struct.error, ...: the profile is optional.
    except Exception:
        return None
    if not tags:
        return None
    profile = np.array(tags[0], np.float64).reshape(-1, 2)
    if len(profile) not in (1, 3) or not np.isfinite(profile).all() or (profile < 0).any():
        return None
    return np.broadcast_to(profile, (3, 2))


def _rawpy(path: str | Path) -> Any:
    try:
        return importlib.import_module("rawpy")
    except ImportError as error:
        raise ValueError(
            f'{Path(path).name}: expected rawpy to read raw files, got none; pip install "mkpn-studio[raw]"'
        ) from error
