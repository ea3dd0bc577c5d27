"""What a command calls its networks and pictures: no two alike, so that nothing replaces what was written before."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import chain, count
from pathlib import Path

from mkpn.model.config import MODELS

REFERENCES = ("noisy", "clean", "mean")
"""What pictures and rows are called that no network has made."""


def unique_name(name: str, taken: Container[str]) -> str:
    """Returns a name as it is, or `NAME-2`, `NAME-3` and so on if it is taken."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain((name,), numbered) if one not in taken)


def named_networks(models: Sequence[str]) -> dict[str, str]:
    """Returns networks by name, in order and each once.

    Args:
        models: names of shipped networks, which keep them, or paths of checkpoints, which are called by their stems; of
            one stem the second is `STEM-2`.
    """
    taken = {*REFERENCES, *(model for model in models if model in MODELS)}
    networks: dict[str, str] = {}
    for model in dict.fromkeys(models):
        name = model if model in MODELS else unique_name(Path(model).stem, taken)
        taken.add(name)
        networks[name] = model
    return networks
