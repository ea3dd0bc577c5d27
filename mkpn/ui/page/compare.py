"""A run becomes the value of the comparison viewer: one pane per picture, the selected region measured."""

from __future__ import annotations

from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import Pane, Run
from mkpn.ui.viewer.component import Pane as ViewerPane
from mkpn.ui.viewer.component import ViewerValue, make_pane, viewer_value

STORY = ("noisy", "kpn-l3", "kpn", "kpn-l25", "mkpn", "truth")
"""What the viewer shows at first: noise, a small, a full and a large kernel, all kernels together, and the truth."""


def compare(run: Run) -> ViewerValue:
    """Returns what the viewer shows of a run; a pane that is not finished says so."""
    return viewer_value(
        [_pane(run, pane) for pane in run.panes.values()],
        # Not the gain or the seed: zoom, reference and region survive a new burst of the same picture.
        dataset_id=f"{run.title} {run.size}",
        # The region is part of every value: one without it would clear the user's selection.
        region=run.region,
        view=run.view,
        note=run.definition.describe(),
        square=run.square,
        story=STORY,
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
        status=pane.status,
    )
