"""Checkpoints come back as they were written, and anything damaged or foreign is refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mkpn.model.checkpoint import (
    digest,
    load_model,
    read_tensors,
    save_model,
    shipped_models,
    stamp_metrics,
    write_tensors,
)
from mkpn.model.config import MODELS, ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork


@pytest.fixture
def saved(tmp_path: Path, mkpn_network: KernelPredictionNetwork) -> Path:
    path = tmp_path / "mkpn.safetensors"
    save_model(path, mkpn_network.config, mkpn_network.state_dict(), {"steps_done": 3}, {"psnr": 30.5})
    return path


def test_round_trip(saved: Path, mkpn_network: KernelPredictionNetwork) -> None:
    loaded, metadata = load_model(saved)
    assert loaded.config == mkpn_network.config
    assert metadata["training"] == {"steps_done": 3}
    assert metadata["metrics"] == {"psnr": 30.5}
    for name, tensor in mkpn_network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name
    assert saved.stat().st_size < 2.1 * 2_835_456  # half precision
    assert not list(saved.parent.glob("*.tmp"))


def test_truncated_and_damaged_files_are_refused(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    for name, content in {
        "truncated": data[: len(data) // 2],
        "header": data[:4] + b"\xff\xff\xff\xff" + data[8:],
        "empty": b"",
        "pickle": b"\x80\x04\x95" + data[3:200],
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=name):
            load_model(path)


def test_flipped_exponent_bits_are_refused(tmp_path: Path, mkpn_network: KernelPredictionNetwork) -> None:
    weights = {name: tensor.clone() for name, tensor in mkpn_network.state_dict().items()}
    weights["last.bias"][0] = float("nan")
    path = tmp_path / "nan.safetensors"
    save_model(path, mkpn_network.config, weights, {})
    with pytest.raises(ValueError, match="finite"):
        load_model(path)


def test_weights_that_only_make_infinities_are_refused(saved: Path) -> None:
    tensors, metadata = read_tensors(saved)
    del metadata["sha256"]
    tensors["last.bias"] = tensors["last.bias"].float()
    tensors["last.bias"][0] = -1e30
    write_tensors(saved, tensors, metadata)
    with pytest.raises(ValueError, match="at most 65504"):
        load_model(saved)


def test_one_flipped_bit_of_a_weight_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1001] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256 differs"):
        load_model(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 8.0},
        {"frames": True},
        {"frames": 10**6},
        {"colors": 10**9},
        {"head_width": 10**9},
        {"head_width": 4096},
        {"widths": [4096] * 5},
        {"widths": [16, 32, 64, 128, "128"]},
        {"sizes": [1, 3, 5, 7, 9, True]},
        {"sizes": 5},
        {"separable": 1},
        {"name": ["mkpn"]},
        {"head_width": float("nan")},
        {"extra": 1},
    ],
    ids=str,
)
def test_what_a_file_declares_is_checked_before_anything_is_allocated(
    saved: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, metadata = read_tensors(saved)
    metadata["config"] |= changes
    write_tensors(saved, tensors, metadata)

    def allocated(*_: object, **__: object) -> None:
        raise AssertionError("read a tensor, or made one")

    monkeypatch.setattr("mkpn.model.checkpoint.digest", allocated)
    monkeypatch.setattr("mkpn.model.checkpoint.KernelPredictionNetwork", on_meta_only)
    with pytest.raises(ValueError, match=re.escape(str(saved))):
        load_model(saved)


def on_meta_only(config: ModelConfig) -> KernelPredictionNetwork:
    assert torch.empty(0).device.type == "meta"
    return KernelPredictionNetwork(config)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int8, torch.bool, torch.complex64])
def test_weights_of_other_types_are_refused(saved: Path, dtype: torch.dtype) -> None:
    tensors, metadata = read_tensors(saved)
    del metadata["sha256"]
    tensors["last.bias"] = tensors["last.bias"].to(dtype)
    write_tensors(saved, tensors, metadata)
    with pytest.raises(ValueError, match=r"expected weights of F16, BF16, F32, got \w+ in last\.bias"):
        load_model(saved)


def test_a_network_under_another_ones_name_is_refused(tmp_path: Path) -> None:
    network = KernelPredictionNetwork(model_config("kpn-l25"))
    path = tmp_path / "kpn-l3.safetensors"
    save_model(path, network.config, network.state_dict(), {})
    with pytest.raises(ValueError, match=r"named kpn-l3, but its kernels are separable, of sides \(25,\)"):
        load_model(path)
    save_model(tmp_path / "mine.safetensors", replace(network.config, name="kpn"), network.state_dict(), {})
    with pytest.raises(ValueError, match="named kpn, but"):
        load_model(tmp_path / "mine.safetensors")


def test_metadata_that_is_no_object_is_refused(saved: Path) -> None:
    for metadata in ([], 3, None, "text"):
        write_tensors(saved, {"a": torch.zeros(1)}, metadata)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="JSON object"):
            load_model(saved)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(ValueError, match="expected a checkpoint of format"):
        load_model(foreign)
    with pytest.raises(ValueError, match="got no file of this name"):
        load_model(tmp_path / "missing.safetensors")


def test_weights_of_another_architecture_are_refused(tmp_path: Path, mkpn_network: KernelPredictionNetwork) -> None:
    path = tmp_path / "wrong.safetensors"
    save_model(path, model_config("kpn-l5"), mkpn_network.state_dict(), {})
    with pytest.raises(ValueError, match="do not fit the configuration"):
        load_model(path)
    write_tensors(path, mkpn_network.state_dict(), {"config": {"name": "x", "sizes": [2]}})
    with pytest.raises(ValueError, match="model configuration"):
        load_model(path)


def test_a_failed_write_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mkpn.whole_files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_tensors(saved, {"a": torch.zeros(3)}, {})
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_file_that_may_not_be_read_is_not_called_missing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> object:
        # As safetensors does where a file may not be read.
        raise FileNotFoundError(f"No such file or directory: {saved}")

    monkeypatch.setattr("mkpn.model.checkpoint.safe_open", forbidden)
    with pytest.raises(ValueError, match="expected a checkpoint that may be read, got one that may not"):
        read_tensors(saved)


def steps_in_line(training: dict[str, Any] | None) -> int:
    """Steps of a run and of all those that its weights come from."""
    if training is None:
        return 0
    before = training.get("started_from")
    return training["steps_done"] + steps_in_line(before["training"] if before else None)


def test_all_ten_networks_are_shipped() -> None:
    """The shipped weights load, are what they are called, and tell how they were trained."""
    shipped = shipped_models()
    assert tuple(shipped) == MODELS
    for name, path in shipped.items():
        network, metadata = load_model(path)
        assert network.config == model_config(name)
        assert steps_in_line(metadata["training"]) >= 10_000
        assert {row["gain"] for row in metadata["metrics"]["rows"]} == {1, 2, 4, 8}
        json.dumps(metadata)


def test_figures_of_other_or_damaged_weights_are_not_stamped(saved: Path) -> None:
    with pytest.raises(ValueError, match="expected the weights that were measured"):
        stamp_metrics(saved, {"psnr": 31.0}, measured="0" * 64)
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ValueError, match="expected the weights that were measured"):
        stamp_metrics(saved, {"psnr": 31.0})
    assert saved.read_bytes() == data


def test_figures_can_be_stamped_without_touching_the_weights(saved: Path) -> None:
    before = digest(read_tensors(saved)[0])
    stamp_metrics(saved, {"psnr": 31.0})
    tensors, metadata = read_tensors(saved)
    assert metadata["metrics"] == {"psnr": 31.0}
    assert metadata["training"] == {"steps_done": 3}
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert digest(read_tensors(saved)[0]) == metadata["sha256"] == before
    tensors["last.bias"][0] += 1
    write_tensors(saved, tensors, metadata)
    assert digest(read_tensors(saved)[0]) != before
