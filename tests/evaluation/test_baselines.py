"""Classical baselines: alignment is exact at every gain, denoisers improve on it, missing packages are named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mkpn
from mkpn.evaluation.baselines import BASELINES, align, aligned_mean, baselines, nlm_within
from mkpn.evaluation.config import EvaluateConfig
from mkpn.evaluation.evaluate import evaluate
from mkpn.synthesis.burst import Burst, make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS


@pytest.fixture(scope="module")
def bursts(photo: NDArray[np.uint8]) -> dict[int, Burst]:
    scene = np.ascontiguousarray(photo[60:220, 100:260].transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    # A rate that displaces about half of the frames strongly.
    return {gain: make_burst(scene, GAINS[gain], rng_for(0, gain), BurstConfig(rate=4)) for gain in GAINS}


def test_alignment_finds_the_true_displacements(bursts: dict[int, Burst]) -> None:
    for burst in bursts.values():
        assert burst.offsets.abs().max() > 8
        assert align(burst.frames.numpy()) == [tuple(offset) for offset in burst.offsets.tolist()]


def test_the_aligned_mean_averages_only_what_frames_show(photo: NDArray[np.uint8]) -> None:
    """Without noise every frame shows the same scene where it is there at all: the mean is the clean image."""
    scene = np.ascontiguousarray(photo[60:220, 100:260].transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    burst = make_burst(scene, mkpn.Noise(0, 0), rng_for(3), BurstConfig(rate=4))
    mean, count = aligned_mean(burst.frames.numpy())
    np.testing.assert_allclose(mean, burst.clean.numpy(), atol=1e-6)
    assert count.max() == 8
    assert 1 <= count.min() < 8


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_denoise(name: Literal["aligned", "nlm", "opencv", "bm3d"], bursts: dict[int, Burst]) -> None:
    for package in {"opencv": ("cv2",), "bm3d": ("bm3d",)}.get(name, ()):
        pytest.importorskip(package, reason=f"{name} needs the extra baselines")
    methods, _ = baselines(("aligned", name))
    for gain in (1, 8):
        # A part is enough; BM3D takes seconds for the whole.
        whole = bursts[gain]
        burst = replace(
            whole,
            frames=whole.frames[..., :72, :72],
            clean=whole.clean[..., :72, :72],
            noise_std=whole.noise_std[..., :72, :72],
            surroundings=None,
        )
        images = {method: denoise(burst) for method, denoise in methods.items()}
        assert all(image.dtype == torch.float32 for image in images.values())
        values = {method: mkpn.psnr(image, burst.clean) for method, image in images.items()}
        noisy = mkpn.psnr(burst.frames[0], burst.clean)
        # Averaging eight frames is worth 10 log10(8) = 9 dB, a little less where some do not reach.
        assert noisy + 6.5 < values["aligned"] < noisy + 9.2
        if name != "aligned":
            assert values[name] > values["aligned"] + (0.3 if gain == 1 else 2)


def test_nlm_within_reach_denoises_what_the_truth_aligns(bursts: dict[int, Burst]) -> None:
    """With a reach of all displacements it is the baseline, whose alignment is exact."""
    burst = bursts[4]
    baseline = baselines(("nlm",))[0]["nlm"](burst)
    torch.testing.assert_close(nlm_within(burst, 33), baseline)
    values = [mkpn.psnr(nlm_within(burst, size), burst.clean) for size in (1, 5, 33)]
    assert values[0] + 1 < values[1] < values[2]
    assert values[0] > mkpn.psnr(burst.frames[0], burst.clean) + 3


def test_missing_packages_are_skipped_with_a_reason(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("bm3d", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    methods, skipped = baselines(("opencv", "nlm", "bm3d"))
    assert list(methods) == ["nlm"]
    assert list(skipped) == ["opencv", "bm3d"]
    assert "cv2" in skipped["opencv"]
    assert "mkpn-studio[baselines]" in skipped["bm3d"]
    settings = {"images": (photo_folder,), "crop": 64, "limit": 1, "gains": (4,), "models": ("kpn-l1",)}
    report = evaluate(EvaluateConfig(out=tmp_path, baselines=("nlm", "bm3d"), device="cpu", **settings))
    names = [row["model"] for row in report["rows"] if not row["model"].startswith("oracle")]
    assert names == ["noisy", "mean", "nlm", "kpn-l1"]
    assert "Left out: aligned mean + BM3D (" in (tmp_path / "results.md").read_text()
    with pytest.raises(ValueError, match="'median'"):
        baselines(("median",))
