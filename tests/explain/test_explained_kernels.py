"""What is shown is what the networks did: probe, rebuild, ablation, maps against the definition of the convolution."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from helpers import perturbed

from mkpn.explain import fuse, probe
from mkpn.explain.coefficients import all_coefficients
from mkpn.explain.estimates import estimate, recompose
from mkpn.explain.maps import behaviour
from mkpn.explain.rebuild import neighbourhood
from mkpn.explain.statistics import kernel_statistics
from mkpn.inference import denoiser
from mkpn.inference.denoiser import Denoiser, Result
from mkpn.model.config import model_config
from mkpn.ops import reference
from mkpn.synthesis.burst import make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS

PIXELS = [(0, 0), (20, 13), (41, 36), (42, 0)]  # corners, where kernels read outside, and an odd one


@cache
def result_of(name: str) -> Result:
    """A result of 43x37 pixels: no multiple of anything."""
    scene = np.random.default_rng(4).random((3, 37 + 16, 43 + 16), dtype=np.float32)
    burst = make_burst(scene, GAINS[4], rng_for(1), BurstConfig(small=2, large=8))
    return Denoiser(perturbed(model_config(name), scale=0.01), "cpu")(burst)


@cache
def defined(name: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Kernels `[N,K,K,H,W]` and estimates `[N,S,C,H,W]` by the reference implementation, in float64."""
    result = result_of(name)
    network = result.denoiser.network
    seen, rim = result.burst.surroundings, result.burst.rim
    assert seen is not None
    height, width = seen.frames.shape[-2:]
    more = (0, -width % 16, 0, -height % 16)
    frames, noise = (torch.nn.functional.pad(t, more, mode="reflect") for t in (seen.frames, seen.noise_std))
    with torch.inference_mode():
        coeffs = network(frames[None], noise[None]).double()
    sizes = result.denoiser.config.sizes
    inside = (..., slice(rim, height - rim), slice(rim, width - rim))
    kernels = [k[0][inside] for k in reference.kernels(coeffs, sizes, height, width)]
    return kernels, reference.local_conv(frames[None].double(), coeffs, sizes)[1][0][inside]


@pytest.mark.parametrize("name", ["mkpn", "kpn"])
@pytest.mark.parametrize(("x", "y"), PIXELS)
def test_probe_gives_the_networks_kernels(name: str, x: int, y: int) -> None:
    found = probe(result_of(name), x, y)
    for kernels, (size, shown) in zip(defined(name)[0], sorted(found.by_size.items()), strict=True):
        assert kernels.shape[1] == size
        np.testing.assert_allclose(shown, kernels[..., y, x], atol=2e-6)
    if name == "mkpn":
        for size, factors in found.factors.items():
            np.testing.assert_allclose(
                np.einsum("nk,nl->nkl", *factors.transpose(1, 0, 2)), found.by_size[size], atol=1e-7
            )
    else:
        assert found.factors == {}


@pytest.mark.parametrize("name", ["mkpn", "kpn", "kpn-l25"])
@pytest.mark.parametrize(("x", "y"), PIXELS)
def test_weights_times_values_add_up_to_the_output(name: str, x: int, y: int) -> None:
    result = result_of(name)
    sizes = probe(result, x, y).by_size
    total = np.zeros(3)
    for size, weights in sizes.items():
        values = neighbourhood(result.burst, x, y, size)
        total += (weights[:, None] * values).sum((0, 2, 3), dtype=np.float64) / (len(weights) * len(sizes))
    assert np.abs(total - result.image[:, y, x].numpy()).max() < 1e-5


def test_all_sizes_and_frames_give_the_models_picture() -> None:
    result = result_of("mkpn")
    estimates = estimate(result)
    picture, left = recompose(estimates, result.denoiser.config.sizes, range(8))
    torch.testing.assert_close(picture, result.image, atol=1e-5, rtol=0)
    again, _ = recompose(estimates, result.denoiser.config.sizes, range(8), renormalise=True)
    torch.testing.assert_close(again, result.image, atol=1e-5, rtol=0)
    assert left == 0


@pytest.mark.parametrize(("sizes", "frames"), [((1,), (0,)), ((3, 11), (0, 2, 7)), ((5, 7, 9), range(8)), ((), ())])
def test_an_ablation_is_the_mean_without_what_is_off(sizes, frames) -> None:
    result = result_of("mkpn")
    every = defined("mkpn")[1]
    kept = [result.denoiser.config.sizes.index(size) for size in sizes]
    expected = every[list(frames)][:, kept].sum((0, 1)) / 48
    picture, _ = recompose(estimate(result), sizes, frames)
    torch.testing.assert_close(picture.double(), expected, atol=1e-5, rtol=0)


