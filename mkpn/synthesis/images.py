"""Safe decoding of anything a user brings, box-downsampling, and the bundled example images."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.checks import whole
from mkpn.synthesis.files import MAX_MEGAPIXELS, OWN_MEGAPIXELS, Refused, check_size, count_frames, opened
from mkpn.synthesis.modern import to_first_frame, upright_already

MIN_SIDE = 48

ImageSource = str | Path | bytes | Image.Image | NDArray[Any]

_ORIENTATION = 0x0112
_STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""By EXIF's orientation the view `[h,w,C]` of an upright picture `[H,W,C]` that has the file's order of pixels.

1 is upright, others mean nothing.
"""
_TURNED = (5, 6, 7, 8)  # height and width change places
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""By the raw mode of grey in a PNG the 8-bit levels from one of its levels to the next."""
_STRIP = 2**18  # pixels that are converted at a time
_ROUNDING = 1e-6  # by which means of intensities, or a change of their type, may exceed them; clipped


@dataclass(frozen=True)
class Example:
    """A bundled image: its name, the function's name in `skimage.data`, and its source and terms."""

    name: str
    loader: str
    credit: str


EXAMPLES: tuple[Example, ...] = (
    Example("Chelsea the cat", "chelsea", "Stéfan van der Walt, CC0"),
    Example("Coffee cup", "coffee", "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0"),
    Example("Astronaut Eileen Collins", "astronaut", "NASA Great Images, public domain"),
    Example("Rocket launch", "rocket", "SpaceX, DSCOVR on Falcon 9, public domain"),
    Example("Hubble eXtreme Deep Field", "hubble_deep_field", "NASA / HubbleSite, public domain"),
    Example("Retina", "retina", "Mikael Häggström, CC0"),
    Example("Cameraman (grey)", "camera", "Lav Varshney, CC0"),
    Example("Brick wall (grey)", "brick", "CC0Textures, Bricks25, CC0"),
    Example("Grass (grey)", "grass", "linolafett on DeviantArt, CC0"),
    Example("Gravel (grey)", "gravel", "CC0Textures, Gravel04, CC0"),
    Example("Wall clock (grey)", "clock", "Stéfan van der Walt, public domain"),
    Example("Printed letters (grey)", "text", "Wikipedia, no known copyright restrictions, public domain"),
)
"""Pictures that ship inside scikit-image's wheel and so need no network; terms as their docstrings state them.

Left out: motorcycle, moon, page and colorwheel, whose docstrings name no licence, and coins, whose names no author.
"""


def example_image(name: str) -> NDArray[np.uint8]:
    """Returns a bundled image `[H,W,3]` by its name in `EXAMPLES`.

    Raises:
        ValueError: if there is no such example.
    """
    for example in EXAMPLES:
        if example.name == name:
            from skimage import data  # here, because most callers bring their own images

            pixels = np.asarray(getattr(data, example.loader)())
            return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
    raise ValueError(f"example: expected one of {', '.join(e.name for e in EXAMPLES)}, got {name!r}")


