"""A run becomes the value of the comparison viewer: one pane per picture, the selected region measured."""

from __future__ import annotations

from typing import Literal

from mkpn.figures.comparison import Area
from mkpn.metrics import ssim
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import CROP_DEFINITION, Pane, Run
from mkpn.ui.viewer.component import Pane as ViewerPane
from mkpn.ui.viewer.component import Rect, ViewerValue, make_pane, viewer_value

_STATUS: dict[str, Literal["waiting", "running", "done", "failed"]] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "stopped": "waiting",
}


def compare(run: Run) -> ViewerValue:
    """Returns what the viewer shows of a run; panes that are not finished are shown as waiting."""
    region = run.region
    return viewer_value(
        [_pane(run, pane) for pane in run.panes.values()],
        # Not the gain or the seed: zoom, reference and region survive a new burst of the same picture.
        dataset_id=f"{run.title} {run.size}",
        # The region is part of every value: one without it would clear the user's selection.
        crop=None if region is None else Rect(x=region.x, y=region.y, w=region.w, h=region.h),
        region_ssim={} if region is None else _region_ssim(run, region),
        view=run.view,
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


def _region_ssim(run: Run, region: Area) -> dict[str, float]:
    """SSIM of a region for every finished picture; nothing where the region holds no 11x11 window."""
    if not CROP_DEFINITION.fits(region.h, region.w):
        return {}
    inside = (slice(None), slice(region.y, region.y + region.h), slice(region.x, region.x + region.w))
    measured: dict[str, float] = {}
    for pane in run.panes.values():
        if pane.image is None or pane.group == "truth":
            continue
        # While models arrive the same region is asked for again and again.
        if pane.region_ssim is None or pane.region_ssim[0] != region:
            shown = pane.image[inside].clamp(0, 1)
            pane.region_ssim = (region, ssim(shown, run.burst.clean[inside], CROP_DEFINITION))
        measured[pane.id] = pane.region_ssim[1]
    return measured
