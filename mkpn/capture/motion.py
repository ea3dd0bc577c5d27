"""How the frames of a hand-held burst have moved, and frames brought to the reference without touching their noise.

A frame's motion is a rotation and a displacement. It is measured by scikit-image: cross-correlation of the band-passed
frames, as a whole and tile by tile, and a rigid motion fitted to the tiles by RANSAC, which leaves out what moved by
itself. Frames are brought to the reference by copying whole pixels: interpolation would average the noise of
neighbours, and Eq. 7 would no longer hold.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import difference_of_gaussians
from skimage.measure import ransac
from skimage.registration import phase_cross_correlation
from skimage.transform import EuclideanTransform, warp

from mkpn.capture.noise import NORMAL_MAD
from mkpn.synthesis.images import box_downsample, channels_first

Picture = NDArray[np.float32]

_BAND = (1.0, 4.0)
_COARSE_SIDE = 384  # longest side of the pictures that the first estimate is made on
_TILE = 64
_MOST_TILES = 7  # along one axis
_FEWEST = 5  # tiles that must agree
_TOLERANCE = 1.0  # pixels that a tile may differ from the fit
_TURNED = 0.5  # pixels at the corners from which on a rotation is worth undoing
_PEAK = 5.0  # standard deviations of a correlation of noise; the highest of 10,000 pixels has 4
_CONTENT = 1e-4  # range of band-passed values below which a tile shows nothing
_LEAST_SEEN = 3  # tiles with content below which no rotation can be told
_CERTAIN = 0.5  # share of the tiles from which on they settle the motion by themselves
_ALIKE_BAND = (2.0, 8.0)  # coarser than what is aligned by, so that less of it is noise
_ALIKE = 0.2  # least correlation of pictures of one scene: 580 had 0.31 and more, two thirds of others less than 0.2


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Where a frame shows the reference's scene.

    Attributes:
        x: displacement of the picture's centre in pixels, with the sign of `Burst.offsets`.
        y: the same along the columns.
        degrees: rotation about the centre.
        agreeing: share of the tiles that agree with this motion, 0 to 1, of those that show anything: a clipped sky has
            no say. The others hold nothing but noise, or moved by themselves. 0 where too few tiles show anything.
    """

    x: float
    y: float
    degrees: float
    agreeing: float

    def transform(self, height: int, width: int) -> EuclideanTransform:
        """Returns the map from a point (x, y) of the reference to where the frame shows it."""
        return _rigid(math.radians(self.degrees), (-self.x, -self.y), height, width)


def whole_pixel_shift(reference: Picture, frame: Picture) -> tuple[int, int]:
    """Estimates a whole-pixel displacement by the cross-correlation of band-passed pictures.

    The band-pass is what makes it exact: the plain correlation of noisy frames misses 3 to 4 % of them (24 images of
    CBSD68), because smooth shading weighs most in it; normalising it (phase correlation) would let noise weigh most.

    Args:
        reference: `[H,W]`.
        frame: `[H,W]`.

    Returns:
        (x, y) with the meaning of `Burst.offsets`.
    """
    y, x = _shift(difference_of_gaussians(reference, *_BAND), difference_of_gaussians(frame, *_BAND), 1)
    return round(x), round(y)


