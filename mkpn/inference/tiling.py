"""Which part of the input a part of the output depends on, and how an image is cut so that memory stays bounded.

Everything here is integer arithmetic on spans of rows or columns; both axes of the network (Fig. 1) behave alike.
`cells` are counted at half resolution, `pixels` at full resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mkpn.geometry import Rectangle, Span, clamp, grow
from mkpn.model.config import DEPTH_MULTIPLE

_CELL = 2  # pixels of a half-resolution cell, per axis


def cells_read(pixels: Rectangle, limit: Rectangle) -> Rectangle:
    """The half-resolution cells, within `limit`, that bilinear x2 up-sampling reads for a rectangle of pixels."""
    return Rectangle.of(
        clamp(upsampled_from(pixels.rows), limit.rows), clamp(upsampled_from(pixels.columns), limit.columns)
    )


def upsampled_from(span: Span) -> Span:
    """What bilinear x2 up-sampling (`align_corners=False`) reads, at half the resolution."""
    return (span[0] - 1) // 2, span[1] // 2 + 1


def receptive_span(cells: Span) -> Span:
    """Pixels of the input that the network's features in `cells` depend on, borders of the image left aside.

    Follows Fig. 1 backwards: two convolutions of the head, two decoder blocks and five encoder blocks of three
    convolutions each, three bilinear up-samplings, four average poolings.
    """
    skip1 = grow(cells, 2)
    skip2 = grow(upsampled_from(skip1), 3)
    skip3 = grow(upsampled_from(skip2), 3)
    span = grow(upsampled_from(skip3), 3)
    for skip in (skip3, skip2, skip1):
        pooled = _times(span, 2)
        span = grow((min(pooled[0], skip[0]), max(pooled[1], skip[1])), 3)
    return grow(_times(span, 2), 3)


def source_span(pixels: Span, size: int) -> Span:
    """Rows of the padded image that must be seen to denoise the rows `pixels` exactly, on the grid of 16.

    Args:
        pixels: rows of the padded image.
        size: how many there are, a multiple of 16.
    """
    # One convolution more than the features: the last one, which makes coefficients of them.
    first, end = receptive_span(grow(upsampled_from(pixels), 1))
    return clamp((first // DEPTH_MULTIPLE * DEPTH_MULTIPLE, -(-end // DEPTH_MULTIPLE) * DEPTH_MULTIPLE), (0, size))


def cut(rectangle: Rectangle, area: int) -> list[Rectangle]:
    """Cuts a rectangle into near-square blocks of at most about `area`, at even rows and columns."""
    if rectangle.area <= area:
        return [rectangle]
    side = max(_CELL, math.isqrt(area) // _CELL * _CELL)
    across = max(1, round(rectangle.w / (1.5 * side)))
    columns = _pieces(rectangle.columns, across)
    widest = max(last - first for first, last in columns)
    rows_each = max(_CELL, area // widest)
    rows = _pieces(rectangle.rows, -(-rectangle.h // rows_each))
    return [Rectangle.of(row, column) for row in rows for column in columns]


def plan_tiles(height: int, width: int, area: int) -> list[tuple[Rectangle, Rectangle]]:
    """Cuts a padded image into tiles whose sources have at most `area` pixels, with the least overlap.

    Of equal cuts, the most even one. Wide strips, which overlap on two sides only, mostly win where they fit.

    Args:
        height: a multiple of 16.
        width: a multiple of 16.
        area: pixels that the trunk of the network may see at once.

    Returns:
        Pairs of the pixels a tile is responsible for and of its source, see `source_span`.

    Raises:
        ValueError: if not even the smallest tile fits.
    """
    rows, columns = _axis_plans(height), _axis_plans(width)
    fitting = [
        (row.total * column.total, row.longest * column.longest, row, column)
        for row in rows
        for column in columns
        if row.longest * column.longest <= area
    ]
    if not fitting:
        smallest = min(row.longest for row in rows) * min(column.longest for column in columns)
        raise ValueError(
            f"memory_budget: expected room for tiles of {smallest:,} pixels with their overlap, got {area:,}"
        )
    _, _, row, column = min(fitting, key=lambda plan: plan[:2])
    return [
        (Rectangle.of(y, x), Rectangle.of(from_y, from_x))
        for y, from_y in zip(row.cores, row.sources, strict=True)
        for x, from_x in zip(column.cores, column.sources, strict=True)
    ]


@dataclass(frozen=True)
class _AxisPlan:
    """One way to cut the rows, or the columns, of an image."""

    cores: list[Span]
    sources: list[Span]
    longest: int
    total: int


def _axis_plans(size: int) -> list[_AxisPlan]:
    plans: list[_AxisPlan] = []
    for step in range(size, 0, -DEPTH_MULTIPLE):
        cores = [(first, min(first + step, size)) for first in range(0, size, step)]
        sources = [source_span(core, size) for core in cores]
        lengths = [end - first for first, end in sources]
        plans.append(_AxisPlan(cores, sources, max(lengths), sum(lengths)))
    return plans


def _times(span: Span, factor: int) -> Span:
    return factor * span[0], factor * span[1]


def _pieces(span: Span, count: int) -> list[Span]:
    """Cuts a span into at most `count` pieces of equal length, whole cells; the last may be shorter."""
    length = span[1] - span[0]
    step = -(-length // (count * _CELL)) * _CELL
    return [(first, min(first + step, span[1])) for first in range(span[0], span[1], step)]
