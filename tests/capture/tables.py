"""Prints the tables of mkpn/capture/README.md: `python tests/capture/tables.py FOLDER [TABLE ...]`.

FOLDER holds photographs (the README's figures: every 8th of CBSD68). All noise and motion is synthetic, so that the
truth is known.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from capture_scenes import moved_scene, noisy, to_counts, write_dng
from PIL import Image
from skimage.transform import warp

import mkpn
import mkpn.capture.raw
from mkpn.capture.light import decode, encode, slope
from mkpn.capture.motion import Motion, bring, estimate_motion
from mkpn.capture.noise import estimate_noise
from mkpn.capture.residual import residual
from mkpn.synthesis.burst import NoisyBurst, rng_for, synthesize
from mkpn.synthesis.images import box_downsample, load_image, to_channels_first
from mkpn.synthesis.noise import GAINS, Noise

LEVELS = np.array([0.1, 0.3, 0.5, 0.8], np.float32)
EVERY = 8


def photographs(folder: Path) -> list[np.ndarray]:
    return [box_downsample(load_image(path), 2) for path in sorted(folder.glob("*.jpg"))[::EVERY]]


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    error = (np.clip(image, 0, 1) - clean)[:, 8:-8, 8:-8]
    return float(10 * np.log10(1 / np.mean(error**2)))


def row(name: str, values: Iterator[float] | list[float], form: str = "{:.2f}") -> None:
    print(f"| {name} | " + " | ".join(form.format(value) for value in values) + " |", flush=True)


def denoised(net: mkpn.Denoiser, frames: np.ndarray, std: np.ndarray) -> np.ndarray:
    tensors = (torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (frames, std))
    return net(NoisyBurst(**dict(zip(("frames", "noise_std"), tensors, strict=True)))).image.numpy()


def shifts(seed: int, reach: float, whole: bool) -> np.ndarray:
    moved = rng_for(seed).uniform(-reach, reach, (8, 2))
    moved[0] = 0
    return np.rint(moved) if whole else moved


def light_table(pictures: list[np.ndarray]) -> None:
    """Linear light against display values; noise in linear light, PSNR of display values."""
    net = mkpn.load("mkpn", device="cpu")
    for part in (0.01, 0.03, 0.1, 0.3, 1.0):
        for gain, full in GAINS.items():
            noise = Noise(full.sigma_r * part, full.sigma_s * part)
            found: dict[str, list[float]] = {"noisy": [], "linear": [], "display": []}
            for index, picture in enumerate(pictures):
                linear = decode(picture)
                clean = np.stack([moved_scene(linear, *s) for s in shifts(index, 2, True)])
                frames = noisy(clean.transpose(0, 3, 1, 2), noise, 100 * index + gain)
                truth = encode(to_channels_first(clean[0]))
                std = noise.std(frames[0])
                found["noisy"].append(psnr(encode(frames[0]), truth))
                found["linear"].append(psnr(encode(denoised(net, frames, std)), truth))
                found["display"].append(psnr(denoised(net, encode(frames), std * slope(frames[0])), truth))
            middle = float(noise.std(np.full(1, 0.18, np.float32))[0])
            row(f"{part:g} of gain {gain}: {middle:.4f}", [float(np.mean(v)) for v in found.values()])


def noise_table(pictures: list[np.ndarray]) -> None:
    """Errors of the estimated noise, and what they cost."""
    net = mkpn.load("mkpn", device="cpu")
    for motion in ("whole pixels", "sub-pixel", "whole pixels, 8-bit PNG", "whole pixels, JPEG 95"):
        for gain, noise in GAINS.items():
            errors: list[np.ndarray] = []
            cost: list[float] = []
            for index, picture in enumerate(pictures):
                moves = shifts(index, 2 if motion.startswith("whole") else 0.5, motion.startswith("whole"))
                clean = np.stack([moved_scene(picture, *s) for s in moves])
                frames = noisy(clean, noise, 100 * index + gain)
                if "," in motion:
                    frames = np.rint(frames.clip(0, 1) * 255) / np.float32(255)
                if "JPEG" in motion:
                    frames = np.stack([jpeg(frame) for frame in frames])
                aligned = np.stack(
                    [np.roll(f, (int(y), int(x)), (0, 1)) for f, (x, y) in zip(frames, np.rint(moves), strict=True)]
                )[:, 2:-2, 2:-2]
                found = [estimate_noise(aligned[..., c], *((0, 1) if "," in motion else ())) for c in range(3)]
                errors += [n.std(LEVELS) / noise.std(LEVELS) - 1 for n in found]
                planar = aligned.transpose(0, 3, 1, 2)
                truth = to_channels_first(clean[0][2:-2, 2:-2])
                right = psnr(denoised(net, planar, noise.std(planar[0])), truth)
                std = np.stack([n.std(v) for n, v in zip(found, planar[0], strict=True)])
                cost.append(psnr(denoised(net, planar, std), truth) - right)
            e = np.array(errors)
            row(
                f"{motion}, gain {gain}",
                [
                    100 * np.median(e),
                    100 * np.abs(e).mean(),
                    100 * np.percentile(np.abs(e), 95),
                    np.mean(cost),
                    min(cost),
                ],
            )


def jpeg(frame: np.ndarray) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        Image.fromarray(np.rint(frame * 255).astype(np.uint8)).save(file.name, quality=95)
        return load_image(file.name)


def motion_table(pictures: list[np.ndarray]) -> None:
    """Errors of measured motion, and PSNR with and without undoing it."""
    net = mkpn.load("mkpn", device="cpu")
    cases = [(0.0, 0.0), (0.0, 0.5), (0.0, 10.0), (0.25, 2.0), (0.5, 5.0), (1.0, 5.0), (2.0, 10.0), (4.0, 10.0)]
    for gain in (2, 8):
        noise = GAINS[gain]
        for degrees, reach in cases:
            ways: dict[str, list[float]] = {"left": [], "shift": [], "whole": [], "bilinear": []}
            wrong: list[float] = []
            for index, picture in enumerate(pictures):
                rng = rng_for(7, index)
                moves = shifts(index, reach, reach != 0.5)
                turns = rng.uniform(-degrees, degrees, 8) * (np.arange(8) > 0)
                clean = np.stack([moved_scene(picture, *m, t) for m, t in zip(moves, turns, strict=True)])
                frames = noisy(clean, noise, 100 * index + gain)
                height, width = frames.shape[1:3]
                motions = [estimate_motion(frames[0].mean(2), f.mean(2)) for f in frames]
                corner = np.array([[0.0, 0.0], [width, 0], [0, height], [width, height]])
                for found, m, t in zip(motions[1:], moves[1:], turns[1:], strict=True):
                    true = Motion(x=m[0], y=m[1], degrees=t, agreeing=1)
                    there, expected = (v.transform(height, width)(corner) for v in (found, true))
                    wrong.append(float(np.abs(there - expected).max()))
                edge = 24
                brought = {
                    "left": frames,
                    "shift": np.stack(
                        [np.roll(f, (round(m.y), round(m.x)), (0, 1)) for f, m in zip(frames, motions, strict=True)]
                    ),
                    "whole": np.stack([bring(f, m)[0] for f, m in zip(frames, motions, strict=True)]),
                    "bilinear": np.stack(
                        [
                            warp(f, m.transform(height, width), order=1, mode="edge") if i else f
                            for i, (f, m) in enumerate(zip(frames, motions, strict=True))
                        ]
                    ),
                }
                for way, values in brought.items():
                    planar = values[:, edge:-edge, edge:-edge].transpose(0, 3, 1, 2)
                    truth = to_channels_first(clean[0][edge:-edge, edge:-edge])
                    ways[way].append(psnr(denoised(net, planar, noise.std(planar[0])), truth))
            row(
                f"gain {gain}, turned up to {degrees:g}°, moved up to {reach:g}",
                [np.median(wrong), np.percentile(wrong, 95), *(float(np.mean(v)) for v in ways.values())],
            )


def frames_table(pictures: list[np.ndarray]) -> None:
    """Fewer than eight photographs, a moving object, and frames of another brightness."""
    net = mkpn.load("mkpn", device="cpu")
    for gain, noise in GAINS.items():
        found: dict[str, list[float]] = {}
        for index, picture in enumerate(pictures):
            clean = np.stack([moved_scene(picture, *s) for s in shifts(index, 1, True)]).transpose(0, 3, 1, 2)
            frames = noisy(clean, noise, 100 * index + gain)
            for count in (2, 3, 4, 6, 8):
                part = frames[[k % count for k in range(8)]]
                found.setdefault(f"{count} photographs", []).append(
                    psnr(denoised(net, part, noise.std(part[0])), clean[0])
                )
            for ratio in (0.98, 1.02, 1.05, 1.1, 1.2):
                other = clean.copy()
                other[1:] *= ratio
                part = noisy(other, noise, 100 * index + gain)
                found.setdefault(f"brightness {ratio:g}", []).append(
                    psnr(denoised(net, part, noise.std(part[0])), clean[0])
                )
        row(f"gain {gain}: " + ", ".join(found), [float(np.mean(v)) for v in found.values()])


def object_table(pictures: list[np.ndarray]) -> None:
    """A square of another photograph moves through the scene: the camera's motion, noise and PSNR."""
    net = mkpn.load("mkpn", device="cpu")
    for gain in (2, 8):
        noise = GAINS[gain]
        for side in (0, 32, 64):
            errors: list[float] = []
            level: list[float] = []
            inside: list[float] = []
            outside: list[float] = []
            for index, picture in enumerate(pictures):
                clean = np.stack([moved_scene(picture, *s) for s in shifts(index, 4, True)])
                thing = pictures[(index + 1) % len(pictures)][:side, :side]
                where = [(40 + 6 * k, 30 + 9 * k) for k in range(8)]
                for k, (top, left) in enumerate(where):
                    clean[k, top : top + side, left : left + side] = thing[
                        : clean.shape[1] - top, : clean.shape[2] - left
                    ]
                frames = noisy(clean, noise, 100 * index + gain)
                motions = [estimate_motion(frames[0].mean(2), f.mean(2)) for f in frames]
                errors += [
                    max(abs(m.x - s[0]), abs(m.y - s[1])) for m, s in zip(motions, shifts(index, 4, True), strict=True)
                ]
                aligned = np.stack([bring(f, m)[0] for f, m in zip(frames, motions, strict=True)])
                estimated = estimate_noise(aligned[:, 4:-4, 4:-4, 1])
                level.append(100 * float(np.abs(estimated.std(LEVELS) / noise.std(LEVELS) - 1).mean()))
                planar = aligned.transpose(0, 3, 1, 2)
                image = denoised(net, planar, noise.std(planar[0]))
                error = (image.clip(0, 1) - to_channels_first(clean[0])) ** 2
                mask = np.zeros(error.shape[1:], bool)
                mask[where[0][0] : where[0][0] + side, where[0][1] : where[0][1] + side] = True
                if side:
                    inside.append(-10 * np.log10(error[:, mask].mean()))
                mask[:8] = mask[-8:] = mask[:, :8] = mask[:, -8:] = True
                outside.append(-10 * np.log10(error[:, ~mask].mean()))
            row(
                f"gain {gain}, side {side}",
                [max(errors), np.mean(level), np.mean(inside) if inside else np.nan, np.mean(outside)],
            )


