"""Writes the measurement of hand motion (`mkpn.training.start.reader`) into the network of Fig. 1.

The encoder's third level holds the rectified differences, the levels below add them up, the fifth level and the first
decoder block hold the reader, and the second decoder block and the head carry what it says to the last convolution,
whose kernels start as deltas at the measured displacements. Everything else in the first two levels and in the head
starts at random and learns to denoise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mkpn.model.network import KernelPredictionNetwork
from mkpn.training.start.reader import EVIDENCE, INDICATORS, REACH, SCENE, WIDTHS, Reader, probabilities

# Channels that belong to each frame but the reference, by level; the others are common to all frames.
_ENCODER, _DECODER, _HEAD = (1, 1, EVIDENCE, WIDTHS[0], WIDTHS[0]), (WIDTHS[0], INDICATORS), INDICATORS
# Contrast of the rectified features, and the `k` of `t + k g`: 0.7 quarter-resolution pixels are 2.8 pixels.
_GAIN, _SLOPE = 8.0, 0.7

_BINOMIAL = torch.tensor([1.0, 2.0, 1.0]) / 4
_BLUR = torch.outer(_BINOMIAL, _BINOMIAL)
_CENTRE = functional.pad(torch.ones(1, 1), (1, 1, 1, 1))
_BOX = torch.ones(3, 3) / 9
_ACROSS = torch.outer(_BINOMIAL, torch.tensor([-1.0, 0.0, 1.0]) / 2)
_RISING = torch.tensor([[0.0, 0.5, 1.0], [-0.5, 0.0, 0.5], [-1.0, -0.5, 0.0]]) / 4
_DERIVATIVES = (_ACROSS, _ACROSS.t(), _RISING, _RISING.flip(1))


@dataclass(frozen=True)
class _Channels:
    """Which channels of a tensor are common to all frames, and which belong to each frame but the reference."""

    common: list[int]
    frames: list[list[int]]


@dataclass(frozen=True)
class _Wire:
    """A convolution and what its input and output channels stand for."""

    convolution: nn.Conv2d
    inputs: _Channels
    outputs: _Channels

    def set(self, row: int, terms: Iterable[tuple[int, Tensor]], bias: float = 0.0) -> None:
        """Makes an output channel the sum of filtered input channels, and nothing else."""
        self.weight[row] = 0
        self.bias[row] = bias
        for column, kernel in terms:
            self.weight[row, column] += kernel

    @property
    def weight(self) -> Tensor:
        """The weights `[out,in,3,3]`."""
        return self.convolution.weight

    @property
    def bias(self) -> Tensor:
        """The biases `[out]`."""
        return cast(Tensor, self.convolution.bias)

    def rows(self, count: int) -> list[int]:
        """The first `count` output channels that belong to each frame."""
        return [row for frame in self.outputs.frames for row in frame[:count]]


@torch.no_grad()
def wire_evidence(network: KernelPredictionNetwork) -> None:
    """Writes everything before the reader into a network: luma, rectified differences, box filters.

    Raises:
        ValueError: if the network has too few channels, or full kernels, which no linear layer makes of probabilities.
    """
    if not network.config.separable:
        raise ValueError(f"registration: expected a network of separable kernels, got {network.config.name}")
    wires = _wires(network)
    for level, blocks in enumerate((*network.encoder, *network.decoder)):
        if level >= 2:
            for parameter in blocks.parameters():
                nn.init.zeros_(parameter)
    colors = network.config.colors
    first, second, *rest = wires[:6]
    luma = _BLUR / colors
    # Noise may be negative: the offset keeps it from being clipped, and differences do not know it.
    first.set(0, [(column, luma) for column in first.inputs.common[:colors]], bias=0.1)
    first.set(1, [(column, luma) for column in first.inputs.common[colors:]])
    for row, columns in zip(first.rows(1), first.inputs.frames, strict=True):
        first.set(row, [(column, luma) for column in columns], bias=0.1)
    _carry(second, _BLUR, 2, 1)
    for wire in rest:
        _carry(wire, _CENTRE, 2, 1)
    changes = wires[6]
    reference, noise = changes.inputs.common[:2]
    for row, derivative in enumerate(_DERIVATIVES):
        changes.set(row, [(reference, _GAIN * derivative)])
    changes.set(4, [(noise, _GAIN * _CENTRE)])
    changes.set(5, [(reference, _CENTRE)])
    for (frame, *_), rows in zip(changes.inputs.frames, changes.outputs.frames, strict=True):
        change = [(frame, _GAIN * _BLUR), (reference, -_GAIN * _BLUR)]
        for index, derivative in enumerate(_DERIVATIVES):
            # The derivative of the mean of both frames is exact to second order.
            for row, sign in ((rows[2 * index], 0.5), (rows[2 * index + 1], -0.5)):
                slope = sign * _GAIN * _SLOPE * derivative
                changes.set(row, [*change, (frame, slope), (reference, slope)])
    for wire in wires[7:12]:
        _carry(wire, _BOX, SCENE, EVIDENCE)


@torch.no_grad()
def wire_reader(network: KernelPredictionNetwork, reader: Reader) -> None:
    """Writes a trained reader, and what carries its indicators to the last convolution, into a network."""
    wires = _wires(network)
    for index, (wire, own, mixed) in enumerate(zip(wires[12:18], reader.own, reader.mixed, strict=True)):
        own, mixed = cast(nn.Conv2d, own), cast(nn.Conv2d, mixed)
        scale = (reader.scale if index == 0 else torch.ones(own.in_channels + mixed.in_channels))[:, None, None]
        common = torch.tensor(wire.inputs.common[: mixed.in_channels])
        wire.weight.zero_()
        wire.bias.zero_()
        if index < len(reader.scene):
            scene = cast(nn.Conv2d, reader.scene[index])
            rows = torch.tensor(wire.outputs.common[: scene.out_channels])
            wire.weight[rows[:, None], common] = scene.weight * scale[own.in_channels :]
            wire.bias[rows] = cast(Tensor, scene.bias)
        for inputs, outputs in zip(wire.inputs.frames, wire.outputs.frames, strict=True):
            rows = torch.tensor(outputs[: own.out_channels])
            columns = torch.tensor(inputs[: own.in_channels])
            wire.weight[rows[:, None], columns] = own.weight * scale[: own.in_channels]
            wire.weight[rows[:, None], common] = mixed.weight * scale[own.in_channels :]
            wire.bias[rows] = cast(Tensor, own.bias)
    for wire in wires[18:]:
        _carry(wire, _CENTRE, 0, INDICATORS)
    _wire_kernels(network)


@torch.no_grad()
def read_reader(network: KernelPredictionNetwork, reader: Reader) -> None:
    """Fills a reader, whose `scale` is known, with the one that `wire_reader` wrote into a network: its inverse."""
    for index, (wire, own, mixed) in enumerate(zip(_wires(network)[12:18], reader.own, reader.mixed, strict=True)):
        own, mixed = cast(nn.Conv2d, own), cast(nn.Conv2d, mixed)
        scale = (reader.scale if index == 0 else torch.ones(own.in_channels + mixed.in_channels))[:, None, None]
        common = torch.tensor(wire.inputs.common[: mixed.in_channels])
        # All frames have the same weights: those of the first are enough.
        columns = torch.tensor(wire.inputs.frames[0][: own.in_channels])
        rows = torch.tensor(wire.outputs.frames[0][: own.out_channels])
        own.weight.copy_(wire.weight[rows[:, None], columns] / scale[: own.in_channels])
        mixed.weight.copy_(wire.weight[rows[:, None], common] / scale[own.in_channels :])
        cast(Tensor, own.bias).copy_(wire.bias[rows])
        if index < len(reader.scene):
            scene = cast(nn.Conv2d, reader.scene[index])
            rows = torch.tensor(wire.outputs.common[: scene.out_channels])
            scene.weight.copy_(wire.weight[rows[:, None], common] / scale[own.in_channels :])
            cast(Tensor, scene.bias).copy_(wire.bias[rows])


@torch.no_grad()
def wire_full_kernels(network: KernelPredictionNetwork, share: float = 0.5) -> None:
    """Mixes full kernels with deltas at the measured displacements.

    No linear layer makes products of probabilities, but `relu(v + h - 1)` is one where they are 0 or 1. So the last
    channels of the last block's first convolution carry the indicators, and those of its second one hold these
    rectified sums: of every frame but the reference as many as there are displacements. What the other channels
    predicted stays, with the rest of the weight.

    Args:
        network: of one size of full kernels, whose encoder and decoder measure motion.
        share: of the deltas, 0 to 1. The mean of two good estimates is better than both.

    Raises:
        ValueError: if the kernels are separable, or the head is too narrow.
    """
    config, others, side = network.config, network.config.frames - 1, 2 * REACH + 1
    first, second = (cast(nn.Conv2d, network.head[index]) for index in (0, 2))
    width, joint = network.last.in_channels, others * side * side
    if config.separable or len(config.sizes) != 1 or width <= joint:
        raise ValueError(
            f"registration: expected full kernels of one size and more than {joint} channels in the head, "
            f"got {config.name} with {width}"
        )
    # The last decoder block ends with the indicators; the head reads it before the skip connection.
    carried = torch.arange(width - others * INDICATORS, width)
    first.weight[carried] = 0
    first.weight[carried, torch.arange(config.widths[2] - others * INDICATORS, config.widths[2]), 1, 1] = 1
    cast(Tensor, first.bias)[carried] = 0
    base, slopes = _linear_probabilities()
    size, center = config.sizes[0], config.sizes[0] // 2
    weight, bias = network.last.weight, cast(Tensor, network.last.bias)
    weight[:, width - joint :] = 0
    weight *= 1 - share
    bias *= 1 - share
    middle = center * size + center
    bias[middle] += share * config.frames
    for row in range(joint):
        frame, place = divmod(row, side * side)
        y, x = divmod(place, side)
        channel = width - joint + row
        second.weight[channel] = 0
        columns = carried[frame * INDICATORS : (frame + 1) * INDICATORS]
        second.weight[channel, columns, 1, 1] = slopes[:, 0, y] + slopes[:, 1, x]
        cast(Tensor, second.bias)[channel] = base[0, y] + base[1, x] - 1
        # A frame that shows the scene at +step holds the reference's pixel at -step.
        tap_y, tap_x = center + REACH - y, center + REACH - x
        if 0 <= tap_y < size and 0 <= tap_x < size:
            weight[(frame + 1) * size * size + tap_y * size + tap_x, channel, 1, 1] += share
            weight[middle, channel, 1, 1] -= share


def _linear_probabilities() -> tuple[Tensor, Tensor]:
    """A displacement's probability as a linear function of the indicators: value at zero `[2,5]`, slopes `[9,2,5]`."""
    base = torch.stack(probabilities(torch.zeros(INDICATORS)))
    return base, torch.stack(probabilities(torch.eye(INDICATORS)), 1) - base


