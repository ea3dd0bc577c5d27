"""Model, burst and training settings: frozen dataclasses, one preset table, validation (DESIGN sections 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

BASELINES = ("aligned", "nlm", "opencv", "bm3d")
"""Classical baselines, all on the mean of the aligned burst: as it is, and denoised by three programs."""

MAX_KERNEL = 31
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
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    head_width: int | None = 64
    frames: int = 8
    colors: int = 3

    def __post_init__(self) -> None:
        if not self.sizes or len(set(self.sizes)) != len(self.sizes):
            raise ValueError(f"sizes: expected at least one kernel side, each once, got {self.sizes}")
        if any(size % 2 == 0 or not 1 <= size <= MAX_KERNEL for size in self.sizes):
            raise ValueError(f"sizes: expected odd sides from 1 to {MAX_KERNEL}, got {self.sizes}")
        if len(self.widths) != 5 or min(self.widths) < 1:
            raise ValueError(f"widths: expected five positive channel counts, got {self.widths}")
        if self.frames < 1 or self.colors < 1:
            raise ValueError(f"frames and colors: expected positive counts, got {self.frames} and {self.colors}")

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


_PRESETS: dict[str, tuple[tuple[int, ...], int | None]] = {
    "paper": ((64, 128, 256, 512, 512), None),
    "compact": ((16, 32, 64, 128, 128), 64),
}


def model_config(name: str, preset: str = "compact") -> ModelConfig:
    """Returns the configuration of one of the ten networks.

    Args:
        name: one of `MODELS`.
        preset: `compact` (shipped weights) or `paper` (the published widths), DESIGN section 2.9.

    Raises:
        ValueError: if the name or the preset is unknown.
    """
    if preset not in _PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(_PRESETS)}, got {preset!r}")
    if name not in MODELS:
        raise ValueError(f"model: expected one of {', '.join(MODELS)}, got {name!r}")
    widths, head_width = _PRESETS[preset]
    if name == "mkpn":
        sizes: tuple[int, ...] = MKPN_SIZES
    elif name == "kpn":
        sizes = (5,)
    else:
        sizes = (int(name.removeprefix("kpn-l")),)
    return ModelConfig(name=name, sizes=sizes, separable=name != "kpn", widths=widths, head_width=head_width)


@dataclass(frozen=True, kw_only=True)
class BurstConfig:
    """How hand motion is synthesised (section 3.1, DESIGN section 2.5).

    Attributes:
        frames: length N of the burst; frame 0 is the reference.
        rate: lambda of the Poisson law of the number of strongly displaced frames.
        small: largest usual displacement in pixels, per axis.
        large: largest displacement of a strongly displaced frame in pixels, per axis.
    """

    frames: int = 8
    rate: float = 1.5
    small: int = 2
    large: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 64:
            raise ValueError(f"frames: expected 1 to 64, got {self.frames}")
        if not 0 <= self.rate <= 64:
            raise ValueError(f"rate: expected 0 to 64, got {self.rate}")
        if not 0 <= self.small <= 64 or not 0 <= self.large <= 64:
            raise ValueError(f"small and large: expected 0 to 64 pixels, got {self.small} and {self.large}")

    @property
    def margin(self) -> int:
        """Pixels of real image content that the displacements can reach beyond the reference, on each side."""
        return max(self.small, self.large)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run; every field is an option of `python -m mkpn train`.

    Attributes:
        images: folders of training photographs, searched recursively.
        run: folder of the run: configuration, statistics, checkpoints. The same command again resumes it.
        preset: width of the network, `compact` or `paper`.
        recipe: noise range, `gains` (covers the four gains) or `paper` (as printed in section 3.1).
        steps: length of the run in optimiser steps.
        batch: bursts per step and process.
        patch: side of the training patches in pixels, a multiple of 16.
        downsample: box-downsampling factor of the photographs.
        large_downsample: the factor where the short side has `large_side` pixels or more.
        large_side: see `large_downsample`.
        lr: peak learning rate of AdamW.
        lr_end: learning rate at the end of the cosine, as a fraction of `lr`.
        lr_last: learning rate of the last convolution, as a fraction of `lr`: it predicts the kernels directly.
        rotate: move convolutions along sums and differences of their inputs, the last one of its taps too, instead of
            along single weights (see `mkpn.optimizer`).
        warmup: steps of linear warm-up.
        weight_decay: AdamW's decoupled weight decay.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is evaluated and exported.
        beta: weight of the annealing term (Eq. 6).
        annealing: step at which the annealing term has decayed by 1/e (the paper's alpha 0.9998 is 5,000).
        seed: seed of the data and of the initial weights.
        init: a checkpoint that the run starts from: whole where it is the same network, else its trunk, and a last
            convolution that predicts the centres of its kernels.
        hold_registration: keep the weights that measure motion as they are (a start from `mkpn register`, or from a
            network that started so).
        fresh_last: start with centred deltas for kernels whatever `init` predicts.
        device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
        threads: CPU threads; 0 keeps PyTorch's choice.
        precision: `float32`, or `bfloat16` mixed precision for the network's convolutions.
        compile: compile the network with `torch.compile`.
        checkpoint_every: steps between atomic checkpoints.
        log_every: steps between lines of `stats.jsonl`.
        sample_every: steps between sample pictures; 0 writes none.
        validate_images: folders of photographs that are not trained on; the PSNR of their first eight 64x64 crops at
            the four gains goes to `stats.jsonl`. None by default.
        validate_every: steps between validations.
    """

    images: tuple[Path, ...]
    run: Path
    preset: Preset = "compact"
    recipe: Literal["gains", "paper"] = "gains"
    steps: int = 10_000
    batch: int = 8
    patch: int = 64
    downsample: int = 2
    large_downsample: int = 4
    large_side: int = 700
    lr: float = 1e-3
    lr_end: float = 0.01
    lr_last: float = 1.0
    rotate: bool = False
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.998
    beta: float = 100.0
    annealing: float = 500.0
    seed: int = 0
    init: Path | None = None
    hold_registration: bool = False
    fresh_last: bool = False
    device: str = "auto"
    threads: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    checkpoint_every: int = 250
    log_every: int = 50
    sample_every: int = 1000
    validate_images: tuple[Path, ...] = ()
    validate_every: int = 500

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "downsample", "large_downsample", "annealing", "checkpoint_every", "log_every")
        positive += ("validate_every",)
        for field in positive:
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected a positive number, got {getattr(self, field)}")
        if self.patch < DEPTH_MULTIPLE or self.patch % DEPTH_MULTIPLE:
            raise ValueError(f"patch: expected a positive multiple of {DEPTH_MULTIPLE}, got {self.patch}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: expected 0 <= ema < 1, got {self.ema}")
        if not self.images:
            raise ValueError("images: expected at least one folder")
