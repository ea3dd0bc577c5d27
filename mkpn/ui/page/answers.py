"""What the handlers hand to the page: one named field for each component; what is left out stays as it is."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

import gradio as gr

KEEP: Any = gr.skip()
"""Leaves a component as it is."""


class Chosen(NamedTuple):
    """A picture that was chosen, and what happens to it if it is too large."""

    source: Any = KEEP
    preview: Any = KEEP
    fit: Any = KEEP


class Strengths(NamedTuple):
    """The two numbers of Eq. 7, as their fields show them."""

    sigma_r: Any = KEEP
    sigma_s: Any = KEEP


class Shown(NamedTuple):
    """What a run fills, in the order of `events._page`."""

    run: Any = KEEP
    status: Any = KEEP
    overview: Any = KEEP
    crops: Any = KEEP
    table: Any = KEEP
    viewer: Any = KEEP
    frames: Any = KEEP
    stale: Any = KEEP


class Stopped(NamedTuple):
    """What changes when a run is stopped."""

    status: Any = KEEP
    crops: Any = KEEP
    table: Any = KEEP
    viewer: Any = KEEP


class Moved(NamedTuple):
    """What changes when the compared square moves."""

    run: Any = KEEP
    overview: Any = KEEP
    crops: Any = KEEP
    table: Any = KEEP
    frames: Any = KEEP


class Drawn(NamedTuple):
    """A figure for a paper."""

    sheet: Any = KEEP
    preview: Any = KEEP


class Opened(NamedTuple):
    """What an opened state sets: the controls, in the order of `events._wire_share`, and what waits for a run."""

    source: Any = KEEP
    preview: Any = KEEP
    downsample: Any = KEEP
    fit: Any = KEEP
    gain: Any = KEEP
    sigma_r: Any = KEEP
    sigma_s: Any = KEEP
    rate: Any = KEEP
    small: Any = KEEP
    large: Any = KEEP
    seed: Any = KEEP
    models: Any = KEEP
    side: Any = KEEP
    shown: Any = KEEP
    panes: Any = KEEP
    pending: Any = KEEP
    notice: Any = KEEP
    link: Any = KEEP


class Told(NamedTuple):
    """What is said about a run when it ends, and its address."""

    notice: Any = KEEP
    link: Any = KEEP


class Remembered(NamedTuple):
    """How the viewer looks, and the address that says so."""

    look: Any = KEEP
    link: Any = KEEP


class GivenUp(NamedTuple):
    """What was waiting for its run, and the message about it."""

    pending: Any = KEEP
    notice: Any = KEEP


class Captured(NamedTuple):
    """What a burst of photographs fills, in the order of `captured.wire_captured`."""

    run: Any = KEEP
    state: Any = KEEP
    viewer: Any = KEEP
    outcome: Any = KEEP


_CONTROLS = {
    "image": "Picture",
    "example": "Picture",
    "downsample": "Shrink first by",
    "fit": "A picture over 512 px",
    "gain": "Noise level",
    "sigma_r": "Read noise σr",
    "sigma_s": "Shot noise σs",
    "rate": "Frames that move far, λ",
    "small": "Usual motion",
    "large": "Far motion",
    "seed": "Seed",
    "models": "Models",
    "burst": "Photographs",
    "noise": "Noise",
    "light": "What the networks see",
}
"""What the page calls the fields that the library's messages name."""


def worded(message: str) -> str:
    """Returns a message `FIELD: expected ...` with the name that the page shows instead of the field's own."""
    field, colon, rest = message.partition(": expected ")
    return _CONTROLS[field] + colon + rest if field in _CONTROLS else message


def warn(message: str) -> None:
    """Shows a message in a corner of the page in the page's words; as text, whatever names of files it repeats."""
    gr.Warning(escape(worded(message)))