def load_image(
    source: ImageSource, min_side: int = MIN_SIDE, max_megapixels: float = MAX_MEGAPIXELS
) -> NDArray[np.float32]:
    """Decodes an image to intensities.

    Greyscale, palette, RGBA (over white), CMYK, 1-bit and 16-bit images are converted, EXIF rotation is applied,
    and of an animation the first frame is taken. Intensities stay as stored; nothing is linearised.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array `[H,W]`, `[H,W,1]`, `[H,W,3]` or `[H,W,4]`:
            unsigned integers over their whole range, or floating point in [0,1].
        min_side: smallest side that is accepted, in pixels.
        max_megapixels: largest picture that is accepted from a file; one of 16 costs up to 260 MB while it is read.

    Returns:
        `[H,W,3]` float32 in [0,1], an array of its own that may be written to.

    Raises:
        ValueError: `NAME: expected ..., got ...`, if it is no image, damaged, a raw file, smaller than `min_side` or
            over `max_megapixels` (found before decoding).
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, min_side)
    if not isinstance(source, str | Path | bytes | Image.Image):  # pyright: ignore[reportUnnecessaryIsInstance] - users
        raise ValueError(f"image: expected a path, bytes, a PIL image or an array, got {type(source).__name__}")
    with _decoded(source, min_side, max_megapixels) as image:
        return _intensities(image)


@dataclass(frozen=True)
class Photograph:
    """A file's picture.

    Attributes:
        pixels: `[H,W,3]` intensities, as `load_image`.
        profile: its ICC profile if that is one for RGB.
    """

    pixels: NDArray[np.float32]
    profile: bytes | None


def load_photograph(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photograph:
    """Reads pixels and colour profile of a file at once.

    Raises:
        ValueError: as `load_image`.
    """
    with _decoded(path, MIN_SIDE, max_megapixels) as image:
        return Photograph(_intensities(image), rgb_profile(image))


def rgb_profile(picture: Image.Image) -> bytes | None:
    """Returns a picture's ICC profile; one for CMYK or grey is left out, because what is written is RGB."""
    profile = picture.info.get("icc_profile")
    # ICC.1:2022, 7.2: bytes 16 to 19 of the header name the colour space.
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def conversion_notes(source: str | Path | bytes, max_megapixels: float = MAX_MEGAPIXELS) -> list[str]:
    """Tells what `load_image` changes in a file: one phrase per change, none for plain RGB.

    Raises:
        ValueError: if it is no image, damaged, a raw file or over `max_megapixels`.
    """
    notes: list[str] = []
    with opened(source, max_megapixels) as image:
        # Asked before anything else, because looking for EXIF data may decode the image and forget its raw mode.
        raw_modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
        # A colour PPM file says there how bright white is.
        white = max((tile[3][1] for tile in getattr(image, "tile", ()) if isinstance(tile[3], tuple)), default=255)
        frames = count_frames(image, source)
        if frames != 1:
            heic = image.format == "HEIF"
            notes.append(
                f"the {'main' if heic else 'first'} of {frames or 'several'} {'pictures' if heic else 'frames'} is used"
            )
        if _orientation(image) in _STORED:
            notes.append("turned upright as its EXIF data say")
        if image.mode == "I" and image.format == "TIFF":
            notes.append("32-bit grey, kept at full depth")
        elif image.mode in _SIXTEEN_BIT:
            notes.append("16-bit grey, kept at full depth")
        elif (bits := image.info.get("bit_depth")) and bits > 8 and image.mode != "F":
            notes.append(f"{bits} bits per channel, read at 8")
        elif any("16" in raw for raw in raw_modes) or (image.format == "PPM" and white > 255):
            notes.append("16-bit colour, read at 8 bits per channel")
        if image.mode in ("1", "L", "LA", "La", "F"):
            notes.append("grey, used as three equal channels")
        if image.mode in ("CMYK", "LAB", "HSV"):
            notes.append(f"{image.mode}, converted to RGB without a colour profile")
        if image.has_transparency_data:
            notes.append("transparency is laid over white")
    return notes


