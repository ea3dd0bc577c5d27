"""The U-Net has Fig. 1's shape: parameters counted by hand, the mean of the burst untrained, checked input."""

from __future__ import annotations

import pytest
import torch

from mkpn.model.config import MODELS, model_config
from mkpn.model.network import KernelPredictionNetwork, Up, parameter_count
from mkpn.ops import local_conv


def by_hand(widths: list[int], head: list[int]) -> int:
    """Counts 3x3 convolutions with biases: five encoder blocks, two decoder blocks, the head."""
    w1, w2, w3, w4, w5 = widths

    def conv(a: int, b: int) -> int:
        return 9 * a * b + b

    def block(a: int, b: int) -> int:
        return conv(a, b) + 2 * conv(b, b)

    encoder = block(27, w1) + block(w1, w2) + block(w2, w3) + block(w3, w4) + block(w4, w5)
    decoder = block(w5 + w4, w4) + block(w4 + w3, w3)
    h1, h2, out = head
    return encoder + decoder + conv(w3 + w2, h1) + conv(h1, h2) + conv(h2, out)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts(name: str) -> None:
    sides = {"mkpn": 36, "kpn": None}.get(name, int(name.removeprefix("kpn-l") or 0) if "-l" in name else None)
    out = 8 * 25 if sides is None else 8 * 2 * sides
    # A quarter of the paper's, 64 at least. Full kernels: a channel for each of the 25 places of seven frames, too.
    head = 64 + 7 * 25 if sides is None else {36: 144, 25: 96}.get(sides, 64)
    compact = by_hand([24, 48, 64, 128, 128], [head, head, out])
    paper = by_hand([64, 128, 256, 512, 512], [out, out, out])
    assert parameter_count(model_config(name)) == compact
    assert parameter_count(model_config(name, "paper")) == paper


def test_two_counts_are_pinned() -> None:
    assert parameter_count(model_config("mkpn")) == 2_835_456
    assert parameter_count(model_config("mkpn", "paper")) == 35_265_984


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_untrained_network_is_the_mean_of_the_burst(name: str, preset: str) -> None:
    config = model_config(name, preset)
    network = KernelPredictionNetwork(config)
    frames = torch.rand(1, 8, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        image = local_conv(frames, network(frames, frames[:, 0]), config.sizes)
    torch.testing.assert_close(image, frames.mean(1), atol=2e-6, rtol=0)


def test_coefficients_have_half_the_resolution(mkpn_network: KernelPredictionNetwork) -> None:
    with torch.inference_mode():
        coeffs = mkpn_network(torch.rand(2, 8, 3, 32, 48), torch.rand(2, 3, 32, 48))
    assert coeffs.shape == (2, 8, 2, 36, 16, 24)
    full = KernelPredictionNetwork(model_config("kpn"))
    assert full(torch.rand(1, 8, 3, 16, 16), torch.rand(1, 3, 16, 16)).shape == (1, 8, 25, 8, 8)


def test_the_noise_estimate_is_an_input(mkpn_network: KernelPredictionNetwork) -> None:
    frames = torch.rand(1, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        low, high = (mkpn_network(frames, torch.full((1, 3, 32, 32), value)) for value in (0.0, 0.3))
    assert (low - high).abs().max() > 1e-4


def test_wrong_shapes_name_both(mkpn_network: KernelPredictionNetwork) -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \[1, 8, 3, 40, 32\]"):
        mkpn_network(torch.rand(1, 8, 3, 40, 32), torch.rand(1, 3, 40, 32))
    with pytest.raises(ValueError, match=r"\[B,8,3,H,W\]"):
        mkpn_network(torch.rand(1, 7, 3, 32, 32), torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="noise_std: expected"):
        mkpn_network(torch.rand(1, 8, 3, 32, 32), torch.rand(1, 1, 32, 32))


def test_the_decoder_up_samples_between_the_centres_of_pixels() -> None:
    """By hand: a pixel lies a quarter of the way from the centre of its own low pixel to that of the next one."""
    block = Up(2, 2)
    convolution = block[0]
    with torch.no_grad():
        torch.nn.init.dirac_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    low, skip = torch.tensor([[1.0, 5.0], [9.0, 2.0]]), torch.arange(16.0).view(4, 4)
    quarters = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    with torch.inference_mode():
        found = block(low[None, None], skip[None, None])
    torch.testing.assert_close(found[0, 0], quarters @ low @ quarters.T)
    torch.testing.assert_close(found[0, 1], skip)
