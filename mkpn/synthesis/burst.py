"""A clean image becomes a noisy, displaced burst, from an explicit seed (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.checks import whole
from mkpn.synthesis.images import ImageSource, box_downsample, channels_first, load_image, row_strips
from mkpn.synthesis.motion import BurstConfig, sample_offsets
from mkpn.synthesis.noise import Noise, noise_for_gain

RIM = 8
"""Pixels around the shown image that the networks see, see `Surroundings`; even, as half resolution wants it."""

SMALL, WIDE_RIM = 128, 16
"""Where a side is under 128 pixels, they see 16: a small image shows little by which to measure motion."""

_AT_ONCE = 2**20  # numbers that get their noise at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """The frames with a rim around them, so that kernels at the image's border read real pixels.

    Without it, kernels read zeros beyond the image, and what measures motion sees half of its surroundings there
    (figures: mkpn/inference/README.md). A frame that is displaced so far that its rim leaves the scene repeats the
    scene's edge in it.

    Attributes:
        frames: `[N,C,H+2r,W+2r]`; a burst's `frames` are a view of it.
        noise_std: `[C,H+2r,W+2r]`; a burst's `noise_std` is a view of it.
        rim: `r`, its width in pixels, an even number.

    Raises:
        ValueError: if the rim is odd or negative.
    """

    frames: torch.Tensor
    noise_std: torch.Tensor
    rim: int

    def __post_init__(self) -> None:
        if whole("rim", self.rim, 0) % 2:
            raise ValueError(f"rim: expected an even number of pixels, as half resolution wants it, got {self.rim}")


@dataclass(frozen=True, kw_only=True, eq=False)
class NoisyBurst:
    """What a network needs. A burst is equal to itself only: tensors have no single truth value.

    Attributes:
        frames: `[N,C,H,W]` float32, noisy and not clipped; frame 0 is the reference.
        noise_std: `[C,H,W]` float32, Eq. 8 on frame 0.
        surroundings: what the networks see beyond the frames; None where nothing is known of it.
    """

    frames: torch.Tensor
    noise_std: torch.Tensor
    surroundings: Surroundings | None = None

    def __post_init__(self) -> None:
        around = self.surroundings
        if around is not None and not (
            _shares(around.frames, self.frames, around.rim) and _shares(around.noise_std, self.noise_std, around.rim)
        ):
            raise ValueError(
                "surroundings: expected frames and noise_std that are the inner part of theirs; "
                "for others give other surroundings, or None"
            )

    @property
    def rim(self) -> int:
        """Pixels that the networks see beyond the frames on each side."""
        return 0 if self.surroundings is None else self.surroundings.rim


@dataclass(frozen=True, kw_only=True, eq=False)
class Burst(NoisyBurst):
    """A synthetic burst and everything that is known about it.

    Attributes:
        clean: `[C,H,W]` float32 in [0,1], the ground truth of frame 0.
        offsets: `[N,2]` int64, the displacement (x, y) of each frame in pixels: pixel `(y, x)` of frame `i` shows
            the scene at `(y + offsets[i,1], x + offsets[i,0])` of frame 0.
        noise: the parameters of Eq. 7.
    """

    clean: torch.Tensor
    offsets: torch.Tensor
    noise: Noise


def _shares(wide: torch.Tensor, frames: torch.Tensor, rim: int) -> bool:
    inner = wide[..., rim : wide.shape[-2] - rim, rim : wide.shape[-1] - rim]
    return inner.data_ptr() == frames.data_ptr() and inner.shape == frames.shape and inner.stride() == frames.stride()


def rng_for(*key: int) -> np.random.Generator:
    """Returns a generator that is a pure function of its key, e.g. (seed, step, rank * batch + index)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def burst_windows(scene: NDArray[np.float32], offsets: NDArray[np.int64], margin: int) -> NDArray[np.float32]:
    """Cuts the clean frames `[N,C,h,w]` out of a scene `[C,h+2*margin,w+2*margin]`: shifted content is real."""
    return np.stack([_window(scene, offset, margin) for offset in offsets])


def _window(scene: NDArray[np.float32], offset: NDArray[np.int64], margin: int) -> NDArray[np.float32]:
    """A view of one frame's part of the scene."""
    left, top = margin + offset
    height, width = scene.shape[1] - 2 * margin, scene.shape[2] - 2 * margin
    return scene[:, top : top + height, left : left + width]


