"""Eq. 5 and 6 against sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from mkpn.training.losses import (
    annealing_weight,
    balanced,
    basic_loss,
    imitation_loss,
    imitation_weight,
    total_loss,
)


def test_basic_loss_is_eq_5() -> None:
    estimate, target = torch.tensor([[[0.0, 0.5], [1.0, 0.25]]]), torch.tensor([[[0.1, 0.5], [0.5, 0.0]]])
    squares = (0.1**2 + 0 + 0.5**2 + 0.25**2) / 4
    # Forward differences of the error [[-0.1, 0], [0.5, 0.25]]: right 0.1, -0.25; down 0.6, 0.25.
    gradients = (0.1 + 0.25) / 2 + (0.6 + 0.25) / 2
    assert basic_loss(estimate, target).item() == pytest.approx(0.99 * squares + 0.01 * gradients)
    assert basic_loss(estimate, target, 0.5).item() == pytest.approx(0.5 * squares + 0.5 * gradients)


def test_each_burst_has_a_loss_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    estimate, target = torch.rand(3, 2, 5, 6, generator=generator), torch.rand(3, 2, 5, 6, generator=generator)
    alone = torch.cat([basic_loss(estimate[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(basic_loss(estimate, target), alone)


@pytest.mark.parametrize(
    ("balance", "weights"),
    [(0, (1, 1, 1)), (0.5, (1, 0.5, 2)), (1, (1, 0.25, 4))],
)
def test_balanced_bursts_count_by_a_power_of_their_loss(balance: float, weights: tuple[float, ...]) -> None:
    losses = torch.tensor([2e-3, 8e-3, 5e-4], requires_grad=True)
    value = balanced(losses, balance)
    (gradient,) = torch.autograd.grad(value, losses)
    torch.testing.assert_close(gradient, torch.tensor(weights) / 3)
    assert value.item() == pytest.approx(float((losses.detach() * torch.tensor(weights)).mean()))


def test_fully_balanced_gradient_is_that_of_the_mean_logarithm() -> None:
    losses = torch.tensor([1e-4, 3e-3, 0.2], requires_grad=True)
    (logarithm,) = torch.autograd.grad(losses.log().mean(), losses)
    (gradient,) = torch.autograd.grad(balanced(losses, 1), losses)
    torch.testing.assert_close(gradient / 2e-3, logarithm)
    assert torch.isfinite(balanced(torch.zeros(2), 1))


def test_basic_loss_does_not_reward_darkening() -> None:
    """A noisy grey area: with lambda_1 of one half a darker estimate has the smaller loss, with ours it has not."""
    target = torch.full((1, 64, 64), 0.5)
    noisy = target + 0.08 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert basic_loss(0.9 * noisy, target, 0.5) < basic_loss(noisy, target, 0.5)
    assert basic_loss(0.9 * noisy, target) > basic_loss(noisy, target)


def test_total_loss_is_eq_6() -> None:
    generator = torch.Generator().manual_seed(0)
    estimates = torch.rand(2, 4, 3, 1, 6, 6, generator=generator)
    image, target = estimates.mean((1, 2)), torch.rand(2, 1, 6, 6, generator=generator)
    annealing = sum(basic_loss(estimates[:, i, s], target) for i in range(4) for s in range(3)) / 12
    expected = basic_loss(image, target) + 7 * annealing
    torch.testing.assert_close(total_loss(image, estimates, target, 7.0), expected)
    torch.testing.assert_close(total_loss(image, None, target, 0.0), basic_loss(image, target))
    torch.testing.assert_close(total_loss(image, None, target, 0.0, 0.5), basic_loss(image, target, 0.5))


def test_annealing_is_the_papers_decay_and_ends() -> None:
    assert annealing_weight(0, 100, 5000) == 100
    # alpha = exp(-1/5000) is the paper's 0.9998 to four digits.
    assert annealing_weight(1, 100, 5000) == pytest.approx(100 * 0.9998, rel=1e-7)
    assert annealing_weight(500, 100, 500) == pytest.approx(100 / math.e)
    # It ends where it is next to nothing, and not before: a trained network's loss is a thousandth.
    assert annealing_weight(80_000, 100, 5000) > 0 == annealing_weight(81_000, 100, 5000)


def test_imitation_compares_full_kernels_with_the_teachers_outer_products() -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.rand(2, 8, 2, 5, 3, 4, generator=generator)
    products = torch.einsum("bnihw,bnjhw->bnijhw", factors[:, :, 0], factors[:, :, 1])
    same = products.flatten(2, 3)
    assert imitation_loss(same, factors).item() == pytest.approx(0, abs=1e-12)
    # One tap of one frame is off by 8 everywhere: Eq. 4's mean over 8 frames makes it 1.
    same[:, 3, 7] += 8
    assert imitation_loss(same, factors).item() == pytest.approx(1)
    turned = products.transpose(2, 3).flatten(2, 3)
    assert imitation_loss(turned, factors).item() > 1e-3


def test_imitation_fades_to_nothing() -> None:
    weights = [imitation_weight(step, 100, 0.1, 0.5) for step in (0, 25, 50, 99)]
    assert weights == pytest.approx([0.1, 0.05, 0, 0])
