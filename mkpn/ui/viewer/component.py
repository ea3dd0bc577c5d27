"""The comparison viewer as a Gradio component, and the values it shows (mkpn/ui/README.md).

Python decides which panes there are and in which order; zoom, modes, error maps and statistics happen in the browser,
from the exact 8-bit pixels. The browser part lies in `mkpn/ui/viewer/` and is read from there without a build step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mkpn.geometry import Rectangle

if TYPE_CHECKING:
    import gradio as gr

Group = Literal["noisy", "mean", "baseline", "mkpn", "truth"]
Status = Literal["waiting", "running", "done", "failed", "stopped"]
# Where two rules weigh the same, the later one wins.
STYLES = ("palette", "theme", "controls", "stage", "side", "responsive")
_ASSETS = Path(__file__).parent


class Pane(TypedDict):
    """One picture of the viewer, as JSON; `make_pane` builds it."""

    id: str
    label: str
    group: Group
    url: str | None
    width: int
    height: int
    psnr: float | Literal["inf"] | None
    ssim: float | None
    seconds: float | None
    status: Status


class ViewerValue(TypedDict):
    """What the component shows; `viewer_value` builds it."""

    panes: list[Pane]
    reference: str | None
    dataset_id: str
    region: dict[str, int] | None
    view: dict[str, Any] | None
    note: str
    square: dict[str, int] | None
    story: list[str]


def comparison_viewer(
    value: ViewerValue | None = None,
    *,
    height: str = "68vh",
    elem_id: str = "viewer",
    visible: bool = True,
) -> gr.HTML:
    """Builds the viewer inside the current Gradio layout.

    Listen with `viewer.pick(...)` {x, y, pane}, `viewer.region(...)` {x, y, w, h} (0 0 0 0 clears),
    `viewer.reference(...)` {id}, `viewer.view(...)`: the fields of the handler's `gr.EventData`, besides `dataset_id`;
    the page may send anything. Use the component as an output only.

    Args:
        value: what to show first, or nothing yet.
        height: CSS height of the stage; the stage grows where many panes would become too small.
        elem_id: id of the element on the page.
        visible: whether it is shown.
    """
    # Importing Gradio takes seconds; building values must not.
    import gradio

    return gradio.HTML(
        value or viewer_value([], dataset_id=""),
        html_template=_asset("viewer.html"),
        css_template=f"--viewer-height: {height};\n{''.join(_asset(f'{name}.css') for name in STYLES)}",
        js_on_load=_script(),
        apply_default_css=False,
        elem_id=elem_id,
        visible=visible,
        label="Comparison viewer",
    )


def make_pane(
    pane_id: str,
    label: str,
    group: Group,
    *,
    url: str | None = None,
    size: tuple[int, int] = (0, 0),
    psnr: float | None = None,
    ssim: float | None = None,
    seconds: float | None = None,
    status: Status | None = None,
) -> Pane:
    """Describes one picture.

    Args:
        pane_id: unique and stable, for instance the model's name: view, reference and region hang on it.
        label: short name for the caption.
        group: colours the caption; digits go to `baseline` and `mkpn` in their order; `truth` is never marked best.
        url: address of the exact PNG; None while there is no picture.
        size: width and height in pixels, so that the layout stands before the PNG has arrived.
        psnr: in dB over the whole image, may be infinite.
        ssim: over the whole image.
        seconds: run time of the model.
        status: default `done` with a picture, `waiting` without.
    """
    return {
        "id": pane_id,
        "label": label,
        "group": group,
        "url": url,
        "width": size[0],
        "height": size[1],
        # JSON has no infinity.
        "psnr": "inf" if psnr == math.inf else _finite(psnr),
        "ssim": _finite(ssim),
        "seconds": _finite(seconds),
        "status": status or ("done" if url else "waiting"),
    }


def viewer_value(
    panes: Sequence[Pane],
    *,
    dataset_id: str,
    reference: str | None = None,
    region: Rectangle | None = None,
    view: dict[str, Any] | None = None,
    note: str = "",
    square: Rectangle | None = None,
    story: Sequence[str] = (),
) -> ViewerValue:
    """Puts panes together to the component's value.

    Fields after `dataset_id` act only when they differ from the value sent before, so that an update for one more
    finished model does not undo what the user chose meanwhile.

    Args:
        panes: in the order shown.
        dataset_id: changes with the image; zoom and pan survive it as long as the size stays.
        reference: the pane compared against; default the `truth` pane.
        region: the selected rectangle.
        view: a record from a `view` event, to restore it.
        note: the metric's definition, shown under the pictures.
        square: where the view opens, enlarged at least twice; without it the whole picture is fitted in.
        story: ids of the panes that are shown at first where there are many; the others are one click away.

    Raises:
        ValueError: if two panes share an id.
    """
    ids = [pane["id"] for pane in panes]
    if len(set(ids)) != len(ids):
        raise ValueError(f"panes: expected distinct ids, got {ids}")
    return {
        "panes": list(panes),
        "reference": reference,
        "dataset_id": dataset_id,
        "region": None if region is None else asdict(region),
        "view": view,
        "note": note,
        "square": None if square is None else asdict(square),
        "story": list(story),
    }


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _script() -> str:
    # The files only declare, and share one function's scope; mount.js acts, and so comes last.
    files = sorted(_ASSETS.glob("*.js"), key=lambda path: (path.stem == "mount", path.stem))
    return "\n".join(_asset(path.name) for path in files)


def _finite(value: float | None) -> float | None:
    # A numpy scalar would not survive the way into JSON.
    return float(value) if value is not None and math.isfinite(value) else None
