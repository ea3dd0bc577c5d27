"""PSNR and SSIM against scikit-image and closed forms."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import mkpn
from mkpn.metrics import MetricDefinition, definition_for
from mkpn.synthesis import images


def test_metrics_are_scikit_images(photo: NDArray[np.uint8]) -> None:
    clean = photo[:120, :160].transpose(2, 0, 1) / 255
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    a, b = noisy.clip(0, 1)[:, 8:-8, 8:-8], clean[:, 8:-8, 8:-8]
    assert mkpn.psnr(noisy, clean) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1), abs=1e-9)
    wang = [
        structural_similarity(
            x, y, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, K1=0.01, K2=0.03
        )
        for x, y in zip(a, b, strict=True)
    ]
    assert mkpn.ssim(noisy, clean) == pytest.approx(np.mean(wang), abs=1e-9)
    as_tensor = torch.from_numpy(noisy).float()
    assert mkpn.psnr(as_tensor, torch.from_numpy(clean)) == pytest.approx(mkpn.psnr(noisy, clean), abs=1e-4)


def test_ssim_window_is_11x11_gaussian_by_hand(photo: NDArray[np.uint8]) -> None:
    """One window, computed from Wang et al.'s definition: what a truncated or a square window would fail."""
    rng = np.random.default_rng(1)
    x, y = photo[50:61, 60:71, 1] / 255, np.clip(photo[50:61, 60:71, 1] / 255 + rng.normal(0, 0.1, (11, 11)), 0, 1)
    axis = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weight = np.outer(axis, axis) / np.outer(axis, axis).sum()
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy, cov = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum(), (weight * (x - mx) * (y - my)).sum()
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert mkpn.ssim(x, y, MetricDefinition(border=0)) == pytest.approx(expected, abs=1e-9)


def test_known_values() -> None:
    flat = np.full((3, 40, 40), 0.5)
    assert mkpn.psnr(flat, flat + 0.1) == pytest.approx(20)
    assert mkpn.psnr(flat, flat) == math.inf
    assert mkpn.ssim(flat, flat) == pytest.approx(1)
    assert mkpn.psnr(np.zeros((3, 40, 40)), flat * 4) == pytest.approx(0)  # clipped to 1


def test_border_and_luma_are_parameters() -> None:
    a = np.zeros((3, 64, 64))
    b = a.copy()
    b[:, :8] = 1
    assert mkpn.psnr(a, b) == math.inf
    assert mkpn.psnr(a, b, MetricDefinition(border=0)) == pytest.approx(-10 * math.log10(1 / 8))
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        pure = a.copy()
        pure[channel] = 0.5
        assert mkpn.psnr(a, pure, MetricDefinition(channels="luma")) == pytest.approx(-20 * math.log10(weight * 0.5))
        # Each channel is clipped before luma weighs it.
        assert mkpn.psnr(a, 6 * pure, MetricDefinition(channels="luma")) == pytest.approx(-20 * math.log10(weight))


def test_small_images_are_measured_without_a_border() -> None:
    assert definition_for(26, 100).border == 0
    assert definition_for(27, 100).border == 8
    with pytest.raises(ValueError, match=r"at least 27 .*got \[3, 20, 20\]"):
        mkpn.ssim(np.zeros((3, 20, 20)), np.zeros((3, 20, 20)))
    with pytest.raises(ValueError, match="one shape"):
        mkpn.psnr(np.zeros((3, 40, 40)), np.zeros((3, 40, 41)))


def test_integers_stand_for_intensities(photo: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    levels = photo[:64, :64].transpose(2, 0, 1)
    other = rng.integers(0, 256, levels.shape, dtype=np.uint8)
    expected = mkpn.psnr(levels / 255, other / 255)
    assert mkpn.psnr(levels, other) == pytest.approx(expected)
    assert mkpn.psnr(levels, other / 255) == pytest.approx(expected)
    assert mkpn.psnr(torch.from_numpy(levels.copy()), other) == pytest.approx(expected)
    assert mkpn.psnr(levels.astype(np.uint16) * 257, other) == pytest.approx(expected)
    assert mkpn.ssim(levels, other) == pytest.approx(mkpn.ssim(levels / 255, other / 255))


def test_the_strongest_noise_is_measured(photo: NDArray[np.uint8]) -> None:
    """Noisy frames are not clipped; the metrics clip them."""
    burst = mkpn.synthesize(photo[:96, :96], noise=mkpn.Noise(1, 1), seed=0)
    frame = burst.frames[0]
    assert float(frame.abs().max()) > 3
    assert mkpn.psnr(frame, burst.clean) == pytest.approx(mkpn.psnr(frame.clamp(0, 1), burst.clean))
    assert mkpn.ssim(frame, burst.clean) == pytest.approx(mkpn.ssim(frame.clamp(0, 1), burst.clean))


@pytest.mark.parametrize("measure", [mkpn.psnr, mkpn.ssim])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((3, 40, 40), 255.0), r"first image: expected .* in \[-10,11\] .*got 255 to 255"),
        (np.full((3, 40, 40), -10.1), "got -10.1"),
        (np.full((3, 40, 40), np.nan), "without NaN, got nan"),
        (np.full((3, 40, 40), np.inf), "got inf"),
        (np.zeros((3, 40, 40), np.int64), "expected unsigned integers or floating point, got int64"),
        (np.ma.masked_less(np.zeros((3, 40, 40)), 1), "without a mask"),
        (np.zeros((3, 40, 40), complex), "got complex128"),
    ],
)
def test_values_without_a_meaning_are_refused(measure: object, image: NDArray[np.generic], message: str) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match=message):
        measure(image, np.zeros((3, 40, 40)))
    with pytest.raises(ValueError, match="second image"):
        measure(np.zeros((3, 40, 40)), image)


@pytest.mark.parametrize(("metric", "most"), [(mkpn.psnr, 1), (mkpn.ssim, 2)])
def test_large_images_are_measured_in_strips(metric: Callable[..., object], most: float) -> None:
    """Measured: 0.4 and 1.7 planes of float64; a channel at a time took 5 and 15.2."""
    a = np.random.default_rng(0).random((3, 1400, 1900), dtype=np.float32)
    b = 1 - a
    metric(a[:, :40, :40], b[:, :40, :40])
    tracemalloc.start()
    metric(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most * a[0].size * 8


@pytest.mark.parametrize("definition", [MetricDefinition(), MetricDefinition(border=3, channels="luma")])
# Strips as thin as they may be, and strips some of which have a row more than others.
@pytest.mark.parametrize("pixels", [1, 4 * 97])
def test_strips_change_no_figure(monkeypatch: pytest.MonkeyPatch, definition: MetricDefinition, pixels: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((3, 131, 97), dtype=np.float32) for _ in range(2))
    whole = mkpn.psnr(a, b, definition), mkpn.ssim(a, b, definition)
    monkeypatch.setattr(images, "_STRIP", pixels)
    assert mkpn.psnr(a, b, definition) == pytest.approx(whole[0], abs=1e-12)
    assert mkpn.ssim(a, b, definition) == pytest.approx(whole[1], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_every_floating_type_are_measured(dtype: torch.dtype) -> None:
    clean = torch.full((3, 40, 40), 0.5, dtype=dtype)
    assert mkpn.psnr(clean + 0.25, clean) == pytest.approx(-20 * np.log10(0.25), abs=1e-6)


@pytest.mark.parametrize("shape", [(0, 40, 40), (0, 40), (3, 0, 40)])
def test_no_pixels_have_no_figure(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^images: expected "):
        mkpn.psnr(np.zeros(shape), np.zeros(shape), MetricDefinition(border=0))
