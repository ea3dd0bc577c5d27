"""Drawn scenes from a seed, sharp as no photograph is: text, line art, charts, screenshots, stars, gratings.

Photographs alone do not teach a network what is drawn: hard edges of full contrast, thin lines, even areas. These
scenes are made anew for every sample, by code, so that nobody needs to store or to license them. The same generator
gives the same scene wherever Pillow draws the same letters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mkpn.synthesis.images import to_channels_first, to_intensities

Color = tuple[int, int, int]

_LETTERS = "eeetttaaooiinnsshhrrddlluucmfwygpbvkxqjzABCDEFGHIKLMNOPRSTUVWZ0123456789.,:;-()%"
_DRAWN_LARGER = 2


def drawn_scene(rng: np.random.Generator, height: int, width: int, kind: str | None = None) -> NDArray[np.float32]:
    """Draws a scene.

    Args:
        rng: source of randomness, see `mkpn.synthesis.burst.rng_for`.
        height: H in pixels.
        width: W in pixels.
        kind: one of `KINDS`; one of them at random by default.

    Returns:
        `[3,H,W]` intensities in [0,1], in steps of 1/255 as in a photograph's file.

    Raises:
        ValueError: if the kind is unknown or the scene is empty.

    Example:
        >>> from mkpn.synthesis.burst import rng_for
        >>> drawn_scene(rng_for(0), 64, 96, "text").shape
        (3, 64, 96)
    """
    if kind is not None and kind not in _DRAWINGS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if min(height, width) < 1:
        raise ValueError(f"scene: expected at least one pixel, got {width}x{height}")
    chosen = kind or KINDS[int(rng.integers(len(KINDS)))]
    # Half of the scenes have the smooth edges of a photographed or well-drawn page, half those of a pixel grid.
    factor = int(rng.integers(1, _DRAWN_LARGER, endpoint=True))
    pixels = _DRAWINGS[chosen](rng, height * factor, width * factor, factor)
    small = pixels.reshape(height, factor, width, factor, 3).astype(np.float32).mean((1, 3))
    return to_intensities(to_channels_first(np.round(small).astype(np.uint8)))


def _text(rng: np.random.Generator, height: int, width: int, factor: int) -> NDArray[np.uint8]:
    paper, ink = _two_colors(rng)
    image, draw = _canvas(height, width, paper)
    y = -int(rng.integers(8)) * factor
    while y < height:
        size = int(rng.integers(8, 22, endpoint=True)) * factor
        for _ in range(int(rng.integers(1, 6))):
            _line_of_text(rng, draw, (-int(rng.integers(40)) * factor, y), width, size, ink)
            y += int(1.25 * size)
        y += int(rng.integers(size))
        if rng.random() < 0.3:
            ink = _against(rng, paper)
    return np.asarray(image)


def _line_art(rng: np.random.Generator, height: int, width: int, factor: int) -> NDArray[np.uint8]:
    paper, ink = _two_colors(rng)
    image, draw = _canvas(height, width, paper)
    for _ in range(int(rng.integers(6, 24))):
        thick = int(rng.integers(1, 4)) * factor
        points = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(int(rng.integers(2, 6)))]
        shape = int(rng.integers(4))
        (x0, y0), (x1, y1) = points[:2]
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        if shape == 0:
            draw.line(points, fill=ink, width=thick)
        elif shape == 1:
            draw.ellipse(box, outline=ink, width=thick)
        elif shape == 2:
            draw.polygon(points if len(points) > 2 else [*points, (0, 0)], outline=ink, width=thick)
        else:
            draw.arc(box, int(rng.integers(360)), int(rng.integers(360)), fill=ink, width=thick)
        if rng.random() < 0.2:
            ink = _against(rng, paper)
    return np.asarray(image)


def _chart(rng: np.random.Generator, height: int, width: int, factor: int) -> NDArray[np.uint8]:
    paper, ink = _two_colors(rng)
    image, draw = _canvas(height, width, paper)
    grid = _mixed(paper, ink, 0.25)
    step = int(rng.integers(12, 32)) * factor
    for y in range(int(rng.integers(step)), height, step):
        draw.line([(0, y), (width, y)], fill=grid, width=factor)
        _line_of_text(rng, draw, (2 * factor, y), 5 * step, 9 * factor, ink)
    for _ in range(int(rng.integers(1, 4))):
        color = _against(rng, paper)
        x, pitch = int(rng.integers(step)), int(rng.integers(6, 24)) * factor
        heights = (height * (0.5 + 0.4 * np.cumsum(rng.normal(0, 0.3, width // pitch + 2)))).astype(int).tolist()
        if rng.random() < 0.5:
            for index, top in enumerate(heights):
                left = x + index * pitch
                draw.rectangle((left, min(height - 1, max(0, top)), left + pitch * 2 // 3, height), fill=color)
        else:
            points = [(x + index * pitch, top) for index, top in enumerate(heights)]
            draw.line(points, fill=color, width=int(rng.integers(1, 3)) * factor)
    draw.line([(step, 0), (step, height - step), (width, height - step)], fill=ink, width=factor)
    return np.asarray(image)


def _screenshot(rng: np.random.Generator, height: int, width: int, factor: int) -> NDArray[np.uint8]:
    paper, _ = _two_colors(rng)
    image, draw = _canvas(height, width, paper)
    for _ in range(int(rng.integers(3, 10))):
        w, h = (int(rng.integers(24, 120)) * factor for _ in range(2))
        x, y = int(rng.integers(-20 * factor, width)), int(rng.integers(-20 * factor, height))
        panel, ink = _two_colors(rng)
        draw.rectangle((x, y, x + w, y + h), fill=panel, outline=_mixed(panel, ink, 0.5), width=factor)
        bar = int(rng.integers(8, 16)) * factor
        draw.rectangle((x, y, x + w, y + bar), fill=_mixed(panel, ink, 0.6))
        size = int(rng.integers(8, 13)) * factor
        for top in range(y + bar + 2 * factor, y + h - size, int(1.3 * size)):
            _line_of_text(rng, draw, (x + 3 * factor, top), x + w - 3 * factor, size, ink)
    return np.asarray(image)


def _star(rng: np.random.Generator, height: int, width: int, _: int) -> NDArray[np.uint8]:
    # Between the centre and a ring of some pixels the spokes are too thin for any grid; that is where it gets hard.
    spokes = int(rng.integers(8, 48))
    x0, y0 = rng.uniform(0, width), rng.uniform(0, height)
    y, x = np.mgrid[:height, :width]
    wave = np.sin(spokes * np.arctan2(y - y0, x - x0) + rng.uniform(0, 2 * math.pi))
    return _painted(rng, wave, _sharpness(rng))


def _grating(rng: np.random.Generator, height: int, width: int, factor: int) -> NDArray[np.uint8]:
    period = float(np.exp(rng.uniform(math.log(3), math.log(24)))) * factor
    # Every third one lies along the pixels, as checks on a screen do.
    angle = 0.0 if rng.random() < 1 / 3 else rng.uniform(0, math.pi)
    y, x = np.mgrid[:height, :width]
    along, across = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    wave = np.sin(2 * math.pi * along / period + rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.5:
        wave = wave * np.sin(2 * math.pi * across / period + rng.uniform(0, 2 * math.pi))
    return _painted(rng, wave, _sharpness(rng))


_DRAWINGS: dict[str, Callable[[np.random.Generator, int, int, int], NDArray[np.uint8]]] = {
    "text": _text,
    "line art": _line_art,
    "chart": _chart,
    "screenshot": _screenshot,
    "star": _star,
    "grating": _grating,
}

KINDS = tuple(_DRAWINGS)
"""What is drawn."""


def _canvas(height: int, width: int, paper: Color) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), paper)
    return image, ImageDraw.Draw(image)


def _line_of_text(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, at: tuple[int, int], end: int, size: int, ink: Color
) -> None:
    """Writes words of random letters from a place up to a column."""
    font = _font(size)
    count = max(1, int((end - at[0]) / (0.55 * size)))
    letters = np.array(list(_LETTERS))[rng.integers(len(_LETTERS), size=count)]
    letters[rng.random(count) < 0.17] = " "
    draw.text(at, "".join(letters.tolist()), fill=ink, font=font)


@lru_cache(64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: reading it takes longer than drawing with it."""
    return ImageFont.load_default(size)


