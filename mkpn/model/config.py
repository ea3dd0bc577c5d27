"""The ten networks and their two presets: frozen dataclasses, one table, validation (mkpn/training/README.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from mkpn.checks import choice, shown, whole

MKPN_SIZES = (1, 3, 5, 7, 9, 11)
"""The set S of the paper's MKPN (section 3.3)."""

MODELS = (
    "kpn-l1",
    "kpn-l3",
    "kpn-l5",
    "kpn",
    "kpn-l7",
    "kpn-l9",
    "kpn-l11",
    "kpn-l13",
    "kpn-l25",
    "mkpn",
)
"""The ten networks in the order they are shown: baselines by kernel size, then MKPN."""

Preset = Literal["compact", "paper"]


MAX_KERNEL = 31
MAX_CHANNELS, MAX_FRAMES, MAX_COLORS = 4096, 64, 16
"""Far more than any network here has; a file that declares more is no network."""

DEPTH_MULTIPLE = 16
"""Four average poolings: the network's input sides are multiples of 16."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides a network's architecture.

    Attributes:
        name: one of `MODELS`, or a name of your own.
        sizes: kernel sides (the set S), odd, 1 to 31, each once.
        separable: two 1-D factors per kernel (MKPN section 2.1) or a full `K x K` kernel (KPN).
        widths: channels of the five encoder levels, full resolution first.
        head_width: channels of the last block's first two convolutions; None gives them the output's `2pN`.
        frames: length N of the burst.
        colors: channels C of a frame.
    """

    name: str
    sizes: tuple[int, ...]
    separable: bool = True
    widths: tuple[int, ...] = (24, 48, 64, 128, 128)
    head_width: int | None = 64
    frames: int = 8
    colors: int = 3

    def __post_init__(self) -> None:
        # What comes from a file may be of any type.
        given: tuple[Any, Any] = (self.name, self.separable)
        if not isinstance(given[0], str) or not isinstance(given[1], bool):
            raise ValueError(
                f"name and separable: expected a text and a truth value, got {shown(self.name)} and "
                f"{shown(self.separable)}"
            )
        for size in self.sizes:
            whole("sizes", size, 1, MAX_KERNEL)
        if not self.sizes or len(set(self.sizes)) != len(self.sizes):
            raise ValueError(f"sizes: expected at least one kernel side, each once, got {shown(self.sizes)}")
        if any(size % 2 == 0 for size in self.sizes):
            raise ValueError(f"sizes: expected odd sides from 1 to {MAX_KERNEL}, got {shown(self.sizes)}")
        if len(self.widths) != 5:
            raise ValueError(f"widths: expected five channel counts, got {shown(self.widths)}")
        for width in self.widths:
            whole("widths", width, 1, MAX_CHANNELS)
        if self.head_width is not None:
            whole("head_width", self.head_width, 1, MAX_CHANNELS)
        whole("frames", self.frames, 1, MAX_FRAMES)
        whole("colors", self.colors, 1, MAX_COLORS)

    @property
    def kernel_channels(self) -> int:
        """Coefficients per pixel and frame: `2p` for separable kernels, the sum of `K*K` for full ones."""
        if self.separable:
            return 2 * sum(self.sizes)
        return sum(size * size for size in self.sizes)

    @property
    def first_taps(self) -> tuple[int, ...]:
        """Where the taps of each size start within a frame's coefficients (within a factor, if separable)."""
        taps = [size if self.separable else size * size for size in self.sizes]
        return tuple(sum(taps[:index]) for index in range(len(taps)))

    @property
    def out_channels(self) -> int:
        """Channels of the last convolution (`2pN` in Fig. 1)."""
        return self.frames * self.kernel_channels

    @property
    def in_channels(self) -> int:
        """Channels of the input: the N noisy frames and the noise estimate of Eq. 8."""
        return (self.frames + 1) * self.colors

    @property
    def label(self) -> str:
        """The name as the paper prints it, e.g. `KPN L5`, `KPN 5×5`, `MKPN`."""
        if self.name == "kpn":
            return "KPN 5×5"
        return self.name.upper().replace("-", " ")


_WIDTHS: dict[str, tuple[int, ...]] = {"paper": (64, 128, 256, 512, 512), "compact": (24, 48, 64, 128, 128)}
_HEAD_PART, _HEAD_STEP, _LEAST_HEAD = 4, 16, 64
"""A compact network's last block has a quarter of the paper's `2pN` channels, to a multiple of 16, and 64 at least."""


def model_config(name: str, preset: str = "compact") -> ModelConfig:
    """Returns the configuration of one of the ten networks.

    Args:
        name: one of `MODELS`.
        preset: `compact` (shipped weights) or `paper` (the published widths), reading 9 in
            mkpn/training/README.md.

    Raises:
        ValueError: if the name or the preset is unknown.
    """
    widths = _WIDTHS[choice("preset", preset, tuple(_WIDTHS))]
    choice("model", name, MODELS)
    if name == "mkpn":
        sizes: tuple[int, ...] = MKPN_SIZES
    elif name == "kpn":
        sizes = (5,)
    else:
        sizes = (int(name.removeprefix("kpn-l")),)
    config = ModelConfig(name=name, sizes=sizes, separable=name != "kpn", widths=widths, head_width=None)
    if preset == "paper":
        return config
    # No product of factors shifts a full kernel: its head has a channel for each place of each displaced frame, too.
    places = 0 if config.separable else (config.frames - 1) * config.kernel_channels
    own = _HEAD_STEP * round(config.out_channels / _HEAD_PART / _HEAD_STEP) if config.separable else 0
    return replace(config, head_width=max(own, _LEAST_HEAD) + places)
