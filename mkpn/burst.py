"""A clean image becomes a noisy, displaced burst, from an explicit seed (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.config import BurstConfig
from mkpn.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Burst:
    """A synthetic burst and everything that is known about it.

    Attributes:
        frames: `[N,C,H,W]` float32, noisy and not clipped; frame 0 is the reference.
        clean: `[C,H,W]` float32 in [0,1], the ground truth of frame 0.
        noise_std: `[C,H,W]` float32, Eq. 8 on frame 0.
        offsets: `[N,2]` int64, the displacement (x, y) of each frame in pixels: pixel `(y, x)` of frame `i` shows
            the scene at `(y + offsets[i,1], x + offsets[i,0])` of frame 0.
        noise: the parameters of Eq. 7.
    """

    frames: torch.Tensor
    clean: torch.Tensor
    noise_std: torch.Tensor
    offsets: torch.Tensor
    noise: Noise


def rng_for(*key: int) -> np.random.Generator:
    """Returns a generator that is a pure function of its key, e.g. (seed, index) or (seed, step, rank, index)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def sample_offsets(rng: np.random.Generator, config: BurstConfig) -> NDArray[np.int64]:
    """Draws the displacements `[N,2]` (x, y) of a burst; frame 0 stays at (0, 0) (section 3.1, DESIGN 2.5)."""
    count = config.frames
    probability = min(rng.poisson(config.rate) / count, 1.0)
    strong = rng.random(count) < probability
    # Both ranges are always drawn, so that a frame's numbers do not depend on the frames before it.
    large = rng.integers(-config.large, config.large, size=(count, 2), endpoint=True)
    small = rng.integers(-config.small, config.small, size=(count, 2), endpoint=True)
    offsets = np.where(strong[:, None], large, small).astype(np.int64)
    offsets[0] = 0
    return offsets


def burst_windows(scene: NDArray[np.float32], offsets: NDArray[np.int64], margin: int) -> NDArray[np.float32]:
    """Cuts the clean frames `[N,C,h,w]` out of a scene `[C,h+2*margin,w+2*margin]`: shifted content is real."""
    height, width = scene.shape[1] - 2 * margin, scene.shape[2] - 2 * margin
    return np.stack([scene[:, margin + y : margin + y + height, margin + x : margin + x + width] for x, y in offsets])


def add_noise(clean: NDArray[np.float32], noise: Noise, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns Eq. 7, `x ~ N(y, sigma_r^2 + sigma_s * y)`, of intensities of any shape; the result is not clipped."""
    noisy = clean + noise.std(clean) * rng.standard_normal(clean.shape, dtype=np.float32)
    return noisy.astype(np.float32, copy=False)


def make_burst(
    scene: NDArray[np.float32], noise: Noise, rng: np.random.Generator, config: BurstConfig | None = None
) -> Burst:
    """Synthesises a burst whose frames are windows of one larger scene.

    Args:
        scene: `[C,H+2m,W+2m]` float32 in [0,1], with `m = config.margin`; the burst shows its inner `H x W`.
        noise: parameters of Eq. 7.
        rng: source of randomness; see `rng_for`.
        config: motion settings.

    Returns:
        A burst of `config.frames` frames of `H x W` pixels.

    Raises:
        ValueError: if the scene is not a [C,H,W] array with an inner part of at least one pixel.
    """
    config = config or BurstConfig()
    margin = config.margin
    if scene.ndim != 3 or min(scene.shape[1:]) <= 2 * margin:
        raise ValueError(
            f"scene: expected [C,H,W] with sides over {2 * margin} (a margin of {margin} pixels on each side is used "
            f"for the displacements), got {list(scene.shape)}"
        )
    offsets = sample_offsets(rng, config)
    windows = burst_windows(scene, offsets, margin)
    frames = torch.from_numpy(add_noise(windows, noise, rng))
    return Burst(
        frames=frames,
        clean=torch.from_numpy(np.ascontiguousarray(windows[0])),
        noise_std=noise.std(frames[0]),
        offsets=torch.from_numpy(offsets),
        noise=noise,
    )
