"""A run becomes the value of the comparison viewer: one pane per picture, the selected region measured."""

from __future__ import annotations

from typing import Literal

from mkpn.metrics import ssim
from mkpn.ui.pictures import picture_url
from mkpn.ui.session import CROP_DEFINITION, Pane, Run
from mkpn.ui.viewer import Pane as ViewerPane
from mkpn.ui.viewer import Rect, ViewerValue, make_pane, viewer_value

_STATUS: dict[str, Literal["waiting", "running", "done", "failed"]] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "stopped": "waiting",
}


def compare(run: Run, region: Rect | None = None) -> ViewerValue:
    """Returns what the viewer shows of a run.

    Args:
        run: the run; panes that are not finished are shown as waiting.
        region: a rectangle of the picture in pixels, selected in the viewer; its SSIM is measured for every pane.
    """
    return viewer_value(
        [_pane(run, pane) for pane in run.panes.values()],
        # Not the gain or the seed: zoom, reference and region survive a new burst of the same picture.
        dataset_id=f"{run.title} {run.size}",
        crop=region,
        region_ssim={} if region is None else _region_ssim(run, region),
        note=run.definition.describe(),
    )


def _pane(run: Run, pane: Pane) -> ViewerPane:
    return make_pane(
        pane.id,
        pane.label,
        pane.group,
        url=None if pane.path is None else picture_url(pane.path),
        size=run.size,
        psnr=pane.psnr,
        ssim=pane.ssim,
        seconds=pane.seconds,
        status=_STATUS[pane.status],
        ssim_map=None if pane.ssim_path is None else picture_url(pane.ssim_path),
    )


def _region_ssim(run: Run, region: Rect) -> dict[str, float]:
    """SSIM of a region for every finished picture; nothing where the region holds no 11x11 window."""
    if not CROP_DEFINITION.fits(region["h"], region["w"]):
        return {}
    rows, columns = slice(region["y"], region["y"] + region["h"]), slice(region["x"], region["x"] + region["w"])
    clean = run.burst.clean[:, rows, columns]
    return {
        pane.id: ssim(pane.image[:, rows, columns], clean, CROP_DEFINITION)
        for pane in run.panes.values()
        if pane.image is not None and pane.group != "truth"
    }
