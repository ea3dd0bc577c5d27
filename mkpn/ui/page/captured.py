"""The tab for a burst of one's own photographs: files, what is known of their noise, results with their residuals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import gradio as gr

from mkpn.capture.raw import is_raw
from mkpn.checks import number
from mkpn.model.config import model_config
from mkpn.synthesis.files import RAW_SUFFIXES
from mkpn.synthesis.modern import MODERN_SUFFIXES
from mkpn.synthesis.noise import GAINS, Noise
from mkpn.ui.page import views
from mkpn.ui.page.answers import Captured, warn, worded
from mkpn.ui.page.fields import model_choices, noise_number, strengths
from mkpn.ui.page.handlers import close_run, owner_of
from mkpn.ui.page.queues import MODELS, QUICK
from mkpn.ui.run.captured import CapturedRun, run_captured, start_captured
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.viewer.component import ViewerValue, comparison_viewer, make_pane, viewer_value

_INTRO = (
    '<p class="notes">2 to 8 photographs of one scene, or raw files (DNG and others), as a hand-held camera takes them '
    "in a row. Hand motion is undone by whole pixels, noise is taken from the files or estimated. There is no ground "
    "truth, so no PSNR: the table says whether what was removed looks like noise.</p>"
)

_NOTE = "There is no ground truth, so no PSNR of a result: error maps and figures compare with the noisy reference."


@dataclass(frozen=True, kw_only=True)
class CapturedPanel:
    """The components of the tab."""

    run: gr.State
    files: gr.File
    noise: gr.Radio
    sigma_r: gr.Number
    sigma_s: gr.Number
    light: gr.Radio
    models: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    state: gr.HTML
    viewer: gr.HTML
    outcome: gr.HTML


def captured_panel(store: ModelStore, seconds: int) -> CapturedPanel:
    """Creates the tab's components inside of the current block.

    Args:
        store: the networks that are there.
        seconds: how long a result is kept.
    """
    gr.HTML(_INTRO)
    files = gr.File(
        file_count="multiple",
        file_types=["image", *MODERN_SUFFIXES, *RAW_SUFFIXES],
        type="filepath",
        label="Photographs or raw files, reference first",
        height=150,
        elem_id="burst-files",
    )
    with gr.Row():
        noise = gr.Radio(
            [("from the file, or else estimated", "auto"), ("estimated", "estimate"), ("entered", "entered")],
            value="auto",
            label="Noise",
            min_width=240,
            scale=2,
            elem_id="burst-noise",
        )
        first = strengths(GAINS[1])
        sigma_r = noise_number(first.sigma_r, "Read noise σr, if entered", min_width=110)
        sigma_s = noise_number(first.sigma_s, "Shot noise σs, if entered", min_width=110)
    with gr.Row():
        light = gr.Radio(
            [
                ("display values where noise is weak, else linear", "auto"),
                ("linear light", "linear"),
                ("display values", "display"),
            ],
            value="auto",
            label="Raw files: what the networks see",
            min_width=240,
            scale=2,
        )
    models = gr.Dropdown(
        model_choices(store),
        value=list(store.names[-1:]),
        multiselect=True,
        label="Models",
        elem_id="burst-models",
    )
    with gr.Row():
        start = gr.Button("Denoise my burst", variant="primary", elem_id="burst-run", scale=0, min_width=180)
        stop = gr.Button("Stop", elem_id="burst-stop", scale=0, min_width=80)
        # Beside the button: the results come below, mostly off the screen.
        state = gr.HTML("", elem_id="burst-state", min_width=160)
    # Not there before a burst is: a second empty viewer would only be in the way.
    viewer = comparison_viewer(elem_id="burst-viewer", visible=False)
    return CapturedPanel(
        run=gr.State(None, time_to_live=seconds, delete_callback=close_run),
        files=files,
        noise=noise,
        sigma_r=sigma_r,
        sigma_s=sigma_s,
        light=light,
        models=models,
        start=start,
        stop=stop,
        state=state,
        viewer=viewer,
        outcome=gr.HTML(views.placeholder("Results and residuals of your burst."), elem_id="burst-outcome"),
    )


def wire_captured(panel: CapturedPanel, store: ModelStore, root: Path) -> None:
    """Connects the tab's buttons.

    Args:
        panel: see `captured_panel`.
        store: the networks.
        root: folder below which the pictures go.
    """
    # By session, the burst whose files are being read: it has no run yet that a Stop could reach.
    reading: dict[str, threading.Event] = {}

    def denoise(
        files: list[str] | None,
        noise: Literal["auto", "estimate", "entered"],
        sigma_r: float | None,
        sigma_s: float | None,
        light: Literal["auto", "linear", "display"],
        models: list[str],
        previous: CapturedRun | None,
        request: gr.Request | None = None,
    ) -> Iterator[Captured]:
        owner, given_up = owner_of(request), threading.Event()
        reading[owner] = given_up
        try:
            known = noise
            if known == "entered":
                known = Noise(number("sigma_r", sigma_r, 0, 1), number("sigma_s", sigma_s, 0, 1))
            # Its label speaks of raw files only, so that it may stay as it is for photographs.
            of_raw = light if any(is_raw(Path(file)) for file in files or []) else "auto"
            run = start_captured(files or [], models, store, root, noise=known, light=of_raw)
        except ValueError as error:
            warn(str(error))
            failure = f'<p class="failure">{escape(worded(str(error)))}</p>'
            yield Captured(state="", viewer=gr.update(visible=False), outcome=failure)
            return
        finally:
            if reading.get(owner) is given_up:
                del reading[owner]
        if given_up.is_set():
            # Gradio does not wait for this any more, so nobody would show the run or close it.
            run.close()
            return
        run.owner = owner
        store.going.keep(run)
        yield Captured(run, progress(run), gr.update(value=compared(run), visible=True), outcome(run))
        close_run(previous)
        for _ in run_captured(run, store):
            yield Captured(state=progress(run), viewer=compared(run), outcome=outcome(run))
        # Gradio sends the last answer again when an event ends, and that one still says "running".
        if run.stop.is_set():
            yield Captured(state=progress(run), viewer=compared(run), outcome=outcome(run))

    def stop(run: CapturedRun | None, request: gr.Request | None = None) -> Captured:
        unread = reading.get(owner_of(request))
        if unread is not None:
            unread.set()
            warn("The burst that was being read is given up.")
            return Captured(state="")
        if run is None or run.closed or len(run.finished) + len(run.failed) == len(run.models):
            warn("No network is running.")
            return Captured(state="" if run is None or run.closed else progress(run))
        run.cancel()
        return Captured(state=progress(run), viewer=compared(run), outcome=outcome(run))

    inputs = [panel.files, panel.noise, panel.sigma_r, panel.sigma_s, panel.light, panel.models, panel.run]
    outputs = [panel.run, panel.state, panel.viewer, panel.outcome]
    # At once, by the browser: reading photographs, or another visitor's run, takes a while.
    panel.start.click(None, None, panel.state, js=f"() => `{_told('Starting …')}`", api_visibility="private")
    running = panel.start.click(denoise, inputs, outputs, **MODELS)
    running.failure(None, None, panel.state, js="() => ''", api_visibility="private")
    panel.stop.click(stop, panel.run, outputs, cancels=[running], **QUICK)


def compared(run: CapturedRun) -> ViewerValue:
    """Returns what the comparison viewer shows: the noisy reference and each network's result."""
    there = {done.model: done for done in run.finished}
    state = "stopped" if run.stop.is_set() else "waiting"
    panes = [make_pane("noisy", "Reference, noisy", "noisy", url=picture_url(run.noisy), size=run.size)]
    for name in run.models:
        done = there.get(name)
        panes.append(
            make_pane(
                name,
                model_config(name).label,
                "mkpn" if name == "mkpn" else "baseline",
                url=None if done is None else picture_url(done.picture),
                size=run.size,
                seconds=None if done is None else done.seconds,
                status="failed" if name in run.failed else state if done is None else "done",
            )
        )
    return viewer_value(panes, dataset_id=run.folder.path.name, reference="noisy", note=_NOTE)


