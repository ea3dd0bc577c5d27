"""Files become a burst: photographs and DNGs, order, alignment, repeats, refusals; what networks and residual say."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from capture_scenes import moved_scene, noisy
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

import mkpn
from mkpn.capture.burst import _brightness, _clips, _noise, _Photograph, burst_files, read_burst
from mkpn.capture.light import decode, encode, slope
from mkpn.capture.raw import RawFrame
from mkpn.capture.residual import residual
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.burst import RIM
from mkpn.synthesis.noise import GAINS, Noise
from mkpn.synthesis.writing import write_picture

MOVES = [(0, 0), (2, -1), (-3, 2), (5, 4)]
INNER = slice(4 + RIM, -1 - RIM), slice(5 + RIM, -3 - RIM)
"""What all frames show, without the rim that only the networks see."""


@pytest.fixture(scope="module")
def scene(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    return photo[:200, 100:330].astype(np.float32) / 255


def write(folder: Path, pictures: list[NDArray[Any]]) -> list[Path]:
    paths = [folder / f"{index}.png" for index in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(np.rint(picture.clip(0, 1) * 255).astype(np.uint8)).save(path)
    return paths


def photographs(folder: Path, scene: NDArray[np.float32], noise: Noise = GAINS[2]) -> list[Path]:
    return write(folder, [noisy(moved_scene(scene, x, y), noise, seed) for seed, (x, y) in enumerate(MOVES)])


def test_photographs_are_aligned_cut_and_repeated(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    burst = read_burst(photographs(tmp_path, scene), noise=GAINS[2])
    assert [(round(m.x), round(m.y)) for m in burst.motions] == MOVES
    height, width = 200 - 64 - 5 - 16, 230 - 64 - 8 - 16
    assert burst.frames.shape == (8, 3, height, width)
    assert torch.equal(burst.frames[:4], burst.frames[4:])
    clean = torch.from_numpy(moved_scene(scene)[INNER].transpose(2, 0, 1).copy())
    for frame in burst.frames:
        error = (frame - clean) / burst.expected_std(clean)
        assert error.std() == pytest.approx(1, abs=0.1)  # 1.5 and more where a frame is off by a pixel
    assert burst.surroundings is not None
    assert burst.surroundings.frames.shape == (8, 3, height + 2 * RIM, width + 2 * RIM)
    assert torch.allclose(burst.noise_std, GAINS[2].std(burst.frames[0]))
    assert burst.photographs == 4
    assert burst.light == "stored"
    assert burst.notes[0] == "4 photographs are repeated in turn to fill 8 frames."
    assert burst.notes[1] == "1.png has moved by 2, -1 pixels: undone by copying pixels."
    assert burst.displayed(clean) is clean


def test_a_photograph_that_is_given_twice_is_named(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    first, second = photographs(tmp_path, scene)[:2]
    with pytest.raises(ValueError, match=f"expected different photographs, got {second.name} twice"):
        read_burst([first, second, second])
    # A name is a sequence of letters, too.
    with pytest.raises(ValueError, match=f"^paths: expected a list of files, got the one path .*{first.name}$"):
        read_burst(str(first))
    with pytest.raises(ValueError, match=r"^paths: expected a list of files, got None$"):
        read_burst(None)  # pyright: ignore[reportArgumentType]


def test_what_has_no_effect_or_no_sense_is_refused(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = photographs(tmp_path, scene)[:2]
    with pytest.raises(ValueError, match=r"^light: expected raw files, got photographs, whose values are used as"):
        read_burst(paths, light="linear")
    burst = read_burst(paths, noise=GAINS[2])
    with pytest.raises(ValueError, match=r"^image: expected a tensor, got array"):
        residual(burst, burst.frames[0].numpy())  # pyright: ignore[reportArgumentType]


def test_photographs_are_held_twice_at_most(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    """Measured: 2.2 times the burst; 3.4 when the photographs were stacked and then copied into their turns."""
    paths = write(tmp_path, [noisy(scene, GAINS[2], seed) for seed in range(8)])
    read_burst(paths[:2], noise=GAINS[2])
    tracemalloc.start()
    burst = read_burst(paths, noise=GAINS[2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert burst.surroundings is not None
    assert peak < 2.7 * burst.surroundings.frames.nbytes


def test_noise_is_estimated_where_nothing_is_known(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    burst = read_burst(photographs(tmp_path, scene))
    assert burst.noise_source == "estimated"
    levels = np.array([0.2, 0.5], np.float32)
    for noise in burst.noise:
        assert np.abs(noise.std(levels) / GAINS[2].std(levels) - 1).max() < 0.15


def test_a_channel_that_is_clipped_has_the_noise_of_another(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    bright = scene.copy()
    bright[..., 0] = 2
    burst = read_burst(photographs(tmp_path, bright))
    assert burst.noise[0] == burst.noise[1] != burst.noise[2]
    (note,) = (note for note in burst.notes if "estimated" in note)
    assert note.startswith("The noise of red cannot be estimated")
    assert note.endswith("that of green is used.")
    with pytest.raises(ValueError, match=r"^noise: expected at least 400 pixels"):
        read_burst(write(tmp_path, [np.ones((100, 100, 3))] * 2))


@pytest.mark.parametrize("side", [64, 66])
def test_small_stills_tell_their_noise(tmp_path: Path, scene: NDArray[np.float32], side: int) -> None:
    still = scene[40 : 40 + side, 40 : 40 + side]
    burst = read_burst(write(tmp_path, [noisy(still, GAINS[4], seed) for seed in range(3)]))
    level = np.array([0.5], np.float32)
    assert [noise.std(level)[0] / GAINS[4].std(level)[0] for noise in burst.noise] == pytest.approx([1] * 3, abs=0.25)


def test_small_photographs_are_refused_by_their_size(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = write(tmp_path, [scene[:63, :80]] * 2)
    with pytest.raises(ValueError, match=r"^0\.png: expected at least 64 pixels per side .* got 80x63$"):
        read_burst(paths, noise=GAINS[1])


def test_what_reading_changes_is_told(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    """16 bits of a colour PNG are not kept: Pillow reads eight of them."""
    pictures = [torch.from_numpy(scene.transpose(2, 0, 1).copy())] * 2
    paths = [write_picture(tmp_path, str(index), picture, "png16") for index, picture in enumerate(pictures)]
    assert "0.png: 16-bit colour, read at 8 bits per channel." in read_burst(paths, noise=GAINS[1]).notes


def test_weak_noise_is_told(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = photographs(tmp_path, scene)
    assert any("so weak" in note for note in read_burst(paths, noise=Noise(0.003, 1e-5)).notes)
    assert not any("so weak" in note for note in read_burst(paths, noise=Noise(0.004, 1e-5)).notes)


def test_crop_and_downsample(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = photographs(tmp_path, scene)
    whole, part = read_burst(paths, noise=GAINS[2]), read_burst(paths, noise=GAINS[2], crop=64)
    assert part.frames.shape == (8, 3, 64, 64)
    # The crop is centred in the reference, of which the common part starts at (4, 5), and what is shown at (12, 13).
    assert torch.equal(part.frames, whole.frames[..., 36 - 12 : 100 - 12, 51 - 13 : 115 - 13])
    assert read_burst(paths, noise=GAINS[2], downsample=2).frames.shape[-1] in (79 - 16, 80 - 16)


def test_a_crop_of_large_photographs_is_the_same(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    large = np.pad(scene, ((300, 320), (290, 340), (0, 0)), mode="reflect")
    paths = write(tmp_path, [noisy(moved_scene(large, x, y), GAINS[1], 0) for x, y in MOVES[:3]])
    part = read_burst(paths, noise=GAINS[1], crop=64)
    assert part.frames.shape == (8, 3, 64, 64)
    # Only the middle 592 pixels of 756 have been read.
    pixels = mkpn.load_image(paths[0])
    top, left = (pixels.shape[0] - 80) // 2 + 8, (pixels.shape[1] - 80) // 2 + 8
    assert np.array_equal(part.frames[0], pixels[top : top + 64, left : left + 64].transpose(2, 0, 1))
    assert [(round(m.x), round(m.y)) for m in part.motions] == MOVES[:3]


def test_a_network_takes_it_and_removes_noise(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    moved = [moved_scene(scene, x, y) for x, y in [*MOVES, *MOVES]]
    burst = read_burst(write(tmp_path, [noisy(p, GAINS[4], seed) for seed, p in enumerate(moved)]))
    result = mkpn.load("mkpn", device="cpu")(burst)
    assert result.burst is burst
    report = residual(burst, result.image)
    assert report.verdict() == "What was removed looks like the noise that is expected."
    assert report.std == pytest.approx(0.95, abs=0.06)
    clean = torch.from_numpy(moved_scene(scene)[INNER].transpose(2, 0, 1).copy())
    assert mkpn.psnr(result.image.clamp(0, 1), clean) > mkpn.psnr(burst.frames[0].clamp(0, 1), clean) + 7


def test_a_turned_photograph_is_mended(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    moved = [moved_scene(scene), moved_scene(scene, 1, 2, 1.5)]
    burst = read_burst(write(tmp_path, [noisy(p, GAINS[2], seed) for seed, p in enumerate(moved)]), noise=GAINS[2])
    assert burst.motions[1].degrees == pytest.approx(1.5, abs=0.15)
    assert "turned by 1." in burst.notes[1]
    difference = (burst.frames[1] - burst.frames[0]).std()
    assert difference < 2 * burst.noise_std.mean()


def test_brightness_is_evened_told_and_refused(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    clean = moved_scene(scene)
    pictures = [noisy(p, GAINS[1], i) for i, p in enumerate((0.8 * clean, 0.84 * clean, 0.8 * clean, 0.5 * clean))]
    paths = write(tmp_path, pictures)
    burst = read_burst(paths[:3], noise=GAINS[1])
    (note,) = (note for note in burst.notes if "brightness" in note)
    assert note.startswith("1.png has 105.")
    level = burst.frames[:3].mean(dim=(1, 2, 3))
    assert (level / level[0]).numpy() == pytest.approx(1, abs=0.003)
    with pytest.raises(ValueError, match=r"^3\.png: expected the brightness .* within 25%, got 6\d\.\d% of it$"):
        read_burst([paths[0], paths[3]], noise=GAINS[1])


def test_what_a_brighter_frame_has_clipped_is_taken_from_the_first(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    clean = 0.6 * moved_scene(scene)
    clean[40:80, 40:80] = 0.97
    paths = write(tmp_path, [noisy(clean, Noise(0.01, 0), 0), noisy(1.2 * clean, Noise(0.01, 0), 1)])
    burst = read_burst(paths, noise=Noise(0.01, 0))
    inner = slice(45 - RIM, 75 - RIM)
    for frame in burst.frames[:2]:
        assert frame[:, inner, inner].mean().item() == pytest.approx(0.97, abs=0.01)
    assert any(note.startswith("1.png: ") and "has clipped" in note for note in burst.notes)
    assert not any("clipped" in note for note in read_burst(paths[::-1], noise=Noise(0.01, 0)).notes)


def test_what_reading_changes_is_told_of_every_photograph(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = write(tmp_path, [scene, scene])
    for path in paths:
        Image.open(path).convert("L").save(path)
    notes = read_burst(paths, noise=GAINS[1]).notes
    assert sum("grey" in note for note in notes) == 2


@pytest.mark.parametrize("brightness", [0.78, 1.2])
def test_noise_is_that_of_the_reference_as_stored(
    tmp_path: Path, scene: NDArray[np.float32], brightness: float
) -> None:
    """Where the other frames are brighter, a part of them is white and says nothing of noise."""
    clean, noise = 0.9 * moved_scene(scene), Noise(0.03, 0)
    paths = write(tmp_path, [noisy(clean, noise, 0), *(noisy(brightness * clean, noise, i) for i in range(1, 8))])
    burst = read_burst(paths)
    assert [note[:5] for note in burst.notes if "brightness" in note] == [f"{i}.png" for i in range(1, 8)]
    assert burst.noise_std.mean().item() == pytest.approx(0.03, rel=0.05)
    level = burst.frames.mean(dim=(1, 2, 3))
    assert (level / level[0]).numpy() == pytest.approx(1, abs=0.02)
    truth = torch.from_numpy(clean[RIM:-RIM, RIM:-RIM].transpose(2, 0, 1).copy())
    assert residual(burst, truth).std == pytest.approx(1, abs=0.05)


def test_notes_are_one_line_whatever_the_names(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = photographs(tmp_path, scene)[:2]
    odd = paths[1].rename(tmp_path / "a\nb.png")
    Image.open(odd).convert("L").save(odd)
    notes = read_burst([paths[0], odd], noise=GAINS[2]).notes
    assert [note.startswith("a\ufffdb.png") for note in notes] == [False, True, True, True]
    assert all(note.isprintable() for note in notes)


def test_another_scene_is_told(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    first = moved_scene(scene)
    burst = read_burst(write(tmp_path, [first, first, 1 - first[::-1]]), noise=GAINS[1], tolerance=9)
    assert any("2.png: only" in note and "agree with one motion" in note for note in burst.notes)
    assert not any("1.png" in note for note in burst.notes)


def test_a_burst_in_a_folder_may_have_hidden_files_beside_it(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    for name in ("b.png", "a.png"):
        Image.fromarray(photo[:64, :64]).save(tmp_path / name)
    (tmp_path / "._a.png").write_bytes(b"what a Mac leaves on a card")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in burst_files(tmp_path)] == ["a.png", "b.png"]


def test_bad_bursts_are_refused(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    paths = photographs(tmp_path, scene)
    with pytest.raises(ValueError, match=r"^burst: expected 2 to 8 photographs, got 1$"):
        read_burst(paths[:1])
    with pytest.raises(ValueError, match=r"^burst: expected 2 to 8 photographs, got 9$"):
        read_burst([*paths, *paths, paths[0]])
    with pytest.raises(ValueError, match=r"^burst: expected different photographs"):
        read_burst([paths[0], paths[0]])
    with pytest.raises(ValueError, match=r"^burst: expected either photographs or raw files, got both$"):
        read_burst([paths[0], tmp_path / "a.dng"])
    with pytest.raises(ValueError, match=r"^none\.png: expected an image file"):
        read_burst([paths[0], tmp_path / "none.png"])
    pair = write(tmp_path, [scene[:70, :70], scene[20:90, 20:90]])
    with pytest.raises(ValueError, match=r"^1\.png: expected a photograph that shares at least 64 pixels per side"):
        read_burst(pair, noise=GAINS[1], tolerance=9)
    photographs(tmp_path, scene)
    (other,) = write(tmp_path / "..", [scene])
    with pytest.raises(ValueError, match=r"^0\.png: expected 166x136 pixels as 1\.png has, got 230x200$"):
        read_burst([paths[1], other])
    with pytest.raises(ValueError, match=r"^crop: expected a whole number, 48 or more, got 20$"):
        read_burst(paths, crop=20)
    with pytest.raises(ValueError, match=r"^burst: expected a folder"):
        burst_files(paths[0])
    assert burst_files(tmp_path) == paths


def test_curve_and_its_slope() -> None:
    linear = np.linspace(-0.2, 1.5, 1001)
    assert np.abs(decode(encode(linear)) - linear).max() < 1e-7
    assert np.abs((encode(linear + 1e-7) - encode(linear - 1e-7)) / 2e-7 - slope(linear)).max() < 2e-4
    assert encode(np.array([0.5])) == pytest.approx(0.735357, abs=1e-6)  # IEC 61966-2-1


UNCLIPPED = (-np.inf, np.inf)


def fake(frames: torch.Tensor, noise: Noise, count: int = 8, clips: tuple[float, float] = UNCLIPPED) -> Any:
    std = np.sqrt(1 - 1 / count)
    return SimpleNamespace(frames=frames, residual_std=std, expected_std=noise.std, clips=(clips,) * 3)


def test_the_residual_of_the_truth_is_white_noise(scene: NDArray[np.float32]) -> None:
    burst = mkpn.synthesize(scene, gain=4, seed=0)
    report = residual(fake(burst.frames, burst.noise), burst.clean)
    assert report.mean == pytest.approx(0, abs=0.01)
    assert report.std == pytest.approx(1, abs=0.01)
    assert report.expected == pytest.approx(np.sqrt(7 / 8))
    assert report.autocorrelation[4, 4] == 1
    assert np.abs(np.delete(report.autocorrelation.ravel(), 40)).max() < 0.02
    assert np.array_equal(report.autocorrelation, report.autocorrelation[::-1, ::-1])
    middles = (report.edges[:-1] + report.edges[1:]) / 2
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    assert np.abs(report.density - normal).max() < 0.02
    assert np.abs(report.level_std - 1).max() < 0.03


@pytest.mark.parametrize("count", range(2, 9))
def test_the_truth_passes_for_every_number_of_photographs(scene: NDArray[np.float32], count: int) -> None:
    for gain in (1, 8):
        burst = mkpn.synthesize(scene, gain=gain, seed=0)
        report = residual(fake(burst.frames, burst.noise, count), burst.clean)
        assert report.verdict() == "What was removed looks like the noise that is expected."
        still = np.stack([noisy(burst.clean.numpy(), burst.noise, seed) for seed in range(count)])
        frames = torch.from_numpy(still)
        assert residual(fake(frames, burst.noise, count), frames.mean(0)).verdict() == report.verdict()


@pytest.mark.parametrize("clips", [(0.0, 1.0), (-np.inf, 1.0)], ids=["photograph", "raw"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_clipped_places_say_nothing_of_noise(
    scene: NDArray[np.float32], share: float, clips: tuple[float, float]
) -> None:
    """They have less noise than Eq. 7 gives; counted, they made "noise is left" of the truth."""
    clean = 0.7 * scene.transpose(2, 0, 1) + 0.1
    rows = round(share * clean.shape[1])
    clean[:, :rows] = 1.4
    clean[:, rows : rows + 10] = 0
    frame = torch.from_numpy(noisy(clean, GAINS[4], 0).clip(*clips))[None]
    truth = torch.from_numpy(clean).clamp(max=1)
    report = residual(fake(frame, GAINS[4], clips=clips), truth)
    assert report.verdict() == "What was removed looks like the noise that is expected."
    assert report.std == pytest.approx(1, abs=0.03)
    assert np.abs(np.delete(report.autocorrelation.ravel(), 40)).max() < 0.03
    assert np.abs(report.level_std - 1).max() < 0.1
    dark = 10 * clean.shape[2] / clean[0].size
    assert report.judged == pytest.approx(1 - share - (dark if clips[0] == 0 else 0), abs=0.1)


def test_where_all_is_clipped_nothing_can_be_said() -> None:
    white = torch.ones(1, 3, 64, 64)
    report = residual(fake(white, GAINS[4], clips=(0, 1)), white[0])
    assert report.judged == 0
    assert report.verdict() == "Nearly everything is clipped: nothing tells whether what was removed is noise."
    assert np.isfinite([report.mean, report.std, report.neighbours]).all()


def test_the_residual_tells_what_went_wrong(scene: NDArray[np.float32]) -> None:
    burst = mkpn.synthesize(scene, gain=1, seed=0)
    noise, truth = burst.noise, burst.clean
    blurred = torch.from_numpy(gaussian_filter(truth.numpy(), (0, 1, 1)))
    assert residual(fake(burst.frames, noise), blurred).verdict().startswith("More was removed")
    lazy = (truth + burst.frames[0]) / 2
    assert residual(fake(burst.frames, noise), lazy).verdict().startswith("Less was removed")
    rng = np.random.default_rng(0)
    related = gaussian_filter(rng.standard_normal(truth.shape), (0, 0.6, 0.6))
    smooth = truth + noise.std(truth) * torch.from_numpy(related / related.std()).float()
    report = residual(fake(smooth[None], noise), truth)
    assert report.verdict().startswith("What was removed has structure")
    assert report.neighbours == pytest.approx(np.exp(-1 / (4 * 0.6**2)), abs=0.08)
    wrong = Noise(noise.std(truth).square().mean().sqrt().item(), 0)
    slopes = [
        np.polyfit(r.levels, r.level_std, 1)[0]
        for r in (residual(fake(burst.frames, wrong), truth), residual(fake(burst.frames, noise), truth))
    ]
    assert slopes[0] > 0.5
    assert abs(slopes[1]) < 0.1


def test_a_residual_needs_the_burst_s_image(scene: NDArray[np.float32]) -> None:
    burst = mkpn.synthesize(scene, gain=1)
    with pytest.raises(ValueError, match=r"^image: expected \[3, 168, 198\], got \[3, 168, 100\]$"):
        residual(fake(burst.frames, burst.noise), burst.clean[..., :100])
    with pytest.raises(ValueError, match=r"^image: expected sides of 32 or more"):
        residual(fake(burst.frames[..., :20], burst.noise), burst.clean[..., :20])
    with pytest.raises(ValueError, match=r"^image: expected finite values, got NaN or infinity$"):
        residual(fake(burst.frames, burst.noise), torch.full_like(burst.clean, torch.nan))


def test_a_raw_file_clips_at_its_white() -> None:
    """Where a sensor is full there is no noise: such places say nothing of it, though half of the picture is white."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 2, 256, dtype=np.float32) * np.ones((192, 1), np.float32)
    values = np.minimum(ramp + 0.02 * rng.standard_normal((4, 3, *ramp.shape), dtype=np.float32), 1)
    raw = RawFrame(
        pixels=values[0].transpose(1, 2, 0), noise=None, white=(1.0, 1.0, 1.0), matrix=np.eye(3, dtype=np.float32)
    )
    first = _Photograph(raw.pixels, "256x192", raw, None)
    found, source = _noise(first, values, _clips(first), [1.0] * 4, "auto", [])
    assert source == "estimated"
    for noise in found:
        assert noise.std(np.full(1, 0.5, np.float32))[0] == pytest.approx(0.02, rel=0.1)


