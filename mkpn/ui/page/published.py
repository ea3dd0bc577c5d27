"""The figures that came with the checkpoints beside the paper's Table 1, each with what it was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Literal

from pydantic import BaseModel

from mkpn.evaluation.report import measured_on, signed
from mkpn.methods import DENOISED, is_oracle, label
from mkpn.metrics import MetricDefinition
from mkpn.model.config import MODELS
from mkpn.paper import MEASURED_ON, PAPER, paper_rows

_EMPTY = (
    '<p class="notes">These checkpoints carry no figures. <code>python -m mkpn evaluate --images DIR --stamp</code> '
    "measures them and writes the figures into the files; after a new start they stand here.</p>"
)
_REACH = (
    "They are no networks: the true motion is given, and the frames that a kernel of that reach in pixels can follow "
    "are averaged; the rest is left out. It shows what a larger reach is worth."
)
_DIGITS = (("psnr", 2), ("ssim", 3))


def table1(metadata: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns three tables: the stamped figures, the paper's, and how far MKPN is above the others in each.

    Args:
        metadata: of the checkpoints by model name. Those without figures, or measured on something else than MKPN (or
            else the first one), are left out and named.
    """
    stamped = {name: figures for name, one in metadata.items() if (figures := _stamp(one))}
    paper = _part("The paper", MEASURED_ON, _table(paper_rows(), set(), "PSNR and SSIM of the paper's Table 1"))
    if not stamped:
        return f'{_EMPTY}<div class="table1">{paper}</div>'
    base = stamped.get("mkpn") or next(iter(stamped.values()))
    same = {
        name: figures
        for name, figures in stamped.items()
        if (figures["metric"], figures["settings"]) == (base["metric"], base["settings"])
    }
    references = list(base.get("references", []))
    truly = [row for row in references if is_oracle(row["model"].removesuffix(DENOISED))]
    rows = [row for row in references if row not in truly]
    rows += [row for name in MODELS if name in same for row in same[name]["rows"]]
    ties = {
        (row["model"], row["gain"]) for figures in same.values() for row in figures.get("against", []) if row["tie"]
    } | {(row["model"], row["gain"]) for row in rows if row.get("tie")}
    definition = MetricDefinition(border=base["metric"]["border"], channels=base["metric"]["channels"])
    where = f"{measured_on(base['settings'], rows[0]['images'])} {definition.describe()}"
    missing = [label(name) for name in metadata if name not in same]
    if missing:
        where += f" Without figures of this measurement: {', '.join(missing)}."
    ours = _table(rows, ties, "PSNR and SSIM of the shipped networks") + _folded(truly)
    ours = _part("The shipped networks", where, ours)
    return f'<div class="table1">{ours}{paper}{_differences(rows)}</div>'


class _Row(BaseModel, strict=True, extra="allow"):
    model: str
    gain: Literal[1, 2, 4, 8]
    psnr: float
    ssim: float
    images: int


class _Tie(BaseModel, strict=True, extra="allow"):
    model: str
    gain: Literal[1, 2, 4, 8]
    tie: bool


class _Metric(BaseModel, strict=True, extra="allow"):
    border: int
    channels: Literal["rgb", "luma"]


class _Stamp(BaseModel, strict=True, extra="allow"):
    """What `evaluate --stamp` writes, as far as it is shown: anybody may have written a checkpoint."""

    metric: _Metric
    settings: dict[str, Any]
    rows: list[_Row]
    references: list[_Row] = []
    against: list[_Tie] = []


