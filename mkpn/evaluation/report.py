"""Measurements as text: Table 1 in Markdown, LaTeX and CSV, intervals, and the images where models differ most."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from mkpn.explain.regions import REGIONS
from mkpn.methods import label
from mkpn.metrics import MetricDefinition
from mkpn.model.config import MODELS

Rows = list[dict[str, Any]]

TIE = "≈"
_BOLD_NOTE = "Bold: best of the column."
_TIE_NOTE = f"{_BOLD_NOTE} {TIE}: ties with MKPN, the 95 % paired bootstrap interval contains zero."
_ONE_IMAGE_NOTE = f"{_BOLD_NOTE} {TIE}: not told apart from MKPN: one image has no interval."
_DIGITS = (("psnr", 2), ("ssim", 3))
_LISTED = 5


def markdown_table(rows: Rows, against: Rows | None = None) -> str:
    """Returns models x gains as Markdown, `PSNR / SSIM`, the best of a column in bold, ties with MKPN marked.

    Args:
        rows: `{model, gain, psnr, ssim}`.
        against: `{model, gain, low, tie}`, see `mkpn.evaluation.evaluate.compare`.
    """
    gains, models, cells, best = _table(rows)
    ties = _ties(against)
    lines = ["| PSNR (dB) / SSIM | " + " | ".join(f"gain {gain}" for gain in gains) + " |"]
    lines.append("| --- |" + " --- |" * len(gains))
    for model in models:
        texts = [
            " / ".join(_bold(cells[model, gain], key, digits, best[key, gain], "**{}**") for key, digits in _DIGITS)
            + (f" {TIE}" if (model, gain) in ties else "")
            for gain in gains
        ]
        lines.append(f"| {label(model)} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def latex_table(rows: Rows, against: Rows | None = None) -> str:
    """Returns models x gains as a LaTeX `tabular`, in the layout of the paper's Table 1; arguments as above."""
    gains, models, cells, best = _table(rows)
    ties = _ties(against)
    lines = [r"\begin{tabular}{l" + "cc" * len(gains) + "}"]
    lines.append(" & ".join(["Model", *(rf"\multicolumn{{2}}{{c}}{{Gain $\times {gain}$}}" for gain in gains)]))
    lines[-1] += r" \\"
    lines.append(" & ".join(["", *["PSNR & SSIM"] * len(gains)]) + r" \\ \hline")
    for model in models:
        texts = [label(model).replace("×", r"$\times$").replace("_", r"\_")]
        for gain in gains:
            pair = [
                _bold(cells[model, gain], key, digits, best[key, gain], r"\textbf{{{}}}") for key, digits in _DIGITS
            ]
            texts += [pair[0] + (r"$^{\approx}$" if (model, gain) in ties else ""), pair[1]]
        lines.append(" & ".join(texts) + r" \\")
    note = _note(against).replace(TIE, r"$\approx$").replace("%", r"\%")
    return "\n".join([*lines, r"\end{tabular}", f"% {note}", ""])


