"""A wider network that predicts what a narrower one does, and can learn more (Net2Net, arXiv:1511.05641)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from mkpn.model.config import ModelConfig
from mkpn.model.network import KernelPredictionNetwork

_SPREAD, _MEAN = 0.3, 0.1  # of a new channel before its ReLU: the standard deviation of a photograph is about as large


@torch.no_grad()
def widen(
    network: KernelPredictionNetwork, config: ModelConfig, frames: Tensor, noise_std: Tensor
) -> KernelPredictionNetwork:
    """Returns a network with more channels in the first two levels or in the last block, and the same kernels.

    The new channels start at random and look at everything, scaled so that they say something of typical bursts (as in
    arXiv:1511.06422). Nothing but each other looks at them yet: training finds out what they are good for.

    Args:
        network: any network.
        config: of the same network, but wider.
        frames: `[B,N,C,H,W]`, typical bursts; H and W multiples of 16.
        noise_std: `[B,C,H,W]`, Eq. 8.

    Raises:
        ValueError: if the network differs otherwise, has as many channels, or more somewhere.
    """
    if not is_narrower(network.config, config):
        raise ValueError(
            f"init: expected a network like {config.name} with fewer than {_said(config)}, got {network.config.name} "
            f"with {_said(network.config)}"
        )
    wide = KernelPredictionNetwork(config)
    for (new, rows, columns), (old, _, _) in zip(_layers(wide, network), _layers(network, network), strict=True):
        weight = torch.zeros_like(new.weight[rows])
        weight[:, columns] = old.weight
        new.weight[rows] = weight
        cast(Tensor, new.bias)[rows] = cast(Tensor, old.bias)
        fresh = torch.ones(new.out_channels, dtype=torch.bool)
        fresh[rows] = False
        if fresh.any():
            _calibrate(wide, new, fresh, frames, noise_std)
    return wide.train(network.training)


def is_narrower(narrow: ModelConfig, wide: ModelConfig) -> bool:
    """Whether `widen` makes one network of another: somewhere fewer channels, nowhere more, otherwise the same."""
    before, after = _channels(narrow), _channels(wide)
    return (
        replace(narrow, widths=wide.widths, head_width=wide.head_width) == wide
        and narrow.widths[2:] == wide.widths[2:]
        and before != after
        and all(few <= many for few, many in zip(before, after, strict=True))
    )


def _calibrate(
    network: KernelPredictionNetwork, layer: nn.Conv2d, rows: Tensor, frames: Tensor, noise_std: Tensor
) -> None:
    """Gives some output channels of a layer, over all places of some bursts, a mean and a standard deviation."""
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: seen.append(output[:, rows].clone()))
    network.features(frames, noise_std)
    handle.remove()
    scale = _SPREAD / seen[0].std((0, 2, 3)).clamp(min=1e-6)
    layer.weight[rows] *= scale[:, None, None, None]
    bias = cast(Tensor, layer.bias)
    bias[rows] = scale * (bias[rows] - seen[0].mean((0, 2, 3))) + _MEAN


def _channels(config: ModelConfig) -> tuple[int, int, int]:
    """How many channels the first two levels and the last block have."""
    return config.widths[0], config.widths[1], config.head_width or config.out_channels


def _said(config: ModelConfig) -> str:
    first, second, head = _channels(config)
    rest = "-".join(map(str, config.widths[2:]))
    return f"{first}-{second}-{rest} channels and {head} in the last block"


def _layers(
    network: KernelPredictionNetwork, narrow: KernelPredictionNetwork
) -> Iterator[tuple[nn.Conv2d, list[int], list[int]]]:
    """Yields every convolution of a network with the outputs and inputs that a narrower one has, too.

    New channels of a level lie before those that belong to one frame each (`wiring`), new ones of the last block at
    its end.
    """
    config = network.config
    own = config.frames - 1
    levels = [
        [*range(few - own), *range(many - own, many)] if many > few > own else list(range(few))
        for many, few in zip(config.widths, narrow.config.widths, strict=True)
    ]
    _, second, third, fourth, fifth = levels
    last = list(range(_channels(narrow.config)[2]))

    def joined(low: list[int], skip: list[int], width: int) -> list[int]:
        return [*low, *(width + channel for channel in skip)]

    inputs = [list(range(config.in_channels)), *levels[:-1]]
    inputs += [joined(fifth, fourth, len(fifth)), joined(fourth, third, len(fourth)), joined(third, second, len(third))]
    outputs = [*levels, fourth, third, last]
    blocks = [*network.encoder, *network.decoder, network.head]
    for block, columns, rows in zip(blocks, inputs, outputs, strict=True):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                yield layer, rows, columns
                columns = rows
    yield network.last, list(range(config.out_channels)), last