def test_darkness_says_nothing_of_brightness() -> None:
    """Three quarters of both pictures are black with noise about it: the ratio is that of what is lit."""
    rng = np.random.default_rng(0)
    reference = np.zeros((128, 128, 3), np.float32)
    reference[:, 96:] = 0.5
    frame = 1.1 * reference
    for picture in (reference, frame):
        picture += 0.01 * rng.standard_normal(picture.shape, dtype=np.float32)
    assert _brightness("a", reference, frame, 0.25) == pytest.approx(1.1, abs=0.01)
    with pytest.raises(
        ValueError, match=r"a: expected the brightness of the first photograph within 5%, got 110.0% of it"
    ):
        _brightness("a", reference, frame, 0.05)


def test_raw_bursts(tmp_path: Path, scene: NDArray[np.float32], mkpn_network: KernelPredictionNetwork) -> None:
    pytest.importorskip("rawpy")
    pytest.importorskip("tifffile")
    from capture_scenes import NEUTRAL, mosaic, to_counts, write_dng

    linear = decode(scene) * np.array(NEUTRAL, np.float32)  # as a camera sees it, before white balance
    for part, light in ((1.0, "linear"), (0.03, "display")):
        slope_, offset = part * GAINS[2].sigma_s, (part * GAINS[2].sigma_r) ** 2
        sensor = Noise(offset**0.5, slope_)
        paths = []
        for index, (x, y) in enumerate(MOVES):
            counts = to_counts(noisy(mosaic(moved_scene(linear, x, y)), sensor, index))
            paths.append(write_dng(tmp_path / f"{index}.dng", counts, profile=(slope_, offset)))
        burst = read_burst(paths)
        assert (burst.noise_source, burst.light) == ("profile", light)
        assert [(round(m.x), round(m.y)) for m in burst.motions] == MOVES
        values = moved_scene(decode(scene))[INNER].transpose(2, 0, 1).copy()
        clean = torch.from_numpy(encode(values) if light == "display" else values)
        # Where it is very dark the curve is bent within the noise.
        lit = clean > (0.3 if light == "display" else 0)
        error = ((burst.frames[0] - clean) / burst.expected_std(clean))[lit]
        assert error.mean() == pytest.approx(0, abs=0.05)
        assert error.std() == pytest.approx(1, abs=0.05)
        estimated = read_burst(paths, noise="estimate")
        assert estimated.noise_source == "estimated"
        levels = np.array([0.1, 0.3, 0.6], np.float32)
        for found, true in zip(estimated.noise, burst.noise, strict=True):
            assert np.abs(found.std(levels) / true.std(levels) - 1).max() < 0.15
        assert burst.displayed(clean).shape == clean.shape
        white = np.array([2, 1, 1.25])
        high = encode(white) if light == "display" else white
        assert [low for low, _ in burst.clips] == [-np.inf] * 3
        assert [end for _, end in burst.clips] == pytest.approx(high, rel=2e-3)
        assert mkpn.Denoiser(mkpn_network, "cpu")(burst).image.shape == clean.shape
        halved = read_burst(paths, downsample=2)
        assert halved.noise[0].sigma_s == pytest.approx(burst.noise[0].sigma_s / 4)


