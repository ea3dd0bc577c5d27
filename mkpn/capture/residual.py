"""Was what a network removed noise? The residual of the reference over the noise that Eq. 7 expects.

Real photographs have no ground truth, so there is no PSNR. If the image is right, then `(frame 0 - image) / std` is
white noise of mean 0. Its standard deviation is a little below 1, because frame 0 takes part in the image: the mean of
N photographs leaves `sqrt(1 - 1/N)`. Places where the camera clips have less noise and say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.capture.burst import CapturedBurst
from mkpn.checks import kind

BORDER = 8
LAGS = 4

_RANGE, _BINS = 5.0, 50
_LEVELS = 10
_FEWEST = 200  # values that are not clipped below which nothing can be said
_CLIPPED = 2.0  # standard deviations from the end of the range within which noise is cut off
_MOST_STRUCTURE = 0.08
_LEAST = 0.8  # of the standard deviation that the plain mean leaves
# The truth leaves 1.00, of however many photographs: only the lower limit may follow their number.
_MOST = 1.075


@dataclass(frozen=True, kw_only=True)
class Residual:
    """The normalised residual and its figures, over all channels, without clipped places and a border of 8 pixels.

    Attributes:
        values: `[C,H,W]`, `(frame 0 - image) / expected standard deviation`, border and clipped places included.
        judged: share of the values inside of the border that are not clipped, over which the figures are; 0 where these
            are too few, and all values were taken.
        mean: 0 for noise.
        std: `expected` to 1 for noise; lower where noise was left or its level was overstated.
        expected: `sqrt(1 - 1/N)`, the standard deviation that the plain mean of the N photographs leaves.
        edges: of the histogram, `[51]` from -5 to 5.
        density: of the histogram, `[50]`, to be compared with the normal distribution.
        autocorrelation: `[9,9]`, lags (y, x) of -4 to 4 pixels, 1 at its centre; 0 elsewhere for white noise.
        levels: mean intensity of ten equally filled level sets, `[10]`.
        level_std: standard deviation of the residual in each of them, `[10]`: a slope says that the noise's parameters
            are wrong.
    """

    values: NDArray[np.float32]
    judged: float
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
        if not self.judged:
            return "Nearly everything is clipped: nothing tells whether what was removed is noise."
        if self.std > _MOST:
            return "More was removed than the noise that is expected: detail is lost, or the noise is understated."
        if self.neighbours > _MOST_STRUCTURE:
            return "What was removed has structure: detail is lost, or the noise of neighbouring pixels is related."
        if self.std < _LEAST * self.expected:
            return "Less was removed than the noise that is expected: noise is left, or it is overstated."
        return "What was removed looks like the noise that is expected."


def residual(burst: CapturedBurst, image: torch.Tensor) -> Residual:
    """Measures what a network has removed from the reference.

    Args:
        burst: what was denoised.
        image: `[C,H,W]`, the network's result.

    Raises:
        ValueError: if the image is no tensor, has another shape than the burst's frames, is too small, or holds NaN or
            infinity.
    """
    kind("image", image, torch.Tensor, "a tensor")
    if image.shape != burst.frames.shape[1:]:
        raise ValueError(f"image: expected {list(burst.frames.shape[1:])}, got {list(image.shape)}")
    if min(image.shape[-2:]) < 2 * BORDER + 4 * LAGS:
        raise ValueError(f"image: expected sides of {2 * BORDER + 4 * LAGS} or more, got {list(image.shape)}")
    if not image.isfinite().all():
        raise ValueError("image: expected finite values, got NaN or infinity")
    std = burst.expected_std(image).clamp_min(1e-6)
    values = ((burst.frames[0] - image) / std).numpy()
    inner = (slice(None), slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    kept = _unclipped(burst.clips, image.numpy()[inner], std.numpy()[inner])
    judged = float(kept.mean())
    if kept.sum() < _FEWEST:
        kept, judged = np.ones_like(kept), 0.0
    level, seen = image.numpy()[inner][kept], values[inner][kept]
    density, edges = np.histogram(seen.clip(-_RANGE, _RANGE), _BINS, (-_RANGE, _RANGE), density=True)
    sets = np.array_split(np.argsort(level, kind="stable"), _LEVELS)
    return Residual(
        values=values,
        judged=judged,
        mean=float(seen.mean(dtype=np.float64)),
        std=float(seen.std(dtype=np.float64)),
        expected=burst.residual_std,
        edges=edges,
        density=density,
        autocorrelation=_autocorrelation(values[inner], kept),
        levels=np.array([level[members].mean() for members in sets], np.float64),
        level_std=np.array([seen[members].std(dtype=np.float64) for members in sets], np.float64),
    )


def _unclipped(
    clips: tuple[tuple[float, float], ...], image: NDArray[np.float32], std: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Where noise about the image stays within the range of the camera, which cuts the rest of it off."""
    low, high = np.array(clips, np.float32).T[:, :, None, None]
    return (image - _CLIPPED * std > low) & (image + _CLIPPED * std < high)


def _autocorrelation(values: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The correlation of `[C,H,W]` with itself at small lags, the mean of the channels weighted by their variance."""
    # A photograph of 12 megapixels has 36 million values: products stay in single precision, sums do not.
    counts = kept.sum(axis=(1, 2), keepdims=True).clip(1)
    mean = np.sum(values, axis=(1, 2), keepdims=True, dtype=np.float64, where=kept) / counts
    centred = np.where(kept, values - mean.astype(np.float32), np.float32(0))
    height, width = values.shape[1:]
    found = np.empty((2 * LAGS + 1, 2 * LAGS + 1))
    for y in range(LAGS + 1):
        for x in range(-LAGS, LAGS + 1):
            here = slice(None), slice(height - y), slice(max(0, -x), width - max(0, x))
            there = slice(None), slice(y, None), slice(max(0, x), width - max(0, -x))
            pairs = max(1, int(np.count_nonzero(kept[here] & kept[there])))
            sum_ = float((centred[here] * centred[there]).sum(dtype=np.float64))
            found[LAGS + y, LAGS + x] = found[LAGS - y, LAGS - x] = sum_ / pairs
    return found / max(found[LAGS, LAGS], 1e-12)