def progress(run: CapturedRun) -> str:
    """Returns how far a run is, as markup."""
    left = len(run.models) - len(run.finished) - len(run.failed)
    state = f"{len(run.finished)} of {len(run.models)} models"
    state = f"{state} …" if left else f"Done: {state}." if run.failed else "Done."
    if left and run.stop.is_set():
        state = f"Stopped: {len(run.finished)} of {len(run.models)} models are kept."
    return _told(state)


def _told(state: str) -> str:
    return f'<p class="notes" role="status"><b>{state}</b></p>'


def outcome(run: CapturedRun) -> str:
    """Returns notes, figures and pictures as markup."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*run.notes, *run.failures))
    rows = "".join(
        f'<tr><th scope="row">{escape(done.label)}</th><td>{done.report.mean:.3f}</td><td>{done.report.std:.3f}</td>'
        f"<td>{done.report.neighbours:.3f}</td><td>{done.seconds:.2f} s</td></tr>"
        f'<tr><td colspan="5" class="verdict">{escape(done.report.verdict())}</td></tr>'
        for done in run.finished
    )
    expected = f'<tr><th scope="row">noise</th><td>0</td><td>{run.burst.residual_std:.3f}</td><td>0</td><td></td></tr>'
    table = (
        '<table class="results"><caption class="caption">Residual: (reference − result) / expected noise</caption>'
        '<thead><tr><th scope="col">model</th><th scope="col">mean</th><th scope="col">std</th>'
        '<th scope="col">neighbours</th><th scope="col">time</th></tr></thead>'
        f"<tbody>{expected}{rows}</tbody></table>"
    )
    pictures = _file(run.noisy, "Reference, noisy") + "".join(_file(done.picture, done.label) for done in run.finished)
    residuals = "".join(_figure(done.figure, f"{done.label}: was it noise?") for done in run.finished)
    return (
        f'<ul class="notes">{notes}</ul>{table}'
        f'<p class="burst-files">Exact PNGs: {pictures}</p><div class="burst-residuals">{residuals}</div>'
    )


def _file(path: Path, label: str) -> str:
    return f'<a href="{picture_url(path)}" download="{path.name}">{escape(label)}</a>'


def _figure(path: Path, label: str) -> str:
    address = picture_url(path)
    return (
        f'<figure><a href="{address}" target="_blank" rel="noopener"><img src="{address}" alt="{escape(label)}"></a>'
        f'<figcaption class="caption"><b>{escape(label)}</b></figcaption></figure>'
    )