def test_raw_files_get_the_first_one_s_white_balance(tmp_path: Path, scene: NDArray[np.float32]) -> None:
    """A camera that balances white by itself writes other factors into each file of the same light."""
    pytest.importorskip("rawpy")
    pytest.importorskip("tifffile")
    from capture_scenes import NEUTRAL, mosaic, to_counts, write_dng

    linear = decode(scene) * np.array(NEUTRAL, np.float32)
    linear[:40] = 1  # clipped
    noise = GAINS[2]
    sensor = [to_counts(noisy(mosaic(linear), noise, seed).clip(max=1)) for seed in range(4)]

    def burst(*others: tuple[float, ...]) -> mkpn.CapturedBurst:
        paths = [
            write_dng(tmp_path / f"{index}.dng", counts, neutral=neutral)
            for index, (counts, neutral) in enumerate(zip(sensor, (NEUTRAL, *others), strict=True))
        ]
        return read_burst(paths)

    found, expected = burst((0.6, 1, 0.6), (0.52, 1, 0.768), (0.9, 1, 1)), burst(*[NEUTRAL] * 3)
    assert torch.equal(found.frames, expected.frames)
    assert (found.noise, found.notes) == (expected.noise, expected.notes)
    assert not any("brightness" in note for note in found.notes)
    levels = np.array([0.1, 0.3, 0.5], np.float32)
    for channel, greens in enumerate((1, 2, 1)):
        gain = 1 / NEUTRAL[channel]
        true = gain * noise.std(levels / np.float32(gain)) / greens**0.5
        assert np.abs(found.noise[channel].std(levels) / true - 1).max() < 0.15


