"""The processes that `torchrun` starts: their number and group, which device is whose, and who shows progress."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from mkpn.device import select_device

_PATIENCE = timedelta(hours=12)  # for the others, while the first process registers or validates


def process_count() -> int:
    """Returns how many processes `torchrun` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shows_progress(rank: int = 0) -> bool:
    """Whether a process shows its progress: the first one, unless `--quiet` (see `mkpn.console`) asks for none."""
    return rank == 0 and not os.environ.get("TQDM_DISABLE")


def local_device(name: str) -> torch.device:
    """Returns `select_device(name)`, where each process of one machine has a GPU of its own.

    Raises:
        ValueError: as `select_device`, or if a GPU is named that all processes would share.
    """
    device = select_device(name)
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    if name not in ("auto", "cuda"):
        if process_count() > 1:
            raise ValueError(
                f"device: expected auto, cpu or cuda with torchrun, which shares the GPUs out, got {name!r}"
            )
        return device
    return select_device(f"cuda:{os.environ['LOCAL_RANK']}")


@contextmanager
def process_group(device: torch.device) -> Generator[tuple[int, int]]:
    """Joins the processes that `torchrun` started; yields (rank, number of processes), (0, 1) without it.

    Inside of another one it is the same group: a recipe joins once for all its phases.

    Args:
        device: where this process computes, see `local_device`.
    """
    if process_count() == 1:
        yield 0, 1
        return
    if distributed.is_initialized():
        yield distributed.get_rank(), distributed.get_world_size()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Waits until all processes of the group have come here; does nothing without one."""
    if distributed.is_initialized():
        distributed.barrier()
