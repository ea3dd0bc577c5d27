"""Folders become 8-bit photographs and a stream that is a pure function of its key."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.evaluation.evaluate import burst_hash
from mkpn.synthesis.datasets import TestSet, TrainingStream, centre_crop, image_files, load_photographs
from mkpn.synthesis.images import box_downsample
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS
from mkpn.synthesis.scenes import KINDS

SETTINGS = {"downsample": 1, "large_downsample": 2, "large_side": 700, "min_side": 96}


def photographs(folder: Path, **changes: int) -> list[NDArray[np.uint8]]:
    return load_photographs([folder], **{**SETTINGS, **changes})


def test_unusable_files_are_named_and_skipped(
    photo_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.jpg").write_bytes((photo_folder / "0.png").read_bytes()[:500])
    Image.new("RGB", (50, 300)).save(tmp_path / "small.png")
    Image.new("L", (1500, 800), 200).save(tmp_path / "large.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("not an image")
    with caplog.at_level(logging.WARNING):
        loaded = photographs(tmp_path)
    assert [image.shape for image in loaded] == [(3, 400, 750)]
    assert loaded[0].dtype == np.uint8
    assert np.unique(loaded[0]).tolist() == [200]
    assert "broken.jpg" in caplog.text
    assert "small.png" in caplog.text


def test_a_photograph_is_large_from_its_short_side_on(tmp_path: Path) -> None:
    for name, side in (("a", 299), ("b", 300)):
        Image.new("RGB", (400, side)).save(tmp_path / f"{name}.png")
    assert [image.shape for image in photographs(tmp_path, large_side=300)] == [(3, 299, 400), (3, 150, 200)]


def test_a_file_counts_once_by_whatever_way_it_is_reached(photo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photo_folder)
    files = image_files([photo_folder])
    assert image_files([photo_folder, tmp_path / "link"]) == files
    assert len(image_files([tmp_path / "link", photo_folder])) == len(files)


def test_hidden_files_and_a_folder_that_is_left_out_are_no_photographs(photo_folder: Path, tmp_path: Path) -> None:
    picture = (photo_folder / "0.png").read_bytes()
    for name in ("a.png", "._a.png", ".thumbnails/a.png", "run/samples/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    assert image_files([tmp_path]) == [tmp_path / "a.png", tmp_path / "run" / "samples" / "1.png"]
    assert image_files([tmp_path], tmp_path / "run") == [tmp_path / "a.png"]
    assert len(load_photographs([tmp_path], without=tmp_path / "run", **SETTINGS)) == 1
    # Where the photographs lie below a hidden folder, that was asked for.
    assert len(image_files([tmp_path / ".thumbnails"])) == 1


def test_a_folder_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Figures of fewer photographs than were asked for would pass for those of all."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").touch()
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert image_files([tmp_path]) == [tmp_path / "a.png"]
    assert f"left out {tmp_path / 'closed'}: Permission denied" in caplog.text
    with pytest.raises(ValueError, match=r"^images: expected a folder that may be read, got .*closed \(Perm"):
        image_files([tmp_path / "closed"])


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^images: expected \.jpg, .*, got none$"):
        image_files([tmp_path])
    with pytest.raises(ValueError, match="expected a folder"):
        image_files([tmp_path / "missing"])
    Image.new("RGB", (50, 50)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="96 pixels"):
        photographs(tmp_path)


def test_box_downsampling_is_the_mean_of_boxes() -> None:
    image = np.arange(5 * 7 * 3, dtype=np.float32).reshape(5, 7, 3)
    small = box_downsample(image, 2)
    assert small.shape == (2, 3, 3)
    np.testing.assert_allclose(small[1, 2], image[2:4, 4:6].mean((0, 1)))
    with pytest.raises(ValueError, match="downsample"):
        box_downsample(image, 0)


@pytest.fixture(scope="module")
def stream(photo_folder: Path) -> TrainingStream:
    return TrainingStream(photographs(photo_folder), batch=4, patch=32, noise_range="gains", seed=5)


def test_samples_are_a_pure_function_of_their_key(stream: TrainingStream) -> None:
    first, again, later = stream(3), stream(3), stream(4)
    assert torch.equal(first.frames, again.frames)
    assert not torch.equal(first.frames, later.frames)
    assert first.frames.shape == (4, 8, 3, 32, 32)
    assert first.clean.shape == first.noise_std.shape == (4, 3, 32, 32)


def test_two_ranks_see_what_one_process_with_the_doubled_batch_sees(stream: TrainingStream) -> None:
    halves = [
        TrainingStream(stream.photographs, batch=2, patch=32, noise_range="gains", seed=5, rank=rank)(7).frames
        for rank in (0, 1)
    ]
    assert torch.equal(torch.cat(halves), stream(7).frames)


def test_training_frames_are_real_content(stream: TrainingStream, photo: NDArray[np.uint8]) -> None:
    """Every clean patch, up to flips and transposition, is a piece of the photograph."""
    _, clean, _, _ = stream.sample(0, 0)
    pixels = (clean * 255).round().astype(np.uint8).transpose(1, 2, 0)
    variants = [p[::a, ::b] for p in (pixels, pixels.transpose(1, 0, 2)) for a in (1, -1) for b in (1, -1)]
    windows = np.lib.stride_tricks.sliding_window_view(photo, (32, 32), axis=(0, 1))  # [y,x,C,32,32]
    corners = [np.argwhere((windows[..., 0, 0] == v[0, 0]).all(-1)) for v in variants]
    assert any(
        np.array_equal(photo[y : y + 32, x : x + 32], variant)
        for variant, places in zip(variants, corners, strict=True)
        for y, x in places
    )


def test_flips_and_transpositions_happen() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8), (3, 64, 64))
    stream = TrainingStream([ramp], batch=1, patch=32, noise_range="gains", seed=0)
    seen = set()
    for step in range(40):
        clean = stream.sample(step, 0)[1][0]
        seen.add((int(np.sign(clean[0, -1] - clean[0, 0])), int(np.sign(clean[-1, 0] - clean[0, 0]))))
    assert seen == {(1, 0), (-1, 0), (0, 1), (0, -1)}


def test_centre_crop_and_its_error() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    np.testing.assert_array_equal(centre_crop(image, 2)[..., 0], [[5, 6], [9, 10]])
    with pytest.raises(ValueError, match="at least 5x5"):
        centre_crop(image, 5)


def test_test_sets_are_identical_everywhere(photo_folder: Path) -> None:
    """Golden value: `burst_hash` of this set's first burst; it must not depend on the machine."""
    settings = {"downsample": 1, "crop": 64, "seed": 0, "burst": BurstConfig()}
    test = TestSet(files=tuple(image_files([photo_folder])), noise=GAINS[4], gain=4, **settings)
    assert test[0].frames.shape == (8, 3, 64, 64)
    assert burst_hash(test[0]) == burst_hash(test[0]) != burst_hash(test[1])
    assert burst_hash(test[0])[:16] == "4331ab14cc597d6b"


