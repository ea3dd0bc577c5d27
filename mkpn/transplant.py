"""A last convolution that predicts what another network's does, for kernels of other sides."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from mkpn.network import KernelPredictionNetwork


@torch.no_grad()
def transplant_taps(network: KernelPredictionNetwork, donor: KernelPredictionNetwork, features: Tensor) -> None:
    """Starts the last convolution from another network's: every kernel is the centre of the donor's largest one.

    A full kernel is a product of factors, which no linear layer makes of the features: it gets the product's
    first-order expansion around the factors' means.

    Args:
        network: whose last convolution is written.
        donor: a separable network with the same head.
        features: `[B,head,h,w]`, typical features of the donor, over which the means are taken.

    Raises:
        ValueError: if the donor's kernels are not separable or its head is another one.
    """
    config, source = network.config, donor.config
    if not source.separable or donor.last.in_channels != network.last.in_channels:
        raise ValueError(
            f"init: expected a separable network with {network.last.in_channels} features before its last convolution, "
            f"got {source.name} with {donor.last.in_channels}"
        )
    mean = donor.last(features.mean((0, 2, 3))[None, :, None, None].expand(-1, -1, 3, 3))[0, :, 1, 1]
    first, side = source.first_taps[source.sizes.index(max(source.sizes))], max(source.sizes)
    values = [donor.last.weight.flatten(1), cast(Tensor, donor.last.bias)[:, None], mean[:, None]]
    table = torch.cat(values, 1).unflatten(0, (source.frames, 2, sum(source.sizes)))[:, :, first : first + side]
    rows: list[Tensor] = []
    if config.separable:
        rows = [_centre(table, size) for size in config.sizes]
        result = torch.cat(rows, 2).flatten(0, 2)
    else:
        for size in config.sizes:
            vertical, horizontal = _centre(table, size).unbind(1)  # [N,K,...]
            v, h = vertical[:, :, None], horizontal[:, None]
            product = v * h[..., -1:] + v[..., -1:] * h
            product[..., -2] -= v[..., -1] * h[..., -1]
            rows.append(product.flatten(1, 2))
        result = torch.cat(rows, 1).flatten(0, 1)
    network.last.weight.copy_(result[:, :-2].view_as(network.last.weight))
    cast(Tensor, network.last.bias).copy_(result[:, -2])


def _centre(table: Tensor, size: int) -> Tensor:
    """The central `size` taps of `[N,2,K,...]`, zeros beyond them."""
    margin = (size - table.shape[2]) // 2
    if margin > 0:
        return functional.pad(table, (0, 0, margin, margin))
    return table[:, :, -margin : table.shape[2] + margin]