def interval_table(rows: Rows) -> str:
    """Returns mean differences and their 95 % intervals in dB as Markdown; `rows` as `evaluate.compare` gives.

    A dash stands where there is no interval.
    """
    gains, models = _axes(rows)
    cells = {(row["model"], row["gain"]): row for row in rows}
    lines = ["| PSNR difference (dB) | " + " | ".join(f"gain {gain}" for gain in gains) + " |"]
    lines.append("| --- |" + " --- |" * len(gains))
    for model in models:
        texts = [
            f"{signed(row['difference'])} {_ends(row)}" + (f" {TIE}" if row["tie"] else "")
            for row in (cells[model, gain] for gain in gains)
        ]
        lines.append(f"| {label(model)} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def detail_table(rows: Rows, keys: tuple[str, ...], scale: float = 1.0) -> str:
    """Returns further figures of models x gains as Markdown, several in a cell.

    Args:
        rows: as `evaluate.summarise` gives.
        keys: of the figures, e.g. `psnr_flat`; what was not measured is a dash.
        scale: a factor for all of them.
    """
    gains, models = _axes(rows)
    cells = {(row["model"], row["gain"]): row for row in rows}
    lines = ["| | " + " | ".join(f"gain {gain}" for gain in gains) + " |", "| --- |" + " --- |" * len(gains)]
    for model in models:
        texts = [
            " / ".join("–" if (value := cells[model, gain].get(key)) is None else _fixed(scale * value) for key in keys)
            for gain in gains
        ]
        lines.append(f"| {label(model)} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def csv_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Returns rows as CSV with a header."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def spread(images: Rows) -> Rows:
    """Returns a row for every image and gain: PSNR of every method, and where MKPN and single sizes differ.

    Args:
        images: `{model, gain, image, psnr}` of every measurement.

    Returns:
        `{gain, image, <method>..., best_single, mkpn_minus_best_single, mkpn_minus_kpn-l5}`; the last three only
        where those networks were measured. Within a gain, the greatest advantage of MKPN comes first.
    """
    table: dict[tuple[int, str], dict[str, float]] = {}
    for row in images:
        table.setdefault((row["gain"], row["image"]), {})[row["model"]] = row["psnr"]
    rows: Rows = []
    for (gain, image), values in table.items():
        row: dict[str, Any] = {"gain": gain, "image": image, **values}
        singles = [name for name in values if name in MODELS and name != "mkpn"]
        if "mkpn" in values and singles:
            row["best_single"] = max(singles, key=values.__getitem__)
            row["mkpn_minus_best_single"] = values["mkpn"] - values[row["best_single"]]
            if "kpn-l5" in values:
                row["mkpn_minus_kpn-l5"] = values["mkpn"] - values["kpn-l5"]
        rows.append(row)
    order = list(dict.fromkeys(row["gain"] for row in rows))
    return sorted(rows, key=lambda row: (order.index(row["gain"]), -row.get("mkpn_minus_best_single", 0.0)))


def spread_table(rows: Rows) -> str:
    """Returns the images where MKPN gains and loses most against the best single size, as Markdown; empty if none."""
    rows = [row for row in rows if "best_single" in row]
    if not rows:
        return ""
    lines = ["| gain | image | MKPN (dB) | best single size | MKPN − best | MKPN − KPN L5 |", "| --- |" + " --- |" * 5]
    for gain in dict.fromkeys(row["gain"] for row in rows):
        group = [row for row in rows if row["gain"] == gain]
        shown = group if len(group) <= 2 * _LISTED else [*group[:_LISTED], *group[-_LISTED:]]
        for row in shown:
            small = signed(row["mkpn_minus_kpn-l5"]) if "mkpn_minus_kpn-l5" in row else ""
            figures = f"{signed(row['mkpn_minus_best_single'])} | {small}"
            lines.append(f"| {gain} | {row['image']} | {row['mkpn']:.2f} | {label(row['best_single'])} | {figures} |")
    return "\n".join(lines) + "\n"


def measured_on(settings: Mapping[str, Any], images: int) -> str:
    """Returns what the figures of an evaluation were measured on, one sentence for captions.

    Args:
        settings: `settings` of its `results.json`.
        images: how many images.
    """
    crop, factor = settings["crop"], settings["downsample"]
    # Figures that were written before these settings existed have none.
    still = ", without motion" if settings.get("still") else ""
    still += ", every frame but the reference moved by 3 to 16 pixels" if settings.get("far") else ""
    seen = f", {settings['frames']} of 8 frames seen" if settings.get("frames", 8) < 8 else ""
    return (
        f"{' + '.join(settings['images'])}: {images} images, {f'box-downsampled by {factor}, ' if factor > 1 else ''}"
        f"{f'centred {crop}×{crop} crops' if crop else 'whole'}, seed {settings['seed']}{still}{seen}."
    )


def markdown_report(report: Mapping[str, Any], definition: MetricDefinition) -> str:
    """Returns what `results.md` holds: the table, what it was measured on, the intervals, the most different images."""
    rows, against = report["rows"], report["against"]
    where = measured_on(report["settings"], rows[0]["images"])
    parts = [markdown_table(rows, against), f"{where} {definition.describe()}"]
    if against:
        parts[-1] += f" {_note(against)}"
        parts += ["MKPN minus the others, mean over images [95 % interval]:", interval_table(against)]
    parts += [f"PSNR (dB) of flat / edge / textured pixels. {report['settings']['regions']}"]
    parts += [detail_table(rows, tuple(f"psnr_{region}" for region in REGIONS))]
    parts += ["Bias of the brightness, in levels of 255 (0 is right):", detail_table(rows, ("bias",), 255)]
    if report["previous"]:
        parts += ["This run minus the earlier one:", interval_table(report["previous"])]
    if listing := spread_table(spread(report["images"])):
        parts += ["Images where MKPN gains and loses most against the best single size:", listing]
    parts += [f"Left out: {row['image']} ({row['reason']})." for row in report["left_out"]]
    parts += [f"Left out: {label(name)} ({reason})." for name, reason in report["skipped"].items()]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _table(
    rows: Rows,
) -> tuple[list[int], list[str], dict[tuple[str, int], dict[str, Any]], dict[tuple[str, int], float]]:
    gains, models = _axes(rows)
    cells = {(row["model"], row["gain"]): row for row in rows}
    # Compared as printed, so that equal numbers are equally bold.
    best = {
        (key, gain): max(round(cells[model, gain][key], digits) for model in models)
        for key, digits in _DIGITS
        for gain in gains
    }
    return gains, models, cells, best


def _fixed(value: float, sign: str = "-") -> str:
    return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")  # + 0.0: no negative zero


def signed(value: float) -> str:
    """Returns a difference with two digits and its sign, a true minus."""
    return _fixed(value, "+")


def _axes(rows: Rows) -> tuple[list[int], list[str]]:
    return list(dict.fromkeys(row["gain"] for row in rows)), list(dict.fromkeys(row["model"] for row in rows))


def _ends(row: Mapping[str, Any]) -> str:
    return "[–]" if row["low"] is None else f"[{signed(row['low'])}, {signed(row['high'])}]"


def _note(against: Rows | None) -> str:
    if not against:
        return _BOLD_NOTE
    return _ONE_IMAGE_NOTE if any(row["low"] is None for row in against) else _TIE_NOTE


def _ties(against: Rows | None) -> set[tuple[str, int]]:
    return {(row["model"], row["gain"]) for row in against or [] if row["tie"]}


def _bold(cell: Mapping[str, Any], key: str, digits: int, best: float, style: str) -> str:
    text = f"{cell[key]:.{digits}f}"
    return style.format(text) if round(cell[key], digits) >= best else text
