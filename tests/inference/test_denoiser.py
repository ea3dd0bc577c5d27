"""The Python API of the README: any size, a path or an array, the same numbers, and kernels that remake the pixel."""

from __future__ import annotations

import gc
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import perturbed
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

import mkpn
from mkpn import ops
from mkpn.evaluation.speed.measure import extra_memory
from mkpn.explain import probe
from mkpn.inference import blockwise
from mkpn.inference.blockwise import coefficients_at
from mkpn.inference.denoiser import Stopped, _DeviceCopy  # pyright: ignore[reportPrivateUsage]
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.burst import NoisyBurst, make_burst, rng_for
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS


@pytest.fixture(scope="module")
def burst(photo: NDArray[np.uint8]) -> mkpn.Burst:
    return mkpn.synthesize(photo[:111, :93], gain=4, seed=0)  # 79x61 pixels: odd, no multiple of 16


def test_readme_api(photo: NDArray[np.uint8], tmp_path: Path, mkpn_network: KernelPredictionNetwork) -> None:
    checkpoint = tmp_path / "mine.safetensors"
    save_model(checkpoint, mkpn_network.config, mkpn_network.state_dict(), {})
    path = tmp_path / "cat.png"
    Image.fromarray(photo[:96, :96]).save(path)
    model = mkpn.load(checkpoint, device="auto")
    bursts = [
        mkpn.synthesize(source, gain=8, seed=0) for source in (path, str(path), Image.open(path), photo[:96, :96])
    ]
    for other in bursts[1:]:
        assert torch.equal(bursts[0].frames, other.frames)
    burst = bursts[0]
    assert burst.frames.shape == (8, 3, 64, 64)
    assert burst.clean.shape == burst.noise_std.shape == (3, 64, 64)
    assert burst.offsets.shape == (8, 2)
    result = model(burst)
    assert result.image.shape == (3, 64, 64)
    assert mkpn.psnr(result.image, burst.clean) > 5
    assert -1 <= mkpn.ssim(result.image, burst.clean) <= 1
    assert len(mkpn.MODELS) == 10


def test_a_result_is_its_caller_s_to_change(burst: mkpn.Burst) -> None:
    result = mkpn.Denoiser(KernelPredictionNetwork(model_config("kpn-l3")), "cpu")(burst)
    result.image.clamp_(0, 1)
    assert result.features is not None
    result.features.zero_()
    assert not result.image.requires_grad


def test_the_local_convolution_takes_a_part_of_the_time(burst: mkpn.Burst) -> None:
    result = mkpn.Denoiser(KernelPredictionNetwork(model_config("kpn-l3")), "cpu")(burst)
    assert 0 < result.local_seconds < result.seconds


def test_an_untrained_network_is_the_mean_at_any_size(burst: mkpn.Burst) -> None:
    denoiser = mkpn.Denoiser(KernelPredictionNetwork(model_config("kpn-l3")), "cpu")
    torch.testing.assert_close(denoiser(burst).image, burst.frames.mean(0), atol=2e-6, rtol=0)


