"""Trained networks on bursts of any size: device, precision, bounded memory, result with lazily probed kernels."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mkpn.checks import kind
from mkpn.device import keep_large_blocks, select_device
from mkpn.geometry import Rectangle
from mkpn.inference.blockwise import (
    cells_seen,
    denoise_block,
    entry_bytes,
    exit_bytes,
    head_features,
    run_trunk,
    trunk_bytes,
)
from mkpn.inference.tiling import cut, plan_tiles, source_span
from mkpn.model.checkpoint import load_model, shipped_models
from mkpn.model.config import DEPTH_MULTIPLE, MODELS, ModelConfig
from mkpn.model.network import KernelPredictionNetwork, go_on
from mkpn.ops import runs_reference
from mkpn.synthesis.burst import NoisyBurst, Surroundings

MEMORY_BUDGET = 2**30
FEATURES_BUDGET = 2**27
LARGEST_BLOCK = 2**27
_FEWEST = 64  # pixels of a block, however small the budget


class Stopped(Exception):
    """A denoising was given up because its stop function said so."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A denoised image and what is needed to look at the kernels that made it.

    Attributes:
        image: `[C,H,W]` float32 on the CPU, not clipped.
        seconds: time of the network and the local convolution. On the CPU without that of the caller's `progress` and
            `stop`; a GPU goes on computing while they run.
        local_seconds: the local convolution's part of it; on the CPU only, else 0.
        device: where it ran.
        features: `[head,h,w]`, what the last convolution read; the kernels of any pixel follow from it. None if it is
            larger than the denoiser's `features_budget`.
        denoiser: the network that made it.
        burst: what was denoised.
    """

    image: Tensor
    seconds: float
    local_seconds: float
    device: torch.device
    features: Tensor | None
    denoiser: Denoiser
    burst: NoisyBurst

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the features of all that the network saw: the image and the burst's rim."""
        height, width = (size + 2 * self.burst.rim for size in self.image.shape[-2:])
        return _padded(height, width).halved().shape

    def features_at(self, cells: Rectangle) -> Tensor:
        """Returns the features `[head,h,w]` of some cells; computes them again where they were not kept."""
        if self.features is not None:
            return self.features[(..., *cells.slices)]
        return self.denoiser.features_at(self.burst, cells)

    def feature_blocks(self, area: int) -> Iterator[tuple[Rectangle, Rectangle, Tensor]]:
        """Yields what `Denoiser.feature_blocks` does, from the features that were kept if there are any."""
        if self.features is None:
            yield from self.denoiser.feature_blocks(self.burst, area)
            return
        image = Rectangle.whole(*self.cells)
        for block in cut(image, area):
            seen = block.grown(1, image)
            yield block, seen, self.features_at(seen)[None]


