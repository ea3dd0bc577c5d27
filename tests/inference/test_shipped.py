"""The shipped networks use the burst: kernels follow its motion, and without the other frames much is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import mkpn
from mkpn.synthesis.burst import Burst, make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import noise_for_gain


@pytest.fixture(scope="module")
def moving(photo: NDArray[np.uint8]) -> Burst:
    """A burst at gain 1 whose frames are all within reach, in every direction."""
    scene = np.ascontiguousarray(photo[20:276, 60:380].transpose(2, 0, 1).astype(np.float32) / 255)
    return make_burst(scene, noise_for_gain(1), rng_for(5), BurstConfig(rate=0))


@pytest.mark.parametrize("name", ["kpn-l5", "kpn-l25", "mkpn"])
def test_shipped_kernels_follow_the_motion(name: str, moving: Burst) -> None:
    """Each frame's kernel, averaged over the image, is largest at minus the frame's offset."""
    result = mkpn.load(name, device="cpu")(moving)
    height, width = result.image.shape[1:]
    grid = [(x, y) for y in range(32, height - 32, 32) for x in range(32, width - 32, 32)]
    mean = np.mean([mkpn.explain.probe(result, x, y).fused for x, y in grid], axis=0)  # [N,K,K]
    side = mean.shape[-1]
    rows, columns = np.unravel_index(mean.reshape(8, -1).argmax(1), (side, side))
    found = np.stack((columns, rows), 1) - side // 2
    np.testing.assert_array_equal(found, -moving.offsets.numpy())


@pytest.mark.parametrize("name", ["kpn-l5", "kpn-l25", "mkpn"])
def test_shipped_networks_need_the_burst(name: str, moving: Burst) -> None:
    """Seven copies of the reference in the place of the other frames cost more than 2 dB."""
    model = mkpn.load(name, device="cpu")
    moving = replace(moving, surroundings=None)
    alone = replace(moving, frames=moving.frames[:1].expand(8, -1, -1, -1).contiguous())
    whole, hidden = (mkpn.psnr(model(burst).image, burst.clean) for burst in (moving, alone))
    assert whole > hidden + 2
