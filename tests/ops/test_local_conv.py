"""The local convolution: the definition against loops and gradcheck, the CPU back end against the definition."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mkpn
from mkpn.ops import backends, cpu, local_conv, reference, warm_up

MKPN_SIZES = (1, 3, 5, 7, 9, 11)


def make_inputs(
    shape: tuple[int, int, int, int, int],
    sizes: tuple[int, ...],
    separable: bool,
    extra: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    b, n, _, height, width = shape
    area = ((height + 1) // 2 + extra, (width + 1) // 2 + extra)
    planes = (2, sum(sizes)) if separable else (sum(size * size for size in sizes),)
    frames = torch.randn(shape, generator=generator, dtype=dtype)
    return frames, torch.randn((b, n, *planes, *area), generator=generator, dtype=dtype)


def run_with_gradients(
    frames: Tensor, coeffs: Tensor, sizes: tuple[int, ...], backend: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image, estimates and the gradients of frames and coefficients for a fixed random cotangent."""
    frames, coeffs = frames.detach().requires_grad_(), coeffs.detach().requires_grad_()
    image, each = local_conv(frames, coeffs, sizes, estimates=True, backend=backend)
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(out.shape, generator=generator).to(out) for out in (image, each)]
    grad_frames, grad_coeffs = torch.autograd.grad((image, each), (frames, coeffs), cotangents)
    return image.detach(), each.detach(), grad_frames, grad_coeffs


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 3e-6) -> None:
    """Largest difference relative to the largest value expected."""
    assert actual.shape == expected.shape
    error = (actual.to(expected) - expected).abs().max() / expected.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


# --- the definition -------------------------------------------------------------------------------------------------