def evidence_of(network: KernelPredictionNetwork, frames: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the reader reads at a sixteenth of the resolution.

    Args:
        network: prepared by `wire_evidence`.
        frames: `[B,N,C,H,W]`, H and W multiples of 16.
        noise_std: `[B,C,H,W]`, Eq. 8.

    Returns:
        The evidence of each frame but the reference `[B,N-1,8,h,w]` and the scene `[B,6,h,w]`.
    """
    x = torch.cat((frames.flatten(1, 2), noise_std), dim=1)
    for block in network.encoder[:4]:
        x = block(x)
    x = functional.avg_pool2d(x, 2)
    channels = _wires(network)[12].inputs
    evidence = torch.stack([x[:, frame[:EVIDENCE]] for frame in channels.frames], 1)
    return evidence, x[:, channels.common[:SCENE]]


@torch.no_grad()
def copy_measurement(network: KernelPredictionNetwork, source: KernelPredictionNetwork) -> None:
    """Gives a network the weights that measure motion of another one: what was learned otherwise stays as it is.

    Raises:
        ValueError: if encoder or decoder have other widths.
    """
    theirs = source.state_dict()
    for name, rows in held_rows(network).items():
        module = cast(nn.Conv2d, network.get_submodule(name))
        for own, other in ((module.weight, theirs[f"{name}.weight"]), (module.bias, theirs[f"{name}.bias"])):
            if own is None or own.shape != other.shape:
                raise ValueError(f"registration: expected a network of the same preset, first different at {name}")
            own[rows] = other[rows]


def held_rows(network: KernelPredictionNetwork) -> dict[str, Tensor]:
    """Names the weights that measure motion: for each convolution, its output channels `[out]` that do (bool).

    All of them lie before the head. Convolutions that hold none are left out.
    """
    names = {id(module): name for name, module in network.named_modules()}
    held: dict[str, Tensor] = {}
    for index, wire in enumerate(_wires(network)[:21]):
        rows = torch.zeros(wire.convolution.out_channels, dtype=torch.bool)
        # From the third level on everything is held: what is not wired there is zero.
        rows[[0, 1, *wire.rows(1)] if index < 6 else slice(None)] = True
        held[names[id(wire.convolution)]] = rows
    return held


def hold(network: KernelPredictionNetwork) -> list[nn.Parameter]:
    """Holds what `held_rows` names; returns the parameters of which only a part still learns."""
    partly: list[nn.Parameter] = []
    held = held_rows(network)
    if _reads_itself(network, held):
        # From the third level on all is held, and a gradient through it would end in what is held: it is not computed.
        network.encoder[2].register_forward_pre_hook(lambda _, inputs: (inputs[0].detach(), *inputs[1:]))
    for name, rows in held.items():
        for parameter in network.get_submodule(name).parameters():
            if rows.all():
                parameter.requires_grad_(False)
            else:
                free = (~rows).view(-1, *[1] * (parameter.dim() - 1)).to(parameter)
                parameter.register_hook(partial(torch.mul, free))
                partly.append(parameter)
    return partly


def _reads_itself(network: KernelPredictionNetwork, held: dict[str, Tensor]) -> bool:
    """Whether what is held up to the third level reads nothing that learns; so it is until it has learned itself."""
    names = {id(module): name for name, module in network.named_modules()}
    kept = [(wire.weight, held[names[id(wire.convolution)]]) for wire in _wires(network)[:7]]
    return not any(weight[rows][:, ~columns].any() for (_, columns), (weight, rows) in pairwise(kept))


class Slowed:
    """Lets what `held_rows` names learn at a fraction of the learning rate: a context around an optimiser's step.

    Adam does not know how large a gradient is, so that it is the step that is shortened.

    Args:
        network: whose weights the optimiser moves.
        fraction: of each step, 0 to 1.
    """

    def __init__(self, network: KernelPredictionNetwork, fraction: float) -> None:
        self._fraction = fraction
        self._parts = [
            (parameter, rows.to(parameter.device))
            for name, rows in held_rows(network).items()
            for parameter in network.get_submodule(name).parameters()
        ]
        self._before: list[Tensor] = []

    def __enter__(self) -> None:
        self._before = [parameter.detach()[rows] for parameter, rows in self._parts]

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for (parameter, rows), before in zip(self._parts, self._before, strict=True):
            parameter[rows] = before.lerp(parameter[rows], self._fraction)


def is_registered(ancestry: dict[str, Any] | None) -> bool:
    """Whether a network, or one that it was trained from, comes from `mkpn register`."""
    while ancestry:
        if "registration" in ancestry["training"]:
            return True
        ancestry = ancestry["training"].get("started_from")
    return False


def _wire_kernels(network: KernelPredictionNetwork) -> None:
    """Makes every kernel a delta at the measured displacement, and the reference stand in for frames left out."""
    config = network.config
    weight, bias = network.last.weight, cast(Tensor, network.last.bias)
    total = sum(config.sizes)
    head = _wires(network)[-1].outputs
    base, slopes = _linear_probabilities()
    for frame, columns in enumerate(head.frames, 1):
        start = frame * 2 * total
        weight[start : start + 2 * total] = 0
        bias[start : start + 2 * total] = 0
        for size, first in zip(config.sizes, config.first_taps, strict=True):
            for part in range(2):
                for step in range(-REACH, REACH + 1):
                    # A frame that shows the scene at +step holds the reference's pixel at -step.
                    tap = size // 2 - step
                    if 0 <= tap < size:
                        row = start + part * total + first + tap
                        weight[row, columns, 1, 1] = slopes[:, part, step + REACH]
                        bias[row] = base[part, step + REACH]
    for size, first in zip(config.sizes, config.first_taps, strict=True):
        row = first + size // 2
        weight[row] = 0
        bias[row] = config.frames
        for columns in head.frames:
            weight[row, columns, 1, 1] = -slopes[:, 0].sum(-1)


def _carry(wire: _Wire, kernel: Tensor, common: int, own: int) -> None:
    """Passes the first channels on, filtered."""
    for row, column in zip(wire.outputs.common[:common], wire.inputs.common[:common], strict=True):
        wire.set(row, [(column, kernel)])
    for rows, columns in zip(wire.outputs.frames, wire.inputs.frames, strict=True):
        for row, column in zip(rows[:own], columns[:own], strict=True):
            wire.set(row, [(column, kernel)])


def _wires(network: KernelPredictionNetwork) -> list[_Wire]:
    """All convolutions but the last in the order of the data, with the meaning of their channels.

    Three to a block: 0 to 5 are the first two levels, 6 to 8 the third, 9 to 11 the fourth, 12 to 14 the fifth, 15 to
    20 the decoder; 21 and 22 are the head's.
    """
    config = network.config
    others, colors = config.frames - 1, config.colors

    def channels(width: int, own: int, level: str) -> _Channels:
        common = width - others * own
        if common < (1 if own == INDICATORS else SCENE if own == EVIDENCE else 2):
            raise ValueError(
                f"registration: expected more than {others * own} channels in the {level}, got {width}; "
                "the preset compact has them in every network"
            )
        frames = [list(range(common + own * index, common + own * (index + 1))) for index in range(others)]
        return _Channels(list(range(common)), frames)

    encoder = [channels(width, own, "encoder") for width, own in zip(config.widths, _ENCODER, strict=True)]
    decoder = [channels(width, own, "decoder") for width, own in zip(config.widths[3:1:-1], _DECODER, strict=True)]
    head = channels(config.head_width or config.out_channels, _HEAD, "head")
    frames = [list(range(colors * index, colors * (index + 1))) for index in range(1, others + 1)]
    noise = list(range(colors * (others + 1), colors * (others + 2)))
    before = _Channels([*range(colors), *noise], frames)
    wires: list[_Wire] = []

    def block(sequence: nn.Module, inputs: _Channels, outputs: _Channels) -> _Channels:
        for layer in cast(nn.Sequential, sequence):
            if isinstance(layer, nn.Conv2d):
                wires.append(_Wire(layer, inputs, outputs))
                inputs = outputs
        return outputs

    for sequence, outputs in zip(network.encoder, encoder, strict=True):
        before = block(sequence, before, outputs)
    # The skip connections come behind the up-sampled channels, which keep their places.
    for sequence, outputs in zip(network.decoder, decoder, strict=True):
        before = block(sequence, before, outputs)
    block(network.head, before, head)
    return wires
