"""The local convolution of kernel prediction networks (paper Eq. 2 and 4): one public function, three back ends.

`reference` is the definition in plain PyTorch, `cpu` runs compiled by numba, `triton` on CUDA devices. numba and triton
are loaded at first use, not at import. May import: nothing of mkpn, so that this folder can be used without the rest.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import operator
import os
import warnings
from collections.abc import Sequence
from typing import Literal, overload

import torch
from torch import Tensor

from mkpn.ops import reference
from mkpn.ops.torch_library import cpu_op, triton_op

__all__ = ["backends", "local_conv", "local_conv_region", "runs_reference", "warm_up"]

MAX_SIZE = 31


def _find_backends() -> dict[str, str | None]:
    triton_missing = "triton is not installed" if importlib.util.find_spec("triton") is None else None
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if triton_missing is None and not interpreted and not torch.cuda.is_available():
        triton_missing = "PyTorch finds no CUDA device (and TRITON_INTERPRET is not set)"
    return {
        "reference": None,
        "cpu": "numba is not installed" if importlib.util.find_spec("numba") is None else None,
        "triton": triton_missing,
    }


# Looked up once, at import, so that torch.compile sees constants.
_BACKENDS = _find_backends()
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def _try_cpu() -> None:
    """Loads the CPU kernels once; where that fails, they count as missing, and the reason is kept.

    An installed numba may not load: it refuses versions of NumPy that it does not know, its library or its cache may
    be out of reach.
    """
    if _BACKENDS["cpu"] is not None:
        return
    try:
        importlib.import_module("mkpn.ops.cpu_forward")
    # Whatever it is, `reference` computes the same, only later.
    except Exception as error:
        _BACKENDS["cpu"] = f"numba is installed, but its kernels do not load ({type(error).__name__}: {error})"
        warnings.warn(f"mkpn runs slowly, without its CPU back end: {_BACKENDS['cpu']}", RuntimeWarning, stacklevel=2)


@functools.cache
def _try_triton() -> None:
    """Runs a CUDA kernel once; where that fails, they count as missing, as in `_try_cpu`.

    Triton compiles when a kernel first runs, and needs a C compiler for it, which slim containers do not have.
    """
    if _BACKENDS["triton"] is not None or _INTERPRETED:
        return
    try:
        frames, coeffs = (torch.zeros(shape, device="cuda") for shape in ((1, 1, 1, 2, 2), (1, 1, 2, 1, 1, 1)))
        importlib.import_module("mkpn.ops.triton").forward(frames, coeffs, [1], False)
    # Whatever it is, `reference` computes the same, only later.
    except Exception as error:
        _BACKENDS["triton"] = f"triton is installed, but its kernels do not run ({type(error).__name__}: {error})"
        warnings.warn(f"mkpn runs slowly, without its GPU kernels: {_BACKENDS['triton']}", RuntimeWarning, stacklevel=2)


def backends() -> dict[str, str | None]:
    """Names the back ends of `local_conv`; loads the CPU kernels and runs a GPU kernel to find out about them.

    Returns:
        For each name `None` if it is available on this machine, else the reason why it is not.
    """
    _try_cpu()
    _try_triton()
    return dict(_BACKENDS)


def runs_reference(frames: Tensor) -> bool:
    """Tells whether `local_conv` takes the plain definition for such frames, which needs far more memory."""
    return _choose("auto", frames) == "reference"


def warm_up() -> None:
    """Compiles the CPU kernels or loads them from the cache; safe to call in a background thread.

    The first call on a machine takes some seconds, later ones a fraction. Does nothing without a numba that loads.
    """
    _try_cpu()
    if _BACKENDS["cpu"] is None:
        from mkpn.ops import cpu

        cpu.warm_up()


def _check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    try:
        result = tuple(operator.index(size) for size in sizes)
    except TypeError:
        result = ()
    if not result or any(size < 1 or size > MAX_SIZE or size % 2 == 0 for size in result):
        raise ValueError(f"sizes: expected one or more odd integers from 1 to {MAX_SIZE}, got {sizes}")
    return result


def _check_shapes(frames: Tensor, coeffs: Tensor, sizes: tuple[int, ...]) -> None:
    if not frames.dtype.is_floating_point:
        raise ValueError(f"frames: expected floating point, got {frames.dtype}")
    if frames.dim() != 5 or 0 in frames.shape:
        raise ValueError(f"frames: expected a non-empty [B, N, C, H, W], got {list(frames.shape)}")
    b, n, _, height, width = frames.shape
    if coeffs.dim() == 6:
        leading = [b, n, 2, sum(sizes)]
    elif coeffs.dim() == 5:
        leading = [b, n, sum(size * size for size in sizes)]
    else:
        raise ValueError(
            f"coeffs: expected 6 dimensions [B, N, 2, p, h, w] (separable) or 5 [B, N, q, h, w] (full), "
            f"got {list(coeffs.shape)}"
        )
    h, w = coeffs.shape[-2:]
    if list(coeffs.shape[:-2]) != leading or 2 * h < height or 2 * w < width:
        raise ValueError(
            f"coeffs: expected {leading} + [h >= {(height + 1) // 2}, w >= {(width + 1) // 2}] for frames "
            f"{list(frames.shape)} and sizes {sizes}, got {list(coeffs.shape)}"
        )
    if frames.device != coeffs.device or frames.dtype != coeffs.dtype:
        raise ValueError(
            f"frames and coeffs: expected one device and dtype, got {frames.device} {frames.dtype} and "
            f"{coeffs.device} {coeffs.dtype}"
        )


def _unsuited(backend: str, frames: Tensor) -> str | None:
    """Why a back end cannot take these tensors, or None."""
    if backend == "cpu" and (frames.device.type != "cpu" or frames.dtype != torch.float32):
        return f"expected float32 tensors on the CPU, got {frames.dtype} on {frames.device}"
    if backend == "triton":
        if frames.device.type != "cuda" and not (_INTERPRETED and frames.device.type == "cpu"):
            return f"expected tensors on a CUDA device, got {frames.device}"
        if frames.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            return f"expected float32, float16 or bfloat16, got {frames.dtype}"
    return None


def _choose(backend: str, frames: Tensor) -> str:
    # torch.compile takes the back ends as constants; whoever compiles has trained or run before.
    if backend != "reference" and not torch.compiler.is_compiling():
        if frames.device.type == "cpu":
            _try_cpu()
        elif frames.device.type == "cuda":
            _try_triton()
    if backend == "auto":
        preferred = "triton" if frames.device.type == "cuda" else "cpu"
        usable = _BACKENDS[preferred] is None and _unsuited(preferred, frames) is None
        return preferred if usable else "reference"
    if backend not in _BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {list(_BACKENDS)}, got {backend!r}")
    missing = _BACKENDS[backend]
    if missing is not None:
        raise RuntimeError(f"backend {backend!r} is unavailable: {missing}")
    reason = _unsuited(backend, frames)
    if reason is not None:
        raise ValueError(f"backend {backend!r}: {reason}")
    return backend


@overload
def local_conv(
    frames: Tensor, coeffs: Tensor, sizes: Sequence[int], *, estimates: Literal[False] = ..., backend: str = ...
) -> Tensor: ...
@overload
def local_conv(
    frames: Tensor, coeffs: Tensor, sizes: Sequence[int], *, estimates: Literal[True], backend: str = ...
) -> tuple[Tensor, Tensor]: ...
@overload
def local_conv(
    frames: Tensor, coeffs: Tensor, sizes: Sequence[int], *, estimates: bool, backend: str = ...
) -> Tensor | tuple[Tensor, Tensor]: ...
def local_conv(
    frames: Tensor, coeffs: Tensor, sizes: Sequence[int], *, estimates: bool = False, backend: str = "auto"
) -> Tensor | tuple[Tensor, Tensor]:
    """Filters every pixel of every frame by its own kernels and averages: Eq. 2, equal to Eq. 4.

    The coefficients come as the network predicts them, at half resolution; bilinear x2 up-sampling
    (`align_corners=False`) happens inside and the result is cropped top left to the frames' area. Frames are zero
    outside. Differentiable once in `frames` and `coeffs`.

    Args:
        frames: burst `[B, N, C, H, W]`.
        coeffs: separable factors `[B, N, 2, p, h, w]` with `p = sum(sizes)`, 0 vertical and 1 horizontal, or full
            kernels `[B, N, q, h, w]` with `q` the sum of squared sizes, row-major; the sizes one after the other;
            `2h >= H` and `2w >= W`.
        sizes: odd sides of the kernels, 1 to 31, in any order.
        estimates: also return each frame filtered by each kernel alone.
        backend: `"auto"`, `"reference"`, `"cpu"` or `"triton"`; only `"auto"` chooses.

    Returns:
        The image `[B, C, H, W]`; with `estimates` the pair of it and `I_i^s` of Eq. 6, `[B, N, S, C, H, W]`.

    Raises:
        ValueError: shapes, sizes, device or dtype do not fit each other or the named back end.
        RuntimeError: the named back end is not available on this machine.

    Example:
        >>> import torch
        >>> frames = torch.rand(1, 8, 3, 64, 64)
        >>> coeffs = torch.zeros(1, 8, 2, 3, 32, 32)
        >>> coeffs[:, :, :, 1] = 1  # centred deltas: the result is the mean of the frames
        >>> torch.allclose(local_conv(frames, coeffs, [3]), frames.mean(1), atol=1e-6)
        True
    """
    checked = _check_sizes(sizes)
    _check_shapes(frames, coeffs, checked)
    chosen = _choose(backend, frames)
    if chosen == "reference":
        image, each = reference.local_conv(frames, coeffs, checked)
    else:
        op = cpu_op if chosen == "cpu" else triton_op
        image, each = op(frames, coeffs, list(checked), estimates)
    return (image, each) if estimates else image


def local_conv_region(
    frames: Tensor,
    coeffs: Tensor,
    sizes: Sequence[int],
    *,
    region: tuple[int, int, int, int],
    origin: tuple[int, int],
    backend: str = "auto",
) -> Tensor:
    """A rectangle of `local_conv`'s image, from the coefficients of that rectangle alone; not differentiable.

    Args:
        frames: whole burst `[B, N, C, H, W]`.
        coeffs: as for `local_conv`, but only the cells from `origin` on; they must hold all that up-sampling reads
            for the rectangle, one cell beyond it unless the image ends there.
        sizes: odd sides of the kernels.
        region: first and end row, first and end column of the rectangle.
        origin: row and column of the first cell in `coeffs`.
        backend: as for `local_conv`.

    Returns:
        `[B, C, bottom - top, right - left]`.

    Raises:
        ValueError: shapes, sizes, device or dtype do not fit each other, the rectangle or the named back end.
        RuntimeError: the named back end is not available on this machine.
    """
    checked = _check_sizes(sizes)
    top, bottom, left, right = region
    cells = coeffs.shape[-2:]
    for (first, end), start, count, size in zip(
        ((top, bottom), (left, right)), origin, cells, frames.shape[-2:], strict=True
    ):
        inside = 0 <= 2 * start <= first < end <= min(size, 2 * (start + count))
        if not inside or first % 2:
            raise ValueError(
                f"region: expected even first rows and columns, within the frames {list(frames.shape)} and within the "
                f"coefficients {list(coeffs.shape)} from cell {origin} on, got {region}"
            )
    _check_shapes(frames[..., : 2 * cells[0], : 2 * cells[1]], coeffs, checked)
    if _choose(backend, frames) == "cpu":
        from mkpn.ops import cpu

        return cpu.forward(frames, coeffs, checked, False, region, origin)[0]
    # The other back ends see a window of the frames that holds all that the kernels reach.
    radius = max(checked) // 2
    (y0, y1), (x0, x1) = (
        (min(max(0, first - radius), 2 * start) // 2 * 2, min(size, end + radius))
        for (first, end), start, size in zip(((top, bottom), (left, right)), origin, frames.shape[-2:], strict=True)
    )
    padding: list[int] = []
    for (low, high), start, count in zip(((x0, x1), (y0, y1)), origin[::-1], cells[::-1], strict=True):
        before = start - low // 2
        padding += [before, max(0, (high - low + 1) // 2 - before - count)]
    image = local_conv(frames[..., y0:y1, x0:x1], torch.nn.functional.pad(coeffs, padding), checked, backend=backend)
    return image[..., top - y0 : bottom - y0, left - x0 : right - x0]
