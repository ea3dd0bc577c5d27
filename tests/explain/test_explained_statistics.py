"""Statistics of kernels, and the sorting of pixels, on inputs whose answer is known beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mkpn.explain.estimates import Estimates, recompose
from mkpn.explain.maps import Described, describe
from mkpn.explain.oracle import aligned_mean, average
from mkpn.explain.places import find_places, motion_error
from mkpn.explain.rebuild import neighbourhood, true_place
from mkpn.explain.regions import EDGE, FLAT, REGIONS, TEXTURE, classify
from mkpn.explain.statistics import kernel_statistics
from mkpn.explain.study import LEAST_SIDE, PATCH
from mkpn.explain.winners import TIE, area_shares, patch_means, winners
from mkpn.synthesis.burst import Burst, Surroundings, make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS, Noise


def test_a_delta_reads_one_value() -> None:
    kernels = np.zeros((2, 7, 7), np.float32)
    kernels[0, 3, 3] = 1
    kernels[1, 1, 5] = -1
    found = kernel_statistics(kernels)
    np.testing.assert_allclose(found.total, [1, -1])
    np.testing.assert_allclose(found.noise_gain, [1, 1])
    np.testing.assert_allclose(found.radius, [0, 0], atol=1e-7)
    np.testing.assert_allclose([found.x, found.y], [[0, 2], [0, -2]])


def test_a_box_averages_all_its_values() -> None:
    found = kernel_statistics(np.full((5, 5), 1 / 25, np.float32))
    assert found.total == pytest.approx(1)
    assert found.noise_gain == pytest.approx(1 / 25)
    # The mean of 0, 1, 4, 1, 4 over both axes.
    assert found.radius == pytest.approx(2)
    assert (found.x, found.y) == (pytest.approx(0), pytest.approx(0))


def described(kernels: dict[int, np.ndarray]) -> Described:
    """Maps of one cell whose eight frames have the same kernel, given by its vertical and horizontal factor."""
    taps = np.concatenate([np.broadcast_to(kernel, (8, 2, kernel.shape[-1])) for kernel in kernels.values()], axis=2)
    return describe(torch.from_numpy(taps.astype(np.float32)[..., None].copy()), tuple(kernels), separable=True)


def test_maps_of_a_delta() -> None:
    found = described({size: np.eye(size)[size // 2] for size in (1, 3, 5)})
    np.testing.assert_allclose(found.radius, 0, atol=1e-7)
    np.testing.assert_allclose(found.noise_gain, 1 / 8)
    np.testing.assert_allclose(found.shares[:, 0], 1 / 3)
    np.testing.assert_allclose(found.reference, 1 / 8)
    np.testing.assert_allclose(found.frames, 8)


def test_maps_of_a_box_separable_and_full() -> None:
    coeffs = torch.zeros(8, 25, 1)
    coeffs[0] = 1 / 25
    for found in (
        described({5: np.full(5, 1 / 5)}),
        describe(torch.full((8, 25, 1), 1 / 25), (5,), separable=False),
    ):
        np.testing.assert_allclose(found.noise_gain, 1 / 25 / 8, rtol=1e-6)
        np.testing.assert_allclose(found.radius, 2, rtol=1e-6)
    alone = describe(coeffs, (5,), separable=False)
    np.testing.assert_allclose(alone.reference, 1)
    np.testing.assert_allclose(alone.frames, 1)
    with pytest.raises(ValueError, match="expected 25 taps"):
        describe(torch.zeros(8, 24, 1), (5,), separable=False)


def test_a_kernel_of_zeros_has_finite_numbers() -> None:
    found = kernel_statistics(np.zeros((3, 3), np.float32))
    assert (found.total, found.noise_gain, found.radius, found.x) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="odd K"):
        kernel_statistics(np.zeros((4, 4), np.float32))


def test_the_neighbourhood_is_what_the_networks_see() -> None:
    frames = torch.arange(1, 2 * 3 * 15 * 16 + 1, dtype=torch.float32).view(2, 3, 15, 16)
    burst = Burst(
        frames=frames, clean=frames[0], noise_std=frames[0], offsets=torch.zeros(2, 2).long(), noise=Noise(0, 0)
    )
    corner = neighbourhood(burst, 0, 14, 5)
    np.testing.assert_array_equal(corner[1, 2, :3, 2:], frames[1, 2, 12:15, :3])
    # One row is mirrored up to the multiple of 16; beyond it, and left of the picture, there is nothing.
    np.testing.assert_array_equal(corner[1, 2, 3, 2:], frames[1, 2, 13, :3])
    assert not corner[:, :, 4].any()
    assert not corner[..., :2].any()
    with pytest.raises(ValueError, match="x: expected"):
        neighbourhood(burst, 16, 0, 3)
    wide = Surroundings(frames=frames, noise_std=frames[0], rim=4)
    inside = (..., slice(4, -4), slice(4, -4))
    inner = replace(burst, frames=frames[inside], noise_std=frames[0][inside], surroundings=wide)
    np.testing.assert_array_equal(neighbourhood(inner, 1, 2, 3), frames[:, :, 5:8, 4:7])
    np.testing.assert_array_equal(neighbourhood(inner, 0, 0, 9), frames[:, :, :9, :9])


@pytest.mark.parametrize(
    ("offset", "size", "place"), [((0, 0), 1, (0, 0)), ((2, -1), 5, (0, 3)), ((3, 0), 5, None), ((0, -3), 5, None)]
)
def test_the_true_place_is_where_the_frame_has_moved_back(offset, size, place) -> None:
    assert true_place(offset, size) == place


def test_the_true_place_shows_the_same_spot() -> None:
    scene = np.random.default_rng(0).random((3, 48, 48), dtype=np.float32)
    burst = make_burst(scene, Noise(0, 0), rng_for(3), BurstConfig(rate=0, small=2, large=8))
    x, y, size = 10, 12, 5
    values = neighbourhood(burst, x, y, size)
    for index, offset in enumerate(burst.offsets.tolist()):
        column, row = true_place(tuple(offset), size)
        np.testing.assert_allclose(values[index, :, row, column], burst.clean[:, y, x], atol=1e-6)


@pytest.mark.parametrize("slope", [0, 1, -1], ids=["upright", "rising", "falling"])
def test_pixels_are_sorted_into_thirds(slope: int) -> None:
    rng = np.random.default_rng(1)
    clean = np.full((3, 96, 96), 0.5, np.float32)
    clean[:, :, 32:64] += 0.25 * ((np.arange(32) + slope * np.arange(96)[:, None]) % 8 < 4)  # stripes
    clean[:, :, 64:] += rng.uniform(-0.3, 0.3, (96, 32)).astype(np.float32)
    regions = classify(clean)
    assert set(np.unique(regions)) == {FLAT, EDGE, TEXTURE}
    assert (regions[8:88, 6:24] == FLAT).mean() > 0.99
    assert (regions[8:88, 38:58] == EDGE).mean() > 0.9
    assert (regions[8:88, 72:92] == TEXTURE).mean() > 0.9
    shares = [(regions == index).mean() for index in range(len(REGIONS))]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.01)
    assert (classify(np.full((3, 20, 20), 0.3, np.float32)) == FLAT).all()


def test_patches_are_averaged_with_their_own_size() -> None:
    values = np.arange(30, dtype=np.float32).reshape(5, 6)
    means = patch_means(values, 4)
    assert means.shape == (2, 2)
    np.testing.assert_allclose(means, [[values[:4, :4].mean(), values[:4, 4:].mean()],
                                       [values[4:, :4].mean(), values[4:, 4:].mean()]])  # fmt: skip


def constructed() -> np.ndarray:
    """Three models on 8x8 pixels, patches of four: 0 wins above, 1 below left by 3 dB, the last patch is equal."""
    errors = np.full((3, 8, 8), 0.04, np.float32)
    errors[0, :4] = 0.01
    errors[1, 4:, :4] = 0.02
    return errors


def test_the_model_with_the_lowest_error_wins() -> None:
    found = winners([constructed()], 4)
    np.testing.assert_array_equal(found.winner, [[0, 0], [1, TIE]])
    np.testing.assert_allclose(found.margin, [[6.02, 6.02], [3.01, 0]], atol=0.01)
    np.testing.assert_allclose(area_shares(found, 3), [0.5, 0.25, 0, 0.25])
    np.testing.assert_array_equal(winners([constructed()], 4, least=4).winner, [[0, 0], [TIE, TIE]])


def test_seeds_that_disagree_are_a_tie() -> None:
    other = constructed()
    other[2, :4, :4] = 0.005
    found = winners([constructed(), other, constructed()], 4)
    np.testing.assert_array_equal(found.winner, [[TIE, 0], [1, TIE]])
    with pytest.raises(ValueError, match="two models"):
        winners([constructed()[:1]], 4)


def test_a_patch_at_the_border_counts_by_its_area() -> None:
    errors = np.full((2, 10, 10), 0.02, np.float32)
    errors[0, :8, :8] = 0.01
    errors[1, 8:] = errors[1, :, 8:] = 0.01
    np.testing.assert_allclose(area_shares(winners([errors], 8), 2), [0.64, 0.36, 0])


def test_areas_are_counted_by_region() -> None:
    regions = np.zeros((8, 8), np.uint8)
    regions[4:] = TEXTURE
    found = winners([constructed()], 4)
    np.testing.assert_allclose(area_shares(found, 3, regions, FLAT), [1, 0, 0, 0])
    np.testing.assert_allclose(area_shares(found, 3, regions, TEXTURE), [0, 0.5, 0, 0.5])


def test_places_are_where_they_were_put() -> None:
    errors = np.full((2, 96, 96), 0.01, np.float32)
    errors[1, 32:64, 64:96] = 0.1
    regions = np.full((96, 96), FLAT, np.uint8)
    regions[64:, :32], regions[:32, 64:] = EDGE, TEXTURE
    blur = np.zeros((96, 96), np.float32)
    blur[64:, 64:] = 0.25
    found = find_places(errors, regions, blur, side=32, count=1)
    assert [(place.kind, place.x, place.y) for place in found] == [
        ("differ", 80, 48),
        ("flat", 16, 16),
        ("edge", 16, 80),
        ("texture", 80, 16),
        ("misaligned", 80, 80),
    ]
    assert found[0].value == pytest.approx(10, abs=0.01)
    assert found[-1].value == pytest.approx(0.5)
    assert len(find_places(errors, regions, blur, side=96, count=5)) == 1
    # One model is behind the other where its error was put, the other one nowhere.
    behind = find_places(errors, regions, blur, side=32, count=0, subject=1)[-1]
    assert (behind.kind, behind.x, behind.y) == ("behind", 80, 48)
    assert behind.value == pytest.approx(10, abs=0.01)
    assert find_places(errors, regions, blur, side=32, count=0, subject=0)[-1].kind == "misaligned"
    with pytest.raises(ValueError, match=r"\[M,H,W\]"):
        find_places(errors[0], regions, blur)


@pytest.mark.parametrize("still", [True, False])
def test_what_a_picture_has_nowhere_is_no_place(still: bool) -> None:
    """Noise alone is no misalignment: neither in a still burst nor where a picture is even."""
    motion = BurstConfig(rate=0, small=0, large=8) if still else BurstConfig(rate=8)
    scene = np.full((3, 128, 128), 0.5, np.float32)
    if still:
        scene[:, :, 70:] = 0.9
    burst = make_burst(scene, GAINS[8], rng_for(1), motion)
    regions, errors = classify(burst.clean.numpy()), np.ones((2, *burst.clean.shape[1:]), np.float32)
    kinds = [place.kind for place in find_places(errors, regions, motion_error(burst), side=32)]
    assert kinds == (["flat", "edge"] if still else ["flat"])


def test_what_motion_does_to_the_mean_is_told_without_the_noise() -> None:
    scene = np.random.default_rng(3).random((3, 96, 96), dtype=np.float32)
    burst = make_burst(scene, Noise(0, 0), rng_for(2), BurstConfig())
    # Inside of the border, the frames without noise are what is computed.
    exact = np.square(burst.frames.mean(0).numpy() - burst.clean.numpy()).mean(0)
    found, inner = motion_error(burst), slice(16, -16)
    np.testing.assert_allclose(found[inner, inner], exact[inner, inner], atol=1e-6)
    loud = make_burst(scene, GAINS[8], rng_for(2), BurstConfig())
    np.testing.assert_array_equal(motion_error(loud), found)


def test_no_patch_is_two_places_and_no_two_that_differ_are_neighbours() -> None:
    errors = np.full((2, 96, 160), 0.01, np.float32)
    errors[1, 32:64, 32:64], errors[1, 32:64, 64:96], errors[1, 64:, 128:] = 0.1, 0.09, 0.02
    regions = np.full((96, 160), FLAT, np.uint8)
    # All of the first place is texture, and half of another patch.
    regions[32:64, 32:64], regions[:32, 128:144] = TEXTURE, TEXTURE
    found = find_places(errors, regions, np.zeros((96, 160), np.float32), side=32, count=2)
    assert [(place.kind, place.x, place.y) for place in found[:2]] == [("differ", 48, 48), ("differ", 144, 80)]
    assert [(place.x, place.y) for place in found if place.kind == "texture"] == [(144, 16)]


@pytest.mark.parametrize("shape", [(64, 64), (64, 95), (64, 96), (127, 64), (64, 320), (96, 96)])
def test_the_smallest_study_has_a_flat_and_an_edge_place(shape: tuple[int, int]) -> None:
    assert min(shape) >= LEAST_SIDE
    rng = np.random.default_rng(0)
    for _ in range(20):
        errors, regions = rng.random((2, *shape), dtype=np.float32) ** 8, rng.integers(0, 3, shape, dtype=np.uint8)
        kinds = {place.kind for place in find_places(errors, regions, errors[0], side=PATCH)}
        assert {"flat", "edge"} <= kinds


def test_the_oracle_averages_only_what_is_within_reach() -> None:
    scene = np.random.default_rng(2).random((3, 64, 64), dtype=np.float32)
    burst = make_burst(scene, Noise(0.1, 0), rng_for(5), BurstConfig(rate=0, small=2, large=16))
    alone = aligned_mean(burst, 1)
    near = [frame for frame, offset in zip(burst.frames, burst.offsets.tolist(), strict=True) if offset == [0, 0]]
    torch.testing.assert_close(alone, torch.stack(near).mean(0))
    spread = (aligned_mean(burst, 5) - burst.clean)[:, 4:-4, 4:-4].std()
    assert float(spread) == pytest.approx(0.1 / 8**0.5, rel=0.1)


def test_the_oracle_leaves_out_what_a_frame_does_not_show() -> None:
    clean = torch.arange(48, dtype=torch.float32).view(1, 6, 8)
    frames = torch.stack((clean, torch.full_like(clean, -1)))
    frames[1, :, :5, :6] = clean[:, 1:, 2:]
    burst = Burst(
        frames=frames,
        clean=clean,
        noise_std=torch.zeros_like(clean),
        offsets=torch.tensor([[0, 0], [2, 1]]),
        noise=Noise(0, 0),
    )
    torch.testing.assert_close(aligned_mean(burst, 5), clean)


@pytest.mark.parametrize("offset", [(8, 0), (9, 2), (-11, 0), (0, 6), (3, -7)])
def test_the_oracle_leaves_out_a_frame_that_shows_nothing_of_the_picture(offset: tuple[int, int]) -> None:
    frames = torch.stack((torch.ones(1, 6, 8), torch.zeros(1, 6, 8)))
    mean, count = average(frames, [(0, 0), offset])
    assert (mean == 1).all()
    assert (count == 1).all()


def test_full_kernels_of_several_sizes_are_not_described() -> None:
    with pytest.raises(ValueError, match=r"sizes: expected one size of full kernels, got \(1, 3\)"):
        describe(torch.zeros(8, 10, 2, 2), (1, 3), separable=False)


def test_a_single_weight_has_no_radius() -> None:
    """Wherever it lies and whatever it is: rounding must not make the root of a negative number of it."""
    weights = rng_for(0).uniform(-2, 2, (200, 11, 11)).astype(np.float32)
    kernels = weights[..., None, None] * np.eye(121, dtype=np.float32).reshape(11, 11, 11, 11)
    assert kernel_statistics(kernels).radius.max() < 1e-6


def test_a_pixel_with_hardly_any_weight_left_stays() -> None:
    """Renormalising would divide by next to nothing: below a tenth of all weights a pixel is left as it is."""
    sums = torch.tensor([[1.9, 0.9, 0.05], [0.1, 1.1, 1.95]])
    values = torch.ones(2, 9)
    estimates = Estimates((1, 3), (3, 1, 3), values, sums, sums.mean(0))
    picture, stayed = recompose(estimates, (1,), (0,), renormalise=True)
    assert stayed == pytest.approx(1 / 3)
    np.testing.assert_allclose(picture[0, 0], [0.5 * 2 / 1.9, 0.5 * 2 / 0.9, 0.5], rtol=1e-6)


def test_noise_far_below_a_level_is_no_structure() -> None:
    clean = (0.3 + 1e-7 * rng_for(0).standard_normal((3, 32, 32))).astype(np.float32)
    assert np.ptp(clean) > 0
    assert (classify(clean) == FLAT).all()


@pytest.mark.parametrize("slope", [0, 0.6])
def test_bars_of_one_direction_are_edges(slope: float) -> None:
    """All of them are as coherent as the median, which divides nothing."""
    rows, columns = np.mgrid[:96, :96]
    clean = np.stack([0.5 + 0.3 * np.sin((columns + slope * rows) / 3)] * 3).astype(np.float32)
    regions = classify(clean)[16:-16, 16:-16]
    assert (regions != TEXTURE).all()
    assert (regions == EDGE).mean() > 0.6


def test_gradients_are_averaged_over_two_pixels() -> None:
    """A step has gradients in two columns; the Gaussian of two pixels ends at four times its width beside them."""
    clean = np.zeros((3, 16, 96), np.float32)
    clean[..., 48:] = 0.5
    lively = (classify(clean) != FLAT).all(0)
    assert np.flatnonzero(lively).tolist() == list(range(47 - 8, 48 + 8 + 1))


def test_what_is_hardly_any_weight_is_told_by_all_of_the_pixel_s() -> None:
    """A pixel that the network makes dark has small weights in all; they are renormalised like any other's."""
    sums = torch.tensor([[0.015, 3.0], [0.025, 77.0]])
    estimates = Estimates((1, 3), (3, 1, 2), torch.ones(2, 6), sums, sums.mean(0))
    picture, stayed = recompose(estimates, (1,), (0,), renormalise=True)
    assert stayed == pytest.approx(1 / 2)
    np.testing.assert_allclose(picture[0, 0], [0.5 * 0.04 / 0.015, 0.5], rtol=1e-6)
