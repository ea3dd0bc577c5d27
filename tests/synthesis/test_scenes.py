"""Synthetic scenes: sharp, of every kind, a pure function of their generator."""

from __future__ import annotations

import numpy as np
import pytest

from mkpn.synthesis.burst import rng_for
from mkpn.synthesis.datasets import TrainingStream
from mkpn.synthesis.scenes import KINDS, sharp_scene


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_sharp_and_repeat(kind: str) -> None:
    steepest: list[float] = []
    for seed in range(6):
        scene = sharp_scene(rng_for(seed), 90, 120, kind)
        assert scene.shape == (3, 90, 120)
        assert scene.dtype == np.float32
        np.testing.assert_array_equal(scene, sharp_scene(rng_for(seed), 90, 120, kind))
        levels = scene * 255
        np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
        assert 0 <= scene.min() < scene.max() <= 1
        steepest.append(float(np.abs(np.diff(scene, axis=2)).max()))
    # Photographs that were downsampled rarely step by half of the range from one pixel to the next.
    assert max(steepest) > 0.5
    assert not np.array_equal(sharp_scene(rng_for(0), 90, 120, kind), sharp_scene(rng_for(1), 90, 120, kind))


def test_text_has_two_colors_and_stars_have_spokes() -> None:
    text = sharp_scene(rng_for(3), 128, 128, "text").reshape(3, -1)
    colors, counts = np.unique(text, axis=1, return_counts=True)
    assert counts.max() > 0.4 * text.shape[1], "most of a page is paper"
    assert len(counts) > 1
    assert colors.shape[0] == 3


def test_bad_scenes_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="kind: expected one of text, line art"):
        sharp_scene(rng_for(0), 64, 64, "photo")
    with pytest.raises(ValueError, match="expected at least one pixel, got 64x0"):
        sharp_scene(rng_for(0), 0, 64)


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