def upsampled_at(plane: Tensor, y: int, x: int) -> float:
    """Bilinear x2, `align_corners=False`, one pixel, from its textbook formula."""

    def parts(position: int, length: int) -> list[tuple[int, float]]:
        source = (position + 0.5) / 2 - 0.5
        low = int(source // 1)
        return [(min(max(low + k, 0), length - 1), 1 - abs(source - low - k)) for k in (0, 1)]

    h, w = plane.shape
    return sum(a * b * float(plane[j, i]) for j, a in parts(y, h) for i, b in parts(x, w))


@pytest.mark.parametrize("separable", [True, False])
def test_reference_is_what_the_loops_say(separable: bool) -> None:
    sizes = (3, 1)
    frames, coeffs = make_inputs((1, 2, 1, 5, 4), sizes, separable, dtype=torch.float64)
    image, each = local_conv(frames, coeffs, sizes, estimates=True, backend="reference")
    expected = torch.zeros_like(each)
    for i in range(2):
        for s, (size, vertical, full) in enumerate(zip(sizes, (0, 3), (0, 9), strict=True)):
            for y in range(5):
                for x in range(4):
                    for dy in range(size):
                        for dx in range(size):
                            row, column = y + dy - size // 2, x + dx - size // 2
                            if not (0 <= row < 5 and 0 <= column < 4):
                                continue
                            if separable:
                                k = upsampled_at(coeffs[0, i, 0, vertical + dy], y, x)
                                k *= upsampled_at(coeffs[0, i, 1, vertical + dx], y, x)
                            else:
                                k = upsampled_at(coeffs[0, i, full + dy * size + dx], y, x)
                            expected[0, i, s, 0, y, x] += k * frames[0, i, 0, row, column]
    torch.testing.assert_close(each, expected)
    torch.testing.assert_close(image, expected.mean(dim=(1, 2)))


def test_fused_kernel_gives_the_mean_of_the_estimates() -> None:
    """Eq. 3 and 4 against Eq. 2: the kernels zero-padded to the largest side, averaged, applied once."""
    sizes = (1, 5, 3)
    frames, coeffs = make_inputs((1, 2, 3, 9, 8), sizes, separable=True, dtype=torch.float64)
    image, each = local_conv(frames, coeffs, sizes, estimates=True, backend="reference")
    fused = torch.zeros(1, 2, 5, 5, 9, 8, dtype=torch.float64)
    for kernel, size in zip(reference.kernels(coeffs, sizes, 9, 8), sizes, strict=True):
        r = (5 - size) // 2
        fused[:, :, r : r + size, r : r + size] += kernel / len(sizes)
    torch.testing.assert_close(reference.filter_frames(frames, fused).mean(dim=1), image)
    torch.testing.assert_close(each.mean(dim=(1, 2)), image)


@pytest.mark.parametrize("separable", [True, False])
def test_reference_gradcheck(separable: bool) -> None:
    sizes = (1, 3)
    frames, coeffs = make_inputs((1, 2, 1, 4, 3), sizes, separable, dtype=torch.float64)

    def run(frames: Tensor, coeffs: Tensor) -> tuple[Tensor, Tensor]:
        return local_conv(frames, coeffs, sizes, estimates=True, backend="reference")

    assert torch.autograd.gradcheck(run, (frames.requires_grad_(), coeffs.requires_grad_()))


# --- the CPU back end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sizes", "separable", "extra"),
    [
        ((1, 1, 3, 8, 8), (1,), True, 0),
        ((1, 1, 2, 1, 1), (5, 3), True, 0),
        ((2, 2, 3, 37, 71), MKPN_SIZES, True, 0),
        ((1, 2, 1, 67, 131), (5, 1, 3), True, 0),
        ((1, 1, 4, 33, 35), (5, 3), True, 7),
        ((1, 1, 1, 19, 22), (31,), True, 0),
        ((1, 2, 3, 33, 64), (5,), False, 0),
        ((2, 1, 4, 19, 70), (3, 1, 5), False, 3),
        # Wider than one block.
        ((1, 1, 3, 11, 1100), (3,), True, 0),
        ((1, 1, 1, 9, 200), (31,), False, 1),
    ],
)
def test_cpu_equals_reference(
    shape: tuple[int, int, int, int, int], sizes: tuple[int, ...], separable: bool, extra: int
) -> None:
    frames, coeffs = make_inputs(shape, sizes, separable, extra)
    expected = run_with_gradients(frames, coeffs, sizes, "reference")
    for got, wanted in zip(run_with_gradients(frames, coeffs, sizes, "cpu"), expected, strict=True):
        assert_close(got, wanted)


def test_image_alone_and_its_gradient() -> None:
    frames, coeffs = make_inputs((1, 2, 3, 20, 18), (3, 5), separable=True)
    grads: list[Tensor] = []
    images: list[Tensor] = []
    for backend in ("reference", "cpu"):
        leaf = coeffs.clone().requires_grad_()
        image = local_conv(frames, leaf, (3, 5), backend=backend)
        assert isinstance(image, Tensor)
        image.square().sum().backward()
        assert leaf.grad is not None
        images.append(image.detach())
        grads.append(leaf.grad)
    assert_close(images[1], images[0])
    assert_close(grads[1], grads[0])


def test_gradient_of_the_estimates_alone() -> None:
    frames, coeffs = make_inputs((1, 2, 3, 20, 18), (3, 1), separable=True)
    grads: list[Tensor] = []
    for backend in ("reference", "cpu"):
        leaf = coeffs.clone().requires_grad_()
        local_conv(frames, leaf, (3, 1), estimates=True, backend=backend)[1].square().sum().backward()
        assert leaf.grad is not None
        grads.append(leaf.grad)
    assert_close(grads[1], grads[0])


