"""AdamW for a network that predicts kernels: whole groups, held ones, and rotated convolutions."""

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
        config: learning rates, decay, and whether convolutions are rotated.
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
    if not config.rotate:
        return torch.optim.AdamW(groups, **options)
    rotations = [
        Rotation(module.weight, window_basis(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module is not network.last and module.weight.requires_grad
    ]
    outputs = tap_basis(network.config)
    rotations += [
        Rotation(network.last.weight, window_basis(network.last), outputs),
        Rotation(cast(Tensor, network.last.bias), None, outputs),
    ]
    return RotatedAdamW(groups, rotations, **options)


class Rotation:
    """A parameter `[O,...]` seen as a matrix `[O,I]` in other coordinates.

    Args:
        own: the parameter.
        inputs: orthogonal, `[I,I]`, a row for each new coordinate of the columns; None leaves them.
        outputs: orthogonal, `[O,O]`, for the rows.
    """

    def __init__(self, own: Tensor, inputs: Tensor | None, outputs: Tensor | None = None) -> None:
        self.own = own
        self._inputs = None if inputs is None else inputs.to(own)
        self._outputs = None if outputs is None else outputs.to(own)
        self.rotated = nn.Parameter(self.forth(own.detach()))

    def forth(self, tensor: Tensor) -> Tensor:
        """Returns a tensor of the parameter's shape in the new coordinates, `[O,I]`."""
        matrix = tensor.flatten(1) if tensor.dim() > 1 else tensor[:, None]
        if self._inputs is not None:
            matrix = matrix @ self._inputs.t()
        return matrix if self._outputs is None else self._outputs @ matrix

    def back(self, matrix: Tensor) -> Tensor:
        """Undoes `forth`."""
        if self._inputs is not None:
            matrix = matrix @ self._inputs
        if self._outputs is not None:
            matrix = self._outputs.t() @ matrix
        return matrix.reshape(self.own.shape)


class RotatedAdamW(torch.optim.AdamW):
    """AdamW whose steps of some parameters are taken in rotated coordinates.

    Adam moves every coordinate by about the learning rate, however small its gradient. The taps of a kernel all see
    about the same intensity, and so do the inputs of a convolution: where an image comes out too bright, all their
    gradients have one sign, all weights move one way, and the brightness jumps by the number of weights times the
    learning rate. In the coordinates of `tap_basis` and `window_basis` that common direction is one among many.
    Shampoo and SOAP (arXiv 2409.11321) estimate such coordinates; here they are known beforehand.

    The network keeps its own weights: a step is computed for rotated ones and turned back, so that a resumed run needs
    nothing but weights and moments, as with AdamW.

    Args:
        groups: as AdamW's.
        rotations: of any of the groups' parameters.
        options: as AdamW's.
    """

    def __init__(self, groups: list[dict[str, Any]], rotations: Sequence[Rotation], **options: Any) -> None:
        self._rotations = rotations
        rotated = {id(rotation.own): rotation.rotated for rotation in rotations}
        super().__init__(
            [{**group, "params": [rotated.get(id(p), p) for p in group["params"]]} for group in groups], **options
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        """Takes one step.

        Raises:
            ValueError: if a rotated parameter has no gradient, or there is a closure.
        """
        before: list[Tensor] = []
        for rotation in self._rotations:
            if closure is not None or rotation.own.grad is None:
                raise ValueError("step: expected a gradient of every rotated parameter, and no closure")
            before.append(rotation.forth(rotation.own))
            rotation.rotated.copy_(before[-1])
            rotation.rotated.grad = rotation.forth(rotation.own.grad)
        super().step()
        for rotation, start in zip(self._rotations, before, strict=True):
            rotation.own.add_(rotation.back(rotation.rotated - start))
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients, those of the network's own weights too."""
        super().zero_grad(set_to_none)
        for rotation in self._rotations:
            rotation.own.grad = None


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
