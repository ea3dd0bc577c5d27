"""What a training run leaves for people to read: statistics, validation on fixed bursts, sample pictures."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image

from mkpn.metrics import psnr
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.synthesis.datasets import Batch, TestSet, image_files
from mkpn.synthesis.images import to_uint8
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS
from mkpn.training.config import TrainConfig
from mkpn.whole_files import written_whole

_VALIDATION_IMAGES = 8
_VALIDATION_CROP = 64


class Statistics:
    """Appends lines to `stats.jsonl`: every `log_every` steps the mean loss, learning rate and seconds per step."""

    def __init__(self, config: TrainConfig, step: int, losses: list[float]) -> None:
        """Takes up a run.

        Args:
            config: the run.
            step: from which it goes on.
            losses: of the steps since the last line; kept up to date, so that they can be saved with the weights.
        """
        self.path = config.run / "stats.jsonl"
        self.every = config.log_every
        self.losses = losses
        self.since, self.steps = time.monotonic(), 0
        self.writer = _tensorboard(config.run)
        if self.path.exists():
            # Lines behind the step that is resumed from would be written twice, the last one may be cut short.
            text = self.path.read_text(encoding="utf-8", errors="replace")
            kept = [line for line in text.splitlines() if _line_step(line) <= step]
            with written_whole(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def add(self, step: int, loss: float, learning_rate: float) -> None:
        """Takes one step's figures."""
        self.losses.append(loss)
        self.steps += 1
        if step % self.every:
            return
        now = time.monotonic()
        mean = sum(self.losses) / len(self.losses)
        # Of this session's steps: what was resumed brings losses along, and no time.
        seconds = (now - self.since) / self.steps
        record = {"step": step, "loss": mean, "lr": learning_rate, "seconds_per_step": round(seconds, 4)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self.writer:
            for key in ("loss", "lr", "seconds_per_step"):
                self.writer.add_scalar(key, record[key], step)
        self.losses.clear()
        self.since, self.steps = now, 0

    def validated(self, step: int, psnr: Mapping[int, float], seconds: float) -> None:
        """Takes the mean PSNR in dB by gain, and the seconds that it took, which are not those of the steps."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"step": step, "psnr": {str(gain): round(db, 4) for gain, db in psnr.items()}}) + "\n"
            )
        if self.writer:
            for gain, db in psnr.items():
                self.writer.add_scalar(f"psnr/gain {gain}", db, step)
        self.since += seconds


def _line_step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard.writer import SummaryWriter  # an optional extra
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"))


class Validation:
    """PSNR on eight fixed crops at the four gains: the loss mixes noise levels and annealing, this does not.

    The bursts are those of `mkpn.synthesis.datasets.TestSet` with seed 0; no generator of the training is touched.
    """

    def __init__(self, config: TrainConfig) -> None:
        """Reads the photographs and makes the bursts.

        Raises:
            ValueError: if a photograph is too small.
        """
        files = tuple(image_files(config.validate_images)[:_VALIDATION_IMAGES])
        settings: dict[str, Any] = {"files": files, "downsample": config.downsample, "crop": _VALIDATION_CROP}
        self.batches: dict[int, Batch] = {}
        for gain, noise in GAINS.items():
            bursts = list(TestSet(noise=noise, gain=gain, seed=0, burst=BurstConfig(), **settings))
            self.batches[gain] = Batch(
                torch.stack([burst.frames for burst in bursts]),
                torch.stack([burst.clean for burst in bursts]),
                torch.stack([burst.noise_std for burst in bursts]),
                torch.stack([burst.offsets for burst in bursts]),
            )

    def __call__(self, network: KernelPredictionNetwork) -> dict[int, float]:
        """Returns the mean PSNR in dB by gain, with the metric's default definition."""
        return {gain: self._psnr(network, batch) for gain, batch in self.batches.items()}

    def _psnr(self, network: KernelPredictionNetwork, batch: Batch) -> float:
        images = _denoise(network, batch).cpu()
        return fmean(psnr(image.clamp(0, 1), clean) for image, clean in zip(images, batch.clean, strict=True))


def write_sample(path: Path, network: KernelPredictionNetwork, batch: Batch) -> None:
    """Writes noisy frame, burst mean, denoised and clean patches of a batch, one row each."""
    denoised = _denoise(network, batch)
    rows = torch.stack([batch.frames[:, 0], batch.frames.mean(1), denoised, batch.clean])  # [4,B,C,h,w]
    grid = rows.permute(2, 0, 3, 1, 4).flatten(1, 2).flatten(2, 3)  # [C,4h,Bw]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_uint8(grid)).save(path)


def _denoise(network: KernelPredictionNetwork, batch: Batch) -> torch.Tensor:
    device = next(network.parameters()).device
    frames, noise_std = batch.frames.to(device), batch.noise_std.to(device)
    with torch.inference_mode():
        return local_conv(frames, network(frames, noise_std), network.config.sizes)
