"""The networks of the app: weights are loaded once, in the background, and shared by all sessions."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from mkpn.device import describe_device, select_device
from mkpn.inference.denoiser import Denoiser, load
from mkpn.model.checkpoint import shipped_models, weights_hash
from mkpn.ops import warm_up


class ModelStore:
    """Loads each network at its first use, or ahead of it with `preload`; safe to use from several threads.

    Attributes:
        paths: checkpoint files by model name, in the order of `mkpn.MODELS`.
        device: where the networks run.
    """

    def __init__(self, folder: Path | None = None, device: str = "auto") -> None:
        """Finds the checkpoints; reads none of them yet.

        Args:
            folder: where `<model>.safetensors` lie; None takes the shipped ones.
            device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.

        Raises:
            ValueError: if the device is not available.
        """
        self.paths = shipped_models(folder)
        self.device: torch.device = select_device(device)
        self._loaded: dict[str, Denoiser] = {}
        self._hashes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._compiled = threading.Event()
        self._compiled.set()

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are there, in display order."""
        return tuple(self.paths)

    @property
    def loaded(self) -> int:
        """How many models have been loaded so far."""
        return len(self._loaded)

    @property
    def device_name(self) -> str:
        """The device for people, e.g. `CPU, 2 threads`."""
        return describe_device(self.device)

    def get(self, name: str) -> Denoiser:
        """Returns a network, loading it if it has not been asked for before.

        Raises:
            ValueError: if there is no such model here, or its file is damaged.
        """
        if name not in self.paths:
            raise ValueError(f"model: expected one of {', '.join(self.paths) or '(none found)'}, got {name!r}")
        # A model's time must not hold the compilation that is still going on in the background.
        self._compiled.wait()
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load(self.paths[name], str(self.device))
                self._hashes[name] = weights_hash(self.paths[name])
            return self._loaded[name]

    def hash_of(self, name: str) -> str | None:
        """Returns the SHA-256 of the weights that were loaded, None for a network that has not been asked for."""
        return self._hashes.get(name)

    def preload(self) -> threading.Thread:
        """Starts a background thread that compiles the CPU kernels and loads all networks; returns it."""
        self._compiled.clear()
        # No daemon: one that is killed inside of C++ code takes the whole process down with "terminate called".
        thread = threading.Thread(target=self._preload, name="mkpn-preload")
        thread.start()
        return thread

    def _preload(self) -> None:
        try:
            if self.device.type == "cpu":
                warm_up()
        finally:
            self._compiled.set()
        for name in self.names:
            if not threading.main_thread().is_alive():
                return
            try:
                self.get(name)
            except ValueError:
                continue  # the run that asks for it reports the damaged file
