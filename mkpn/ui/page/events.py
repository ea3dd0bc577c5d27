"""Builds the page: which event calls which handler. All listeners are private; the public endpoints are in `api`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from mkpn.ui.explorer.component import OPEN_TAB
from mkpn.ui.page import api, layout
from mkpn.ui.page.burst_panel import wire_burst
from mkpn.ui.page.captured import wire_captured
from mkpn.ui.page.handlers import Handlers
from mkpn.ui.page.layout import Controls, Results
from mkpn.ui.page.queues import MODELS, PRIVATE, QUICK
from mkpn.ui.page.run_controls import CUSTOM
from mkpn.ui.page.share_panel import Recorder, wire_open, wire_record
from mkpn.ui.page.sharing import Sharing
from mkpn.ui.run.first import FirstRun
from mkpn.ui.run.models import ModelStore
from mkpn.ui.service.events import Page

_HOUR, _DAY = 3600, 86_400
_LATEST: dict[str, Any] = {**QUICK, "trigger_mode": "always_last"}
# For events that carry data: of two that follow each other "always_last" may send the first one's data twice.
_EACH: dict[str, Any] = {**QUICK, "trigger_mode": "multiple"}
# Not in the queue of the runs: nothing is computed here, and a page that waits takes no processor.
_FOLLOWING: dict[str, Any] = {
    **PRIVATE,
    "trigger_mode": "multiple",
    "concurrency_id": "arrivals",
    "concurrency_limit": 16,
}
# One picture after the other, so that the last one that was chosen is the one that stays.
_CHOICE: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple", "concurrency_id": "choice", "concurrency_limit": 1}


def build(store: ModelStore, root: Path, first: FirstRun | None = None) -> gr.Blocks:
    """Builds the page.

    Args:
        store: the models.
        root: folder of the pictures, to be named in `allowed_paths` at launch.
        first: what a page shows when it is opened; None leaves it empty until the first run.
    """
    handlers = Handlers(store, root, first)
    # Uploads are deleted after a day: a page that is open longer asks for the image again.
    with Page(title="MKPN Studio", analytics_enabled=False, fill_width=True, delete_cache=(_HOUR, _DAY)) as page:
        # First, because a private listener takes the name of its function from a later endpoint.
        api.register(store, root)
        dark = gr.Checkbox(False, visible=False)
        bar = layout.top(first)
        layout.introduction(store)
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=0, min_width=280, elem_id="controls"):
                left = layout.controls(store, root)
            with gr.Column(scale=1, min_width=320, elem_id="results"):
                right = layout.results(store, handlers.service, bar, first)
        uploaded = _wire_controls(handlers, left, dark, page)
        arriving = _wire_arrival(handlers, right)
        rebuilding, recorder = _wire_share(handlers, left, right, dark, uploaded)
        _wire_run(handlers, left, right, arriving, rebuilding, recorder)
        _wire_views(handlers, right, recorder, page)
        wire_burst(right.burst, right.run, [right.start.click, rebuilding.then], QUICK)
        wire_captured(right.captured, store, root)
    return page


def _wire_controls(handlers: Handlers, left: Controls, dark: gr.Checkbox, page: gr.Blocks) -> Any:
    """Returns the event after which an upload has been taken."""
    chosen = [left.source, left.preview, left.fit]
    left.intake.example(handlers.pick_example, left.source, chosen, **_CHOICE)
    uploaded = left.intake.picked(handlers.take_upload, left.source, chosen, **_CHOICE)
    left.intake.refused(handlers.refuse_upload, None, None, **QUICK)
    left.dice.click(handlers.roll_seed, None, left.seed, **QUICK)
    theme = page.load(None, None, dark, js="() => document.body.classList.contains('dark')", **PRIVATE)
    gain = left.gain.input(handlers.choose_gain, left.gain, [left.sigma_r, left.sigma_s], **_LATEST)
    left.gain.input(handlers.show_own_noise, left.gain, left.own_noise, **QUICK)
    typed = gr.on([left.sigma_r.input, left.sigma_s.input], lambda: CUSTOM, None, left.gain, **_LATEST)
    for changed in (theme, gain, typed):
        changed.then(handlers.noise_curve, [*left.noise, dark], left.curve, **_LATEST)
    return uploaded


def _wire_arrival(handlers: Handlers, right: Results) -> Any:
    """Returns the event that shows what there is of the first results."""
    return right.share.link.arrive(handlers.arrive, [right.shown, right.side], _page(right), **QUICK)


def _wire_share(
    handlers: Handlers, left: Controls, right: Results, dark: gr.Checkbox, uploaded: Any
) -> tuple[Any, Recorder]:
    """Returns the event that runs a restored state, and what keeps the address up to date."""
    sharing = Sharing(handlers)
    rebuilding, opened = wire_open(
        sharing,
        right.share,
        [left.source, left.preview, *left.for_run, right.side, right.shown],
        left.source,
        uploaded,
        right.run,
        _page(right),
    )
    for restored in opened:
        restored.then(handlers.noise_curve, [*left.noise, dark], left.curve, **_LATEST)
    return rebuilding, wire_record(sharing, right.share, right.run, right.shown, right.viewer, right.start)


def _page(right: Results) -> list[Any]:
    """What a run fills."""
    return [right.run, right.status, right.overview, right.crops, right.table, right.viewer, right.frames, right.stale]


def _wire_run(
    handlers: Handlers, left: Controls, right: Results, arriving: Any, rebuilding: Any, recorder: Recorder
) -> None:
    # The table changes with every model: a new run has other settings than the one before.
    chosen = [right.run, left.source, *left.for_run]
    changes = [left.preview.change, right.table.change, *(control.change for control in left.for_run)]
    gr.on(changes, handlers.fits, chosen, right.stale, **_LATEST)
    right.start.click(handlers.wait, None, right.stale, **QUICK)
    running = right.start.click(
        handlers.run,
        [left.source, right.shown, right.side, right.run, *left.for_run],
        _page(right),
        **MODELS,
    )
    arrived, rebuilt = (
        event.then(handlers.follow, right.run, _page(right), **_FOLLOWING) for event in (arriving, rebuilding)
    )
    stopping = right.stop.click(
        handlers.stop,
        right.run,
        [right.status, right.crops, right.table, right.viewer],
        cancels=[running, rebuilding],
        **QUICK,
    )
    # A run that was still waiting for its turn has left a sentence.
    stopping.then(handlers.fits, chosen, right.stale, **_LATEST)
    # The first results have no recorded numbers; what a link could not do stays told.
    recorder.follow(arrived)
    for finished in (running, rebuilt, stopping):
        recorder.finish(finished)


def _wire_views(handlers: Handlers, right: Results, recorder: Recorder, page: gr.Blocks) -> None:
    compared = [right.run, right.overview, right.crops, right.table, right.frames]
    right.shown.input(handlers.show, [right.run, right.shown], right.overview, **_LATEST)
    resized = right.side.input(handlers.resize_square, [right.run, right.side], compared, **_LATEST)
    recorder.follow(resized)
    page.load(None, None, None, js=OPEN_TAB, **PRIVATE)
    # The table changes with every model and with the square. At a border the square stops, and only the pixel moves on.
    gr.on([right.table.change, right.overview.change], handlers.service.value, right.run, right.explorer, **_LATEST)
    for pick in (right.overview.pick, right.viewer.pick, right.explorer.pick):
        moved = pick(handlers.move_square, right.run, compared, **_EACH)
        recorder.follow(moved)
    selected = right.viewer.region(handlers.measure_region, right.run, right.viewer, **_EACH)
    recorder.follow(selected)
