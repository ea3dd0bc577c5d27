"""Safe decoding of anything a user brings, box-downsampling, and the bundled example images."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MIN_SIDE = 48
MAX_MEGAPIXELS = 50

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
"""What Pillow may decode: photographs only, none of its document formats that run other programs."""

ImageSource = str | Path | bytes | Image.Image | NDArray[Any]


_ORIENTATION = 0x0112
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")


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


def load_image(source: ImageSource, min_side: int = MIN_SIDE) -> NDArray[np.float32]:
    """Decodes an image to intensities.

    Greyscale, palette, RGBA (over white), CMYK, 1-bit and 16-bit images are converted, EXIF rotation is applied,
    and of an animation the first frame is taken. Intensities stay as stored; nothing is linearised.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array `[H,W]`, `[H,W,1]`, `[H,W,3]` or `[H,W,4]`:
            unsigned integers over their whole range, or floating point in [0,1].
        min_side: smallest side that is accepted, in pixels.

    Returns:
        `[H,W,3]` float32 in [0,1].

    Raises:
        ValueError: if it is no image, damaged, smaller than `min_side` or over 50 megapixels (found before decoding).
    """
    if isinstance(source, np.ndarray):
        _check_size(source.shape[1] if source.ndim > 1 else 0, source.shape[0] if source.ndim else 0, min_side)
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, min_side)
    with _opened(source) as image:
        return _decode(image, min_side)


def conversion_notes(source: str | Path | bytes) -> list[str]:
    """Tells what `load_image` changes in a file: one phrase per change, none for plain RGB.

    Raises:
        ValueError: if it is no image, damaged or over 50 megapixels.
    """
    notes: list[str] = []
    with _opened(source) as image:
        _check_size(image.width, image.height, min_side=1)
        # Asked before anything else, because looking for EXIF data may decode the image and forget its raw mode.
        raw_modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            notes.append(f"the first of {frames} frames is used")
        if image.getexif().get(_ORIENTATION, 1) != 1:
            notes.append("turned upright as its EXIF data say")
        if image.mode in _SIXTEEN_BIT:
            notes.append("16-bit grey, kept at full depth")
        elif any("16" in raw for raw in raw_modes):
            notes.append("16-bit colour, read at 8 bits per channel")
        if image.mode in ("1", "L", "LA", "La", "F"):
            notes.append("grey, used as three equal channels")
        if image.mode == "CMYK":
            notes.append("CMYK, converted to RGB without a colour profile")
        if image.mode in _TRANSPARENT or "transparency" in image.info:
            notes.append("transparency is laid over white")
    return notes


def box_downsample(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Returns the means of `factor x factor` boxes of `[H,W,C]`; a remainder at the right and bottom is dropped."""
    if factor < 1:
        raise ValueError(f"downsample: expected a factor of 1 or more, got {factor}")
    height, width = image.shape[0] // factor, image.shape[1] // factor
    cropped = image[: height * factor, : width * factor]
    return cropped.reshape(height, factor, width, factor, -1).mean(axis=(1, 3), dtype=np.float32)


@contextmanager
def _opened(source: str | Path | bytes) -> Generator[Image.Image]:
    """Opens a file by its header; whatever goes wrong now or while its pixels are decoded is a ValueError."""
    name = "this data" if isinstance(source, bytes) else Path(source).name
    try:
        # Our own limit is checked before any pixel is decoded; Pillow's warning at half of its limit would be noise.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                yield image
    except UnidentifiedImageError as error:
        raise ValueError(f"expected an image (PNG, JPEG, WebP, TIFF, GIF or BMP), got {name}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"expected at most {MAX_MEGAPIXELS} megapixels, got far more in {name}") from error
    except FileNotFoundError as error:
        raise ValueError(f"expected an image file, but {name} does not exist") from error
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, OverflowError) as error:
        raise ValueError(f"{name} is damaged or cut short: {error}") from error


def _check_size(width: int, height: int, min_side: int) -> None:
    if min(width, height) < min_side:
        raise ValueError(f"expected an image of at least {min_side}x{min_side} pixels, got {width}x{height}")
    if width * height > MAX_MEGAPIXELS * 10**6:
        raise ValueError(f"expected at most {MAX_MEGAPIXELS} megapixels, got {width}x{height}")


def _decode(image: Image.Image, min_side: int) -> NDArray[np.float32]:
    _check_size(image.width, image.height, min_side)
    image.seek(0)
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _SIXTEEN_BIT:
        # Pillow's own conversion of 16-bit grey to 8 bits clips instead of scaling.
        return _from_array(np.asarray(upright).clip(0, 65535).astype(np.uint16))
    if upright.mode == "F":
        return _from_array(np.asarray(upright))
    if upright.mode in _TRANSPARENT or "transparency" in upright.info:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return _from_array(np.asarray(upright.convert("RGB")))


def _from_array(pixels: NDArray[Any]) -> NDArray[np.float32]:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ValueError(f"expected an array [H,W], [H,W,1], [H,W,3] or [H,W,4], got {list(pixels.shape)}")
    if pixels.dtype.kind == "b":
        values = pixels.astype(np.float32)
    elif pixels.dtype.kind == "u":
        values = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    elif pixels.dtype.kind == "f":
        values = pixels.astype(np.float32)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError("expected floating-point intensities in [0,1] without NaN")
    else:
        raise ValueError(f"expected unsigned integers or floating point, got {pixels.dtype}")
    if values.shape[2] == 4:
        alpha = values[..., 3:]
        values = values[..., :3] * alpha + (1 - alpha)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
