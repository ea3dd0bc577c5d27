"""The Python side of the comparison viewer: values and events; no browser needed."""

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


def test_events_are_checked() -> None:
    assert viewer.parse_event("pick", {"x": 3, "y": 4, "pane": "mkpn"})["y"] == 4
    assert viewer.parse_event("reference", {"id": "truth"})["id"] == "truth"
    for name, data in [
        ("pick", {"x": 3}),
        ("pick", {"x": -1, "y": 0}),
        ("pick", {"x": True, "y": 0}),
        ("region", {"x": 0, "y": 0, "w": 1.5, "h": 2}),
        ("reference", {"id": 3}),
        ("view", None),
        ("zoom", {}),
    ]:
        with pytest.raises(ValueError, match="expected"):
            viewer.parse_event(name, data)
