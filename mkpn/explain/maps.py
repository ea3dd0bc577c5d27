"""The kernels of every pixel, each described by a few numbers: what the networks do where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mkpn.explain.coefficients import full_resolution
from mkpn.inference.denoiser import Result

CACHED_PIXELS = 1024
"""Pixels whose kernels are built at once: few enough for the processor's cache."""


@dataclass(frozen=True)
class Behaviour:
    """Maps `[H,W]` float32 of what the kernels of each pixel do.

    A kernel's strength is the magnitude of the sum of its weights: how much of the picture's brightness it carries.

    Attributes:
        sizes: the S sides.
        shares: `[S,H,W]`, the strength of each size over that of all, 0 to 1; all frames together.
        radius: effective radius of the fused kernels in pixels, see `mkpn.explain.statistics`, all frames together.
        noise_gain: variance of the output's noise over that of one frame's, for noise that is equal everywhere.
        reference: the strength of the reference frame's fused kernel over that of all frames, 0 to 1.
        frames: effective number of frames, 1 (one frame alone) to N (all alike): the frames' agreement.
    """

    sizes: tuple[int, ...]
    shares: NDArray[np.float32]
    radius: NDArray[np.float32]
    noise_gain: NDArray[np.float32]
    reference: NDArray[np.float32]
    frames: NDArray[np.float32]

    @property
    def dominant(self) -> NDArray[np.int64]:
        """The index in `sizes` of the size with the largest share, `[H,W]`."""
        return self.shares.argmax(0)


def behaviour(result: Result) -> Behaviour:
    """Describes the kernels of every pixel of a result."""
    config = result.denoiser.config
    shape = result.image.shape[-2:]
    shares = np.empty((len(config.sizes), *shape), np.float32)
    others = {name: np.empty(shape, np.float32) for name in ("radius", "noise_gain", "reference", "frames")}
    for block, coeffs in full_resolution(result):
        flat = coeffs.flatten(-2)
        pieces = [
            _describe(flat[..., first : first + CACHED_PIXELS], config.sizes, config.separable)
            for first in range(0, flat.shape[-1], CACHED_PIXELS)
        ]
        joined = {name: torch.cat([piece[name] for piece in pieces], dim=-1) for name in pieces[0]}
        area = (slice(*block.rows), slice(*block.columns))
        sides = (block.rows[1] - block.rows[0], block.columns[1] - block.columns[0])
        shares[(slice(None), *area)] = joined["shares"].view(-1, *sides).numpy()
        for name, target in others.items():
            target[area] = joined[name].view(sides).numpy()
    return Behaviour(
        config.sizes, shares, others["radius"], others["noise_gain"], others["reference"], others["frames"]
    )


@torch.inference_mode()
def _describe(coeffs: Tensor, sizes: tuple[int, ...], separable: bool) -> dict[str, Tensor]:
    """The maps of some pixels.

    Args:
        coeffs: `[N,2,p,P]` or `[N,q,P]` of P pixels.
        sizes: the sides.
        separable: which of the two.
    """
    count, pixels, largest = coeffs.shape[0], coeffs.shape[-1], max(sizes)
    taps = list(sizes) if separable else [size * size for size in sizes]
    parts = coeffs.split(taps, dim=-2)
    strengths = torch.zeros(len(sizes), pixels)
    fused = torch.zeros(count, largest, largest, pixels)
    for index, (size, part) in enumerate(zip(sizes, parts, strict=True)):
        if separable:
            kernel = part[:, 0, :, None] * part[:, 1, None]  # [N,K,K,P]
        else:
            kernel = part.unflatten(1, (size, size))
        strengths[index] = kernel.sum((1, 2)).abs().sum(0)
        edge = (largest - size) // 2
        fused[:, edge : edge + size, edge : edge + size] += kernel / len(sizes)
    frames = fused.sum((1, 2)).abs()  # [N,P]
    mass = fused.abs()
    rows, columns, whole = mass.sum(2), mass.sum(1), mass.sum((1, 2))
    place = torch.arange(largest, dtype=torch.float32) - largest // 2
    # Each frame has a centroid of its own: it follows that frame's motion.
    safe = whole.clamp_min(1e-12)
    x, y = (torch.einsum("nkp,k->np", marginal, place) / safe for marginal in (columns, rows))
    square = torch.einsum("nkp,k->np", rows + columns, place**2) / safe - x**2 - y**2
    everything = whole.sum(0).clamp_min(1e-12)
    return {
        "shares": strengths / strengths.sum(0).clamp_min(1e-12),
        "radius": ((square.clamp_min(0) * whole).sum(0) / everything).sqrt(),
        "noise_gain": fused.square().sum((0, 1, 2)) / count**2,
        "reference": frames[0] / frames.sum(0).clamp_min(1e-12),
        "frames": frames.sum(0).square() / frames.square().sum(0).clamp_min(1e-12),
    }
