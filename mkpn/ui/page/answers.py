"""What the handlers hand to the page: one named field for each component; what is left out stays as it is."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

import gradio as gr

KEEP: Any = gr.skip()
"""Leaves a component as it is."""


class Chosen(NamedTuple):
    """A picture that was chosen."""

    source: Any = KEEP
    preview: Any = KEEP


class Shown(NamedTuple):
    """What a run fills, in the order of `events._page`."""

    run: Any = KEEP
    status: Any = KEEP
    overview: Any = KEEP
    crops: Any = KEEP
    table: Any = KEEP
    viewer: Any = KEEP
    frames: Any = KEEP


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
    look: Any = KEEP
    pending: Any = KEEP
    notice: Any = KEEP
    link: Any = KEEP


def warn(message: str) -> None:
    """Shows a message in a corner of the page; as text, whatever names of files it repeats."""
    gr.Warning(escape(message))
