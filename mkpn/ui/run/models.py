"""The networks of the app: weights are loaded once, in the background, and shared by all sessions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mkpn.checks import shown
from mkpn.device import describe_device, select_device
from mkpn.inference.denoiser import Denoiser, load
from mkpn.model.checkpoint import checkpoint_folder, read_metadata, shipped_models
from mkpn.model.config import model_config
from mkpn.ops import warm_up
from mkpn.ui.run.going import Going

LOGGER = logging.getLogger("mkpn.service")


class ModelStore:
    """Loads each network at its first use, or ahead of it with `preload`; safe to use from several threads.

    Attributes:
        folder: where the checkpoints lie.
        paths: checkpoint files by model name, in the order of `mkpn.MODELS`.
        metadata: what their files say about themselves, as `read_metadata`.
        left_out: a sentence for each file that is no checkpoint of the model that its name says.
        device: where the networks run.
        going: the runs that use them.
    """

    def __init__(self, folder: Path | None = None, device: str = "auto", going: Going | None = None) -> None:
        """Finds the checkpoints and reads their headers, but no weights yet.

        Args:
            folder: where `<model>.safetensors` lie; None takes the shipped ones.
            device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
            going: where runs are counted.

        Raises:
            ValueError: if the device is not available, or the folder not there.
        """
        if folder is not None and not folder.is_dir():
            raise ValueError(f"checkpoints: expected a folder, got {shown(str(folder))}, which is none")
        self.folder = folder or checkpoint_folder()
        self.paths: dict[str, Path] = {}
        self.metadata: dict[str, dict[str, Any]] = {}
        self.left_out: list[str] = []
        for name, path in shipped_models(self.folder).items():
            try:
                self.metadata[name] = _declared(name, path)
                self.paths[name] = path
            except ValueError as error:
                self.left_out.append(f"{path.name}: {error}")
        self.device: torch.device = select_device(device)
        self.going = Going() if going is None else going
        self._loaded: dict[str, Denoiser] = {}
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
            return self._loaded[name]

    def hash_of(self, name: str) -> str | None:
        """Returns the SHA-256 of the weights that were loaded, None for a network that has not been asked for."""
        denoiser = self._loaded.get(name)
        return None if denoiser is None else denoiser.metadata["sha256"]

    def preload(self, then: Callable[[], None] | None = None) -> threading.Thread:
        """Starts a background thread that compiles the CPU kernels and loads all networks; returns it.

        Args:
            then: what the thread does after that.
        """
        self._compiled.clear()
        # No daemon: one that is killed inside of C++ code takes the whole process down with "terminate called".
        thread = threading.Thread(target=self._preload, args=[then], name="mkpn-preload")
        thread.start()
        return thread

    def _preload(self, then: Callable[[], None] | None) -> None:
        try:
            if self.device.type == "cpu":
                warm_up()
        # Whatever fails here fails again, and is told, in the run that needs it.
        except Exception:
            LOGGER.exception("preload")
        finally:
            self._compiled.set()
        for name in self.names:
            if not threading.main_thread().is_alive():
                return
            try:
                self.get(name)
            except ValueError:
                continue  # the run that asks for it reports the damaged file
            except Exception:
                LOGGER.exception("preload")
        if then is not None:
            then()


def _declared(name: str, path: Path) -> dict[str, Any]:
    """Returns a checkpoint's metadata; a ValueError says why it cannot be used, as far as its header tells."""
    config = model_config(name)
    try:
        metadata = read_metadata(path)
        sizes, separable = metadata["config"]["sizes"], metadata["config"]["separable"]
        right = (tuple(sizes), separable) == (config.sizes, config.separable)
    # Whatever somebody has put there must not keep the app from starting with the others.
    except Exception as error:
        raise ValueError(f"expected a checkpoint of this program ({type(error).__name__})") from error
    if not right:
        raise ValueError(f"expected the kernels of {config.label}, got sizes {shown(sizes)}")
    return metadata
