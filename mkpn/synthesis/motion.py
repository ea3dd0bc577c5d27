"""Hand motion: how far the frames of a burst are displaced (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mkpn.checks import number, whole

_MOST = 64  # frames, and pixels of a displacement: far beyond what a hand does


@dataclass(frozen=True, kw_only=True)
class BurstConfig:
    """How hand motion is synthesised (section 3.1, reading 5 in mkpn/training/README.md).

    Attributes:
        frames: length N of the burst; frame 0 is the reference.
        rate: lambda of the Poisson law of n; a frame but the reference is strongly displaced with probability n/N.
        small: largest usual displacement in pixels, per axis.
        large: largest displacement of a strongly displaced frame in pixels, per axis.
        far: displace every frame but the reference by more than `small` pixels, at least in one axis.
    """

    frames: int = 8
    rate: float = 1.5
    small: int = 2
    large: int = 16
    far: bool = False

    def __post_init__(self) -> None:
        whole("frames", self.frames, 1, _MOST)
        number("rate", self.rate, 0, _MOST)
        whole("small", self.small, 0, _MOST)
        whole("large", self.large, 0, _MOST)
        if self.far and self.large <= self.small:
            raise ValueError(f"far: expected large above small, got {self.large} and {self.small}")

    @property
    def margin(self) -> int:
        """Pixels of real image content that the displacements can reach beyond the reference, on each side."""
        return max(self.small, self.large)


def sample_offsets(rng: np.random.Generator, config: BurstConfig) -> NDArray[np.int64]:
    """Draws the displacements `[N,2]` (x, y) of a burst; frame 0 stays at (0, 0) (section 3.1, reading 5)."""
    count = config.frames
    if config.far:
        steps = np.arange(-config.large, config.large + 1)
        places = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        places = places[np.abs(places).max(1) > config.small]
        offsets = places[rng.integers(len(places), size=count)].astype(np.int64)
        offsets[0] = 0
        return offsets
    probability = min(rng.poisson(config.rate) / count, 1.0)
    strong = rng.random(count) < probability
    # Both ranges are always drawn, so that a frame's numbers do not depend on the frames before it.
    large = rng.integers(-config.large, config.large, size=(count, 2), endpoint=True)
    small = rng.integers(-config.small, config.small, size=(count, 2), endpoint=True)
    offsets = np.where(strong[:, None], large, small).astype(np.int64)
    offsets[0] = 0
    return offsets