def residual_table(pictures: list[np.ndarray]) -> None:
    """What the residual says about good, blurred and lazy results, and about wrong noise."""
    net = mkpn.load("mkpn", device="cpu")
    from scipy.ndimage import gaussian_filter

    for gain, noise in GAINS.items():
        found: dict[str, list[list[float]]] = {}
        verdicts: dict[str, list[str]] = {}
        for index, picture in enumerate(pictures):
            burst = synthesize(picture, noise=noise, seed=index)
            image = net(burst).image
            wrong = Noise(noise.sigma_r * 1.5, noise.sigma_s * 2.25)
            results = {
                "MKPN": (image, noise),
                "KPN L1": (L1(burst).image, noise),
                "truth": (burst.clean, noise),
                "MKPN, blurred 0.7": (torch.from_numpy(gaussian_filter(image.numpy(), (0, 0.7, 0.7))), noise),
                "MKPN, blurred 1": (torch.from_numpy(gaussian_filter(image.numpy(), (0, 1, 1))), noise),
                "half of the noise left": ((image + burst.frames[0]) / 2, noise),
                "std overstated by half": (image, wrong),
                "std understated by a third": (image, Noise(noise.sigma_r / 1.5, noise.sigma_s / 2.25)),
            }
            for name, (result, assumed) in results.items():
                captured = SimpleNamespace(
                    frames=burst.frames,
                    residual_std=(7 / 8) ** 0.5,
                    expected_std=lambda v, n=assumed: n.std(v),
                    clips=((-np.inf, np.inf),) * 3,
                )
                report = residual(captured, result)
                found.setdefault(name, []).append([report.mean, report.std, report.neighbours])
                verdicts.setdefault(name, []).append(report.verdict().split(":")[0][:28])
        for name, values in found.items():
            v = np.array(values)
            said = {text: verdicts[name].count(text) for text in set(verdicts[name])}
            row(
                f"gain {gain}, {name}",
                [*v.mean(0), v[:, 1].min(), v[:, 1].max(), v[:, 2].min(), v[:, 2].max()],
                "{:.3f}",
            )
            print("   ", said)


