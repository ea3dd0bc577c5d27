"""Values that somebody else has written, checked by pydantic; what is wrong is a sentence `PLACE: expected, got`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mkpn.checks import choice, shown


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Any = _Nothing()
"""Stands for a field that is missing, also as the default of a field that must be there."""


class Record(BaseModel):
    """A JSON object: what is null is as if it were missing, what is not known is passed over."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {str(key): value for key, value in values.items() if value is not None}  # pyright: ignore[reportUnknownVariableType]


def check(kind: Any, value: Any, name: str = "") -> Any:
    """Returns a value as the type wants it.

    Args:
        kind: a `Record`, or a type with one of the annotations below.
        value: of any kind.
        name: where it stands, for the message.

    Raises:
        ValueError: if it is not what the type wants; for the first field that is not.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in (*([name] if name else []), *first["loc"]))
    expected = first["msg"] if first["type"] == "expected" else "an object"
    raise ValueError(f"{place or 'file'}: expected {expected}, got {shown(first['input'])}")


def whole(low: int, high: int) -> PlainValidator:
    """Annotates a whole number within a range."""
    return _checked(Annotated[int, Field(strict=True, ge=low, le=high)], f"a whole number from {low} to {high}")


def wholes(count: int, high: int) -> PlainValidator:
    """Annotates a tuple of so many whole numbers from 0 on."""
    numbers = Annotated[
        list[Annotated[int, Field(strict=True, ge=0, le=high)]], Field(min_length=count, max_length=count)
    ]
    return _checked(numbers, f"{count} whole numbers from 0 to {high}", tuple)


def wholes_by(size: int, most: int, high: int) -> PlainValidator:
    """Annotates a tuple of whole numbers from 0 on, in at most so many groups of one size."""
    one = Annotated[int, Field(strict=True, ge=0, le=high)]
    numbers = Annotated[list[one] | tuple[one, ...], Field(max_length=size * most)]

    def grouped(values: Any) -> tuple[int, ...]:
        if len(values) % size:
            raise ValueError(f"expected groups of {size} numbers, got {len(values)} numbers")
        return tuple(values)

    return _checked(numbers, f"up to {most} times {size} whole numbers from 0 to {high}", grouped)


def number(low: float, high: float, digits: int | None = None) -> PlainValidator:
    """Annotates a finite number within a range, rounded to some digits."""
    return _checked(_number(low, high), f"a number from {low:g} to {high:g}", lambda value: _rounded(value, digits))


def pair(low: float, high: float, digits: int) -> PlainValidator:
    """Annotates a tuple of two finite numbers, rounded to some digits."""
    numbers = Annotated[list[_number(low, high)] | tuple[_number(low, high), ...], Field(min_length=2, max_length=2)]
    sentence = f"2 numbers from {low:g} to {high:g}"
    return _checked(numbers, sentence, lambda values: tuple(_rounded(value, digits) for value in values))


def decibel() -> PlainValidator:
    """Annotates a PSNR, which may be the word `inf`: JSON has no infinity."""
    sentence = "a number from -1000 to 1000, or inf"
    return _checked(
        _number(-1000, 1000) | Annotated[str, Field(pattern="^inf$")],
        sentence,
        lambda value: math.inf if value == "inf" else float(value),
    )


def flag() -> PlainValidator:
    """Annotates true or false."""
    return _checked(Annotated[bool, Field(strict=True)], "true or false")


def text(longest: int = 255, shortest: int = 1) -> PlainValidator:
    """Annotates a text of a length within a range."""
    kind = Annotated[str, Field(strict=True, min_length=shortest, max_length=longest)]
    return _checked(kind, f"a text of {shortest} to {longest} characters")


def digest(shortest: int = 64) -> PlainValidator:
    """Annotates the hexadecimal digits of a SHA-256, or their beginning."""
    kind = Annotated[str, Field(strict=True, pattern=f"^[0-9a-f]{{{shortest},64}}$")]
    return _checked(kind, f"{shortest} to 64 hexadecimal digits")


def one_of(choices: Sequence[Any]) -> PlainValidator:
    """Annotates one of some values of one type."""
    return _checked(Any, f"one of {', '.join(map(str, choices))}", lambda value: choice("", value, choices))


def some_of(choices: Sequence[str]) -> PlainValidator:
    """Annotates some of the given names, each at most once, in the order of the choices."""

    def ordered(values: Any) -> tuple[str, ...]:
        found = {choice("", value, choices) for value in values}
        return tuple(name for name in choices if name in found)

    return _checked(list[Any] | tuple[Any, ...], f"names out of {', '.join(choices)}", ordered)


def _number(low: float, high: float) -> Any:
    return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else round(value, digits)


def _checked(kind: Any, expected: str, then: Callable[[Any], Any] = lambda value: value) -> PlainValidator:
    """What pydantic takes for a type, and its refusal in our words."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def check_it(value: Any) -> Any:
        try:
            return then(adapter.validate_python(value))
        except ValueError:
            raise PydanticCustomError("expected", "{expected}", {"expected": expected}) from None

    return PlainValidator(check_it)
