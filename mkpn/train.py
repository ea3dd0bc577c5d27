"""The training loop (section 2.3): AdamW, warm-up and cosine, moving average, Eq. 5 and 6, atomic resume."""

from __future__ import annotations

import json
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from mkpn.checkpoint import load_model, read_tensors, save_model, write_tensors
from mkpn.config import BurstConfig, ModelConfig, TrainConfig, model_config
from mkpn.data import Batch, TrainingStream, load_photographs
from mkpn.losses import annealing_weight, total_loss
from mkpn.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.processes import local_device, process_group
from mkpn.runtime import keep_large_blocks

log = logging.getLogger(__name__)

# What may change when a run is resumed: none of it changes the numbers of a step.
_FREE_FIELDS = {"run", "device", "threads", "checkpoint_every", "log_every", "sample_every", "images"}


def train(model: str, config: TrainConfig) -> Path:
    """Trains one network, or resumes its run.

    Args:
        model: one of `mkpn.MODELS`.
        config: the run.

    Returns:
        The exported checkpoint, `<run>/<model>.safetensors`: the moving average of the weights in half precision.

    Raises:
        ValueError: if the run folder holds a run with other settings, or there is nothing to train on.
        FloatingPointError: if the loss is not finite; the message names the step and the seed.
    """
    keep_large_blocks()
    if config.threads:
        torch.set_num_threads(config.threads)
    with process_group() as (rank, world):
        return _train(model, config, rank, world)


def _train(model: str, config: TrainConfig, rank: int, world: int) -> Path:
    architecture = model_config(model, config.preset)
    device = local_device(config.device)
    state = TrainingState(architecture, config, device)
    _write_or_check_config(config.run, model, config, world, rank)
    state.resume(config.run / "state.safetensors")

    photographs = load_photographs(
        config.images,
        downsample=config.downsample,
        large_downsample=config.large_downsample,
        large_side=config.large_side,
        min_side=config.patch + 2 * BurstConfig().margin,
    )
    stream = TrainingStream(
        photographs, batch=config.batch, patch=config.patch, recipe=config.recipe, seed=config.seed, rank=rank
    )
    network: torch.nn.Module = state.network
    if config.compile:
        network = torch.compile(network)  # pyright: ignore[reportAssignmentType] - a module stays a module
    if world > 1:
        network = DistributedDataParallel(network)
    statistics = Statistics(config, state.step) if rank == 0 else None

    # The next batch is drawn while the current one is computed.
    with ThreadPoolExecutor(1) as executor, _progress(config.steps, state.step, model, rank) as progress:
        upcoming = executor.submit(stream, state.step)
        while state.step < config.steps:
            batch = _to(upcoming.result(), device)
            upcoming = executor.submit(stream, state.step + 1)
            loss = _step(network, state, config, batch)
            progress.update()
            if statistics:
                statistics.add(state.step, loss, state.optimizer.param_groups[0]["lr"])
            done = state.step == config.steps
            if rank == 0 and (done or state.step % config.checkpoint_every == 0):
                state.save(config.run / "state.safetensors")
                state.export(config.run / f"{model}.safetensors", len(photographs))
            if rank == 0 and config.sample_every and (done or state.step % config.sample_every == 0):
                _write_sample(config.run / "samples" / f"{state.step:07d}.png", state, stream, device)
    return config.run / f"{model}.safetensors"


def _step(network: torch.nn.Module, state: TrainingState, config: TrainConfig, batch: Batch) -> float:
    """Takes one optimiser step and returns its loss."""
    learning_rate = _learning_rate(state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate
    weight = annealing_weight(state.step, config.beta, config.annealing)
    mixed = config.precision == "bfloat16"
    with torch.autocast(batch.frames.device.type, torch.bfloat16, enabled=mixed):
        coeffs = network(batch.frames, batch.noise_std)
    coeffs = coeffs.float()
    sizes = state.architecture.sizes
    if weight:
        image, estimates = local_conv(batch.frames, coeffs, sizes, estimates=True)
    else:
        image, estimates = local_conv(batch.frames, coeffs, sizes), None
    loss = total_loss(image, estimates, batch.clean, weight)
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value} at step {state.step} of seed {config.seed}; lower --lr?")
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    state.optimizer.step()
    state.average(config.ema)
    state.step += 1
    return value


def _learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine from `lr` to `lr * lr_end`."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * progress)))


