"""The components of figure, file and permalink, and which event calls which handler of `sharing`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from mkpn.model.config import model_config
from mkpn.ui.page.queues import MODELS, QUICK
from mkpn.ui.page.sharing import Sharing, close_sheet
from mkpn.ui.run.models import ModelStore
from mkpn.ui.saved.look import Look
from mkpn.ui.saved.state import FIGURE_PANES

HERE = Path(__file__).parent
VIEWER = HERE.parent / "viewer"
_SHEET_SECONDS = 1800
# Whatever writes the address waits for its turn, so that the latest event has the last word.
_ADDRESS: dict[str, Any] = {**QUICK, "concurrency_id": "address", "concurrency_limit": 1}
_LATEST: dict[str, Any] = {**_ADDRESS, "trigger_mode": "always_last"}
# Gradio's "always_last" would send the data of the first of two events twice.
_EACH: dict[str, Any] = {**_ADDRESS, "trigger_mode": "multiple"}
_MAKING: dict[str, Any] = {**QUICK, "show_progress": "minimal"}

_LINK = (
    '<button type="button" class="copy-link" disabled title="After a run: an address that shows this very view">'
    'Copy link</button><span class="said" role="status"></span>'
)
_REBUILD = (
    '<label class="drop"><input type="file" accept=".json,application/json" aria-label="Rebuild from a figure\'s JSON '
    'file"><span><b>Rebuild a view</b> from a figure’s JSON</span></label>'
)
_EMPTY = (
    '<p class="caption">Upper row: whole pictures with a rectangle. Lower row: the rectangle enlarged. PSNR and SSIM '
    "stand below. The rectangle is the region selected in the viewer, or else the square of the tab Crops.</p>"
)


@dataclass(frozen=True, kw_only=True)
class FigurePanel:
    """What stands below the viewer."""

    panes: gr.CheckboxGroup
    make: gr.Button
    as_paper: gr.Button
    as_viewer: gr.Button
    rebuild: gr.HTML
    preview: gr.HTML


@dataclass(frozen=True, kw_only=True)
class Share:
    """All components of this module.

    Attributes:
        link: copies the address, keeps the browser's address bar, and tells Python what the page was opened with.
        notice: whether a rebuilt view still gives its numbers.
        figure: the figure's panel.
        look: how the viewer looks.
        pending: what waits for its run or for its picture.
        sheet: the last figure's files.
    """

    link: gr.HTML
    notice: gr.HTML
    figure: FigurePanel
    look: gr.State
    pending: gr.State
    sheet: gr.State


def link_button() -> gr.HTML:
    """Creates the button that copies the permalink."""
    return gr.HTML({"query": None, "go": None}, html_template=_LINK, js_on_load=_copying("link.js"), elem_id="link")


def figure_panel(store: ModelStore) -> FigurePanel:
    """Creates the panel of the paper's figure inside of the current block."""
    labels = {"noisy": "Noisy frame", "mean": "Burst mean"}
    labels |= {name: model_config(name).label for name in store.names} | {"truth": "Ground truth"}
    with gr.Column(elem_id="figure-panel"):
        panes = gr.CheckboxGroup(
            [(label, name) for name, label in labels.items()],
            value=[name for name in FIGURE_PANES if name in labels],
            label="Figure for a paper: columns",
            elem_id="figure-panes",
        )
        with gr.Row(elem_id="figure-actions"):
            make = gr.Button("Make figure", elem_id="make-figure", scale=0, min_width=130)
            as_paper = gr.Button("As in the paper", elem_id="as-paper", scale=0, min_width=170)
            as_viewer = gr.Button("As in the viewer", elem_id="as-viewer", scale=0, min_width=170)
            rebuild = gr.HTML(_REBUILD, js_on_load=_script("rebuild.js"), elem_id="rebuild")
        preview = gr.HTML(_EMPTY, js_on_load=_copying("sheet.js"), elem_id="figure")
    return FigurePanel(panes=panes, make=make, as_paper=as_paper, as_viewer=as_viewer, rebuild=rebuild, preview=preview)


