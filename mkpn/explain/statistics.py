"""Numbers that describe a kernel: its sum, its noise gain, how far and where it reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class KernelStatistics:
    """Numbers of kernels `[...,K,K]`; every field has the leading shape.

    Attributes:
        total: the sum of the weights; an even area keeps its brightness where it is 1.
        noise_gain: the sum of the squared weights: the variance of independent noise is multiplied by it.
        radius: effective radius in pixels: root mean square distance of the weights from their centroid, each weight
            counted by its square, as in the noise gain, so that many tiny weights do not hide the large ones.
        x: column of the centroid relative to the kernel's centre, in pixels; each weight by its square.
        y: row of the centroid likewise.
    """

    total: NDArray[np.float64]
    noise_gain: NDArray[np.float64]
    radius: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def kernel_statistics(kernels: NDArray[np.float32]) -> KernelStatistics:
    """Measures kernels.

    Args:
        kernels: `[...,K,K]`, K odd. A kernel of zeros has radius 0 and its centroid in its centre.

    Raises:
        ValueError: if the last two sides are not equal and odd.

    Example:
        >>> import numpy as np
        >>> box = kernel_statistics(np.full((5, 5), 1 / 25, np.float32))
        >>> round(float(box.noise_gain), 4), round(float(box.radius), 4)  # 1/25, and 2 in root mean square
        (0.04, 2.0)
    """
    if kernels.ndim < 2 or kernels.shape[-1] != kernels.shape[-2] or kernels.shape[-1] % 2 == 0:
        raise ValueError(f"kernels: expected [...,K,K] with an odd K, got {list(kernels.shape)}")
    weights = kernels.astype(np.float64)
    size = weights.shape[-1]
    place = np.arange(size) - size // 2
    mass = weights**2
    whole = mass.sum((-2, -1))
    safe = np.where(whole > 0, whole, 1)
    x, y = mass.sum(-2) @ place / safe, mass.sum(-1) @ place / safe
    square = (mass.sum(-2) + mass.sum(-1)) @ place**2 / safe
    # Rounding may bring the spread of a single weight just below zero.
    radius = np.sqrt(np.maximum(square - x**2 - y**2, 0))
    return KernelStatistics(weights.sum((-2, -1)), whole, radius, x, y)
