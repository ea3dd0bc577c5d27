"""What a training run leaves to read: validation's figures by hand, and the rows of the sample pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.datasets import Batch
from mkpn.training.config import TrainConfig
from mkpn.training.journal import Statistics, Validation, write_sample


def test_validation_is_the_psnr_without_a_border_of_eight_pixels(photo_folder: Path, tmp_path: Path) -> None:
    """An untrained network gives the mean of the burst, so that its figures can be computed by hand."""
    for name in ("0.png", "1.png"):
        shutil.copy(photo_folder / name, tmp_path)
    config = TrainConfig(images=(tmp_path,), validate_images=(tmp_path,), run=tmp_path / "run", downsample=1)
    validation = Validation(config)
    figures = validation(KernelPredictionNetwork(model_config("kpn-l1")))
    assert list(figures) == [1, 2, 4, 8]
    for gain, batch in validation.batches.items():
        assert batch.clean.shape == (2, 3, 64, 64)
        error = (batch.frames.mean(1).clamp(0, 1) - batch.clean).double()[..., 8:-8, 8:-8]
        by_hand = -10 * error.square().mean((1, 2, 3)).log10().mean()
        assert figures[gain] == pytest.approx(float(by_hand), abs=1e-4)


def test_a_sample_shows_noisy_mean_denoised_and_clean(tmp_path: Path) -> None:
    """Even patches: each row has a level of its own, and each burst a column."""
    network = KernelPredictionNetwork(model_config("kpn-l1"))
    with torch.no_grad():
        network.last.bias.mul_(0.5)  # of both factors of a kernel: a quarter of the mean
    levels = torch.tensor([[40.0, 100.0, 200.0], [80.0, 120.0, 240.0]]) / 255  # noisy, mean and clean of two bursts
    noisy, mean, clean = levels.T
    frames = ((8 * mean - noisy) / 7).view(2, 1).repeat(1, 8)
    frames[:, 0] = noisy
    even = torch.ones(3, 16, 16)
    batch = Batch(
        frames[..., None, None, None] * even,
        clean.view(2, 1, 1, 1) * even,
        torch.zeros(2, 3, 16, 16),
        torch.zeros(2, 8, 2, dtype=torch.int64),
    )
    write_sample(tmp_path / "made" / "sample.png", network, batch)
    pixels = np.asarray(Image.open(tmp_path / "made" / "sample.png"))
    expected = np.array([[40, 80], [100, 120], [25, 30], [200, 240]], np.uint8)
    np.testing.assert_array_equal(pixels, np.kron(expected, np.ones((16, 16), np.uint8))[..., None].repeat(3, 2))


def test_the_time_of_a_step_is_without_that_of_a_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("mkpn.training.journal.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("mkpn.training.journal._tensorboard", lambda _: None)
    statistics = Statistics(TrainConfig(images=(tmp_path,), run=tmp_path, log_every=2), 0, [])
    now[0] = 3.0
    statistics.add(1, 1.0, 1e-3)
    now[0] = 10.0
    statistics.validated(1, {4: 30.0}, 7.0)
    now[0] = 12.0
    statistics.add(2, 2.0, 1e-3)
    lines = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {"step": 1, "psnr": {"4": 30.0}},
        {"step": 2, "loss": 1.5, "lr": 1e-3, "seconds_per_step": 2.5},
    ]