def test_non_contiguous_inputs_and_cotangents() -> None:
    sizes = (3, 1)
    frames, coeffs = make_inputs((2, 2, 3, 16, 20), sizes, separable=True)
    expected = run_with_gradients(frames, coeffs, sizes, "cpu")
    strided = frames.permute(4, 0, 2, 3, 1).contiguous().permute(1, 4, 2, 3, 0)
    wide = torch.zeros(*coeffs.shape[:-1], coeffs.shape[-1] * 2)[..., ::2].copy_(coeffs)
    assert not strided.is_contiguous()
    assert not wide.is_contiguous()
    for got, wanted in zip(run_with_gradients(strided, wide, sizes, "cpu"), expected, strict=True):
        assert torch.equal(got, wanted)
    # An expanded cotangent, as the gradient of a sum is.
    leaf = coeffs.clone().requires_grad_()
    local_conv(frames, leaf, sizes, backend="cpu").sum().backward()
    other = coeffs.clone().requires_grad_()
    local_conv(frames, other, sizes, backend="reference").sum().backward()
    assert leaf.grad is not None
    assert other.grad is not None
    assert_close(leaf.grad, other.grad)


@pytest.mark.usefixtures("double_by_default")
def test_the_default_dtype_does_not_matter() -> None:
    frames, coeffs = make_inputs((1, 2, 3, 16, 20), (3, 1), separable=True)
    expected = run_with_gradients(frames, coeffs, (3, 1), "reference")
    for got, wanted in zip(run_with_gradients(frames, coeffs, (3, 1), "cpu"), expected, strict=True):
        assert got.dtype == torch.float32
        assert_close(got, wanted)


def test_threads_do_not_change_the_result() -> None:
    sizes = (3, 7)
    frames, coeffs = make_inputs((2, 3, 3, 70, 130), sizes, separable=True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = run_with_gradients(frames, coeffs, sizes, "cpu")
        torch.set_num_threads(2)
        double = run_with_gradients(frames, coeffs, sizes, "cpu")
    finally:
        torch.set_num_threads(before)
    for a, b in zip(single, double, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("separable", [True, False])
def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, separable: bool) -> None:
    sizes = (1, 5)
    frames, coeffs = make_inputs((2, 2, 4, 71, 330), sizes, separable)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        large = local_conv(frames, coeffs, sizes, estimates=True, backend="cpu")
        # More threads take fewer rows each.
        torch.set_num_threads(8)
        monkeypatch.setattr(cpu, "RING_BYTES", 0)
        small = local_conv(frames, coeffs, sizes, estimates=True, backend="cpu")
    finally:
        torch.set_num_threads(before)
    for a, b in zip(large, small, strict=True):
        assert torch.equal(a, b)


def test_concurrent_calls() -> None:
    sizes = (3, 5)
    frames, coeffs = make_inputs((1, 3, 3, 70, 66), sizes, separable=True)
    expected = run_with_gradients(frames, coeffs, sizes, "cpu")
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(run_with_gradients, frames, coeffs, sizes, "cpu") for _ in range(24)]:
            for got, wanted in zip(future.result(), expected, strict=True):
                assert torch.equal(got, wanted)


@pytest.mark.parametrize("separable", [True, False])
def test_nan_stays_in_the_windows_that_see_it(separable: bool) -> None:
    sizes = (5, 3)
    frames, coeffs = make_inputs((1, 2, 3, 40, 70), sizes, separable)
    clean = run_with_gradients(frames, coeffs, sizes, "cpu")
    # The last column too, beside the pixels that vectors compute outside the image.
    spots = [(20, 30), (0, 69)]
    for y, x in spots:
        frames[0, 1, 2, y, x] = torch.nan
    image, each, grad_frames, grad_coeffs = run_with_gradients(frames, coeffs, sizes, "cpu")
    seen = torch.zeros_like(each, dtype=torch.bool)
    for s, r in enumerate((2, 1)):
        for y, x in spots:
            seen[0, 1, s, 2, max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1] = True
    assert torch.equal(each.isnan(), seen)
    assert torch.equal(image.isnan(), seen.any(dim=(1, 2)))
    assert torch.equal(each[~seen], clean[1][~seen])
    # The gradient of the frames does not depend on them; that of frame 0's coefficients not on frame 1.
    assert torch.equal(grad_frames, clean[2])
    assert torch.equal(grad_coeffs[0, 0], clean[3][0, 0])
    # Fewer than in the reference: PyTorch up-samples row 0 with weight zero for row 1, and zero times NaN is NaN.
    reached = run_with_gradients(frames, coeffs, sizes, "reference")[3].isnan()
    assert not (grad_coeffs.isnan() & ~reached).any()
    inner = (..., slice(2, None), slice(None, -2))
    assert torch.equal(grad_coeffs.isnan()[inner], reached[inner])


