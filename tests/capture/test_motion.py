"""Measured motion of synthetic frames: whole pixels exactly, rotation closely, what moves by itself left out."""

from __future__ import annotations

import numpy as np
import pytest
from capture_scenes import moved_scene, noisy
from numpy.typing import NDArray
from skimage import data

from mkpn.capture.motion import Motion, bring, estimate_motion, shown
from mkpn.synthesis.noise import GAINS


@pytest.fixture(scope="module")
def scene(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    return photo.astype(np.float32) / 255


def frames(scene: NDArray[np.float32], x: float, y: float, degrees: float, gain: int = 4) -> list[NDArray[np.float32]]:
    still, moved = moved_scene(scene), moved_scene(scene, x, y, degrees)
    return [noisy(picture, GAINS[gain], seed) for seed, picture in enumerate((still, moved))]


@pytest.mark.parametrize("gain", [1, 8])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, -1), (-13, 9), (24, 20)])
def test_whole_pixels_are_found_and_undone_exactly(scene: NDArray[np.float32], x: int, y: int, gain: int) -> None:
    reference, frame = frames(scene, x, y, 0, gain)
    motion = estimate_motion(reference.mean(axis=2), frame.mean(axis=2))
    assert (round(motion.x), round(motion.y), motion.degrees) == (x, y, 0)
    clean, (rows, columns) = bring(moved_scene(scene, x, y), motion)
    assert np.array_equal(clean[rows, columns], moved_scene(scene)[rows, columns])
    assert (rows.stop - rows.start, columns.stop - columns.start) == (clean.shape[0] - abs(y), clean.shape[1] - abs(x))


@pytest.mark.parametrize(("x", "y", "degrees"), [(0.5, -0.3, 0), (3, -2, 0.5), (-6, 4, -1), (5, 5, 3)])
def test_rotation_and_sub_pixels_are_measured(scene: NDArray[np.float32], x: float, y: float, degrees: float) -> None:
    reference, frame = frames(scene, x, y, degrees)
    motion = estimate_motion(reference.mean(axis=2), frame.mean(axis=2))
    height, width = reference.shape[:2]
    corners = np.array([[0.0, 0.0], [width, 0], [0, height], [width, height]])
    true = Motion(x=x, y=y, degrees=degrees, agreeing=1)
    found, expected = (m.transform(height, width)(corners) for m in (motion, true))
    assert np.abs(found - expected).max() < 0.4
    assert motion.agreeing > 0.6


def test_a_turned_frame_is_brought_to_half_a_pixel(scene: NDArray[np.float32]) -> None:
    true = Motion(x=3, y=-2, degrees=1, agreeing=1)
    height, width = moved_scene(scene).shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rows, columns = shown(true, height, width)
    grid = np.stack([x, y], axis=2)
    there = true.transform(height, width)(grid.reshape(-1, 2)).reshape(height, width, 2)
    brought, (_, _) = bring(grid, true)
    assert np.abs(brought - there)[rows, columns].max() <= 0.5001
    assert there[rows, columns].min() >= 0
    assert (there[rows, columns] <= (width - 1, height - 1)).all()
    assert (rows.stop - rows.start) * (columns.stop - columns.start) > 0.9 * height * width


def test_whole_pixels_leave_the_noise_as_it_is() -> None:
    flat = np.full((200, 200, 3), 0.5, np.float32)
    noise = noisy(flat, GAINS[4], 0) - flat
    brought, inner = bring(noise, Motion(x=1.4, y=2.3, degrees=1.5, agreeing=1))
    assert brought[inner].std() == pytest.approx(noise.std(), rel=0.01)
    neighbours = (brought[inner][:, 1:] * brought[inner][:, :-1]).mean() / noise.var()
    assert abs(neighbours) < 0.04  # 1.5 degrees copy one pixel in 38 twice


def test_what_moves_by_itself_is_left_out(scene: NDArray[np.float32]) -> None:
    still, moved = moved_scene(scene), moved_scene(scene, 3, -2)
    thing = scene[120:200, 150:230]
    still[20:100, 20:100], moved[60:140, 90:170] = thing, thing
    reference, frame = (noisy(picture, GAINS[4], seed) for seed, picture in enumerate((still, moved)))
    motion = estimate_motion(reference.mean(axis=2), frame.mean(axis=2))
    assert (round(motion.x), round(motion.y), motion.degrees) == (3, -2, 0)