def raw_table(_: list[np.ndarray]) -> None:
    """Noise after development: blocks of a Bayer sensor against LibRaw's demosaicing."""
    import rawpy

    noise = (2.5e-3, 6e-5)
    rng = np.random.default_rng(0)
    for level in (0.0, 0.02, 0.1, 0.3):
        flat = np.full((512, 512), level)
        sensor = flat + np.sqrt(noise[0] * flat + noise[1]) * rng.standard_normal(flat.shape)
        with tempfile.TemporaryDirectory() as folder:
            path = write_dng(Path(folder) / "a.dng", to_counts(sensor), neutral=(1.0, 1.0, 1.0), profile=noise)
            ours = mkpn.capture.raw.read_raw(path, 50)
            developed = {"blocks": ours.pixels}
            for name in ("LINEAR", "AHD"):
                with rawpy.imread(str(path)) as raw:
                    values = raw.postprocess(
                        demosaic_algorithm=rawpy.DemosaicAlgorithm[name],
                        gamma=(1, 1),
                        no_auto_bright=True,
                        output_bps=16,
                        output_color=rawpy.ColorSpace.raw,
                        user_wb=[1, 1, 1, 1],
                    )
                developed[name] = values.astype(np.float64) / 65535
        sigma = np.sqrt(noise[0] * level + noise[1])
        for name, values in developed.items():
            inner = values[8:-8, 8:-8].astype(np.float64)
            centred = inner - inner.mean((0, 1))
            next_to = [
                (centred[:, 1:, c] * centred[:, :-1, c]).mean() / (centred[..., c] ** 2).mean() for c in range(3)
            ]
            row(f"{level:g}, {name}", [inner.mean(), *(inner.std((0, 1)) / sigma), *next_to], "{:.3f}")


TABLES: dict[str, Callable[[list[np.ndarray]], None]] = {
    "raw": raw_table,
    "light": light_table,
    "noise": noise_table,
    "motion": motion_table,
    "frames": frames_table,
    "object": object_table,
    "residual": residual_table,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    L1 = mkpn.load("kpn-l1", device="cpu")
    chosen = photographs(Path(sys.argv[1]))
    for table in sys.argv[2:] or TABLES:
        print(f"\n{table}: {TABLES[table].__doc__}")
        TABLES[table](chosen)
