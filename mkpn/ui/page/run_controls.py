"""What is chosen on the page for a run, besides the picture."""

from __future__ import annotations

from typing import NamedTuple

from mkpn.checks import choice, number, whole
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS, Noise
from mkpn.ui.run.settings import LARGEST_SEED, Fit, Settings

CUSTOM = "custom"
"""The choice of numbers of one's own for Eq. 7 in place of a gain."""


class RunControls(NamedTuple):
    """Values of controls in the order of `layout.Controls.for_run`; `Settings` says what they mean."""

    downsample: int
    fit: Fit
    gain: str
    sigma_r: float | None
    sigma_s: float | None
    rate: float
    small: float
    large: float
    seed: float | None
    models: list[str]

    def settings(self) -> Settings:
        """Returns the settings of a run.

        Raises:
            ValueError: if a value is not one of a control, or a number is out of its range or has been deleted.
        """
        return Settings(
            noise=chosen_noise(self.gain, self.sigma_r, self.sigma_s),
            downsample=self.downsample,
            fit=self.fit,
            motion=BurstConfig(rate=self.rate, small=int(self.small), large=int(self.large)),
            seed=whole("seed", self.seed, 0, LARGEST_SEED),
            models=tuple(self.models),
        )


def chosen_noise(gain: str, sigma_r: float | None = None, sigma_s: float | None = None) -> Noise:
    """Returns the noise of a gain, or of two numbers where it is `CUSTOM`; errors as `RunControls.settings`."""
    if gain == CUSTOM:
        return Noise(number("sigma_r", sigma_r, 0, 1), number("sigma_s", sigma_s, 0, 1))
    return GAINS[int(choice("gain", gain, [str(known) for known in GAINS]))]