def estimate_motion(reference: Picture, frame: Picture) -> Motion:
    """Measures how a frame has moved against the reference.

    One that shows too little to tell, or another scene, has not moved.

    Args:
        reference: `[H,W]` luma.
        frame: `[H,W]`, of the same size.
    """
    height, width = reference.shape
    # Of a long narrow picture a tile's height is left.
    factor = min(math.ceil(max(height, width) / _COARSE_SIDE), max(1, min(height, width) // _TILE))
    small = [box_downsample(picture[..., None], factor)[..., 0] for picture in (reference, frame)]
    x, y = whole_pixel_shift(small[0], small[1]) if _stands_out(small[0], small[1]) else (0, 0)
    fit, agreeing = _rigid(0.0, (-x, -y), *small[0].shape), 0.0
    for _ in range(3):
        fit, agreeing = _refined(small[0], small[1], fit)
    if factor > 1:
        shift = (factor * float(v) for v in _centre_shift(fit, *small[0].shape))
        fit = _rigid(float(fit.rotation), tuple(shift), height, width)
        for _ in range(2):
            fit, agreeing = _refined(reference, frame, fit)
    shift_x, shift_y = _centre_shift(fit, height, width)
    if agreeing < _CERTAIN:
        coarse = _rigid(float(fit.rotation), (shift_x / factor, shift_y / factor), *small[0].shape)
        # Of another scene the correlation has a peak, too.
        if _likeness(small[0], small[1], coarse) < _ALIKE:
            return Motion(x=0, y=0, degrees=0, agreeing=0)
    corner = abs(math.sin(float(fit.rotation))) * max(height, width) / 2
    degrees = math.degrees(float(fit.rotation)) if corner >= _TURNED else 0.0
    return Motion(x=-shift_x, y=-shift_y, degrees=degrees, agreeing=agreeing)


def bring(frame: NDArray[np.float32], motion: Motion) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Brings a frame to the reference by copying whole pixels.

    Args:
        frame: `[H,W,C]`.
        motion: of the frame, see `estimate_motion`.

    Returns:
        `[H,W,C]`, and the rows and columns of the reference that the frame shows; what lies outside is arbitrary.
    """
    height, width = frame.shape[:2]
    if motion.degrees:
        fit = motion.transform(height, width)
        moved = np.stack(
            [warp(channel, fit, order=0, mode="edge", preserve_range=True) for channel in channels_first(frame)],
            axis=2,
        ).astype(np.float32)
    else:
        moved = np.roll(frame, (round(motion.y), round(motion.x)), (0, 1))
    return moved, shown(motion, height, width)


def shown(motion: Motion, height: int, width: int) -> tuple[slice, slice]:
    """Returns a rectangle of the reference that a frame of the same size shows whole: rows, columns."""
    if not motion.degrees:
        x, y = round(motion.x), round(motion.y)
        return slice(max(0, y), height + min(0, y)), slice(max(0, x), width + min(0, x))
    # The frame's corners in the reference: their inner coordinates bound a rectangle inside of it.
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    x, y = motion.transform(height, width).inverse(corners).T
    left, right = max(0.0, x[0], x[2]), min(width - 1.0, x[1], x[3])
    top, bottom = max(0.0, y[0], y[1]), min(height - 1.0, y[2], y[3])
    return slice(math.ceil(top), math.floor(bottom) + 1), slice(math.ceil(left), math.floor(right) + 1)


def _shift(reference: NDArray[Any], frame: NDArray[Any], upsampling: int) -> tuple[float, float]:
    """The (y, x) that brings a frame to the reference."""
    register: Any = phase_cross_correlation  # its inferred types know no normalization=None
    y, x = register(reference, frame, normalization=None, upsample_factor=upsampling)[0]
    return float(y), float(x)


def _stands_out(reference: Picture, frame: Picture) -> bool:
    """Tells whether the correlation has a peak that noise alone, as of fog or a wall, would not have."""
    bands = [np.fft.rfft2(difference_of_gaussians(picture, *_BAND)) for picture in (reference, frame)]
    surface = np.abs(np.fft.irfft2(bands[0] * bands[1].conj(), reference.shape))
    # The median, because the ridge of a single edge would add to the standard deviation itself.
    return bool(surface.max() > _PEAK * np.median(surface) / NORMAL_MAD)


def _likeness(reference: Picture, frame: Picture, fit: EuclideanTransform) -> float:
    """Returns the correlation of the reference and a frame that a fit brings to it, where both show something."""
    still, moving = (difference_of_gaussians(picture, *_ALIKE_BAND) for picture in (reference, frame))
    moved = warp(moving, fit, order=1, mode="constant", cval=math.nan, preserve_range=True)
    seen = np.isfinite(moved)
    if not seen.any():
        return 0.0
    a, b = still[seen] - still[seen].mean(), moved[seen] - moved[seen].mean()
    return float((a * b).sum() / max(math.sqrt((a * a).sum() * (b * b).sum()), 1e-12))


def _rigid(angle: float, shift: tuple[float, float] | Any, height: int, width: int) -> EuclideanTransform:
    """Rotation about the centre of the picture, then displacement (x, y)."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return EuclideanTransform(rotation=angle, translation=centre + np.asarray(shift) - turn @ centre)


def _centre_shift(fit: EuclideanTransform, height: int, width: int) -> tuple[float, float]:
    centre = np.array([[(width - 1) / 2, (height - 1) / 2]])
    x, y = (fit(centre) - centre)[0]
    return float(x), float(y)


def _refined(reference: Picture, frame: Picture, fit: EuclideanTransform) -> tuple[EuclideanTransform, float]:
    """Measures the tiles of a frame that an earlier fit has brought near the reference, and fits again.

    Returns:
        The new fit, and the share of tiles with content that agree with it.
    """
    moved = warp(frame, fit, order=1, mode="edge", preserve_range=True)
    reference_band, moved_band = (difference_of_gaussians(picture, *_BAND) for picture in (reference, moved))
    height, width = reference.shape
    tile = min(_TILE, height // 2, width // 2)
    window = np.outer(np.hanning(tile), np.hanning(tile))
    here: list[tuple[float, float]] = []
    there: list[tuple[float, float]] = []
    for top in _starts(height, tile):
        for left in _starts(width, tile):
            part = slice(top, top + tile), slice(left, left + tile)
            # Where either is constant, as clipped sky is, the correlation of zeros has its peak anywhere.
            if min(np.ptp(reference_band[part]), np.ptp(moved_band[part])) < _CONTENT:
                continue
            y, x = _shift(reference_band[part] * window, moved_band[part] * window, 10)
            centre = left + (tile - 1) / 2, top + (tile - 1) / 2
            here.append(centre)
            there.append((centre[0] - x, centre[1] - y))
    if len(here) < _LEAST_SEEN:
        return fit, 0.0
    source, target = np.array(here), fit(np.array(there))
    # It warns where nothing agrees, which is an answer here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted: Any = ransac(
            (source, target), EuclideanTransform, min_samples=2, residual_threshold=_TOLERANCE, max_trials=200, rng=0
        )
    found, inliers = fitted
    if found is None or inliers is None or inliers.sum() < min(_FEWEST, len(source)):
        return fit, 0.0
    return found, float(inliers.mean())


def _starts(size: int, tile: int) -> list[int]:
    count = min(_MOST_TILES, max(2, size // tile))
    return [round(v) for v in np.linspace(0, size - tile, count)]