def test_registered_operator() -> None:
    frames, coeffs = make_inputs((1, 2, 3, 9, 8), (3, 1), separable=True)
    operator = torch.ops.mkpn.local_conv_cpu.default
    for estimates in (False, True):
        torch.library.opcheck(operator, (frames.requires_grad_(), coeffs.requires_grad_(), [3, 1], estimates))


def test_compiles_as_one_graph() -> None:
    frames, coeffs = make_inputs((1, 2, 3, 9, 8), (3, 1), separable=True)

    def loss(frames: Tensor, coeffs: Tensor) -> Tensor:
        image, each = local_conv(frames, coeffs, (3, 1), estimates=True)
        return image.square().sum() + each.sin().sum()

    results: list[Tensor] = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaf = coeffs.clone().requires_grad_()
        function(frames, leaf).backward()
        assert leaf.grad is not None
        results.append(leaf.grad)
    assert torch.equal(results[0], results[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_needs_little_memory() -> None:
    """K=25 at 256 x 256: unfolded windows would take 3.9 GB, coefficients at full resolution 105 MB."""
    script = """
import torch
from mkpn.ops import local_conv, warm_up
warm_up()
torch.set_num_threads(2)
frames, coeffs = torch.rand(1, 8, 3, 256, 256), torch.rand(1, 8, 2, 25, 128, 128)
local_conv(frames[..., :64, :64], coeffs[..., :32, :32], (25,), backend="cpu")
def kilobytes(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

# Makes the peak (VmHWM) start again from the memory in use.
open("/proc/self/clear_refs", "w").write("5")
before = kilobytes("VmRSS")
local_conv(frames, coeffs, (25,), backend="cpu")
print(kilobytes("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 64 * 1024


def test_warm_up_compiles_all_kernels_those_for_inference_first(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr("importlib.import_module", compiled.append)
    warm_up()
    names = ["mkpn.ops.cpu_forward", "mkpn.ops.cpu_backward_coeffs", "mkpn.ops.cpu_backward_frames"]
    assert list(dict.fromkeys(compiled)) == names


# --- choice of back end, bad input ----------------------------------------------------------------------------------


def test_auto_takes_other_dtypes() -> None:
    frames, coeffs = make_inputs((1, 1, 1, 4, 4), (3,), separable=True, dtype=torch.float64)
    assert local_conv(frames, coeffs, (3,)).dtype == torch.float64


def test_named_back_end_is_not_replaced() -> None:
    frames, coeffs = make_inputs((1, 1, 1, 4, 4), (3,), separable=True)
    with pytest.raises(ValueError, match=r"backend: expected 'auto' or one of .* got 'cuda'"):
        local_conv(frames, coeffs, (3,), backend="cuda")
    if backends()["triton"] is not None:
        with pytest.raises(RuntimeError, match="'triton' is unavailable: "):
            local_conv(frames, coeffs, (3,), backend="triton")
    with pytest.raises(ValueError, match=r"'cpu': expected float32 .* got torch\.float64"):
        local_conv(frames.double(), coeffs.double(), (3,), backend="cpu")


def test_missing_numba_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, coeffs = make_inputs((1, 1, 1, 4, 4), (3,), separable=True)
    monkeypatch.setitem(sys.modules["mkpn.ops"]._BACKENDS, "cpu", "numba is not installed")
    with pytest.raises(RuntimeError, match="'cpu' is unavailable: numba is not installed"):
        local_conv(frames, coeffs, (3,), backend="cpu")
    assert torch.equal(local_conv(frames, coeffs, (3,)), local_conv(frames, coeffs, (3,), backend="reference"))


def test_a_numba_that_does_not_load_is_named_and_done_without(tmp_path: Path) -> None:
    """numba refuses versions of NumPy that it does not know; networks and page then run with `reference`."""
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.2 or less. Got NumPy 2.9.')")
    script = """
        import torch
        from mkpn.ops import backends, local_conv, local_conv_region, warm_up
        frames, coeffs = torch.rand(1, 2, 1, 6, 6), torch.rand(1, 2, 2, 3, 3, 3)
        warm_up()
        same = local_conv(frames, coeffs, (3,), backend="reference")
        print(torch.equal(local_conv(frames, coeffs, (3,)), same))
        part = local_conv_region(frames, coeffs, (3,), region=(0, 6, 0, 6), origin=(0, 0))
        print(torch.equal(part, same))
        print(backends()["cpu"])
        try:
            local_conv(frames, coeffs, (3,), backend="cpu")
        except RuntimeError as error:
            print(error)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(mkpn.__file__).parents[1])))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    reason = (
        "numba is installed, but its kernels do not load (ImportError: Numba needs NumPy 2.2 or less. Got NumPy 2.9.)"
    )
    assert done.stdout.splitlines() == ["True", "True", reason, f"backend 'cpu' is unavailable: {reason}"]
    assert done.stderr.count("mkpn runs slowly") == 1