SEEN_BY = {
    "sRGB": np.eye(3),
    "overlapping colours": np.array([[0.7, 0.25, 0.05], [0.2, 0.7, 0.1], [0.05, 0.3, 0.65]]),
}
"""From linear sRGB to what a camera sees of it, before its neutral."""


@pytest.mark.parametrize("light", ["linear", "display"])
@pytest.mark.parametrize("camera", SEEN_BY)
def test_raw_pictures_are_shown_in_the_scene_s_colours(
    tmp_path: Path, camera: str, light: Literal["linear", "display"]
) -> None:
    pytest.importorskip("rawpy")
    from capture_scenes import NEUTRAL, XYZ_TO_SRGB, mosaic, to_counts, write_dng

    sees = np.diag(NEUTRAL) @ SEEN_BY[camera]
    linear = np.random.default_rng(0).uniform(0.02, 0.6, (64, 64, 3))
    linear[:20] = linear[:20, :, :1]  # grey
    counts = to_counts(mosaic(linear @ sees.T))
    paths = [write_dng(tmp_path / f"{i}.dng", counts, profile=(1e-3, 1e-6), matrix=sees @ XYZ_TO_SRGB) for i in (0, 1)]
    burst = read_burst(paths, light=light)
    expected = encode(linear[8:-8, 8:-8].transpose(2, 0, 1))
    assert burst.displayed(burst.frames[0]).numpy() == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize("light", ["linear", "display"])
