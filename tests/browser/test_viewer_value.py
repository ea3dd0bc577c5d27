"""The Python side of the comparison viewer: its values; no browser needed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mkpn.ui.viewer import component as viewer


def test_values_are_plain_json() -> None:
    pane = viewer.make_pane("truth", "Ground truth", "truth", url="x", psnr=np.float64("inf"), ssim=np.float32(1))
    assert [pane["psnr"], pane["ssim"], pane["status"]] == ["inf", 1.0, "done"]
    waiting = viewer.make_pane("mkpn", "MKPN", "mkpn", psnr=float("nan"))
    assert [waiting["psnr"], waiting["status"]] == [None, "waiting"]
    value = viewer.viewer_value([pane, waiting], dataset_id="a")
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    with pytest.raises(ValueError, match="distinct"):
        viewer.viewer_value([pane, pane], dataset_id="a")
