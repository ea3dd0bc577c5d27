"""Figures: PNG files whose colours and layout say what the arrays say."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from mkpn.figures import drawings
from mkpn.synthesis.noise import GAINS, Noise

RNG = np.random.default_rng(0)
THEMES: tuple[drawings.Theme, ...] = ("light", "dark")


def decode(data: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGBA"))


def kernels(*sizes: int) -> dict[int, NDArray[np.float32]]:
    return {size: RNG.normal(0, 0.1, (8, size, size)).astype(np.float32) for size in sizes}


def has_color(pixels: NDArray[np.uint8], color: NDArray[np.uint8]) -> bool:
    return bool((pixels[..., :3] == color).all(-1).any())


@pytest.mark.parametrize("theme", THEMES)
def test_every_figure_is_a_transparent_png(theme: drawings.Theme) -> None:
    by_size = kernels(1, 3, 5)
    for data in (
        drawings.noise_curve(GAINS[4], theme),
        drawings.size_plot([(1, 20.0), (3, 25.0)], [(5, 26.0)], 27.0, 19.0, theme),
        drawings.size_plot([], theme=theme),
        drawings.kernel_grid(by_size, by_size[5], theme),
        drawings.kernel_numbers(by_size[5][0], theme=theme),
    ):
        pixels = decode(data)
        assert min(pixels.shape[:2]) > 100
        assert pixels[0, 0, 3] == 0


def test_the_noise_curve_follows_the_parameters() -> None:
    assert drawings.noise_curve(Noise(0.01, 0.0)) != drawings.noise_curve(Noise(0.02, 0.0))


def test_the_diverging_scale_is_symmetric_about_its_middle() -> None:
    for theme in THEMES:
        ends = drawings.signed_colors(np.array([-2, -1, 0, 1, 2], np.float32), 1.0, theme)
        np.testing.assert_array_equal(ends[0], ends[1])
        np.testing.assert_array_equal(ends[3], ends[4])
        assert not np.array_equal(ends[1], ends[3])
    light = drawings.signed_colors(np.array([0], np.float32), 1.0, "light")
    np.testing.assert_array_equal(light, [[255, 255, 255]])


@pytest.mark.parametrize("size", [1, 3, 11, 25, 31])
def test_each_weight_has_its_colour(size: int) -> None:
    """One strong weight of each sign: their cells, and no others, have the colours of the scale's ends."""
    kernel = np.zeros((size, size), np.float32)
    kernel[0, 0] = 1
    pixels = decode(drawings.kernel_numbers(kernel, 2.0))
    assert has_color(pixels, drawings.signed_colors(np.array(1, np.float32), 2.0))
    other = decode(drawings.kernel_numbers(-kernel, 2.0))
    assert has_color(other, drawings.signed_colors(np.array(-1, np.float32), 2.0))
    assert not np.array_equal(pixels, other)


@pytest.mark.parametrize("theme", THEMES)
def test_the_true_place_is_framed(theme: drawings.Theme) -> None:
    """Frame 2 shows the scene one pixel to the right and two below: its weight is one to the left and two above."""
    by_size = {5: np.zeros((3, 5, 5), np.float32)}
    accent = np.array(ImageColor.getrgb(drawings._INKS[theme].accent))
    offsets = [(0, 0), (3, 0), (1, 2)]
    pixels = decode(drawings.kernel_grid(by_size, by_size[5], theme, offsets))
    ys, xs = np.nonzero((pixels[..., :3] == accent).all(-1) & (pixels[..., 3] == 255))
    left, top, pitch, cell = 130, 76, 226, 42
    # Frame 1 is out of reach.
    assert not ((xs >= left + pitch - 2) & (xs < left + 2 * pitch - 16)).any()
    for frame, (column, row) in ((0, (2, 2)), (2, (1, 0))):
        mine = xs >= left + pitch * frame - 2
        mine &= xs < left + pitch * frame + 5 * cell + 2
        centre = (xs[mine].min() + xs[mine].max()) / 2, (ys[mine].min() + ys[mine].max()) / 2
        assert centre == pytest.approx((left + pitch * frame + (column + 0.5) * cell, top + (row + 0.5) * cell), abs=1)
    assert not has_color(decode(drawings.kernel_grid(by_size, by_size[5], theme)), accent)


def test_one_scale_for_all_kernels() -> None:
    """The largest magnitude anywhere sets the scale: half of it in another frame and size gets the half colour."""
    by_size = {1: np.zeros((8, 1, 1), np.float32), 3: np.zeros((8, 3, 3), np.float32)}
    by_size[1][2] = 0.8
    by_size[3][5, 1, 1] = -0.4
    fused = np.zeros((8, 3, 3), np.float32)
    assert drawings.symmetric_limit([*by_size.values(), fused]) == pytest.approx(0.8)
    pixels = decode(drawings.kernel_grid(by_size, fused))
    box = 210
    x, y = 130 + 226 * 2 + 8, 44 + 8
    np.testing.assert_array_equal(pixels[y, x, :3], drawings.signed_colors(np.array(0.8, np.float32), 0.8))
    x, y = 130 + 226 * 5 + box // 2 - 30, 44 + 252 + box // 2 - 30
    np.testing.assert_array_equal(pixels[y, x, :3], drawings.signed_colors(np.array(-0.4, np.float32), 0.8))


def test_the_grid_has_a_row_per_size_and_one_for_the_fused_kernel() -> None:
    one = decode(drawings.kernel_grid(kernels(5), kernels(5)[5])).shape
    by_size = kernels(1, 3, 5, 7, 9, 11)
    seven = decode(drawings.kernel_grid(by_size, by_size[11])).shape
    assert one[1] == seven[1]
    assert (seven[0] - 44) == 7 * 252
    assert one[0] <= 44 + 2 * 252


def test_weights_are_printed_in_hundredths() -> None:
    assert [drawings._short(value) for value in (0.004, -0.004, 0.126, -0.126, 1.0, -1.25)] == [
        "0",
        "0",
        ".13",
        "−.13",
        "1.00",
        "−1.25",
    ]


def test_zero_kernels_do_not_divide_by_zero() -> None:
    decode(drawings.kernel_numbers(np.zeros((5, 5), np.float32)))


def test_figures_are_drawn_in_threads() -> None:
    expected = drawings.noise_curve(GAINS[2]), drawings.size_plot([(1, 20.0), (3, 25.0)], mkpn=26.0)
    with ThreadPoolExecutor(4) as pool:
        curves = list(pool.map(lambda _: drawings.noise_curve(GAINS[2]), range(6)))
        plots = list(pool.map(lambda _: drawings.size_plot([(1, 20.0), (3, 25.0)], mkpn=26.0), range(6)))
    assert set(curves) == {expected[0]}
    assert set(plots) == {expected[1]}


def test_pyplot_is_not_used() -> None:
    code = "import mkpn.figures.drawings as f; from mkpn.synthesis.noise import GAINS; "
    code += "f.noise_curve(GAINS[1]); import sys; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
