"""Checked reading of what comes from outside: a field of a JSON object, or a message that names what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mkpn.checks import shown


class Fields:
    """An object that somebody else has written.

    Every method returns the named field, or raises a `ValueError` that names it, what was expected and what came.
    """

    def __init__(self, value: Any, name: str = "") -> None:
        """Takes over a decoded JSON value.

        Args:
            value: what should be an object.
            name: the object's own name, for messages.

        Raises:
            ValueError: if it is no object.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"{name or 'file'}: expected an object, got {shown(value)}")
        self._values = cast(Mapping[str, Any], value)
        self._name = name

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def object(self, key: str) -> Fields:
        """Returns a nested object."""
        return Fields(self._get(key), self._path(key))

    def integer(self, key: str, low: int, high: int) -> int:
        """Returns a whole number within a range."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, f"a whole number from {low} to {high}")
        return value

    def integers(self, key: str, count: int, high: int) -> tuple[int, ...]:
        """Returns a list of so many whole numbers from 0 on."""
        inner = self._list(key, f"{count} whole numbers from 0 to {high}", count)
        return tuple(inner.integer(str(place), 0, high) for place in range(count))

    def number(self, key: str, low: float, high: float) -> float:
        """Returns a finite number within a range."""
        value = self._get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, key: str, count: int, low: float, high: float) -> tuple[float, ...]:
        """Returns a list of so many finite numbers."""
        inner = self._list(key, f"{count} numbers from {low:g} to {high:g}", count)
        return tuple(inner.number(str(place), low, high) for place in range(count))

    def decibel(self, key: str) -> float:
        """Returns a PSNR, which may be the word `inf`: JSON has no infinity."""
        return math.inf if self._get(key) == "inf" else self.number(key, -1000, 1000)

    def flag(self, key: str) -> bool:
        """Returns true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def text(self, key: str, longest: int = 255, shortest: int = 1) -> str:
        """Returns a text of a length within a range."""
        value = self._get(key)
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise self._wrong(key, f"a text of {shortest} to {longest} characters")
        return value

    def digest(self, key: str, shortest: int = 64) -> str:
        """Returns the hexadecimal digits of a SHA-256, or their beginning."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{shortest},64}}", value):
            raise self._wrong(key, f"{shortest} to 64 hexadecimal digits")
        return value

    def choice(self, key: str, choices: Sequence[Any]) -> Any:
        """Returns one of some values."""
        value = self._get(key)
        # By type too: True is equal to 1.
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise self._wrong(key, f"one of {', '.join(map(str, choices))}")
        return value

    def names(self, key: str, choices: Sequence[str]) -> tuple[str, ...]:
        """Returns some of the given names, each at most once, in the order of the choices."""
        values: Any = self._get(key)
        if not isinstance(values, list) or any(value not in choices for value in cast(list[Any], values)):
            raise self._wrong(key, f"names out of {', '.join(choices)}")
        return tuple(choice for choice in choices if choice in cast(list[Any], values))

    def _list(self, key: str, expected: str, count: int) -> Fields:
        values: Any = self._get(key)
        if not isinstance(values, list) or len(cast(list[Any], values)) != count:
            raise self._wrong(key, expected)
        return Fields({str(place): value for place, value in enumerate(cast(list[Any], values))}, self._path(key))

    def _get(self, key: str) -> Any:
        return self._values.get(key)

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _wrong(self, key: str, expected: str) -> ValueError:
        came = shown(self._get(key)) if key in self._values else "nothing"
        return ValueError(f"{self._path(key)}: expected {expected}, got {came}")
