"""A state as the query of an address and back: short, readable, and read with care, because anybody may write one.

Numbers are rounded as they are shown and defaults are left out. A part that cannot be read gets its default and a
message; nothing that an address says can do more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from mkpn.model.config import MODELS
from mkpn.synthesis.motion import BurstConfig
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED, Recorded
from mkpn.ui.saved.look import Look
from mkpn.ui.saved.state import FIGURE_PANES, FORMAT, State, read_record

_LONGEST = 8000  # characters; what servers accept
_LISTS = ("models", "figure", "hidden")
_NUMBERS = ("square", "region", "center", "insets")
_PLACE = ("mode", "zoom", "center", "active", "second", "reference", "hidden", "split", "insets")
_TONE = ("error", "top", "ev", "contrast", "gamma", "channel", "palette")
_BLINK = {"rate": "blink", "partner": "blink_with"}


def to_query(state: State) -> str:
    """Returns the query, without a question mark."""
    settings, recorded = state.settings, state.recorded
    noise, motion, models = settings.noise, settings.motion, settings.models
    usual = BurstConfig()
    pairs: dict[str, Any] = (
        {"file": state.image.title, "sha256": state.image.sha256}
        if state.image.bundled is None
        else {"image": state.image.bundled}
    )
    pairs |= {"sigma_r": noise.sigma_r, "sigma_s": noise.sigma_s} if state.gain is None else {"gain": state.gain}
    pairs |= {"seed": settings.seed, "models": models}
    optional = {
        "downsample": (settings.downsample, 1),
        "fit": (settings.fit, "shrink"),
        "burst": ((motion.rate, motion.small, motion.large), (usual.rate, usual.small, usual.large)),
        "square": (state.square, None),
        "region": (None if state.region is None else astuple(state.region), None),
        "shown": (state.shown, "noisy"),
        "figure": (state.panes, FIGURE_PANES),
    }
    pairs |= {key: value for key, (value, default) in optional.items() if value != default}
    look, untouched = state.look.to_record(), Look().to_record()
    pairs |= {_BLINK.get(key, key): value for key, value in look.items() if value != untouched[key] and key != "fit"}
    if not state.look.fit:
        pairs |= {"zoom": state.look.zoom, "center": state.look.center}
    if recorded.figures:
        measured = [recorded.figures.get(pane) for pane in _measured(models)]
        pairs["psnr"] = ["" if pair is None else f"{pair[0]:.3f}" for pair in measured]
        pairs["ssim"] = ["" if pair is None else f"{pair[1]:.4f}" for pair in measured]
    if recorded.weights:
        pairs["weights"] = [recorded.weights.get(name, "")[:8] for name in models]
    if recorded.metric:
        pairs["metric"] = recorded.metric[:8]
    return urlencode({key: _written(value) for key, value in pairs.items()}, quote_via=quote, safe=",")


def from_query(query: str) -> tuple[State | None, list[str]]:
    """Reads the query of an address.

    Returns:
        The state, None where the address names no picture; and one sentence for each part that could not be read and
        has its default.
    """
    try:
        pairs = dict(parse_qsl(query[:_LONGEST].removeprefix("?"), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        return None, [f"this address cannot be read: {error}"]
    if not {"image", "file"} & pairs.keys():
        return None, []
    problems: list[str] = []
    state = read_record(_record(pairs), problems)
    # Numbers that were recorded for another view would only look like a discrepancy.
    return (replace(state, recorded=Recorded()) if problems else state), problems


def _record(pairs: Mapping[str, str]) -> dict[str, Any]:
    """Brings the pairs to the shape of `State.to_record`; what is no number stays a text, for the check to refuse."""
    lists: dict[str, list[str]] = {key: text.split(",") if text else [] for key, text in pairs.items()}
    values: dict[str, Any] = {key: _number(text) for key, text in pairs.items()}
    values |= {key: lists[key] for key in _LISTS if key in lists}
    values |= {key: [_number(item) for item in lists[key]] for key in _NUMBERS if key in lists}
    noise = {key: values[key] for key in ("gain", "sigma_r", "sigma_s") if key in values}
    look = {key: values[key] for key in (*_PLACE, *_TONE) if key in values}
    look |= {key: values[name] for key, name in _BLINK.items() if name in values}
    if look:
        # An address of an earlier version that says how the viewer looks names no pane where none was hidden.
        look.setdefault("hidden", [])
    usual = BurstConfig()
    burst = [_number(item) for item in lists["burst"]] if "burst" in lists else [usual.rate, usual.small, usual.large]
    models = lists.get("models", list(MODELS))
    return {
        "format": FORMAT,
        "image": {"bundled": pairs.get("image"), "title": pairs.get("file"), "sha256": pairs.get("sha256")},
        "noise": noise or {"gain": FIRST_GAIN},
        "seed": values.get("seed", FIRST_SEED),
        "burst": {"frames": usual.frames, **dict(zip(("rate", "small", "large"), burst, strict=False))},
        "downsample": values.get("downsample", 1),
        "fit": values.get("fit", "shrink"),
        "models": models,
        "square": values.get("square"),
        "region": values.get("region"),
        "shown": values.get("shown", "noisy"),
        "figure": values.get("figure", list(FIGURE_PANES)),
        "view": {**look, "fit": "zoom" not in look},
        "weights": {name: text for name, text in zip(models, lists.get("weights", []), strict=False) if text},
        "metric": pairs.get("metric"),
        "figures": {
            pane: {"psnr": psnr if psnr == "inf" else _number(psnr), "ssim": _number(ssim)}
            for pane, psnr, ssim in zip(_measured(models), lists.get("psnr", []), lists.get("ssim", []), strict=False)
            if psnr
        },
    }


def _measured(models: tuple[str, ...] | list[str]) -> list[str]:
    return ["noisy", "mean", *models]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_written(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
