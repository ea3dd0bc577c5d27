"""What several test modules build; not in a conftest, of which there are two."""

from __future__ import annotations

import torch

from mkpn.model.config import ModelConfig
from mkpn.model.network import KernelPredictionNetwork


def perturbed(config: ModelConfig, seed: int = 0, scale: float = 0.02) -> KernelPredictionNetwork:
    """A network whose last convolution is not zero, so that its kernels differ from pixel to pixel."""
    torch.manual_seed(seed)
    network = KernelPredictionNetwork(config)
    torch.nn.init.normal_(network.last.weight, std=scale)
    return network.eval()
