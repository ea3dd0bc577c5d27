"""One training per folder: a lock that the system gives back whatever ends the process."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mkpn.checks import writable_folder

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        """Takes the lock, or raises OSError at once; closing the file, or the process's end, gives it back."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = ".lock"
"""Name of the file that is locked; it stays, empty, when the run is over."""


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Keeps every other process from training in a folder, which is made if it does not exist.

    Raises:
        ValueError: if another process holds the folder, or it cannot be written to.
    """
    made = not folder.exists()
    lock = writable_folder(folder, "run") / LOCK
    try:
        with lock.open("ab") as file:
            try:
                _lock(file)
            except OSError as error:
                raise ValueError(f"run: another process trains in {folder}; expected a folder of its own") from error
            yield
    finally:
        # A run that was refused leaves nothing behind.
        if made and [path.name for path in folder.iterdir()] == [LOCK]:
            lock.unlink()
            folder.rmdir()
