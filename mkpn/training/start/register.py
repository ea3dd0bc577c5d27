"""Trains the reader of hand motion and writes a network that registers: `python -m mkpn register`.

The network of `reader` sees the evidence at a sixteenth of the resolution, fourteen numbers a place and frame, and so
is trained in minutes. The displacements are known, since the bursts are synthesised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mkpn.checks import writable_folder
from mkpn.device import keep_large_blocks
from mkpn.distributed import shows_progress
from mkpn.model.checkpoint import load_model, save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.datasets import TrainingStream, load_photographs
from mkpn.synthesis.motion import BurstConfig
from mkpn.training.config import RegisterConfig, recorded
from mkpn.training.start.reader import EVIDENCE, Reader, probabilities, true_probabilities, within_reach
from mkpn.training.start.wiring import evidence_of, is_registered, read_reader, wire_evidence, wire_reader

_HELD_OUT = 0.04
_WARMUP = 100
_LR_END = 0.01  # of the learning rate, at the end of the cosine
_LEAK = 0.2  # slope below zero of the reader's rectifiers at the first step
_LEAK_UNTIL = 0.4  # share of the steps after which it is 0
_PIXELS = 8 * 128 * 128  # of a batch of bursts that is looked at at a time
_DECAY = 0.995  # of the moving average of the weights, which is what is written

_TYPICAL_NOISE, _LEAST, _MOST = 0.05, 0.2, 5.0  # a burst counts by the root of the typical noise over its own
_NEAR, _COUNT_NEAR, _COUNT_FAR = 6, 5.0, 1.5  # pixels; how much frames beyond reach count, up to there and further


@dataclass(frozen=True)
class Evidence:
    """What the reader reads of bursts of one size.

    Attributes:
        frames: `[M,N-1,8,h,w]`, of each frame but the reference.
        scene: `[M,6,h,w]`.
        offsets: `[M,N-1,2]`, the true displacements (x, y).
        noise: `[M]`, the mean of Eq. 8.
    """

    frames: Tensor
    scene: Tensor
    offsets: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.offsets)

    def pick(self, which: slice | Tensor) -> Evidence:
        """Some of the bursts."""
        return Evidence(self.frames[which], self.scene[which], self.offsets[which], self.noise[which])


def register(config: RegisterConfig) -> dict[str, float]:
    """Writes a network that registers its burst and averages it, and has learned nothing else.

    Args:
        config: the data and the training of the reader.

    Returns:
        What was measured on bursts that were not trained on: `accuracy_x` and `accuracy_y`, how often the most
        probable displacement of a frame within reach is the true one; `kept` and `left_out`, the mean weight of the
        frames within reach and beyond it.

    Raises:
        ValueError: if the network is too narrow, there is nothing to train on, `init` does not register, or `out`
            cannot be written to.
    """
    writable_folder(config.out.parent, "out")
    keep_large_blocks()
    if config.threads:
        torch.set_num_threads(config.threads)
    before = _registered(config.init) if config.init else None
    torch.manual_seed(config.seed)
    network = KernelPredictionNetwork(model_config(config.model, config.preset))
    wire_evidence(network)
    collected = [_collect(network, config, index) for index in range(len(config.patches))]
    held = [max(1, int(len(part) * _HELD_OUT)) for part in collected]
    known = [part.pick(slice(count, None)) for part, count in zip(collected, held, strict=True)]
    unseen = [part.pick(slice(count)) for part, count in zip(collected, held, strict=True)]
    reader = _train(config, known, before)
    figures = measure(reader, unseen)
    wire_reader(network, reader)
    provenance: dict[str, Any] = {"registration": {**recorded(config), **figures}, "steps_done": 0, "hours": 0.0}
    save_model(config.out, network.config, network.state_dict(), provenance)
    return figures


@torch.inference_mode()
def measure(reader: Reader, parts: Sequence[Evidence]) -> dict[str, float]:
    """Returns accuracy and weights, see `register`: means over all places, frames, bursts and sizes."""
    sums: dict[str, list[Tensor]] = {"accuracy_x": [], "accuracy_y": [], "kept": [], "left_out": []}
    for part in parts:
        for start in range(len(part)):
            one = part.pick(slice(start, start + 1))
            vertical, horizontal = probabilities(reader(one.frames, one.scene))
            inside = within_reach(one.offsets)
            true_vertical, true_horizontal = (p[:, :, None, None] for p in true_probabilities(one.offsets))
            for key, found, true in (
                ("accuracy_x", horizontal, true_horizontal),
                ("accuracy_y", vertical, true_vertical),
            ):
                sums[key].append((found.argmax(-1) == true.argmax(-1)).float().mean((-1, -2))[inside])
            weight = vertical.sum(-1).mean((-1, -2))
            sums["kept"].append(weight[inside])
            sums["left_out"].append(weight[~inside])
    found = {key: torch.cat(values) for key, values in sums.items()}
    # Of few bursts there may be none that moved so far.
    return {key: round(float(values.mean()), 4) for key, values in found.items() if len(values)}


@torch.inference_mode()
def _collect(network: KernelPredictionNetwork, config: RegisterConfig, index: int) -> Evidence:
    """The evidence of all bursts of one patch side, in order."""
    patch = config.patches[index]
    photographs = load_photographs(
        config.images,
        downsample=config.downsample,
        large_downsample=config.large_downsample,
        large_side=config.large_side,
        min_side=patch + 2 * BurstConfig().margin,
    )
    batch = max(1, _PIXELS // patch**2)
    stream = TrainingStream(
        photographs,
        batch=batch,
        patch=patch,
        noise_range=config.noise_range,
        seed=config.seed + index,
        sharp=config.sharp,
    )
    parts: list[tuple[Tensor, ...]] = []
    for step in _progress(-(-config.bursts // batch), f"bursts {patch}", "batch"):
        burst = stream(step)
        seen = evidence_of(network, burst.frames, burst.noise_std)
        parts.append((*seen, burst.offsets[:, 1:], burst.noise_std.mean((1, 2, 3))))
    return Evidence(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _registered(path: Path) -> KernelPredictionNetwork:
    """The network whose reader is trained on."""
    network, metadata = load_model(path)
    if not is_registered({"training": metadata["training"]}):
        raise ValueError(f"init: expected a network of `mkpn register`, or one trained from it, got {path}")
    return network


def _train(config: RegisterConfig, parts: Sequence[Evidence], before: KernelPredictionNetwork | None) -> Reader:
    # The reader does not depend on the network around it.
    torch.manual_seed(config.seed)
    reader = Reader()
    scale = reader.scale
    with torch.no_grad():
        # One factor for all directions, since photographs may be turned.
        frames, scene = parts[-1].frames, parts[-1].scene
        scale[:EVIDENCE] = 1 / frames.square().mean().sqrt()
        scale[EVIDENCE : EVIDENCE + 4] = 1 / scene[:, :4].square().mean().sqrt()
        scale[EVIDENCE + 4 :] = 1 / scene[:, 4:].square().mean((0, 2, 3)).sqrt()
    if before:
        read_reader(before, reader)
    averaged = torch.optim.swa_utils.AveragedModel(reader, avg_fn=_average)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=config.lr, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(config.seed)
    for step in _progress(config.steps, "reader", "step"):
        rate = min(1, (step + 1) / _WARMUP) * (
            _LR_END + (1 - _LR_END) * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        )
        for group in optimizer.param_groups:
            group["lr"] = config.lr * rate
        # Nine numbers are few: a leak keeps each of them alive until it has found its use.
        reader.leak = 0.0 if before else max(0.0, _LEAK * (1 - step / (_LEAK_UNTIL * config.steps)))
        part = parts[step % len(parts)]
        # As many places in every step, whatever the size of the bursts.
        count = max(1, config.batch // part.scene[0, 0].numel())
        picked = part.pick(torch.randint(len(part), (count,), generator=generator))
        loss = registration_loss(reader(picked.frames, picked.scene), picked)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(reader)
    reader.load_state_dict(averaged.module.state_dict())
    reader.leak = 0.0
    return reader


def _progress(steps: int, what: str, unit: str) -> tqdm[int]:
    return tqdm(range(steps), desc=what, unit=unit, mininterval=5, disable=not shows_progress())


def _average(averaged: Tensor, current: Tensor, steps: int | Tensor) -> Tensor:
    """A moving average whose early steps weigh more, so that it has no bias."""
    return averaged.lerp(current, 1 - min(_DECAY, (int(steps) + 1) / (int(steps) + 10)))


def registration_loss(indicators: Tensor, evidence: Evidence) -> Tensor:
    """Squared error of the probabilities; beyond reach, the horizontal ones do not matter.

    What a wrong displacement costs is not the same everywhere. The less noise there is, the more it is seen, and the
    rarer it is: such bursts count more. A frame just beyond reach is rare, too, and easily taken for one within it.
    """
    vertical, horizontal = probabilities(indicators)
    true_vertical, true_horizontal = (part[:, :, None, None] for part in true_probabilities(evidence.offsets))
    inside = within_reach(evidence.offsets)
    beyond = torch.where(evidence.offsets.abs().amax(-1) <= _NEAR, _COUNT_NEAR, _COUNT_FAR)
    errors = (vertical - true_vertical).square().sum(-1)
    errors = errors + inside[:, :, None, None] * (horizontal - true_horizontal).square().sum(-1)
    errors = (errors * torch.where(inside, 1.0, beyond)[:, :, None, None]).mean((1, 2, 3))
    return (errors * (_TYPICAL_NOISE / evidence.noise).clamp(_LEAST, _MOST).sqrt()).mean()
