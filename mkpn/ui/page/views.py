"""A run becomes markup: status line, picture with the crop's box, crops, table, frames. Plain functions, no Gradio."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import isinf

from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import CROP_DEFINITION, Pane, Run, square_metrics

MAGNIFICATIONS = {32: 6, 48: 4, 64: 3, 96: 2, 192: 1}
"""Sides of the crops in pixels and their integer magnification, so that all are shown 192 px wide."""

_WORDS = {"waiting": "–", "running": "running …", "stopped": "stopped", "failed": "failed"}


def status_line(run: Run) -> str:
    """Returns the progress of a run: a bar, how many models are done, the device, and what failed."""
    panes = run.model_panes
    finished = [pane for pane in panes if pane.status in ("done", "failed")]
    seconds = sum(pane.seconds or 0 for pane in panes)
    running = next((pane.label for pane in panes if pane.status == "running"), "")
    if run.stop.is_set() and len(finished) < len(panes):
        text = f"Stopped: {len(finished)} of {len(panes)} models are kept."
    elif len(finished) < len(panes):
        text = f"{len(finished)} of {len(panes)} models · {running or 'no model'} …"
    else:
        done = sum(pane.status == "done" for pane in panes)
        count = f"{len(panes)} models" if done == len(panes) else f"{done} of {len(panes)} models"
        text = f"Done: {count} in {seconds:.1f} s." if panes else "Done: no model was chosen."
    failed = "".join(
        f'<p class="failure"><b>{pane.label}</b> failed: {escape(pane.message)}</p>'
        for pane in panes
        if pane.status == "failed"
    )
    notes = " ".join(escape(note) for note in run.notes)
    return (
        f'<div class="status" role="status"><progress max="{max(1, len(panes))}" '
        f'value="{len(finished) if panes else 1}" aria-label="models finished"></progress>'
        f'<span class="state">{text}</span> <span class="device">{escape(run.device)}</span></div>'
        f'<p class="notes" tabindex="0"><b>{escape(run.title)}</b> · {_noise_text(run)} · seed {run.settings.seed}. '
        f"{notes}</p>"
        f"{failed}"
    )


def overview(run: Run) -> str:
    """Returns one whole picture with the compared square and the clicked pixel drawn above it (Fig. 3).

    The noisy frame stands in for a picture that is not there yet.
    """
    pane = run.panes[run.shown if run.done(run.shown) else "noisy"]
    width, height = run.size
    square, (x, y) = run.square, run.pixel
    assert pane.path is not None
    box = (
        f"left:{100 * square.x / width:.4f}%;top:{100 * square.y / height:.4f}%;"
        f"width:{100 * square.w / width:.4f}%;height:{100 * square.h / height:.4f}%"
    )
    dot = f"left:{100 * (x + 0.5) / width:.4f}%;top:{100 * (y + 0.5) / height:.4f}%"
    return (
        f'<div class="whole"><div class="overview" tabindex="0" role="application" '
        f'style="--ratio:{width / height:.4f}" data-width="{width}" data-height="{height}" '
        f'data-side="{square.w}" data-x="{x}" data-y="{y}" data-run="{run.token}" '
        f'aria-label="{pane.label}, whole image. Click, or move with the arrow keys (Shift: 8 pixels), to choose the '
        f'compared square and the pixel whose kernels are shown.">'
        f'<img src="{picture_url(pane.path)}" width="{width}" height="{height}" alt="{pane.label}, whole image" '
        f'data-pane="{pane.id}" decoding="sync" draggable="false">'
        f'<span class="box" style="{box}"></span><span class="dot" style="{dot}"></span></div></div>'
        f'<p class="caption">{pane.label}, {width}×{height} px{_numbers(pane)} · pixel x {x}, y {y} · '
        f"square {square.w}×{square.h} at x {square.x}, y {square.y}</p>"
    )


def crops(run: Run) -> str:
    """Returns the compared square of every picture, each a window onto the exact PNG at an integer magnification."""
    tiles = "".join(_crop_figure(run, pane) for pane in run.panes.values())
    size = f"{run.square.w}×{run.square.h}"
    return (
        f'<div class="crops" style="{_crop_style(run)}">{tiles}<p class="caption">The same {size} '
        'pixels of every picture, each pixel shown <span class="mag"></span> wide; under each: PSNR in dB and SSIM of '
        "the whole image, then of the square. A click on one opens the whole picture.</p></div>"
    )


def table(run: Run) -> str:
    """Returns the table of all pictures with the best figures marked, and the definition of the metrics."""
    rows = [pane for pane in run.panes.values() if pane.group != "truth"]
    in_crop = {pane.id: square_metrics(run, pane) or (None, None) for pane in rows}
    columns: list[tuple[Callable[[Pane], float | None], int]] = [
        (lambda pane: pane.psnr, 2),
        (lambda pane: pane.ssim, 4),
        (lambda pane: in_crop[pane.id][0], 2),
        (lambda pane: in_crop[pane.id][1], 4),
    ]
    best = [max((round(v, d) for pane in rows if (v := get(pane)) is not None), default=None) for get, d in columns]
    body = ""
    for pane in rows:
        cells = "".join(_cell(get(pane), digits, top) for (get, digits), top in zip(columns, best, strict=True))
        seconds = f"{pane.seconds:.2f} s" if pane.seconds is not None else _WORDS.get(pane.status, "")
        body += (
            f'<tr class="{pane.group} {pane.status}" data-pane="{pane.id}">'
            f'<th scope="row">{pane.label} <small>{pane.kernel}</small></th>{cells}'
            f'<td class="seconds">{seconds}</td></tr>'
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures of all models">'
        '<table class="results"><thead>'
        '<tr><th rowspan="2" scope="col">Model</th>'
        '<th colspan="2" scope="colgroup">Whole image</th><th colspan="2" scope="colgroup">Square</th>'
        '<th rowspan="2" scope="col" class="seconds">Time</th></tr>'
        f"<tr>{'<th scope=col>PSNR</th><th scope=col>SSIM</th>' * 2}</tr>"
        f"</thead><tbody>{body}</tbody></table></div>"
        f'<p class="caption">★ best of the column. PSNR in dB. {run.definition.describe()} The square: the same with '
        f"{'no border' if CROP_DEFINITION.border == 0 else f'a border of {CROP_DEFINITION.border} px'} removed. "
        f"Measured on the models' floating-point output. Time: network and local convolution, {escape(run.device)}.</p>"
    )


def burst_frames(run: Run) -> str:
    """Returns the compared square of all noisy frames with their true offsets."""
    limit = run.settings.motion.small
    tiles = ""
    for index, (path, (x, y)) in enumerate(zip(run.frames, run.burst.offsets.tolist(), strict=True)):
        strong = max(abs(x), abs(y)) > limit
        name = "Frame 0, reference" if index == 0 else f"Frame {index}"
        offset = f"x {_signed(x, 0)}, y {_signed(y, 0)} px{' · large' if strong else ''}"
        tiles += (
            f'<figure class="pane{" strong" if strong else ""}" data-frame="{index}">'
            f"{_window(f'frame-{index}', name, picture_url(path))}"
            f"<figcaption><b>{name}</b><span>{offset}</span></figcaption></figure>"
        )
    width, height = run.size
    return (
        f'<div class="crops frames" style="{_crop_style(run)}">{tiles}</div><p class="caption">The square of all '
        f"{len(run.frames)} noisy frames, {width}×{height} px each; a click on one opens the whole frame. The offset "
        "is where a frame looks, relative to the reference: its content appears moved the other way.</p>"
    )


def placeholder(text: str) -> str:
    """Returns the box that stands where results will be."""
    return f'<div class="placeholder">{escape(text)}</div>'


def _signed(value: float, digits: int) -> str:
    """A number with its sign, a true minus, and no sign for zero."""
    return f"{value:+.{digits}f}".replace("-", "−") if value else "0"


def _noise_text(run: Run) -> str:
    noise = run.settings.noise
    return f"σ<sub>r</sub> {noise.sigma_r:.4f}, σ<sub>s</sub> {noise.sigma_s:.5f}"


def _numbers(pane: Pane) -> str:
    if pane.psnr is None or pane.ssim is None:
        return ""
    return f" · {_figure(pane.psnr, 2)} dB, SSIM {pane.ssim:.4f}"


def _crop_style(run: Run) -> str:
    width, height = run.size
    magnification = MAGNIFICATIONS.get(run.square.w) or max(1, 192 // run.square.w)
    return (
        f"--side:{run.square.w};--x:{run.square.x};--y:{run.square.y};--w:{width};--h:{height};"
        f"--mag:{magnification};--mag-phone:{max(1, 144 // run.square.w)}"
    )


def _window(key: str, alt: str, url: str) -> str:
    return (
        f'<a class="window" href="{url}" target="_blank" rel="noopener" title="Open the whole picture">'
        f'<img src="{url}" alt="{alt}, compared square" decoding="sync" data-key="{escape(key)}"></a>'
    )


def _crop_figure(run: Run, pane: Pane) -> str:
    if pane.path is None or pane.status != "done":
        inner = f'<div class="window empty">{_WORDS.get(pane.status, "")}</div>'
    else:
        inner = _window(pane.id, pane.label, picture_url(pane.path))
    lines = ""
    numbers = square_metrics(run, pane)
    if numbers and pane.psnr is not None and pane.ssim is not None:
        lines += f"<span>{_figure(pane.psnr, 2)} dB · {pane.ssim:.4f}</span>"
        lines += f'<span class="square">square {_figure(numbers[0], 2)} · {numbers[1]:.4f}</span>'
    elif pane.group == "truth":
        lines += "<span>reference of all figures</span>"
    seconds = f"<small>{pane.seconds:.2f} s</small>" if pane.seconds is not None else ""
    return (
        f'<figure class="pane {pane.group} {pane.status}" data-pane="{pane.id}">{inner}'
        f"<figcaption><b>{pane.label}{seconds}</b>{lines}</figcaption></figure>"
    )


def _figure(value: float, digits: int) -> str:
    return "∞" if isinf(value) else f"{value:.{digits}f}"


def _cell(value: float | None, digits: int, best: float | None) -> str:
    if value is None:
        return "<td>–</td>"
    text = _figure(value, digits)
    if best is not None and round(value, digits) >= best:
        return f'<td class="best">{text}<span class="star" title="best"> ★</span></td>'
    return f"<td>{text}</td>"
