"""Pictures as files: arrays become exact PNGs in a folder of their own, served by URL, removed with their run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.synthesis.images import to_uint8

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PICTURES = "gradio_api/file=pictures/"
"""What addresses of files below the folder of `make_root` begin with; the server puts the folder in (`ui.service`)."""

_ROOT = "mkpn-studio-"
_ALIVE = ".alive"
_locks: list[int] = []  # open as long as the process lives
_uploads: list[Path] = []  # at most one: Gradio knows one such folder a process


def picture_url(path: Path) -> str:
    """Returns the address of a file below an allowed path, relative so that it also works behind a proxy's prefix.

    Where the server keeps its pictures is not part of it.
    """
    for parent in path.parents:
        if parent.name.startswith(_ROOT):
            return PICTURES + path.relative_to(parent).as_posix()
    return f"gradio_api/file={path.as_posix()}"


class PictureFolder:
    """A temporary folder for the pictures of one run."""

    def __init__(self, root: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="run-", dir=root))

    def save(self, name: str, image: torch.Tensor | NDArray[np.float32]) -> Path:
        """Writes intensities `[C,H,W]` as `<name>.png`, pixel for pixel `to_uint8(image)`, and returns the path."""
        path = self.path / f"{name}.png"
        # Noise does not compress: level 1 is five times faster than the default and costs 2 % of size.
        Image.fromarray(to_uint8(image)).save(path, compress_level=1)
        return path

    @contextmanager
    def removed_on_error(self) -> Generator[None]:
        """Deletes the folder where something fails before anybody has it, as on a full disk."""
        try:
            yield
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Deletes the folder; deleting it twice is no error."""
        shutil.rmtree(self.path, ignore_errors=True)


def _mark_alive(root: Path) -> None:
    """Locks a file in a process's folder, as long as the process lives."""
    if fcntl is not None:
        # Under another name until it is locked: nobody may find it unlocked.
        unlocked = root / f"{_ALIVE}-not-yet"
        _locks.append(os.open(unlocked, os.O_CREAT | os.O_RDWR, 0o600))
        with suppress(OSError):  # on disks without locks nothing is ever removed
            fcntl.flock(_locks[-1], fcntl.LOCK_EX)
            unlocked.rename(root / _ALIVE)


def _remove_left_over(parent: Path) -> None:
    """Removes the folders of processes that ended without their leave: uploads must not stay for ever."""
    if fcntl is None:
        return
    for left in parent.glob(f"{_ROOT}*"):
        with suppress(OSError):  # another user's, or without a lock
            lock = os.open(left / _ALIVE, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def make_root(parent: Path | None = None) -> Path:
    """Creates the folder below which this process keeps all that it writes; it is removed at exit.

    Folders that killed processes have left beside it are removed. The first one of a process is also where Gradio puts
    uploads and figures: by itself it would take a folder that all users of a machine share.

    Args:
        parent: where to create it; by default the folder for temporary files.

    Raises:
        ValueError: if nothing can be written there.
    """
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=_ROOT, dir=parent)).resolve()
        _remove_left_over(root.parent)
        _mark_alive(root)
    except OSError as error:
        raise ValueError(f"folder: expected one that can be written to, got {parent} ({error.strerror})") from error
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    if not _uploads:
        _uploads.append(root / "uploads")
        _uploads[0].mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(_uploads[0])
    return root
