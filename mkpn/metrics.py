"""PSNR and SSIM as mkpn/evaluation/README.md declares them for every number; scikit-image is the definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skimage.metrics import structural_similarity

from mkpn.checks import choice, whole
from mkpn.synthesis.images import check_intensities, row_strips, to_intensities

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601's weights of red, green and blue."""

_SSIM_WINDOW = 11
_REACH = _SSIM_WINDOW // 2
_MEANINGFUL = (-10, 11)  # noise may lie far beyond [0,1], but levels of 0 to 255 were never intensities


@dataclass(frozen=True, kw_only=True)
class MetricDefinition:
    """What is measured; two numbers may be compared only where these agree.

    Attributes:
        border: pixels removed on every side before measuring.
        channels: `rgb`: PSNR of the squared error of all colour channels, SSIM the mean of the channels' SSIM; or
            `luma`, Rec. 601 luma.
    """

    border: int = 8
    channels: Literal["rgb", "luma"] = "rgb"

    def __post_init__(self) -> None:
        whole("border", self.border, 0)
        choice("channels", self.channels, ("rgb", "luma"))

    def fits(self, height: int, width: int) -> bool:
        """Tells whether SSIM's window fits what the border leaves of an image."""
        return min(height, width) - 2 * self.border >= _SSIM_WINDOW

    def describe(self) -> str:
        """Returns one sentence for captions and tables."""
        mode = "all colour channels" if self.channels == "rgb" else "Rec. 601 luma"
        return (
            f"PSNR and SSIM on intensities clipped to [0,1], {self.border}-pixel border removed, {mode}; "
            "SSIM: Gaussian 11x11, sigma 1.5."
        )

    def to_dict(self) -> dict[str, object]:
        """Returns the definition for JSON files, constants included."""
        return {**asdict(self), "data_range": 1.0, "clip": [0, 1], "ssim": "Wang 2004, Gaussian 11x11, sigma 1.5"}


DEFAULT = MetricDefinition()


def definition_for(height: int, width: int) -> MetricDefinition:
    """Returns the default definition, without a border where an image is too small for one."""
    return DEFAULT if DEFAULT.fits(height, width) else MetricDefinition(border=0)


def psnr(a: ArrayLike | torch.Tensor, b: ArrayLike | torch.Tensor, definition: MetricDefinition = DEFAULT) -> float:
    """Returns the peak signal-to-noise ratio in dB, infinite for equal images.

    Args:
        a: `[C,H,W]` or `[H,W]` intensities, nominally in [0,1]; they are clipped. Unsigned integers stand for [0,1]
            over their whole range, as for `load_image`.
        b: of the same shape.
        definition: border and channel mode.

    Raises:
        ValueError: if the shapes differ, the border leaves nothing, or a value is no number or beyond [-10,11], as
            levels of 0 to 255 in floating point are.

    Example:
        >>> import numpy as np
        >>> clean = np.full((3, 64, 64), 0.5)
        >>> round(psnr(clean + 0.1, clean), 2)  # 10 log10(1 / 0.1**2)
        20.0
    """
    x, y = _checked(a, b, definition, smallest=1)
    rows = row_strips(*x.shape[1:])
    weights = [part.stop - part.start for part in rows]
    squares = [
        [float(np.mean((one - other) ** 2)) for one, other in _channels(x[:, part], y[:, part], definition)]
        for part in rows
    ]
    error = float(np.mean(np.average(squares, axis=0, weights=weights)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(a: ArrayLike | torch.Tensor, b: ArrayLike | torch.Tensor, definition: MetricDefinition = DEFAULT) -> float:
    """Returns the structural similarity (Wang et al. 2004), at most 1; arguments and errors as `psnr`.

    What the border leaves must hold at least one 11x11 window.

    Example:
        >>> import numpy as np
        >>> clean = np.random.default_rng(0).random((3, 64, 64))
        >>> ssim(clean, clean), ssim(0.5 * clean, clean) < 0.9
        (1.0, True)
    """
    x, y = _checked(a, b, definition, smallest=_SSIM_WINDOW)
    values: list[list[float]] = []
    weights: list[int] = []
    # Strips that share ten rows: every window of 11 rows lies in one of them, and each of them has one.
    for part in row_strips(x.shape[1] - 2 * _REACH, x.shape[2]):
        rows = slice(part.start, part.stop + 2 * _REACH)
        pairs = _channels(x[:, rows], y[:, rows], definition)
        values.append([_similarity(one, other) for one, other in pairs])
        weights.append(part.stop - part.start)
    return float(np.mean(np.average(values, axis=0, weights=weights)))


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    similar: Any = structural_similarity(
        x,
        y,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        K1=0.01,
        K2=0.03,
    )
    return float(similar)


def _checked(
    a: ArrayLike | torch.Tensor, b: ArrayLike | torch.Tensor, definition: MetricDefinition, smallest: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Checks two images and returns what the border leaves of them, `[C,h,w]` of the types that they have."""
    x, y = _array(a), _array(b)
    if x.shape != y.shape or x.ndim not in (2, 3) or 0 in x.shape:
        raise ValueError(f"images: expected two [C,H,W] or [H,W] of one shape, got {list(x.shape)} and {list(y.shape)}")
    border = definition.border
    if min(x.shape[-2:]) - 2 * border < smallest:
        raise ValueError(
            f"images: expected sides of at least {2 * border + smallest} pixels (a border of {border} is removed), "
            f"got {list(x.shape)}"
        )
    for image, name in ((x, "first image"), (y, "second image")):
        check_intensities(image, *_MEANINGFUL, name)
    height, width = x.shape[-2:]
    x, y = (image.reshape(-1, height, width) for image in (x, y))
    inner = (slice(None), slice(border, height - border), slice(border, width - border))
    return x[inner], y[inner]


def _channels(
    x: NDArray[Any], y: NDArray[Any], definition: MetricDefinition
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yields pairs of channels `[h,w]` in float64, clipped to [0,1].

    One channel at a time, and of large images some rows at a time: SSIM takes ten times the memory of what it compares.
    """
    # Luma is one plane of all channels.
    parts = [slice(None)] if definition.channels == "luma" else [slice(i, i + 1) for i in range(len(x))]
    for part in parts:
        yield from zip(_reduce(x[part], definition), _reduce(y[part], definition), strict=True)


def _array(image: ArrayLike | torch.Tensor) -> NDArray[Any]:
    if not isinstance(image, torch.Tensor):
        return np.asanyarray(image)
    image = image.detach().cpu()
    # NumPy has no bfloat16.
    return (image.float() if image.dtype == torch.bfloat16 else image).numpy()


def _reduce(image: NDArray[Any], definition: MetricDefinition) -> NDArray[np.float64]:
    values = to_intensities(image, *_MEANINGFUL, np.float64)
    np.clip(values, 0, 1, out=values)
    if definition.channels == "luma" and len(values) == 3:
        return np.tensordot(LUMA, values, axes=1)[None]
    return values
