"""The kernels' coefficients of a whole picture, block by block, from the features that a result kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mkpn.geometry import Rectangle
from mkpn.inference.blockwise import coefficients_at
from mkpn.inference.denoiser import Result
from mkpn.inference.tiling import cut

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
    for block in cut(image, BLOCK_CELLS):
        seen = block.grown(1, image)
        found = coefficients_at(result.denoiser.network, result.features_at(seen)[None], seen, block, image)
        yield block, found[0].float().cpu()
