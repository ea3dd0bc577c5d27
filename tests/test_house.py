"""The plan of the house (DESIGN section 5): layers import only layers above them, and importing mkpn is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mkpn"
LAYERS = (
    {"config", "noise", "losses", "metrics", "ops", "runtime"},
    {
        "settings",
        "burst",
        "network",
        "registration",
        "optimizer",
        "tiling",
        "processes",
        "table1",
        "charts",
        "curves",
        "tables",
    },
    {"images", "baselines", "wiring", "transplant"},
    {"data", "checkpoint", "streaming"},
    {"inference", "journal"},
    {
        "train",
        "register",
        "evaluate",
        "explain",
        "figures",
        "figures_paint",
        "figures_paper",
        "bench",
        "bench_measure",
        "bench_ops",
        "bench_models",
    },
    {"ui"},
    {"__main__"},
)
ORDER = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mkpn":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mkpn.")}
    return found & ORDER.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_layers(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in ORDER, f"{room} has no place in the plan of the house"
    for other in imports(path) - {room}:
        assert ORDER[other] <= ORDER[room], f"{room} must not import {other}"
    if room == "ops":
        assert not imports(path) - {"ops"}


def test_only_the_ui_knows_gradio() -> None:
    for path in PACKAGE.rglob("*.py"):
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "gradio" not in names or path.parent.name == "ui", path


def test_importing_mkpn_is_light() -> None:
    code = "import mkpn, sys; print([m for m in ('gradio', 'numba', 'triton', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = "import mkpn.inference, sys; print([m for m in ('gradio', 'numba', 'triton') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_nothing_is_unpickled() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for forbidden in ("torch.load", "import pickle", "joblib"):
            assert forbidden not in text, f"{path} uses {forbidden}"
