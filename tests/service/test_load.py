"""Many visitors at once: every answer is right, and the server's memory and disk stay where they were.

Every number that a visitor gets is compared with a direct computation from his own picture, gain and seed, so that
mixed up visitors would be found. `MKPN_LONG=1` makes 1,000 runs, a third for each number of visitors, or
`MKPN_RUNS` each. `-s` shows latencies, throughput and memory.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import Server
from skimage import data
from visiting import denoised

import mkpn
from mkpn.metrics import definition_for

LONG = os.environ.get("MKPN_LONG") == "1"
MODELS = ["kpn-l3", "mkpn"]
EACH = int(os.environ.get("MKPN_RUNS", "336"))
ROUNDS = {visitors: max(1, EACH // visitors) for visitors in (1, 4, 16)} if LONG else {1: 2, 4: 1, 16: 1}
"""Runs of each visitor, by how many visitors there are at once."""


@dataclass(frozen=True)
class Visit:
    """One run: what was asked for, what came, and how long it took."""

    picture: Path
    gain: int
    seed: int
    rows: list[dict[str, Any]]
    seconds: float


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A picture for each visitor, 64x64 pixels, of which 32x32 are shown."""
    folder = tmp_path_factory.mktemp("visitors")
    photo = np.asarray(data.chelsea())
    paths = [folder / f"{index}.png" for index in range(max(ROUNDS))]
    for index, path in enumerate(paths):
        Image.fromarray(photo[10 * index : 10 * index + 64, 20 * index : 20 * index + 64]).save(path)
    return paths


def visit(address: str, index: int, picture: Path, runs: int) -> list[Visit]:
    """One visitor: one run after the other."""
    visits: list[Visit] = []
    with httpx.Client(base_url=address, timeout=600) as client:
        for number in range(runs):
            gain, seed = (1, 2, 4, 8)[(index + number) % 4], 1000 * index + number
            began = time.perf_counter()
            rows = denoised(client, picture, gain, seed, MODELS, f"{index}.png")
            visits.append(Visit(picture, gain, seed, rows, time.perf_counter() - began))
    return visits


def directly(visited: Visit, networks: dict[str, mkpn.Denoiser]) -> dict[str, tuple[float, float]]:
    """PSNR and SSIM of every picture of a run, from the library."""
    burst = mkpn.synthesize(visited.picture, gain=visited.gain, seed=visited.seed)
    images = {"noisy": burst.frames[0], "mean": burst.frames.mean(0)}
    images |= {name: network(burst).image for name, network in networks.items()}
    definition = definition_for(*burst.clean.shape[-2:])
    return {
        name: (
            mkpn.psnr(image.clamp(0, 1), burst.clean, definition),
            mkpn.ssim(image.clamp(0, 1), burst.clean, definition),
        )
        for name, image in images.items()
    }


def wrong(visited: Visit, networks: dict[str, mkpn.Denoiser]) -> str:
    """What is wrong with an answer; empty if it is right."""
    expected = directly(visited, networks)
    came = {row["model"]: (row["psnr"], row["ssim"]) for row in visited.rows}
    told = f"{visited.picture.name}, gain {visited.gain}, seed {visited.seed}"
    if came.keys() != expected.keys():
        return f"{told}: {sorted(came)}"
    far = [name for name in expected if not np.allclose(came[name], expected[name], atol=1e-4)]
    return f"{told}: {[(name, came[name], expected[name]) for name in far]}" if far else ""


def test_every_visitor_gets_the_right_answers(server: Server, pictures: list[Path]) -> None:
    networks = {name: mkpn.load(name, device="cpu") for name in MODELS}
    visit(server.address, 0, pictures[0], 1)  # what is made once is no growth
    first, before = server.memory(), server.runs()
    print(f"\n{'visitors':>8} {'runs':>5} {'p50':>7} {'p90':>7} {'p99':>7} {'runs/s':>7} {'RSS MB':>7} {'peak MB':>8}")
    for visitors, runs in ROUNDS.items():
        began = time.perf_counter()
        with ThreadPoolExecutor(visitors) as pool:
            jobs = [pool.submit(visit, server.address, index, pictures[index], runs) for index in range(visitors)]
            visits = [each for job in jobs for each in job.result()]
        elapsed = time.perf_counter() - began
        p50, p90, p99 = np.percentile([each.seconds for each in visits], (50, 90, 99))
        memory, peak = server.memory(), server.memory("VmHWM")
        print(
            f"{visitors:8} {len(visits):5} {p50:6.2f}s {p90:6.2f}s {p99:6.2f}s {len(visits) / elapsed:7.2f} "
            f"{memory:7} {peak:8}",
            flush=True,
        )
        assert [problem for each in visits if (problem := wrong(each, networks))] == []
        assert len({(each.picture, each.gain, each.seed) for each in visits}) == visitors * runs
    assert server.memory() - first < 200
    assert server.memory("VmHWM") < 3000
    assert server.runs() <= before
    assert server.tracebacks() == ""


def test_one_visitor_s_mistake_reaches_him_alone(server: Server, pictures: list[Path]) -> None:
    from gradio_client import Client, handle_file

    def mistaken() -> str:
        client = Client(server.address, verbose=False)
        with pytest.raises(Exception, match=r"gain: expected one of 1, 2, 4, 8, got 3") as refused:
            client.predict(handle_file(pictures[1]), 3, 0, 1, MODELS, api_name="/denoise")
        return str(refused.value)

    with ThreadPoolExecutor(2) as pool:
        right, sentence = pool.submit(visit, server.address, 2, pictures[2], 2), pool.submit(mistaken)
        networks = {name: mkpn.load(name, device="cpu") for name in MODELS}
        assert [wrong(each, networks) for each in right.result()] == ["", ""]
        assert "\n" not in sentence.result()