class Denoiser:
    """A network on a device, ready to denoise bursts; may be called from several threads.

    Attributes:
        config: the architecture.
        device: where it runs.
        metadata: the checkpoint's training provenance and figures; empty for a network of your own.
        memory_budget: bytes of working memory beyond the burst, the image and the features that are kept.
        features_budget: bytes of features that a result may keep.
    """

    def __init__(
        self,
        network: KernelPredictionNetwork,
        device: str = "auto",
        metadata: Mapping[str, Any] | None = None,
        *,
        precision: Literal["float32", "float16"] = "float32",
        memory_budget: int = MEMORY_BUDGET,
        features_budget: int = FEATURES_BUDGET,
    ) -> None:
        """Moves the network to the device.

        Args:
            network: taken over, not copied.
            device: `auto` (CUDA, else MPS, else the CPU) or a PyTorch device name.
            metadata: see the attribute.
            precision: of the network; `float16` on a GPU only. Kernels are applied in float32.
            memory_budget: see the attribute; larger images are cut into overlapping tiles with the same result.
            features_budget: see the attribute.

        Raises:
            ValueError: if the device is not available, or does not compute in that precision.
        """
        keep_large_blocks()
        self.config: ModelConfig = network.config
        self.device = select_device(device)
        self.metadata = dict(metadata or {})
        self.memory_budget, self.features_budget = memory_budget, features_budget
        if precision not in ("float32", "float16"):
            raise ValueError(f"precision: expected float32 or float16, got {precision!r}")
        if precision == "float16" and self.device.type == "cpu":
            raise ValueError("precision: expected float32 on the CPU, got 'float16'; half precision needs a GPU")
        dtype = getattr(torch, precision)
        layout = torch.channels_last
        self.network = network.eval().to(self.device, dtype=dtype, memory_format=layout)  # pyright: ignore[reportCallIssue]

    @torch.inference_mode()
    def __call__(
        self,
        burst: NoisyBurst,
        *,
        progress: Callable[[float], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Result:
        """Denoises a burst of any height and width.

        Args:
            burst: `frames [N,C,H,W]` and `noise_std [C,H,W]`, with N and C of the network's configuration.
            progress: called with the finished fraction, 0 to 1.
            stop: asked before every layer whether to give up.

        Raises:
            ValueError: if it is no burst, the shapes do not fit, a number is NaN or infinite, or not even the smallest
                tile fits into the memory budget.
            Stopped: if `stop` said so.
        """
        started = time.perf_counter()
        local_seconds = callers_seconds = 0.0

        def timed(call: Callable[[], Tensor]) -> Tensor:
            nonlocal local_seconds
            checkpoint()
            before = time.perf_counter()
            value = call()
            local_seconds += time.perf_counter() - before
            return value

        def callers(call: Callable[[], Any]) -> Any:
            nonlocal callers_seconds
            before = time.perf_counter()
            answer = call()
            callers_seconds += time.perf_counter() - before
            return answer

        def checkpoint() -> None:
            if stop is not None and callers(stop):
                raise Stopped("stopped")

        frames, noise_std = self._prepared(burst)
        _check_finite(frames[0], noise_std[0])
        height, width = frames.shape[-2:]
        rim, padded = burst.rim, _padded(height, width)
        pixels = Rectangle(rim, rim, width - 2 * rim, height - 2 * rim)
        all_cells = padded.halved()
        block_area = max(_FEWEST, self._block_bytes // exit_bytes(self.config, runs_reference(frames)))
        # What is made in inference mode could never be changed in place; what a caller gets can.
        with torch.inference_mode(mode=False):
            image = torch.empty(burst.frames.shape[1:], dtype=torch.float32, device=self.device)
            kept = self._room_for_features(all_cells)
        done = 0
        for block, seen, features in self._blocks(frames, noise_std, block_area, checkpoint):
            if kept is not None:
                own = block.halved()
                kept[(..., *own.slices)] = features[0][(..., *own.within(seen).slices)]
            inside = block.grown(0, pixels)
            if inside.w > 0 and inside.h > 0:
                checkpoint()
                image[(..., *inside.within(pixels).slices)] = denoise_block(
                    self.network, frames, features, seen, inside, all_cells, timed
                )
            done += block.area
            if progress is not None:
                callers(partial(progress, done / padded.area))
        with torch.inference_mode(mode=False):
            output = image.cpu()
        seconds, on_cpu = time.perf_counter() - started, self.device.type == "cpu"
        return Result(
            image=output,
            seconds=seconds - callers_seconds if on_cpu else seconds,
            local_seconds=local_seconds if on_cpu else 0.0,
            device=self.device,
            features=kept,
            denoiser=self,
            burst=burst,
        )

    @torch.inference_mode()
    def features_at(self, burst: NoisyBurst, cells: Rectangle) -> Tensor:
        """Returns the features `[head,h,w]` of some cells from the part of the burst that they depend on.

        Args:
            burst: as in a call.
            cells: a rectangle at half resolution of all that the network sees: image and rim, padded to multiples of
                16.
        """
        frames, noise_std = self._prepared(burst)
        padded = _padded(*frames.shape[-2:])
        pixels = cells.scaled(2)
        source = Rectangle.of(source_span(pixels.rows, padded.h), source_span(pixels.columns, padded.w))
        trunk = run_trunk(self.network, frames, noise_std, source, source.area, go_on)
        return head_features(self.network, trunk, cells)[0]

    @torch.inference_mode()
    def feature_blocks(self, burst: NoisyBurst, area: int) -> Iterator[tuple[Rectangle, Rectangle, Tensor]]:
        """Yields the features of all cells block by block, within the memory budget.

        Args:
            burst: as in a call.
            area: about how many cells a block has.

        Yields:
            The cells of a block, those with what their kernels depend on, and the latter's features `[1,head,h,w]`.
        """
        for block, seen, features in self._blocks(*self._prepared(burst), 4 * area, go_on):
            yield block.halved(), seen, features

    def _blocks(
        self, frames: Tensor, noise_std: Tensor, area: int, checkpoint: Callable[[], None]
    ) -> Iterator[tuple[Rectangle, Rectangle, Tensor]]:
        """Yields pixels of the padded image, the cells that their kernels depend on, and the features there."""
        padded = _padded(*frames.shape[-2:])
        weight, entry_area = self.network.last.weight, max(_FEWEST, self._block_bytes // entry_bytes(self.config))
        tile_bytes = trunk_bytes(self.config) * weight.element_size() // 4
        for core, source in plan_tiles(*padded.shape, (self.memory_budget - self._block_bytes) // tile_bytes):
            # The trunk sees the whole tile once, whatever becomes of it.
            trunk = run_trunk(self.network, frames, noise_std, source, entry_area, checkpoint)
            for block in cut(core, area):
                seen = cells_seen(block, padded.halved())
                yield block, seen, head_features(self.network, trunk, seen, checkpoint)
            del trunk

    def _prepared(self, burst: NoisyBurst) -> tuple[Tensor, Tensor]:
        """Checks a burst and brings it to the device; the copy of the last burst is kept for the next model."""
        kind("burst", burst, NoisyBurst, "a burst as `synthesize` and `read_burst` make it")
        config = self.config
        shape = tuple(burst.frames.shape)
        if len(shape) != 4 or shape[:2] != (config.frames, config.colors) or 0 in shape:
            raise ValueError(f"frames: expected [{config.frames},{config.colors},H,W], got {list(shape)}")
        if burst.noise_std.shape != shape[1:]:
            raise ValueError(f"noise_std: expected {list(shape[1:])}, got {list(burst.noise_std.shape)}")
        for name, tensor in (("frames", burst.frames), ("noise_std", burst.noise_std)):
            if not tensor.is_floating_point():
                raise ValueError(f"{name}: expected floating-point intensities, got {tensor.dtype}")
        seen = burst.surroundings or burst
        if self.device.type == "cpu":
            return seen.frames[None].to(self.device, torch.float32), seen.noise_std[None].to(self.device, torch.float32)
        return _on_device.get(seen, self.device)

    @property
    def _block_bytes(self) -> int:
        """What of the memory budget is for one block."""
        return min(LARGEST_BLOCK, self.memory_budget // 4)

    def _room_for_features(self, cells: Rectangle) -> Tensor | None:
        weight = self.network.last.weight
        channels = weight.shape[1]
        if channels * cells.area * weight.element_size() > self.features_budget:
            return None
        shape = (1, channels, *cells.shape)
        layout = torch.channels_last
        return torch.empty(shape, dtype=weight.dtype, device=self.device, memory_format=layout)[0]


class _DeviceCopy:
    """The burst that was last brought to a device, for as long as it lives and stays as it is."""

    def __init__(self) -> None:
        self._slot: tuple[tuple[Any, Any], Any, tuple[Tensor, Tensor]] | None = None

    def get(self, burst: NoisyBurst | Surroundings, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns frames and noise estimate with a batch dimension, float32 on the device."""
        frames, noise_std = burst.frames, burst.noise_std
        # What was made in inference mode does not tell when it is changed in place, and is copied each time.
        tracked = not (frames.is_inference() or noise_std.is_inference())
        key = (device, frames._version, noise_std._version) if tracked else None  # pyright: ignore[reportPrivateUsage]
        slot = self._slot
        if slot is not None and slot[0][0]() is frames and slot[0][1]() is noise_std and slot[1] == key:
            return slot[2]
        copies = (frames[None].to(device, torch.float32), noise_std[None].to(device, torch.float32))
        if tracked:
            references = (weakref.ref(frames, self._forget), weakref.ref(noise_std, self._forget))
            self._slot = (references, key, copies)
        return copies

    def _forget(self, reference: Any) -> None:
        slot = self._slot
        if slot is not None and (slot[0][0] is reference or slot[0][1] is reference):
            self._slot = None


_on_device = _DeviceCopy()


def _check_finite(frames: Tensor, noise_std: Tensor) -> None:
    """Refuses NaN and infinity, which would spread over the whole picture."""
    for index, frame in enumerate((noise_std, *frames)):
        # The least and the greatest of numbers, one of which is NaN, are NaN.
        if not torch.stack(frame.aminmax()).isfinite().all():
            name = f"frame {index - 1}" if index else "noise_std"
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def _padded(height: int, width: int) -> Rectangle:
    """The image whose sides are rounded up to what the network takes."""
    return Rectangle.whole(height + -height % DEPTH_MULTIPLE, width + -width % DEPTH_MULTIPLE)


def load(model: str | Path, device: str = "auto") -> Denoiser:
    """Loads a shipped network by name, or any checkpoint by path.

    Args:
        model: one of `mkpn.MODELS`, or the path of a `.safetensors` checkpoint.
        device: `auto` (CUDA, else MPS, else the CPU) or a PyTorch device name.

    Raises:
        ValueError: if there is no such model or device, or the file is damaged or foreign.

    Example:
        >>> import mkpn
        >>> mkpn.load("mkpn", device="cpu").config.sizes
        (1, 3, 5, 7, 9, 11)
    """
    kind("model", model, (str, Path), "a name or a path")
    shipped = shipped_models()
    path = shipped.get(str(model), Path(model))
    if str(model) not in shipped and path.suffix != ".safetensors":
        raise ValueError(f"model: expected one of {', '.join(MODELS)} or a .safetensors file, got {str(model)!r}")
    network, metadata = load_model(path)
    return Denoiser(network, device, metadata)