def share(link: gr.HTML, notice: gr.HTML, figure: FigurePanel) -> Share:
    """Puts the components together and adds what a session keeps."""
    return Share(
        link=link,
        notice=notice,
        figure=figure,
        look=gr.State(Look()),
        pending=gr.State(None),
        sheet=gr.State(None, time_to_live=_SHEET_SECONDS, delete_callback=close_sheet),
    )


def wire_open(
    sharing: Sharing,
    parts: Share,
    controls: list[Any],
    source: Any,
    uploaded: Any,
    run: gr.State,
    page: list[Any],
) -> tuple[Any, list[Any]]:
    """Connects what opens a state.

    Args:
        sharing: the handlers.
        parts: the components.
        controls: what a state sets on the page, in the order of `Sharing._controls` up to `shown`.
        source: the `gr.State` of the image.
        uploaded: the event after which an upload has been taken.
        run: the `gr.State` of the run.
        page: what a run fills.

    Returns:
        The event that runs a state, and the events after which the controls may be set.
    """
    outputs = [*controls, parts.figure.panes, parts.pending, parts.notice, parts.link]
    opened = [
        parts.link.open(sharing.open_link, source, outputs, **QUICK),
        parts.figure.rebuild.rebuild(sharing.open_file, source, outputs, **QUICK),
        uploaded.then(sharing.resume, [parts.pending, source], outputs, **QUICK),
    ]
    parts.figure.rebuild.refused(sharing.refuse_file, None, parts.notice, **QUICK)
    rebuilding = parts.link.go(
        sharing.rebuild,
        [parts.pending, source, run],
        [*page, parts.pending, parts.look],
        # A view that is opened while another one is rebuilt comes after it.
        trigger_mode="multiple",
        **MODELS,
    )
    return rebuilding, opened


class Recorder:
    """Keeps the address up to date after events that change what is shown."""

    def __init__(self, sharing: Sharing, parts: Share, run: gr.State, shown: Any) -> None:
        self.sharing = sharing
        self.parts = parts
        self.inputs = [run, parts.look, parts.figure.panes, shown]
        self.address = [*self.inputs, parts.pending]

    def follow(self, event: Any) -> None:
        """Writes the address anew after an event."""
        event.then(self.sharing.link, self.address, self.parts.link, **_LATEST)

    def finish(self, event: Any) -> None:
        """After a run also tells whether it gives what was recorded."""
        event.then(self.sharing.finish, self.address, [self.parts.notice, self.parts.link], **_ADDRESS)


def wire_record(
    sharing: Sharing, parts: Share, run: gr.State, shown: Any, viewer: gr.HTML, start: gr.Button
) -> Recorder:
    """Connects figure and address; returns what further events are to be followed by."""
    recorder, panel = Recorder(sharing, parts, run, shown), parts.figure
    viewer.view(sharing.remember, [run, panel.panes, shown, parts.pending], [parts.look, parts.link], **_EACH)
    start.click(sharing.forget, None, [parts.pending, parts.notice], **QUICK)
    panel.make.click(
        sharing.figure,
        [*recorder.inputs, parts.sheet],
        [parts.sheet, panel.preview],
        **_MAKING,
    )
    panel.as_paper.click(sharing.as_paper, None, panel.panes, **QUICK)
    panel.as_viewer.click(sharing.as_viewer, [run, parts.look], panel.panes, **QUICK)
    gr.on([panel.panes.change, shown.input], sharing.link, recorder.address, parts.link, **_LATEST)
    return recorder


def _copying(name: str) -> str:
    """A script that copies texts."""
    return "\n".join([(VIEWER / "clipboard.js").read_text(encoding="utf-8"), _script("copy.js"), _script(name)])


def _script(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
