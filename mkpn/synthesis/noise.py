"""The noise model (Eq. 7), the noise estimate (Eq. 8) and the four gains of section 3.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.checks import choice, number

NoiseRange = Literal["gains", "paper"]
"""Of the noise that is trained on: wide enough for all four gains, or as printed in section 3.1."""

Image = TypeVar("Image", torch.Tensor, NDArray[np.float32])


@dataclass(frozen=True)
class Noise:
    """Read and shot noise of Eq. 7: variance `sigma_r**2 + sigma_s * intensity`.

    Attributes:
        sigma_r: standard deviation of the read noise, in intensities (image range [0,1]), 0 to 1.
        sigma_s: slope of the variance with intensity, 0 to 1.
    """

    sigma_r: float
    sigma_s: float

    def __post_init__(self) -> None:
        number("sigma_r", self.sigma_r, 0, 1)
        number("sigma_s", self.sigma_s, 0, 1)

    def std(self, intensity: Image) -> Image:
        """Returns Eq. 8, `sqrt(sigma_r^2 + sigma_s * max(x, 0))`, elementwise for any shape."""
        if isinstance(intensity, torch.Tensor):
            # Each step in the place of the one before: of a large image every copy would be felt.
            return intensity.clamp_min(0).mul_(self.sigma_s).add_(self.sigma_r**2).sqrt_()
        return np.sqrt(self.sigma_r**2 + self.sigma_s * np.maximum(intensity, 0)).astype(np.float32)


GAINS: dict[int, Noise] = {
    1: Noise(10**-2.1, 10**-2.6),
    2: Noise(10**-1.8, 10**-2.3),
    4: Noise(10**-1.4, 10**-1.9),
    8: Noise(10**-1.1, 10**-1.5),
}
"""Section 3.1's read and shot parameters of the test sets, by gain."""


def noise_for_gain(gain: int) -> Noise:
    """Returns the noise of one of the four gains.

    Raises:
        ValueError: if the gain is not 1, 2, 4 or 8.
    """
    return GAINS[choice("gain", gain, tuple(GAINS))]


def gain_of(noise: Noise) -> int | None:
    """Returns the gain that has this noise, None for noise of one's own."""
    return next((gain for gain, known in GAINS.items() if known == noise), None)


LOG_RANGES = ((-2.6, -1.0), (-3.0, -1.3))
"""Of `gains`: exponents of ten of sigma_r and sigma_s, uniform."""

PAPER_RANGES = ((10**-3, 10**-1.5), (10**-2, 10**-1))
"""Of `paper`: sigma_r and sigma_s, uniform."""


def sample_noise(rng: np.random.Generator, noise_range: NoiseRange) -> Noise:
    """Draws training noise (reading 4 in mkpn/training/README.md).

    Args:
        rng: source of randomness.
        noise_range: `paper`, uniform in the ranges printed in section 3.1, or `gains`, log-uniform and wide enough
            for all four gains.
    """
    if noise_range == "paper":
        return Noise(*(rng.uniform(*limits) for limits in PAPER_RANGES))
    return Noise(*(10 ** rng.uniform(*limits) for limits in LOG_RANGES))
