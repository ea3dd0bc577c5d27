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
        warmup: steps of linear warm-up.
        weight_decay: AdamW's decoupled weight decay.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is evaluated and exported.
        beta: weight of the annealing term (Eq. 6).
        annealing: step at which the annealing term has decayed by 1/e (the paper's alpha 0.9998 is 5,000).
        seed: seed of the data and of the initial weights.
        init: a checkpoint that the run starts from: whole where it is the same network, else its trunk (all but the
            last convolution).
        fresh_last: start the last convolution afresh even where `init` is the same network, so that all networks that
            start from one trunk start alike.
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
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.998
    beta: float = 100.0
    annealing: float = 500.0
    seed: int = 0
    init: Path | None = None
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


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """One evaluation; every field is an option of `python -m mkpn evaluate`.

    Attributes:
        images: folders of test photographs, searched recursively.
        out: folder for the tables (`results.json`, `.md`, `.csv`, `.tex`), the plot (`table1.png`, `.pdf`) and
            `images.csv`, the figures of every image with those first where MKPN gains most.
        models: names of shipped networks, or checkpoint files; all shipped networks by default.
        gains: noise levels of section 3.1.
        downsample: box-downsampling factor of the photographs.
        crop: side of the centred crop that is evaluated; 0 takes whole images.
        limit: evaluate only this many images; 0 takes all.
        seed: of the test sets.
        frames: how many frames of a burst are seen; the others become copies of the reference. With 1, what a network
            still reaches is what it does not owe to the burst.
        still: leave the hand motion out.
        border: pixels removed on every side before measuring.
        channels: `rgb`, the mean of the colour channels, or `luma`.
        baselines: classical denoisers of the aligned burst's mean: `aligned` (that mean alone), `nlm`, `opencv` and
            `bm3d`, the last two with the extra `baselines`. A 128x128 crop takes 0.02 s with `nlm` and `opencv` and
            3.5 s with `bm3d` on one core.
        against: `results.json` of an earlier run on the same bursts, with which the networks are compared.
        title: what the tables call the test set; the folders' names by default.
        stamp: write each network's figures into the metadata of its checkpoint.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 keeps PyTorch's choice.
    """

    images: tuple[Path, ...]
    out: Path
    models: tuple[str, ...] = ()
    gains: tuple[int, ...] = (1, 2, 4, 8)
    downsample: int = 1
    crop: int = 0
    limit: int = 0
    seed: int = 0
    frames: int = 8
    still: bool = False
    border: int = 8
    channels: Literal["rgb", "luma"] = "rgb"
    baselines: tuple[Literal["aligned", "nlm", "opencv", "bm3d"], ...] = ()
    against: Path | None = None
    title: str = ""
    stamp: bool = False
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("images: expected at least one folder")
        for field in ("crop", "limit", "border", "threads"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        if not 1 <= self.frames <= 8:
            raise ValueError(f"frames: expected 1 to 8, got {self.frames}")
        if self.stamp and (self.still or self.frames < 8):
            raise ValueError("stamp: expected figures of whole bursts in motion, got --still or fewer --frames")