def _two_colors(rng: np.random.Generator) -> tuple[Color, Color]:
    """A paper, often white or black, and an ink that can be read on it."""
    if rng.random() < 0.5:
        level = int(rng.integers(200, 256)) if rng.random() < 0.65 else int(rng.integers(0, 56))
        paper = (level, level, level)
    else:
        paper = _any(rng)
    return paper, _against(rng, paper)


def _against(rng: np.random.Generator, paper: Color) -> Color:
    """A color at some distance from another one, often the farthest grey."""
    if rng.random() < 0.5:
        level = int(rng.integers(0, 50)) if sum(paper) > 380 else int(rng.integers(205, 256))
        return (level, level, level)
    color = _any(rng)
    while max(abs(a - b) for a, b in zip(color, paper, strict=True)) < 70:
        color = _any(rng)
    return color


def _any(rng: np.random.Generator) -> Color:
    red, green, blue = (int(value) for value in rng.integers(256, size=3))
    return red, green, blue


def _mixed(a: Color, b: Color, share: float) -> Color:
    red, green, blue = (round(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _sharpness(rng: np.random.Generator) -> float:
    """How steep a wave's flanks are: from a sine to a step."""
    return float(np.exp(rng.uniform(0, 4)))


def _painted(rng: np.random.Generator, wave: NDArray[np.float64], sharpness: float) -> NDArray[np.uint8]:
    """Two colors by a wave in [-1,1] `[H,W]`."""
    paper, ink = (np.array(color, np.float64) for color in _two_colors(rng))
    share = np.clip(0.5 + 0.5 * sharpness * wave, 0, 1)[..., None]
    return np.round(paper + share * (ink - paper)).astype(np.uint8)
