"""DNG files written from known data: values, noise and orientation come back; other files are refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from mkpn.synthesis.noise import Noise

pytest.importorskip("rawpy")

from capture_scenes import BLACK, NEUTRAL, WHITE, mosaic, noisy, to_counts, write_dng

from mkpn.capture import raw as raw_files
from mkpn.capture.raw import read_raw

BALANCE = 1 / np.array(NEUTRAL)


@pytest.fixture
def scene() -> NDArray[np.float64]:
    """[24,32,3] between 0.05 and 0.75."""
    return np.random.default_rng(0).uniform(0.05, 0.75, (24, 32, 3))


def test_a_bayer_block_becomes_one_pixel(tmp_path: Path, scene: NDArray[np.float64]) -> None:
    counts = to_counts(mosaic(scene))
    counts[0::2, 1::2] += 100  # one of the two greens
    frame = read_raw(write_dng(tmp_path / "a.dng", counts), 50)
    expected = scene.copy()
    expected[..., 1] += 50 / (WHITE - BLACK)
    assert frame.pixels.shape == scene.shape
    assert np.abs(frame.pixels - expected * BALANCE).max() < 2 / (WHITE - BLACK) * BALANCE.max()
    assert frame.noise is None
    assert frame.white == pytest.approx(BALANCE, rel=1e-4)


@pytest.mark.parametrize(("pattern", "first"), [((1, 0, 2, 1), (0, 1)), ((2, 1, 1, 0), (1, 1))])
def test_other_bayer_patterns(
    tmp_path: Path, scene: NDArray[np.float64], pattern: tuple[int, ...], first: tuple[int, int]
) -> None:
    counts = to_counts(mosaic(scene))
    turned = np.empty_like(counts)
    channels = {0: 0, 1: 1, 2: 2}
    for index, plane in enumerate(pattern):
        turned[index // 2 :: 2, index % 2 :: 2] = to_counts(scene[..., channels[plane]])
    assert turned[first] == counts[0, 0]
    frame = read_raw(write_dng(tmp_path / "a.dng", turned, pattern=bytes(pattern)), 50)
    assert np.abs(frame.pixels - scene * BALANCE).max() < 2e-4


def test_linear_dng_and_orientation(tmp_path: Path, scene: NDArray[np.float64]) -> None:
    path = write_dng(tmp_path / "a.dng", to_counts(scene), orientation=6)
    assert np.abs(read_raw(path, 50).pixels - np.rot90(scene * BALANCE, 3)).max() < 2e-4


TURNS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, 3),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}
"""By EXIF's orientation the upright picture of the stored one."""


@pytest.mark.parametrize("orientation", TURNS)
def test_every_orientation(tmp_path: Path, scene: NDArray[np.float64], orientation: int) -> None:
    path = write_dng(tmp_path / "a.dng", to_counts(mosaic(scene)), orientation=orientation)
    expected = TURNS[orientation](scene * BALANCE)
    found = read_raw(path, 50).pixels
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-3


@pytest.mark.parametrize("error", [KeyError, IndexError, OSError])
def test_a_profile_that_tifffile_stumbles_over_is_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    path = write_dng(tmp_path / "a.dng", np.full((64, 64), 2000, np.uint16), profile=(1e-4, 1e-6))

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("tifffile.TiffFile", broken)
    assert read_raw(path, 50).noise is None


def test_noise_below_black_is_kept(tmp_path: Path) -> None:
    dark = noisy(np.zeros((64, 64, 3)), Noise(0.01, 0), 0)
    pixels = read_raw(write_dng(tmp_path / "a.dng", to_counts(mosaic(dark))), 50).pixels
    assert abs(pixels[..., 0].mean()) < 0.001
    assert (pixels < 0).mean() > 0.4


def test_another_file_s_white_balance(tmp_path: Path, scene: NDArray[np.float64]) -> None:
    """Pixels, noise and the value that clips are those of the same sensor with the other file's AsShotNeutral."""
    counts = to_counts(mosaic(scene))
    first, other = (
        write_dng(tmp_path / f"{name}.dng", counts, profile=(4e-3, 2e-5), neutral=neutral)
        for name, neutral in (("first", NEUTRAL), ("other", (0.9, 1.0, 0.6)))
    )
    expected = read_raw(first, 50)
    found = read_raw(other, 50, expected.white)
    assert np.array_equal(found.pixels, expected.pixels)
    assert (found.noise, found.white) == (expected.noise, expected.white)
    assert read_raw(other, 50).white == pytest.approx((1 / 0.9, 1, 1 / 0.6), rel=1e-4)


