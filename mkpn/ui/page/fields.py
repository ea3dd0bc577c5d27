"""Fields that more than one part of the page has."""

from __future__ import annotations

from typing import Any

import gradio as gr

from mkpn.model.config import model_config
from mkpn.synthesis.noise import Noise
from mkpn.ui.page.answers import Strengths
from mkpn.ui.run.models import ModelStore

_DIGITS = 5


def model_choices(store: ModelStore) -> list[str | int | float | tuple[str, str | int | float]]:
    """Returns the networks that are there, as a list of choices takes them: label and name."""
    return [(model_config(name).label, name) for name in store.names]


def strengths(noise: Noise) -> Strengths:
    """Returns the numbers of Eq. 7 rounded as `noise_number` shows them."""
    return Strengths(round(noise.sigma_r, _DIGITS), round(noise.sigma_s, _DIGITS))


def noise_number(value: float, label: str, **options: Any) -> gr.Number:
    """Creates the field of one of the two numbers of Eq. 7, in [0,1], inside of the current block."""
    # Without minimum and maximum: Gradio would refuse a number once for each event that reads it, before any of them.
    return gr.Number(value, label=label, step=0.001, **options)
