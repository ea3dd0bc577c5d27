"""Noise has Eq. 7's mean and variance; offsets follow their law; bursts are windows of one scene, and repeatable."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mkpn
from mkpn.synthesis.burst import add_noise, burst_windows, make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig, sample_offsets
from mkpn.synthesis.noise import GAINS, Noise, noise_for_gain, sample_noise


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("intensity", [0.0, 0.2, 1.0])
def test_noise_has_the_mean_and_variance_of_eq_7(gain: int, intensity: float) -> None:
    noise, count = GAINS[gain], 400_000
    variance = noise.sigma_r**2 + noise.sigma_s * intensity
    samples = add_noise(np.full(count, intensity, np.float32), noise, rng_for(gain)).astype(np.float64)
    # Five standard errors: of the mean, sigma/sqrt(n); of the variance of a normal law, sigma^2 * sqrt(2/n).
    assert abs(samples.mean() - intensity) < 5 * math.sqrt(variance / count)
    assert abs(samples.var() - variance) < 5 * variance * math.sqrt(2 / count)


def test_the_four_gains_are_section_3_1() -> None:
    exponents = {g: (round(math.log10(n.sigma_r), 6), round(math.log10(n.sigma_s), 6)) for g, n in GAINS.items()}
    assert exponents == {1: (-2.1, -2.6), 2: (-1.8, -2.3), 4: (-1.4, -1.9), 8: (-1.1, -1.5)}
    with pytest.raises(ValueError, match="1, 2, 4, 8"):
        noise_for_gain(3)


def test_darkness_has_the_read_noise_alone() -> None:
    """Noisy frames are not clipped: below zero the shot noise ends, in arrays as in tensors."""
    values = np.array([-0.5, -1e-3, 0, 0.25], np.float32)
    expected = [0.01, 0.01, 0.01, math.sqrt(1e-4 + 0.04 * 0.25)]
    assert Noise(0.01, 0.04).std(values) == pytest.approx(expected, rel=1e-6)
    assert Noise(0.01, 0.04).std(torch.from_numpy(values)).tolist() == pytest.approx(expected, rel=1e-6)


def test_noise_estimate_is_eq_8_on_frame_0() -> None:
    burst = mkpn.synthesize(np.full((64, 64, 3), 0.1, np.float32), gain=8, seed=1)
    first = burst.frames[0]
    assert (first < 0).any()  # the case in which Eq. 8 clamps
    expected = torch.sqrt(torch.tensor(10**-1.1) ** 2 + 10**-1.5 * torch.clamp(first, min=0))
    torch.testing.assert_close(burst.noise_std, expected)


@pytest.mark.parametrize("noise_range", ["gains", "paper"])
def test_training_noise_covers_its_range(noise_range: str) -> None:
    rng = rng_for(3)
    draws = [sample_noise(rng, noise_range) for _ in range(3000)]  # pyright: ignore[reportArgumentType]
    reads, shots = np.array([n.sigma_r for n in draws]), np.array([n.sigma_s for n in draws])
    if noise_range == "gains":
        reads, shots = np.log10(reads), np.log10(shots)
        (low_r, high_r), (low_s, high_s) = (-2.6, -1.0), (-3.0, -1.3)
        # Log-uniform, and wide enough for all four gains.
        assert all(low_r <= math.log10(n.sigma_r) <= high_r for n in GAINS.values())
        assert all(low_s <= math.log10(n.sigma_s) <= high_s for n in GAINS.values())
    else:
        (low_r, high_r), (low_s, high_s) = (10**-3, 10**-1.5), (10**-2, 10**-1)
    for values, low, high in ((reads, low_r, high_r), (shots, low_s, high_s)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        # The mean of a uniform law, within five standard errors.
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / math.sqrt(12 * len(values))


def test_offsets_follow_section_3_1() -> None:
    config, count, rng = BurstConfig(), 20_000, rng_for(0)
    offsets = np.stack([sample_offsets(rng, config) for _ in range(count)])
    assert not offsets[:, 0].any()
    moving = offsets[:, 1:].reshape(-1, 2)
    assert moving.min() == -16
    assert moving.max() == 16
    # P(strong) = E[min(n/8, 1)], n ~ Poisson(1.5); a strong offset stays within +-2 on both axes in 25/33^2 cases.
    law = [math.exp(-1.5) * 1.5**n / math.factorial(n) for n in range(60)]
    strong = sum(p * min(n / 8, 1) for n, p in enumerate(law))
    expected = strong * (1 - (5 / 33) ** 2)
    outside = (np.abs(moving) > 2).any(axis=1)
    per_burst = outside.reshape(count, 7).mean(axis=1)  # frames of one burst share n: bursts are the samples
    assert abs(per_burst.mean() - expected) < 5 * per_burst.std() / math.sqrt(count)
    inside = moving[~outside]
    for value in range(-2, 3):  # nearly uniform in [-2, 2]
        assert abs((inside[:, 0] == value).mean() - 0.2) < 0.01


def test_extreme_rates() -> None:
    still = np.stack([sample_offsets(rng_for(i), BurstConfig(rate=0)) for i in range(200)])
    assert np.abs(still).max() == 2
    wild = np.stack([sample_offsets(rng_for(i), BurstConfig(rate=64)) for i in range(200)])
    assert (np.abs(wild[:, 1:]) > 2).any(axis=2).mean() > 0.95


def test_frames_are_windows_of_the_scene(photo: NDArray[np.uint8]) -> None:
    scene = np.ascontiguousarray(photo.transpose(2, 0, 1).astype(np.float32) / 255)
    burst = make_burst(scene, Noise(0, 0), rng_for(5), BurstConfig(rate=8))
    height, width = burst.clean.shape[-2:]
    assert (height, width) == (scene.shape[1] - 32, scene.shape[2] - 32)
    assert burst.offsets.abs().max() > 2
    for frame, (x, y) in zip(burst.frames.numpy(), burst.offsets.tolist(), strict=True):
        np.testing.assert_array_equal(frame, scene[:, 16 + y : 16 + y + height, 16 + x : 16 + x + width])
    assert torch.equal(burst.frames[0], burst.clean)


def test_frames_do_not_depend_on_the_rim() -> None:
    """The rim draws its noise from a stream of its own: the frames are those that a burst without one would have."""
    config = BurstConfig(frames=3)
    scene = rng_for(7).random((3, 60, 70), dtype=np.float32)
    rng = rng_for(5)
    windows = burst_windows(scene, sample_offsets(rng, config), config.margin)
    rng.spawn(1)
    expected = np.stack([add_noise(window, GAINS[8], rng) for window in windows])
    np.testing.assert_array_equal(make_burst(scene, GAINS[8], rng_for(5), config).frames, expected)


@pytest.mark.parametrize(("height", "width", "rim"), [(128, 130, 8), (127, 300, 16), (300, 127, 16), (1, 1, 16)])
def test_small_images_have_a_wider_rim(height: int, width: int, rim: int) -> None:
    burst = make_burst(np.full((3, height + 32, width + 32), 0.5, np.float32), GAINS[1], rng_for(3))
    assert burst.rim == rim
    assert burst.frames.shape[-2:] == (height, width)
    assert burst.surroundings is not None
    assert burst.surroundings.frames.shape[-2:] == (height + 2 * rim, width + 2 * rim)


def test_the_rim_goes_on_where_the_frames_end(photo: NDArray[np.uint8]) -> None:
    """It shows the scene, beyond the scene its edge repeats; its noise is that of Eq. 7 and leaves the frames alone."""
    scene = np.ascontiguousarray(photo.transpose(2, 0, 1).astype(np.float32) / 255)
    still, moved = (make_burst(scene, Noise(0, 0), rng_for(5), BurstConfig(rate=rate)) for rate in (0, 8))
    for burst in (still, moved):
        assert burst.surroundings is not None
        rim = burst.rim
        edged = np.pad(scene, ((0, 0), (rim, rim), (rim, rim)), mode="edge")
        for frame, (x, y) in zip(burst.surroundings.frames.numpy(), burst.offsets.tolist(), strict=True):
            height, width = frame.shape[1:]
            np.testing.assert_array_equal(frame, edged[:, 16 + y : 16 + y + height, 16 + x : 16 + x + width])
    noise = Noise(0.1, 0)
    noisy = make_burst(np.full((3, 232, 232), 0.5, np.float32), noise, rng_for(5))
    assert noisy.surroundings is not None
    error = noisy.surroundings.frames.numpy() - 0.5
    rim_only = np.ones(error.shape[-2:], bool)
    rim_only[noisy.rim : -noisy.rim, noisy.rim : -noisy.rim] = False
    assert error[..., rim_only].std() == pytest.approx(0.1, rel=0.02)
    # Independent of the noise inside, and of that of the other frames.
    assert abs(np.corrcoef(error[0][..., rim_only].ravel(), error[1][..., rim_only].ravel())[0, 1]) < 0.05


def test_other_frames_need_other_surroundings(photo: NDArray[np.uint8]) -> None:
    burst = mkpn.synthesize(photo[:64, :64], gain=4, seed=0)
    with pytest.raises(ValueError, match="surroundings: expected"):
        replace(burst, frames=burst.frames.clone())
    with pytest.raises(ValueError, match="surroundings: expected"):
        replace(burst, noise_std=burst.noise_std.clone())
    assert replace(burst, frames=burst.frames.clone(), surroundings=None).rim == 0
    assert burst.surroundings is not None
    for rim in (-2, 3):
        with pytest.raises(ValueError, match=rf"rim: expected .* got {rim}"):
            replace(burst.surroundings, rim=rim)


def test_a_seed_is_a_burst(photo: NDArray[np.uint8]) -> None:
    crop = photo[:96, :96]
    one, same, other = (mkpn.synthesize(crop, gain=4, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(one.frames, same.frames)
    assert not torch.equal(one.frames, other.frames)


def test_noise_in_strips_is_the_noise_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.random.default_rng(0).random((3, 70, 81), dtype=np.float32)
    whole = make_burst(scene, GAINS[8], rng_for(3))
    monkeypatch.setattr("mkpn.synthesis.burst._AT_ONCE", 0)
    monkeypatch.setattr("mkpn.synthesis.images._STRIP", 100)
    strips = make_burst(scene, GAINS[8], rng_for(3))
    assert whole.surroundings is not None
    assert strips.surroundings is not None
    assert torch.equal(strips.surroundings.frames, whole.surroundings.frames)


def test_the_generator_is_the_same_on_every_machine() -> None:
    """Golden value, made by `sha256(rng_for(1, 2, 3).standard_normal(1000, float32) rounded to 1e-4)`."""
    values = (rng_for(1, 2, 3).standard_normal(1000, dtype=np.float32) * 1e4).round().astype("<i4")
    assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == "2c4e615328dc1ec4"


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        mkpn.synthesize(np.zeros((64, 64)))
    with pytest.raises(ValueError, match="exactly one"):
        mkpn.synthesize(np.zeros((64, 64)), gain=4, noise=Noise(0.1, 0.1))
    with pytest.raises(ValueError, match="sides over 32"):
        make_burst(np.zeros((3, 32, 64), np.float32), Noise(0, 0), rng_for(0))
    with pytest.raises(ValueError, match="sigma_s"):
        Noise(0.1, -0.1)


def test_far_bursts_leave_small_kernels_nothing_to_align() -> None:
    config = BurstConfig(far=True)
    offsets = np.stack([sample_offsets(rng_for(seed), config) for seed in range(300)])
    assert (offsets[:, 0] == 0).all()
    largest = np.abs(offsets[:, 1:]).max(-1)
    assert (largest.min(), largest.max()) == (3, 16)
    # One axis is enough: along the other one a frame may stay.
    assert np.abs(offsets[:, 1:]).min(-1).min() == 0
    # Every place of that ring is as likely as any other, so that the mean of each axis is zero.
    assert np.abs(offsets[:, 1:].reshape(-1, 2).mean(0)).max() < 0.7
    with pytest.raises(ValueError, match="far: expected large above small"):
        BurstConfig(far=True, large=2)
