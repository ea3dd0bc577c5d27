"""Whole inference of every network, a training step, and a 12-megapixel burst."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from mkpn.evaluation.speed.measure import (
    QUICK_SECONDS,
    Row,
    convolution_peak,
    extra_memory,
    forward_flops,
    measure,
    measure_with_memory,
    now,
    peak_memory,
)
from mkpn.inference.denoiser import Denoiser
from mkpn.model.checkpoint import load_model, shipped_models
from mkpn.model.config import MODELS, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv, warm_up
from mkpn.synthesis.burst import Burst
from mkpn.synthesis.noise import noise_for_gain
from mkpn.training.losses import total_loss


def bench_models(device: torch.device, models: tuple[str, ...], sides: tuple[int, ...], quick: bool) -> Iterator[Row]:
    """Yields a row per network and size: time, share of the convolution peak, memory, local convolution's share."""
    if device.type == "cpu":
        warm_up()
    peak, rows = convolution_peak(device, quick)
    yield from rows
    print(f"\nwhole inference; convolution peak of this run {peak / 1e9:.1f} GFLOP/s")
    print(f"{'model':8} {'side':>5} {'median [quartiles]':34} {'x ideal':>8} {'local':>6} {'memory':>9} {'per MP':>8}")
    for name in models or (("mkpn",) if quick else MODELS):
        denoiser = Denoiser(_network(name), str(device))
        smallest = 0.0
        # Again and again, because other work and the clock's frequency come and go; it can only rise.
        again, rows = convolution_peak(device, quick, [(64, 64, 32)] if quick else [(256, 256, 64)])
        peak = max(peak, again)
        yield from rows
        for side in sides:
            burst = random_burst(side, side)
            zeros = torch.zeros(1, 8, 3, 64, 64, device=device)
            flops = forward_flops(denoiser.network, zeros, zeros[:, 0]) * side * side // 64**2
            shares: list[float] = []

            def once(burst: Burst = burst, denoiser: Denoiser = denoiser, shares: list[float] = shares) -> None:
                result = denoiser(burst)
                shares.append(result.local_seconds / result.seconds)

            timing, memory = measure_with_memory(once, device, QUICK_SECONDS if quick else 3.0, 11)
            local = statistics.median(shares)
            ideal = flops / peak
            per_megapixel = timing.median / side**2 * 1e6
            smallest = smallest or per_megapixel
            print(
                f"{name:8} {side:5} {timing!s:34} {timing.median / ideal:7.2f}x {local:6.1%} "
                f"{'?' if memory is None else f'{memory / 1e6:.0f} MB':>9} {per_megapixel:6.2f} s"
            )
            yield {
                "kind": "model",
                "model": name,
                "side": side,
                **timing.row(),
                "flops": flops,
                "share_of_peak": ideal / timing.median,
                "times_ideal": timing.median / ideal,
                "peak_flops": peak,
                "local_share": local if device.type == "cpu" else None,
                "local_seconds": local * timing.median if device.type == "cpu" else None,
                "network_seconds": (1 - local) * timing.median if device.type == "cpu" else None,
                "extra_bytes": memory,
                "seconds_per_megapixel": per_megapixel,
                "growth_with_area": per_megapixel / smallest,
            }


def bench_training(device: torch.device, quick: bool) -> Iterator[Row]:
    """Yields a training step of `mkpn` compact, forward and backward, and its convolutions alone."""
    batch, patch = (1, 16) if quick else (8, 64)
    config = model_config("mkpn")
    network = KernelPredictionNetwork(config).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=device.type != "mps")
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(batch, 8, 3, patch, patch, generator=generator).to(device)
    clean = frames.mean(1)
    cotangent = torch.ones(batch, 8, 2, sum(config.sizes), patch // 2, patch // 2, device=device)

    def convolutions() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(frames, clean).backward(cotangent)

    def step() -> None:
        image, estimates = local_conv(frames, network(frames, clean), config.sizes, estimates=True)
        loss = total_loss(image, estimates, clean, 1.0).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    budget = QUICK_SECONDS if quick else 10.0
    alone, whole = measure(convolutions, device, budget), measure(step, device, budget)
    ratio = whole.median / alone.median
    print(f"\ntraining step of mkpn compact, {batch} bursts of {patch}x{patch}, annealing on")
    print(f"convolutions alone {alone}\nwhole step         {whole}   {ratio:.2f}x")
    yield {
        "kind": "training",
        "shape": list(frames.shape),
        **whole.row(),
        **alone.row("convolutions_seconds"),
        "ratio": ratio,
    }


def bench_large(device: torch.device, models: tuple[str, ...], quick: bool) -> Iterator[Row]:
    """Yields a burst of 12 megapixels and one of 1 megapixel: time per megapixel, peak memory of the process."""
    if device.type == "cpu":
        warm_up()
    small, large = ((32, 32), (48, 64)) if quick else ((1000, 1000), (3000, 4000))
    print(f"\n{large[0]}x{large[1]} against {small[0]}x{small[1]}")
    for name in models or ("mkpn",):
        denoiser = Denoiser(_network(name), str(device))
        burst = random_burst(*small)
        base = measure(lambda b=burst, d=denoiser: d(b), device, 5.0, 3)
        burst = random_burst(*large)
        seconds: list[float] = []

        def once(burst: Burst = burst, denoiser: Denoiser = denoiser, seconds: list[float] = seconds) -> None:
            started = now()
            denoiser(burst)
            seconds.append(now() - started)

        memory = extra_memory(once, device)
        per_megapixel = seconds[0] / (large[0] * large[1]) * 1e6
        ratio = per_megapixel / (base.median / (small[0] * small[1]) * 1e6)
        print(
            f"{name:8} {seconds[0]:.2f} s, {per_megapixel:.2f} s per megapixel, {ratio:.2f}x that of the small one; "
            f"burst {burst.frames.nbytes / 1e9:.2f} GB, peak of the process {_gigabytes(peak_memory())}, "
            f"beyond the burst {_gigabytes(memory)}"
        )
        yield {
            "kind": "large",
            "model": name,
            "height": large[0],
            "width": large[1],
            "seconds": seconds[0],
            "runs": len(seconds),
            "seconds_per_megapixel": per_megapixel,
            **base.row("small_seconds"),
            "runs_small": base.runs,
            "times_small_per_megapixel": ratio,
            "burst_bytes": burst.frames.nbytes,
            "extra_bytes": memory,
            "process_peak_bytes": peak_memory(),
        }


def _gigabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e9:.2f} GB"


def random_burst(height: int, width: int) -> Burst:
    """A burst of noise without the temporaries of a synthetic one: only its size matters here."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(8, 3, height, width, generator=generator)
    noise = noise_for_gain(4)
    offsets = torch.zeros(8, 2, dtype=torch.int64)
    return Burst(frames=frames, clean=frames[0], noise_std=noise.std(frames[0]), offsets=offsets, noise=noise)


def _network(name: str) -> KernelPredictionNetwork:
    """The shipped network, or an untrained one of its shape: the numbers of a step take the same time."""
    shipped = shipped_models()
    return load_model(shipped[name])[0] if name in shipped else KernelPredictionNetwork(model_config(name))
