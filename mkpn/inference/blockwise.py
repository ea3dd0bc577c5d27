"""The network of Fig. 1 without its memory: what is large exists for one block of the image at a time.

The first two encoder blocks work at full and half resolution and are run block by block; so are the head, the last
convolution and the local convolution. In between, the trunk sees a whole tile, whose tensors are small: a quarter of
the resolution and less. Every block is run with the halo that its convolutions read and cropped to what is exact.

All of it is channels-last: on the CPU, convolutions of few channels are up to 1.6 times as fast as in the default
layout, pooling and up-sampling four times. Only the local convolution reads planes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mkpn.geometry import Rectangle, Span
from mkpn.inference.tiling import cells_read, cut
from mkpn.model.config import ModelConfig
from mkpn.model.network import KernelPredictionNetwork, go_on
from mkpn.ops import local_conv_region


@dataclass(frozen=True)
class Trunk:
    """What the head needs of a tile.

    Attributes:
        cells: the tile in the whole image, at half resolution.
        skip: `[1,w2,h,w]`, the second encoder block's output.
        low: `[1,w3,h/2,w/2]`, the last decoder block's output.
    """

    cells: Rectangle
    skip: Tensor
    low: Tensor


def trunk_bytes(config: ModelConfig) -> int:
    """Peak memory per pixel of a tile, in bytes of float32."""
    _, w2, w3, w4, _ = config.widths
    # At the last decoder block: both skips, the up-sampled tensor, their concatenation in two layouts, the output.
    return w2 + (w3 + w4 + 2 * (w3 + w4) + w3) // 4 + 1


def entry_bytes(config: ModelConfig) -> int:
    """Peak memory per pixel of a block of `run_trunk`, in bytes of float32."""
    # Input and output of a convolution, each also in the layout that the convolution prefers.
    return 4 * 2 * max(config.in_channels + config.widths[0], 2 * config.widths[0])


def exit_bytes(config: ModelConfig, plain: bool = False) -> int:
    """Peak memory per pixel of a block of `denoise_block`, in bytes of float32.

    Args:
        config: of the network.
        plain: whether the local convolution's plain definition runs, which builds every kernel of every pixel.
    """
    _, w2, w3, _, _ = config.widths
    head = config.head_width or config.out_channels
    kernels = sum(size * size for size in config.sizes) + config.kernel_channels + 3 * len(config.sizes) * config.colors
    built = 4 * config.frames * kernels if plain else 0
    return max(2 * (w2 + w3) + 2 * head, 2 * head + 2 * config.out_channels) + 8 * config.colors + built


def run_trunk(
    network: KernelPredictionNetwork,
    frames: Tensor,
    noise_std: Tensor,
    source: Rectangle,
    block_area: int,
    checkpoint: Callable[[], None],
) -> Trunk:
    """Runs everything before the head on a tile.

    Args:
        network: in evaluation mode.
        frames: whole burst `[1,N,C,H,W]`.
        noise_std: `[1,C,H,W]`.
        source: the tile, in pixels of the image padded to multiples of 16.
        block_area: pixels of a block.
        checkpoint: called before each layer; may raise.
    """
    cells = source.halved()
    dtype = network.last.weight.dtype
    skip = _empty((1, network.config.widths[1], *cells.shape), dtype, frames.device)
    for block in cut(cells, block_area // 4):
        # Three convolutions at half resolution read the pooled output of three at full resolution.
        wide = block.grown(3 + 2, cells)
        x = network.entry(network_input(frames, noise_std, wide.scaled(2), dtype), checkpoint)
        skip[(..., *block.within(cells).slices)] = x[(..., *block.within(wide).slices)]
    return Trunk(cells, skip, network.trunk(skip, checkpoint))


def network_input(frames: Tensor, noise_std: Tensor, pixels: Rectangle, dtype: torch.dtype) -> Tensor:
    """Frames and noise estimate `[1,(N+1)C,h,w]` of some pixels; below and to the right the image is mirrored."""
    burst = frames.flatten(1, 2)
    shape = (1, burst.shape[1] + noise_std.shape[1], *pixels.shape)
    # Straight into its place: a concatenation would be laid out anew by the first convolution.
    x = _empty(shape, dtype, frames.device)
    _continue(burst, pixels, x[:, : burst.shape[1]])
    _continue(noise_std, pixels, x[:, burst.shape[1] :])
    return x


def continued(x: Tensor, pixels: Rectangle) -> Tensor:
    """Some pixels of images `[...,H,W]`; below and to the right the image is mirrored, its last row and column once."""
    out = x.new_empty((*x.shape[:-2], *pixels.shape))
    _continue(x, pixels, out)
    return out


def _continue(x: Tensor, pixels: Rectangle, out: Tensor) -> None:
    height, width = x.shape[-2:]
    for into_rows, rows in _mirrored(pixels.rows, height):
        for into_columns, columns in _mirrored(pixels.columns, width):
            out[..., into_rows, into_columns] = x[..., rows, :][..., columns]


def _mirrored(span: Span, size: int) -> Iterator[tuple[slice, slice | list[int]]]:
    """Yields places of a span and what of `size` rows or columns belongs there: those within, and those beyond."""
    first, end = span
    inside = max(first, min(end, size))
    if inside > first:
        yield slice(inside - first), slice(first, inside)
    if end > inside:
        # There and back again: of few rows, several times.
        turn = max(1, 2 * size - 2)
        yield slice(inside - first, None), [min(at % turn, -at % turn) for at in range(inside, end)]


def head_features(
    network: KernelPredictionNetwork, trunk: Trunk, cells: Rectangle, checkpoint: Callable[[], None] = go_on
) -> Tensor:
    """What the last convolution reads in some cells of a tile, `[1,head,h,w]`."""
    half = trunk.cells.halved()
    # Two convolutions, and before them the up-sampling.
    low = cells_read(cells.grown(2, trunk.cells), half)
    wide = low.scaled(2)
    x = network.head(
        trunk.low[(..., *low.within(half).slices)], trunk.skip[(..., *wide.within(trunk.cells).slices)], checkpoint
    )
    return x[(..., *cells.within(wide).slices)]


def coefficients_at(
    network: KernelPredictionNetwork, features: Tensor, seen: Rectangle, cells: Rectangle, image: Rectangle
) -> Tensor:
    """The last convolution in some cells.

    Args:
        network: whose convolution it is.
        features: `[1,head,h,w]` of the cells `seen`.
        seen: at least `cells` and one more on each side, where the image does not end.
        cells: where the coefficients are wanted.
        image: all cells of the padded image; the convolution pads zeros outside of them.

    Returns:
        Coefficients as the network arranges them, float32.
    """
    x = features[(..., *cells.grown(1, image).within(seen).slices)]
    padding: list[int] = []
    for (first, end), limit in ((cells.columns, image.columns), (cells.rows, image.rows)):
        padding += [int(first == limit[0]), int(end == limit[1])]
    x = functional.pad(x, padding) if any(padding) else x
    last = network.last
    if x.device.type != "cpu":
        return network.arrange(functional.conv2d(x, last.weight, last.bias)).float()
    # The local convolution reads planes: whichever has fewer channels is laid out anew.
    channels = last.weight.shape[0]
    if x.shape[1] < channels:
        assert last.bias is not None
        more = _fast_channels(channels) - channels
        weight, bias = functional.pad(last.weight, (0, 0, 0, 0, 0, 0, 0, more)), functional.pad(last.bias, (0, more))
        return network.arrange(functional.conv2d(_planes(x), weight.contiguous(), bias)[:, :channels])
    return network.arrange(_planes(functional.conv2d(x, last.weight, last.bias)))


def _fast_channels(channels: int) -> int:
    """Output channels that oneDNN computes no later than as many as asked for.

    Its AVX2 convolution takes 8 channels times 3 or 4 at once where that divides them. Measured at 64 channels in,
    129x256 cells, two threads: 208 take 62 ms and 224 take 49 ms, 176 take 53 ms and 192 take 43 ms; with 80 channels
    or fewer and with 400 there is nothing to gain.
    """
    blocks = -(-channels // 8)
    return channels if blocks % 3 == 0 or not 12 <= blocks <= 32 else -(-blocks // 4) * 32


def denoise_block(
    network: KernelPredictionNetwork,
    frames: Tensor,
    features: Tensor,
    seen: Rectangle,
    block: Rectangle,
    image: Rectangle,
    timed: Callable[[Callable[[], Tensor]], Tensor],
) -> Tensor:
    """The last convolution and the local convolution in some pixels, `[C,h,w]`.

    Args:
        network: predicts the kernels.
        frames: whole burst `[1,N,C,H,W]`.
        features: `[1,head,h,w]` of the cells `seen`, see `cells_seen`.
        seen: see `features`.
        block: pixels, within the burst.
        image: all cells of the padded image.
        timed: runs the local convolution and takes its time.
    """
    cells = cells_read(block, image)
    coeffs = coefficients_at(network, features, seen, cells, image)
    sizes, padded = network.config.sizes, image.scaled(2)
    reach = block.grown(max(sizes) // 2, padded)
    if reach.rows[1] > frames.shape[-2] or reach.columns[1] > frames.shape[-1]:
        # The kernels reach the mirrored pixels that the network saw there; zeros in their place would darken the rim.
        top, left = min(reach.y, 2 * cells.y) // 2 * 2, min(reach.x, 2 * cells.x) // 2 * 2
        window = Rectangle.of((top, reach.rows[1]), (left, reach.columns[1]))
        frames = continued(frames, window)
        block = block.within(window)
        cells = Rectangle(cells.x - left // 2, cells.y - top // 2, cells.w, cells.h)
    region = (*block.rows, *block.columns)
    origin = (cells.y, cells.x)
    return timed(lambda: local_conv_region(frames, coeffs, sizes, region=region, origin=origin))[0]


def cells_seen(block: Rectangle, image: Rectangle) -> Rectangle:
    """Cells whose features the kernels of some pixels depend on: interpolation and one convolution."""
    return cells_read(block, image).grown(1, image)


def _empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)


def _planes(x: Tensor) -> Tensor:
    """`x.contiguous()` of a channels-last `[1,c,h,w]`, in a third of its time."""
    x = x.contiguous(memory_format=torch.channels_last)
    # PyTorch transposes matrices block by block, other tensors number by number.
    return x[0].permute(1, 2, 0).flatten(0, 1).t().contiguous().view(x.shape)
