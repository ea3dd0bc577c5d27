"""The tab with the shipped figures beside the paper's: what the files say, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from mkpn.metrics import MetricDefinition
from mkpn.model.checkpoint import read_metadata, save_model, stamp_metrics
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.paper import PAPER
from mkpn.ui.page.published import table1
from mkpn.ui.run.models import ModelStore

SETTINGS = {"images": ["CBSD68"], "downsample": 2, "crop": 128, "seed": 0}
# Shown as 29.00 and 32.00: the difference that is shown beside them is theirs, 3.00, not 3.01.
FIGURES = {"kpn-l1": (28.996, 0.80), "kpn-l25": (32.10, 0.90), "mkpn": (32.004, 0.91)}


def row(model: str, gain: int, psnr: float, ssim: float) -> dict[str, object]:
    return {"model": model, "gain": gain, "psnr": psnr, "ssim": ssim, "images": 68}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three checkpoints as `mkpn evaluate --stamp` leaves them."""
    for name, (psnr, ssim) in FIGURES.items():
        torch.manual_seed(0)
        network = KernelPredictionNetwork(model_config(name))
        save_model(tmp_path / f"{name}.safetensors", network.config, network.state_dict(), {})
        against = [{"model": name, "gain": 4, "tie": name == "kpn-l25"}, {"model": name, "gain": 8, "tie": False}]
        stamp_metrics(
            tmp_path / f"{name}.safetensors",
            {
                "rows": [row(name, 4, psnr, ssim), row(name, 8, psnr - 4, ssim - 0.1)],
                "against": against if name != "mkpn" else [],
                "references": [row("noisy", gain, 20, 0.5) for gain in (4, 8)],
                "metric": MetricDefinition().to_dict(),
                "settings": SETTINGS,
            },
        )
    return tmp_path


def tables(html: str) -> list[dict[str, list[str]]]:
    """The rows of every table: name -> cells."""
    found: list[dict[str, list[str]]] = []
    for body in re.findall(r"<tbody>(.*?)</tbody>", html):
        rows = re.findall(r'<tr[^>]*><th scope="row">(.*?)</th>(.*?)</tr>', body)
        found.append({name: re.findall(r"<td[^>]*>([^<]*)", cells) for name, cells in rows})
    return found


def test_the_app_shows_the_stamped_figures_beside_the_papers(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from mkpn.ui.page.events import build

    page = build(ModelStore(folder, "cpu"), tmp_path)
    (html,) = [block.value for block in page.blocks.values() if getattr(block, "elem_id", None) == "table1"]
    ours, paper, differences = tables(html)
    assert list(ours) == ["noisy frame", "KPN L1", "KPN L25", "MKPN"]
    assert ours["MKPN"] == ["32.00", "0.910", "28.00", "0.810"]
    assert len(paper) == 10
    assert paper["KPN 5×5"] == [
        f"{x:.{d}f}" for g in (1, 2, 4, 8) for x, d in zip(PAPER["kpn", g], (2, 3), strict=True)
    ]
    assert differences["KPN L25"] == ["−0.10", "+0.17", "−0.10", "+0.12"]
    assert differences["KPN L1"] == ["+3.00", "+4.29", "+3.00", "+4.48"]
    assert "CBSD68: 68 images, box-downsampled by 2, centred 128×128 crops, seed 0." in html
    assert "8-pixel border removed" in html
    assert "Open Images" in html
    # The tie of KPN L25 at gain 4 is marked, once; the best of a column is starred.
    assert html.count("ties with MKPN") == 2
    assert '<td class="best">32.10<span class="tie"' in html


def test_a_tie_of_one_image_is_told_as_such(folder: Path) -> None:
    stamps = {name: read_metadata(folder / f"{name}.safetensors") for name in FIGURES}
    for stamp in stamps.values():
        for row in (*stamp["metrics"]["rows"], *stamp["metrics"]["references"]):
            row["images"] = 1
    html = table1(stamps)
    assert "≈ not told apart from MKPN: one image has no interval." in html
    assert "ties with MKPN" not in html
    assert "contains zero" not in html


def test_a_stamp_of_another_gain_is_left_out(folder: Path) -> None:
    stamp = read_metadata(folder / "mkpn.safetensors")["metrics"]
    stamp["rows"][0]["gain"] = 3
    stamp_metrics(folder / "mkpn.safetensors", stamp)
    (ours, *_) = tables(table1({name: read_metadata(folder / f"{name}.safetensors") for name in FIGURES}))
    assert "MKPN" not in ours
    assert "KPN L1" in ours


def test_other_measurements_are_left_out_and_named(folder: Path) -> None:
    paths = {name: folder / f"{name}.safetensors" for name in FIGURES}
    stamp = read_metadata(paths["kpn-l1"])["metrics"]
    stamp_metrics(paths["kpn-l1"], {**stamp, "settings": {**SETTINGS, "crop": 64}})
    html = table1({name: read_metadata(path) for name, path in paths.items()})
    assert list(tables(html)[0]) == ["noisy frame", "KPN L25", "MKPN"]
    assert "Without figures of this measurement: KPN L1." in html
    for path in paths.values():
        stamp_metrics(path, {})
    html = table1({name: read_metadata(path) for name, path in paths.items()} | {"kpn-l3": {}})
    assert "carry no figures" in html
    assert len(tables(html)) == 1
