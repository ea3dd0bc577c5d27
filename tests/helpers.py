"""What several test modules build; not in a conftest, of which there are three."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from mkpn.inference.denoiser import Denoiser
from mkpn.model.checkpoint import save_model
from mkpn.model.config import ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ui.run.models import ModelStore


def perturbed(config: ModelConfig, seed: int = 0, scale: float = 0.02) -> KernelPredictionNetwork:
    """A network whose last convolution is not zero, so that its kernels differ from pixel to pixel."""
    torch.manual_seed(seed)
    network = KernelPredictionNetwork(config)
    torch.nn.init.normal_(network.last.weight, std=scale)
    return network.eval()


# Processes of their own, but each started from one that has imported the large libraries: an import takes seconds.
_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_processes = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
_processes.set_forkserver_preload(["torch", "safetensors.torch", "tyro", "PIL.Image", "skimage.metrics"])


def untrained(folder: Path, names: Sequence[str], scale: float = 0.0) -> Path:
    """Writes networks that only average, or nearly so, each with weights of its own, under the names of shipped ones.

    Args:
        folder: for the checkpoints.
        names: of shipped networks.
        scale: how much kernels differ from pixel to pixel, see `perturbed`.
    """
    for seed, name in enumerate(names):
        network = perturbed(model_config(name), seed, scale)
        save_model(folder / f"{name}.safetensors", network.config, network.state_dict(), {})
    return folder


def _main(arguments: Sequence[str], environment: Mapping[str, str], out: Path) -> None:
    os.environ.update(environment)
    sys.argv = ["mkpn", *arguments]
    with out.open("w", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
        from mkpn.__main__ import main

        main()


def started(arguments: Sequence[str], out: Path, environment: Mapping[str, str] | None = None) -> BaseProcess:
    """Starts `mkpn ARGUMENTS` in a process of its own, whose stdout goes to the file `out`."""
    process = _processes.Process(target=_main, args=(list(arguments), dict(environment or {}), out), daemon=True)
    process.start()
    return process


def break_network(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Makes the app fail to load one network, as where memory is short."""
    get = ModelStore.get

    def broken(self: ModelStore, wanted: str) -> Denoiser:
        if wanted == name:
            raise RuntimeError("out of memory")
        return get(self, wanted)

    monkeypatch.setattr(ModelStore, "get", broken)


def two_ranks(arguments: Sequence[str], folder: Path) -> list[str]:
    """Runs a command in two processes, as `torchrun --nproc-per-node 2` does; returns the stdout of each.

    Raises:
        AssertionError: if one of them does not end with 0 within two minutes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    outs = [folder / f"stdout-{rank}" for rank in (0, 1)]
    ranks = [
        started(arguments, out, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank, out in enumerate(outs)
    ]
    for process in ranks:
        process.join(timeout=120)
    assert [process.exitcode for process in ranks] == [0, 0]
    return [out.read_text(encoding="utf-8") for out in outs]