@pytest.mark.parametrize(
    ("frames_shape", "coeffs_shape", "sizes", "message"),
    [
        ((2, 1, 4, 4), (1, 2, 2, 3, 2, 2), (3,), r"frames: expected a non-empty \[B, N, C, H, W\], got \[2, 1, 4, 4\]"),
        ((1, 2, 1, 4, 4), (2, 3, 2, 2), (3,), r"coeffs: expected 6 dimensions .* got \[2, 3, 2, 2\]"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 4, 2, 2), (3,), r"expected \[1, 2, 2, 3\] .* got \[1, 2, 2, 4, 2, 2\]"),
        ((1, 2, 1, 4, 4), (1, 2, 3, 2, 2), (3,), r"expected \[1, 2, 9\] .* got \[1, 2, 3, 2, 2\]"),
        ((1, 2, 1, 5, 4), (1, 2, 2, 3, 2, 2), (3,), r"h >= 3, w >= 2.* got \[1, 2, 2, 3, 2, 2\]"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 4, 2, 2), (4,), r"odd integers from 1 to 31, got \(4,\)"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 33, 2, 2), (33,), r"got \(33,\)"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 0, 2, 2), (), r"got \(\)"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 3, 2, 2), (3.0,), r"odd integers from 1 to 31, got \(3\.0,\)"),
        ((1, 2, 1, 4, 4), (1, 2, 2, 3, 2, 2), 3, "odd integers from 1 to 31, got 3"),
    ],
)
def test_bad_input_is_named(
    frames_shape: tuple[int, ...], coeffs_shape: tuple[int, ...], sizes: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        local_conv(torch.zeros(frames_shape), torch.zeros(coeffs_shape), sizes)


def test_mixed_dtypes_are_named() -> None:
    frames, coeffs = make_inputs((1, 1, 1, 4, 4), (3,), separable=True)
    with pytest.raises(ValueError, match=r"one device and dtype, got cpu torch\.float64 and cpu torch\.float32"):
        local_conv(frames.double(), coeffs, (3,))
    with pytest.raises(ValueError, match=r"frames: expected floating point, got torch\.uint8"):
        local_conv(frames.byte(), coeffs.byte(), (3,))
