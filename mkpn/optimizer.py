"""AdamW for a network that predicts kernels: whole groups, held ones, and a rotated last convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from scipy.fft import idct
from torch import Tensor, nn

from mkpn.config import ModelConfig, TrainConfig
from mkpn.network import KernelPredictionNetwork


def make_optimizer(
    network: KernelPredictionNetwork, config: TrainConfig, held: Sequence[nn.Parameter]
) -> torch.optim.AdamW:
    """Returns AdamW over a network on its device.

    Args:
        network: what is trained.
        config: learning rates, decay, and whether the last convolution is rotated.
        held: parameters of which a part is held, which decay would move.

    Returns:
        The optimiser; each of its groups has a `fraction` of the learning rate.
    """
    last = list(network.last.parameters())
    elsewhere = {id(parameter) for parameter in (*last, *held)}
    whole = [p for p in network.parameters() if p.requires_grad and id(p) not in elsewhere]
    groups: list[dict[str, Any]] = [{"params": whole, "fraction": 1.0}]
    if held:
        groups.append({"params": list(held), "fraction": 1.0, "weight_decay": 0.0})
    groups.append({"params": last, "fraction": config.lr_last})
    options: dict[str, Any] = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "fused": last[0].device.type != "mps",
    }
    if config.rotate_last:
        return RotatedAdamW(groups, network.last, tap_basis(network.config), window_basis(network.last), **options)
    return torch.optim.AdamW(groups, **options)


class RotatedAdamW(torch.optim.AdamW):
    """AdamW whose last group, one convolution, is updated in a rotated basis.

    Adam moves every coordinate by about the learning rate, however small its gradient. The taps of a kernel all see
    about the same intensity, and so do the windows of its inputs: where an image comes out too bright, all their
    gradients have one sign, all weights move one way, and the brightness jumps by the number of weights times the
    learning rate. In the basis of `tap_basis` and `window_basis` that common direction is one coordinate among all
    others. Shampoo and SOAP (arXiv 2409.11321) estimate such a basis; for kernels it is known beforehand.

    The convolution keeps its own weights: the step is computed for rotated ones and turned back, so that a resumed run
    needs nothing but weights and moments, as with AdamW.

    Args:
        groups: as AdamW's, the convolution's weight and bias as the last one.
        convolution: to be rotated.
        outputs: orthogonal, `[O,O]`, a row for each rotated output channel.
        inputs: orthogonal, `[I*k*k,I*k*k]`, a row for each rotated input of a window.
        options: as AdamW's.
    """

    def __init__(
        self, groups: list[dict[str, Any]], convolution: nn.Conv2d, outputs: Tensor, inputs: Tensor, **options: Any
    ) -> None:
        weight = convolution.weight
        self._own = (weight, cast(nn.Parameter, convolution.bias))
        self._outputs, self._inputs = outputs.to(weight), inputs.to(weight)
        self._rotated = tuple(nn.Parameter(tensor) for tensor in self._turn(*self._own))
        super().__init__([*groups[:-1], {**groups[-1], "params": list(self._rotated)}], **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        """Takes one step; the convolution's gradients are consumed."""
        weight, bias = self._own
        if closure is not None or weight.grad is None or bias.grad is None:
            raise ValueError("step: expected gradients of the rotated convolution, and no closure")
        before = self._turn(weight, bias)
        for rotated, tensor, gradient in zip(self._rotated, before, self._turn(weight.grad, bias.grad), strict=True):
            rotated.copy_(tensor)
            rotated.grad = gradient
        super().step()
        moved = [rotated - tensor for rotated, tensor in zip(self._rotated, before, strict=True)]
        weight.add_((self._outputs.t() @ moved[0] @ self._inputs).view(weight.shape))
        bias.add_(self._outputs.t() @ moved[1])
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients, those of the convolution's own weights too."""
        super().zero_grad(set_to_none)
        for parameter in self._own:
            parameter.grad = None

    @torch.no_grad()
    def _turn(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return self._outputs @ weight.flatten(1) @ self._inputs.t(), self._outputs @ bias


def tap_basis(config: ModelConfig) -> Tensor:
    """Returns the basis `[O,O]` of the last convolution's output channels: cosines over each kernel's taps.

    The kernels' sums are turned once more: the first of them is the total of all taps.
    """
    if config.separable:
        kernels = [_cosines(size) for size in config.sizes] * 2
    else:
        kernels = [torch.kron(_cosines(size), _cosines(size)) for size in config.sizes]
    return _total_apart(kernels * config.frames)


def window_basis(convolution: nn.Conv2d) -> Tensor:
    """Returns the basis `[I*k*k,I*k*k]` of a convolution's inputs, in the same way: cosines over each window."""
    height, width = (int(side) for side in convolution.kernel_size)
    return _total_apart([torch.kron(_cosines(height), _cosines(width))] * convolution.in_channels)


def _cosines(count: int) -> Tensor:
    """The orthonormal cosine transform `[count,count]`, frequencies as rows, the constant first."""
    return torch.from_numpy(idct(torch.eye(count, dtype=torch.float64).numpy(), norm="ortho", axis=1))


def _total_apart(blocks: list[Tensor]) -> Tensor:
    """Block-diagonal; the blocks' constant rows are reflected so that the first is constant over everything."""
    basis = torch.block_diag(*blocks)
    lengths = torch.tensor([len(block) for block in blocks])
    constant = lengths.cumsum(0) - lengths
    direction = (lengths.double() / lengths.sum()).sqrt()
    mirror = -direction
    mirror[0] += 1
    if len(blocks) > 1:
        # The reflection that exchanges the first axis and the direction of the total.
        basis[constant] -= 2 * torch.outer(mirror, mirror @ basis[constant]) / mirror.square().sum()
    return basis
