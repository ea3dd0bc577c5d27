"""CPU back end of the local convolution: numba kernels on tiles, run by a thread pool of our own.

numba's own parallel layer aborts on concurrent calls and hangs after a fork; here the kernels only release the GIL
(`nogil`), and Python threads share the tiles of a call. The caller's thread takes part, so a process
with one PyTorch thread uses exactly one.
"""

from __future__ import annotations

import importlib
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Three up-sampled rows of all planes of a frame, which the forward kernel keeps at hand.
RING_BYTES = 2**20

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _forget_pool() -> None:
    # A fork copies the executor but not its threads, and perhaps a lock that nobody will release.
    global _lock, _pool, _pool_size
    _lock, _pool, _pool_size = threading.Lock(), None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _get_pool(threads: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < threads:
            # A smaller pool that is still in use finishes its work and goes with its last reference.
            _pool, _pool_size = ThreadPoolExecutor(threads, thread_name_prefix="mkpn-ops"), threads
        return _pool


def _run(kernel: Callable[..., None], tasks: int, *args: object) -> None:
    """Calls `kernel(first, last, *args)` on ranges that cover `0 .. tasks-1`, on `torch.get_num_threads()` threads."""
    threads = min(torch.get_num_threads(), tasks)
    if threads <= 1:
        kernel(0, tasks, *args)
        return
    chunk = max(1, tasks // (8 * threads))
    starts = itertools.count(0, chunk)

    def work() -> None:
        # `next` on a shared counter is atomic: every range is taken once.
        while (first := next(starts)) < tasks:
            kernel(first, min(first + chunk, tasks), *args)

    pool = _get_pool(threads - 1)
    helpers = [pool.submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # A helper that has not begun finds no work left; one that has begun must end before its buffers go.
        running = [helper for helper in helpers if not helper.cancel()]
        for helper in running:
            helper.result()


def _flat(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.detach().contiguous().view(-1).numpy()


def _dims(frames: Tensor, coeffs: Tensor) -> tuple[int, ...]:
    return (*frames.shape, *coeffs.shape[-2:])


def _down(total: int, part: int) -> int:
    return (total + part - 1) // part


def _block(batch: int, height: int, width: int, planes: int) -> tuple[int, int]:
    """Rows and columns of a task of `forward`, which `_run` shares among the threads."""
    from mkpn.ops import cpu_rows

    # As wide as the ring of three up-sampled rows of all planes allows, columns shared evenly.
    most = max(cpu_rows.TILE, min(1024, RING_BYTES // (12 * planes)))
    columns = _down(_down(width, _down(width, most)), cpu_rows.TILE) * cpu_rows.TILE
    # Four tasks per thread, else threads wait for the last one; many rows, as neighbours read some rows twice.
    rows = _down(batch * height * _down(width, columns), 4 * torch.get_num_threads())
    return min(cpu_rows.TILE_ROWS, max(8, _down(rows, 2) * 2)), columns


def forward(
    frames: Tensor,
    coeffs: Tensor,
    sizes: Sequence[int],
    estimates: bool,
    region: tuple[int, int, int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> tuple[Tensor, Tensor]:
    """Image `[B, C, H, W]` (Eq. 2) and estimates `[B, N, S, C, H, W]` (Eq. 6; empty unless asked for).

    `region` (top, bottom, left, right) is the part of the frames' area that is computed, all by default; `origin` is
    the cell of the first coefficient.
    """
    from mkpn.ops import cpu_forward

    b, n, c = frames.shape[:3]
    top, bottom, left, right = region or (0, frames.shape[3], 0, frames.shape[4])
    height, width = bottom - top, right - left
    image = frames.new_empty((b, c, height, width))
    each = frames.new_empty((b, n, len(sizes), c, height, width) if estimates else (0,))
    block = _block(b, height, width, coeffs.shape[2:-2].numel())
    tasks = b * _down(height, block[0]) * _down(width, block[1])
    _run(
        cpu_forward.forward,
        tasks,
        _flat(frames),
        _flat(coeffs),
        np.array(sizes, np.int64),
        _dims(frames, coeffs),
        (top, bottom, left, right, *origin),
        block,
        coeffs.dim() == 6,
        estimates,
        image.view(-1).numpy(),
        each.view(-1).numpy(),
    )
    return image, each


def backward(
    grad_image: Tensor | None,
    grad_estimates: Tensor | None,
    frames: Tensor,
    coeffs: Tensor,
    sizes: Sequence[int],
    need_frames: bool,
    need_coeffs: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of frames and coefficients, each empty unless needed."""
    from mkpn.ops import cpu_rows

    b, n, _, height, _ = frames.shape
    grad_frames = frames.new_empty(frames.shape if need_frames else (0,))
    grad_coeffs = coeffs.new_zeros(coeffs.shape if need_coeffs else (0,))
    nothing = np.empty(0, np.float32)
    flat_coeffs = _flat(coeffs)
    common = (
        np.array(sizes, np.int64),
        _dims(frames, coeffs),
        coeffs.dim() == 6,
        grad_image is not None,
        grad_estimates is not None,
        nothing if grad_image is None else _flat(grad_image),
        nothing if grad_estimates is None else _flat(grad_estimates),
    )
    if need_coeffs:
        from mkpn.ops import cpu_backward_coeffs

        tasks = b * n * _down(coeffs.shape[-2], cpu_backward_coeffs.STRIP)
        _run(
            cpu_backward_coeffs.backward_coeffs,
            tasks,
            _flat(frames),
            flat_coeffs,
            *common,
            grad_coeffs.view(-1).numpy(),
        )
    if need_frames:
        from mkpn.ops import cpu_backward_frames

        tasks = b * n * _down(height, cpu_rows.TILE_ROWS)
        _run(cpu_backward_frames.backward_frames, tasks, flat_coeffs, *common, grad_frames.view(-1).numpy())
    return grad_frames, grad_coeffs


def warm_up() -> None:
    """Compiles the kernels or loads them from numba's cache, those for inference first."""
    # Their signatures are explicit, so importing them compiles them.
    for name in ("cpu_forward", "cpu_backward_coeffs", "cpu_backward_frames"):
        importlib.import_module(f"mkpn.ops.{name}")
