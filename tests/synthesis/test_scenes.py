"""Drawn scenes: sharp, of every kind, a pure function of their generator."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mkpn.synthesis import scenes
from mkpn.synthesis.burst import rng_for
from mkpn.synthesis.datasets import TrainingStream
from mkpn.synthesis.scenes import KINDS, drawn_scene


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_sharp_and_repeat(kind: str) -> None:
    steepest: list[float] = []
    for seed in range(6):
        scene = drawn_scene(rng_for(seed), 90, 120, kind)
        assert scene.shape == (3, 90, 120)
        assert scene.dtype == np.float32
        np.testing.assert_array_equal(scene, drawn_scene(rng_for(seed), 90, 120, kind))
        levels = scene * 255
        np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
        assert 0 <= scene.min() < scene.max() <= 1
        steepest.append(float(np.abs(np.diff(scene, axis=2)).max()))
    # Photographs that were downsampled rarely step by half of the range from one pixel to the next.
    assert max(steepest) > 0.5
    assert not np.array_equal(drawn_scene(rng_for(0), 90, 120, kind), drawn_scene(rng_for(1), 90, 120, kind))


def test_most_of_a_page_is_paper() -> None:
    text = drawn_scene(rng_for(3), 128, 128, "text").reshape(3, -1)
    _, counts = np.unique(text, axis=1, return_counts=True)
    assert len(counts) > 1
    assert 0.4 * text.shape[1] < counts.max() < 0.98 * text.shape[1]


def test_a_star_is_light_and_dark_by_turns_around_its_centre() -> None:
    """A circle around the centre changes twice for each spoke, a small circle as often as a large one."""
    side, changes = 256, []
    seed = next(seed for seed in range(100) if np.all(np.abs(_star_of(seed, side)[1:] - side / 2) < 20))
    spokes, x0, y0 = _star_of(seed, side)
    level = scenes._star(np.random.default_rng(seed), side, side, 1).astype(float).sum(2)
    for radius in (50, 100):
        angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
        ring = level[np.rint(y0 + radius * np.sin(angle)).astype(int), np.rint(x0 + radius * np.cos(angle)).astype(int)]
        bright = ring > (level.max() + level.min()) / 2
        changes.append(np.count_nonzero(bright != np.roll(bright, 1)))
    assert changes == [2 * spokes, 2 * spokes]


def _star_of(seed: int, side: int) -> NDArray[np.float64]:
    """Spokes and centre of a star, as `_star` draws them."""
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(8, 48), rng.uniform(0, side), rng.uniform(0, side)])


def test_bad_scenes_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="kind: expected one of text, line art"):
        drawn_scene(rng_for(0), 64, 64, "photo")
    with pytest.raises(ValueError, match="expected at least one pixel, got 64x0"):
        drawn_scene(rng_for(0), 0, 64)


def test_a_share_of_the_stream_is_drawn() -> None:
    """The photograph is black: what is not, was drawn. Without a share, the stream is what it always was."""
    black = [np.zeros((3, 80, 80), np.uint8)]

    def stream(sharp: float) -> TrainingStream:
        return TrainingStream(black, batch=1, patch=32, noise_range="gains", seed=1, sharp=sharp)

    def drawn(sharp: float) -> int:
        return sum(bool(stream(sharp).sample(step, 0)[1].any()) for step in range(60))

    assert drawn(0) == 0
    assert 6 <= drawn(0.25) <= 26
    assert drawn(1) > 55
    np.testing.assert_array_equal(stream(1).sample(3, 0)[0], stream(1).sample(3, 0)[0])
