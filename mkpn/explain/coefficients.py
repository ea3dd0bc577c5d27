"""The kernels' coefficients of a whole picture, block by block, from the features of a result."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mkpn.geometry import Rectangle
from mkpn.inference.blockwise import coefficients_at
from mkpn.inference.denoiser import Result

BLOCK_CELLS = 2**12
"""Cells of a block: MKPN's coefficients then take 9 MB."""


def cells_of(result: Result) -> Rectangle:
    """All half-resolution cells of a result."""
    return Rectangle.whole(*result.cells)


@torch.inference_mode()
def all_coefficients(result: Result) -> Tensor:
    """Returns the coefficients of every cell as the network arranges them, `[1,N,...,h,w]` float32 on the CPU."""
    image = cells_of(result)
    found = coefficients_at(result.denoiser.network, result.features_at(image)[None], image, image, image)
    return found.float().cpu()


@torch.inference_mode()
def cell_blocks(result: Result) -> Iterator[tuple[Rectangle, Tensor]]:
    """Yields blocks of cells with their coefficients, `[N,...,h,w]` float32 on the CPU."""
    image = cells_of(result)
    for block, seen, features in result.feature_blocks(BLOCK_CELLS):
        found = coefficients_at(result.denoiser.network, features, seen, block, image)
        yield block, found[0].float().cpu()
