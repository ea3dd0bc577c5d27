"""The basic loss (Eq. 5), the annealed total loss (Eq. 6), and how much each burst of a batch counts."""

from __future__ import annotations

import math

import torch

INTENSITY_WEIGHT = 0.99
"""lambda_1 of Eq. 5. With one half the mean absolute gradient outweighs the squared error, and since
a darker image has smaller gradients of noise, it rewards darkening (reading 8 in mkpn/training/README.md)."""

NEGLIGIBLE = 1e-5
"""Below this weight the annealing term is left out: it is then about 1/1000 of the basic loss of a trained network,
since a single frame's estimates have a hundred times the loss of the fused image."""

USUAL_LOSS = 2e-3
"""About the loss of a trained network between gain 4 and 8: balanced losses keep this size."""


def basic_loss(
    estimate: torch.Tensor, target: torch.Tensor, intensity_weight: float = INTENSITY_WEIGHT
) -> torch.Tensor:
    """Eq. 5: mean squared error of intensities plus mean absolute error of forward differences.

    Args:
        estimate: `[B,...,H,W]` intensities; its leading dimensions broadcast with those of `target`.
        target: `[B,...,H,W]` ground truth.
        intensity_weight: lambda_1; lambda_2 is `1 - lambda_1`.

    Returns:
        `[B]`, of each burst the mean over everything.
    """
    error = estimate - target
    # The gradient is linear: the difference of the gradients is the gradient of the difference.
    gradient = _mean(error.diff(dim=-1).abs()) + _mean(error.diff(dim=-2).abs())
    return intensity_weight * _mean(error.square()) + (1 - intensity_weight) * gradient


def balanced(losses: torch.Tensor, balance: float) -> torch.Tensor:
    """Mean of the losses of bursts, in which noisy or detailed bursts need not count more than others.

    The squared error at gain 8 is eight times that at gain 1, and that of drawn text larger still. PSNR is a
    logarithm, and each image counts alike in its mean.

    Args:
        losses: `[B]`.
        balance: 0 is the plain mean; 1 has the gradient of the mean logarithm, which is nearly that of the mean PSNR.

    Returns:
        A scalar: each burst has the weight `(USUAL_LOSS / loss) ** balance`, which has no gradient itself.
    """
    weights = (USUAL_LOSS / losses.detach().clamp(min=USUAL_LOSS / 1e4)) ** balance
    return (losses * weights).mean()


def annealing_weight(step: int, beta: float, annealing: float) -> float:
    """Returns `beta * alpha**t` of Eq. 6 with `alpha = exp(-1/annealing)`, and 0 once it is negligible."""
    weight = beta * math.exp(-step / annealing)
    return weight if weight >= NEGLIGIBLE else 0.0


def total_loss(
    image: torch.Tensor,
    estimates: torch.Tensor | None,
    target: torch.Tensor,
    weight: float,
    intensity_weight: float = INTENSITY_WEIGHT,
) -> torch.Tensor:
    """Eq. 6 for each burst, its sum over frames and sizes written as a mean (reading 8 in mkpn/training/README.md).

    Args:
        image: `[B,C,H,W]` denoised image.
        estimates: `[B,N,S,C,H,W]` per-frame and per-size estimates; may be None where `weight` is 0.
        target: `[B,C,H,W]` ground truth.
        weight: of the annealing term, see `annealing_weight`.
        intensity_weight: lambda_1 of Eq. 5.

    Returns:
        `[B]`.
    """
    loss = basic_loss(image, target, intensity_weight)
    if weight == 0:
        return loss
    assert estimates is not None
    return loss + weight * basic_loss(estimates, target[:, None, None], intensity_weight)


def imitation_loss(kernels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Distance of full kernels to the products of a separable network's factors.

    An image says of 25 weights only what their sum does to it. A teacher says it of each of them.

    Args:
        kernels: `[B,N,K*K,h,w]`, full.
        factors: `[B,N,2,K,h,w]` of the teacher, vertical before horizontal.

    Returns:
        A scalar: the squared difference, summed over frames and taps of the mean that Eq. 4 takes over frames, and
        averaged over bursts and pixels.
    """
    vertical, horizontal = factors.unbind(2)
    products = (vertical[:, :, :, None] * horizontal[:, :, None]).flatten(2, 3)
    return (kernels - products).square().sum((1, 2)).mean() / kernels.shape[1] ** 2


def imitation_weight(step: int, steps: int, weight: float, until: float) -> float:
    """Returns `weight`, fading linearly to 0 at the share `until` of a run of `steps`."""
    return weight * max(0.0, 1 - step / (until * steps))


def _mean(values: torch.Tensor) -> torch.Tensor:
    """The mean `[B]` over everything but the first dimension."""
    return values.flatten(1).mean(1)
