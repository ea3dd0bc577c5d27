"""How the comparison viewer looks: mode, zoom, centre, reference, error map; checked, as JSON and within an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import model_validator

from mkpn.model.config import MODELS
from mkpn.ui.saved.checked import Record, check, flag, number, one_of, pair, some_of, wholes_by

PANES = ("noisy", "mean", *MODELS, "truth")
"""Every picture that a run may show, in display order."""

MODES = ("grid", "single", "blink", "split")
ERRORS = ("absolute", "squared", "signed", "relative", "relative-squared", "ssim")
PARTNERS = ("reference", "all")
CHANNELS = ("rgb", "r", "g", "b", "luma")
PALETTES = ("stored", "false")
MOST_INSETS = 4

_DIGITS = 4
_FARTHEST = 10_000  # pixels; larger than any picture, so that a centre outside of one is only limited


class Look(Record):
    """What the viewer's `view` event tells; the defaults are a viewer that nobody has touched.

    Numbers are rounded, so that an address stays short and says the same as a file: a hundredth of a screen pixel.

    Attributes:
        mode: one of `MODES`.
        fit: the whole picture is fitted in; zoom and centre then say nothing.
        zoom: screen pixels for each pixel, 1 = 100 %.
        center: the picture's pixel in the middle, x and y.
        active: the selected pane, None for the viewer's own choice.
        second: the other pane of split mode, None likewise.
        reference: the pane that all others are compared with.
        hidden: panes that are not shown, None for the viewer's own choice.
        error: the error map, None for pictures.
        top: end of its colour scale, None for the viewer's own.
        ev: exposure in stops.
        contrast: factor of contrast.
        gamma: exponent of the tone curve is its inverse.
        channel: the channel that is shown, one of `CHANNELS`.
        palette: `stored` colours, or `false` colour by level.
        insets: x, y, width and height of each region that is shown enlarged under every pane, one after the other.
        split: place of the divider, 0 to 1.
        rate: alternations per second of blink mode.
        partner: what blink mode alternates with.
    """

    mode: Annotated[str, one_of(MODES)] = "grid"
    fit: Annotated[bool, flag()] = True
    zoom: Annotated[float, number(0.001, 64, _DIGITS)] = 1.0
    center: Annotated[tuple[float, float], pair(-_FARTHEST, _FARTHEST, _DIGITS)] = (0.0, 0.0)
    active: Annotated[str, one_of(PANES)] | None = None
    second: Annotated[str, one_of(PANES)] | None = None
    reference: Annotated[str, one_of(PANES)] = "truth"
    hidden: Annotated[tuple[str, ...], some_of(PANES)] | None = None
    error: Annotated[str, one_of(ERRORS)] | None = None
    top: Annotated[float, number(0, 1, _DIGITS)] | None = None
    ev: Annotated[float, number(-4, 4, _DIGITS)] = 0.0
    contrast: Annotated[float, number(0.5, 4, _DIGITS)] = 1.0
    gamma: Annotated[float, number(0.4, 3, _DIGITS)] = 1.0
    channel: Annotated[str, one_of(CHANNELS)] = "rgb"
    palette: Annotated[str, one_of(PALETTES)] = "stored"
    insets: Annotated[tuple[int, ...], wholes_by(4, MOST_INSETS, _FARTHEST)] = ()
    split: Annotated[float, number(0, 1, _DIGITS)] = 0.5
    rate: Annotated[float, number(0.25, 3, _DIGITS)] = 1.0
    partner: Annotated[str, one_of(PARTNERS)] = "reference"

    @model_validator(mode="before")
    @classmethod
    def _what_counts(cls, values: Any) -> Any:
        """What says nothing would only make addresses longer: where a fitted view is, and the scale of no map."""
        if not isinstance(values, Mapping):
            return values
        idle = {"zoom", "center"} if values.get("fit", True) is True else set[str]()
        idle |= set[str]() if values.get("error") else {"top"}
        return {key: value for key, value in values.items() if key not in idle}  # pyright: ignore[reportUnknownVariableType]

    def to_record(self) -> dict[str, Any]:
        """Returns JSON values, of which `check(Look, ...)` makes a look again."""
        return {
            **self.model_dump(),
            "center": list(self.center),
            "hidden": None if self.hidden is None else list(self.hidden),
            "insets": list(self.insets),
        }

    def for_viewer(self) -> dict[str, Any]:
        """Returns the record that the viewer restores; what it should decide itself is left out."""
        record = self.to_record()
        record["blink"] = {"rate": record.pop("rate"), "partner": record.pop("partner")}
        return {key: value for key, value in record.items() if value is not None or key == "error"}

    @staticmethod
    def from_event(data: Mapping[str, Any]) -> Look:
        """Reads the data of the viewer's `view` event.

        Raises:
            ValueError: for a field that is not what it should be.
        """
        blink = data.get("blink")
        nested: Mapping[str, Any] = blink if isinstance(blink, Mapping) else {}
        return check(Look, {**data, "rate": nested.get("rate"), "partner": nested.get("partner")}, "view")

    def visible(self) -> tuple[str, ...]:
        """Returns the panes that are on the screen, in display order."""
        if self.mode == "grid":
            return tuple(pane for pane in PANES if pane not in (self.hidden or ()))
        other = {"split": self.second or self.reference, "blink": self.reference}.get(self.mode)
        return tuple(pane for pane in PANES if pane in (self.active or "mkpn", other))
