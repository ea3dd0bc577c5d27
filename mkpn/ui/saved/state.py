"""Everything that makes up a view of a run, and the JSON file that holds it.

The same state is a figure's file here and an address in `permalink`: the picture, the burst, the models, the crop, the
viewer's look, and what was measured then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Annotated, Any, TypeVar

from mkpn.checks import shown
from mkpn.geometry import Rectangle
from mkpn.model.config import MODELS
from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS, Noise, gain_of, noise_for_gain
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED, LARGEST_SEED, ImageRef, Recorded, Settings
from mkpn.ui.saved.checked import NOTHING, Record, check, decibel, digest, number, one_of, some_of, text, whole, wholes
from mkpn.ui.saved.look import PANES, Look

FORMAT = "mkpn-studio-view-1"
FIGURE_PANES = ("noisy", "kpn", "kpn-l25", "mkpn", "truth")
"""The columns of the paper's Fig. 3 and 4."""

SIDES = (32, 48, 64, 96, 192)
"""Sides of the compared square in pixels."""

MOST_CHARACTERS = 1_000_000
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
        return gain_of(self.settings.noise)

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

    def part(read: Callable[[], Part], default: Part) -> Part:
        try:
            return read()
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
            return default

    def field(name: str, kind: Any, default: Any) -> Any:
        return part(lambda: check(kind, record.get(name, NOTHING), name), default)

    settings = Settings(
        noise=part(lambda: _noise(record.get("noise", NOTHING)), noise_for_gain(FIRST_GAIN)),
        downsample=field("downsample", Annotated[int, one_of((1, 2, 4))], 1),
        fit=field("fit", Annotated[str, one_of(("shrink", "crop"))], "shrink"),
        motion=part(lambda: _motion(record.get("burst", NOTHING)), BurstConfig()),
        seed=field("seed", Annotated[int, whole(0, LARGEST_SEED)], FIRST_SEED),
        models=field("models", Annotated[Any, some_of(MODELS)], MODELS),
    )
    corners = Annotated[Any, wholes(4, _LARGEST_SIDE)]
    region = None if record.get("region") is None else field("region", corners, None)
    return State(
        image=part(lambda: _image(record.get("image", NOTHING)), ImageRef(EXAMPLES[0].name, EXAMPLES[0].loader)),
        settings=settings,
        square=part(lambda: _square(record.get("square")), None),
        region=None if region is None else Rectangle(*region),
        shown=field("shown", Annotated[str, one_of(PANES)], "noisy"),
        panes=field("figure", Annotated[Any, some_of(PANES)], FIGURE_PANES),
        look=field("view", Look, Look()),
        recorded=part(lambda: _recorded(record), Recorded()),
    )


class _Bundled(Record):
    bundled: Annotated[str, one_of([example.loader for example in EXAMPLES])]
    sha256: Annotated[str, digest()] | None = None


class _Own(Record):
    title: Annotated[str, text()] = NOTHING
    sha256: Annotated[str, digest()] = NOTHING


class _Gain(Record):
    gain: Annotated[int, one_of(tuple(GAINS))]


class _Sigmas(Record):
    sigma_r: Annotated[float, number(0, 1)] = NOTHING
    sigma_s: Annotated[float, number(0, 1)] = NOTHING


class _Motion(Record):
    frames: Annotated[int, one_of((BurstConfig().frames,))] = NOTHING
    rate: Annotated[float, number(0, 8)] = NOTHING
    small: Annotated[int, whole(0, 16)] = NOTHING
    large: Annotated[int, whole(0, 64)] = NOTHING


class _Figures(Record):
    psnr: Annotated[float, decibel()] = NOTHING
    ssim: Annotated[float, number(-1, 1)] = NOTHING


def _image(value: Any) -> ImageRef:
    if not _has(value, "bundled"):
        own: _Own = check(_Own, value, "image")
        return ImageRef(own.title, None, own.sha256)
    bundled: _Bundled = check(_Bundled, value, "image")
    title = next(example.name for example in EXAMPLES if example.loader == bundled.bundled)
    return ImageRef(title, bundled.bundled, bundled.sha256 or "")


def _noise(value: Any) -> Noise:
    # Where both are there the parameters count: they are what the burst was made with.
    if _has(value, "gain") and not _has(value, "sigma_r"):
        return noise_for_gain(check(_Gain, value, "noise").gain)
    sigmas: _Sigmas = check(_Sigmas, value, "noise")
    return Noise(sigmas.sigma_r, sigmas.sigma_s)


def _motion(value: Any) -> BurstConfig:
    return BurstConfig(**check(_Motion, value, "burst").model_dump())


def _square(value: Any) -> tuple[int, int, int] | None:
    if value is None:
        return None
    x, y, side = check(Annotated[Any, wholes(3, _LARGEST_SIDE)], value, "square")
    if side not in SIDES:
        raise ValueError(f"square: expected a side of {', '.join(map(str, SIDES))} pixels, got {side}")
    return x, y, side


def _recorded(record: Mapping[str, Any]) -> Recorded:
    weights = check(dict[str, Any], record.get("weights", NOTHING), "weights")
    figures = check(dict[str, Any], record.get("figures", NOTHING), "figures")
    start = Annotated[str, digest(8)]
    measured: dict[str, _Figures] = {
        pane: check(_Figures, figures[pane], f"figures.{pane}") for pane in PANES if figures.get(pane) is not None
    }
    return Recorded(
        weights={
            name: check(start, weights[name], f"weights.{name}") for name in MODELS if weights.get(name) is not None
        },
        metric="" if record.get("metric") is None else check(start, record["metric"], "metric"),
        figures={pane: (one.psnr, one.ssim) for pane, one in measured.items()},
    )


def _has(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and value.get(key) is not None