class TrainingState:
    """Everything a run needs to go on: weights, their moving average, the optimiser, the step."""

    def __init__(self, architecture: ModelConfig, config: TrainConfig, device: torch.device) -> None:
        self.architecture = architecture
        self.config = config
        torch.manual_seed(config.seed)
        self.network = KernelPredictionNetwork(architecture)
        self.ancestry: dict[str, Any] | None = None
        if config.init:
            self._start_from(config.init)
        # Measured on two CPU cores: channels-last costs MKPN's step 10 %, because the kernels must be laid out anew.
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.network.to(device, memory_format=layout)  # pyright: ignore[reportCallIssue]
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=device.type != "mps"
        )
        self.step = 0
        self.seconds = 0.0
        self._clock = time.monotonic()

    def _start_from(self, path: Path) -> None:
        donor, metadata = load_model(path)
        weights = donor.state_dict()
        if donor.config != self.architecture:
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith("last.")}
        own = self.network.state_dict()
        wrong = [name for name, tensor in weights.items() if name not in own or own[name].shape != tensor.shape]
        if wrong:
            raise ValueError(f"init: {path} does not fit this network, first at {wrong[0]}; expected the same preset")
        self.network.load_state_dict(weights, strict=False)
        self.ancestry = {"model": donor.config.name, "training": metadata["training"]}

    def average(self, decay: float) -> None:
        """Moves the averaged weights towards the current ones; early steps weigh more, so that it has no bias."""
        decay = min(decay, (self.step + 1) / (self.step + 10))
        current = self.network.state_dict()
        for name, tensor in self.averaged.items():
            tensor.lerp_(current[name], 1 - decay)

    def save(self, path: Path) -> None:
        """Writes the whole state atomically, so that a run killed at any instant resumes from here."""
        tensors = {f"weights/{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"averaged/{name}": tensor for name, tensor in self.averaged.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{slot}": tensor for slot, tensor in slots.items()}
        write_tensors(path, tensors, {"step": self.step, "seconds": self._elapsed(), "ancestry": self.ancestry})

    def resume(self, path: Path) -> None:
        """Reads what `save` wrote, if there is something."""
        if not path.exists():
            return
        tensors, metadata = read_tensors(path)
        groups: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "averaged": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = tensor
        self.network.load_state_dict(groups["weights"])
        for name, tensor in groups["averaged"].items():
            self.averaged[name].copy_(tensor)
        slots: dict[int, dict[str, torch.Tensor]] = {}
        parameters = list(self.network.parameters())
        for name, tensor in groups["optimizer"].items():
            index, _, slot = name.partition("/")
            if tensor.dim():
                # The fused optimiser walks memory: its moments must have their parameter's layout.
                tensor = torch.empty_like(parameters[int(index)], requires_grad=False).copy_(tensor)
            slots.setdefault(int(index), {})[slot] = tensor
        groups_only = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups_only})
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        self.ancestry = metadata["ancestry"]
        log.info("resumed %s at step %d", path.parent, self.step)

    def export(self, path: Path, photographs: int) -> None:
        """Writes the moving average as a checkpoint for `mkpn.load`."""
        provenance = {
            "recipe": _jsonable(self.config),
            "steps_done": self.step,
            "hours": round(self._elapsed() / 3600, 3),
            "photographs": photographs,
            "torch": torch.__version__,
            "started_from": self.ancestry,
        }
        save_model(path, self.architecture, self.averaged, provenance)

    def _elapsed(self) -> float:
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        return self.seconds


class Statistics:
    """Appends a line to `stats.jsonl` every `log_every` steps: step, mean loss, learning rate, seconds per step."""

    def __init__(self, config: TrainConfig, step: int) -> None:
        self.path = config.run / "stats.jsonl"
        self.every = config.log_every
        self.losses: list[float] = []
        self.since = time.monotonic()
        self.writer = _tensorboard(config.run)
        if self.path.exists():
            # Lines behind the step that is resumed from would be written twice, the last one may be cut short.
            kept = [line for line in self.path.read_text().splitlines() if _line_step(line) <= step]
            self.path.write_text("".join(f"{line}\n" for line in kept))

    def add(self, step: int, loss: float, learning_rate: float) -> None:
        """Takes one step's figures."""
        self.losses.append(loss)
        if step % self.every:
            return
        now = time.monotonic()
        mean = sum(self.losses) / len(self.losses)
        seconds = (now - self.since) / len(self.losses)
        record = {"step": step, "loss": mean, "lr": learning_rate, "seconds_per_step": round(seconds, 4)}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self.writer:
            for key in ("loss", "lr", "seconds_per_step"):
                self.writer.add_scalar(key, record[key], step)
        self.losses, self.since = [], now


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


def _write_sample(path: Path, state: TrainingState, stream: TrainingStream, device: torch.device) -> None:
    """Writes noisy frame, burst mean, denoised and clean patches of a fixed batch, one row each."""
    from PIL import Image

    batch = _to(stream(0), device)
    shown = KernelPredictionNetwork(state.architecture).to(device)
    shown.load_state_dict(state.averaged)
    with torch.inference_mode():
        denoised = local_conv(batch.frames, shown(batch.frames, batch.noise_std), state.architecture.sizes)
    rows = torch.stack([batch.frames[:, 0], batch.frames.mean(1), denoised, batch.clean])  # [4,B,C,h,w]
    grid = rows.clamp(0, 1).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)  # [4h,Bw,C]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grid * 255).round().byte().cpu().numpy()).save(path)


def _write_or_check_config(run: Path, model: str, config: TrainConfig, world: int, rank: int) -> None:
    settings = {"model": model, "processes": world, **_jsonable(config)}
    path = run / "config.json"
    if path.exists():
        before = json.loads(path.read_text())
        changed = [key for key in settings if key not in _FREE_FIELDS and before.get(key) != settings[key]]
        if changed:
            differences = ", ".join(f"{key} was {before.get(key)!r}, is {settings[key]!r}" for key in changed)
            raise ValueError(f"run: {run} holds a run with other settings ({differences}); expected the same command")
    elif rank == 0:
        run.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n")


def _jsonable(config: TrainConfig) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(config), default=str))


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(batch.frames.to(device), batch.clean.to(device), batch.noise_std.to(device))


def _progress(steps: int, step: int, model: str, rank: int) -> tqdm[Any]:
    return tqdm(total=steps, initial=step, desc=model, unit="step", mininterval=5, disable=rank != 0)
