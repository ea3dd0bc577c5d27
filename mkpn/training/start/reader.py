"""Hand motion, measured by weights that are there before the training: a start for Fig. 1, not another network.

Brightness constancy (Lucas and Kanade, IJCAI 1981): a frame displaced by `d` pixels differs from the reference by
`t = d . gradient`. The encoder's third level rectifies `t + k g` and `t - k g` for four directional derivatives `g`, at
a quarter of the resolution; box filters and poolings add that evidence up over the scene (`wiring`). A small
convolutional network, the same for every frame, reads nine numbers per frame and place from it: how probable each
vertical displacement from -2 to 2 is, and how probable it is that the horizontal one is below -1, 0, 1 and 2. A hand
moves a frame as a whole, so the wider the reader looks, the surer it is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 2
"""Largest displacement in pixels per axis that is measured; frames displaced further are recognised and left out."""

EVIDENCE = 8
"""Numbers about a frame: mean of the positive part of `t + k g` and of `t - k g`, for four directions."""

SCENE = 6
"""Numbers about the scene: mean of the positive part of four derivatives, noise (Eq. 8), luma."""

INDICATORS = 4 * REACH + 1
"""What is read of a frame: five vertical probabilities, four cumulative horizontal ones."""

WIDTHS = (14, 14, 14, 14, 14, INDICATORS)
"""Channels of a frame in the reader's layers: three in the encoder's fifth level, three in the first decoder block."""

SCENE_WIDTH = 16
"""Channels in those layers that depend on the scene alone."""


class Reader(nn.Module):
    """Reads displacements: the evidence of all frames and the scene's gradients in, nine numbers a frame out.

    All frames share its weights, so that one burst is seven samples. Its hidden layers see a branch of their own that
    depends on the scene alone.
    """

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        own = (EVIDENCE, *WIDTHS)
        scene = (SCENE, *[SCENE_WIDTH] * (len(WIDTHS) - 1))
        layers = list(zip(own, own[1:], scene, strict=False))
        self.own = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after, _ in layers)
        self.mixed = nn.ModuleList(nn.Conv2d(common, after, 3, padding=1, bias=False) for _, after, common in layers)
        self.scene = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(scene))
        self.register_buffer("scale", torch.ones(EVIDENCE + SCENE))
        self.leak = 0.0
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        box = torch.ones(3, 3) / 9
        for index, (own, mixed) in enumerate(zip(self.own, self.mixed, strict=True)):
            inputs = cast(nn.Conv2d, own).in_channels + cast(nn.Conv2d, mixed).in_channels
            _spread(cast(nn.Conv2d, own), inputs, box)
            _spread(cast(nn.Conv2d, mixed), inputs, box)
            if index < len(self.scene):
                scene = cast(nn.Conv2d, self.scene[index])
                _spread(scene, scene.in_channels, box)
        first, mixed, last = (cast(nn.Conv2d, layer) for layer in (self.own[0], self.mixed[0], self.own[-1]))
        # The signed evidence of each direction, in both signs, and what exceeds that of a displaced frame.
        first.weight[: EVIDENCE + 1] = 0
        mixed.weight[: EVIDENCE + 1] = 0
        for row in range(EVIDENCE):
            first.weight[row, row] = 2 * box
            first.weight[row, row ^ 1] = -2 * box
        first.weight[EVIDENCE] = 0.5 * box
        mixed.weight[EVIDENCE, :4] = -0.5 * box
        last.weight *= 0.3
        cast(nn.Conv2d, self.mixed[-1]).weight.mul_(0.3)
        steps = 2 * REACH + 1
        cast(Tensor, last.bias).copy_(torch.tensor([1 / steps] * steps + [j / steps for j in range(1, steps)]))

    def forward(self, evidence: Tensor, scene: Tensor) -> Tensor:
        """Returns the indicators `[B,F,2h,2w,9]` of F frames' evidence `[B,F,8,h,w]` and the scene `[B,6,h,w]`."""
        batch, frames = evidence.shape[:2]
        evidence = (evidence * self.scale[:EVIDENCE, None, None]).flatten(0, 1)
        scene = scene * self.scale[EVIDENCE:, None, None]
        for index, (own, mixed) in enumerate(zip(self.own, self.mixed, strict=True)):
            if index == len(WIDTHS) // 2:
                # From the fifth level to the first decoder block.
                evidence, scene = (
                    functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
                    for x in (evidence, scene)
                )
            evidence = own(evidence).unflatten(0, (batch, frames)) + mixed(scene)[:, None]
            evidence = functional.leaky_relu(evidence.flatten(0, 1), self.leak)
            if index < len(self.scene):
                scene = torch.relu(self.scene[index](scene))
        return evidence.unflatten(0, (batch, frames)).permute(0, 1, 3, 4, 2)


def _spread(layer: nn.Conv2d, inputs: int, box: Tensor) -> None:
    """Random weights, mostly even over the window: what is read lies beside each other."""
    outputs = layer.weight.shape[:2]
    layer.weight.copy_((2 / inputs) ** 0.5 * (torch.randn(*outputs, 1, 1) * box + 0.1 * torch.randn(*outputs, 3, 3)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def probabilities(indicators: Tensor) -> tuple[Tensor, Tensor]:
    """Returns how probable each displacement is, vertical and horizontal, `[...,5]` each, -2 to 2.

    The vertical ones add up to how probable it is that the frame is within reach at all.
    """
    vertical, below = indicators[..., : 2 * REACH + 1], indicators[..., 2 * REACH + 1 :]
    return vertical, functional.pad(below, (0, 1), value=1.0) - functional.pad(below, (1, 0))


def true_probabilities(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what `probabilities` should be, `[...,5]` each, for offsets `[...,2]` (x, y) in pixels."""
    steps = torch.arange(-REACH, REACH + 1, device=offsets.device)
    horizontal, vertical = ((offsets[..., axis, None] == steps).float() for axis in range(2))
    return vertical * within_reach(offsets)[..., None], horizontal


def within_reach(offsets: Tensor) -> Tensor:
    """Says of offsets `[...,2]` in pixels which can be measured, `[...]`."""
    return (offsets.abs() <= REACH).all(-1)