@pytest.mark.parametrize("rim", [True, False], ids=["rim", "no rim"])
@pytest.mark.parametrize("name", ["mkpn", "kpn", "kpn-l25", "kpn-l1"])
def test_probed_kernels_remake_the_pixel(burst: mkpn.Burst, name: str, rim: bool) -> None:
    """Eq. 4 with the kernels that the viewer shows gives the very pixel of the denoised image."""
    burst = burst if rim else replace(burst, surroundings=None)
    result = mkpn.Denoiser(perturbed(model_config(name)), "cpu")(burst)
    height, width = burst.clean.shape[-2:]
    seen = burst.surroundings or burst
    for x, y in ((0, 0), (width - 1, height - 1), (30, 41), (31, 40), (0, height - 1)):
        kernels = probe(result, x, y)
        radius = kernels.fused.shape[-1] // 2
        # Below and to the right there is a mirror up to a multiple of 16, beyond it are zeros.
        more = (-size % 16 for size in seen.frames.shape[-2:])
        filled = np.pad(seen.frames.numpy(), ((0, 0), (0, 0), *((0, count) for count in more)), mode="reflect")
        padded = np.pad(filled, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
        top, left = y + burst.rim, x + burst.rim
        window = padded[:, :, top : top + 2 * radius + 1, left : left + 2 * radius + 1]
        remade = (window * kernels.fused[:, None]).sum((2, 3)).mean(0)
        np.testing.assert_allclose(remade, result.image[:, y, x].numpy(), atol=2e-5)


def test_bad_input_is_named(burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork) -> None:
    denoiser = mkpn.Denoiser(mkpn_network, "cpu")
    result = denoiser(burst)
    with pytest.raises(ValueError, match="x: expected a whole number, 0 to 60"):
        probe(result, 61, 0)
    with pytest.raises(ValueError, match="kpn-l25"):
        mkpn.load("kpn-l2")
    with pytest.raises(ValueError, match="got no file of this name"):
        mkpn.load("missing.safetensors")
    with pytest.raises(ValueError, match=r"^model: expected a name or a path, got None$"):
        mkpn.load(None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^device: expected auto, cpu, cuda, cuda:N or mps, got None$"):
        mkpn.load("mkpn", device=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="device"):
        mkpn.Denoiser(mkpn_network, "toaster")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="expected auto, cpu or a device that this machine has"):
            mkpn.Denoiser(mkpn_network, "cuda")


def test_tiles_change_nothing(photo: NDArray[np.uint8]) -> None:
    """A budget that forces overlapping tiles and small blocks gives the untiled image, features and kernels."""
    wide = np.tile(photo, (2, 1, 1))[:551, :93]
    burst = mkpn.synthesize(wide, gain=4, seed=0)  # 519x61 pixels and a rim
    network = perturbed(model_config("kpn-l5"))
    whole = mkpn.Denoiser(network, "cpu")(burst)
    tiled = mkpn.Denoiser(network, "cpu", memory_budget=9 * 2**20, features_budget=0)(burst)
    assert tiled.features is None
    torch.testing.assert_close(tiled.image, whole.image, atol=1e-5, rtol=0)
    assert whole.features is not None
    for x, y in ((0, 0), (60, 518), (31, 260)):
        np.testing.assert_allclose(probe(tiled, x, y).fused, probe(whole, x, y).fused, atol=1e-5)
    some = mkpn.Denoiser(network, "cpu", memory_budget=9 * 2**20)(burst)
    assert some.features is not None
    torch.testing.assert_close(some.features, whole.features, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["mkpn", "kpn", "kpn-l25"])
@pytest.mark.parametrize(("height", "width"), [(79, 61), (48, 49), (63, 64)])
def test_rounded_sides_are_filled_alike_for_network_and_kernels(
    photo: NDArray[np.uint8], name: str, height: int, width: int
) -> None:
    """A burst and the burst that was mirrored below and to the right up to a multiple of 16 give the same pixels."""
    burst = mkpn.synthesize(photo[: height + 32, : width + 32], gain=4, seed=0)
    alone = replace(burst, surroundings=None)
    network = perturbed(model_config(name))
    for given in (burst, alone):
        seen = given.surroundings or given
        more = (0, -seen.frames.shape[-1] % 16, 0, -seen.frames.shape[-2] % 16)
        filled = replace(
            burst,
            frames=functional.pad(seen.frames, more, mode="reflect"),
            noise_std=functional.pad(seen.noise_std, more, mode="reflect"),
            surroundings=None,
        )
        whole = mkpn.Denoiser(network, "cpu")(filled).image
        expected = whole[:, given.rim : given.rim + height, given.rim : given.rim + width]
        for budget in (2**30, 6 * 2**20):
            image = mkpn.Denoiser(network, "cpu", memory_budget=budget)(given).image
            torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["mkpn", "kpn-l3", "kpn-l25"])
def test_the_last_rows_and_columns_are_not_dark(name: str) -> None:
    """Where sides are rounded up to 16, the last 8 rows and columns are as bright as the inside, to 2 of 255."""
    denoiser = mkpn.load(name, "cpu")
    error = torch.zeros(52, 59)
    for seed in range(20):
        burst = mkpn.synthesize(np.full((84, 91, 3), 128, np.uint8), gain=4, seed=seed)
        error += 255 * (denoiser(burst).image - burst.clean).mean(0) / 20
    for line in (error.mean(1), error.mean(0)):
        last = line[-8:] - error[8:-8, 8:-8].mean()
        assert last.abs().max() < 2, last


def test_the_border_is_as_good_as_the_inside(photo: NDArray[np.uint8]) -> None:
    """The rim feeds the kernels: over 48 windows, the outer 8 pixels are denoised as well as the others."""
    denoiser = mkpn.load("mkpn", "cpu")
    ratios: dict[bool, float] = {}
    for rim in (True, False):
        squares = torch.zeros(48, 48)
        for seed in range(48):
            top, left = rng_for(9, seed).integers((photo.shape[0] - 79, photo.shape[1] - 79))
            burst = mkpn.synthesize(photo[top : top + 80, left : left + 80], gain=1, seed=seed)
            burst = burst if rim else replace(burst, surroundings=None)
            squares += (denoiser(burst).image - burst.clean).square().mean(0)
        inside = squares[8:-8, 8:-8].mean()
        ratios[rim] = float((squares.sum() - inside * 32**2) / (48**2 - 32**2) / inside)
    assert ratios[True] < 1.1
    assert ratios[False] > 1.07 * ratios[True]


