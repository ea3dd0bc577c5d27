"""Checked numbers, choices and folders: what is wrong is a ValueError `FIELD: expected ..., got ...`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

_SHOWN = 60  # characters of a wrong value that a message repeats

MOST_THREADS = 1024
"""CPU threads that may be asked for; no processor of today has more."""

Choice = TypeVar("Choice")

LEAST_FREE = 2**24
"""Bytes that must be free where results are written."""


def whole(field: str, value: Any, low: int, high: int | None = None) -> int:
    """Returns a whole number from `low` to `high`, both included; without `high` there is no upper end.

    Args:
        field: name for the message.
        value: of any type; truth values and floating-point numbers are no whole numbers.
        low: smallest number that is accepted.
        high: greatest one.

    Raises:
        ValueError: if it is anything else.
    """
    if _is_whole(value) and low <= value and (high is None or value <= high):
        return int(value)
    end = " or more" if high is None else f" to {high}"
    raise ValueError(f"{field}: expected a whole number, {low}{end}, got {shown(value)}")


def number(field: str, value: Any, low: float, high: float) -> float:
    """Returns a number from `low` to `high`, both included; arguments and errors as `whole`, NaN is no number."""
    if (_is_whole(value) or isinstance(value, float | np.floating)) and low <= value <= high:
        return float(value)
    raise ValueError(f"{field}: expected a number from {low:g} to {high:g}, got {shown(value)}")


def thread_count(value: Any) -> int:
    """Returns a number of CPU threads, 0 for PyTorch's choice.

    Raises:
        ValueError: if it is not a whole number from 0 to `MOST_THREADS`.
    """
    return whole("threads", value, 0, MOST_THREADS)


def choice(field: str, value: Any, choices: Sequence[Choice]) -> Choice:
    """Returns the one of the choices that equals `value` and is of its kind: True is not 1, and 1.0 is not 1.

    Args:
        field: name for the message.
        value: of any type.
        choices: what is accepted, of one type.

    Raises:
        ValueError: if it is none of them.
    """
    for one in choices:
        alike = _is_whole(value) if isinstance(one, int) else isinstance(value, type(one))
        if alike and value == one:
            return one
    raise ValueError(f"{field}: expected one of {', '.join(map(str, choices))}, got {shown(value)}")


def kind(field: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> None:
    """Refuses what is of another type.

    Args:
        field: name for the message.
        value: of any type.
        kinds: what is accepted.
        expected: its name for the message.

    Raises:
        ValueError: if the value is none of them.
    """
    if not isinstance(value, kinds):
        raise ValueError(f"{field}: expected {expected}, got {shown(value)}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def one_line(text: str) -> str:
    """Returns what somebody else has written, such as a file's name, without line breaks and control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def shown(value: Any) -> str:
    """Returns a wrong value as a message may repeat it: one line, cut short."""
    try:
        text = repr(value)
    # A number of over 4,300 digits has no text; an object's own text may fail in any way.
    except Exception:
        text = f"an object of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def writable_folder(folder: Path, field: str) -> Path:
    """Makes a folder and tries to write into it.

    Args:
        folder: may exist.
        field: name for the message, as the user wrote it.

    Returns:
        The folder.

    Raises:
        ValueError: if it is a file, cannot be made or written to, or its disk is full.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{field}: expected a folder, got the file {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ValueError(f"{field}: expected a folder to write to, got {folder} ({error.strerror})") from error
    if free < LEAST_FREE:
        raise ValueError(f"{field}: expected {LEAST_FREE >> 20} MB of free disk at {folder}, got {free >> 20} MB")
    return folder
