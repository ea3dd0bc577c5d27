"""Properties that hold for any input: synthesis, tiling, metrics, configuration, saved views."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

import mkpn
from mkpn.geometry import Rectangle
from mkpn.inference.tiling import cut, plan_tiles, source_span
from mkpn.metrics import MetricDefinition
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.burst import make_burst, rng_for
from mkpn.synthesis.images import load_image, to_levels
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import Noise
from mkpn.ui.saved.permalink import from_query
from mkpn.ui.saved.state import from_json

# Derandomised: the same examples everywhere, so that a failure is a change and no luck.
steady = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)

unit = st.floats(0, 1, width=32)
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just([]) | st.just({})
seeds = st.integers(0, 2**63)


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((3, height, width), dtype=np.float32)


@st.composite
def motions(draw: st.DrawFn) -> BurstConfig:
    return BurstConfig(
        frames=draw(st.integers(1, 12)),
        rate=draw(st.floats(0, 64)),
        small=draw(st.integers(0, 5)),
        large=draw(st.integers(0, 9)),
    )


# Synthesis


@steady
@given(motions(), st.builds(Noise, unit, unit), seeds, st.integers(1, 20), st.integers(1, 20))
def test_frames_are_windows_of_the_scene_plus_noise_of_eq_7(
    motion: BurstConfig, noise: Noise, seed: int, height: int, width: int
) -> None:
    margin = motion.margin
    whole = scene(height + 2 * margin, width + 2 * margin)
    burst = make_burst(whole, noise, rng_for(seed), motion)
    assert burst.frames.shape == (motion.frames, 3, height, width)
    assert burst.offsets[0].tolist() == [0, 0]
    assert int(burst.offsets.abs().max()) <= margin
    assert torch.equal(burst.clean, torch.from_numpy(whole[:, margin : margin + height, margin : margin + width]))
    for frame, (x, y) in zip(burst.frames, burst.offsets.tolist(), strict=True):
        window = whole[:, margin + y : margin + y + height, margin + x : margin + x + width]
        deviation = np.abs(frame.numpy() - window) / np.maximum(noise.std(window), 1e-12)
        # 1e-6: rounding of the sum where there is hardly any noise; nine sigma happen never.
        assert ((deviation < 9) | (np.abs(frame.numpy() - window) < 1e-6)).all()
    expected = (noise.sigma_r**2 + noise.sigma_s * burst.frames[0].clamp_min(0)).sqrt()
    torch.testing.assert_close(burst.noise_std, expected)


@steady
@given(motions(), seeds)
def test_a_seed_is_a_burst_and_noise_moves_no_frame(motion: BurstConfig, seed: int) -> None:
    whole = scene(2 * motion.margin + 8, 2 * motion.margin + 9)
    once, again = (make_burst(whole, Noise(0.1, 0.01), rng_for(seed), motion) for _ in range(2))
    assert torch.equal(once.frames, again.frames)
    silent = make_burst(whole, Noise(0, 0), rng_for(seed), motion)
    assert torch.equal(silent.offsets, once.offsets)
    assert torch.equal(silent.frames[0], silent.clean)


@steady
@given(npst.array_shapes(min_dims=1, max_dims=4, max_side=12))
def test_a_scene_of_any_shape_is_used_or_refused(shape: tuple[int, ...]) -> None:
    motion = BurstConfig(small=1, large=2)
    values = np.zeros(shape, np.float32)
    if len(shape) == 3 and min(shape[1:]) > 4:
        assert make_burst(values, Noise(0, 0), rng_for(0), motion).clean.shape[1:] == (shape[1] - 4, shape[2] - 4)
    else:
        with pytest.raises(ValueError, match=r"scene: expected \[C,H,W\]"):
            make_burst(values, Noise(0, 0), rng_for(0), motion)


# Pictures


@steady
@given(
    st.one_of(npst.integer_dtypes(), npst.unsigned_integer_dtypes(), npst.floating_dtypes(), npst.boolean_dtypes()),
    st.sampled_from([(48, 49), (50, 48, 1), (48, 48, 3), (49, 48, 4), (48, 48, 2), (47, 48, 3), (48,)]),
    st.data(),
)
def test_an_array_of_any_kind_is_intensities_or_refused(
    dtype: np.dtype[np.generic], shape: tuple[int, ...], data: st.DataObject
) -> None:
    array = np.full(shape, data.draw(npst.from_dtype(dtype)), dtype)
    try:
        image = load_image(array)
    except ValueError as error:
        assert str(error).startswith("image: expected ")  # noqa: PT017 - a refusal is one of the two right ends
        return
    assert image.shape == (*shape[:2], 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1


@steady
@given(npst.arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_levels_are_clipped_and_rounded_or_refused(values: NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        with pytest.raises(ValueError, match="finite"):
            to_levels(values)
        return
    levels = to_levels(values)
    assert np.abs(levels / 255 - values.clip(0, 1)).max() <= 0.5 / 255 + 1e-9


# Tiling

sides = st.integers(1, 24).map(lambda count: 16 * count)


@steady
@given(sides, sides, st.integers(0, 400_000))
def test_tiles_cover_each_pixel_once_and_fit(height: int, width: int, area: int) -> None:
    try:
        tiles = plan_tiles(height, width, area)
    except ValueError as error:
        assert f"got {area:,}" in str(error)  # noqa: PT017
        assert area < height * width
        return
    counted = np.zeros((height, width), int)
    for core, source in tiles:
        counted[core.slices] += 1
        assert source.area <= area
        assert source.rows == source_span(core.rows, height)
        assert source.columns == source_span(core.columns, width)
        assert source.rows[0] <= core.rows[0] <= core.rows[1] <= source.rows[1] <= height
    assert (counted == 1).all()


@steady
@given(*[st.integers(0, 40).map(lambda half: 2 * half)] * 4, st.integers(1, 3000))
def test_blocks_cover_a_box_once(top: int, left: int, height: int, width: int, area: int) -> None:
    box = Rectangle.of((top, top + height), (left, left + width))
    counted = np.zeros((top + height, left + width), int)
    for block in cut(box, area):
        counted[block.slices] += 1
        assert block.within(box).scaled(2).area == 4 * block.area
    assert counted.sum() == box.area
    assert counted.max(initial=0) <= 1


# Metrics

pictures = npst.arrays(np.float32, (3, 12, 13), elements=st.floats(-0.5, 1.5, width=32))
bare = MetricDefinition(border=0)


@steady
@given(pictures, pictures)
def test_metrics_are_symmetric_bounded_and_blind_to_what_is_clipped(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> None:
    for measure in (mkpn.psnr, mkpn.ssim):
        value = measure(a, b, bare)
        assert value == pytest.approx(measure(b, a, bare), rel=1e-9, abs=1e-9)
        assert value == pytest.approx(measure(a.clip(0, 1), torch.from_numpy(b.clip(0, 1)), bare), rel=1e-9, abs=1e-9)
    assert mkpn.psnr(a, b, bare) >= 0
    assert -1 <= mkpn.ssim(a, b, bare) <= 1
    assert mkpn.psnr(a, a, bare) == float("inf")
    assert mkpn.ssim(a, a, bare) == pytest.approx(1)


@steady
@given(pictures, st.floats(0.01, 0.5))
def test_a_constant_error_is_its_own_psnr(a: NDArray[np.float32], step: float) -> None:
    base = a.clip(0, 0.5).astype(np.float64)
    assert mkpn.psnr(base + step, base, bare) == pytest.approx(-20 * np.log10(step), abs=1e-6)


@steady
@given(npst.array_shapes(min_dims=0, max_dims=4, max_side=30), st.integers(-3, 20), st.sampled_from(["rgb", "luma"]))
def test_shapes_and_borders_are_measured_or_refused(shape: tuple[int, ...], border: int, channels: str) -> None:
    try:
        definition = MetricDefinition(border=border, channels=channels)  # pyright: ignore[reportArgumentType]
        value = mkpn.ssim(np.zeros(shape), np.zeros(shape), definition)
    except ValueError as error:
        assert "expected " in str(error)  # noqa: PT017
        fits = len(shape) in (2, 3) and min(shape[-2:]) - 2 * border >= 11
        assert border < 0 or not fits
    else:
        assert value == pytest.approx(1)


# Configuration


@steady
@given(anything, anything, anything, anything)
def test_motion_and_noise_are_taken_or_refused(frames: object, rate: object, small: object, large: object) -> None:
    for build in (
        lambda: BurstConfig(frames=frames, rate=rate, small=small, large=large),  # pyright: ignore[reportArgumentType]
        lambda: Noise(rate, small),  # pyright: ignore[reportArgumentType]
    ):
        try:
            values = asdict(build())
        except ValueError as error:
            assert "expected " in str(error)  # noqa: PT017
        else:
            assert all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())


@steady
@given(anything | st.sampled_from(MODELS), st.sampled_from(["paper", "compact"]) | anything)
def test_a_model_of_any_name_is_known_or_refused(name: object, preset: object) -> None:
    try:
        config = model_config(name, preset)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        assert "expected " in str(error)  # noqa: PT017
    else:
        assert name in MODELS
        assert config.frames == 8


# Saved views

documents = st.recursive(
    anything, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@steady
@given(documents, st.sampled_from(["image", "noise", "burst", "view", "figures", "weights", "square", "models"]))
def test_a_file_of_any_content_is_read_or_refused_in_one_sentence(value: object, key: str) -> None:
    document = {"format": "mkpn-studio-view-1", "image": {"bundled": "chelsea"}, key: value}
    for text in (json.dumps(document), json.dumps(value), json.dumps(document)[:-3]):
        with pytest.raises(ValueError, match="expected") as refused:
            from_json(text)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 400


@steady
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_an_address_of_any_text_never_fails(text: str) -> None:
    for query in (text, f"image={text}", f"image=chelsea&seed={text}&burst={text}&psnr={text}"):
        state, problems = from_query(query)
        assert all(problem.isprintable() and len(problem) < 400 for problem in problems)
        assert state is None or state.settings.seed >= 0
