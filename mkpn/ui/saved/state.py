"""Everything that makes up a view of a run, and the JSON file that holds it.

The same state is a figure's file here and an address in `permalink`: the picture, the burst, the models, the crop, the
viewer's look, and what was measured then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, TypeVar

from mkpn.checks import shown
from mkpn.geometry import Rectangle
from mkpn.model.config import MODELS
from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS, Noise, noise_for_gain
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED, ImageRef, Recorded, Settings
from mkpn.ui.saved.fields import Fields
from mkpn.ui.saved.look import PANES, Look

FORMAT = "mkpn-studio-view-1"
FIGURE_PANES = ("noisy", "kpn", "kpn-l25", "mkpn", "truth")
"""The columns of the paper's Fig. 3 and 4."""

SIDES = (32, 48, 64, 96, 192)
"""Sides of the compared square in pixels."""

MOST_CHARACTERS = 1_000_000
LARGEST_SEED = 2**53 - 1  # beyond it the page's JavaScript rounds whole numbers
_LARGEST_SIDE = 16_384

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class State:
    """A view of a run.

    Attributes:
        image: the picture.
        settings: noise, burst, seed, down-sampling, models.
        square: the clicked pixel (x, y) and the side of the compared square around it; None for the centre.
        region: the rectangle that is selected in the viewer.
        shown: the pane that is shown as the whole image.
        panes: columns of the figure.
        look: the viewer.
        recorded: the numbers that belong to it.
    """

    image: ImageRef
    settings: Settings
    square: tuple[int, int, int] | None = None
    region: Rectangle | None = None
    shown: str = "noisy"
    panes: tuple[str, ...] = FIGURE_PANES
    look: Look = field(default_factory=Look)
    recorded: Recorded = field(default_factory=Recorded)

    @property
    def gain(self) -> int | None:
        """The gain whose noise this is, None for noise of one's own."""
        return next((gain for gain, noise in GAINS.items() if noise == self.settings.noise), None)

    def to_record(self) -> dict[str, Any]:
        """Returns JSON values."""
        settings, motion = self.settings, self.settings.motion
        return {
            "format": FORMAT,
            "image": {"title": self.image.title, "bundled": self.image.bundled, "sha256": self.image.sha256 or None},
            "noise": {"gain": self.gain, "sigma_r": settings.noise.sigma_r, "sigma_s": settings.noise.sigma_s},
            "seed": settings.seed,
            "burst": {"frames": motion.frames, "rate": motion.rate, "small": motion.small, "large": motion.large},
            "downsample": settings.downsample,
            "fit": settings.fit,
            "models": list(settings.models),
            "square": None if self.square is None else list(self.square),
            "region": None if self.region is None else list(astuple(self.region)),
            "shown": self.shown,
            "figure": list(self.panes),
            "view": self.look.to_record(),
            "weights": dict(self.recorded.weights),
            "metric": self.recorded.metric or None,
            "figures": {
                pane: {"psnr": "inf" if psnr == float("inf") else psnr, "ssim": ssim}
                for pane, (psnr, ssim) in self.recorded.figures.items()
            },
        }

    def to_json(self, more: Mapping[str, Any] | None = None) -> str:
        """Returns the text of a file; `more` is for people and is not read again."""
        return json.dumps({**self.to_record(), **(more or {})}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> State:
    """Reads a file that `State.to_json` wrote.

    Raises:
        ValueError: if it is anything else; the message is for the user.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"file: expected at most {MOST_CHARACTERS} characters, got {len(text)}")
    try:
        record: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected the JSON file of a figure, but this is no JSON ({error})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        came = shown(record.get("format")) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"expected the JSON file of a figure, of the format {FORMAT}, got {came}")
    return read_record(record)


def read_record(record: Mapping[str, Any], problems: list[str] | None = None) -> State:
    """Checks the values of `State.to_record`.

    Args:
        record: the values; anybody may have written them.
        problems: where a part that cannot be read leaves its message, and then has its default.

    Raises:
        ValueError: for the first such part, if there is no such list.
    """
    fields = Fields(record)

    def part(read: Callable[[], Part], default: Part) -> Part:
        try:
            return read()
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
            return default

    settings = Settings(
        noise=part(lambda: _noise(fields.object("noise")), noise_for_gain(FIRST_GAIN)),
        downsample=part(lambda: fields.choice("downsample", (1, 2, 4)), 1),
        fit=part(lambda: fields.choice("fit", ("shrink", "crop")), "shrink"),
        motion=part(lambda: _motion(fields.object("burst")), BurstConfig()),
        seed=part(lambda: fields.integer("seed", 0, LARGEST_SEED), FIRST_SEED),
        models=part(lambda: fields.names("models", MODELS), MODELS),
    )
    return State(
        image=part(lambda: _image(fields.object("image")), ImageRef(EXAMPLES[0].name, EXAMPLES[0].loader)),
        settings=settings,
        square=part(lambda: _square(fields), None),
        region=part(
            lambda: Rectangle(*fields.integers("region", 4, _LARGEST_SIDE)) if "region" in fields else None, None
        ),
        shown=part(lambda: fields.choice("shown", PANES), "noisy"),
        panes=part(lambda: fields.names("figure", PANES), FIGURE_PANES),
        look=part(lambda: Look.from_record(fields.object("view")), Look()),
        recorded=part(lambda: _recorded(fields), Recorded()),
    )


def _image(fields: Fields) -> ImageRef:
    if "bundled" in fields:
        loader = fields.choice("bundled", [example.loader for example in EXAMPLES])
        title = next(example.name for example in EXAMPLES if example.loader == loader)
        return ImageRef(title, loader, fields.digest("sha256") if "sha256" in fields else "")
    return ImageRef(fields.text("title"), None, fields.digest("sha256"))


def _noise(fields: Fields) -> Noise:
    # Where both are there the parameters count: they are what the burst was made with.
    if "gain" in fields and "sigma_r" not in fields:
        return noise_for_gain(fields.choice("gain", tuple(GAINS)))
    return Noise(fields.number("sigma_r", 0, 1), fields.number("sigma_s", 0, 1))


def _motion(fields: Fields) -> BurstConfig:
    frames = fields.choice("frames", (BurstConfig().frames,))
    rate = fields.number("rate", 0, 8)
    return BurstConfig(
        frames=frames, rate=rate, small=fields.integer("small", 0, 16), large=fields.integer("large", 0, 64)
    )


def _square(fields: Fields) -> tuple[int, int, int] | None:
    if "square" not in fields:
        return None
    x, y, side = fields.integers("square", 3, _LARGEST_SIDE)
    if side not in SIDES:
        raise ValueError(f"square: expected a side of {', '.join(map(str, SIDES))} pixels, got {side}")
    return x, y, side


def _recorded(fields: Fields) -> Recorded:
    weights, figures = fields.object("weights"), fields.object("figures")
    measured = {name: figures.object(name) for name in PANES if name in figures}
    return Recorded(
        weights={name: weights.digest(name, 8) for name in MODELS if name in weights},
        metric=fields.digest("metric", 8) if "metric" in fields else "",
        figures={name: (pane.decibel("psnr"), pane.number("ssim", -1, 1)) for name, pane in measured.items()},
    )
