"""Rotated convolutions: their bases, what a step does, and that what is held stays held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.training.config import TrainConfig
from mkpn.training.optimizer import RotatedAdamW, Rotation, make_optimizer, tap_basis
from mkpn.training.start.wiring import held_rows, hold


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


def test_the_first_input_direction_is_the_total() -> None:
    """Of a filter that is 1 everywhere one coordinate is left, its length; of a constant channel, only the sums."""
    weight = torch.ones(2, 5, 3, 3)
    rotation = Rotation(weight)
    expected = torch.zeros(2, 5, 9)
    expected[:, 0, 0] = 45**0.5
    torch.testing.assert_close(rotation.forth(weight), expected, atol=1e-5, rtol=0)
    weight[:, 1:] = 0
    sums = rotation.forth(weight)
    assert sums[:, :, 1:].abs().max() < 1e-5
    assert sums[0, 0, 0].item() == pytest.approx(9 / 45**0.5)
    assert sums[0].norm().item() == pytest.approx(3)


def optimiser(convolution: nn.Conv2d, **options: float) -> RotatedAdamW:
    outputs = tap_basis(replace(model_config("kpn-l3"), frames=convolution.out_channels // 6))
    weight, bias = convolution.parameters()
    rotations = [Rotation(weight, outputs), Rotation(bias, outputs)]
    return RotatedAdamW([{"params": [weight, bias], "fraction": 1.0}], rotations, **options)


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
    with pytest.raises(ValueError, match="a gradient of every rotated parameter"):
        rotated.step()


def test_a_rotation_keeps_lengths_and_is_undone() -> None:
    torch.manual_seed(0)
    for tensor in (torch.randn(6, 4, 3, 3), torch.randn(6, 1, 1, 1), torch.randn(6)):
        for outputs in (None, tap_basis(replace(model_config("kpn-l3"), frames=1))):
            rotation = Rotation(tensor, outputs)
            before = tensor.clone()
            turned = rotation.forth(tensor)
            assert turned.norm().item() == pytest.approx(tensor.norm().item())
            torch.testing.assert_close(rotation.back(turned), before)
            assert torch.equal(rotation.forth(tensor), turned), "neither changes what it is given"
            assert torch.equal(tensor, before)


def test_a_step_moves_what_learns_and_nothing_that_is_held() -> None:
    torch.manual_seed(0)
    network = KernelPredictionNetwork(model_config("kpn-l3"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    config = TrainConfig(images=(Path(),), run=Path(), rotate=True, lr_last=0.5)
    optimizer = make_optimizer(network, config, hold(network))
    assert isinstance(optimizer, RotatedAdamW)
    assert [group["fraction"] for group in optimizer.param_groups] == [1, 1, 0.5]
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.rand(1, 8, 3, 32, 32), torch.full((1, 3, 32, 32), 0.1)).square().mean().backward()
        optimizer.step()
    held = held_rows(network)
    for name, tensor in network.state_dict().items():
        layer, _, _ = name.rpartition(".")
        rows = held.get(layer, torch.zeros(len(tensor), dtype=torch.bool))
        assert torch.equal(tensor[rows], before[name][rows]), name
        if name.endswith("weight") and not rows.all():
            assert not torch.equal(tensor[~rows], before[name][~rows]), name
