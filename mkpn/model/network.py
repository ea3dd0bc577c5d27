"""The U-Net that predicts per-pixel kernels (Fig. 1), for any preset and kernel set."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mkpn.model.config import DEPTH_MULTIPLE, ModelConfig


def _block(channels_in: int, channels: int) -> nn.Sequential:
    """Three 3x3 convolutions with zero padding, each followed by a ReLU (section 2.2)."""
    layers: list[nn.Module] = []
    for index in range(3):
        layers += [nn.Conv2d(channels_in if index == 0 else channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


class KernelPredictionNetwork(nn.Module):
    """Predicts, for every second pixel and every frame, the kernels that denoise it.

    Four average poolings lead from full resolution to a sixteenth; three bilinear up-samplings lead back to a half,
    each followed by the concatenation of the encoder's features and a block of three convolutions. The last
    up-sampling, of the coefficients themselves, belongs to the local convolution (`mkpn.ops.local_conv`).

    Untrained, every kernel is a centred delta, so that the denoised image is the mean of the burst (reading 10 in
    mkpn/training/README.md).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3, w4, w5 = config.widths
        self.encoder = nn.ModuleList(
            _block(before, after)
            for before, after in zip((config.in_channels, w1, w2, w3, w4), config.widths, strict=True)
        )
        self.decoder = nn.ModuleList([_block(w5 + w4, w4), _block(w4 + w3, w3)])
        head = config.head_width or config.out_channels
        self.head = nn.Sequential(
            nn.Conv2d(w3 + w2, head, 3, padding=1), nn.ReLU(), nn.Conv2d(head, head, 3, padding=1), nn.ReLU()
        )
        # No ReLU behind the last convolution: kernels are unconstrained (reading 6 in mkpn/training/README.md).
        self.last = nn.Conv2d(head, config.out_channels, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        with torch.no_grad():
            self.last.bias.copy_(delta_coefficients(self.config))

    def features(self, frames: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Returns what the last convolution reads, `[B,head,H/2,W/2]`.

        Args:
            frames: `[B,N,C,H,W]`, H and W multiples of 16.
            noise_std: `[B,C,H,W]`, Eq. 8.

        Raises:
            ValueError: if the shapes do not fit the configuration or each other.
        """
        config = self.config
        batch, height, width = frames.shape[0], *frames.shape[-2:]
        if frames.shape[1:3] != (config.frames, config.colors) or height % DEPTH_MULTIPLE or width % DEPTH_MULTIPLE:
            raise ValueError(
                f"frames: expected [B,{config.frames},{config.colors},H,W] with H and W multiples of "
                f"{DEPTH_MULTIPLE}, got {list(frames.shape)}"
            )
        if noise_std.shape != (batch, config.colors, height, width):
            raise ValueError(
                f"noise_std: expected {[batch, config.colors, height, width]}, got {list(noise_std.shape)}"
            )
        x = torch.cat((frames.flatten(1, 2), noise_std), dim=1)
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else functional.avg_pool2d(x, 2))
            skips.append(x)
        for block, skip in zip([*self.decoder, self.head], (skips[3], skips[2], skips[1]), strict=True):
            up = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat((up, skip), dim=1))
        return x

    def coefficients(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the kernels `[B,N,2,p,h,w]` (separable) or `[B,N,K*K,h,w]` (full) of `features` `[B,head,h,w]`."""
        return self.arrange(self.last(features))

    def arrange(self, flat: torch.Tensor) -> torch.Tensor:
        """Views the last convolution's `[B,2pN,h,w]` as coefficients, see `coefficients`."""
        config = self.config
        if config.separable:
            return flat.unflatten(1, (config.frames, 2, sum(config.sizes)))
        return flat.unflatten(1, (config.frames, config.kernel_channels))

    def forward(self, frames: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Predicts the coefficients of a burst; arguments and errors as `features`, result as `coefficients`."""
        return self.coefficients(self.features(frames, noise_std))


def delta_coefficients(config: ModelConfig) -> torch.Tensor:
    """Returns the coefficients `[2pN]` or `[K*K*N]` of kernels that are all centred deltas."""
    per_frame: list[torch.Tensor] = []
    for _ in range(2 if config.separable else 1):
        for size in config.sizes:
            taps = torch.zeros(size if config.separable else size * size)
            taps[taps.numel() // 2] = 1
            per_frame.append(taps)
    return torch.cat(per_frame).repeat(config.frames)


def parameter_count(config: ModelConfig) -> int:
    """Returns the number of trainable parameters of a configuration, without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in KernelPredictionNetwork(config).parameters())
