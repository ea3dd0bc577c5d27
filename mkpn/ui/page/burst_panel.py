"""The burst as files: what stands below the frames in the tab Burst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from mkpn.checks import choice
from mkpn.synthesis.writing import STORED
from mkpn.ui.page.answers import warn
from mkpn.ui.page.handlers import FORGOTTEN, kept
from mkpn.ui.run.burst_files import burst_archive
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import Run

_NAMES = {"png": "PNG, 8 bits", "png16": "PNG, 16 bits", "tiff": "TIFF, floating point"}
# A link need not be on the page to be followed, and the page shows it a moment later only.
_FOLLOW = """(html) => {
  const box = document.createElement("div");
  box.innerHTML = html;
  box.querySelector("a")?.click();
}"""


@dataclass(frozen=True, kw_only=True)
class BurstPanel:
    """The components of this module."""

    file_format: gr.Radio
    save: gr.Button
    link: gr.HTML


def burst_panel() -> BurstPanel:
    """Creates the panel inside of the current block."""
    with gr.Row(elem_id="burst-save"):
        file_format = gr.Radio(
            [(label, name) for name, label in _NAMES.items()],
            value="png16",
            label="Burst as files: frames, truth, offsets and noise",
            info="8 and 16 bits are clipped to [0,1]; floating point is not.",
            elem_id="burst-format",
            min_width=320,
        )
        save = gr.Button("Download the burst", elem_id="burst-download", scale=0, min_width=180)
    return BurstPanel(file_format=file_format, save=save, link=gr.HTML("", elem_id="burst-link"))


def wire_burst(panel: BurstPanel, run: gr.State, others: Sequence[Callable[..., Any]], events: dict[str, Any]) -> None:
    """Connects the button.

    Args:
        panel: see `burst_panel`.
        run: the session's run.
        others: triggers of what begins another run, after which the last link leads nowhere.
        events: queue and visibility of the events.
    """
    made = panel.save.click(burst_link, [run, panel.file_format], panel.link, **events)
    made.then(None, panel.link, None, js=_FOLLOW, **events)
    for another in others:
        another(lambda: "", None, panel.link, **events)


def burst_link(run: Run | None, file_format: str) -> str:
    """Makes the ZIP and returns the link to it; without a run, a warning and no link."""
    if run is None:
        warn("There is no burst yet: press Run first.")
        return ""
    if kept(run) is None:
        warn(FORGOTTEN)
        return ""
    try:
        path = burst_archive(run, choice("format", file_format, tuple(STORED)))
    except (ValueError, OSError) as error:
        # Without the path that an OSError ends with: it is the server's own.
        reason = error.strerror if isinstance(error, OSError) else error
        warn(f"The burst was not written: {reason}")
        return ""
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    name = escape(path.name)
    return f'<a href="{picture_url(path)}" download="{name}">{name}</a> ({size})'
