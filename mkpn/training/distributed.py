"""The processes that `torchrun` starts: their number and group, which device is whose, and who shows progress."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import distributed

from mkpn.device import select_device


def process_count() -> int:
    """Returns how many processes `torchrun` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shows_progress(rank: int = 0) -> bool:
    """Whether a process shows its progress: the first one, unless `--quiet` (see `mkpn.console`) asks for none."""
    return rank == 0 and not os.environ.get("TQDM_DISABLE")


def local_device(name: str) -> torch.device:
    """Returns `select_device(name)`, where each process of one machine has a GPU of its own."""
    if name in ("auto", "cuda") and torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return select_device(name)


@contextmanager
def process_group() -> Generator[tuple[int, int]]:
    """Joins the processes that `torchrun` started; yields (rank, number of processes), (0, 1) without it."""
    if process_count() == 1:
        yield 0, 1
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    finally:
        distributed.destroy_process_group()
