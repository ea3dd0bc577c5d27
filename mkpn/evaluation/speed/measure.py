"""How a call is timed and how its memory is taken: what every benchmark shares."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mkpn.device import release_free_blocks

Row = dict[str, Any]
Shape = tuple[int, int, int]
Clock = Literal["wall", "cpu"]
_CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
QUICK_SECONDS = 0.05
"""Seconds that a call is repeated for where it only matters that it runs."""

_clock: ContextVar[Clock] = ContextVar("clock", default="wall")


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls.

    Attributes:
        median: the middle one.
        low: the first quartile.
        high: the third quartile.
        runs: how many there were.
    """

    median: float
    low: float
    high: float
    runs: int

    def row(self, name: str = "seconds") -> Row:
        """The figures under `name`, `name_low`, `name_high` and `runs`."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high, "runs": self.runs}

    def __str__(self) -> str:
        return f"{1000 * self.median:9.2f} ms [{1000 * self.low:.2f}, {1000 * self.high:.2f}]"


@contextmanager
def timed_by(clock: Clock) -> Generator[None]:
    """Everything inside is timed by this clock: `wall`, the default elsewhere, or `cpu`, processor time."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def now() -> float:
    """Seconds of the current clock, see `timed_by`."""
    return _CLOCKS[_clock.get()]()


def measure(call: Callable[[], object], device: torch.device, budget: float = 2.0, most: int = 21) -> Timing:
    """Times a call: one for warm-up, then until `budget` seconds or `most` calls are spent, three at least.

    A call that takes more than ten budgets is not repeated.
    """

    def once() -> float:
        started = now()
        call()
        _synchronise(device)
        return now() - started

    first = once()
    if first > 10 * budget:
        return Timing(first, first, first, 1)
    samples: list[float] = []
    while len(samples) < most and (len(samples) < 3 or sum(samples) < budget):
        samples.append(once())
    quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    return Timing(quartiles[1], quartiles[0], quartiles[2], len(samples))


def measure_with_memory(
    call: Callable[[], object], device: torch.device, budget: float = 2.0, most: int = 21
) -> tuple[Timing, int | None]:
    """Times a call as `measure` does and takes its memory as `extra_memory` does; a slow call runs once for both."""
    seconds: list[float] = []

    def once() -> None:
        started = now()
        call()
        _synchronise(device)
        seconds.append(now() - started)

    memory = extra_memory(once, device)
    # A call that takes a minute, or most of the machine's memory, is not run twice.
    if seconds[0] > 5 * budget:
        return Timing(seconds[0], seconds[0], seconds[0], 1), memory
    # The first call of all also takes what stays: compiled code, thread pools, workspaces.
    return measure(call, device, budget, most), extra_memory(call, device)


def extra_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Returns by how many bytes a call raises the memory in use at its peak, its result included.

    On the CPU the resident set's high-water mark is reset before (Linux); None where that is not possible.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu" or not _reset_peak():
        return None
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def peak_memory() -> int | None:
    """The largest resident set of this process so far, in bytes; None on Windows, where Python does not know it."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def convolution_peak(device: torch.device, quick: bool, shapes: Sequence[Shape] = ()) -> tuple[float, list[Row]]:
    """The machine's convolution peak in FLOP/s, and the rows of all that was tried.

    It is the best median rate of PyTorch's own 3x3 convolution with zero padding, over shapes that the networks
    consist of or that suit the machine even better, in both memory layouts; inputs are resident, nothing else is timed.

    Args:
        device: where it runs.
        quick: a tiny shape only.
        shapes: channels in and out and the side of the image; by default four.
    """
    rows: list[Row] = []
    default = [(64, 64, 32)] if quick else [(64, 64, 256), (128, 128, 128), (64, 576, 128), (256, 256, 64)]
    for before, after, side in shapes or default:
        for layout in (torch.contiguous_format, torch.channels_last):
            convolution = nn.Conv2d(before, after, 3, padding=1).to(device, memory_format=layout)  # pyright: ignore
            x = torch.rand(1, before, side, side, device=device).to(memory_format=layout)
            with torch.inference_mode():
                timing = measure(partial(convolution, x), device, 0.5)
            rate = 2 * 9 * before * after * side * side / timing.median
            name = "channels_last" if layout == torch.channels_last else "contiguous"
            rows.append({"kind": "peak", "shape": [before, after, side], "layout": name, "flops": rate, **timing.row()})
    return max(row["flops"] for row in rows), rows


def forward_flops(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiplications and additions of all convolutions in one call."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops()


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def available_memory() -> int | None:
    """Bytes of memory that a process may still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    return 0


def _reset_peak() -> bool:
    # Kept blocks are given back, so that they count when they are used again.
    release_free_blocks()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True
