"""The kernels' coefficients of a whole picture, block by block, from the features that a result kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mkpn.inference.blockwise import coefficients_at
from mkpn.inference.denoiser import Result
from mkpn.inference.tiling import Box, cut

BLOCK_PIXELS = 2**14
"""Pixels of a block: the factors of MKPN then take 38 MB."""


def cells_of(result: Result) -> Box:
    """All half-resolution cells of a result."""
    return Box((0, result.cells[0]), (0, result.cells[1]))


@torch.inference_mode()
def all_coefficients(result: Result) -> Tensor:
    """Returns the coefficients of every cell as the network arranges them, `[1,N,...,h,w]` float32 on the CPU."""
    image = cells_of(result)
    found = coefficients_at(result.denoiser.network, result.features_at(image)[None], image, image, image)
    return found.float().cpu()


@torch.inference_mode()
def full_resolution(result: Result, area: int = BLOCK_PIXELS) -> Iterator[tuple[Box, Tensor]]:
    """Yields blocks of pixels with their coefficients after x2 up-sampling, `[N,...,h,w]` float32 on the CPU."""
    image, network = cells_of(result), result.denoiser.network
    height, width = result.image.shape[-2:]
    for block in cut(Box((0, height), (0, width)), area):
        cells = block.upsampled_from(image)
        seen = cells.grown(1, image)
        near = coefficients_at(network, result.features_at(seen)[None], seen, cells, image)[0].float().cpu()
        planes = near.reshape(1, -1, *near.shape[-2:])
        large = torch.nn.functional.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)
        inside = block.within(cells.scaled(2))
        yield block, large[0][(..., *inside.index)].reshape(*near.shape[:-2], *(_sides(block)))


def _sides(block: Box) -> tuple[int, int]:
    return block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]