def test_different_scenes_do_not_agree(scene: NDArray[np.float32]) -> None:
    reference, frame = moved_scene(scene).mean(axis=2), moved_scene(scene[::-1, ::-1]).mean(axis=2)
    assert estimate_motion(reference, frame).agreeing < 0.3


@pytest.mark.parametrize("names", [("coffee", "rocket"), ("rocket", "coffee")])
def test_another_scene_is_given_no_motion(names: tuple[str, str]) -> None:
    """It was "moved" by 150 pixels per axis, and the burst was cut to what was left."""
    pair = [getattr(data, name)()[:400, :600].astype(np.float32) / 255 for name in names]
    reference, frame = (noisy(picture, GAINS[2], seed).mean(axis=2) for seed, picture in enumerate(pair))
    assert estimate_motion(reference, frame) == Motion(x=0, y=0, degrees=0, agreeing=0)


@pytest.mark.parametrize("gain", [1, 8])
def test_a_thing_before_most_of_the_picture_hides_no_motion(scene: NDArray[np.float32], gain: int) -> None:
    still, moved = moved_scene(scene), moved_scene(scene, -9, 6)
    thing = data.coffee()[100:250, 100:350] / 255
    moved[: thing.shape[0], : thing.shape[1]] = thing
    reference, frame = (noisy(picture, GAINS[gain], seed).mean(axis=2) for seed, picture in enumerate((still, moved)))
    motion = estimate_motion(reference, frame)
    assert abs(motion.x + 9) < 1
    assert abs(motion.y - 6) < 1


def test_large_pictures_are_measured_at_full_resolution(scene: NDArray[np.float32]) -> None:
    large = np.kron(scene, np.ones((3, 3, 1), np.float32))
    reference, frame = frames(large, 7, -4, 0)
    motion = estimate_motion(reference.mean(axis=2), frame.mean(axis=2))
    assert (round(motion.x), round(motion.y), motion.degrees) == (7, -4, 0)


@pytest.mark.parametrize("white", [0.6, 0.8])
def test_clipped_sky_has_no_say(white: float) -> None:
    """Where it had one, its tiles agreed upon a motion of 2 pixels that the scene does not have."""
    bright = data.coffee().astype(np.float32) / 255 * 0.7 + 0.1
    bright[: 32 + round(white * (len(bright) - 64))] = 1.6
    reference, frame = (picture.clip(0, 1) for picture in frames(bright, 5, -3, 0, gain=1))
    motion = estimate_motion(reference.mean(axis=2), frame.mean(axis=2))
    assert (round(motion.x), round(motion.y), motion.degrees) == (5, -3, 0)
    assert motion.agreeing > 0.8


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_flat_pictures_stay_where_they_are(level: float) -> None:
    flat = np.full((200, 300), level, np.float32)
    assert estimate_motion(flat, flat) == Motion(x=0, y=0, degrees=0, agreeing=0)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_moves_nothing(seed: int) -> None:
    """It was "moved" by up to half of the picture."""
    flat = np.full((200, 300, 3), 0.5, np.float32)
    reference, frame = (noisy(flat, GAINS[4], 2 * seed + i).mean(axis=2) for i in (0, 1))
    assert estimate_motion(reference, frame) == Motion(x=0, y=0, degrees=0, agreeing=0)


def test_strong_noise_hides_no_texture(scene: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    pair = (moved_scene(scene).mean(axis=2), moved_scene(scene, -9, 4).mean(axis=2))
    reference, frame = (p + 0.4 * rng.standard_normal(p.shape, dtype=np.float32) for p in pair)
    motion = estimate_motion(reference, frame)
    assert abs(motion.x + 9) < 1.5
    assert abs(motion.y - 4) < 1.5


def test_long_narrow_pictures_are_measured() -> None:
    """They were made smaller until nothing was left of their height."""
    picture = np.random.default_rng(0).random((80, 14000), np.float32)
    motion = estimate_motion(picture[5:75, 5:-5], picture[2:72, 9:-1])
    assert (round(motion.x), round(motion.y), motion.degrees) == (4, -3, 0)
