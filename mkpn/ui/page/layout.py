"""The components of the page, left and right; what they do is said in `events`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import gradio as gr

from mkpn.model.config import model_config
from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.noise import GAINS
from mkpn.ui.explorer.component import TAB, explorer
from mkpn.ui.explorer.service import Service
from mkpn.ui.page import views
from mkpn.ui.page.burst_panel import BurstPanel, burst_panel
from mkpn.ui.page.captured import CapturedPanel, captured_panel
from mkpn.ui.page.handlers import CUSTOM, close_run
from mkpn.ui.page.published import table1
from mkpn.ui.page.share_panel import Share, figure_panel, link_button, share
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED
from mkpn.ui.run.sources import example_source, example_strip, forget_source
from mkpn.ui.viewer.component import comparison_viewer

HERE = Path(__file__).parent
STATE_SECONDS = 1800
"""How long an idle session's burst and features (about 170 MB for ten models at 512 px) are kept."""

_FIGURE_BUTTONS: list[Literal["download", "share", "fullscreen"] | gr.Button] = ["download", "fullscreen"]

_DROP = (
    '<label class="drop"><input type="file" accept="image/*,.tif,.tiff,.ppm,.pgm,.avif,.heic,.heif,.jxl" '
    'aria-label="Choose an image file">'
    "<span><b>Choose a file</b>, drop it here, or paste an image anywhere (Ctrl+V)</span>"
    "<small>PNG, JPEG, WebP, TIFF, GIF, BMP; 48 px to 16 megapixels; 16-bit grey keeps its depth</small></label>"
)


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The left side: what is run."""

    source: gr.State
    intake: gr.HTML
    preview: gr.HTML
    downsample: gr.Radio
    fit: gr.Radio
    gain: gr.Radio
    sigma_r: gr.Number
    sigma_s: gr.Number
    curve: gr.Image
    rate: gr.Slider
    small: gr.Slider
    large: gr.Slider
    seed: gr.Number
    dice: gr.Button
    models: gr.CheckboxGroup


@dataclass(frozen=True, kw_only=True)
class Results:
    """The right side: what came out."""

    run: gr.State
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
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


def header(store: ModelStore) -> gr.HTML:
    """Returns the title with the device that runs."""
    return gr.HTML(
        "<h1>MKPN Studio</h1><p>A photograph becomes a noisy burst of eight frames; ten kernel prediction networks "
        "denoise it, side by side. Multi-kernel prediction networks, Marinč et al., ICIP 2019. "
        f"Runs on <b>{store.device_name}</b>.</p>",
        js_on_load=_script("names.js"),
        elem_id="header",
    )


def controls(store: ModelStore, root: Path) -> Controls:
    """Creates the left side inside of the current block."""
    first = example_source(EXAMPLES[0].name, root)
    intake = gr.HTML(example_strip(root) + _DROP, js_on_load=_script("intake.js"), elem_id="intake")
    preview = gr.HTML(first.html(), elem_id="source")
    with gr.Group():
        downsample = gr.Radio(
            [1, 2, 4],
            value=1,
            label="Shrink first by",
            info="Box-downsampling, as in the paper: it removes JPEG artefacts.",
            elem_id="downsample",
        )
        fit = gr.Radio(
            [("shrink further", "shrink"), ("crop the centre", "crop")],
            value="shrink",
            label="A picture over 512 px",
            elem_id="fit",
        )
    noise = GAINS[FIRST_GAIN]
    with gr.Group():
        gain = gr.Radio(
            [*map(str, GAINS), CUSTOM],
            value=str(FIRST_GAIN),
            label="Gain (noise level)",
            info="As a camera's: 1 is little noise, 8 is much.",
            elem_id="gain",
        )
        with gr.Row():
            sigma_r, sigma_s = (
                gr.Number(round(value, 5), label=label, step=0.001, minimum=0, maximum=1, min_width=120, elem_id=name)
                for value, label, name in (
                    (noise.sigma_r, "Read noise σr", "sigma-r"),
                    (noise.sigma_s, "Shot noise σs", "sigma-s"),
                )
            )
        curve = _figure("Noise std against intensity", "noise-curve")
    with gr.Accordion("Motion of the burst", open=False, elem_id="motion"):
        rate = gr.Slider(
            0,
            8,
            1.5,
            step=0.1,
            label="Far-moved frames on average",
            info="Rate of the Poisson distribution that their number comes from.",
        )
        small = gr.Slider(0, 16, 2, step=1, label="Usual motion, up to ± px")
        large = gr.Slider(0, 64, 16, step=1, label="Far motion, up to ± px")
    with gr.Row(equal_height=True, elem_id="seed-row"):
        seed = gr.Number(
            FIRST_SEED, label="Seed (same number, same burst)", precision=0, minimum=0, elem_id="seed", min_width=120
        )
        dice = gr.Button("⚄ Roll", elem_id="dice", min_width=90, scale=0)
    models = gr.CheckboxGroup(
        _model_choices(store), value=list(store.names), label="Models", show_select_all=True, elem_id="models"
    )
    return Controls(
        source=gr.State(first, delete_callback=forget_source),
        intake=intake,
        preview=preview,
        downsample=downsample,
        fit=fit,
        gain=gain,
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


def results(store: ModelStore, service: Service) -> Results:
    """Creates the right side inside of the current block."""
    with gr.Row(elem_id="actions"):
        start = gr.Button("Run", variant="primary", elem_id="run", scale=0, min_width=120)
        stop = gr.Button("Stop", elem_id="stop", scale=0, min_width=80)
        link = link_button()
        status = gr.HTML(_hint(store), elem_id="status")
    notice = gr.HTML("", elem_id="notice")
    with gr.Row(elem_id="summary"):
        with gr.Column(scale=10, min_width=300):
            shown = gr.Dropdown(
                [("Noisy frame", "noisy"), ("Burst mean", "mean"), *_model_choices(store), ("Ground truth", "truth")],
                value="noisy",
                label="Whole image",
                container=False,
                filterable=False,
                elem_id="shown",
            )
            overview = gr.HTML(
                views.placeholder("The whole image; a click moves the compared square."),
                js_on_load=_script("overview.js"),
                elem_id="overview",
            )
        with gr.Column(scale=11, min_width=300):
            table = gr.HTML(views.placeholder("PSNR and SSIM of all models."), elem_id="table")
    with gr.Tabs(elem_id="views", overflow_behavior="wrap"):
        with gr.Tab("Compare", id="compare"):
            viewer = comparison_viewer()
            figure = figure_panel(store)
        with gr.Tab("Crops", id="crops"):
            side = gr.Radio(
                [(f"{side} px", side) for side in views.MAGNIFICATIONS],
                value=64,
                label="Side of the square",
                container=False,
                elem_id="side",
            )
            crops = gr.HTML(views.placeholder("The same square of every picture."), elem_id="crops")
        with gr.Tab(TAB, id="explore"):
            explored = explorer(service.answer)
        with gr.Tab("Table 1", id="table1"):
            gr.HTML(table1(store.metadata), elem_id="table1")
        with gr.Tab("Burst", id="burst"):
            frames = gr.HTML(views.placeholder("The eight noisy frames."), elem_id="frames")
            burst = burst_panel()
        with gr.Tab("My burst", id="captured"):
            captured = captured_panel(store, STATE_SECONDS)
    return Results(
        run=gr.State(None, time_to_live=STATE_SECONDS, delete_callback=close_run),
        start=start,
        stop=stop,
        status=status,
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
        share=share(link, notice, figure),
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


def _model_choices(store: ModelStore) -> list[str | int | float | tuple[str, str | int | float]]:
    return [(model_config(name).label, name) for name in store.names]


def _hint(store: ModelStore) -> str:
    odd = "".join(f'<p class="failure">Left out: {escape(sentence)}.</p>' for sentence in store.left_out)
    if store.names:
        return f'<p class="notes">Choose an image and a gain, then press <b>Run</b>.</p>{odd}'
    return (
        '<p class="failure">No checkpoints were found: only the noisy frame and the burst mean can be shown. '
        f"Train some with <code>python -m mkpn train</code>.</p>{odd}"
    )