def box_downsample(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Returns the means of `factor x factor` boxes of `[H,W,C]`; a remainder at the right and bottom is dropped.

    By 1 it is the very array that was given.

    Raises:
        ValueError: if the factor is below 1 or above a side.
    """
    whole("downsample", factor, 1)
    if factor == 1:
        return image
    if factor > (shortest := min(image.shape[:2])):
        raise ValueError(f"downsample: expected 1 to {shortest}, got {factor}")
    height, width = image.shape[0] // factor, image.shape[1] // factor
    cropped = image[: height * factor, : width * factor]
    return cropped.reshape(height, factor, width, factor, -1).mean(axis=(1, 3), dtype=np.float32)


def channels_first(image: NDArray[Any]) -> NDArray[Any]:
    """Returns a view `[C,H,W]` of `[H,W,C]`: files and screens have the channels last, networks first."""
    return image.transpose(2, 0, 1)


def to_channels_first(image: NDArray[Any]) -> NDArray[Any]:
    """Returns `[H,W,C]` as a contiguous `[C,H,W]` array of the same type."""
    return np.ascontiguousarray(channels_first(image))


def to_channels_last(image: NDArray[Any]) -> NDArray[Any]:
    """Returns `[C,H,W]` as a contiguous `[H,W,C]` array of the same type."""
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def to_levels(intensities: NDArray[Any], dtype: type[np.uint8] | type[np.uint16] = np.uint8) -> NDArray[Any]:
    """Returns intensities of any shape as unsigned integers over their whole range: clipped to [0,1] and rounded.

    Raises:
        ValueError: if a value is not a number or infinite.
    """
    if not np.isfinite(intensities).all():
        raise ValueError("image: expected finite intensities, got NaN or infinity")
    return np.rint(intensities.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def to_uint8(image: torch.Tensor | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns the 8-bit pixels `[H,W,C]` that are shown for intensities `[C,H,W]`: clipped to [0,1] and rounded.

    Raises:
        ValueError: if a value is not a number or infinite.
    """
    return to_pixels(image, np.uint8)


def to_pixels(image: torch.Tensor | NDArray[np.float32], dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """Returns `to_levels` of intensities `[C,H,W]` as pixels `[H,W,C]`; errors as there."""
    values = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else image
    channels, height, width = values.shape
    pixels = np.empty((height, width, channels), dtype)
    # In strips, as in `load_image`.
    for rows in row_strips(height, width):
        pixels[rows] = to_levels(values[:, rows], dtype).transpose(1, 2, 0)
    return pixels


def row_strips(height: int, width: int) -> list[slice]:
    """Cuts rows into strips of about 260,000 pixels, so that what is computed in between stays small.

    Args:
        height: of the image.
        width: of the image.

    Returns:
        All rows once, from top to bottom, in strips of equal height give or take one row.
    """
    count = max(1, min(-(-height * width // _STRIP), height))
    edges = [height * index // count for index in range(count + 1)]
    return [slice(top, bottom) for top, bottom in pairwise(edges)]


def to_intensities(
    array: NDArray[Any],
    low: float = 0,
    high: float = 1,
    dtype: type[np.floating[Any]] = np.float32,
    name: str = "image",
) -> NDArray[Any]:
    """Returns levels of any shape as floating-point intensities.

    Args:
        array: unsigned integers or truth values, which stand for [0,1] over their whole range, or floating point.
        low: smallest floating-point value that has a meaning.
        high: greatest one.
        dtype: of the result.
        name: of the field, for messages.

    Raises:
        ValueError: if the array is masked, of another type, not finite, or beyond `low` or `high`.
    """
    check_intensities(array, low, high, name)
    values = _converted(array, dtype)
    return np.clip(values, low, high, out=values) if array.dtype.kind == "f" else values


def check_intensities(array: NDArray[Any], low: float = 0, high: float = 1, name: str = "image") -> None:
    """Raises what `to_intensities` would, without converting anything."""
    try:
        _check_levels(array, low, high)
    except Refused as error:
        raise ValueError(f"{name}: {error}") from error


def _check_levels(array: NDArray[Any], low: float, high: float) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise Refused("expected an array without a mask, got a masked one; fill it first")
    if array.dtype.kind == "f" and array.size:
        smallest, greatest = float(array.min()), float(array.max())
        if not (low - _ROUNDING <= smallest and greatest <= high + _ROUNDING):  # NaN compares as false
            raise Refused(
                f"expected floating-point intensities in [{low:g},{high:g}] without NaN, "
                f"got {smallest:.7g} to {greatest:.7g}"
            )
    elif array.dtype.kind not in "bfu":
        raise Refused(f"expected unsigned integers or floating point, got {array.dtype}")


def _converted(array: NDArray[Any], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    values = array.astype(dtype)
    if array.dtype.kind == "u":
        values /= dtype(np.iinfo(array.dtype).max)
    return values


@contextmanager
def _decoded(source: str | Path | bytes | Image.Image, min_side: int, max_megapixels: float) -> Generator[Image.Image]:
    """Decodes a file's first frame; whatever goes wrong until the end of the block is a ValueError that names it."""
    with opened(source, max_megapixels) as image:
        _check_side(image.width, image.height, min_side)
        to_first_frame(image)
        _scale_transparency(image)
        image.load()
        # Readers of WebP and AVIF keep up to three copies of all pixels, of which a picture in use needs none.
        if image is not source and hasattr(image, "_decoder"):
            vars(image).update(_decoder=None, fp=None)
        yield image


def _scale_transparency(image: Image.Image) -> None:
    """Brings a PNG's transparent level to the 8 bits of the pixels, because Pillow leaves it as it is in the file.

    To be called before decoding, after which the raw mode is gone.
    """
    level = image.info.get("transparency")
    tiles = getattr(image, "tile", ())
    if image.format != "PNG" or level is None or not tiles:
        return
    raw_mode = tiles[0][3]
    if raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in level)
    elif raw_mode in _GREY_STEPS:
        image.info["transparency"] = level * _GREY_STEPS[raw_mode]


def _intensities(image: Image.Image) -> NDArray[np.float32]:
    deepest = 2**32 - 1 if image.format == "TIFF" and image.mode == "I" else 2**16 - 1
    orientation = _orientation(image)
    width, height = image.size[::-1] if orientation in _TURNED else image.size
    result = np.empty((height, width, 3), np.float32)
    stored = _STORED[orientation](result) if orientation in _STORED else result
    # In strips, so that beside picture and result nothing large is in memory.
    for rows in row_strips(image.height, image.width):
        stored[rows] = _strip_intensities(image.crop((0, rows.start, image.width, rows.stop)), deepest)
    return result


def _orientation(image: Image.Image) -> int:
    if upright_already(image):
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def _check_side(width: int, height: int, min_side: int) -> None:
    if min(width, height) < min_side:
        raise Refused(f"expected an image of at least {min_side}x{min_side} pixels, got {width}x{height}")


def _strip_intensities(strip: Image.Image, deepest: int) -> NDArray[np.float32]:
    """Converts some rows of a picture to `[h,w,1]` or `[h,w,3]`."""
    if strip.mode in _SIXTEEN_BIT:
        # Pillow's own conversion of 16-bit grey to 8 bits clips instead of scaling. It keeps 32 bits as signed ones.
        levels = np.asarray(strip)
        levels = levels.view(np.uint32) if levels.dtype == np.int32 else levels
        if levels.max(initial=0) > deepest:
            raise Refused(f"expected levels of 0 to {deepest}, got {levels.max()}; convert the image to 8 or 16 bits")
        values = (levels[..., None] / np.float64(deepest)).astype(np.float32)
        if "transparency" in strip.info:
            values[levels == strip.info["transparency"]] = 1
        return values
    if strip.mode == "F":
        levels = np.asarray(strip)
        _check_levels(levels, 0, 1)
        return levels.clip(0, 1).astype(np.float32)[..., None]
    if strip.has_transparency_data:
        # Pillow knows no way from La to RGBA.
        straight = strip.convert("LA") if strip.mode == "La" else strip
        return _over_white(to_intensities(np.asarray(straight.convert("RGBA"))))
    return to_intensities(np.asarray(strip.convert("RGB")))


def _over_white(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lays `[H,W,4]` over white."""
    alpha = values[..., 3:]
    return values[..., :3] * alpha + (1 - alpha)


def _from_array(pixels: NDArray[Any], min_side: int) -> NDArray[np.float32]:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"image: expected an array [H,W], [H,W,1], [H,W,3] or [H,W,4], got {pixels.dtype} {list(pixels.shape)}"
        )
    try:
        _check_side(pixels.shape[1], pixels.shape[0], min_side)
        check_size(pixels.shape[1], pixels.shape[0], OWN_MEGAPIXELS)
    except Refused as error:
        raise ValueError(f"image: {error}") from error
    values = to_intensities(pixels).reshape(*pixels.shape[:2], -1)
    if values.shape[2] == 4:
        return _over_white(values)
    return values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)
