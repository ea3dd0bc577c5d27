"""Uploaded files have a limit together: the oldest ones go first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_STEP = 5.0  # seconds between two looks


@asynccontextmanager
async def trimming(folder: Path, most_bytes: int) -> AsyncGenerator[None]:
    """Keeps a folder within its size, as long as the app lives.

    Args:
        folder: of the uploads, and of figures that Gradio keeps.
        most_bytes: all files together.
    """

    async def watch() -> None:
        while True:
            await asyncio.sleep(_STEP)
            await asyncio.to_thread(trim, folder, most_bytes)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


def trim(folder: Path, most_bytes: int) -> int:
    """Deletes the oldest files until the others are within the limit; returns how many were deleted."""
    files: list[tuple[float, int, Path]] = []
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:
            continue  # another one was faster
        if path.is_file():
            files.append((status.st_mtime, status.st_size, path))
    left, deleted = sum(size for _, size, _ in files), 0
    for _, size, path in sorted(files):
        if left <= most_bytes:
            break
        path.unlink(missing_ok=True)
        left, deleted = left - size, deleted + 1
    return deleted
