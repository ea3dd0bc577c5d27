"""Numbers and choices that somebody else gives: taken as they are, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from mkpn.checks import choice, number, shown, whole


@pytest.mark.parametrize(
    "value",
    [True, 2.0, "2", None, [], {}, -1, 6, 10**5000, np.float32(2), np.bool_(True)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_whole_number_from_0_to_5(value: object) -> None:
    with pytest.raises(ValueError, match=r"^seed: expected a whole number, 0 to 5, got .{1,61}$"):
        whole("seed", value, 0, 5)


@pytest.mark.parametrize(
    "value",
    [True, "0.5", None, [], -0.1, 1.5, 10**400, float("nan"), float("inf"), 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_from_0_to_1(value: object) -> None:
    with pytest.raises(ValueError, match=r"^rate: expected a number from 0 to 1, got .{1,61}$"):
        number("rate", value, 0, 1)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [], 3], ids=lambda value: type(value).__name__)
def test_what_is_none_of_the_choices(value: object) -> None:
    with pytest.raises(ValueError, match=r"^gain: expected one of 1, 2, got "):
        choice("gain", value, (1, 2))


def test_what_is_taken() -> None:
    assert whole("seed", np.int64(7), 0) == 7
    assert whole("seed", 10**30, 0) == 10**30
    assert number("rate", 1, 0, 1) == 1
    assert number("rate", np.float32(0.5), 0, 1) == 0.5
    assert choice("gain", np.int32(2), (1, 2)) == 2
    assert choice("fit", "crop", ("crop", "shrink")) == "crop"


def test_values_are_shown_on_one_short_line() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10**6)) == 61
    assert shown(np.zeros((20, 20))).isprintable()
    assert shown(Odd()) == "an object of type Odd"
