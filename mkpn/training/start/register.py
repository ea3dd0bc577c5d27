"""Trains the reader of hand motion and writes a network that registers: `python -m mkpn register`.

The perceptron of `reader` sees the evidence of one frame at one place, fourteen numbers, and so is trained
in minutes. The displacements are known, since the bursts are synthesised.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mkpn.checks import writable_folder
from mkpn.device import keep_large_blocks
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.datasets import TrainingStream, load_photographs
from mkpn.synthesis.motion import BurstConfig
from mkpn.training.config import RegisterConfig
from mkpn.training.start.reader import EVIDENCE, Reader, probabilities, true_probabilities, within_reach
from mkpn.training.start.wiring import evidence_of, wire_evidence, wire_reader

_BATCH = 8
_HELD_OUT = 0.04
_WARMUP = 100


def register(config: RegisterConfig) -> dict[str, float]:
    """Writes a network that registers its burst and averages it, and has learned nothing else.

    Args:
        config: the data and the training of the reader.

    Returns:
        What was measured on bursts that were not trained on: `accuracy_x` and `accuracy_y`, how often the most
        probable displacement of a frame within reach is the true one; `kept` and `left_out`, the mean weight of the
        frames within reach and beyond it.

    Raises:
        ValueError: if the network is too narrow, there is nothing to train on, or `out` cannot be written to.
    """
    writable_folder(config.out.parent, "out")
    keep_large_blocks()
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = KernelPredictionNetwork(model_config(config.model, config.preset))
    wire_evidence(network)
    evidence, scene, offsets = _collect(network, config)
    held_out = int(len(evidence) * _HELD_OUT)
    reader = _train(config, evidence[held_out:], scene[held_out:], offsets[held_out:])
    figures = measure(reader, evidence[:held_out], scene[:held_out], offsets[:held_out])
    wire_reader(network, reader)
    recipe = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
    provenance: dict[str, Any] = {
        "registration": {**recipe, "images": [str(path) for path in config.images], **figures}
    }
    save_model(config.out, network.config, network.state_dict(), {**provenance, "steps_done": 0, "hours": 0.0})
    return figures


@torch.inference_mode()
def measure(reader: Reader, evidence: Tensor, scene: Tensor, offsets: Tensor) -> dict[str, float]:
    """Returns accuracy and weights, see `register`, on `evidence [M,F,8]`, `scene [M,6]` and `offsets [M,F,2]`."""
    vertical, horizontal = probabilities(reader(evidence, scene[:, None].expand(*evidence.shape[:2], -1)))
    inside = within_reach(offsets)
    true_vertical, true_horizontal = true_probabilities(offsets)
    weight = vertical.sum(-1)

    def accuracy(found: Tensor, true: Tensor) -> float:
        return float((found.argmax(-1) == true.argmax(-1))[inside].float().mean())

    figures = {"accuracy_x": accuracy(horizontal, true_horizontal), "accuracy_y": accuracy(vertical, true_vertical)}
    figures |= {"kept": float(weight[inside].mean()), "left_out": float(weight[~inside].mean())}
    return {key: round(value, 4) for key, value in figures.items()}


@torch.inference_mode()
def _collect(network: KernelPredictionNetwork, config: RegisterConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Evidence `[M,N-1,8]`, scene `[M,6]` and offsets `[M,N-1,2]` at all places of the bursts, the bursts in order."""
    photographs = load_photographs(
        config.images,
        downsample=config.downsample,
        large_downsample=config.large_downsample,
        large_side=config.large_side,
        min_side=max(config.patches) + 2 * BurstConfig().margin,
    )
    streams = [
        TrainingStream(photographs, batch=_BATCH, patch=patch, recipe=config.recipe, seed=config.seed + index)
        for index, patch in enumerate(config.patches)
    ]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for step in tqdm(range(-(-config.bursts // _BATCH)), desc="bursts", unit="batch", mininterval=5):
        for stream in streams:
            batch = stream(step)
            evidence, scene = evidence_of(network, batch.frames, batch.noise_std)
            places = evidence.shape[2] * evidence.shape[3]
            offsets = batch.offsets[:, None, 1:].expand(-1, places, -1, -1)
            parts.append(
                (evidence.flatten(2, 3).transpose(1, 2).flatten(0, 1), scene.flatten(0, 2), offsets.flatten(0, 1))
            )
    evidence, scene, offsets = (torch.cat(part) for part in zip(*parts, strict=True))
    return evidence, scene, offsets


def _train(config: RegisterConfig, evidence: Tensor, scene: Tensor, offsets: Tensor) -> Reader:
    reader = Reader()
    scale = reader.scale
    with torch.no_grad():
        # One factor for all directions, since photographs may be turned.
        scale[:EVIDENCE] = 1 / evidence.square().mean().sqrt()
        scale[EVIDENCE : EVIDENCE + 4] = 1 / scene[:, :4].square().mean().sqrt()
        scale[EVIDENCE + 4 :] = 1 / scene[:, 4:].square().mean(0).sqrt()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=config.lr, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(config.seed)
    for step in tqdm(range(config.steps), desc="reader", unit="step", mininterval=5):
        rate = min(1, (step + 1) / _WARMUP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))
        for group in optimizer.param_groups:
            group["lr"] = config.lr * rate
        # Nine numbers are few: a leak keeps each of them alive until it has found its use.
        reader.leak = max(0.0, 0.2 * (1 - step / (0.4 * config.steps)))
        pick = torch.randint(len(evidence), (config.batch,), generator=generator)
        own, common = evidence[pick], scene[pick][:, None].expand(-1, evidence.shape[1], -1)
        loss = _loss(reader(own, common), offsets[pick])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
    reader.leak = 0.0
    return reader


def _loss(indicators: Tensor, offsets: Tensor) -> Tensor:
    """Squared error of the probabilities; beyond reach, the horizontal ones do not matter."""
    (vertical, horizontal), (true_vertical, true_horizontal) = probabilities(indicators), true_probabilities(offsets)
    inside = within_reach(offsets).float()
    errors = (vertical - true_vertical).square().sum(-1) + inside * (horizontal - true_horizontal).square().sum(-1)
    return errors.mean()
