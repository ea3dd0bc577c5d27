"""The benchmark runs, writes what it prints, and its stand-in computes the same image as ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mkpn.evaluation.speed.bench import bench
from mkpn.evaluation.speed.local_conv import unfold_and_multiply
from mkpn.evaluation.speed.measure import forward_flops
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv


def test_quick_run_writes_every_kind_of_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    bench(out=out, device="cpu", quick=True)
    written = json.loads(out.read_text())
    assert {row["kind"] for row in written["rows"]} == {"op", "training", "peak", "model", "large"}
    assert written["threads"] == torch.get_num_threads()
    for key in ("device", "torch", "commit"):
        assert written[key]
    for row in written["rows"]:
        assert row["seconds"] > 0
        assert row["runs"] >= 1
    printed = capsys.readouterr().out
    assert "GFLOP/s" in printed
    assert "reference" in printed


def test_processor_time_and_a_stand_in_too_large_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkpn.evaluation.speed.local_conv.available_memory", lambda: 1000)
    before = torch.get_num_threads()
    try:
        with pytest.raises(ValueError, match="clock: expected 'wall', or 'cpu' with one thread"):
            bench(device="cpu", threads=2, clock="cpu", quick=True)
        written = bench(only="ops", device="cpu", threads=1, clock="cpu", quick=True)
    finally:
        torch.set_num_threads(before)
    assert written["clock"] == "cpu"
    assert {row.get("backend") for row in written["rows"]} >= {"reference", None}
    assert "plain" not in {row.get("backend") for row in written["rows"]}


def test_the_stand_in_computes_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(1, 8, 3, 12, 14, generator=generator)
    coeffs = torch.randn(1, 8, 2, 9, 6, 7, generator=generator)
    expected = local_conv(frames, coeffs, (1, 3, 5), backend="reference")[0]
    torch.testing.assert_close(unfold_and_multiply(frames, coeffs, (1, 3, 5)), expected)


def test_flops_are_counted_by_hand() -> None:
    network = KernelPredictionNetwork(model_config("kpn-l1"))
    frames = torch.zeros(1, 8, 3, 16, 16)
    level = 0
    for scale, pairs in (
        (16, [(27, 24), (24, 24), (24, 24)]),
        (8, [(24, 48), (48, 48), (48, 48), (112, 64), (64, 64), (64, 16)]),
        (4, [(48, 64), (64, 64), (64, 64), (192, 64), (64, 64), (64, 64)]),
        (2, [(64, 128), (128, 128), (128, 128), (256, 128), (128, 128), (128, 128)]),
        (1, [(128, 128)] * 3),
    ):
        level += sum(2 * 9 * before * after for before, after in pairs) * scale * scale
    assert forward_flops(network, frames, frames[:, 0]) == level


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="existing folder"):
        bench(out=tmp_path / "nowhere" / "bench.json", quick=True)


def test_the_file_is_there_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C says that it keeps what was measured, and a file that cannot be written is found before the work."""

    def stopped(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("mkpn.evaluation.speed.bench.bench_ops", stopped)
    with pytest.raises(KeyboardInterrupt):
        bench(out=tmp_path / "bench.json", only="ops", device="cpu", quick=True)
    assert json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"] == []
