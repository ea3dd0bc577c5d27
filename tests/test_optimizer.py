"""The rotated last convolution: its bases, what a step does, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mkpn.config import TrainConfig, model_config
from mkpn.network import KernelPredictionNetwork
from mkpn.optimizer import RotatedAdamW, make_optimizer, tap_basis, window_basis
from mkpn.wiring import hold


@pytest.mark.parametrize("model", ["kpn-l1", "kpn-l5", "kpn", "mkpn"])
def test_the_first_tap_direction_is_the_total(model: str) -> None:
    config = model_config(model)
    basis = tap_basis(config)
    count = config.out_channels
    torch.testing.assert_close(basis @ basis.t(), torch.eye(count, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(basis[0], torch.full((count,), count**-0.5, dtype=torch.float64), atol=1e-10, rtol=0)
    # Every other direction leaves the total of all taps as it is.
    assert basis[1:].sum(1).abs().max() < 1e-9


def test_the_other_directions_belong_to_one_kernel() -> None:
    """Of MKPN's 576 directions only the 96 kernels' sums are mixed; a cosine stays within its own kernel's taps."""
    basis = tap_basis(model_config("mkpn"))
    first = 1 + 3 + 5 + 7  # the size 9 of the first frame's vertical factors
    third = basis[first + 2]
    assert third[first : first + 9].square().sum() == pytest.approx(1)
    i = torch.arange(9, dtype=torch.float64)
    torch.testing.assert_close(third[first : first + 9], (2 / 9) ** 0.5 * torch.cos(torch.pi * (i + 0.5) * 2 / 9))


def test_window_basis_knows_the_total_of_all_inputs() -> None:
    basis = window_basis(nn.Conv2d(5, 2, 3))
    torch.testing.assert_close(basis @ basis.t(), torch.eye(45, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(basis[0], torch.full((45,), 45**-0.5, dtype=torch.float64), atol=1e-10, rtol=0)


def optimiser(convolution: nn.Conv2d, **options: float) -> RotatedAdamW:
    outputs = tap_basis(replace(model_config("kpn-l3"), frames=convolution.out_channels // 6))
    group = {"params": list(convolution.parameters()), "fraction": 1.0}
    return RotatedAdamW([group], convolution, outputs, window_basis(convolution), **options)


def test_a_wrong_brightness_moves_the_total_by_one_learning_rate() -> None:
    """AdamW moves all taps by the learning rate; rotated, the length of the whole step is the learning rate."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 48, 3)
    before = [parameter.detach().clone() for parameter in convolution.parameters()]
    # With Adam's usual eps rounding errors would be blown up: but for the total, all gradients are exactly zero here.
    rotated = optimiser(convolution, lr=1e-3, weight_decay=0.0, eps=0.01)
    # All features are 1, and the loss is the sum of all taps.
    convolution(torch.ones(1, 4, 3, 3)).sum().backward()
    rotated.step()
    moved = [old - new.detach() for old, new in zip(before, convolution.parameters(), strict=True)]
    for step in moved:
        torch.testing.assert_close(step, torch.full_like(step, 1e-3 * step.numel() ** -0.5), atol=0, rtol=0.01)


def test_it_minimises_and_forgets_its_gradients() -> None:
    """Least squares: weights that are known are found; the gradients of the own weights do not pile up."""
    torch.manual_seed(0)
    convolution, wanted = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3)
    rotated = optimiser(convolution, lr=1e-2, weight_decay=0.0)
    features = torch.randn(8, 4, 8, 8)
    for step in range(600):
        rotated.param_groups[0]["lr"] = 1e-2 * (1 - step / 600)
        rotated.zero_grad()
        assert convolution.weight.grad is None
        (convolution(features) - wanted(features).detach()).square().mean().backward()
        rotated.step()
    torch.testing.assert_close(convolution.weight, wanted.weight, atol=2e-3, rtol=0)
    torch.testing.assert_close(convolution.bias, wanted.bias, atol=2e-3, rtol=0)
    rotated.zero_grad()
    with pytest.raises(ValueError, match="gradients of the rotated convolution"):
        rotated.step()


def test_only_the_last_convolution_is_rotated() -> None:
    """One step with and without rotation: everything before the last convolution moves alike."""
    states: list[dict[str, torch.Tensor]] = []
    for rotate in (False, True):
        torch.manual_seed(0)
        network = KernelPredictionNetwork(model_config("kpn-l3"))
        config = TrainConfig(images=(Path(),), run=Path(), rotate_last=rotate)
        optimizer = make_optimizer(network, config, hold(network))
        torch.manual_seed(1)
        network(torch.rand(1, 8, 3, 32, 32), torch.full((1, 3, 32, 32), 0.1)).square().mean().backward()
        optimizer.step()
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    plain, rotated = states
    assert not torch.equal(plain["last.weight"], rotated["last.weight"])
    assert all(torch.equal(plain[name], rotated[name]) for name in plain if not name.startswith("last."))
