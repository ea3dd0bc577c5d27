"""Was what a network removed noise? The residual of the reference over the noise that Eq. 7 expects.

Real photographs have no ground truth, so there is no PSNR. If the image is right, then `(frame 0 - image) / std` is
white noise of mean 0. Its standard deviation is a little below 1, because frame 0 takes part in the image: the mean of
N photographs leaves `sqrt(1 - 1/N)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.capture.burst import CapturedBurst

BORDER = 8
LAGS = 4

_RANGE, _BINS = 5.0, 50
_LEVELS = 10
_MOST_STRUCTURE = 0.08
_STD_RANGE = (0.8, 1.15)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """The normalised residual and its figures, over all channels, without a border of 8 pixels.

    Attributes:
        values: `[C,H,W]`, `(frame 0 - image) / expected standard deviation`, border included.
        mean: 0 for noise.
        std: about `expected` for noise; lower where noise was left or its level was overstated.
        expected: `sqrt(1 - 1/N)` of N different photographs, the standard deviation that their plain mean leaves.
        edges: of the histogram, `[51]` from -5 to 5.
        density: of the histogram, `[50]`, to be compared with the normal distribution.
        autocorrelation: `[9,9]`, lags (y, x) of -4 to 4 pixels, 1 at its centre; 0 elsewhere for white noise.
        levels: mean intensity of ten equally filled level sets, `[10]`.
        level_std: standard deviation of the residual in each of them, `[10]`: a slope says that the noise's parameters
            are wrong.
    """

    values: NDArray[np.float32]
    mean: float
    std: float
    expected: float
    edges: NDArray[np.float64]
    density: NDArray[np.float64]
    autocorrelation: NDArray[np.float64]
    levels: NDArray[np.float64]
    level_std: NDArray[np.float64]

    @property
    def neighbours(self) -> float:
        """The mean autocorrelation of the four direct neighbours: above 0 where detail of the scene was removed."""
        near = [(LAGS, LAGS + 1), (LAGS + 1, LAGS)]
        return float(np.mean([self.autocorrelation[lag] for lag in near]))

    def verdict(self) -> str:
        """Says in one sentence whether what was removed looks like noise; thresholds are in the folder's README."""
        low, high = (self.expected * factor for factor in _STD_RANGE)
        if self.std > high:
            return "More was removed than the noise that is expected: detail is lost, or the noise is understated."
        if self.neighbours > _MOST_STRUCTURE:
            return "What was removed has structure: detail is lost, or the noise of neighbouring pixels is related."
        if self.std < low:
            return "Less was removed than the noise that is expected: noise is left, or it is overstated."
        return "What was removed looks like the noise that is expected."


def residual(burst: CapturedBurst, image: torch.Tensor) -> Residual:
    """Measures what a network has removed from the reference.

    Args:
        burst: what was denoised.
        image: `[C,H,W]`, the network's result.

    Raises:
        ValueError: if the image has another shape than the burst's frames, or is too small.
    """
    if image.shape != burst.frames.shape[1:]:
        raise ValueError(f"image: expected {list(burst.frames.shape[1:])}, got {list(image.shape)}")
    if min(image.shape[-2:]) < 2 * BORDER + 4 * LAGS:
        raise ValueError(f"image: expected sides of {2 * BORDER + 4 * LAGS} or more, got {list(image.shape)}")
    values = ((burst.frames[0] - image) / burst.expected_std(image).clamp_min(1e-6)).numpy()
    inner = (slice(None), slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    seen = values[inner]
    density, edges = np.histogram(seen.clip(-_RANGE, _RANGE), _BINS, (-_RANGE, _RANGE), density=True)
    level, flat = image.numpy()[inner].ravel(), seen.ravel()
    sets = np.array_split(np.argsort(level, kind="stable"), _LEVELS)
    return Residual(
        values=values,
        mean=float(seen.mean(dtype=np.float64)),
        std=float(seen.std(dtype=np.float64)),
        expected=burst.residual_std,
        edges=edges,
        density=density,
        autocorrelation=_autocorrelation(seen),
        levels=np.array([level[members].mean() for members in sets], np.float64),
        level_std=np.array([flat[members].std(dtype=np.float64) for members in sets], np.float64),
    )


def _autocorrelation(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The correlation of `[C,H,W]` with itself at small lags, the mean of the channels weighted by their variance."""
    # A photograph of 12 megapixels has 36 million values: products stay in single precision, sums do not.
    centred = values - values.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    height, width = values.shape[1:]
    found = np.empty((2 * LAGS + 1, 2 * LAGS + 1))
    for y in range(LAGS + 1):
        for x in range(-LAGS, LAGS + 1):
            here = centred[:, : height - y, max(0, -x) : width - max(0, x)]
            there = centred[:, y:, max(0, x) : width - max(0, -x)]
            found[LAGS + y, LAGS + x] = found[LAGS - y, LAGS - x] = float((here * there).mean(dtype=np.float64))
    return found / max(found[LAGS, LAGS], 1e-12)
