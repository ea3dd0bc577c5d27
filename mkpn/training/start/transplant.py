"""A last convolution that predicts what another network's does, for kernels of other sides."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from mkpn.model.network import KernelPredictionNetwork

_HELD = (0.1, 10.0)  # what a kernel's part of the donor's weight is taken for, at least and at most


@torch.no_grad()
def transplant_taps(network: KernelPredictionNetwork, donor: KernelPredictionNetwork, features: Tensor) -> None:
    """Starts the last convolution from another network's: every kernel is the centre of the donor's largest one.

    All kernels of a size are scaled by one factor, so that they keep the brightness that lies beyond that centre. In a
    network of several sizes, those whose centre holds less than half of the donor's weight start from nothing, and the
    others stand for them. A full kernel is a product of factors, which no linear layer makes of the features: it gets
    the product's first-order expansion around the factors' means.

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
    centres = [_centre(table, size) for size in config.sizes]
    held = [float(_weight(centre) / _weight(table)) for centre in centres]
    strong = [weight >= min(0.5, max(held)) for weight in held]
    for centre, weight, chosen in zip(centres, held, strong, strict=True):
        if chosen:
            centre *= (len(centres) / sum(strong) / min(_HELD[1], max(_HELD[0], weight))) ** 0.5
        else:
            # One factor alone makes no kernel, but lets it grow.
            centre[:, 0] = 0
    if config.separable:
        result = torch.cat(centres, 2).flatten(0, 2)
    else:
        result = torch.cat([_product(centre) for centre in centres], 1).flatten(0, 1)
    network.last.weight.copy_(result[:, :-2].view_as(network.last.weight))
    cast(Tensor, network.last.bias).copy_(result[:, -2])


def _centre(table: Tensor, size: int) -> Tensor:
    """The central `size` taps of `[N,2,K,...]`, zeros beyond them."""
    margin = (size - table.shape[2]) // 2
    if margin >= 0:
        return functional.pad(table, (0, 0, margin, margin))
    return table[:, :, -margin : table.shape[2] + margin].clone()


def _weight(table: Tensor) -> Tensor:
    """The sum of all frames' mean kernels."""
    return table[..., -1].sum(2).prod(1).sum()


def _product(factors: Tensor) -> Tensor:
    """The first-order expansion of the outer products of `[N,2,K,...]`: `[N,K*K,...]`."""
    vertical, horizontal = factors.unbind(1)
    v, h = vertical[:, :, None], horizontal[:, None]
    product = v * h[..., -1:] + v[..., -1:] * h
    product[..., -2] -= v[..., -1] * h[..., -1]
    return product.flatten(1, 2)
