"""Settings of training: frozen dataclasses, each field an option of the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mkpn.checks import number, thread_count, whole
from mkpn.model.config import DEPTH_MULTIPLE, Preset


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run; every field is an option of `python -m mkpn train`.

    The defaults are for a start that registers; mkpn/training/README.md has the evidence for most of them.

    Attributes:
        images: folders of training photographs, searched recursively.
        run: folder of the run: configuration, statistics, checkpoints. The same command again resumes it.
        preset: width of the network, `compact` or `paper`.
        noise_range: of the training noise, `gains` (covers the four gains) or `paper` (as printed in section 3.1).
        steps: length of the run in optimiser steps.
        batch: bursts per step and process.
        patch: side of the training patches in pixels, a multiple of 16.
        downsample: box-downsampling factor of the photographs.
        large_downsample: box-downsampling factor of large photographs instead.
        large_side: shortest side in pixels of a large photograph.
        lr: peak learning rate of AdamW.
        lr_end: learning rate at the end of the cosine, as a fraction of `--lr`.
        lr_last: learning rate of the last convolution, as a fraction of `--lr`: it predicts the kernels directly.
        rotate: AdamW moves convolutions along cosines of each window, the last one also along cosines of each kernel's
            taps, instead of along single weights (see `mkpn.training.optimizer`).
        warmup: steps of linear warm-up.
        weight_decay: AdamW's decoupled weight decay.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is evaluated and exported.
        start_share: share of the weights that the run started with in what is evaluated and exported, 0 to 1: one half
            is the mean of before and after (WiSE-FT, arXiv:2109.01903). It helps after a high learning rate, whose last
            weights are noisy.
        beta: weight of the annealing term (Eq. 6). The paper's 100 multiplies a sum over frames and sizes, this one
            their mean: the paper's weight is 800 here for one kernel size, and 4800 for MKPN.
        intensity_weight: lambda_1 of Eq. 5, 0 to 1; lambda_2 is the rest (reading 8 in mkpn/training/README.md).
        balance: how evenly the bursts of a step count, 0 to 1. 0 is the mean of their losses, in which noisy bursts
            rule; 1 is nearly their mean PSNR (see `mkpn.training.losses.balanced`).
        annealing: step at which the annealing term has decayed to 1/e (the paper's alpha 0.9998 is 5000).
        sharp: share of samples that show a drawn scene, e.g. text or a chart, instead of a photograph.
        synthesis: where bursts are drawn: on the `host`, with the same numbers on every machine; on the `device`, by
            the same law from a stream of its own; `auto` is the device where that is a CUDA GPU, else the host.
        seed: seed of the data and of the initial weights.
        init: a checkpoint that the run starts from: whole where it is the same network, else its trunk, and a last
            convolution that predicts the centres of its kernels.
        lr_registration: fraction of the learning rate at which the weights that measure motion learn. Only a run whose
            start registers has such weights. 0 holds them, 0.003 is what the last phases of `shipped` use, 0.1 undoes
            them.
        keep_registration: the weights that measure motion are evaluated and exported as the run's start had them: where
            they drift, a few bursts are no longer aligned.
        registration: a network that registers, whose measurement of motion replaces that of `init`, which registers,
            too.
        fresh_last: start with centred deltas for kernels whatever `init` predicts.
        teacher: checkpoint of a separable network of one kernel size. A network of full kernels of that size learns to
            have the same kernels, besides Eq. 5.
        teacher_weight: of the imitation at the start of the run, see `mkpn.training.losses.imitation_loss`.
        teacher_until: share of the run after which the weight has faded to nothing, over 0 and at most 1.
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
    noise_range: Literal["gains", "paper"] = "gains"
    steps: int = 10_000
    batch: int = 8
    patch: int = 64
    downsample: int = 2
    large_downsample: int = 4
    large_side: int = 700
    lr: float = 8e-4
    lr_end: float = 0.01
    lr_last: float = 0.15
    rotate: bool = True
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.998
    start_share: float = 0.0
    beta: float = 0.0
    intensity_weight: float = 0.99
    balance: float = 0.7
    annealing: float = 500.0
    sharp: float = 0.1
    synthesis: Literal["auto", "host", "device"] = "auto"
    seed: int = 0
    init: Path | None = None
    lr_registration: float = 0.0
    keep_registration: bool = False
    registration: Path | None = None
    fresh_last: bool = False
    teacher: Path | None = None
    teacher_weight: float = 0.1
    teacher_until: float = 0.7
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
        counts = ("steps", "batch", "downsample", "large_downsample", "large_side", "checkpoint_every", "log_every")
        for field in (*counts, "validate_every"):
            whole(field, getattr(self, field), 1)
        thread_count(self.threads)
        for field in ("sample_every", "warmup", "seed"):
            whole(field, getattr(self, field), 0)
        for field in ("lr", "clip", "annealing"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field}: expected a positive number, got {getattr(self, field)}")
        for field in ("lr_end", "lr_last", "beta", "weight_decay", "teacher_weight"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        if self.patch < DEPTH_MULTIPLE or self.patch % DEPTH_MULTIPLE:
            raise ValueError(f"patch: expected a positive multiple of {DEPTH_MULTIPLE}, got {self.patch}")
        if not 0 < self.teacher_until <= 1:
            raise ValueError(f"teacher_until: expected 0 < teacher_until <= 1, got {self.teacher_until}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: expected 0 <= ema < 1, got {self.ema}")
        for field in ("intensity_weight", "sharp", "balance", "lr_registration", "start_share"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field}: expected 0 to 1, got {getattr(self, field)}")
        if not self.images:
            raise ValueError("images: expected at least one folder, got none")
        for field in ("registration", "start_share", "keep_registration"):
            if (given := getattr(self, field)) and not self.init:
                raise ValueError(f"{field}: expected none without --init, to which it refers, got {given}")


@dataclass(frozen=True, kw_only=True)
class RegisterConfig:
    """How a network learns to measure hand motion before it is trained; every field is an option of `mkpn register`.

    Attributes:
        images: folders of training photographs, searched recursively.
        out: the checkpoint to write, a `.safetensors` file from which `train --init` starts.
        model: the network to write. Networks whose last block is as wide or wider can start from it: with `compact`,
            all ten from the default.
        preset: width of the network, `compact` or `paper` (whose KPN L1 and L3 are too narrow).
        bursts: how many bursts to look at, of each patch side.
        patches: sides of the training patches in pixels, multiples of 16.
        steps: length of the training.
        batch: positions per step, at 1/16 of the resolution. Each counts for the seven frames that may be displaced.
        lr: peak learning rate of AdamW.
        noise_range: `gains` or `paper`.
        sharp: share of bursts that show a drawn scene instead of a photograph.
        downsample: box-downsampling factor of the photographs.
        large_downsample: box-downsampling factor of large photographs instead.
        large_side: shortest side in pixels of a large photograph.
        seed: of the data and of the initial weights.
        threads: CPU threads; 0 keeps PyTorch's choice.
        init: a network of the same preset that registers: its reader is trained on. None starts from nothing.
    """

    images: tuple[Path, ...]
    out: Path
    model: str = "kpn-l11"
    preset: Preset = "compact"
    bursts: int = 3000
    patches: tuple[int, ...] = (64, 128)
    steps: int = 4_000
    batch: int = 1024
    lr: float = 4e-3
    noise_range: Literal["gains", "paper"] = "gains"
    sharp: float = 0.1
    downsample: int = 2
    large_downsample: int = 4
    large_side: int = 700
    seed: int = 0
    threads: int = 0
    init: Path | None = None

    def __post_init__(self) -> None:
        for field in ("steps", "batch", "downsample", "large_downsample", "large_side"):
            whole(field, getattr(self, field), 1)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a positive number, got {self.lr}")
        whole("bursts", self.bursts, 2)
        number("sharp", self.sharp, 0, 1)
        thread_count(self.threads)
        whole("seed", self.seed, 0)
        if not self.images:
            raise ValueError("images: expected at least one folder, got none")
        if not self.patches or any(patch < DEPTH_MULTIPLE or patch % DEPTH_MULTIPLE for patch in self.patches):
            raise ValueError(f"patches: expected positive multiples of {DEPTH_MULTIPLE}, got {self.patches}")
        if self.out.suffix != ".safetensors":
            raise ValueError(f"out: expected a .safetensors file, got {self.out}")


def recorded(config: TrainConfig | RegisterConfig) -> dict[str, Any]:
    """Returns settings as a JSON file holds them."""
    return json.loads(json.dumps(asdict(config), default=str))


def differences(before: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str]) -> str:
    """Returns in words which settings are not what they were; empty if all are.

    Args:
        before: as `recorded` gave them.
        now: likewise.
        free: what may differ.
    """
    changed = [key for key in now if key not in free and before.get(key) != now[key]]
    return ", ".join(f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in changed)
