"""Checkpoints: safetensors with JSON metadata, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mkpn.model.config import MODELS, ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.whole_files import written_whole

FORMAT = "mkpn-checkpoint-1"


def checkpoint_folder() -> Path:
    """Returns the folder of the shipped weights: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "checkpoints"
    return inside if inside.is_dir() else package.parent / "checkpoints"


def shipped_models(folder: Path | None = None) -> dict[str, Path]:
    """Returns the checkpoint files that are there, by model name, in the order of `MODELS`."""
    folder = folder or checkpoint_folder()
    paths = {name: folder / f"{name}.safetensors" for name in MODELS}
    return {name: path for name, path in paths.items() if path.is_file()}


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
    """Writes tensors and JSON-serialisable metadata atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"format": FORMAT, "json": json.dumps(metadata, sort_keys=True)},
    )
    with written_whole(path, on_disk=True) as temporary:
        temporary.write_bytes(data)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Reads what `write_tensors` wrote.

    Raises:
        ValueError: if the file is missing, damaged, cut short, or not one of ours.
    """
    with _opened(path) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - not a dict


@contextmanager
def _opened(path: Path) -> Generator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ValueError(f"{path}: expected a checkpoint of format {FORMAT}, got {header.get('format')!r}")
            metadata = json.loads(header["json"])
            if not isinstance(metadata, dict):
                raise ValueError(f"{path}: expected a JSON object as metadata, got {type(metadata).__name__}")
            yield file, metadata
    except FileNotFoundError as error:
        # safetensors says this of a file that may not be read, too.
        if path.exists():
            raise ValueError(f"{path}: expected a checkpoint that may be read, got one that may not") from error
        raise ValueError(f"{path}: expected a checkpoint, got no file of this name") from error
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected a safetensors checkpoint, but it is damaged or foreign ({error})"
        ) from error


def read_metadata(path: Path) -> dict[str, Any]:
    """Reads only the metadata of what `write_tensors` wrote: quick, whatever the size of the file.

    Raises:
        ValueError: as `read_tensors`.
    """
    with _opened(path) as (_, metadata):
        return metadata


def save_model(
    path: Path,
    config: ModelConfig,
    weights: Mapping[str, torch.Tensor],
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Saves a network in half precision.

    Args:
        path: the `.safetensors` file.
        config: the architecture, stored whole.
        weights: a state dictionary of `KernelPredictionNetwork(config)`.
        provenance: how it was trained (JSON values).
        metrics: figures, with the definition of the metrics (JSON values).
    """
    half = {name: tensor.detach().cpu().half() for name, tensor in weights.items()}
    described = {"config": asdict(config), "training": provenance, "metrics": metrics or {}, "sha256": digest(half)}
    write_tensors(path, half, described)


def load_model(path: Path) -> tuple[KernelPredictionNetwork, dict[str, Any]]:
    """Loads a network (float32, on the CPU, in evaluation mode) and its metadata.

    What the file declares is checked against its header before anything is allocated; then the weights are checked
    against their SHA-256. Files that were written before there was one get it in the metadata that is returned.

    Raises:
        ValueError: if the file is missing, damaged, foreign, changed since it was written, or does not fit the
            configuration or the name that it declares.
    """
    with _opened(path) as (file, metadata):
        config = _declared(path, metadata)
        with torch.device("meta"):
            network = KernelPredictionNetwork(config)
        expected = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        actual = {name: header.get_shape() for name, header in headers.items()}
        wrong = [name for name in sorted({*expected, *actual}) if expected.get(name) != actual.get(name)]
        if wrong:
            raise ValueError(
                f"{path}: the tensors do not fit the configuration, first {wrong[0]}: "
                f"expected {expected.get(wrong[0])}, got {actual.get(wrong[0])}"
            )
        for name, header in headers.items():
            if header.get_dtype() not in _TYPES:
                raise ValueError(f"{path}: expected weights of {', '.join(_TYPES)}, got {header.get_dtype()} in {name}")
        tensors = {name: file.get_tensor(name) for name in headers}
    # Damage first: what is damaged may also be infinite.
    found = digest(tensors)
    if metadata.setdefault("sha256", found) != found:
        raise ValueError(f"{path}: the weights are not those that were saved (their SHA-256 differs): damaged?")
    if not all(bool((tensor.abs() <= _LARGEST).all()) for tensor in tensors.values()):
        raise ValueError(
            f"{path}: expected finite weights of at most {_LARGEST:g}, found a larger one, NaN or infinity"
        )
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return network.eval(), metadata


_LARGEST = torch.finfo(torch.float16).max
"""What fits into half precision, as which networks are saved; larger ones make infinities."""

_TYPES = ("F16", "BF16", "F32")
"""What weights may be stored as, in safetensors' names."""


def _declared(path: Path, metadata: Mapping[str, Any]) -> ModelConfig:
    """The configuration in the metadata; one that is not what its name, or the file's name, says is refused."""
    try:
        declared: dict[str, Any] = dict(metadata["config"])
        lists: dict[str, Any] = {key: tuple(declared[key]) for key in ("sizes", "widths")}
        config = ModelConfig(**(declared | lists))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a model configuration in the metadata ({error})") from error
    for name in (config.name, path.stem):
        known = model_config(name) if name in MODELS else config
        if (known.sizes, known.separable) != (config.sizes, config.separable):
            kind = "separable" if config.separable else "full"
            raise ValueError(f"{path}: named {name}, but its kernels are {kind}, of sides {config.sizes}")
    return config


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Returns the SHA-256 of tensors with their names, shapes and types, 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"{name} {list(tensor.shape)} {tensor.dtype};".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def stamp_metrics(path: Path, metrics: Mapping[str, Any], measured: str | None = None) -> None:
    """Replaces the figures in a checkpoint's metadata; its weights stay as they are.

    Args:
        path: the `.safetensors` file.
        metrics: figures, with the definition of the metrics (JSON values).
        measured: SHA-256 of the weights that the figures are of; None for whatever the file has.

    Raises:
        ValueError: as `read_tensors`, or if the weights are damaged or not those that were measured.
    """
    tensors, metadata = read_tensors(path)
    found = digest(tensors)
    if {metadata.get("sha256", found), measured or found} != {found}:
        raise ValueError(f"{path}: expected the weights that were measured, got others (their SHA-256 differs)")
    write_tensors(path, tensors, {**metadata, "metrics": metrics, "sha256": found})
