"""The figures of explain's README: made by one command, and what the text says is what the numbers show."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mkpn
from mkpn.explain.figures import COLORS, FIGURES
from mkpn.explain.study import SINGLE, Study, study
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.images import example_image

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "mkpn/explain/README.md").read_text(encoding="utf-8")
RECORD: dict[str, Any] = json.loads((ROOT / ".assets/explain.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made() -> Study:
    """Measured with the shipped networks, as `mkpn explain --out .assets` does."""
    return study(example_image("Coffee cup"), {name: mkpn.load(name, "cpu") for name in MODELS})


def rows(head: str) -> dict[str, list[str]]:
    """A table of the README, by the first cell of its rows."""
    block = next(block for block in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE) if block.startswith(f"| {head} "))
    cells = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in block.splitlines()]
    return {row[0]: row[1:] for row in [cells[0], *cells[2:]]}


def test_stored_numbers_are_those_of_the_shipped_networks(made: Study) -> None:
    found = made.record()
    assert found["far"] == RECORD["far"]
    for gain, row in found["psnr"].items():
        assert row == pytest.approx(RECORD["psnr"][gain], abs=0.01)
    for kind, spot in found["spots"].items():
        for name, value in spot.items():
            tolerance = 2e-4 if name == "noise_gain" else 0.01
            assert value == pytest.approx(RECORD["spots"][kind][name], abs=tolerance), (kind, name)
    for name, values in found["means"].items():
        assert values == pytest.approx(RECORD["means"][name], abs=2e-4 if name == "noise_gain" else 2e-3)
    # A patch on the border between two models may fall to the other: one in 54.
    assert found["shares"] == pytest.approx(RECORD["shares"], abs=0.04)


def test_every_figure_is_drawn_and_stored(made: Study) -> None:
    for name, draw in FIGURES.items():
        stored = Image.open(ROOT / f".assets/explain-{name}.png")
        assert f"explain-{name}.png" in README
        path_size = (ROOT / f".assets/explain-{name}.png").stat().st_size
        assert path_size < 300_000, path_size
        drawn = Image.open(io.BytesIO(draw(made)))
        assert json.loads(drawn.text["Data"]) == json.loads(json.dumps(made.record()))
        # The stored picture is this one, of the stored figures.
        assert json.loads(stored.text["Data"]) == {key: RECORD[key] for key in made.record()}
        assert drawn.size == stored.size
        assert np.abs(np.asarray(drawn.convert("L"), int) - np.asarray(stored.convert("L"), int)).mean() < 2
    assert set(COLORS) == set(MODELS)


@pytest.mark.parametrize("sides", [(160, 160), (158, 600), (600, 158)])
def test_a_picture_without_room_for_both_spots_is_refused_before_any_run(sides: tuple[int, int]) -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a network ran")

    with pytest.raises(ValueError, match=r"^image: expected at least 64x64 shown pixels .* by 2, .* got \d+x\d+$"):
        study(np.zeros((*sides, 3), np.uint8), dict.fromkeys(MODELS, never))  # pyright: ignore[reportArgumentType]


def test_an_even_picture_which_has_no_edge_is_refused_before_any_run() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a network ran")

    with pytest.raises(ValueError, match=r"^image: expected a picture with edges, got an even one$"):
        study(np.full((200, 200, 3), 90, np.uint8), dict.fromkeys(MODELS, never))  # pyright: ignore[reportArgumentType]


def test_the_tables_are_the_stored_numbers() -> None:
    sizes = rows("gain")
    names = [name for name in MODELS if name in ("kpn", "mkpn") or name in SINGLE]
    by_label = {model_config(name).label.removeprefix("KPN "): name for name in names}
    for gain, row in RECORD["psnr"].items():
        for label, cell in zip(sizes["gain"], sizes[gain], strict=True):
            assert float(cell) == pytest.approx(row[by_label[label]], abs=0.0051), (gain, label)
        assert max(row, key=lambda name: row[name]) == by_label[best_label("gain", gain)]
    spots = rows("pixel")
    for kind, spot in RECORD["spots"].items():
        noise_gain, radius, total = (float(cell) for cell in spots[kind])
        assert noise_gain == pytest.approx(spot["noise_gain"], abs=5.1e-5)
        assert radius == pytest.approx(spot["radius"][0], abs=0.0051)
        assert total == pytest.approx(sum(spot["sum"]) / 8, abs=0.0051)
    means = rows("mean over")
    for place, kind in enumerate(("flat", "edge", "texture")):
        assert float(means[kind][0]) == pytest.approx(RECORD["means"]["noise_gain"][place], abs=5.1e-5)
        assert float(means[kind][1]) == pytest.approx(RECORD["means"]["radius"][place], abs=0.0051)


def best_label(head: str, row: str) -> str:
    """The column whose cell is bold in the README's table."""
    line = next(line for line in README.splitlines() if line.startswith(f"| {row} |"))
    heads = next(line for line in README.splitlines() if line.startswith(f"| {head} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    (at,) = (index for index, cell in enumerate(cells) if cell.startswith("**"))
    return [cell.strip() for cell in heads.strip("|").split("|")][at]


def test_what_the_text_says_is_what_the_numbers_show() -> None:
    flat, edge = RECORD["spots"]["flat"], RECORD["spots"]["edge"]
    # First figure: at the flat pixel MKPN averages more, and frames that are out of reach weigh least at the edge.
    assert flat["noise_gain"] < edge["noise_gain"] / 5
    assert flat["radius"][0] > 2 * edge["radius"][0]
    near = [index for index in range(1, 8) if index not in RECORD["far"]]
    for spot in (flat, edge):
        far = max(abs(spot["sum"][index]) for index in RECORD["far"])
        assert far < max(abs(spot["sum"][index]) for index in near) / 2
    assert max(abs(edge["sum"][i]) for i in RECORD["far"]) < min(abs(edge["sum"][i]) for i in near)
    # Second figure: L25 gains on L5 with the noise, and is the best single side; MKPN is above all. At gain 1 L7 to
    # L13 fall back.
    over_l5 = [row["kpn-l25"] - row["kpn-l5"] for row in RECORD["psnr"].values()]
    assert over_l5 == sorted(over_l5)
    assert over_l5[0] > 0
    best = [max(SINGLE, key=lambda name: row[name]) for row in RECORD["psnr"].values()]
    assert best == ["kpn-l25"] * 4
    clear = RECORD["psnr"]["1"]
    assert max(clear[name] for name in ("kpn-l7", "kpn-l9", "kpn-l11", "kpn-l13")) < clear["kpn-l5"]
    for row in RECORD["psnr"].values():
        assert max(row[name] for name in SINGLE) < row["mkpn"]
        assert row["kpn"] < row["kpn-l5"] + 0.001
        cut_off = {name for name, psnr in row.items() if psnr < row["mkpn"] - 0.95}
        assert cut_off == {"kpn-l1", "kpn-l3"}
    # Third figure: least noise gain in the flat third, most at edges; MKPN wins nine tenths of the area, not all.
    noise = RECORD["means"]["noise_gain"]
    assert noise[0] < noise[2] < noise[1]
    assert RECORD["shares"]["mkpn"] == pytest.approx(0.9, abs=0.05)
