"""Rectangles of whole pixels, or of cells at half the resolution: the one type for all of them."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]
"""First and one past the last row or column."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle on the grid of an image.

    Attributes:
        x: its first column.
        y: its first row.
        w: how many columns it has.
        h: how many rows.
    """

    x: int
    y: int
    w: int
    h: int

    @staticmethod
    def of(rows: Span, columns: Span) -> Rectangle:
        """Returns the rectangle of some rows and columns."""
        return Rectangle(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])

    @staticmethod
    def whole(height: int, width: int) -> Rectangle:
        """Returns all of an image."""
        return Rectangle(0, 0, width, height)

    @staticmethod
    def around(pixel: tuple[int, int], side: int, width: int, height: int) -> Rectangle:
        """Returns the square of at most `side` around a pixel (x, y), moved inside of an image that holds it."""
        side = min(side, width, height)
        x, y = (min(max(at - side // 2, 0), size - side) for at, size in zip(pixel, (width, height), strict=True))
        return Rectangle(x, y, side, side)

    @property
    def rows(self) -> Span:
        """First and one past the last row."""
        return self.y, self.y + self.h

    @property
    def columns(self) -> Span:
        """First and one past the last column."""
        return self.x, self.x + self.w

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.h, self.w

    @property
    def area(self) -> int:
        """Rows times columns."""
        return self.h * self.w

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of an array's rows and columns."""
        return slice(*self.rows), slice(*self.columns)

    def lies_in(self, outer: Rectangle) -> bool:
        """Tells whether it holds a pixel, and none that is not in `outer`."""
        return self.w > 0 and self.h > 0 and self.grown(0, outer) == self

    def within(self, outer: Rectangle) -> Rectangle:
        """Returns the same rectangle, counted from the first row and column of `outer`."""
        return Rectangle(self.x - outer.x, self.y - outer.y, self.w, self.h)

    def scaled(self, factor: int) -> Rectangle:
        """Returns the rectangle at `factor` times the resolution."""
        return Rectangle(factor * self.x, factor * self.y, factor * self.w, factor * self.h)

    def halved(self) -> Rectangle:
        """Returns the rectangle at half the resolution; its sides and corner are even."""
        return Rectangle(self.x // 2, self.y // 2, self.w // 2, self.h // 2)

    def grown(self, margin: int, limit: Rectangle) -> Rectangle:
        """Returns the rectangle with `margin` more on each side, within `limit`."""
        return Rectangle.of(
            clamp(grow(self.rows, margin), limit.rows),
            clamp(grow(self.columns, margin), limit.columns),
        )


def grow(span: Span, margin: int) -> Span:
    """Returns a span with `margin` more at both ends."""
    return span[0] - margin, span[1] + margin


def clamp(span: Span, limit: Span) -> Span:
    """Returns the part of the span within `limit`; where there is none, its end is not after its first."""
    return max(span[0], limit[0]), min(span[1], limit[1])
