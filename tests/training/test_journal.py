"""What a training run leaves to read: validation's figures by hand, and the rows of the sample pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.datasets import Batch
from mkpn.training.config import TrainConfig
from mkpn.training.journal import Validation, write_sample


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