def test_renormalising_restores_the_sum_of_the_weights() -> None:
    result = result_of("mkpn")
    kernels, every = defined("mkpn")
    sums = torch.stack([kernel.sum((1, 2)) for kernel in kernels], 1)  # [N,S,H,W]
    on, whole = sums[[0, 1]][:, [1, 4]].sum((0, 1)), sums.sum((0, 1))
    usable = on.abs() >= 0.1 * whole.abs()
    expected = every[[0, 1]][:, [1, 4]].sum((0, 1)) / 48 * torch.where(usable, whole / on, 1)
    picture, left = recompose(estimate(result), (3, 9), (0, 1), renormalise=True)
    torch.testing.assert_close(picture.double(), expected, atol=2e-5, rtol=1e-4)
    assert left == pytest.approx(float((~usable).double().mean()), abs=1e-6)


def test_an_unknown_size_or_frame_is_refused() -> None:
    estimates = estimate(result_of("mkpn"))
    for sizes, frames in (((2,), (0,)), ((1,), (8,))):
        with pytest.raises(ValueError, match="expected sizes out of"):
            recompose(estimates, sizes, frames)


@pytest.mark.parametrize("name", ["mkpn", "kpn", "kpn-l7"])
def test_maps_describe_the_kernels_that_were_predicted(name: str) -> None:
    result = result_of(name)
    found, config = behaviour(result), result.denoiser.config
    coeffs = all_coefficients(result)[0].numpy()
    assert found.radius.shape == (19, 22)  # 37x43 pixels, halved and rounded up
    for row, column in ((0, 0), (7, 3), (18, 21)):
        edge = result.burst.rim // 2
        cell = coeffs[..., row + edge, column + edge]
        by_size = {}
        for size, first in zip(config.sizes, config.first_taps, strict=True):
            if config.separable:
                vertical, horizontal = np.moveaxis(cell[:, :, first : first + size], 1, 0)
                by_size[size] = vertical[:, :, None] * horizontal[:, None]
            else:
                by_size[size] = cell.reshape(-1, size, size)
        strengths = np.array([np.abs(kernel.sum((1, 2))).sum() for kernel in by_size.values()])
        np.testing.assert_allclose(found.shares[:, row, column], strengths / strengths.sum(), atol=1e-5)
        numbers = kernel_statistics(fuse(by_size))
        radius = np.sqrt((numbers.radius**2 * numbers.noise_gain).sum() / numbers.noise_gain.sum())
        assert found.radius[row, column] == pytest.approx(radius, abs=1e-3)
        assert found.noise_gain[row, column] == pytest.approx(numbers.noise_gain.sum() / 64, rel=1e-4)
        frames = np.abs(numbers.total)
        assert found.reference[row, column] == pytest.approx(frames[0] / frames.sum(), abs=1e-5)
        assert found.frames[row, column] == pytest.approx(frames.sum() ** 2 / (frames**2).sum(), rel=1e-4)


def test_without_kept_features_the_trunk_runs_once_for_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    result, tiles = result_of("mkpn"), []
    trunk = denoiser.run_trunk
    monkeypatch.setattr(denoiser, "run_trunk", lambda *given: tiles.append(given[3]) or trunk(*given))
    monkeypatch.setattr("mkpn.explain.coefficients.BLOCK_CELLS", 64)
    kept, again = behaviour(result), behaviour(replace(result, features=None))
    assert len(tiles) == 1
    for name in ("shares", "radius", "noise_gain", "reference", "frames"):
        np.testing.assert_allclose(getattr(again, name), getattr(kept, name), rtol=1e-4, atol=1e-6)


def test_an_untrained_network_averages_the_burst_alike() -> None:
    torch.manual_seed(0)
    network = perturbed(model_config("mkpn"), scale=0.0)
    made = behaviour(Denoiser(network, "cpu")(result_of("mkpn").burst))
    np.testing.assert_allclose(made.shares, 1 / 6, atol=1e-5)
    np.testing.assert_allclose(made.frames, 8, rtol=1e-4)
    np.testing.assert_allclose(made.reference, 1 / 8, atol=1e-5)
    np.testing.assert_allclose(made.radius, 0, atol=1e-3)
    np.testing.assert_allclose(made.noise_gain, 1 / 8, rtol=1e-4)


def test_fuse_is_the_mean_of_padded_kernels() -> None:
    """Eq. 3."""
    one, three = np.full((2, 1, 1), 4.0, np.float32), np.ones((2, 3, 3), np.float32)
    expected = np.array([[0.5, 0.5, 0.5], [0.5, 2.5, 0.5], [0.5, 0.5, 0.5]])
    np.testing.assert_allclose(fuse({1: one, 3: three}), np.stack([expected, expected]))
