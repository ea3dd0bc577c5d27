"""Registers the compiled back ends with `torch.library`: autograd, `torch.compile` and fake tensors see one operator.

The operators return the estimates as an empty tensor unless they are asked for, because a schema has a fixed number of
results. The back ends themselves are imported when an operator first runs.
"""

# Fake implementations have the parameters of their operators.
# ruff: noqa: ARG001
from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Operator = Callable[[Tensor, Tensor, list[int], bool], tuple[Tensor, Tensor]]


def _register(backend: str) -> Operator:
    """Creates `mkpn::local_conv_<backend>` and its backward from `mkpn.ops.<backend>`'s `forward` and `backward`."""

    @torch.library.custom_op(f"mkpn::local_conv_{backend}", mutates_args=())
    def forward(frames: Tensor, coeffs: Tensor, sizes: Sequence[int], estimates: bool) -> tuple[Tensor, Tensor]:
        return importlib.import_module(f"mkpn.ops.{backend}").forward(frames, coeffs, sizes, estimates)

    @torch.library.custom_op(f"mkpn::local_conv_{backend}_backward", mutates_args=())
    def backward(
        grad_image: Tensor | None,
        grad_estimates: Tensor | None,
        frames: Tensor,
        coeffs: Tensor,
        sizes: Sequence[int],
        need_frames: bool,
        need_coeffs: bool,
    ) -> tuple[Tensor, Tensor]:
        module = importlib.import_module(f"mkpn.ops.{backend}")
        return module.backward(grad_image, grad_estimates, frames, coeffs, sizes, need_frames, need_coeffs)

    @forward.register_fake
    def _(frames: Tensor, coeffs: Tensor, sizes: Sequence[int], estimates: bool) -> tuple[Tensor, Tensor]:
        b, n, c, height, width = frames.shape
        each = (b, n, len(sizes), c, height, width) if estimates else (0,)
        return frames.new_empty((b, c, height, width)), frames.new_empty(each)

    @backward.register_fake
    def _(
        grad_image: Tensor | None,
        grad_estimates: Tensor | None,
        frames: Tensor,
        coeffs: Tensor,
        sizes: Sequence[int],
        need_frames: bool,
        need_coeffs: bool,
    ) -> tuple[Tensor, Tensor]:
        return (
            frames.new_empty(frames.shape if need_frames else (0,)),
            coeffs.new_empty(coeffs.shape if need_coeffs else (0,)),
        )

    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, list[int], bool], output: tuple[Tensor, Tensor]) -> None:
        frames, coeffs, sizes, estimates = inputs
        ctx.save_for_backward(frames, coeffs)
        ctx.sizes, ctx.estimates = sizes, estimates
        # A gradient that nobody computed stays None instead of a stack of zeros.
        ctx.set_materialize_grads(False)

    def differentiate(
        ctx: Any, grad_image: Tensor | None, grad_estimates: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        frames, coeffs = ctx.saved_tensors
        need_frames, need_coeffs = ctx.needs_input_grad[:2]
        grad_estimates = grad_estimates if ctx.estimates else None
        grad_frames, grad_coeffs = backward(
            grad_image, grad_estimates, frames, coeffs, ctx.sizes, need_frames, need_coeffs
        )
        return grad_frames if need_frames else None, grad_coeffs if need_coeffs else None, None, None

    forward.register_autograd(differentiate, setup_context=setup_context)
    return forward


cpu_op = _register("cpu")
triton_op = _register("triton")
