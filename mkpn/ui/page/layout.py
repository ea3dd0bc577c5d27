"""The components of the page: the bar on top, left and right; what they do is said in `events`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS
from mkpn.ui.explorer.component import TAB, explorer
from mkpn.ui.explorer.service import Service
from mkpn.ui.page import views
from mkpn.ui.page.burst_panel import BurstPanel, burst_panel
from mkpn.ui.page.captured import CapturedPanel, captured_panel
from mkpn.ui.page.compare import compare
from mkpn.ui.page.fields import model_choices, noise_number, strengths
from mkpn.ui.page.handlers import close_run
from mkpn.ui.page.published import table1
from mkpn.ui.page.run_controls import CUSTOM, RunControls
from mkpn.ui.page.share_panel import Share, figure_panel, link_button, share
from mkpn.ui.run.first import FirstRun
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED, FIRST_SIDE
from mkpn.ui.run.sources import example_source, example_strip, forget_source
from mkpn.ui.viewer.component import comparison_viewer

HERE = Path(__file__).parent
STATE_SECONDS = 1800
"""How long an idle session's burst and features (about 250 MB for ten models at 512 px) are kept."""

_FIGURE_BUTTONS: list[Literal["download", "share", "fullscreen"] | gr.Button] = ["download", "fullscreen"]

_DROP = (
    '<label class="drop"><input type="file" accept="image/*,.tif,.tiff,.ppm,.pgm,.avif,.heic,.heif,.jxl" '
    'aria-label="Choose an image file">'
    '<span><b>Choose a file</b><span class="desk">, drop it here, or paste an image anywhere (Ctrl+V)</span></span>'
    "<small>PNG, JPEG, WebP, TIFF, GIF, BMP; 48 px to 16 megapixels; 16-bit grey keeps its depth</small></label>"
)


