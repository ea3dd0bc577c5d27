"""Training bursts that are drawn where they are needed: on the GPU, which then never waits for the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mkpn.synthesis.burst import rng_for
from mkpn.synthesis.datasets import Batch
from mkpn.synthesis.images import to_levels
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import LOG_RANGES, PAPER_RANGES, NoiseRange
from mkpn.synthesis.scenes import drawn_scene

SCENES = 512
"""Scenes that are drawn once, at the start: a GPU cannot draw text."""


class DeviceStream:
    """The training batches of `mkpn.synthesis.datasets.TrainingStream` by the same law, from a stream of its own.

    Motion, noise, windows and symmetries have the same distribution, but the numbers are others: they come from the
    device's own generator. A step is a pure function of (seed, step, rank) on one kind of device. Drawn scenes
    come from `SCENES` that are made beforehand.

    Args:
        photographs: `[C,H,W]` 8-bit arrays, see `mkpn.synthesis.datasets.load_photographs`; all are kept on the device.
        batch: bursts per step.
        patch: side of the bursts in pixels.
        noise_range: see `mkpn.synthesis.noise.sample_noise`.
        seed: of the stream.
        rank: of the process.
        sharp: share of samples that show a drawn scene.
        device: where everything is drawn.
    """

    def __init__(
        self,
        photographs: Sequence[NDArray[np.uint8]],
        *,
        batch: int,
        patch: int,
        noise_range: NoiseRange,
        seed: int,
        rank: int = 0,
        sharp: float = 0.0,
        device: torch.device,
    ) -> None:
        self.batch, self.patch, self.seed, self.rank, self.sharp = batch, patch, seed, rank, sharp
        self.noise_range, self.burst, self.device = noise_range, BurstConfig(), device
        self._photographs, side = len(photographs), self._side
        pictures = list(photographs)
        if sharp:
            # The rank enters here too: processes see other scenes.
            drawn = (drawn_scene(rng_for(seed, rank, index), side, side) for index in range(SCENES))
            pictures += [to_levels(scene) for scene in drawn]
        sizes = torch.tensor([picture.shape[1:] for picture in pictures])
        self._heights, self._widths = sizes.to(device).unbind(1)
        areas = sizes.prod(1)
        self._starts = (areas.cumsum(0) - areas).to(device)
        flat = np.concatenate([picture.reshape(picture.shape[0], -1) for picture in pictures], axis=1)
        self._pixels = torch.from_numpy(flat).to(device)

    @property
    def _side(self) -> int:
        """Of a window with what the displaced frames show of its surroundings."""
        return self.patch + 2 * self.burst.margin

    @torch.no_grad()
    def __call__(self, step: int) -> Batch:
        """Returns the batch of a step, on the device."""
        key = int(rng_for(self.seed, step, self.rank).integers(2**62))
        generator = torch.Generator(self.device).manual_seed(key)
        windows, offsets = self.windows(generator)
        sigma_r, sigma_s = self._noise(generator)
        deviation = (sigma_r**2 + sigma_s * windows).sqrt_()
        frames = torch.randn(windows.shape, generator=generator, device=self.device).mul_(deviation).add_(windows)
        noise_std = (sigma_r[:, 0] ** 2 + sigma_s[:, 0] * frames[:, 0].clamp_min(0)).sqrt_()
        return Batch(frames=frames, clean=windows[:, 0].contiguous(), noise_std=noise_std, offsets=offsets)

    def windows(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws what the frames show without noise `[B,N,C,h,w]`, and their offsets `[B,N,2]`."""
        count, side, device = self.batch, self._side, self.device
        picture = self._whole(generator, torch.full((count,), self._photographs, device=device))
        if self.sharp:
            drawn = self._photographs + self._whole(generator, torch.full((count,), SCENES, device=device))
            picture = torch.where(self._uniform(generator, count) < self.sharp, drawn, picture)
        width = self._widths[picture]
        top = self._whole(generator, self._heights[picture] - side + 1)
        left = self._whole(generator, width - side + 1)
        offsets = self._offsets(generator)
        steps = torch.arange(self.patch, device=device) + self.burst.margin
        rows = (steps + offsets[..., 1, None])[..., :, None].expand(-1, -1, -1, self.patch)
        columns = (steps + offsets[..., 0, None])[..., None, :].expand(-1, -1, self.patch, -1)
        # The eight symmetries of a square, of the scene before the frames are cut out of it.
        turned, upright, mirrored = (self._uniform(generator, count) < 0.5 for _ in range(3))
        turned, upright, mirrored = (_over(flag) for flag in (turned, upright, mirrored))
        rows, columns = torch.where(turned, columns, rows), torch.where(turned, rows, columns)
        rows = torch.where(upright, side - 1 - rows, rows)
        columns = torch.where(mirrored, side - 1 - columns, columns)
        places = _over(self._starts[picture]) + (_over(top) + rows) * _over(width) + _over(left) + columns
        return self._pixels[:, places].movedim(0, 2).float().div_(255), offsets

    def _offsets(self, generator: torch.Generator) -> Tensor:
        """`mkpn.synthesis.motion.sample_offsets` for a batch, `[B,N,2]`."""
        burst, shape = self.burst, (self.batch, self.burst.frames, 2)
        rate = torch.full((self.batch, 1), burst.rate, device=self.device)
        probability = (torch.poisson(rate, generator=generator) / burst.frames).clamp_max(1)
        strong = torch.rand(shape[:2], generator=generator, device=self.device) < probability
        large, small = (
            torch.randint(-most, most + 1, shape, generator=generator, device=self.device)
            for most in (burst.large, burst.small)
        )
        offsets = torch.where(strong[..., None], large, small)
        offsets[:, 0] = 0
        return offsets

    def _noise(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`mkpn.synthesis.noise.sample_noise` for a batch: sigma_r and sigma_s `[B,1,1,1,1]`."""
        paper = self.noise_range == "paper"
        (least_r, most_r), (least_s, most_s) = PAPER_RANGES if paper else LOG_RANGES
        drawn = (self._uniform(generator, self.batch)[:, None, None, None, None] for _ in range(2))
        sigma_r, sigma_s = (
            least + (most - least) * share
            for least, most, share in zip((least_r, least_s), (most_r, most_s), drawn, strict=True)
        )
        return (sigma_r, sigma_s) if paper else (10**sigma_r, 10**sigma_s)

    def _uniform(self, generator: torch.Generator, count: int) -> Tensor:
        return torch.rand(count, generator=generator, device=self.device)

    def _whole(self, generator: torch.Generator, below: Tensor) -> Tensor:
        """Whole numbers `[B]` from 0 to below `below [B]`."""
        share = torch.rand(below.shape, generator=generator, device=self.device, dtype=torch.float64)
        return (share * below).long()


def _over(values: Tensor) -> Tensor:
    """`[B]` as `[B,1,1,1]`, for frames, rows and columns."""
    return values[:, None, None, None]
