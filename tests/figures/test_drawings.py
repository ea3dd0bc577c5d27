"""The noise curve: a PNG that follows its parameters, drawn without global state."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mkpn.figures import drawings
from mkpn.synthesis.noise import GAINS, Noise

THEMES: tuple[drawings.Theme, ...] = ("light", "dark")


def decode(data: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("theme", THEMES)
def test_the_noise_curve_is_a_transparent_png(theme: drawings.Theme) -> None:
    pixels = decode(drawings.noise_curve(GAINS[4], theme))
    assert min(pixels.shape[:2]) > 100
    assert pixels[0, 0, 3] == 0


def test_the_noise_curve_follows_the_parameters() -> None:
    assert drawings.noise_curve(Noise(0.01, 0.0)) != drawings.noise_curve(Noise(0.02, 0.0))


def test_figures_are_drawn_in_threads() -> None:
    expected = drawings.noise_curve(GAINS[2])
    with ThreadPoolExecutor(4) as pool:
        curves = list(pool.map(lambda _: drawings.noise_curve(GAINS[2]), range(6)))
    assert set(curves) == {expected}


def test_pyplot_is_not_used() -> None:
    code = "import mkpn.figures.drawings as f; from mkpn.synthesis.noise import GAINS; "
    code += "f.noise_curve(GAINS[1]); import sys; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
