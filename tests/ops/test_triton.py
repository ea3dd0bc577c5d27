"""The Triton kernels: against the definition under Triton's interpreter, and compiled for a GPU that is not there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from mkpn.ops import backends, local_conv

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

# In a process of its own: triton reads the variable when it is imported, and it must not hold for other tests.
INTERPRETED = """
import sys, torch
from mkpn.ops import local_conv

for shape, sizes, separable, extra in eval(sys.argv[1]):
    b, n, _, height, width = shape
    area = ((height + 1) // 2 + extra, (width + 1) // 2 + extra)
    planes = (2, sum(sizes)) if separable else (sum(k * k for k in sizes),)
    torch.manual_seed(0)
    inputs = [torch.randn(shape), torch.randn(b, n, *planes, *area)]
    results = []
    for backend in ("reference", "triton"):
        frames, coeffs = (tensor.clone().requires_grad_() for tensor in inputs)
        image, each = local_conv(frames, coeffs, sizes, estimates=True, backend=backend)
        torch.manual_seed(1)
        cotangents = torch.randn_like(image), torch.randn_like(each)
        results.append((image, each, *torch.autograd.grad((image, each), (frames, coeffs), cotangents)))
    for expected, got in zip(*results):
        error = (got - expected).abs().max() / expected.abs().max()
        assert got.shape == expected.shape and error < 3e-6, (shape, error)
    half = local_conv(*(tensor.half() for tensor in inputs), sizes, backend="triton")
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), results[0][0].detach(), atol=3e-2, rtol=3e-2)
"""
CASES = [
    ((1, 2, 1, 12, 10), (3, 1), True, 0),
    ((1, 1, 1, 7, 11), (5,), True, 1),
    # Several bursts of several frames and channels: each index takes its own stride.
    ((2, 2, 2, 5, 6), (1, 3), False, 0),
]


def test_interpreted_kernels_equal_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED, repr(CASES)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel holds a compiler for Linux only")
@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("kernel", ["forward_kernel", "backward_coeffs_kernel", "backward_frames_kernel"])
def test_kernels_compile_for_a_gpu(kernel: str, separable: bool) -> None:
    import triton
    from triton.backends.compiler import GPUTarget

    from mkpn.ops import triton_kernels

    function = getattr(triton_kernels, kernel)
    constants = {"K": 5, "COLUMNS": 8, "SEPARABLE": separable, "HAS_IMAGE": True, "HAS_ESTIMATES": True, "BLOCK": 64}
    float32 = {"image", "grad_frames"}
    pointers = {"frames", "coeffs", "estimates", "grad_image", "grad_estimates", "grad_coeffs"}
    signature: dict[str, str] = {}
    for name in function.arg_names:
        if name in constants:
            signature[name] = "constexpr"
        else:
            signature[name] = "*fp32" if name in float32 else "*fp16" if name in pointers else "i32"
    fixed = {(position,): constants[name] for position, name in enumerate(function.arg_names) if name in constants}
    source = triton.compiler.ASTSource(function, signature, fixed)
    assert triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]


@pytest.mark.skipif(backends()["triton"] is not None, reason=f"triton back end: {backends()['triton']}")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("separable", [True, False])
def test_gpu_equals_reference(separable: bool) -> None:
    sizes = (1, 3, 5, 7, 9, 11)
    torch.manual_seed(0)
    planes = (2, sum(sizes)) if separable else (sum(size * size for size in sizes),)
    inputs = torch.randn(2, 3, 3, 37, 71).cuda(), torch.randn(2, 3, *planes, 19, 36).cuda()
    results: list[tuple[torch.Tensor, ...]] = []
    for backend in ("reference", "triton"):
        frames, coeffs = (tensor.clone().requires_grad_() for tensor in inputs)
        image, each = local_conv(frames, coeffs, sizes, estimates=True, backend=backend)
        torch.manual_seed(1)
        cotangents = torch.randn_like(image), torch.randn_like(each)
        results.append((image, each, *torch.autograd.grad((image, each), (frames, coeffs), cotangents)))
    for expected, got in zip(*results, strict=True):
        assert (got - expected).abs().max() < 1e-5 * expected.abs().max()
