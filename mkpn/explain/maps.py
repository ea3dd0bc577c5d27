"""The kernels of every pixel, each described by a few numbers: what the networks do where.

The networks predict kernels at half the picture's resolution and interpolate them (Fig. 1). The maps describe what was
predicted: one value for each 2x2 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mkpn.explain.coefficients import cell_blocks
from mkpn.inference.denoiser import Result

_TINY = 1e-12


@dataclass(frozen=True)
class Behaviour:
    """Maps `[h,w]` float32 of what the kernels do, at half resolution.

    A kernel's strength is the magnitude of the sum of its weights: how much of the picture's brightness it carries.

    Attributes:
        sizes: the S sides.
        shares: `[S,h,w]`, the strength of each size over that of all, 0 to 1; all frames together.
        radius: effective radius of the fused kernels in pixels, see `mkpn.explain.statistics`, the root of the mean
            square over the frames, each frame by its noise gain.
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


@torch.inference_mode()
def behaviour(result: Result) -> Behaviour:
    """Describes the kernels of a result; only cells that the picture shows, rounded up."""
    config = result.denoiser.config
    height, width = (-(-side // 2) for side in result.image.shape[-2:])
    maps = torch.empty(len(config.sizes) + 4, *result.cells)
    for block, coeffs in cell_blocks(result):
        found = describe(coeffs, config.sizes, config.separable)
        maps[(..., *block.slices)] = torch.cat(
            (found.shares, torch.stack((found.radius, found.noise_gain, found.reference, found.frames)))
        )
    edge = result.burst.rim // 2
    values = maps[:, edge : edge + height, edge : edge + width].numpy()
    return Behaviour(config.sizes, values[:-4], values[-4], values[-3], values[-2], values[-1])


@dataclass(frozen=True)
class Described:
    """`Behaviour` of some cells as tensors, `[S,...]` and `[...]`."""

    shares: Tensor
    radius: Tensor
    noise_gain: Tensor
    reference: Tensor
    frames: Tensor


def describe(coeffs: Tensor, sizes: tuple[int, ...], separable: bool) -> Described:
    """Describes kernels.

    The fused kernel is never built: the sum of the squares of a sum of outer products follows from the 1-D factors'
    products with each other.

    Args:
        coeffs: as a network arranges them, `[N,2,p,...]` or, for full kernels, `[N,K*K,...]`.
        sizes: the S sides.
        separable: which of the two.

    Raises:
        ValueError: if the coefficients do not fit the sizes, or full kernels have several.
    """
    axis = 2 if separable else 1
    taps = [size if separable else size * size for size in sizes]
    if coeffs.ndim <= axis or coeffs.shape[axis] != sum(taps):
        raise ValueError(f"coeffs: expected {sum(taps)} taps for the sizes {sizes}, got {list(coeffs.shape)}")
    parts = coeffs.split(taps, dim=axis)
    if separable:
        sums = torch.stack([part.sum(2).prod(1) for part in parts], dim=1)  # [N,S,...]
        moments = _separable_moments(parts, sizes)
    else:
        if len(sizes) != 1:
            raise ValueError(f"sizes: expected one size of full kernels, got {sizes}")
        sums = coeffs.sum(1, keepdim=True)
        moments = _moments(coeffs.square().unflatten(1, (sizes[0], sizes[0])))
    energy, x, y, square = moments
    frames = sums.mean(1).abs()  # [N,...]
    strengths = sums.abs().sum(0)  # [S,...]
    safe = energy.clamp_min(_TINY)
    # Each frame has a centroid of its own: it follows that frame's motion.
    spread = (square - (x.square() + y.square()) / safe).clamp_min(0)
    return Described(
        shares=strengths / strengths.sum(0).clamp_min(_TINY),
        radius=(spread.sum(0) / energy.sum(0).clamp_min(_TINY)).sqrt(),
        noise_gain=energy.sum(0) / len(coeffs) ** 2,
        reference=frames[0] / frames.sum(0).clamp_min(_TINY),
        frames=frames.sum(0).square() / frames.square().sum(0).clamp_min(_TINY),
    )


def _separable_moments(parts: tuple[Tensor, ...], sizes: tuple[int, ...]) -> list[Tensor]:
    """`_moments` of the fused kernels' squares from the factors `[N,2,K,...]` of every size."""
    total: list[Tensor] = []
    for a, (size_a, part_a) in enumerate(zip(sizes, parts, strict=True)):
        for b, (size_b, part_b) in enumerate(zip(sizes[: a + 1], parts, strict=False)):
            small = min(size_a, size_b)
            product = _middle(part_a, small) * _middle(part_b, small)  # [N,2,K,...]
            place = _places(small, product.ndim, 2)
            none, one, two = product.sum(2), (product * place).sum(2), (product * place**2).sum(2)
            # Two different sizes meet twice in the square of their sum.
            weight = (1 if a == b else 2) / len(sizes) ** 2
            found = [
                none[:, 0] * none[:, 1],
                none[:, 0] * one[:, 1],
                one[:, 0] * none[:, 1],
                two[:, 0] * none[:, 1] + none[:, 0] * two[:, 1],
            ]
            total = [weight * new + (old if total else 0) for new, old in zip(found, total or found, strict=True)]
    return total


def _moments(squares: Tensor) -> list[Tensor]:
    """Sum of `[N,K,K,...]`, and its sum times x, times y, and times x*x + y*y from the centre, `[N,...]` each."""
    across, down = squares.sum(1), squares.sum(2)
    place = _places(squares.shape[1], across.ndim, 1)
    return [
        across.sum(1),
        (across * place).sum(1),
        (down * place).sum(1),
        ((across + down) * place**2).sum(1),
    ]


def _places(size: int, dimensions: int, axis: int) -> Tensor:
    shape = [1] * dimensions
    shape[axis] = size
    return (torch.arange(size, dtype=torch.float32) - size // 2).view(shape)


def _middle(part: Tensor, size: int) -> Tensor:
    edge = (part.shape[2] - size) // 2
    return part[:, :, edge : edge + size]
