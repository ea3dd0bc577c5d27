"""What a run is remembered by: its state, the figure made of it, and whether a rebuilt run still gives its numbers."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mkpn
from mkpn.figures.comparison import Panel, PaperFigure, paper_figure
from mkpn.geometry import Rectangle
from mkpn.metrics import MetricDefinition, psnr, ssim
from mkpn.synthesis.images import to_uint8
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import PictureFolder
from mkpn.ui.run.session import CROP_DEFINITION, Pane, Run
from mkpn.ui.run.settings import Recorded
from mkpn.ui.saved.look import PANES, Look
from mkpn.ui.saved.state import State

PSNR_TOLERANCE = 0.0055
"""dB: half of the last digit shown, and half of the last one that an address keeps."""

SSIM_TOLERANCE = 0.00015


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The files of a figure.

    Attributes:
        folder: where they lie.
        png: the picture.
        pdf: the same for print.
        json: what the app rebuilds the view from.
        alt: the figure in words.
        size: width and height of the PNG in pixels.
        left_out: labels of panes that were asked for and are not there.
    """

    folder: PictureFolder
    png: Path
    pdf: Path
    json: Path
    alt: str
    size: tuple[int, int]
    left_out: tuple[str, ...]


def state_of(run: Run, look: Look, panes: tuple[str, ...], shown: str, store: ModelStore) -> State:
    """Returns the state of a run with the numbers that were measured in it."""
    return State(
        image=run.image,
        settings=run.settings,
        square=(*run.pixel, run.side),
        region=run.region,
        shown=shown,
        panes=panes,
        look=look,
        recorded=measured(run, store),
    )


def measured(run: Run, store: ModelStore) -> Recorded:
    """Returns the numbers of a run so far, with what they depend on."""
    names = [pane.id for pane in run.model_panes if run.done(pane.id)]
    return Recorded(
        weights={name: digest for name in names if (digest := store.hash_of(name))},
        metric=fingerprint(run.definition),
        figures={
            pane.id: (pane.psnr, pane.ssim)
            for pane in run.panes.values()
            if pane.psnr is not None and pane.ssim is not None
        },
    )


def fingerprint(definition: MetricDefinition) -> str:
    """Returns eight hexadecimal digits that differ where two definitions of the metrics do."""
    return hashlib.sha256(json.dumps(definition.to_dict(), sort_keys=True).encode()).hexdigest()[:8]


