"""The training loop (section 2.3): AdamW, warm-up and cosine, moving average, Eq. 5 and 6, atomic resume."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from mkpn.device import keep_large_blocks
from mkpn.distributed import local_device, process_count, process_group, shows_progress, wait_for_all
from mkpn.model.checkpoint import load_model, read_tensors, save_model, write_tensors
from mkpn.model.config import ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.synthesis.datasets import Batch, TrainingStream, load_photographs
from mkpn.synthesis.device_stream import DeviceStream
from mkpn.synthesis.motion import BurstConfig
from mkpn.training.config import TrainConfig, differences, recorded
from mkpn.training.journal import Statistics, Validation, write_sample
from mkpn.training.lock import locked
from mkpn.training.losses import annealing_weight, balanced, imitation_loss, imitation_weight, total_loss
from mkpn.training.optimizer import make_optimizer
from mkpn.training.start.transplant import transplant_taps
from mkpn.training.start.widen import is_narrower, widen
from mkpn.training.start.wiring import Slowed, copy_measurement, held_rows, hold, is_registered, wire_full_kernels
from mkpn.whole_files import written_whole

log = logging.getLogger(__name__)

_Groups = dict[str, dict[str, torch.Tensor]]

# Bursts over which a donor's mean kernels, and the scale of new channels, are taken.
_TYPICAL = 8

_ADVICE = "`mkpn register` writes a start for --init"

# What may change when a run is resumed: none of it changes the numbers of a step, if the folders hold the same images.
_FREE_FIELDS = {"run", "device", "threads", "checkpoint_every", "log_every", "sample_every", "images"} | {
    "validate_images",
    "validate_every",
}


def train(model: str, config: TrainConfig) -> Path:
    """Trains one network, or resumes its run.

    Args:
        model: one of `mkpn.MODELS`.
        config: the run.

    Returns:
        The exported checkpoint, `<run>/<model>.safetensors`: the moving average of the weights, with the share of its
        start, in half precision.

    Raises:
        ValueError: if the run folder holds a run with other settings or one that goes on, or there is nothing to train
            on.
        FloatingPointError: if the loss or its gradient is not finite; the message names the step and the seed.
    """
    keep_large_blocks()
    if config.threads:
        torch.set_num_threads(config.threads)
    group = process_group(local_device(config.device))
    with group as (rank, world), locked(config.run) if rank == 0 else nullcontext():
        if rank == 0:
            # What a run left that was killed while it saved.
            for unfinished in config.run.glob(".*.tmp"):
                unfinished.unlink()
        exported = _train(model, config, rank, world)
        # The others must not go on to read what the first process has not written yet.
        wait_for_all()
        return exported


def _train(model: str, config: TrainConfig, rank: int, world: int) -> Path:
    architecture = model_config(model, config.preset)
    device, config = local_device(config.device), _settled(config)
    photographs = load_photographs(
        config.images,
        downsample=config.downsample,
        large_downsample=config.large_downsample,
        large_side=config.large_side,
        min_side=config.patch + 2 * BurstConfig().margin,
        # Its sample pictures are no photographs, and are not there yet when it begins.
        without=config.run,
    )
    stream: Callable[[int], Batch]
    shared: dict[str, Any] = {"batch": config.batch, "patch": config.patch, "noise_range": config.noise_range}
    shared |= {"seed": config.seed, "rank": rank, "sharp": config.sharp}
    if config.synthesis == "device":
        stream = DeviceStream(photographs, device=device, **shared)
    else:
        stream = TrainingStream(photographs, **shared)
    saved = config.run / "state.safetensors"
    _write_or_check_config(model, config, rank)
    state = TrainingState(architecture, config, device, photographs, saved if saved.exists() else None)
    teacher = _teacher(config.teacher, architecture, device) if config.teacher else None

    network: torch.nn.Module = state.network
    if config.compile:
        network = torch.compile(network)  # pyright: ignore[reportAssignmentType] - a module stays a module
    if world > 1:
        network = DistributedDataParallel(network)
    statistics = Statistics(config, state.step, state.losses) if rank == 0 else None
    validation = Validation(config) if rank == 0 and config.validate_images else None

    # The next batch is drawn while the current one is computed.
    with ThreadPoolExecutor(1) as executor, _progress(config.steps, state.step, model, rank) as progress:
        upcoming = executor.submit(stream, state.step)
        while state.step < config.steps:
            batch = _to(upcoming.result(), device)
            upcoming = executor.submit(stream, state.step + 1)
            loss = _step(network, state, config, batch, teacher)
            progress.update()
            if statistics:
                statistics.add(state.step, loss, state.optimizer.param_groups[0]["lr"])
            done = state.step == config.steps
            if statistics and validation and (done or state.step % config.validate_every == 0):
                began = time.monotonic()
                statistics.validated(state.step, validation(state.averaged_network()), time.monotonic() - began)
            if rank == 0 and (done or state.step % config.checkpoint_every == 0):
                # In this order: a run killed between the two repeats the last steps, and exports the same again.
                state.export(config.run / f"{model}.safetensors", len(photographs))
                state.save(config.run / "state.safetensors")
            if rank == 0 and config.sample_every and (done or state.step % config.sample_every == 0):
                sample = config.run / "samples" / f"{state.step:07d}.png"
                write_sample(sample, state.averaged_network(), _to(stream(0), device))
    exported = config.run / f"{model}.safetensors"
    if rank == 0 and not exported.exists():
        # A run that had ended, whose file somebody has taken away.
        state.export(exported, len(photographs))
    return exported


def _teacher(path: Path, architecture: ModelConfig, device: torch.device) -> KernelPredictionNetwork:
    network, _ = load_model(path)
    if architecture.separable or not network.config.separable or network.config.sizes != architecture.sizes:
        raise ValueError(
            "teacher: expected a separable network for a network of full kernels of the same single size, "
            f"got {network.config.name} for {architecture.name}"
        )
    return network.to(device).eval()


def _step(
    network: torch.nn.Module,
    state: TrainingState,
    config: TrainConfig,
    batch: Batch,
    teacher: KernelPredictionNetwork | None = None,
) -> float:
    """Takes one optimiser step and returns the mean loss of its bursts, before they are balanced."""
    learning_rate = _learning_rate(state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate * group["fraction"]
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
    losses = total_loss(image, estimates, batch.clean, weight, config.intensity_weight)
    loss = balanced(losses, config.balance)
    imitation = imitation_weight(state.step, config.steps, config.teacher_weight, config.teacher_until)
    if teacher and imitation:
        with torch.no_grad():
            factors = teacher(batch.frames, batch.noise_std)
        loss = loss + imitation * imitation_loss(coeffs, factors)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    # Both at once: a GPU is waited for once a step.
    value, length = torch.stack((losses.detach().mean(), norm)).tolist()
    if not (math.isfinite(value) and math.isfinite(length)):
        found = f"norm of the gradient is {length}" if math.isfinite(value) else f"loss is {value}"
        raise FloatingPointError(
            f"lr: the {found} at step {state.step} of seed {config.seed}; expected a rate that keeps "
            f"it finite, got {config.lr:g}"
        )
    with state.slowed:
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
    """Everything a run needs to go on: weights, their moving average, the optimiser, the step.

    Attributes:
        step: optimiser steps that are done.
        losses: of the steps since the last line of the statistics.
    """

    def __init__(
        self,
        architecture: ModelConfig,
        config: TrainConfig,
        device: torch.device,
        photographs: Sequence[NDArray[np.uint8]],
        saved: Path | None = None,
    ) -> None:
        """Starts anew, or goes on.

        Args:
            architecture: of the network.
            config: the run.
            device: where it computes.
            photographs: some are looked at, where a start must be fitted to the network.
            saved: what `save` wrote. Then the file of the start is not needed any more.
        """
        self.architecture = architecture
        self.config = config
        torch.manual_seed(config.seed)
        self.network = KernelPredictionNetwork(architecture)
        self.ancestry: dict[str, Any] | None = None
        before = self._read(saved) if saved else None
        if before:
            # Now, as `hold` looks at the weights.
            self.network.load_state_dict(before[0]["weights"])
            self.ancestry = before[1]["ancestry"]
        elif config.init:
            self._start_from(config.init, photographs)
        registered = is_registered(self.ancestry)
        if not registered:
            log.warning("this run starts from nothing that registers the burst, which costs several dB: %s", _ADVICE)
        # Measured on two CPU cores: channels-last costs MKPN's step 10 %, because the kernels must be laid out anew.
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.network.to(device, memory_format=layout)  # pyright: ignore[reportCallIssue]
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        if config.keep_registration and not registered:
            raise ValueError(f"keep_registration: expected an --init that registers, got {config.init}; {_ADVICE}")
        back = config.start_share or config.keep_registration
        self._first = {name: tensor.clone() for name, tensor in self.averaged.items()} if back else {}
        held = hold(self.network) if config.lr_registration == 0 and registered else []
        self.optimizer = make_optimizer(self.network, config, held)
        # What is held, and what learns like the rest, needs no slowing down.
        slow = registered and 0 < config.lr_registration < 1
        self.slowed = Slowed(self.network, config.lr_registration) if slow else nullcontext()
        self.step = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        self._clock = time.monotonic()
        if before:
            self._resume(*before)

    def _start_from(self, path: Path, photographs: Sequence[NDArray[np.uint8]]) -> None:
        donor, metadata = load_model(path)
        self.ancestry = {"model": donor.config.name, "training": metadata["training"]}
        width = self.network.last.in_channels
        wider_head = donor.last.in_channels < width
        wider = replace(donor.config, widths=self.architecture.widths, head_width=width)
        if is_narrower(donor.config, wider):
            donor = widen(donor, wider, *self._typical(photographs))
        weights = donor.state_dict()
        same = self._does_the_same(donor.config) and not self.config.fresh_last
        if not same:
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith("last.")}
        own = self.network.state_dict()
        wrong = [name for name, tensor in weights.items() if name not in own or own[name].shape != tensor.shape]
        if wrong:
            raise ValueError(
                f"init: {path} does not fit this network, first at {wrong[0]}; expected one of the same preset with at "
                f"most {width} channels in the last block, got {donor.last.in_channels}"
            )
        self.network.load_state_dict(weights, strict=False)
        if self.config.registration:
            measuring, its_metadata = load_model(self.config.registration)
            if not is_registered({"training": its_metadata["training"]}) or not is_registered(self.ancestry):
                raise ValueError(
                    "registration: expected a network that registers, for an --init that registers, too, got "
                    f"{self.config.registration} for {path}; {_ADVICE}"
                )
            copy_measurement(self.network, measuring)
            self.ancestry["registration"] = its_metadata["training"]
        if not same and not self.config.fresh_last:
            with torch.no_grad():
                transplant_taps(self.network, donor, donor.features(*self._typical(photographs)))
        if wider_head and not self.architecture.separable and is_registered(self.ancestry):
            wire_full_kernels(self.network)

    def _typical(self, photographs: Sequence[NDArray[np.uint8]]) -> tuple[torch.Tensor, torch.Tensor]:
        """A few bursts; neither the batch nor the process enters, so that two processes start as one does."""
        config = self.config
        burst = TrainingStream(
            photographs, batch=_TYPICAL, patch=config.patch, noise_range=config.noise_range, seed=config.seed
        )(0)
        return burst.frames, burst.noise_std

    def _does_the_same(self, donor: ModelConfig) -> bool:
        """Whether a donor is this network, however wide its head is said to be."""
        return replace(donor, head_width=None) == replace(self.architecture, head_width=None)

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
        tensors |= {f"first/{name}": tensor for name, tensor in self._first.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{slot}": tensor for slot, tensor in slots.items()}
        metadata = {"step": self.step, "losses": self.losses, "seconds": self._elapsed(), "ancestry": self.ancestry}
        write_tensors(path, tensors, metadata)

    def _read(self, path: Path) -> tuple[_Groups, dict[str, Any]]:
        """Reads what `save` wrote: tensors by group and name, and metadata."""
        tensors, metadata = read_tensors(path)
        groups: _Groups = {"weights": {}, "averaged": {}, "first": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = tensor
        if len(groups) > 4 or not {"step", "seconds", "ancestry"} <= metadata.keys():
            raise ValueError(f"run: expected in {path} what a run writes there to go on, got another file")
        own = self.network.state_dict()
        wrong = [name for name, tensor in groups["weights"].items() if name in own and own[name].shape != tensor.shape]
        if wrong:
            raise ValueError(
                f"run: {path.parent} holds a network of another width, first at {wrong[0]}, from an earlier version; "
                "go on from its exported checkpoint with --init and another --run"
            )
        return groups, metadata

    def _resume(self, groups: _Groups, metadata: dict[str, Any]) -> None:
        """Goes on from what was read, but for the weights, which the network has already."""
        for name, tensor in groups["averaged"].items():
            self.averaged[name].copy_(tensor)
        for name, tensor in groups["first"].items():
            self._first[name].copy_(tensor)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, _, slot = name.partition("/")
            if tensor.dim():
                # The fused optimiser walks memory: its moments must have their parameter's layout.
                tensor = torch.empty_like(parameters[int(index)], requires_grad=False).copy_(tensor)
            slots.setdefault(int(index), {})[slot] = tensor
        groups_only = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups_only})
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        # A run of an earlier version kept none.
        self.losses = list(metadata.get("losses", []))
        log.info("resumed %s at step %d", self.config.run, self.step)

    def export(self, path: Path, photographs: int) -> None:
        """Writes the weights of `averaged_network` as a checkpoint for `mkpn.load`."""
        provenance = {
            "recipe": recorded(self.config),
            "steps_done": self.step,
            "hours": round(self._elapsed() / 3600, 3),
            "photographs": photographs,
            "torch": torch.__version__,
            "started_from": self.ancestry,
        }
        save_model(path, self.architecture, self._kept(), provenance)

    def averaged_network(self) -> KernelPredictionNetwork:
        """Returns a network with the moving average of the weights, and what its start is to have in them."""
        device = next(self.network.parameters()).device
        network = KernelPredictionNetwork(self.architecture).to(device)
        network.load_state_dict(self._kept())
        return network.eval()

    def _kept(self) -> dict[str, torch.Tensor]:
        """What of the weights is evaluated and exported: their moving average, mixed with the start."""
        if not self._first:
            return self.averaged
        share = self.config.start_share
        weights = {name: tensor.lerp(self._first[name], share) for name, tensor in self.averaged.items()}
        if self.config.keep_registration:
            for module, rows in held_rows(self.network).items():
                for name in (f"{module}.weight", f"{module}.bias"):
                    weights[name][rows] = self._first[name][rows]
        return weights

    def _elapsed(self) -> float:
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        return self.seconds


def check_settings(model: str, config: TrainConfig, free: Collection[str] = ()) -> None:
    """Compares settings with those of the run that is there.

    Args:
        model: one of `mkpn.MODELS`.
        config: the settings, and the folder of the run.
        free: what may differ besides what changes no number of a step.

    Raises:
        ValueError: if the run has others that change the numbers of a step, or none that can be read.
    """
    defaults = {field.name: field.default for field in fields(config) if field.default is not MISSING}
    before = {**defaults, **_settings_of(config.run / "config.json")}
    if changed := differences(before, _settings(model, _settled(config)), {*_FREE_FIELDS, *free}):
        raise ValueError(f"run: {config.run} holds a run with other settings ({changed}); expected the same command")


def _write_or_check_config(model: str, config: TrainConfig, rank: int) -> None:
    """Keeps the settings of a new run; those of a run that has a checkpoint must be the same."""
    if (config.run / "state.safetensors").exists():
        check_settings(model, config)
    elif rank == 0:
        # Without a checkpoint there is nothing to go on from: a run that failed at once does not block its folder.
        with written_whole(config.run / "config.json") as temporary:
            temporary.write_text(json.dumps(_settings(model, config), indent=2) + "\n", encoding="utf-8")


def _settings(model: str, config: TrainConfig) -> dict[str, Any]:
    return {"model": model, "processes": process_count(), **recorded(config)}


def _settled(config: TrainConfig) -> TrainConfig:
    """A run keeps the synthesis that it began with: on another device `auto` might mean other bursts."""
    device = local_device(config.device).type
    if config.synthesis == "device" and device == "mps":
        raise ValueError("synthesis: expected host or auto on mps, which draws no Poisson numbers, got device")
    if config.synthesis != "auto":
        return config
    return replace(config, synthesis="device" if device == "cuda" else "host")


def _settings_of(path: Path) -> dict[str, Any]:
    try:
        settings: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(settings, dict):
            return {str(key): value for key, value in settings.items()}
    except (OSError, ValueError):
        pass
    raise ValueError(
        f"run: expected the settings of the run in {path}, got a file that is missing or damaged; "
        "put it back, or take another --run"
    )


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(*(tensor.to(device) for tensor in vars(batch).values()))


def _progress(steps: int, step: int, model: str, rank: int) -> tqdm[Any]:
    return tqdm(total=steps, initial=step, desc=model, unit="step", mininterval=5, disable=not shows_progress(rank))
