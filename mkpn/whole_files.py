"""Files that appear whole: whoever reads one sees the old content or the new, never a part."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, on_disk: bool = False) -> Generator[Path]:
    """Yields a temporary name beside a file, which takes the file's place at the end, if nothing failed.

    Args:
        path: the file; its folder exists.
        on_disk: waits until the system has stored the content, so that it also survives a loss of power.

    Raises:
        OSError: if the file cannot be written; it names the file.
    """
    # Beside the target, so that the final rename stays within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if on_disk:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # Of a full disk the system names no file, otherwise the temporary one, which means nothing to anybody.
        if error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
