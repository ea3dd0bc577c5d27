"""The plan of the package: imports go one way, nothing imports in a circle, and importing mkpn is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mkpn"

# A folder may import what stands here, and itself. `ui` is listed by folder, since only `page` may know all of it.
MAY_IMPORT: dict[str, set[str]] = {
    "checks": set(),
    "metrics": {"checks", "synthesis"},
    "geometry": set(),
    "whole_files": set(),
    "device": set(),
    "distributed": {"device"},
    "console": set(),
    "model": {"checks", "whole_files"},
    "synthesis": {"checks", "whole_files"},
    "capture": {"checks", "synthesis"},
    "ops": set(),
    "methods": {"model"},
    "paper": {"model"},
    "inference": {"checks", "geometry", "device", "model", "synthesis", "ops"},
    "figures": {"checks", "geometry", "metrics", "methods", "paper", "model", "synthesis", "capture"},
}
_BASE = {"checks", "whole_files", "geometry", "metrics", "device", "model", "synthesis", "ops"}
MAY_IMPORT["training"] = {*_BASE, "distributed", "inference", "figures"}
MAY_IMPORT["evaluation"] = {*MAY_IMPORT["training"], "methods", "paper", "training", "capture", "explain"}
MAY_IMPORT["explain"] = {"checks", "geometry", "metrics", "model", "synthesis", "ops", "inference", "figures"}
_BELOW_UI = {"mkpn", *MAY_IMPORT}
MAY_IMPORT["ui.viewer"] = {"geometry"}
MAY_IMPORT["ui.run"] = _BELOW_UI
MAY_IMPORT["ui.saved"] = {*_BELOW_UI, "ui.run"}
MAY_IMPORT["ui.service"] = {"mkpn", "checks", "device", "ui.run"}
MAY_IMPORT["ui.explorer"] = {*_BELOW_UI, "ui.run", "ui.viewer"}
MAY_IMPORT["ui.page"] = {*_BELOW_UI, "ui.run", "ui.saved", "ui.viewer", "ui.explorer", "ui.service"}
MAY_IMPORT["ui.launch"] = {*MAY_IMPORT["ui.page"], "ui.page"}
MAY_IMPORT["ui"] = set()
MAY_IMPORT["__main__"] = {*MAY_IMPORT, "mkpn"}
MAY_IMPORT["mkpn"] = set(MAY_IMPORT)


def module_name(path: Path, package: Path) -> str:
    """The dotted name below the package, e.g. `model.config`; the package itself is `mkpn`."""
    parts = list(path.relative_to(package).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) or "mkpn"


def modules(package: Path) -> dict[str, Path]:
    return {module_name(path, package): path for path in sorted(package.rglob("*.py"))}


def imported(path: Path, package: Path) -> list[tuple[str, bool]]:
    """Every imported dotted name, whole, and whether the import stands at the top of the module."""
    return _imported(path.read_text(encoding="utf-8"), ("mkpn", *path.relative_to(package).with_suffix("").parts))


# A planted package differs from the real one in one module: the others are parsed once.
@cache
def _imported(text: str, here: tuple[str, ...]) -> list[tuple[str, bool]]:
    tree = ast.parse(text)
    # What stands under `if TYPE_CHECKING` runs never, what stands in a function runs later.
    top = {id(node) for node in tree.body}
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{stem}.{alias.name}", id(node) in top) for alias in node.names]
    return found


def graph(package: Path, top_only: bool = False) -> dict[str, set[str]]:
    """Which module of the package imports which others."""
    known = modules(package)
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        found: set[str] = set()
        for whole, top in imported(path, package):
            if whole.split(".")[0] != "mkpn" or (top_only and not top):
                continue
            target = whole.removeprefix("mkpn").lstrip(".") or "mkpn"
            while target and target not in known:
                target = target.rpartition(".")[0]
            found.add(target or "mkpn")
        edges[name] = found - {name}
    return edges


def folder_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "ui" and len(parts) > 1 else parts[0]


def broken_rules(package: Path) -> list[str]:
    """One sentence for each import that the plan does not allow, and for a circle."""
    problems: list[str] = []
    for name, targets in graph(package).items():
        folder = folder_of(name)
        if folder not in MAY_IMPORT:
            problems.append(f"{name}: {folder} has no place in the plan")
            continue
        for target in sorted(targets):
            other = folder_of(target)
            # The package itself only looks names up when they are asked for; `mkpn.__init__` may do so everywhere.
            if other not in MAY_IMPORT[folder] | {folder}:
                problems.append(f"{name} must not import {target}")
    for name, path in modules(package).items():
        outside = {whole.split(".")[0] for whole, _ in imported(path, package)}
        if "gradio" in outside and folder_of(name).split(".")[0] != "ui":
            problems.append(f"{name} must not import gradio")
    edges = graph(package, top_only=True)
    edges.pop("mkpn", None)
    try:
        TopologicalSorter({name: targets - {"mkpn"} for name, targets in edges.items()}).prepare()
    except CycleError as error:
        problems.append(f"imports in a circle: {' -> '.join(error.args[1])}")
    return problems


def test_imports_go_one_way() -> None:
    assert broken_rules(PACKAGE) == []


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    package = tmp_path / "mkpn"
    for path in PACKAGE.rglob("*.py"):
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("training/losses.py", "from gradio import Blocks", "training.losses must not import gradio"),
        ("training/losses.py", "import gradio.blocks", "training.losses must not import gradio"),
        ("model/config.py", "from mkpn.synthesis import noise", "model.config must not import synthesis.noise"),
        ("ops/reference.py", "from ..model import config", "ops.reference must not import model.config"),
        ("figures/style.py", "import mkpn.ui.launch", "figures.style must not import ui.launch"),
        ("ui/run/pictures.py", "from mkpn.ui.page import views", "ui.run.pictures must not import ui.page.views"),
        ("synthesis/noise.py", "from mkpn.synthesis import motion, burst", "imports in a circle"),
        ("odd/thing.py", "", "odd has no place"),
    ],
)
def test_a_planted_import_is_found(planted: Path, file: str, line: str, complaint: str) -> None:
    path = planted / file
    path.parent.mkdir(exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(text + f"\n{line}\n", encoding="utf-8")
    problems = broken_rules(planted)
    assert any(complaint in problem for problem in problems), problems


def test_every_folder_says_what_it_is() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path
        if path.parent == PACKAGE:
            continue
        listed = " ".join(docstring.split("May import:")[1].split()).split(". ")[0].rstrip(".")
        # `nothing of mkpn, so that ...`, `everything but ui` and `what training may import` are no lists.
        if not listed.startswith(("nothing", "everything", "what", "ui.run and what")):
            assert {*listed.split(", ")} | {"mkpn"} == MAY_IMPORT[module_name(path, PACKAGE)] | {"mkpn"}, path
        elif listed.startswith("nothing"):
            assert not MAY_IMPORT[module_name(path, PACKAGE)], path


def test_no_alias_hides_a_folder() -> None:
    """`kernels as figures` would make every reader think of `mkpn.figures`."""
    folders = {name.split(".")[0] for name in modules(PACKAGE)}
    for path in [*PACKAGE.rglob("*.py"), *Path(__file__).parent.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                hidden = [alias.asname for alias in node.names if alias.asname in folders - {alias.name}]
                assert not hidden, f"{path}: {hidden}"


def test_importing_mkpn_is_light() -> None:
    code = "import mkpn, sys; print([m for m in ('gradio', 'numba', 'triton', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = "import mkpn.inference.denoiser, sys; "
    code += "print([m for m in ('gradio', 'numba', 'llvmlite', 'triton') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_command_line_answers_at_once() -> None:
    """`--help` waits for what `mkpn.__main__` imports; the commands import the rest."""
    code = "import mkpn.__main__, sys; print([m for m in ('torch', 'tqdm', 'gradio', 'numba') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_pictures_are_converted_in_one_place() -> None:
    """Float to 8 bits and the order of the axes, written twice, would one day differ by half a level or a swap."""
    conversion = re.compile(r"transpose\(2, 0, 1\)|transpose\(1, 2, 0\)|moveaxis|\* 255\)|/ (np\.float32\()?255")
    written = {path for path in PACKAGE.rglob("*.py") if conversion.search(path.read_text(encoding="utf-8"))}
    assert written == {PACKAGE / "synthesis" / "images.py"}


def test_loading_a_network_is_light() -> None:
    """PyTorch's compiler, which it imports unasked in some functions, takes 200 MB with Triton."""
    code = "import mkpn, sys; mkpn.load('mkpn', device='cpu'); "
    code += "print([m for m in ('torch._dynamo', 'sympy', 'triton') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_nothing_is_unpickled() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for forbidden in ("torch.load", "import pickle", "joblib"):
            assert forbidden not in text, f"{path} uses {forbidden}"