_SETTINGS_BUTTON = (
    '<button type="button" aria-controls="controls" aria-expanded="true" title="Show or hide the settings (S)">'
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 3h12v10H2zM6 3v10"/></svg><span>Settings</span></button>'
)
_HINT = '<p class="notes">Choose an image and a gain, then press <b>Run</b>.</p>'


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The left side: what is run."""

    source: gr.State
    intake: gr.HTML
    preview: gr.HTML
    downsample: gr.Radio
    fit: gr.Radio
    gain: gr.Radio
    own_noise: gr.Accordion
    sigma_r: gr.Number
    sigma_s: gr.Number
    curve: gr.Image
    rate: gr.Slider
    small: gr.Slider
    large: gr.Slider
    seed: gr.Number
    dice: gr.Button
    models: gr.CheckboxGroup

    @property
    def noise(self) -> list[Any]:
        """What the noise of a run is made from."""
        return [self.gain, self.sigma_r, self.sigma_s]

    @property
    def for_run(self) -> list[Any]:
        """What a run is made from besides the picture, in the order of `RunControls`."""
        return [getattr(self, name) for name in RunControls._fields]


@dataclass(frozen=True, kw_only=True)
class Top:
    """The bar that stays in sight."""

    start: gr.Button
    stop: gr.Button
    link: gr.HTML
    status: gr.HTML
    stale: gr.HTML


@dataclass(frozen=True, kw_only=True)
class Results:
    """The right side: what came out."""

    run: gr.State
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    stale: gr.HTML
    shown: gr.Dropdown
    overview: gr.HTML
    table: gr.HTML
    side: gr.Radio
    crops: gr.HTML
    viewer: gr.HTML
    explorer: gr.HTML
    frames: gr.HTML
    burst: BurstPanel
    captured: CapturedPanel
    share: Share


def head() -> str:
    """Returns the head of the page: where its parts lie, whether the settings are shown, and its heartbeat."""
    scripts = "".join(f"<script>{_script(name)}</script>" for name in ("settings_head.js", "heartbeat.js"))
    return f"<style>{_script('layout.css')}</style>{scripts}"


def top(first: FirstRun | None) -> Top:
    """Creates the bar that stays in sight: name, settings, Run with its progress, link."""
    with gr.Row(elem_id="top"):
        gr.HTML("<h1>MKPN Studio</h1>", js_on_load=_script("names.js"), elem_id="header")
        gr.HTML(_SETTINGS_BUTTON, js_on_load=_script("settings.js"), elem_id="settings-toggle")
        start = gr.Button("Run", variant="primary", elem_id="run", scale=0, min_width=88)
        stop = gr.Button("Stop", elem_id="stop", scale=0, min_width=64)
        link = link_button()
        status = gr.HTML(
            '<div class="status"></div>' + _HINT if first is None else views.status_line(first.run), elem_id="status"
        )
        stale = gr.HTML("", elem_id="stale")
    return Top(start=start, stop=stop, link=link, status=status, stale=stale)


def introduction(store: ModelStore) -> gr.HTML:
    """Returns what the page is, in a sentence, and the checkpoints that are missing."""
    sentence = (
        "A photograph becomes a noisy burst of eight frames; ten networks denoise it, side by side. "
        "<span>Multi-kernel prediction networks, Marinč et al., ICIP 2019.</span>"
    )
    return gr.HTML(f'<p class="introduction">{sentence}</p>{_missing(store)}', elem_id="introduction")


def controls(store: ModelStore, root: Path) -> Controls:
    """Creates the left side inside of the current block."""
    first = example_source(EXAMPLES[0].name, root)
    noise = strengths(GAINS[FIRST_GAIN])
    with gr.Column(elem_id="picture"):
        intake = gr.HTML(example_strip(root) + _DROP, js_on_load=_script("intake.js"), elem_id="intake")
        preview = gr.HTML(first.html(), elem_id="source")
    with gr.Column(elem_id="settings"):
        gain = gr.Radio(
            [*map(str, GAINS), CUSTOM],
            value=str(FIRST_GAIN),
            label="Noise level (gain)",
            info="As a camera's gain: 1 is little noise, 8 is much.",
            elem_id="gain",
        )
        models = gr.CheckboxGroup(
            model_choices(store), value=list(store.names), label="Models", show_select_all=True, elem_id="models"
        )
        with gr.Row(equal_height=True, elem_id="seed-row"):
            seed = gr.Number(
                FIRST_SEED,
                label="Seed",
                info="Same number, same burst.",
                precision=0,
                elem_id="seed",
                min_width=120,
            )
            dice = gr.Button("⚄ Roll", elem_id="dice", min_width=90, scale=0)
        with gr.Accordion("Size of the picture", open=False, elem_id="size"):
            downsample = gr.Radio(
                [1, 2, 4],
                value=1,
                label="Shrink first by",
                info="Averages blocks of pixels (box-downsampling), as in the paper: it removes JPEG artefacts.",
                elem_id="downsample",
            )
            fit = gr.Radio(
                [("shrink further", "shrink"), ("crop the centre", "crop")],
                value="shrink",
                label="A picture over 512 px",
                elem_id="fit",
            )
        with gr.Accordion("Noise of your own", open=False, elem_id="noise") as own_noise:
            with gr.Row():
                sigma_r, sigma_s = (
                    noise_number(value, label, info=info, min_width=120, elem_id=name)
                    for value, label, info, name in (
                        (noise.sigma_r, "Read noise", "σr: the same everywhere", "sigma-r"),
                        (noise.sigma_s, "Shot noise", "σs: grows with brightness", "sigma-s"),
                    )
                )
            curve = _figure("Strength of the noise by brightness", "noise-curve")
        with gr.Accordion("Motion of the burst", open=False, elem_id="motion"):
            motion = BurstConfig()
            rate = gr.Slider(
                0,
                motion.frames,
                motion.rate,
                step=0.1,
                label="Frames that move far, λ",
                info="n is drawn from Poisson(λ); each frame but the first moves far with probability n/8.",
            )
            small = gr.Slider(0, 16, motion.small, step=1, label="Usual motion, up to ± px")
            large = gr.Slider(0, 64, motion.large, step=1, label="Far motion, up to ± px")
    return Controls(
        source=gr.State(first, delete_callback=forget_source),
        intake=intake,
        preview=preview,
        downsample=downsample,
        fit=fit,
        gain=gain,
        own_noise=own_noise,
        sigma_r=sigma_r,
        sigma_s=sigma_s,
        curve=curve,
        rate=rate,
        small=small,
        large=large,
        seed=seed,
        dice=dice,
        models=models,
    )


def results(store: ModelStore, service: Service, bar: Top, first: FirstRun | None) -> Results:
    """Creates the right side inside of the current block; it opens with what is there of the first results."""
    run = None if first is None else first.run
    notice = gr.HTML("", elem_id="notice")
    with gr.Tabs(elem_id="views", overflow_behavior="wrap"):
        with gr.Tab("Compare", id="compare"):
            viewer = comparison_viewer(None if run is None else compare(run), height="var(--stage-height)")
            figure = figure_panel(store)
        with gr.Tab("Crops", id="crops"):
            side = gr.Radio(
                [(f"{side} px", side) for side in views.MAGNIFICATIONS],
                value=FIRST_SIDE,
                label="Side of the square",
                container=False,
                elem_id="side",
            )
            crops = gr.HTML(_opening(run, views.crops, "The same square of every picture."), elem_id="crops")
        with gr.Tab(TAB, id="explore", elem_id="explore-tab"):
            explored = explorer(service.answer)
        with gr.Tab("Table 1", id="table1", elem_id="table1-tab"):
            gr.HTML(table1(store.metadata), elem_id="table1")
        with gr.Tab("Burst", id="burst"):
            frames = gr.HTML(_opening(run, views.burst_frames, "The eight noisy frames."), elem_id="frames")
            burst = burst_panel()
        with gr.Tab("My burst", id="captured", elem_id="captured-tab"):
            captured = captured_panel(store, STATE_SECONDS)
    with gr.Column(elem_id="summary"):
        shown = gr.Dropdown(
            [("Noisy frame", "noisy"), ("Burst mean", "mean"), *model_choices(store), ("Ground truth", "truth")],
            value="noisy",
            label="Whole image",
            container=False,
            filterable=False,
            elem_id="shown",
        )
        overview = gr.HTML(
            _opening(run, views.overview, "The whole image; a click moves the compared square."),
            js_on_load=_script("overview.js"),
            elem_id="overview",
        )
        table = gr.HTML(_opening(run, views.table, "PSNR and SSIM of all models."), elem_id="table")
    return Results(
        run=gr.State(None, time_to_live=STATE_SECONDS, delete_callback=close_run),
        start=bar.start,
        stop=bar.stop,
        status=bar.status,
        stale=bar.stale,
        shown=shown,
        overview=overview,
        table=table,
        side=side,
        crops=crops,
        viewer=viewer,
        explorer=explored,
        frames=frames,
        burst=burst,
        captured=captured,
        share=share(bar.link, notice, figure),
    )


def _script(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _figure(label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        type="filepath",
        format="png",
        label=label,
        buttons=_FIGURE_BUTTONS,
        interactive=False,
        elem_id=elem_id,
        elem_classes="figure",
    )


def _opening(run: Run | None, draw: Callable[[Run], str], empty: str) -> str:
    """What a part of the page shows before its first event: as large as what will come, so that nothing jumps."""
    return views.placeholder(empty) if run is None else draw(run)


def _missing(store: ModelStore) -> str:
    odd = "".join(f'<p class="failure">Left out: {escape(sentence)}.</p>' for sentence in store.left_out)
    if store.names:
        return odd
    return (
        '<p class="failure">No checkpoints were found: only the noisy frame and the burst mean can be shown. '
        f"Train some with <code>python -m mkpn train</code>.</p>{odd}"
    )