def test_drawn_scenes_of_one_kind_differ_and_are_the_same_at_every_gain() -> None:
    settings = {"downsample": 1, "crop": 32, "seed": 0, "burst": BurstConfig(), "drawn": True}
    names = tuple(Path(f"{kind} {number}") for number in (0, 1) for kind in KINDS)
    low, high = (TestSet(files=names, noise=GAINS[gain], gain=gain, **settings) for gain in (1, 8))
    for index in range(len(KINDS)):
        assert not torch.equal(low[index].clean, low[index + len(KINDS)].clean), names[index]
        assert torch.equal(low[index].clean, high[index].clean)


def test_frames_that_are_not_seen_are_copies_of_the_reference() -> None:
    settings = {"downsample": 1, "crop": 32, "seed": 0, "burst": BurstConfig(rate=8), "drawn": True}
    whole, part = (
        TestSet(files=(Path("text 0"),), noise=GAINS[4], gain=4, seen=seen, **settings)[0] for seen in (None, 3)
    )
    assert torch.equal(part.frames[:3], whole.frames[:3])
    assert torch.equal(part.offsets[:3], whole.offsets[:3])
    assert whole.offsets[3:].any(1).all()
    assert all(torch.equal(frame, part.frames[0]) for frame in part.frames[3:])
    assert not part.offsets[3:].any()
