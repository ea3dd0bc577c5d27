"""Classical baselines: the burst's mean, aligned by a library, and what well-kept single-image denoisers make of it.

Displacements here are whole pixels of a pure translation (section 3.1), which alignment recovers exactly: these are
strong baselines on such bursts, and say little about hand-held ones. Noise level: Eq. 8's estimate on the reference.
The strength of non-local means was chosen on three photographs of scikit-image's data, not on a test set.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means

from mkpn.capture.motion import whole_pixel_shift
from mkpn.explain.oracle import average, mean_within
from mkpn.synthesis.burst import Burst
from mkpn.synthesis.images import to_channels_first, to_channels_last, to_intensities, to_uint8

Picture = NDArray[np.float32]
Method = Callable[[Burst], torch.Tensor]

BASELINES = ("aligned", "nlm", "opencv", "bm3d")
"""Classical baselines, all on the mean of the aligned burst: as it is, and denoised by three programs."""

_PATCH, _REACH = 5, 6
_PACKAGES = {"opencv": "cv2", "bm3d": "bm3d"}


def align(frames: Picture) -> list[tuple[int, int]]:
    """Estimates whole-pixel displacements; see `mkpn.capture.motion.whole_pixel_shift`.

    Args:
        frames: `[N,C,H,W]`, frame 0 the reference.

    Returns:
        N pairs (x, y) with the meaning of `Burst.offsets`.
    """
    lumas = frames.mean(axis=1)
    return [whole_pixel_shift(lumas[0], luma) for luma in lumas]


def aligned_mean(frames: Picture) -> tuple[Picture, Picture]:
    """Averages the frames of a burst where each one shows what the reference shows.

    Args:
        frames: `[N,C,H,W]`, frame 0 the reference.

    Returns:
        The mean `[C,H,W]` and how many frames show each pixel `[H,W]`, 1 to N.
    """
    mean, count = average(torch.from_numpy(frames), align(frames))
    return mean.numpy(), count.numpy()


def nlm_within(burst: Burst, size: int) -> torch.Tensor:
    """Non-local means of the frames that are truly aligned within a kernel's reach (`mkpn.explain.oracle`).

    No network knows the motion; beside one, this says how much of what it lacks is due to its reach.

    Args:
        burst: with known offsets.
        size: side of the kernel in pixels.

    Returns:
        `[C,H,W]`.
    """
    mean, count = mean_within(burst, size)
    return _denoised("nlm", mean.numpy(), count.numpy(), burst)


def baselines(names: tuple[str, ...]) -> tuple[dict[str, Method], dict[str, str]]:
    """Returns the asked baselines as functions of a burst, and those that cannot run with the reason.

    Args:
        names: some of `BASELINES`.

    Raises:
        ValueError: if a name is unknown.
    """
    methods: dict[str, Method] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if name not in BASELINES:
            raise ValueError(f"baselines: expected some of {', '.join(BASELINES)}, got {name!r}")
        try:
            methods[name] = _method(name)
        except ImportError as error:
            skipped[name] = f"{error}; pip install 'mkpn-studio[baselines]'"
    return methods, skipped


def _method(name: str) -> Method:
    package: Any = importlib.import_module(_PACKAGES[name]) if name in _PACKAGES else None

    return lambda burst: _denoised(name, *aligned_mean(burst.frames.numpy()), burst, package)


def _denoised(name: str, mean: Picture, count: Picture, burst: Burst, package: Any = None) -> torch.Tensor:
    """The mean of `count` frames, denoised; the noise level is Eq. 8's of the reference, divided by their root."""
    sigma = float(np.sqrt((burst.noise_std.numpy() ** 2 / count).mean()))
    return torch.from_numpy(np.ascontiguousarray(_DENOISERS[name](mean, sigma, package), np.float32))


def _nlm(image: Picture, sigma: float, _: Any) -> Picture:
    return denoise_nl_means(image, _PATCH, _REACH, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=0)


def _opencv(image: Picture, sigma: float, cv2: Any) -> Picture:
    pixels = to_uint8(image)  # its NLM takes 8 bits only
    denoised = cv2.fastNlMeansDenoising(pixels, None, 1.2 * sigma * 255, _PATCH, 2 * _REACH + 1)
    return to_intensities(to_channels_first(denoised.reshape(pixels.shape)))


def _bm3d(image: Picture, sigma: float, bm3d: Any) -> Picture:
    if len(image) == 1:
        return bm3d.bm3d(image[0], sigma)[None]
    return to_channels_first(bm3d.bm3d_rgb(to_channels_last(image), sigma))


_DENOISERS: dict[str, Callable[[Picture, float, Any], Picture]] = {
    "aligned": lambda image, _, __: image,
    "nlm": _nlm,
    "opencv": _opencv,
    "bm3d": _bm3d,
}