def restore_place(run: Run, state: State) -> None:
    """Puts square, region and look of a state into a run that was started for it, and notes what does not fit."""
    width, height = run.size
    x, y, side = state.square or (width // 2, height // 2, run.side)
    run.look_at((x, y), side)
    run.region = state.region
    if run.region is not None and not run.region.lies_in(Rectangle.whole(height, width)):
        run.region = None
        run.caveats.append(f"The recorded region does not lie in the picture of {width}×{height} px and was left out.")
    # The token makes every restored view a new one to the viewer, the same view twice too.
    region = None if run.region is None else asdict(run.region)
    run.view = {**state.look.for_viewer(), "region": region, "token": run.token}
    run.recorded = state.recorded


def differences(run: Run, store: ModelStore) -> list[str]:
    """Compares a rebuilt run with what was recorded; one sentence for each thing that is not the same any more."""
    recorded = run.recorded
    if recorded is None:
        return []
    now = measured(run, store)
    found: list[str] = []
    if recorded.metric and not _same_digest(recorded.metric, now.metric):
        found.append("PSNR and SSIM were defined differently when this was recorded.")
    for name in PANES:
        pane = run.panes.get(name)
        label = name if pane is None else pane.label
        changes: list[str] = []
        before, after = recorded.weights.get(name), now.weights.get(name)
        if before and after and not _same_digest(before, after):
            changes.append(f"other weights (SHA-256 recorded {before[:8]}…, now {after[:8]}…)")
        old, new = recorded.figures.get(name), now.figures.get(name)
        if old is not None and new is None:
            changes.append(f"recorded {_pair(old)}, now {'not run' if pane is None else pane.message or pane.status}")
        elif old is not None and new is not None and not _close(old, new):
            changes.append(f"recorded {_pair(old)}, now {_pair(new)}")
        if changes:
            found.append(f"{label}: {'; '.join(changes)}.")
    return found


def enlarged(run: Run) -> Rectangle:
    """Returns what a figure enlarges: the region selected in the viewer, else the compared square."""
    return run.region or run.square


def make_sheet(run: Run, state: State, root: Path) -> Sheet:
    """Makes the figure's three files.

    Args:
        run: the run.
        state: its state; `panes` are the figure's columns.
        root: folder below which the files go.

    Raises:
        ValueError: if none of the panes is there.
    """
    panes = [run.panes[name] for name in state.panes if run.done(name)]
    if not panes:
        raise ValueError("Choose at least one picture that is there for the figure.")
    rectangle = enlarged(run)
    panels = [_panel(run, pane, rectangle) for pane in panes]
    title = _title(state)
    figure = paper_figure(panels, rectangle, title=title, note=_note(run))
    folder = PictureFolder(root)
    stem = _stem(state)
    png, pdf, text = (folder.path / f"{stem}.{ending}" for ending in ("png", "pdf", "json"))
    png.write_bytes(figure.png)
    pdf.write_bytes(figure.pdf)
    text.write_text(state.to_json(_for_people(run, figure, panes, panels, rectangle, title)), encoding="utf-8")
    missing = tuple(run.panes[name].label if name in run.panes else name for name in state.panes if not run.done(name))
    return Sheet(folder=folder, png=png, pdf=pdf, json=text, alt=figure.alt, size=figure.size, left_out=missing)


def _panel(run: Run, pane: Pane, rectangle: Rectangle) -> Panel:
    assert pane.image is not None
    pixels = to_uint8(pane.image)
    if pane.group == "truth":
        return Panel(label=pane.label, pixels=pixels)
    rows, columns = rectangle.slices
    crop, clean = pane.image[:, rows, columns].clamp(0, 1), run.burst.clean[:, rows, columns]
    return Panel(
        label=pane.label,
        pixels=pixels,
        psnr=pane.psnr,
        ssim=pane.ssim,
        crop_psnr=psnr(crop, clean, CROP_DEFINITION),
        crop_ssim=ssim(crop, clean, CROP_DEFINITION) if CROP_DEFINITION.fits(*rectangle.shape) else None,
    )


def _title(state: State) -> str:
    noise = state.settings.noise
    amount = f"gain {state.gain}" if state.gain else f"sigma_r {noise.sigma_r:.4g}, sigma_s {noise.sigma_s:.4g}"
    return f"{state.image.title}, {amount}, seed {state.settings.seed}"


def _note(run: Run) -> str:
    noise, motion = run.settings.noise, run.settings.motion
    box = f", box-downsampled by {run.settings.downsample}" if run.settings.downsample > 1 else ""
    return (
        f"Synthetic burst of {motion.frames} frames{box}; sigma_r {noise.sigma_r:.4f}, sigma_s {noise.sigma_s:.5f}. "
        "Under each column: PSNR / SSIM of the whole picture, then of the rectangle (no border removed). "
        f"{run.definition.describe()}"
    )


def _for_people(
    run: Run, figure: PaperFigure, panes: list[Pane], panels: list[Panel], rectangle: Rectangle, title: str
) -> dict[str, Any]:
    pairs = zip(panes, panels, strict=True)
    in_crop = {pane.id: {"psnr": _json(panel.crop_psnr), "ssim": panel.crop_ssim} for pane, panel in pairs}
    definitions: Mapping[str, Any] = {"whole": run.definition.to_dict(), "crop": CROP_DEFINITION.to_dict()}
    return {
        "made_by": f"MKPN Studio {mkpn.__version__}",
        "title": title,
        "alt": figure.alt,
        "crop": {**asdict(rectangle), "magnification": figure.crop_factor, "figures": in_crop},
        "picture": {"width": run.size[0], "height": run.size[1], "notes": run.notes},
        "metric_definition": definitions,
        "device": run.device,
    }


def _stem(state: State) -> str:
    """A file name that every system takes."""
    plain = unicodedata.normalize("NFKD", Path(state.image.title).stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "picture"
    return f"mkpn-{name}-{f'gain{state.gain}' if state.gain else 'custom'}-seed{state.settings.seed}"


def _json(value: float | None) -> float | str | None:
    return "inf" if value == float("inf") else value


def _same_digest(a: str, b: str) -> bool:
    """Whether two digests agree as far as both of them go."""
    length = min(len(a), len(b))
    return a[:length] == b[:length]


def _close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return (a[0] == b[0] or abs(a[0] - b[0]) <= PSNR_TOLERANCE) and abs(a[1] - b[1]) <= SSIM_TOLERANCE


def _pair(figures: tuple[float, float]) -> str:
    return f"{figures[0]:.3f} dB / {figures[1]:.4f}"
