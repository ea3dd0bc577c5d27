"""How the comparison viewer looks: mode, zoom, centre, reference, error map; checked, as JSON and within an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mkpn.model.config import MODELS
from mkpn.ui.saved.fields import Fields

PANES = ("noisy", "mean", *MODELS, "truth")
"""Every picture that a run may show, in display order."""

MODES = ("grid", "single", "blink", "split")
ERRORS = ("absolute", "squared", "signed", "relative", "relative-squared", "ssim")
PARTNERS = ("reference", "all")

_FARTHEST = 10_000  # pixels; larger than any picture, so that a centre outside of one is only limited


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the viewer's `view` event tells; the defaults are a viewer that nobody has touched.

    Attributes:
        mode: one of `MODES`.
        fit: the whole picture is fitted in; zoom and centre then say nothing.
        zoom: screen pixels for each pixel, 1 = 100 %.
        center: the picture's pixel in the middle, x and y.
        active: the selected pane, None for the viewer's own choice.
        second: the other pane of split mode, None likewise.
        reference: the pane that all others are compared with.
        hidden: panes that are not shown.
        error: the error map, None for pictures.
        top: end of its colour scale, None for the viewer's own.
        ev: exposure in stops.
        contrast: factor of contrast.
        split: place of the divider, 0 to 1.
        rate: alternations per second of blink mode.
        partner: what blink mode alternates with.
    """

    mode: str = "grid"
    fit: bool = True
    zoom: float = 1.0
    center: tuple[float, float] = (0.0, 0.0)
    active: str | None = None
    second: str | None = None
    reference: str = "truth"
    hidden: tuple[str, ...] = ()
    error: str | None = None
    top: float | None = None
    ev: float = 0.0
    contrast: float = 1.0
    split: float = 0.5
    rate: float = 1.0
    partner: str = "reference"

    def to_record(self) -> dict[str, Any]:
        """Returns JSON values that `from_record` reads."""
        return {**asdict(self), "center": list(self.center), "hidden": list(self.hidden)}

    def for_viewer(self) -> dict[str, Any]:
        """Returns the record that the viewer restores; what it should decide itself is left out."""
        record = self.to_record()
        record["blink"] = {"rate": record.pop("rate"), "partner": record.pop("partner")}
        return {key: value for key, value in record.items() if value is not None or key == "error"}

    @staticmethod
    def from_record(fields: Fields) -> Look:
        """Reads what `to_record` wrote; a missing field has its default.

        Raises:
            ValueError: for a field that is not what it should be.
        """
        default = Look()

        def number(key: str, low: float, high: float) -> float:
            # Rounded, so that an address stays short and says the same as a file: a hundredth of a screen pixel.
            return round(fields.number(key, low, high), 4) if key in fields else getattr(default, key)

        def choice(key: str, choices: tuple[str, ...]) -> Any:
            return fields.choice(key, choices) if key in fields else getattr(default, key)

        center, fit = default.center, fields.flag("fit") if "fit" in fields else default.fit
        if "center" in fields and not fit:
            x, y = fields.numbers("center", 2, -_FARTHEST, _FARTHEST)
            center = (round(x, 4), round(y, 4))
        hidden = fields.names("hidden", PANES) if "hidden" in fields else ()
        error = choice("error", ERRORS)
        return Look(
            mode=choice("mode", MODES),
            fit=fit,
            zoom=default.zoom if fit else number("zoom", 0.001, 64),
            center=center,
            active=choice("active", PANES),
            second=choice("second", PANES),
            reference=choice("reference", PANES),
            hidden=hidden,
            error=error,
            # The scale of a map that is not shown would only make addresses longer.
            top=number("top", 0, 1) if error and "top" in fields else None,
            ev=number("ev", -4, 4),
            contrast=number("contrast", 0.5, 4),
            split=number("split", 0, 1),
            rate=number("rate", 0.25, 3),
            partner=choice("partner", PARTNERS),
        )

    @staticmethod
    def from_event(data: Mapping[str, Any]) -> Look:
        """Reads the data of the viewer's `view` event.

        Raises:
            ValueError: for a field that is not what it should be.
        """
        blink = data.get("blink")
        nested: Mapping[str, Any] = blink if isinstance(blink, Mapping) else {}
        return Look.from_record(
            Fields({**data, "rate": nested.get("rate"), "partner": nested.get("partner")}, name="view")
        )

    def visible(self) -> tuple[str, ...]:
        """Returns the panes that are on the screen, in display order."""
        if self.mode == "grid":
            return tuple(pane for pane in PANES if pane not in self.hidden)
        other = {"split": self.second or self.reference, "blink": self.reference}.get(self.mode)
        return tuple(pane for pane in PANES if pane in (self.active or "mkpn", other))
