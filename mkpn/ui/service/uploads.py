"""Uploaded files have a limit together: the oldest ones go first."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from mkpn.ui.service.watch import every

_STEP = 5.0  # seconds between two looks
_BLOCK = 4096  # bytes of which a disk gives whole ones


def trimming(folder: Path, most_bytes: int) -> AbstractAsyncContextManager[None]:
    """Keeps a folder within its size, as long as the app lives.

    Args:
        folder: of the uploads, and of figures that Gradio keeps.
        most_bytes: all files together, in whole blocks of the disk, with a folder each.
    """

    async def step() -> None:
        await asyncio.to_thread(trim, folder, most_bytes)

    return every(_STEP, step)


def _on_disk(size: int) -> int:
    """About how many bytes a file takes with its folder: many small ones fill a disk, too."""
    return _BLOCK * (2 + size // _BLOCK)


def trim(folder: Path, most_bytes: int) -> int:
    """Deletes the oldest files, and folders that are empty then, until the others are within the limit.

    What cannot be read or deleted, often because another one was faster, is left out.

    Returns:
        How many files were deleted.
    """
    files: list[tuple[float, int, Path]] = []
    # Not `rglob`, which ends where a folder goes away under it.
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime, _on_disk(status.st_size), path))
    left, deleted = sum(size for _, size, _ in files), 0
    for _, size, path in sorted(files):
        if left <= most_bytes:
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            left, deleted = left - size, deleted + 1
            if path.parent != folder:
                path.parent.rmdir()  # refused as long as another file is in it
    return deleted
