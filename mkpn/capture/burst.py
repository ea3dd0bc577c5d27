"""Photographs of one scene become a burst that the networks take: sizes, brightness, alignment, noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.capture.light import decode, encode, slope
from mkpn.capture.motion import Motion, bring, estimate_motion
from mkpn.capture.noise import estimate_noise
from mkpn.capture.raw import RawFrame, is_raw, read_raw
from mkpn.checks import choice, number, one_line, shown, whole
from mkpn.synthesis.burst import RIM, NoisyBurst, Surroundings
from mkpn.synthesis.datasets import SUFFIXES
from mkpn.synthesis.files import OWN_MEGAPIXELS, RAW_SUFFIXES
from mkpn.synthesis.images import MIN_SIDE, box_downsample, channels_first, conversion_notes, load_image
from mkpn.synthesis.noise import Noise
from mkpn.synthesis.writing import BURST_FACTS, RESIDUAL

FRAMES = 8
"""What the shipped networks take."""

BRIGHTNESS_TOLERANCE = 0.25
"""How far a frame's brightness may be from the reference's; more is refused, less is scaled."""

_UNEVEN = 0.005  # differences of brightness that are undone
_FAINT = 0.004  # standard deviation at middle grey below which no network helps; see the README
_QUIET = 0.02  # standard deviation at middle grey (0.18) below which display values denoise better; see the README
_MIDDLE_GREY = 0.18
_FEW_AGREE = 0.5
_CHANNELS = ("red", "green", "blue")
_BLOCK = 16  # pixels of the blocks whose brightness is compared
_LIT = 0.25  # of the mean brightness: darker blocks are not compared
_WHITE = 0.999  # of a channel's white; from there on it counts as clipped
_SMALLEST = MIN_SIDE + 2 * RIM
_REACH = 256  # pixels around a crop that are read, so that frames that have moved still fill it

Light = Literal["stored", "linear", "display"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CapturedBurst(NoisyBurst):
    """A burst of photographs: no ground truth, but what was measured on the way.

    Attributes:
        noise: Eq. 7's parameters of red, green and blue: of stored values for photographs, of linear light for raw
            files.
        noise_source: where they come from: `profile` (the raw file), `given` or `estimated`.
        light: what the frames hold: `stored` values of photographs; of raw files `linear` light, or `display` values.
        motions: of each photograph against the first, before it was undone.
        photographs: how many different ones there are; the frames repeat them in turn.
        matrix: `[3,3]` from the camera's colours to linear sRGB; None for photographs.
        clips: frame values of red, green and blue between which frame 0 is not clipped: `(low, high)` each.
        notes: what was done and what is doubtful, one sentence each.
    """

    noise: tuple[Noise, ...]
    noise_source: Literal["profile", "given", "estimated"]
    light: Light
    motions: tuple[Motion, ...]
    photographs: int
    matrix: NDArray[np.float32] | None
    clips: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]

    def expected_std(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the noise's standard deviation `[C,H,W]` that Eq. 7 gives for a scene of these frame values."""
        return torch.from_numpy(_std(image.numpy(), self.noise, self.light))

    @property
    def residual_std(self) -> float:
        """`sqrt(1 - 1/N)`: the residual's standard deviation that the plain mean of the N photographs leaves."""
        return math.sqrt(1 - 1 / self.photographs)

    def displayed(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the picture `[3,H,W]` to show for frame values `[3,H,W]`: sRGB for raw files, else as it is."""
        if self.matrix is None:
            return image
        values = image.numpy()
        linear = decode(values) if self.light == "display" else values
        # A sensor that is full says 1 in the channel that white balance leaves as it is, and more in the others: white
        # that has clipped would come out pink.
        return torch.from_numpy(encode(np.einsum("ij,jhw->ihw", self.matrix, np.minimum(linear, 1))))


def burst_files(folder: Path) -> list[Path]:
    """Lists the photographs in a folder, sorted by name; of a synthetic burst that was saved its frames.

    Raises:
        ValueError: if there is no such folder, nothing in it, or results of `denoise` beside the photographs.
    """
    if not folder.is_dir():
        raise ValueError(f"burst: expected a folder, got {folder}, which is none")
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (*SUFFIXES, *RAW_SUFFIXES) and path.is_file() and not path.name.startswith(".")
    )
    if (folder / BURST_FACTS).is_file():
        # Beside the frames lies the truth.
        files = [path for path in files if path.stem != "clean"]
    if not files:
        raise ValueError(f"burst: expected photographs or raw files in {folder}, got none")
    stems = {path.stem for path in files}
    for path in files:
        if path.stem.startswith(RESIDUAL) and {"noisy", path.stem.removeprefix(RESIDUAL)} <= stems:
            raise ValueError(
                f"burst: expected photographs only in {folder}, got results of denoise beside them, such as "
                f"{one_line(path.name)}; move them away, or name the photographs"
            )
    return files


def given_noise(sigma_r: float | None, sigma_s: float | None) -> Noise | Literal["auto"]:
    """Returns Eq. 7's parameters as `read_burst` takes them: `auto` where none is given.

    Raises:
        ValueError: if only one is given, or one is not in [0,1].
    """
    if sigma_r is None and sigma_s is None:
        return "auto"
    if sigma_r is None or sigma_s is None:
        raise ValueError("sigma_r and sigma_s: expected both or none of them, got one")
    return Noise(sigma_r, sigma_s)


def read_burst(
    paths: Sequence[str | Path],
    *,
    noise: Noise | Literal["auto", "estimate"] = "auto",
    light: Literal["auto", "linear", "display"] = "auto",
    downsample: int = 1,
    crop: int | None = None,
    tolerance: float = BRIGHTNESS_TOLERANCE,
    max_megapixels: float = OWN_MEGAPIXELS,
) -> CapturedBurst:
    """Reads 2 to 8 photographs of one scene as a burst; the first one is the reference.

    Frames are aligned by copying whole pixels (rotation and displacement), which leaves their noise as it is, and cut
    to what all of them show, less a rim of 8 pixels that only the networks see. Fewer than 8 are repeated in turn.

    Args:
        paths: photographs, whose values are used as stored, or raw files (extra `raw`); not both.
        noise: Eq. 7's parameters; `auto` takes the raw file's NoiseProfile if there is one and estimates otherwise.
            For raw files they are those of linear light between black and white after the first one's white balance.
            Given ones hold for the frames after downsampling.
        light: what the networks see of raw files. `auto` takes linear light, and display values where the noise at
            middle grey is below 0.02. Photographs are used as stored, and take `auto` only.
        downsample: box-downsampling factor; of raw files after their 2x2 blocks have become pixels.
        crop: longest side of the centred part that is kept, in pixels; all of it by default.
        tolerance: largest relative difference of brightness to the reference; frames within it are scaled.
        max_megapixels: largest photograph that is accepted.

    Raises:
        ValueError: if a file cannot be read, sizes or brightness differ, the frames have too little in common, or the
            noise cannot be estimated.
    """
    choice("light", light, ("auto", "linear", "display"))
    whole("downsample", downsample, 1)
    if crop is not None:
        whole("crop", crop, MIN_SIDE)
    number("tolerance", tolerance, 0, 10)
    if not isinstance(noise, Noise):
        choice("noise", noise, ("auto", "estimate"))
    if isinstance(paths, (str, Path)):
        raise ValueError(f"paths: expected a list of files, got the one path {one_line(str(paths))}")
    try:
        files = [Path(path) for path in paths]
    except TypeError as error:
        raise ValueError(f"paths: expected a list of files, got {shown(paths)}") from error
    names = _check(files)
    if light != "auto" and not is_raw(files[0]):
        raise ValueError("light: expected raw files, got photographs, whose values are used as stored")
    first = _read(files[0], downsample, crop, max_megapixels)
    if min(first.pixels.shape[:2]) < _SMALLEST:
        raise ValueError(
            f"{names[0]}: expected at least {_SMALLEST} pixels per side after downsampling, got {first.size}"
        )
    photographs = () if first.raw else zip(names, files, strict=True)
    notes = [f"{name}: {note}." for name, path in photographs for note in conversion_notes(path, max_megapixels)]
    later = (_read(path, downsample, crop, max_megapixels, first.raw) for path in files[1:])
    wide, motions, brightness = _aligned(names, first, later, crop, tolerance, notes)
    frames = wide[: len(files)]
    clips = _clips(first)
    found, source = _noise(first, frames, clips, brightness, noise, notes)
    # Scaling a frame scales its noise, and the value at which it clips: not before both have been looked at.
    for name, frame, ratio in zip(names, frames, brightness, strict=True):
        if ratio > 1:
            notes += _unclipped(name, frame, frames[0] * ratio, clips)
        frame /= ratio
    chosen = _light(first, found, light)
    if chosen == "display":
        for frame in frames:
            frame[...] = encode(frame)
        clips = [(low, float(encode(np.array(high)))) for low, high in clips]
    if _middle_std(found) < _FAINT:
        notes.append("The noise is so weak that the photograph itself may be closer to the scene than any result.")
    if len(files) < FRAMES:
        notes.insert(0, f"{len(files)} photographs are repeated in turn to fill {FRAMES} frames.")
    for index in range(len(files), FRAMES):
        wide[index] = wide[index % len(files)]
    seen, seen_std = torch.from_numpy(wide), torch.from_numpy(_std(frames[0], found, chosen))
    return CapturedBurst(
        frames=seen[..., RIM:-RIM, RIM:-RIM],
        noise_std=seen_std[..., RIM:-RIM, RIM:-RIM],
        surroundings=Surroundings(frames=seen, noise_std=seen_std, rim=RIM),
        noise=found,
        noise_source=source,
        light=chosen,
        motions=tuple(motions),
        photographs=len(files),
        matrix=first.raw.matrix if first.raw is not None else None,
        clips=tuple(clips),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Photograph:
    """`[H,W,3]` values, the size of all of the photograph, and what a raw file says about its noise."""

    pixels: NDArray[np.float32]
    size: str
    raw: RawFrame | None
    noise: tuple[Noise, ...] | None


_STILL = Motion(x=0, y=0, degrees=0, agreeing=1)


def _check(files: list[Path]) -> list[str]:
    if not 2 <= len(files) <= FRAMES:
        raise ValueError(f"burst: expected 2 to {FRAMES} photographs, got {len(files)}")
    where = [path.resolve() for path in files]
    twice = next((path for at, path in enumerate(files) if where[at] in where[:at]), None)
    if twice is not None:
        raise ValueError(f"burst: expected different photographs, got {one_line(twice.name)} twice")
    if len({is_raw(path) for path in files}) > 1:
        raise ValueError("burst: expected either photographs or raw files, got both")
    return [one_line(path.name) for path in files]


def _read(
    path: Path, downsample: int, crop: int | None, max_megapixels: float, reference: RawFrame | None = None
) -> _Photograph:
    # Automatic white balance differs from file to file: the reference's holds for all.
    raw = read_raw(path, max_megapixels, reference.white if reference else None) if is_raw(path) else None
    pixels = load_image(path, max_megapixels=max_megapixels) if raw is None else raw.pixels
    pixels = box_downsample(pixels, downsample)
    size = f"{pixels.shape[1]}x{pixels.shape[0]}"
    if crop is not None:
        pixels = pixels[_window(pixels.shape[:2], crop + 2 * _REACH)].copy()
    if raw is None or raw.noise is None:
        return _Photograph(pixels, size, raw, None)
    # The mean of f*f pixels keeps the slope of the variance and divides both of its parts by f*f.
    noise = tuple(Noise(n.sigma_r / downsample, n.sigma_s / downsample**2) for n in raw.noise)
    return _Photograph(pixels, size, raw, noise)


def _aligned(
    names: list[str],
    first: _Photograph,
    later: Iterable[_Photograph],
    crop: int | None,
    tolerance: float,
    notes: list[str],
) -> tuple[NDArray[np.float32], list[Motion], list[float]]:
    """Brings each later photograph to the first one; says in `notes` what was found.

    Returns:
        What all of them show, with its rim, as the first of eight frames `[N,3,H,W]`, of which the others are empty;
        each photograph's motion; and its brightness relative to the first, which is not undone yet.
    """
    window = _window(first.pixels.shape[:2], crop)
    kept, motions, brightness = [first.pixels[window]], [_STILL], [1.0]
    rows, columns = ([side] for side in window)
    luma = first.pixels.mean(axis=2)
    for name, photograph in zip(names[1:], later, strict=True):
        if photograph.size != first.size:
            raise ValueError(f"{name}: expected {first.size} pixels as {names[0]} has, got {photograph.size}")
        motion = estimate_motion(luma, photograph.pixels.mean(axis=2))
        moved, (row, column) = bring(photograph.pixels, motion)
        rows.append(row)
        columns.append(column)
        common = _common([window[0], row], 0), _common([window[1], column], 0)
        if min(side.stop - side.start for side in common) < _SMALLEST:
            raise ValueError(
                f"{name}: expected a photograph that shares at least {_SMALLEST} pixels per side with {names[0]}, got "
                f"one that has moved by {motion.x:.0f}, {motion.y:.0f} pixels"
            )
        ratio = _brightness(name, first.pixels[common], moved[common], tolerance)
        if abs(ratio - 1) > _UNEVEN:
            notes.append(f"{name} has {ratio:.1%} of the first photograph's brightness and is scaled to it.")
        else:
            ratio = 1.0
        brightness.append(ratio)
        notes += _told(name, motion)
        kept.append(moved[window])
        motions.append(motion)
    inner = _common(rows, window[0].start), _common(columns, window[1].start)
    if min(side.stop - side.start for side in inner) < _SMALLEST:
        raise ValueError(f"burst: expected photographs that share at least {_SMALLEST} pixels per side, got less")
    wide = np.empty((FRAMES, 3, *(side.stop - side.start for side in inner)), np.float32)
    # Each photograph goes as soon as it is in its place: twelve megapixels take 144 MB.
    for frame in wide[: len(kept)]:
        frame[...] = channels_first(kept.pop(0)[inner])
    return wide, motions, brightness


def _light(first: _Photograph, noise: tuple[Noise, ...], wanted: Literal["auto", "linear", "display"]) -> Light:
    """What the frames are to hold."""
    if first.raw is None:
        return "stored"
    if wanted != "auto":
        return wanted
    return "display" if _middle_std(noise) < _QUIET else "linear"


def _clips(first: _Photograph) -> list[tuple[float, float]]:
    # A raw file's black lies above zero counts, so that it clips at white only.
    return [(0.0, 1.0)] * 3 if first.raw is None else [(-np.inf, _WHITE * white) for white in first.raw.white]


def _noise(
    first: _Photograph,
    frames: NDArray[np.float32],
    clips: list[tuple[float, float]],
    brightness: list[float],
    noise: Noise | Literal["auto", "estimate"],
    notes: list[str],
) -> tuple[tuple[Noise, ...], Literal["profile", "given", "estimated"]]:
    if isinstance(noise, Noise):
        return (noise,) * 3, "given"
    if noise == "auto" and first.noise is not None:
        return first.noise, "profile"
    found: dict[str, Noise] = {}
    refused: list[ValueError] = []
    for channel, name in enumerate(_CHANNELS):
        try:
            found[name] = estimate_noise(frames[:, channel], *clips[channel], brightness)
        except ValueError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    # A channel that is clipped everywhere shows no noise of its own, as red does under a red lamp.
    other = next(iter(found))
    notes += [
        f"The noise of {name} cannot be estimated, because too little of it is not clipped: that of {other} is used."
        for name in _CHANNELS
        if name not in found
    ]
    return tuple(found.get(name, found[other]) for name in _CHANNELS), "estimated"


def _middle_std(noise: tuple[Noise, ...]) -> float:
    middle = np.full(1, _MIDDLE_GREY, np.float32)
    return max(float(n.std(middle)[0]) for n in noise)


def _std(values: NDArray[np.float32], noise: tuple[Noise, ...], light: Light) -> NDArray[np.float32]:
    linear = decode(values) if light == "display" else values
    std = np.stack([n.std(channel) for n, channel in zip(noise, linear, strict=True)])
    return std * slope(linear) if light == "display" else std


def _brightness(name: str, reference: NDArray[np.float32], frame: NDArray[np.float32], tolerance: float) -> float:
    """Compares the means of blocks, of which what moves by itself is a minority."""
    of_reference, of_frame = (box_downsample(p, _BLOCK).mean(axis=2) for p in (reference, frame))
    lit = of_reference > _LIT * of_reference.mean()
    ratio = float(np.median(of_frame[lit] / of_reference[lit])) if lit.any() else 1.0
    if abs(ratio - 1) > tolerance:
        raise ValueError(
            f"{name}: expected the brightness of the first photograph within {tolerance:.0%}, got {ratio:.1%} of it"
        )
    return ratio


def _unclipped(
    name: str, frame: NDArray[np.float32], reference: NDArray[np.float32], clips: list[tuple[float, float]]
) -> list[str]:
    """Puts the reference, scaled to a brighter frame, where that frame has clipped: scaled back it would be too dark.

    Returns:
        A sentence where that is more than a thousandth of the frame.
    """
    high = np.array([high for _, high in clips], np.float32)[:, None, None]
    clipped = frame >= high
    np.copyto(frame, reference, where=clipped)
    share = float(clipped.any(0).mean())
    return [f"{name}: {share:.1%} has clipped and is taken from the first photograph."] if share > 1e-3 else []


def _told(name: str, motion: Motion) -> list[str]:
    notes: list[str] = []
    moved = bool(motion.degrees or round(motion.x) or round(motion.y))
    if moved:
        turned = f" and turned by {motion.degrees:.2f}°" if motion.degrees else ""
        notes.append(
            f"{name} has moved by {round(motion.x)}, {round(motion.y)} pixels{turned}: undone by copying pixels."
        )
    if motion.agreeing < _FEW_AGREE:
        left = "" if moved or motion.agreeing else ", so it is used where it lies"
        notes.append(
            f"{name}: only {motion.agreeing:.0%} of its tiles agree with one motion of the whole picture{left}; "
            "where they do not, the networks mostly leave the frame out."
        )
    return notes


def _window(shape: tuple[int, ...], crop: int | None) -> tuple[slice, slice]:
    sides = [min(side, crop + 2 * RIM if crop else side) for side in shape]
    starts = [(whole - side) // 2 for whole, side in zip(shape, sides, strict=True)]
    return slice(starts[0], starts[0] + sides[0]), slice(starts[1], starts[1] + sides[1])


def _common(spans: list[slice], origin: int) -> slice:
    """The intersection of spans, counted from an origin."""
    return slice(max(span.start for span in spans) - origin, min(span.stop for span in spans) - origin)