def test_colours_come_from_the_camera_s_own_matrix_where_libraw_has_no_other(tmp_path: Path) -> None:
    """LibRaw leaves `color_matrix` empty for many makers' files; from the same matrix it makes the same of a DNG."""
    rawpy = pytest.importorskip("rawpy")
    camera = np.array([[0.7034, -0.0804, -0.1014], [-0.4420, 1.2564, 0.2058], [-0.0851, 0.1994, 0.5758]])
    path = write_dng(tmp_path / "a.dng", np.full((64, 64), 2000, np.uint16), matrix=camera)
    with rawpy.imread(str(path)) as raw:
        expected = raw.color_matrix[:, :3]
    assert np.abs(expected - np.eye(3)).max() > 0.5
    none = np.zeros((3, 4))
    found = raw_files._to_srgb(SimpleNamespace(color_matrix=none, rgb_xyz_matrix=np.vstack([camera, np.zeros(3)])))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    unknown = SimpleNamespace(color_matrix=none, rgb_xyz_matrix=np.zeros((4, 3)))
    assert np.array_equal(raw_files._to_srgb(unknown), np.eye(3))


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("bayer", [True, False])
def test_the_noise_profile_holds_for_the_developed_pixels(tmp_path: Path, bayer: bool, planes: int) -> None:
    profile = np.array([(4e-3, 2e-5), (3e-3, 1e-5), (2e-3, 3e-5)][:planes])
    levels = np.linspace(0.02, 0.4, 20)
    flat = np.repeat(np.repeat(levels, 20)[None, :, None], 200, axis=0) * np.ones(3)
    parameters = np.broadcast_to(profile, (3, 2))
    sensor, rng = mosaic(flat) if bayer else flat, np.random.default_rng(3)
    slopes, offsets = (
        mosaic(np.broadcast_to(p, flat.shape)) if bayer else np.broadcast_to(p, flat.shape) for p in parameters.T
    )
    sensor = sensor + np.sqrt(slopes * sensor + offsets) * rng.standard_normal(sensor.shape)
    frame = read_raw(write_dng(tmp_path / "a.dng", to_counts(sensor), profile=tuple(profile.ravel())), 50)
    assert frame.noise is not None
    for channel, noise in enumerate(frame.noise):
        seen = frame.pixels[..., channel].reshape(200, 20, 20).std(axis=(0, 2))
        expected = noise.std((levels * BALANCE[channel]).astype(np.float32))
        assert np.abs(seen / expected - 1).max() < 0.07, channel
        assert abs((seen / expected).mean() - 1) < 0.015, channel


@pytest.mark.parametrize("profile", [(1e-4, float("nan")), (-1e-4, 1e-6), (1e-4, 1e-6, 1e-4, 1e-6)])
def test_a_senseless_noise_profile_is_no_profile(tmp_path: Path, profile: tuple[float, ...]) -> None:
    counts = np.full((64, 64), 2000, np.uint16)
    assert read_raw(write_dng(tmp_path / "a.dng", counts, profile=profile), 50).noise is None


def test_other_sensors_are_refused(tmp_path: Path) -> None:
    counts = np.full((96, 96), 2000, np.uint16)
    x_trans = bytes((1, 1, 0, 1, 1, 2, 1, 1, 2, 1, 1, 0, 2, 0, 1, 0, 2, 1)) * 2
    with pytest.raises(ValueError, match=r"^x\.dng: expected a Bayer sensor .* got another sensor$"):
        read_raw(write_dng(tmp_path / "x.dng", counts, pattern=x_trans), 50)


def test_refusals_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dng(tmp_path / "a.dng", np.full((64, 64), 2000, np.uint16))
    with pytest.raises(ValueError, match=r"^a\.dng: expected at most 0\.001 megapixels, got 64x64"):
        read_raw(path, 0.001)
    (tmp_path / "cut.dng").write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"^cut\.dng: expected"):
        read_raw(tmp_path / "cut.dng", 50)
    (tmp_path / "text.dng").write_text("no photograph")
    with pytest.raises(ValueError, match=r"^text\.dng: expected"):
        read_raw(tmp_path / "text.dng", 50)
    with pytest.raises(ValueError, match=r"^none\.dng: expected a raw file, got no file of this name"):
        read_raw(tmp_path / "none.dng", 50)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(ValueError, match=r'^a\.dng: expected rawpy .* pip install "mkpn-studio\[raw\]"$'):
        read_raw(path, 50)


def test_a_file_of_many_bytes_is_not_opened(
    tmp_path: Path, scene: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "a.dng", to_counts(mosaic(scene)))
    monkeypatch.setattr("mkpn.capture.raw.MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"^a\.dng: expected a file of at most 0 MB, got more"):
        read_raw(path, 50)