@pytest.mark.parametrize("declared", ["identity", "sRGB", "overlapping colours"])
def test_raw_pictures_are_shown_as_libraw_develops_them(
    tmp_path: Path, declared: str, light: Literal["linear", "display"]
) -> None:
    """Whatever the file says of its colours: with the camera's white balance, clipped white stays white."""
    rawpy = pytest.importorskip("rawpy")
    from capture_scenes import NEUTRAL, XYZ_TO_SRGB, mosaic, to_counts, write_dng

    matrix = np.eye(3) if declared == "identity" else np.diag(NEUTRAL) @ SEEN_BY[declared] @ XYZ_TO_SRGB
    sensor = np.random.default_rng(0).uniform(0.02, 0.5, (64, 64, 3)) * NEUTRAL
    sensor[20:40] = 1  # clipped
    counts = to_counts(mosaic(sensor))
    paths = [write_dng(tmp_path / f"{i}.dng", counts, profile=(1e-3, 1e-6), matrix=matrix) for i in (0, 1)]
    with rawpy.imread(str(paths[0])) as raw:
        developed = raw.postprocess(
            half_size=True, use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16, user_flip=0
        )
    expected = encode(developed[8:-8, 8:-8].transpose(2, 0, 1) / 65535)
    burst = read_burst(paths, light=light)
    shown = burst.displayed(burst.frames[0]).clamp(0, 1).numpy()
    assert np.abs(shown - expected).max() < 0.01
    assert shown[:, 12:32].min() > 0.999
