"""How fast and how small: medians and spreads of the local convolution, the networks and a training step.

The figures are ratios to something measured in the same run wherever possible: to a plain implementation of the local
convolution, to the machine's convolution peak, to the network's convolutions alone.

On a machine with other work, one thread and its processor time (`threads=1, clock="cpu"`) leave out what the others
took, though not what they did to the caches.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import torch

from mkpn.checks import thread_count, whole, writable_folder
from mkpn.device import describe_device, keep_large_blocks, select_device
from mkpn.evaluation.speed.local_conv import bench_ops
from mkpn.evaluation.speed.measure import Clock, Row, timed_by
from mkpn.evaluation.speed.networks import bench_large, bench_models, bench_training
from mkpn.model.config import model_config
from mkpn.whole_files import written_whole

Part = Literal["ops", "models", "large"]

SIDES = (128, 256, 512, 1024)


def environment(device: torch.device) -> Row:
    """Device, threads, versions and commit, for the head of a table."""
    return {
        "device": describe_device(device),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def bench(
    *,
    out: Path | None = None,
    only: Part | None = None,
    threads: int = 0,
    device: str = "auto",
    models: tuple[str, ...] = (),
    sides: tuple[int, ...] = (),
    clock: Clock = "wall",
    quick: bool = False,
) -> Row:
    """Measures and prints; returns what `out` receives as JSON.

    Args:
        out: the JSON file; its folder must exist.
        only: `ops` (local convolution and training step), `models` (whole inference) or `large` (12 megapixels);
            all by default.
        threads: CPU threads; 0 keeps PyTorch's choice.
        device: `auto`, `cpu`, `cuda` or `mps`.
        models: which networks; by default all, of `large` and with `quick` MKPN.
        sides: of the square images of `models`, by default 128, 256, 512 and 1024.
        clock: `cpu` counts processor time, for a machine with other work; with one thread only.
        quick: tiny sizes, to see that everything runs.

    Raises:
        ValueError: if the folder of `out`, the device or a model does not exist, threads, sides or clock cannot be
            used, or models or sides would have no effect.
    """
    if out is not None and not out.parent.is_dir():
        raise ValueError(f"out: expected a file in an existing folder, got {out}")
    if out is not None:
        writable_folder(out.parent, "out")
        if out.is_dir():
            raise ValueError(f"out: expected a file, got the folder {out}")
    thread_count(threads)
    for model in models:
        model_config(model)
    for side in sides:
        whole("sides", side, 1)
    if sides and (quick or only in ("ops", "large")):
        raise ValueError("sides: expected none with --quick, --only ops and --only large, which have their own")
    if models and only == "ops":
        raise ValueError("models: expected none with --only ops, whose networks are fixed")
    keep_large_blocks()
    if threads:
        torch.set_num_threads(threads)
    where = select_device(device)
    if clock == "cpu" and (where.type != "cpu" or torch.get_num_threads() != 1):
        raise ValueError(
            f"clock: expected 'wall', or 'cpu' with one thread on the CPU, got {clock!r} with "
            f"{torch.get_num_threads()} threads on {where}"
        )
    head = {**environment(where), "clock": clock}
    rows: list[Row] = []

    def keep() -> None:
        if out is not None:
            with written_whole(out) as temporary:
                temporary.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n", encoding="utf-8")

    # Now, so that a file that cannot be written is found before the work.
    keep()
    for key, value in head.items():
        print(f"{key:10} {value}")
    parts: list[Callable[[], Iterator[Row]]] = []
    # First, while the process is small: its peak is taken from the system, which remembers everything before.
    if only in (None, "large"):
        parts.append(lambda: bench_large(where, models, quick))
    if only in (None, "ops"):
        parts += [lambda: bench_ops(where, quick), lambda: bench_training(where, quick)]
    if only in (None, "models"):
        parts.append(lambda: bench_models(where, models, (32, 48) if quick else sides or SIDES, quick))
    with timed_by(clock):
        for part in parts:
            for row in part():
                rows.append(row)
                # Kept while it goes on: a long run that is stopped leaves what it has measured.
                keep()
    return {**head, "rows": rows}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
