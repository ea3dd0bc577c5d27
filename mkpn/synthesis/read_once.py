"""Pictures that were read to see whether they can be used, kept for the work itself as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Picture = TypeVar("Picture")

KEPT_BYTES = 2**29
"""Of pictures that are kept: six photographs of 12 megapixels, or thousands of crops of 160x160."""


class ReadOnce(Generic[Picture]):
    """Reads every picture once, or once more for each use where it found no room."""

    def __init__(self, read: Callable[[Path], Picture], size: Callable[[Picture], int], most: int = KEPT_BYTES) -> None:
        """Takes over how pictures are read.

        Args:
            read: reads one; may raise, and is then asked again the next time.
            size: bytes of one.
            most: bytes of all that are kept.
        """
        self._read, self._size, self._free = read, size, most
        self._pictures: dict[Path, Picture] = {}

    def __call__(self, path: Path) -> Picture:
        """Returns a picture, read or kept."""
        if path in self._pictures:
            return self._pictures[path]
        picture = self._read(path)
        if (needed := self._size(picture)) <= self._free:
            self._free -= needed
            self._pictures[path] = picture
        return picture

    def take(self, path: Path) -> Picture:
        """Returns a picture as a call does, and keeps it no longer: whoever uses it up may free its memory."""
        picture = self(path)
        if self._pictures.pop(path, None) is not None:
            self._free += self._size(picture)
        return picture