def _stamp(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint's figures; nothing where it has none, or some that this page cannot show."""
    try:
        figures = metadata.get("metrics") or {}
        checked = _Stamp.model_validate(figures)
        if not checked.rows:
            return {}
        measured_on(checked.settings, 1)
        return figures
    # A sentence, a number or a list may stand where the caption looks for something else.
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _part(title: str, where: str, table: str) -> str:
    return f'<section><h3>{title}</h3><p class="caption"><b>Measured on:</b> {escape(where)}</p>{table}</section>'


def _table(rows: list[dict[str, Any]], ties: set[tuple[str, int]], name: str) -> str:
    gains = list(dict.fromkeys(row["gain"] for row in rows))
    cells = {(row["model"], row["gain"]): row for row in rows}
    best = {
        (key, gain): max(round(row[key], digits) for row in rows if row["gain"] == gain)
        for key, digits in _DIGITS
        for gain in gains
    }
    said, reason = "ties with MKPN", "the 95 % paired bootstrap interval contains zero"
    if ties and rows[0]["images"] < 2:
        said, reason = "not told apart from MKPN", "one image has no interval"
    body = ""
    for model in dict.fromkeys(row["model"] for row in rows):
        texts = ""
        for gain in gains:
            row = cells.get((model, gain))
            for key, digits in _DIGITS:
                tie = f'<span class="tie" title="{said}">≈</span>' if (model, gain) in ties and key == "psnr" else ""
                texts += _cell(row[key], digits, best[key, gain], tie) if row else "<td>–</td>"
        body += (
            f'<tr class="{"mkpn" if model == "mkpn" else ""}"><th scope="row">{escape(label(model))}</th>{texts}</tr>'
        )
    heads = "".join(f'<th scope="colgroup" colspan="2">gain {gain}</th>' for gain in gains)
    note = f" ≈ {said}: {reason}." if ties else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table class="results">'
        f'<thead><tr><th scope="col" rowspan="2">Model</th>{heads}</tr>'
        f"<tr>{'<th scope=col>PSNR</th><th scope=col>SSIM</th>' * len(gains)}</tr></thead><tbody>{body}</tbody></table>"
        f'</div><p class="caption">★ best of the column. PSNR in dB.{note}</p>'
    )


def _folded(rows: list[dict[str, Any]]) -> str:
    """The truly aligned means: what they are, and their figures when asked for."""
    if not rows:
        return ""
    table = _table(rows, set(), "PSNR and SSIM of truly aligned means")
    return f'<details><summary>Truly aligned means, by reach</summary><p class="caption">{_REACH}</p>{table}</details>'


def _cell(value: float, digits: int, best: float, tie: str) -> str:
    text = f"{value:.{digits}f}{tie}"
    if round(value, digits) >= best:
        return f'<td class="best">{text}<span class="star" title="best"> ★</span></td>'
    return f"<td>{text}</td>"


def _differences(rows: list[dict[str, Any]]) -> str:
    """MKPN minus each single size, here and in the paper."""
    # As the tables show them: a reader who subtracts finds these differences.
    psnr = {(row["model"], row["gain"]): round(row["psnr"], 2) for row in rows}
    gains = [gain for gain in dict.fromkeys(row["gain"] for row in rows) if ("mkpn", gain) in psnr]
    names = [name for name in MODELS if name != "mkpn" and any((name, gain) in psnr for gain in gains)]
    if not names:
        return ""
    body = ""
    for name in names:
        cells = "".join(
            f"<td>{signed(psnr['mkpn', gain] - psnr[name, gain]) if (name, gain) in psnr else '–'}</td>"
            f"<td>{signed(PAPER['mkpn', gain][0] - PAPER[name, gain][0])}</td>"
            for gain in gains
        )
        body += f'<tr><th scope="row">{label(name)}</th>{cells}</tr>'
    heads = "".join(f'<th scope="colgroup" colspan="2">gain {gain}</th>' for gain in gains)
    return (
        '<section class="wide"><h3>MKPN above the others</h3><p class="caption">MKPN\'s PSNR minus the model\'s in dB, '
        "from the two tables above. Images, training and width differ, so only such differences compare.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="PSNR of MKPN minus PSNR of the others">'
        f'<table class="results"><thead><tr><th scope="col" rowspan="2">Model</th>{heads}</tr>'
        f"<tr>{'<th scope=col>here</th><th scope=col>paper</th>' * len(gains)}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></section>"
    )