def add_noise(clean: NDArray[np.float32], noise: Noise, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns Eq. 7, `x ~ N(y, sigma_r^2 + sigma_s * y)`, of intensities of any shape; the result is not clipped."""
    noisy = clean + noise.std(clean) * rng.standard_normal(clean.shape, dtype=np.float32)
    return noisy.astype(np.float32, copy=False)


def _write_noisy(out: NDArray[np.float32], clean: NDArray[np.float32], noise: Noise, rng: np.random.Generator) -> None:
    """Writes `add_noise` of `[C,h,w]` into its place; some rows at a time, where all of it would need much memory."""
    channels, height, width = clean.shape
    if clean.size <= _AT_ONCE:
        out[...] = add_noise(clean, noise, rng)
        return
    # In the order in which they lie in memory, so that each pixel draws the same number as it would at once.
    for channel in range(channels):
        for rows in row_strips(height, width):
            out[channel, rows] = add_noise(clean[channel, rows], noise, rng)


def make_burst(
    scene: NDArray[np.float32], noise: Noise, rng: np.random.Generator, config: BurstConfig | None = None
) -> Burst:
    """Synthesises a burst whose frames are windows of one larger scene.

    Args:
        scene: `[C,H+2m,W+2m]` float32 in [0,1], with `m = config.margin`; the burst shows its inner `H x W`.
        noise: parameters of Eq. 7.
        rng: source of randomness; see `rng_for`.
        config: motion settings.

    Returns:
        A burst of `config.frames` frames of `H x W` pixels.

    Raises:
        ValueError: if the scene is not a [C,H,W] array with an inner part of at least one pixel.
    """
    config = config or BurstConfig()
    margin = config.margin
    if scene.ndim != 3 or min(scene.shape[1:]) <= 2 * margin:
        raise ValueError(
            f"scene: expected [C,H,W] with sides over {2 * margin} (a margin of {margin} pixels on each side is used "
            f"for the displacements), got {list(scene.shape)}"
        )
    offsets = sample_offsets(rng, config)
    height, width = scene.shape[1] - 2 * margin, scene.shape[2] - 2 * margin
    rim = rim_of(height, width)
    inner, strips = _parts(rim)
    edged = np.pad(scene, ((0, 0), (rim, rim), (rim, rim)), mode="edge")
    wide = np.empty((config.frames, scene.shape[0], height + 2 * rim, width + 2 * rim), np.float32)
    # The rim has its own stream, so that the frames do not depend on its width.
    rim_rng = rng.spawn(1)[0]
    for frame, offset in zip(wide, offsets, strict=True):
        window = _window(edged, offset, margin)
        for part, stream in ((inner, rng), *((strip, rim_rng) for strip in strips)):
            _write_noisy(frame[part], window[part], noise, stream)
    del edged
    frames = torch.from_numpy(wide)
    noise_std = noise.std(frames[0])
    return Burst(
        frames=frames[..., rim:-rim, rim:-rim],
        clean=torch.from_numpy(scene[:, margin : margin + height, margin : margin + width].copy()),
        noise_std=noise_std[..., rim:-rim, rim:-rim],
        offsets=torch.from_numpy(offsets),
        noise=noise,
        surroundings=Surroundings(frames=frames, noise_std=noise_std, rim=rim),
    )


def rim_of(height: int, width: int) -> int:
    """Returns how many pixels the networks see around an image of some size: 8, or 16 around a small one."""
    return WIDE_RIM if min(height, width) < SMALL else RIM


def _parts(rim: int) -> tuple[tuple[slice, ...], list[tuple[slice, ...]]]:
    """What lies inside of a rim, and its top, bottom, left and right, in `[C,H,W]`."""
    every, first, inner, last = slice(None), slice(rim), slice(rim, -rim), slice(-rim, None)
    return (every, inner, inner), [(every, first), (every, last), (every, inner, first), (every, inner, last)]


def burst_of(
    pixels: NDArray[np.float32], noise: Noise, rng: np.random.Generator, config: BurstConfig | None = None
) -> Burst:
    """Returns `make_burst` of a picture `[H,W,C]` as it was decoded: the one way from a file to a burst."""
    return make_burst(channels_first(pixels), noise, rng, config)


def synthesize(
    image: ImageSource,
    *,
    gain: int | None = None,
    noise: Noise | None = None,
    seed: int = 0,
    config: BurstConfig | None = None,
    downsample: int = 1,
) -> Burst:
    """Turns a clean image into a noisy burst (section 3.1).

    Args:
        image: anything `load_image` accepts. A margin of `config.margin` pixels on each side feeds the displaced
            frames, so that shifted content is real; the burst shows what is inside of it.
        gain: 1, 2, 4 or 8, or
        noise: the parameters of Eq. 7; exactly one of the two.
        seed: the same seed gives the same burst, on every machine.
        config: motion settings; the paper's by default.
        downsample: box-downsampling factor of the image.

    Returns:
        A burst with `.frames [N,C,H,W]`, `.clean [C,H,W]`, `.noise_std [C,H,W]` and `.offsets [N,2]`.

    Raises:
        ValueError: if the image cannot be used, or if not exactly one of `gain` and `noise` is given.

    Example:
        >>> import mkpn
        >>> import numpy as np
        >>> photograph = np.full((96, 128, 3), 100, np.uint8)
        >>> burst = mkpn.synthesize(photograph, gain=8, seed=0)
        >>> tuple(burst.frames.shape), tuple(burst.clean.shape)  # 16 pixels of margin on each side
        ((8, 3, 64, 96), (3, 64, 96))
    """
    if (gain is None) == (noise is None):
        got = "none of them" if gain is None else "both"
        raise ValueError(f"gain and noise: expected exactly one of the two, got {got}")
    if noise is None:
        assert gain is not None
        noise = noise_for_gain(gain)
    whole("seed", seed, 0)
    return burst_of(box_downsample(load_image(image), downsample), noise, rng_for(seed), config)
