"""The local convolution: every back end, size and direction against a plain implementation and the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mkpn.evaluation.speed.measure import QUICK_SECONDS, Row, available_memory, measure_with_memory
from mkpn.model.config import MKPN_SIZES
from mkpn.ops import backends, local_conv, warm_up

# What the public PyTorch implementation took, two threads, 8 frames of 256x256 (mkpn/ops/README.md).
PUBLISHED_SECONDS = {5: 0.74, 11: 2.65, 25: 47.5}


def unfold_and_multiply(frames: Tensor, coeffs: Tensor, sizes: Sequence[int]) -> Tensor:
    """The stand-in for the public implementation: full-resolution kernels, a stack of windows, multiply and sum.

    Args:
        frames: `[1,N,C,H,W]`.
        coeffs: separable `[1,N,2,p,h,w]`.
        sizes: of the kernels.
    """
    height, width = frames.shape[-2:]
    flat = F.interpolate(coeffs.flatten(1, 3), scale_factor=2, mode="bilinear", align_corners=False)
    large = flat[..., :height, :width].unflatten(1, coeffs.shape[1:4])[0]
    total = torch.zeros_like(frames[0, 0])
    first = 0
    for size in sizes:
        vertical, horizontal = large[:, 0, first : first + size], large[:, 1, first : first + size]
        kernel = (vertical[:, :, None] * horizontal[:, None]).flatten(1, 2)  # [N,K*K,H,W]
        padded = F.pad(frames[0], [size // 2] * 4)
        stack = [padded[..., y : y + height, x : x + width] for y in range(size) for x in range(size)]
        total += (torch.stack(stack, 1) * kernel[:, :, None]).sum(1).mean(0)
        first += size
    return total / len(sizes)


def bench_ops(device: torch.device, quick: bool) -> Iterator[Row]:
    """Yields a row per back end, set of sizes and direction, printing it as it comes."""
    warm_up()
    side, batch, patch = (24, 1, 16) if quick else (256, 8, 64)
    sets = [(5,), MKPN_SIZES] if quick else [(1,), (5,), (11,), (25,), MKPN_SIZES]
    print(f"\nlocal convolution, 8 colour frames of {side}x{side}, separable, forward")
    print(f"{'sizes':16} {'back end':10} {'median [quartiles]':32} {'plain':>8} {'public':>8} {'extra memory':>13}")
    for sizes in sets:
        generator = torch.Generator().manual_seed(0)
        frames = torch.rand(1, 8, 3, side, side, generator=generator).to(device)
        coeffs = torch.randn(1, 8, 2, sum(sizes), side // 2, side // 2, generator=generator).to(device)
        yield from _compare(sizes, frames, coeffs, device, quick)
    print(f"\nlocal convolution, forward and backward, {batch} bursts of {patch}x{patch}, MKPN with estimates")
    print(f"{'back end':10} {'median [quartiles]':32} {'reference':>10} {'extra memory':>13}")
    yield from _training_batch(device, batch, patch, quick)


def _compare(
    sizes: tuple[int, ...], frames: Tensor, coeffs: Tensor, device: torch.device, quick: bool
) -> Iterator[Row]:
    label = ",".join(map(str, sizes))
    calls: dict[str, Callable[[], object]] = {}
    # The stack, its product with the kernels, and half as much again for all the rest.
    needed, free = 2.5 * max(sizes) ** 2 * frames.nbytes, available_memory()
    if device.type != "cpu" or free is None or needed < 0.8 * free:
        calls["plain"] = lambda: unfold_and_multiply(frames, coeffs, sizes)
    else:
        print(f"{label:16} plain      left out: needs {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free")
    for name in _usable(device):
        calls[name] = lambda backend=name: local_conv(frames, coeffs, sizes, backend=backend)
    budget = QUICK_SECONDS if quick else 1.0
    plain = 0.0
    with torch.inference_mode():
        for name, call in calls.items():
            timing, memory = measure_with_memory(call, device, budget)
            plain = timing.median if name == "plain" else plain
            published = PUBLISHED_SECONDS.get(sizes[0]) if len(sizes) == 1 and not quick else None
            ratio = published / timing.median if published else None
            print(
                f"{label:16} {name:10} {timing!s:32} {f'{plain / timing.median:.1f}x' if plain else '':>8} "
                f"{f'{ratio:.1f}x' if ratio else '':>8} {_megabytes(memory):>13}"
            )
            yield {
                "kind": "op",
                "direction": "forward",
                "sizes": list(sizes),
                "backend": name,
                "shape": list(frames.shape),
                **timing.row(),
                "times_plain": plain / timing.median if plain else None,
                "times_public_figure": ratio,
                "extra_bytes": memory,
                "extra_bytes_beyond_output": None if memory is None else memory - frames[0, 0].nbytes,
            }


def _training_batch(device: torch.device, batch: int, patch: int, quick: bool) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(batch, 8, 3, patch, patch, generator=generator).to(device)
    coeffs = torch.randn(batch, 8, 2, sum(MKPN_SIZES), patch // 2, patch // 2, generator=generator).to(device)
    coeffs.requires_grad_()

    def step(backend: str) -> None:
        coeffs.grad = None
        image, each = local_conv(frames, coeffs, MKPN_SIZES, estimates=True, backend=backend)
        torch.autograd.backward((image, each), (torch.ones_like(image), torch.ones_like(each)))

    reference = 0.0
    for name in _usable(device):
        timing, memory = measure_with_memory(
            lambda backend=name: step(backend), device, QUICK_SECONDS if quick else 2.0
        )
        reference = timing.median if name == "reference" else reference
        ratio = reference / timing.median
        print(f"{name:10} {timing!s:32} {ratio:9.1f}x {_megabytes(memory):>13}")
        yield {
            "kind": "op",
            "direction": "forward+backward",
            "sizes": list(MKPN_SIZES),
            "backend": name,
            "shape": list(frames.shape),
            **timing.row(),
            "times_reference": ratio,
            "extra_bytes": memory,
        }


def _usable(device: torch.device) -> list[str]:
    own = {"cpu": "cpu", "cuda": "triton"}.get(device.type)
    return [name for name, missing in backends().items() if missing is None and name in ("reference", own)]


def _megabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f} MB"
