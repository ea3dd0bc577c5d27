"""The Python side of the comparison viewer: values, PNGs and events; no browser needed."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkpn.ui.viewer import component as viewer


def test_png_holds_the_levels(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (31, 17, 3)).astype(np.uint8)
    served = viewer.png_file(levels, tmp_path / "new")
    np.testing.assert_array_equal(np.asarray(Image.open(served["path"])), levels)
    assert viewer.png_file(levels.copy(), tmp_path / "new") == served
    text = viewer.data_uri(np.moveaxis(levels / 255, 2, 0)).split(",")[1]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))), levels)


def test_levels_are_clipped_and_shapes_checked() -> None:
    assert viewer.to_levels(np.array([[-1.0, 0.5, 2.0]])).tolist() == [[0, 128, 255]]
    assert viewer.to_levels(np.array([[0, 0x8080, 0xFFFF]], np.uint16)).tolist() == [[0, 128, 255]]
    for wrong in (np.array([[0, 255]]), np.array([[np.nan, 0.5]])):
        with pytest.raises(ValueError, match="image: expected"):
            viewer.to_levels(wrong)
    with pytest.raises(ValueError, match=r"\[H,W\]"):
        viewer.to_levels(np.zeros((4, 4, 2)))


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
        ("region", {"x": 0, "y": 0, "w": 1.5, "h": 2}),
        ("reference", {"id": 3}),
        ("view", None),
        ("zoom", {}),
    ]:
        with pytest.raises(ValueError, match="expected"):
            viewer.parse_event(name, data)
