"""Kernels that another network's last convolution takes over: centres, scales, brightness, first-order products."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mkpn.model.config import MODELS, ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.training.start.transplant import transplant_taps


def coefficients(network: KernelPredictionNetwork, features: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.coefficients(features)


def narrow(name: str) -> KernelPredictionNetwork:
    """A network whose head is as wide as the donor's."""
    return KernelPredictionNetwork(replace(model_config(name), head_width=64))


@pytest.fixture(scope="module")
def donor() -> tuple[KernelPredictionNetwork, torch.Tensor]:
    torch.manual_seed(0)
    network = KernelPredictionNetwork(model_config("kpn-l11"))
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network, torch.rand(2, 64, 6, 6)


@pytest.mark.parametrize("name", ["kpn-l3", "kpn-l25", "mkpn"])
def test_transplanted_factors_are_the_donors_centres(
    donor: tuple[KernelPredictionNetwork, torch.Tensor], name: str
) -> None:
    source, features = donor
    network = narrow(name)
    transplant_taps(network, source, features)
    theirs, ours = coefficients(source, features), coefficients(network, features)
    for size, first in zip(network.config.sizes, network.config.first_taps, strict=True):
        taps = ours[:, :, :, first : first + size]
        if size <= 11:
            # In each factor, for one without weight keeps the other.
            centre = theirs[:, :, :, (11 - size) // 2 : (11 + size) // 2]
            for part in range(2):
                scale = (taps / centre)[:, :, part].median()
                torch.testing.assert_close(taps[:, :, part], scale * centre[:, :, part])
                assert scale > 0 or (part == 0 and size < 11)
        else:
            frames = torch.rand(2, 8, 3, 12, 12)
            expected = local_conv(frames, theirs, (11,), backend="reference")
            torch.testing.assert_close(local_conv(frames, ours, (size,), backend="reference"), expected)


@pytest.mark.parametrize(
    ("vertical", "horizontal", "beyond", "scale"),
    [
        (0.5, 0.5, 0.5, 2),  # a quarter of the weight is kept, and grows back
        (0.01, 0.01, 1.0, 10**0.5),
        (-0.01, 0.01, 1.0, 10**0.5),
        (1.0, 1.0, -0.9, 10**-0.5),
    ],
    ids=["moderate", "hardly any", "negative", "far too much"],
)
def test_a_centre_is_scaled_by_no_more_than_ten(
    vertical: float, horizontal: float, beyond: float, scale: float
) -> None:
    """A kernel's weight is the product of its factors, of which each gets the root of the scale."""
    source, network = KernelPredictionNetwork(model_config("kpn-l11")), KernelPredictionNetwork(model_config("kpn-l1"))
    kernel = torch.zeros(2, 11)
    kernel[:, 5] = torch.tensor([vertical, horizontal])
    kernel[:, 8] = beyond
    with torch.no_grad():
        source.last.weight.zero_()
        source.last.bias.copy_(kernel.repeat(8, 1).flatten())  # pyright: ignore[reportOptionalMemberAccess]
    transplant_taps(network, source, torch.zeros(1, 64, 8, 8))
    expected = scale * torch.tensor([vertical, horizontal]).repeat(8)
    torch.testing.assert_close(network.last.bias, expected, check_stride=False, rtol=1e-5, atol=0)


def test_sizes_that_cannot_hold_the_donors_kernels_start_from_nothing() -> None:
    """The donor shifts every frame by two pixels: sides 1 and 3 have no kernel yet, but a factor that lets it grow."""
    source, network = KernelPredictionNetwork(model_config("kpn-l11")), narrow("mkpn")
    with torch.no_grad():
        source.last.bias.copy_(source.last.bias.view(16, 11).roll(2, 1).flatten() + 0.01)  # pyright: ignore
    features = torch.rand(1, 64, 8, 8)
    transplant_taps(network, source, features)
    coeffs = coefficients(network, features)[:, :, :, :, 4, 4]
    first = network.config.first_taps[2]
    assert coeffs[:, :, 0, :first].abs().max() == 0
    assert coeffs[:, :, 1, :first].abs().min() > 0
    assert coeffs[:, :, :, first:].abs().min() > 0
    frames = torch.rand(1, 8, 3, 16, 16)
    images = [
        local_conv(frames, coefficients(n, features), n.config.sizes, backend="reference") for n in (source, network)
    ]
    torch.testing.assert_close(*images, atol=0.1, rtol=0)


def test_transplanted_full_kernels_are_the_product_to_first_order(
    donor: tuple[KernelPredictionNetwork, torch.Tensor],
) -> None:
    source, features = donor
    network = narrow("kpn")
    transplant_taps(network, source, features)

    def both(scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        mean = features.mean((0, 2, 3))[None, :, None, None]
        x = mean + scale * (features - mean)
        v, h = coefficients(source, x)[:, :, :, 3:8, 1:-1, 1:-1].unbind(2)
        return coefficients(network, x)[..., 1:-1, 1:-1].unflatten(2, (5, 5)), v[:, :, :, None] * h[:, :, None]

    same, product = both(0)
    scale = (same / product).median()
    same, product = same / scale, product
    torch.testing.assert_close(same, product, atol=1e-5, rtol=1e-4)
    (near, near_product), (far, far_product) = both(0.1), both(1)
    assert (near / scale - near_product).abs().max() < 0.02 * (far / scale - far_product).abs().max()


def test_a_transplanted_network_keeps_the_brightness(donor: tuple[KernelPredictionNetwork, torch.Tensor]) -> None:
    """Where a kernel loses the taps beyond its side, the rest is scaled: a white burst stays as white."""
    source, features = donor
    mean = features.mean((0, 2, 3), keepdim=True).expand(1, -1, 16, 16)
    white = torch.ones(1, 8, 3, 32, 32)
    expected = local_conv(white, coefficients(source, mean), (11,), backend="reference")[0, 0, 16, 16]
    for name in MODELS:
        network = narrow(name)
        transplant_taps(network, source, features)
        image = local_conv(white, coefficients(network, mean), network.config.sizes, backend="reference")
        assert image[0, 0, 16, 16].item() == pytest.approx(expected.item(), rel=1e-3), name


def test_only_a_separable_donor_of_the_same_head_will_do() -> None:
    full, thin = narrow("kpn"), model_config("kpn-l3")
    features = torch.rand(1, 64, 4, 4)
    with pytest.raises(ValueError, match="expected a separable network"):
        transplant_taps(KernelPredictionNetwork(thin), full, features)
    other = ModelConfig(name="x", sizes=(3,), head_width=32)
    with pytest.raises(ValueError, match="64 features before its last convolution, got x with 32"):
        transplant_taps(KernelPredictionNetwork(thin), KernelPredictionNetwork(other), features)
