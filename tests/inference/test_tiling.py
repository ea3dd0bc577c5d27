"""The receptive field is the one that gradients see, and tiles cover an image exactly within their budget."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import perturbed

from mkpn.geometry import Rectangle
from mkpn.inference.tiling import cells_read, cut, plan_tiles, receptive_span, source_span
from mkpn.model.config import ModelConfig
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv, local_conv_region
from mkpn.ops.reference import upsample


def rows_seen(output: Callable[[KernelPredictionNetwork, torch.Tensor], torch.Tensor]) -> tuple[int, int]:
    """The rows of an image of 400 that a part of a network's output depends on."""
    config = ModelConfig(name="thin", sizes=(1,), widths=(2, 2, 2, 2, 2), head_width=2, frames=1, colors=1)
    network = perturbed(config)
    # Positive weights and inputs: no ReLU and no cancellation hides a path.
    for parameter in network.parameters():
        parameter.data.abs_().clamp_(min=0.1)
    network.double()
    frames = torch.rand(1, 1, 1, 400, 16, dtype=torch.float64, requires_grad=True)
    output(network, frames).sum().backward()
    assert frames.grad is not None
    rows = frames.grad.abs().sum((0, 1, 2, 4)).nonzero().flatten()
    return int(rows[0]), int(rows[-1]) + 1


@pytest.mark.parametrize("cells", [(96, 97), (97, 98), (99, 101), (93, 108)])
def test_receptive_field_is_what_gradients_see(cells: tuple[int, int]) -> None:
    seen = rows_seen(lambda network, frames: network.features(frames, frames[:, 0])[..., cells[0] : cells[1], :])
    assert receptive_span(cells) == seen


@pytest.mark.parametrize("pixels", [(192, 208), (192, 200), (194, 216), (199, 201)])
def test_a_source_is_what_gradients_see_of_kernels(pixels: tuple[int, int]) -> None:
    """The kernels of some rows: of the features one convolution and the up-sampling further, on the grid of 16."""
    first, end = rows_seen(
        lambda network, frames: upsample(network(frames, frames[:, 0]), 400, 16)[..., pixels[0] : pixels[1], :]
    )
    assert source_span(pixels, 400) == (first // 16 * 16, -(-end // 16) * 16)


def test_the_margin_is_pinned() -> None:
    assert receptive_span((0, 8)) == (-157, 173)
    assert source_span((512, 768), 4096) == (352, 928)
    assert source_span((0, 512), 512) == (0, 512)


@pytest.mark.parametrize(
    ("height", "width", "area"), [(4000, 3008, 2_000_000), (64, 8192, 300_000), (512, 512, 300_000)]
)
def test_tiles_cover_the_image_once_within_the_area(height: int, width: int, area: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.uint8)
    for core, source in plan_tiles(height, width, area):
        covered[core.slices] += 1
        assert source.area <= area
        assert source == source.grown(0, Rectangle.whole(height, width))
    assert bool((covered == 1).all())


def test_wide_strips_win() -> None:
    assert all(core.columns == (0, 3008) for core, _ in plan_tiles(4000, 3008, 7_000_000))


def test_blocks_cover_a_box() -> None:
    box = Rectangle.of((16, 272), (32, 1032))
    covered = torch.zeros(300, 1100, dtype=torch.uint8)
    blocks = cut(box, 10_000)
    for block in blocks:
        covered[block.slices] += 1
        assert block.area <= 12_000
    assert covered.sum() == box.area
    assert covered.max() == 1
    assert cut(box, box.area) == [box]


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(("separable", "sizes"), [(True, (1, 7)), (False, (3,)), (True, (1,))])
def test_a_region_is_a_crop_of_the_image(backend: str, separable: bool, sizes: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(1, 2, 3, 45, 83, generator=generator)
    planes = (2, sum(sizes)) if separable else (sum(size * size for size in sizes),)
    coeffs = torch.randn(1, 2, *planes, 24, 48, generator=generator)
    whole = local_conv(frames, coeffs, sizes)
    for block in (
        Rectangle.of((0, 45), (0, 83)),
        Rectangle.of((10, 20), (2, 83)),
        Rectangle.of((0, 31), (66, 75)),
        Rectangle.of((2, 45), (0, 7)),
    ):
        cells = cells_read(block, Rectangle.whole(24, 48))
        part = local_conv_region(
            frames,
            coeffs[(..., *cells.slices)],
            sizes,
            region=(*block.rows, *block.columns),
            origin=(cells.rows[0], cells.columns[0]),
            backend=backend,
        )
        torch.testing.assert_close(part, whole[(..., *block.slices)], atol=3e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="even first rows"):
        local_conv_region(frames, coeffs, sizes, region=(1, 5, 0, 4), origin=(0, 0), backend=backend)
