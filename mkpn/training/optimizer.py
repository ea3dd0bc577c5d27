"""AdamW for a network that predicts kernels: whole groups, held ones, and rotated convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from torch.nn import functional

from mkpn.model.config import ModelConfig
from mkpn.model.network import KernelPredictionNetwork
from mkpn.training.config import TrainConfig


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
        Rotation(module.weight)
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module is not network.last and module.weight.requires_grad
    ]
    taps = tap_basis(network.config)
    rotations += [Rotation(parameter, taps) for parameter in last]
    return RotatedAdamW(groups, rotations, **options)


class Rotation:
    """A convolution's weight `[O,I,h,w]` or bias `[O]` in other coordinates.

    Over each channel's window the new coordinates are cosines; the windows' sums are reflected, so that the first of
    them is the total of all inputs of an output.

    Args:
        own: the weight or bias.
        outputs: orthogonal, `[O,O]`, a row for each new output; None leaves the outputs.
    """

    def __init__(self, own: Tensor, outputs: Tensor | None = None) -> None:
        self.own = own
        self._outputs = None if outputs is None else outputs.to(own)
        self._window: Tensor | None = None
        if own.dim() == 4:
            self._window = torch.kron(_cosines(own.shape[2]), _cosines(own.shape[3])).to(own)
            self._mirror = _mirror(torch.ones(own.shape[1])).to(own)
        self.rotated = nn.Parameter(self.forth(own.detach()))

    def forth(self, tensor: Tensor) -> Tensor:
        """Returns a tensor of the parameter's shape in the new coordinates: `[O,I,h*w]`, or `[O]` of a bias."""
        if self._window is not None:
            tensor = tensor.flatten(2) @ self._window.t()
            self._reflect(tensor)
        return tensor if self._outputs is None else torch.tensordot(self._outputs, tensor, 1)

    def back(self, tensor: Tensor) -> Tensor:
        """Undoes `forth`."""
        if self._outputs is not None:
            tensor = torch.tensordot(self._outputs.t(), tensor, 1)
        if self._window is not None:
            tensor = tensor.clone()
            self._reflect(tensor)
            tensor = tensor @ self._window
        return tensor.reshape(self.own.shape)

    def _reflect(self, tensor: Tensor) -> None:
        sums = tensor[:, :, 0]
        sums -= 2 * torch.outer(sums @ self._mirror, self._mirror)


class RotatedAdamW(torch.optim.AdamW):
    """AdamW whose steps of some parameters are taken in rotated coordinates.

    Adam moves every coordinate by about the learning rate, however small its gradient. The taps of a kernel all see
    about the same intensity, and so do the inputs of a convolution: where an image comes out too bright, all their
    gradients have one sign, all weights move one way, and the brightness jumps by the number of weights times the
    learning rate. In the coordinates of `Rotation` and `tap_basis` that common direction is one among many.
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
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
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
    """Returns coordinates `[O,O]` for the last convolution's outputs: cosines over the taps of each kernel.

    The kernels' sums are reflected, so that the first of them is the total of all taps.
    """
    if config.separable:
        kernels = [_cosines(size) for size in config.sizes] * 2
    else:
        kernels = [torch.kron(_cosines(size), _cosines(size)) for size in config.sizes]
    kernels *= config.frames
    lengths = torch.tensor([len(kernel) for kernel in kernels])
    basis = torch.block_diag(*kernels)
    sums, mirror = lengths.cumsum(0) - lengths, _mirror(lengths.double().sqrt())
    basis[sums] -= 2 * torch.outer(mirror, mirror @ basis[sums])
    return basis


def _cosines(count: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) `[count,count]`, frequencies as rows, the constant first."""
    return torch.from_numpy(dct(np.eye(count), axis=0, norm="ortho"))


def _mirror(direction: Tensor) -> Tensor:
    """The unit normal of the mirror that exchanges the first axis and a direction `[n]`; zero where they are one."""
    normal = -(direction.double() / direction.double().norm())
    normal[0] += 1
    return functional.normalize(normal, dim=0)
