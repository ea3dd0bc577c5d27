"""Hand motion, measured by weights that are there before the training: a start for Fig. 1, not another network.

Brightness constancy (Lucas and Kanade, IJCAI 1981): a frame displaced by `d` pixels differs from the reference by
`t = d . gradient`. The encoder's third level rectifies `t + k g` and `t - k g` for four directional derivatives `g`, at
a quarter of the resolution; box filters and poolings add that evidence up over the scene (`wiring`). A perceptron,
the same for every frame and every place, reads nine numbers per frame from it: how probable each vertical displacement
from -2 to 2 is, and how probable it is that the horizontal one is below -1, 0, 1 and 2.
"""

from __future__ import annotations

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
"""Hidden and last layer of the perceptron."""

_COMMON_WIDTH = 16


class Reader(nn.Module):
    """The perceptron that reads displacements: one frame's evidence and the scene's gradients, nine numbers out.

    All frames share it, so that one burst is seven samples, and so do all places. Its hidden layers see a branch of
    their own that depends on the scene alone.
    """

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        own, common = (EVIDENCE, *WIDTHS), (SCENE, *[_COMMON_WIDTH] * len(WIDTHS))
        self.own, self.scene = nn.ModuleList(), nn.ModuleList()
        for before, after, scene, scene_after in zip(own, own[1:], common, common[1:], strict=False):
            self.own.append(nn.Linear(before + scene, after))
            self.scene.append(nn.Linear(scene, scene_after))
        for layer in (*self.own, *self.scene):
            nn.init.kaiming_normal_(cast(nn.Linear, layer).weight, nonlinearity="relu")
            nn.init.zeros_(cast(nn.Linear, layer).bias)
        self.register_buffer("scale", torch.ones(EVIDENCE + SCENE))
        self.leak = 0.0
        with torch.no_grad():
            first, last = cast(nn.Linear, self.own[0]), cast(nn.Linear, self.own[-1])
            # The signed evidence of each direction, in both signs, and what exceeds that of a displaced frame.
            for row in range(EVIDENCE):
                first.weight[row] = 0
                first.weight[row, row] = 2
                first.weight[row, row ^ 1] = -2
            first.weight[EVIDENCE] = torch.tensor([0.5] * EVIDENCE + [-0.5] * 4 + [0.0] * (SCENE - 4))
            last.weight *= 0.3
            last.bias.copy_(torch.tensor([0.2] * (2 * REACH + 1) + [0.2 * j for j in range(1, 2 * REACH + 1)]))

    def forward(self, evidence: Tensor, scene: Tensor) -> Tensor:
        """Returns the indicators `[...,9]` of `evidence [...,8]` and `scene [...,6]`."""
        evidence, scene = evidence * self.scale[:EVIDENCE], scene * self.scale[EVIDENCE:]
        for own, common in zip(self.own, self.scene, strict=True):
            evidence = functional.leaky_relu(own(torch.cat((evidence, scene), -1)), self.leak)
            scene = torch.relu(common(scene))
        return evidence


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