def test_a_budget_too_small_is_named(burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork) -> None:
    with pytest.raises(ValueError, match="room for tiles"):
        mkpn.Denoiser(mkpn_network, "cpu", memory_budget=100_000)(burst)


def test_the_budget_holds_without_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain definition builds the kernels of a whole block: 1.1 GB of KPN L25's where blocks are not smaller."""
    monkeypatch.setitem(ops._BACKENDS, "cpu", "left out")
    denoiser = mkpn.Denoiser(perturbed(model_config("kpn-l25")), "cpu", memory_budget=2**28)
    burst = make_burst(np.full((3, 288, 288), 0.5, np.float32), GAINS[4], rng_for(0), BurstConfig())
    denoiser(burst)  # what is loaded at the first run does not count
    taken = extra_memory(lambda: denoiser(burst), torch.device("cpu"))
    if taken is None:
        pytest.skip("this system does not tell the peak of the memory")
    assert taken < 1.25 * 2**28


def test_an_image_is_float32_whatever_the_default(
    burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork, request: pytest.FixtureRequest
) -> None:
    denoiser = mkpn.Denoiser(mkpn_network, "cpu")
    expected = denoiser(burst).image
    request.getfixturevalue("double_by_default")
    image = denoiser(burst).image
    assert image.dtype == torch.float32
    assert torch.equal(image, expected)


