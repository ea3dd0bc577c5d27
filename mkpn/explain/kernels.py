"""What the predicted kernels do: the kernels of one pixel, per size, per frame and fused (Fig. 2, Eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.checks import whole
from mkpn.geometry import Rectangle
from mkpn.inference.denoiser import Result


@dataclass(frozen=True)
class PixelKernels:
    """The kernels of one pixel.

    Attributes:
        by_size: for each kernel side K, `[N,K,K]`; the weight `[i, r+dy, r+dx]` is that of pixel `(y+dy, x+dx)` of
            frame `i`.
        fused: `[N,K,K]` with the largest K: Eq. 3, smaller kernels zero-padded and centred.
        x: column of the pixel.
        y: row of the pixel.
        factors: for each K the 1-D factors `[N,2,K]`, 0 vertical and 1 horizontal, whose outer product is the kernel;
            empty for a network with full kernels.
    """

    by_size: dict[int, NDArray[np.float32]]
    fused: NDArray[np.float32]
    x: int
    y: int
    factors: dict[int, NDArray[np.float32]] = field(default_factory=lambda: dict[int, NDArray[np.float32]]())

    @property
    def frame_weights(self) -> NDArray[np.float32]:
        """The sum of each frame's fused kernel over N, `[N]`: how much of the result comes from which frame."""
        return self.fused.sum(axis=(1, 2)) / len(self.fused)


@torch.inference_mode()
def probe(result: Result, x: int, y: int) -> PixelKernels:
    """Returns the kernels that made one pixel, from the features that the result kept.

    Where it kept none (`features_budget`), the network runs again on the pixel's surroundings.

    Args:
        result: of `Denoiser`.
        x: column, 0 to W-1.
        y: row, 0 to H-1.

    Raises:
        ValueError: if the pixel is outside of the image.

    Example:
        >>> import mkpn
        >>> import numpy as np
        >>> burst = mkpn.synthesize(np.full((96, 96, 3), 100, np.uint8), gain=1)
        >>> kernels = mkpn.explain.probe(mkpn.load("mkpn", device="cpu")(burst), x=20, y=30)
        >>> sorted(kernels.by_size), kernels.fused.shape
        ([1, 3, 5, 7, 9, 11], (8, 11, 11))
    """
    height, width = result.image.shape[-2:]
    x, y = whole("x", x, 0, width - 1), whole("y", y, 0, height - 1)
    config, network = result.denoiser.config, result.denoiser.network
    # The pixel needs a 2x2 neighbourhood of coefficients, and they a 3x3 neighbourhood of features each.
    image = Rectangle.whole(*result.cells)
    row, column = y + result.burst.rim, x + result.burst.rim
    rows, columns = _neighbours(row, result.cells[0]), _neighbours(column, result.cells[1])
    cells = Rectangle.of((rows[0], rows[1] + 1), (columns[0], columns[1] + 1))
    seen = cells.grown(1, image)
    features = _with_zeros(result.features_at(seen).float().cpu().numpy(), seen, cells)
    # Convolution and interpolation are linear: the 3x3 patches are interpolated, one convolution is left.
    weights = np.outer(_bilinear(row, rows), _bilinear(column, columns))
    patch = sum(weight * features[:, i : i + 3, j : j + 3] for (i, j), weight in np.ndenumerate(weights))
    last = network.last.weight.float().cpu().flatten(1)
    assert network.last.bias is not None
    found = last @ torch.from_numpy(np.asarray(patch, np.float32)).flatten() + network.last.bias.float().cpu()
    coeffs = network.arrange(found[None, :, None, None])[0, ..., 0, 0]
    by_size: dict[int, NDArray[np.float32]] = {}
    factors: dict[int, NDArray[np.float32]] = {}
    for size, first in zip(config.sizes, config.first_taps, strict=True):
        if config.separable:
            pair = coeffs[:, :, first : first + size]
            vertical, horizontal = pair.unbind(1)
            factors[size] = pair.numpy()
            by_size[size] = (vertical[:, :, None] * horizontal[:, None, :]).numpy()
        else:
            by_size[size] = coeffs[:, first : first + size * size].unflatten(1, (size, size)).numpy()
    return PixelKernels(by_size, fuse(by_size), x, y, factors)


def fuse(by_size: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Eq. 3: the mean over sizes of kernels `[N,K,K]`, zero-padded and centred in the largest."""
    largest = max(by_size)
    fused = np.zeros((len(by_size[largest]), largest, largest), np.float32)
    for size, kernels in by_size.items():
        edge = (largest - size) // 2
        fused[:, edge : edge + size, edge : edge + size] += kernels / len(by_size)
    return fused


def _neighbours(position: int, count: int) -> tuple[int, int]:
    """The half-resolution cells (first, last) that x2 bilinear up-sampling reads for a full-resolution position."""
    source = max(0.0, (position + 0.5) / 2 - 0.5)
    first = min(int(source), count - 1)
    return first, min(first + 1, count - 1)


def _bilinear(position: int, cells: tuple[int, int]) -> NDArray[np.float32]:
    fraction = max(0.0, (position + 0.5) / 2 - 0.5) - cells[0]
    return np.array([1] if cells[0] == cells[1] else [1 - fraction, fraction], np.float32)


def _with_zeros(features: NDArray[np.float32], seen: Rectangle, cells: Rectangle) -> NDArray[np.float32]:
    """Puts a border of one cell around `cells`: zeros, which the convolution pads, where the image ends."""
    pairs = ((cells.rows, seen.rows), (cells.columns, seen.columns))
    padding = [(1 - (cell[0] - read[0]), 1 - (read[1] - cell[1])) for cell, read in pairs]
    return np.pad(features, [(0, 0), *padding])
