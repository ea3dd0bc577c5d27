"""The machine: which device runs, how many threads, and how the C library's allocator treats large blocks."""

from __future__ import annotations

import ctypes
import functools
import os
import platform

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def select_device(name: str = "auto") -> torch.device:
    """Returns the device to run on.

    Args:
        name: `auto` (CUDA, else MPS, else the CPU) or a PyTorch device such as `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        ValueError: if the name is no device, or the device is not available here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}") from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= counts.get(device.type, 0):
        raise ValueError(f"device: expected auto, cpu or a device that this machine has, got {name!r}")
    return device


def describe_device(device: torch.device) -> str:
    """Returns a name for people, e.g. `NVIDIA H200` or `CPU, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


@functools.cache
def keep_large_blocks() -> bool:
    """Tells glibc to keep large freed blocks instead of returning them to the system; other systems are left alone.

    Activations of tens of megabytes are freed and taken again at every step. By default glibc gives each one back to
    the kernel, which must then clear its pages again: 75,000 page faults for one image (mkpn/ops/README.md).

    Returns:
        Whether the allocator was changed. `MKPN_MALLOC=0` in the environment keeps it as it is.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get("MKPN_MALLOC") == "0":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def release_free_blocks() -> bool:
    """Gives what `keep_large_blocks` has kept, and nothing uses, back to the system; the next image takes it again.

    Returns:
        Whether there was something to give back. Other systems than those with glibc are left alone.
    """
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).malloc_trim(0))