def test_progress_and_stop(burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork) -> None:
    denoiser = mkpn.Denoiser(mkpn_network, "cpu", memory_budget=3 * 2**20)
    seen: list[float] = []
    denoiser(burst, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == 1
    with pytest.raises(Stopped):
        denoiser(burst, stop=lambda: len(seen) > 0)


def test_the_time_of_the_callers_functions_is_not_the_network_s(
    burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that only these functions move."""
    now = [0.0]

    def slowly(*_: object) -> bool:
        now[0] += 1
        return False

    monkeypatch.setattr("mkpn.inference.denoiser.time", SimpleNamespace(perf_counter=lambda: now[0]))
    result = mkpn.Denoiser(mkpn_network, "cpu")(burst, progress=slowly, stop=slowly)
    assert now[0] > 10
    assert result.seconds == result.local_seconds == 0


@pytest.mark.parametrize("name", ["encoder.0.0", "encoder.1.4", "encoder.4.0", "decoder.0.2", "head.2"])
def test_stop_ends_a_running_network_at_the_next_layer(burst: mkpn.Burst, name: str) -> None:
    denoiser = mkpn.Denoiser(perturbed(model_config("kpn-l3")), "cpu")
    stopped: list[bool] = []

    def before(*_: object) -> None:
        assert not stopped, "a layer ran on"

    def after(*_: object) -> None:
        stopped.append(True)

    for layer in denoiser.network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(before)
    denoiser.network.get_submodule(name).register_forward_hook(after)
    with pytest.raises(Stopped):
        denoiser(burst, stop=lambda: bool(stopped))


@pytest.mark.parametrize("name", ["kpn", "mkpn"])
def test_stop_is_asked_again_and_again(photo: NDArray[np.uint8], name: str) -> None:
    """Between any two layers: the longest, of KPN 5x5, takes a fifth of the run's three seconds on one processor.

    In parts of the run, since a processor that others use, too, is slower.
    """
    denoiser = mkpn.load(name, device="cpu")
    wide = mkpn.synthesize(np.pad(photo, ((0, 244), (0, 93), (0, 0)), "reflect"), gain=4, seed=0)
    assert wide.clean.shape[-2:] == (512, 512)
    asked = list[float]()

    def stop() -> bool:
        asked.append(time.process_time())
        return False

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        denoiser(wide, stop=stop)  # loads the kernels
        asked = [time.process_time()]
        denoiser(wide, stop=stop)
    finally:
        torch.set_num_threads(threads)
    waited = np.diff([*asked, time.process_time()])
    assert waited.max() < 0.23 * waited.sum()


def test_stop_is_asked_between_the_last_convolution_and_the_local_one(
    burst: mkpn.Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []

    def coefficients(*arguments: Any) -> torch.Tensor:
        stopped.append(True)
        return coefficients_at(*arguments)

    monkeypatch.setattr(blockwise, "coefficients_at", coefficients)
    monkeypatch.setattr(blockwise, "local_conv_region", lambda *_, **__: pytest.fail("the local convolution ran"))
    with pytest.raises(Stopped):
        mkpn.Denoiser(perturbed(model_config("kpn-l3")), "cpu")(burst, stop=lambda: bool(stopped))


def test_a_copy_on_a_device_goes_with_its_burst(burst: mkpn.Burst) -> None:
    """Models that follow each other on one burst share its copy; nothing keeps it longer than the burst."""
    copies, cpu = _DeviceCopy(), torch.device("cpu")
    other = replace(burst, frames=burst.frames.double(), surroundings=None)
    kept = copies.get(other, cpu)
    assert copies.get(other, cpu) is kept
    assert copies.get(replace(other, noise_std=other.noise_std.clone()), cpu) is not kept
    copied = weakref.ref(copies.get(other, cpu)[0])
    del other, kept
    gc.collect()
    assert copied() is None


def test_a_copy_on_a_device_is_of_the_burst_as_it_is_now() -> None:
    """Also where a new noise estimate lies at the address of one that is gone, or numbers change in place."""
    copies, cpu = _DeviceCopy(), torch.device("cpu")
    # float64 is copied here, too, as if by a move to another device.
    frames, noise_std = torch.rand(8, 3, 4, 4, dtype=torch.float64), torch.rand(3, 4, 4, dtype=torch.float64)
    burst = NoisyBurst(frames=frames, noise_std=noise_std)
    for factor in (0.5, 1, 1.5, 2):
        scaled = replace(burst, noise_std=noise_std * factor)
        assert torch.equal(copies.get(scaled, cpu)[1][0], scaled.noise_std.float())
        del scaled
    for changed in (frames, noise_std):
        copies.get(burst, cpu)
        changed.mul_(2)
        for given, copy in zip((frames, noise_std), copies.get(burst, cpu), strict=True):
            assert torch.equal(copy[0], given.float())


def test_a_burst_of_inference_mode_is_copied_each_time() -> None:
    """PyTorch does not count the changes of its numbers."""
    copies, cpu = _DeviceCopy(), torch.device("cpu")
    with torch.inference_mode():
        frames, noise_std = torch.rand(8, 3, 4, 4, dtype=torch.float64), torch.rand(3, 4, 4, dtype=torch.float64)
        burst = NoisyBurst(frames=frames, noise_std=noise_std)
        copies.get(burst, cpu)
        frames.mul_(2)
        assert torch.equal(copies.get(burst, cpu)[0][0], frames.float())


def test_half_precision_needs_a_gpu(mkpn_network: KernelPredictionNetwork) -> None:
    with pytest.raises(ValueError, match="half precision"):
        mkpn.Denoiser(mkpn_network, "cpu", precision="float16")
    with pytest.raises(ValueError, match="bfloat16"):
        mkpn.Denoiser(mkpn_network, "cpu", precision="bfloat16")  # pyright: ignore[reportArgumentType]


def test_wrong_bursts_are_named(burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork) -> None:
    denoiser = mkpn.Denoiser(mkpn_network, "cpu")
    with pytest.raises(ValueError, match=r"frames: expected \[8,3,H,W\], got \[7, 3, 79, 61\]"):
        denoiser(replace(burst, frames=burst.frames[:7], surroundings=None))
    with pytest.raises(ValueError, match="noise_std: expected"):
        denoiser(replace(burst, noise_std=burst.noise_std[:, :5], surroundings=None))
    with pytest.raises(ValueError, match=r"frames: expected floating-point intensities, got torch\.uint8"):
        denoiser(replace(burst, frames=burst.frames.byte(), surroundings=None))
    with pytest.raises(ValueError, match=r"noise_std: expected floating-point intensities, got torch\.int64"):
        denoiser(replace(burst, noise_std=burst.noise_std.long(), surroundings=None))
    with pytest.raises(ValueError, match=r"^burst: expected a burst as .*, got tensor"):
        denoiser(burst.frames)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_value_that_is_no_number_is_refused(
    burst: mkpn.Burst, mkpn_network: KernelPredictionNetwork, value: float
) -> None:
    """One such value would spread over the whole picture."""
    denoiser = mkpn.Denoiser(mkpn_network, "cpu")
    for name, index, message in (("frames", (3, 1, 5, 6), "frame 3"), ("noise_std", (2, 0, 0), "noise_std")):
        odd = getattr(burst, name).double()
        odd[index] = value
        with pytest.raises(ValueError, match=f"{message}: expected finite numbers"):
            denoiser(replace(burst, **{name: odd}, surroundings=None))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_on_a_gpu(burst: mkpn.Burst) -> None:
    network = perturbed(model_config("mkpn"))
    exact = mkpn.Denoiser(network, "cpu")(burst).image
    for precision, tolerance in (("float32", 1e-3), ("float16", 2e-2)):
        copy = perturbed(model_config("mkpn"))
        result = mkpn.Denoiser(copy, "cuda", precision=precision, memory_budget=2**26)(burst)  # pyright: ignore
        torch.testing.assert_close(result.image, exact, atol=tolerance, rtol=0)
