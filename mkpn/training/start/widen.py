"""A network with a wider head that predicts what a narrower one does, and can learn more."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from mkpn.model.network import KernelPredictionNetwork


@torch.no_grad()
def widen_head(network: KernelPredictionNetwork, width: int) -> KernelPredictionNetwork:
    """Returns a network with more channels in the last block, and the same kernels (Net2Net, arXiv:1511.05641).

    The new channels start at random and look at everything; nothing looks at them yet but each other, so that the
    first steps of a training find out what they are good for.

    Args:
        network: any network.
        width: channels of the last block's first two convolutions, at least as many as before.

    Raises:
        ValueError: if the network has more.
    """
    before = network.last.in_channels
    if width < before:
        raise ValueError(f"head_width: expected at least the {before} channels that the network has, got {width}")
    wide = KernelPredictionNetwork(replace(network.config, head_width=width))
    wide.load_state_dict(
        {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(("head.", "last."))},
        strict=False,
    )
    for new, old in zip([*wide.head, wide.last], [*network.head, network.last], strict=True):
        if isinstance(new, nn.Conv2d) and isinstance(old, nn.Conv2d):
            rows, columns = old.weight.shape[:2]
            new.weight[:rows, columns:] = 0
            new.weight[:rows, :columns] = old.weight
            cast(torch.Tensor, new.bias)[:rows] = cast(torch.Tensor, old.bias)
    return wide.train(network.training)
