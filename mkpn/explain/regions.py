"""Pixels sorted into flat, edge and texture by the structure tensor of the clean picture.

The rule: gradients of the luma by central differences, their structure tensor averaged by a Gaussian of two pixels,
its eigenvalues a >= b. The third of the pixels with the lowest a + b is flat. Of the others the half with the higher
coherence (a - b) / (a + b) is edge, one direction prevails; the other half is texture. All that is even is flat, and
all of one direction only is edge, as of bars, also where that is more than a third or a half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian

from mkpn.metrics import LUMA

FLAT, EDGE, TEXTURE = 0, 1, 2
REGIONS = ("flat", "edge", "texture")
RULE = (
    "By the structure tensor of the clean picture (luma, Gaussian of 2 px): flat is the third of the pixels with the "
    "weakest gradients, or all that is even; of the others, edge is the half where one direction prevails, or all "
    "where there is only one; texture is the rest."
)
_SIGMA = 2.0
_ONE_DIRECTION = 0.99
"""Coherence above which there is one direction only; medians of photographs are below it."""


def classify(clean: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Sorts the pixels of a clean picture.

    Args:
        clean: `[C,H,W]` intensities.

    Returns:
        `[H,W]`, the index in `REGIONS`. An even picture is flat everywhere.

    Raises:
        ValueError: for another shape.
    """
    if clean.ndim != 3:
        raise ValueError(f"clean: expected [C,H,W], got {list(clean.shape)}")
    values = clean.astype(np.float64)
    luma = np.tensordot(LUMA, values, axes=1) if len(values) == 3 else values.mean(0)
    dy, dx = np.gradient(luma)
    xx, yy, xy = (gaussian(product, _SIGMA, preserve_range=True) for product in (dx * dx, dy * dy, dx * dy))
    energy = xx + yy
    coherence = np.hypot(xx - yy, 2 * xy) / np.maximum(energy, 1e-12)
    lively = energy > max(float(np.quantile(energy, 1 / 3)), 1e-10)
    regions = np.full(luma.shape, FLAT, np.uint8)
    if lively.any():
        middle = min(np.median(coherence[lively]), _ONE_DIRECTION)
        regions[lively] = np.where(coherence[lively] > middle, EDGE, TEXTURE)
    return regions
