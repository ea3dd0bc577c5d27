"""The U-Net that predicts per-pixel kernels (Fig. 1), for any preset and kernel set."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mkpn.model.config import DEPTH_MULTIPLE, ModelConfig


def go_on() -> None:
    """Does nothing between two layers; what is called there instead may raise, so that a long run ends early."""


class Block(nn.Sequential):
    """3x3 convolutions with zero padding, each followed by a ReLU (section 2.2)."""

    def __init__(self, *channels: int) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            # The convolution's output is nobody else's, so the ReLU may overwrite it.
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers)

    def forward(self, input: torch.Tensor, between: Callable[[], None] = go_on) -> torch.Tensor:
        """Runs the layers on `[B,c,h,w]`; `between` is called before each convolution."""
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                between()
            input = layer(input)
        return input


class Down(Block):
    """A block at half the resolution of its input."""

    def forward(self, input: torch.Tensor, between: Callable[[], None] = go_on) -> torch.Tensor:
        """Pools `[B,c,h,w]` to `[B,c,h/2,w/2]` first."""
        return super().forward(functional.avg_pool2d(input, 2), between)


class Up(Block):
    """A block at twice the resolution of its input, which also reads the encoder's features of that resolution."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - it reads two tensors
        self, low: torch.Tensor, skip: torch.Tensor, between: Callable[[], None] = go_on
    ) -> torch.Tensor:
        """Up-samples `low [B,c,h/2,w/2]` and puts `skip [B,d,h,w]` behind its channels first."""
        between()
        up = functional.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
        return super().forward(torch.cat((up, skip), dim=1), between)


class KernelPredictionNetwork(nn.Module):
    """Predicts, for every second pixel and every frame, the kernels that denoise it.

    Four average poolings lead from full resolution to a sixteenth; three bilinear up-samplings lead back to a half,
    each followed by the concatenation of the encoder's features and a block of three convolutions. The last
    up-sampling, of the coefficients themselves, belongs to the local convolution (`mkpn.ops.local_conv`).

    The data pass `entry`, `trunk`, `head` and `coefficients`. `features` calls the first three on a whole image,
    `mkpn.inference.blockwise` on parts of it.

    Untrained, every kernel is a centred delta, so that the denoised image is the mean of the burst (reading 10 in
    mkpn/training/README.md).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3, w4, w5 = config.widths
        self.encoder = nn.ModuleList(
            [Block(config.in_channels, w1, w1, w1)]
            + [Down(before, after, after, after) for before, after in pairwise(config.widths)]
        )
        self.decoder = nn.ModuleList([Up(w5 + w4, w4, w4, w4), Up(w4 + w3, w3, w3, w3)])
        head = config.head_width or config.out_channels
        self.head = Up(w3 + w2, head, head)
        # No ReLU behind the last convolution: kernels are unconstrained (reading 6 in mkpn/training/README.md).
        self.last = nn.Conv2d(head, config.out_channels, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        # Meta tensors have no values, and PyTorch would import 200 MB of its compiler to fill them with none.
        if self.last.weight.is_meta:
            return
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
        skip = self.entry(torch.cat((frames.flatten(1, 2), noise_std), dim=1))
        return self.head(self.trunk(skip), skip)

    def entry(self, x: torch.Tensor, between: Callable[[], None] = go_on) -> torch.Tensor:
        """Runs the first two levels, the only ones that see the image at full and half resolution.

        Args:
            x: `[B,(N+1)C,H,W]`, the frames and behind them the noise estimate; H and W are even.
            between: called before each layer; may raise. The other stages call it likewise.

        Returns:
            `[B,w2,H/2,W/2]`.
        """
        for block in self.encoder[:2]:
            x = block(x, between)
        return x

    def trunk(self, skip: torch.Tensor, between: Callable[[], None] = go_on) -> torch.Tensor:
        """Runs the other levels and the decoder on the output of `entry`.

        Args:
            skip: `[B,w2,h,w]`, h and w multiples of 8.
            between: see `entry`.

        Returns:
            `[B,w3,h/2,w/2]`; with `skip` it is what `head` reads.
        """
        x, skips = skip, list[torch.Tensor]()
        for block in self.encoder[2:]:
            x = block(x, between)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop(), between)
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
