"""Noise of a burst whose parameters nobody has told: Eq. 7 fitted to the differences of its frames.

The difference of two aligned frames holds no scene, only the noise of both. Its diagonal detail (the finest Haar
wavelet) removes what sub-pixel motion has left of edges. The flatter half of the pixels is sorted by intensity into
level sets; the median absolute deviation of each set estimates a standard deviation (Donoho and Johnstone, 1994), and
Eq. 7 is fitted to these robustly, as Foi et al. do for one image (IEEE TIP 17(10), 2008, pages 1737 to 1754).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import least_squares

from mkpn.synthesis.noise import Noise

NORMAL_MAD = 0.6744897501960817
"""Median absolute deviation of the normal distribution of standard deviation 1."""

_SETS = 24
_FEWEST = 200  # pixels of a level set
_MOST = 250_000  # pixels of a pair of frames that are looked at
_LEVEL = 5  # side of the window whose mean is a pixel's level
_SMOOTH = 1.5  # sigma of the Gaussian before the gradient that tells even places from others
_CLIPPED = 0.25  # share of blocks (of 8 values) that touch the end of the range, above which a level set is left out


def estimate_noise(
    frames: NDArray[np.float32],
    low: float = -math.inf,
    high: float = math.inf,
    brightness: Sequence[float] | None = None,
) -> Noise:
    """Estimates Eq. 7's parameters of one channel.

    Args:
        frames: `[N,H,W]` with N of 2 or more: different photographs, aligned by whole pixels, of values as stored.
        low: value at which the camera clips; level sets that reach it are left out.
        high: the same at the upper end.
        brightness: of each frame against the first; all alike by default.

    Raises:
        ValueError: if there is one frame only, or nearly everything is clipped.
    """
    if len(frames) < 2:
        raise ValueError(f"frames: expected 2 or more to estimate noise from their differences, got {len(frames)}")
    mean = frames.mean(axis=0)
    level = uniform_filter(mean, _LEVEL)[:-1, :-1]
    along_y, along_x = np.gradient(gaussian_filter(mean, _SMOOTH))
    steepness = np.hypot(along_y, along_x)[:-1, :-1]
    step = max(1, math.ceil(level.size / _MOST))
    parts: list[tuple[NDArray[Any], ...]] = []
    brightness = brightness or [1.0] * len(frames)
    for (first, of_first), (second, of_second) in pairwise(zip(frames, brightness, strict=True)):
        clipped = _in_block((first <= low) | (first >= high) | (second <= low) | (second >= high))
        # Either has the other's brightness, so that no scene is left, and the noise is a mean of both as stored.
        detail = _diagonal(first * of_second - second * of_first) / math.hypot(of_first, of_second)
        parts.append(tuple(array.ravel()[::step] for array in (level, steepness, detail, clipped)))
    levels, steep, details, clips = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    points: list[tuple[float, float, int]] = []
    # Small photographs have fewer sets, not too small ones: half of a set's pixels count.
    sets = min(_SETS, max(1, len(levels) // (2 * _FEWEST)))
    for members in np.array_split(np.argsort(levels, kind="stable"), sets):
        if clips[members].mean() > _CLIPPED:
            continue
        flat = members[np.argsort(steep[members], kind="stable")[: (len(members) + 1) // 2]]
        if len(flat) >= _FEWEST:
            variance = (np.median(np.abs(details[flat])) / NORMAL_MAD) ** 2
            points.append((float(levels[flat].mean()), float(variance), len(flat)))
    if not points:
        raise ValueError(
            f"noise: expected at least {2 * _FEWEST} pixels of similar intensity that are not clipped, got fewer; "
            "give sigma_r and sigma_s"
        )
    return _fit(*(np.array(values) for values in zip(*points, strict=True)))


def _fit(level: NDArray[Any], variance: NDArray[Any], count: NDArray[Any]) -> Noise:
    """Fits `sigma_r^2 + sigma_s * level` to the variances' logarithms, so that outliers and dark levels count alike."""
    smallest = 1e-10  # a standard deviation of two thirds of a 16-bit level
    variance = np.maximum(variance, smallest)
    weight = np.sqrt(count / count.max())

    def misfit(parameters: NDArray[Any]) -> NDArray[Any]:
        model = np.maximum(parameters[0] + parameters[1] * np.maximum(level, 0), smallest)
        return weight * (np.log(model) - np.log(variance))

    scale = np.array([variance.min(), max(float(np.ptp(variance)) / max(float(np.ptp(level)), 0.01), smallest)])
    found = least_squares(misfit, scale / 2, bounds=(0, 1), x_scale=scale, loss="soft_l1", f_scale=0.1)
    return Noise(math.sqrt(float(found.x[0])), float(found.x[1]))


def _diagonal(values: NDArray[Any]) -> NDArray[Any]:
    """The diagonal detail of every 2x2 block, whose noise has the variance of one pixel."""
    return (values[:-1, :-1] - values[:-1, 1:] - values[1:, :-1] + values[1:, 1:]) / 2


def _in_block(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return marked[:-1, :-1] | marked[:-1, 1:] | marked[1:, :-1] | marked[1:, 1:]
