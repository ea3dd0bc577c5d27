"""What a command calls its networks and pictures: no two alike, so that nothing replaces what is there already."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from itertools import chain, count
from pathlib import Path

from mkpn.model.config import MODELS

REFERENCES = ("noisy", "clean", "mean")
"""What pictures and rows are called that no network has made."""


def unique_name(name: str, taken: Container[str]) -> str:
    """Returns a name as it is, or `NAME-2`, `NAME-3` and so on if it is taken."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain((name,), numbered) if one not in taken)


def named_networks(models: Sequence[str], others: Iterable[str] = ()) -> dict[str, str]:
    """Returns networks by name, in order and each once.

    Args:
        models: names of shipped networks, which keep them, or paths of checkpoints, which are called by their stems; of
            one stem the second is `STEM-2`.
        others: names that something else has, besides `REFERENCES`.
    """
    taken = {*REFERENCES, *others, *(model for model in models if model in MODELS)}
    networks: dict[str, str] = {}
    for model in dict.fromkeys(models):
        name = model if model in MODELS else unique_name(Path(model).stem, taken)
        taken.add(name)
        networks[name] = model
    return networks


def keep_photographs(written: Sequence[Path], photographs: Sequence[Path], folders: Collection[Path] = ()) -> None:
    """Makes sure that a command spares what it reads, and that its results are not read the next time.

    Args:
        written: files that it will write.
        photographs: files that it reads.
        folders: whose pictures it reads, those in folders below included.

    Raises:
        ValueError: if a file to be written is one of the photographs, or lies in one of the folders.
    """
    # A file may have several paths: links, and letters of another case on some disks.
    own = {_identity(path) for path in photographs if path.exists()}
    searched = {folder.resolve() for folder in folders}
    for path in written:
        if path.exists() and _identity(path) in own:
            raise ValueError(
                "out: expected a folder without the photographs themselves, got "
                f"{path.parent}, where {path.name} would be replaced"
            )
        if not searched.isdisjoint(path.resolve().parents):
            raise ValueError(
                "out: expected a folder without the photographs themselves, got "
                f"{path.parent}, whose pictures would be read as photographs the next time"
            )


def _identity(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino
