"""Ablation without training: the picture recomposed from some of the sizes and frames (Eq. 2 and Eq. 6).

The estimates `I_i^s` of every frame by every size are computed once; a picture without some of them is then a sum
of the others. This is not what a network would do that had been trained without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mkpn.explain.coefficients import all_coefficients
from mkpn.explain.rebuild import seen_frames
from mkpn.inference.denoiser import Result
from mkpn.ops import local_conv
from mkpn.ops.reference import upsample

LEAST_SUM = 0.1
"""Renormalising divides by the weights that are left; where they are below this part of all, the pixel stays."""


@dataclass(frozen=True)
class Estimates:
    """Every frame filtered by every size.

    Attributes:
        sizes: the S sides.
        shape: C, H and W of the picture.
        values: `[N*S,C*H*W]` float32, `I_i^s` of Eq. 6.
        sums: `[N*S,H*W]` float32, the sum of each kernel's weights.
        whole: `[H*W]`, the mean of all sums.
    """

    sizes: tuple[int, ...]
    shape: tuple[int, int, int]
    values: Tensor
    sums: Tensor
    whole: Tensor

    @property
    def frames(self) -> int:
        """Number of frames N."""
        return len(self.values) // len(self.sizes)

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        return 4 * (self.values.numel() + self.sums.numel() + self.whole.numel())


@torch.inference_mode()
def estimate(result: Result) -> Estimates:
    """Computes the estimates of a result, at 512x512 about 200 MB for MKPN."""
    config = result.denoiser.config
    coeffs = all_coefficients(result)
    seen, rim = result.burst.surroundings or result.burst, result.burst.rim
    height, width = seen.frames.shape[-2:]
    inside = (..., slice(rim, height - rim), slice(rim, width - rim))
    _, each = local_conv(seen_frames(seen.frames.float().cpu())[None], coeffs, config.sizes, estimates=True)
    each = each[inside]
    _, count, sizes, *shape = each.shape
    taps = config.sizes if config.separable else [size * size for size in config.sizes]
    # Up-sampling is linear, so the sum of a factor may be taken before it.
    parts = torch.stack([part.sum(-3) for part in coeffs.split(list(taps), dim=-3)], dim=2)  # [1,N,S,(2,)h,w]
    large = upsample(parts, height, width)[inside]
    sums = large.prod(dim=3) if config.separable else large
    flat = sums.reshape(count * sizes, -1)
    values = each.reshape(count * sizes, -1)
    return Estimates(config.sizes, (shape[0], shape[1], shape[2]), values, flat, flat.mean(0))


@torch.inference_mode()
def recompose(
    estimates: Estimates, sizes: Sequence[int], frames: Sequence[int], *, renormalise: bool = False
) -> tuple[Tensor, float]:
    """Adds up the estimates of some sizes and frames; all of them give the network's own picture.

    Args:
        estimates: of `estimate`.
        sizes: sides that are on.
        frames: frames that are on, counted from 0.
        renormalise: scale every pixel so that the weights that are left sum up to what all of them do.

    Returns:
        The picture `[C,H,W]`, and the share of pixels that could not be renormalised and stayed as they were.

    Raises:
        ValueError: for a size or a frame that does not exist.
    """
    unknown = set(sizes) - set(estimates.sizes)
    if unknown or any(not 0 <= frame < estimates.frames for frame in frames):
        raise ValueError(
            f"ablation: expected sizes out of {estimates.sizes} and frames from 0 to {estimates.frames - 1}, "
            f"got {sorted(sizes)} and {sorted(frames)}"
        )
    on = torch.zeros(estimates.frames, len(estimates.sizes))
    for frame in frames:
        for index, size in enumerate(estimates.sizes):
            on[frame, index] = float(size in sizes)
    weights = on.flatten() / on.numel()
    picture = (weights @ estimates.values).view(estimates.shape)
    if not renormalise:
        return picture, 0.0
    left, whole = (weights @ estimates.sums).numpy(), estimates.whole.numpy()
    usable = np.abs(left) >= LEAST_SUM * np.abs(whole)
    scale = np.where(usable, whole / np.where(usable, left, 1), 1)
    return picture * torch.from_numpy(scale).view(1, *estimates.shape[1:]), 1 - float(usable.mean())
