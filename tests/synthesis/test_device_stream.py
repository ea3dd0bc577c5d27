"""Bursts drawn on the device follow the law of those drawn on the host; here the device is the CPU, or a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest

from mkpn.synthesis.burst import rng_for
from mkpn.synthesis.datasets import TrainingStream
from mkpn.synthesis.device_stream import DeviceStream
from mkpn.synthesis.motion import BurstConfig, sample_offsets
from mkpn.synthesis.noise import Noise

SIDE, PATCH = 48, 16
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


def photographs(count: int = 3, side: int = SIDE) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    rng = np.random.default_rng(5)
    # Of several sizes, so that a wrong start or width in the flat memory shows.
    return [rng.integers(0, 256, (3, side + 7 * k, side + 3 * k), np.uint8) for k in range(count)]


def stream(device: torch.device, **options: Any) -> DeviceStream:
    settings: dict[str, Any] = {"batch": 16, "patch": PATCH, "noise_range": "gains", "seed": 4}
    pictures = options.pop("photographs", photographs())
    return DeviceStream(pictures, **settings | options, device=device)


def generator(device: torch.device, seed: int = 0) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def test_frames_are_windows_of_one_scene_at_their_offsets(device: torch.device) -> None:
    windows, offsets = stream(device).windows(generator(device))
    assert windows.shape == (16, 8, 3, PATCH, PATCH)
    compared = 0
    for burst, places in zip(windows, offsets.tolist(), strict=True):
        for frame, (x, y) in zip(burst, places, strict=True):
            if max(abs(x), abs(y)) < PATCH:
                here = frame[:, max(0, -y) : PATCH - max(0, y), max(0, -x) : PATCH - max(0, x)]
                there = burst[0][:, max(0, y) : PATCH - max(0, -y), max(0, x) : PATCH - max(0, -x)]
                assert torch.equal(here, there)
                compared += 1
    assert compared > 64


def test_scenes_are_the_photographs_in_all_eight_symmetries(device: torch.device) -> None:
    photograph = photographs(1)[0]  # as large as one window: there is one place for it
    inner = photograph[:, 16:-16, 16:-16]
    turned = [np.rot90(mirrored, times, (1, 2)) for mirrored in (inner, inner[:, :, ::-1]) for times in range(4)]
    drawn = stream(device, photographs=[photograph], batch=64)
    windows, _ = drawn.windows(generator(device))
    levels = (255 * windows[:, 0]).round().to(torch.uint8).cpu().numpy()
    found = {next(index for index, one in enumerate(turned) if np.array_equal(one, level)) for level in levels}
    assert found == set(range(8))


def test_windows_reach_every_corner_of_every_photograph(device: torch.device) -> None:
    pictures = photographs(2, SIDE + 1)
    for index, picture in enumerate(pictures):
        picture[...] = 10 * index
        picture[:, 16, 16] = 10 * index + 1  # the first pixel that a reference can show
        picture[:, -17, -17] = 10 * index + 2  # and the last
    windows, _ = stream(device, photographs=pictures, batch=512).windows(generator(device))
    assert {int(value) for value in (255 * windows[:, 0]).round().unique()} == {0, 1, 2, 10, 11, 12}


def test_motion_has_the_law_of_the_host(device: torch.device) -> None:
    _, offsets = stream(device, batch=2000).windows(generator(device))
    assert not offsets[:, 0].any()
    ours = offsets[:, 1:].cpu().numpy()
    rng = rng_for(3)
    theirs = np.stack([sample_offsets(rng, BurstConfig()) for _ in range(2000)])[:, 1:]
    for axis in (0, 1):
        assert ks_2samp(ours[..., axis].ravel(), theirs[..., axis].ravel()).pvalue > 1e-3
    # Strongly displaced frames come together: one number per burst says how many there are.
    strong = [(np.abs(drawn).max(-1) > 2).sum(1) for drawn in (ours, theirs)]
    assert ks_2samp(*strong).pvalue > 1e-3
    assert np.abs(ours).max() == 16


@pytest.mark.parametrize("noise_range", ["gains", "paper"])
def test_noise_has_the_law_of_the_host(device: torch.device, noise_range: Any) -> None:
    grey = np.full((3, SIDE, SIDE), 51, np.uint8)
    ours = stream(device, photographs=[grey], batch=1500, noise_range=noise_range)(0)
    host = TrainingStream([grey], batch=1500, patch=PATCH, noise_range=noise_range, seed=4)(0)
    spread = [(batch.frames - 0.2).flatten(1).std(1).cpu().numpy() for batch in (ours, host)]
    assert ks_2samp(*spread).pvalue > 1e-3


def test_noise_is_normal_with_the_deviation_of_the_noise_model(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Noise(0.03, 0.02)
    fixed = torch.full((16, 1, 1, 1, 1), 1.0, device=device)
    monkeypatch.setattr(DeviceStream, "_noise", lambda *_: (noise.sigma_r * fixed, noise.sigma_s * fixed))
    ours = stream(device)
    batch = ours(7)
    key = int(rng_for(4, 7, 0).integers(2**62))
    windows, offsets = ours.windows(generator(device, key))
    assert torch.equal(batch.clean, windows[:, 0])
    assert torch.equal(batch.offsets, offsets)
    standard = ((batch.frames - windows) / noise.std(windows.clone())).cpu().numpy()
    assert kstest(standard.ravel()[::11], "norm").pvalue > 1e-3
    torch.testing.assert_close(batch.noise_std, noise.std(batch.frames[:, 0].clone()))


def test_a_step_is_a_pure_function_of_seed_step_and_rank(device: torch.device) -> None:
    one = stream(device)(3)
    again = stream(device)(3)
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(again).values(), strict=True))
    for other in (stream(device)(4), stream(device, seed=5)(3), stream(device, rank=1)(3)):
        assert not torch.equal(one.frames, other.frames)


def test_the_share_of_drawn_scenes(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkpn.synthesis.device_stream.SCENES", 6)
    monkeypatch.setattr("mkpn.synthesis.device_stream.drawn_scene", lambda *_: np.ones((3, SIDE, SIDE), np.float32))
    dark = [np.zeros((3, SIDE, SIDE), np.uint8)]
    windows, _ = stream(device, photographs=dark, batch=2000, sharp=0.25).windows(generator(device))
    share = windows[:, 0].flatten(1).mean(1)
    assert set(share.unique().tolist()) == {0.0, 1.0}
    assert 0.21 < float(share.mean()) < 0.29
