"""The training loop: it learns, and a killed run resumes bit for bit; two processes equal a doubled batch."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import started, two_ranks
from PIL import Image
from torch.distributed.run import get_args_parser

import mkpn
from mkpn.model.checkpoint import load_model, read_tensors, write_tensors
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.synthesis.datasets import TrainingStream
from mkpn.synthesis.images import to_channels_first, to_levels
from mkpn.training.config import TrainConfig
from mkpn.training.journal import Validation
from mkpn.training.lock import locked
from mkpn.training.losses import basic_loss, imitation_loss
from mkpn.training.train import TrainingState, _learning_rate, train


@pytest.fixture
def config(photo_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        images=(photo_folder,),
        run=tmp_path / "run",
        downsample=1,
        batch=2,
        patch=16,
        steps=20,
        warmup=5,
        lr=1e-3,
        lr_last=1.0,
        rotate=False,
        beta=100.0,
        annealing=2,
        checkpoint_every=5,
        log_every=5,
        sample_every=20,
        device="cpu",
        threads=1,
    )


@pytest.fixture(autouse=True)
def threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_run_that_has_ended_writes_its_file_again(config: TrainConfig) -> None:
    config = replace(config, steps=1, sample_every=0)
    exported = train("kpn-l3", config)
    weights = load_model(exported)[0].state_dict()
    exported.unlink()
    again = load_model(train("kpn-l3", config))[0].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_a_step_has_the_loss_and_the_clip_of_its_settings(config: TrainConfig) -> None:
    def first(name: str, **changed: Any) -> tuple[float, torch.Tensor]:
        """The loss of one step, and where it took a bias."""
        run = replace(config, run=config.run / name, steps=1, log_every=1, sample_every=0, warmup=0, **changed)
        train("kpn-l3", run)
        loss: float = json.loads((run.run / "stats.jsonl").read_text(encoding="utf-8"))["loss"]
        return loss, read_tensors(run.run / "state.safetensors")[0]["weights/last.bias"]

    plain, moved = first("plain", beta=0.0)
    assert first("annealed", beta=100.0)[0] > 50 * plain
    assert first("half", beta=0.0, intensity_weight=0.5)[0] != plain
    clipped = first("clipped", beta=0.0, clip=1e-12)[1]
    start = KernelPredictionNetwork(model_config("kpn-l3")).state_dict()["last.bias"]
    assert (clipped - start).abs().max() < 0.01 * (moved - start).abs().max()


def command(config: TrainConfig, model: str = "kpn-l3") -> list[str]:
    options = ["--images", str(config.images[0]), "--run", str(config.run)]
    for field in ("downsample", "batch", "patch", "steps", "warmup", "annealing", "device", "threads", "lr", "beta"):
        options += [f"--{field}", str(getattr(config, field))]
    for field in ("checkpoint_every", "log_every", "sample_every", "lr_last"):
        options += [f"--{field.replace('_', '-')}", str(getattr(config, field))]
    options.append("--rotate" if config.rotate else "--no-rotate")
    return ["train", model, *options]


def same_state(a: Path, b: Path) -> bool:
    (one, meta_one), (two, meta_two) = (read_tensors(run / "state.safetensors") for run in (a, b))
    return meta_one["step"] == meta_two["step"] and all(torch.equal(one[name], two[name]) for name in one | two)


def test_a_killed_run_resumes_bit_for_bit(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, steps=60)
    straight = replace(config, run=config.run / "straight")
    killed = replace(config, run=config.run / "killed")
    train("kpn-l3", straight)

    process = started(command(killed), tmp_path / "stdout")
    state = killed.run / "state.safetensors"
    deadline = time.monotonic() + 120
    # Killed at an arbitrary instant after a checkpoint, not at a convenient one.
    while not state.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.join()
    assert 0 < read_tensors(state)[1]["step"] < 60
    # What a save leaves that is killed.
    (killed.run / ".state.safetensors.1.tmp").write_bytes(b"half")
    train("kpn-l3", killed)
    assert not list(killed.run.glob(".*.tmp"))

    assert same_state(straight.run, killed.run)
    steps = [json.loads(line)["step"] for line in (killed.run / "stats.jsonl").read_text().splitlines()]
    assert steps == [*range(5, 61, 5)]


@pytest.mark.parametrize(
    ("rotate", "synthesis"),
    [(False, "host"), (True, "host"), (True, "device")],
    ids=["plain", "rotated", "drawn on the device"],
)
def test_ten_steps_and_ten_more_are_twenty(
    config: TrainConfig, rotate: bool, synthesis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A line of the statistics is due between two checkpoints, so that its first losses must be kept with the weights.
    config = replace(config, rotate=rotate, synthesis=synthesis, log_every=4)
    monkeypatch.setattr("mkpn.synthesis.device_stream.SCENES", 4)
    straight = replace(config, run=config.run / "straight")
    interrupted = replace(config, run=config.run / "interrupted")
    train("mkpn", straight)

    from mkpn.training import train as module

    real_step, calls = module._step, []

    def failing_step(*args: object) -> float:
        calls.append(None)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return real_step(*args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "_step", failing_step)
    with pytest.raises(KeyboardInterrupt):
        train("mkpn", interrupted)
    monkeypatch.setattr(module, "_step", real_step)
    train("mkpn", interrupted)
    assert same_state(straight.run, interrupted.run)
    lines = [(run.run / "stats.jsonl").read_text(encoding="utf-8").splitlines() for run in (straight, interrupted)]
    one, two = ([{**json.loads(line), "seconds_per_step": 0} for line in own] for own in lines)
    assert one == two


def test_training_learns_and_exports(config: TrainConfig) -> None:
    longer = replace(config, steps=60, log_every=10, rotate=True)
    exported = train("kpn-l5", longer)
    assert len((config.run / "stats.jsonl").read_text().splitlines()) == 6
    network, metadata = load_model(exported)
    photographs = [to_channels_first(to_levels(mkpn.load_image(path))) for path in sorted(config.images[0].iterdir())]
    unseen = TrainingStream(photographs, batch=8, patch=32, noise_range="gains", seed=99)(0)
    with torch.inference_mode():
        denoised = local_conv(unseen.frames, network(unseen.frames, unseen.noise_std), network.config.sizes)
    before = basic_loss(unseen.frames.mean(1), unseen.clean).mean()
    assert basic_loss(denoised, unseen.clean).mean() < 0.9 * before
    assert metadata["training"]["steps_done"] == 60
    assert metadata["training"]["recipe"]["lr"] == config.lr
    sample = Image.open(config.run / "samples" / "0000060.png")
    assert sample.size == (2 * 16, 4 * 16)


def test_half_precision_costs_less_than_a_hundredth_of_a_decibel(config: TrainConfig) -> None:
    """The exported float16 weights against the float32 moving average they come from, at all gains."""
    exported = train("kpn-l5", replace(config, steps=30, sample_every=0))
    half, _ = load_model(exported)
    tensors, _ = read_tensors(config.run / "state.safetensors")
    full = KernelPredictionNetwork(half.config)
    full.load_state_dict({name[9:]: tensor for name, tensor in tensors.items() if name.startswith("averaged/")})
    assert not torch.equal(full.last.weight, half.last.weight)
    validation = Validation(replace(config, validate_images=config.images))
    before, after = validation(full.eval()), validation(half)
    assert all(abs(before[gain] - after[gain]) < 0.01 for gain in (1, 2, 4, 8)), (before, after)


def test_validation_is_written_and_changes_nothing(config: TrainConfig) -> None:
    plain = replace(config, run=config.run / "plain", steps=10, sample_every=0)
    checked = replace(plain, run=config.run / "checked", validate_images=config.images, validate_every=4)
    train("kpn-l3", plain)
    train("kpn-l3", checked)
    assert same_state(plain.run, checked.run)
    records = [json.loads(line) for line in (checked.run / "stats.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == [5, 10]
    figures = [(record["step"], record["psnr"]) for record in records if "psnr" in record]
    assert [step for step, _ in figures] == [4, 8, 10]
    network, _ = load_model(checked.run / "kpn-l3.safetensors")
    again = Validation(checked)(network)
    assert figures[-1][1] == pytest.approx({str(gain): db for gain, db in again.items()}, abs=0.01)


def test_other_settings_are_refused(config: TrainConfig) -> None:
    short = replace(config, steps=5, sample_every=0)
    train("kpn-l1", short)
    with pytest.raises(ValueError, match=r"lr was 0\.001, is 0\.1"):
        train("kpn-l1", replace(short, lr=0.1))
    with pytest.raises(ValueError, match=r"model was 'kpn-l1'"):
        train("kpn-l3", short)
    # An option that did not exist when the run began has its default there.
    path = config.run / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    del settings["balance"]
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert train("kpn-l1", short).exists()
    with pytest.raises(ValueError, match=r"balance was 0\.7, is 0\.5"):
        train("kpn-l1", replace(short, balance=0.5))


def test_one_process_trains_in_a_folder(config: TrainConfig) -> None:
    with locked(config.run), pytest.raises(ValueError, match="run: another process trains in"):
        train("kpn-l1", config)
    assert not (config.run / "config.json").exists()
    (config.run.parent / "file").touch()
    with pytest.raises(ValueError, match="run: expected a folder, got the file"):
        train("kpn-l1", replace(config, run=config.run.parent / "file"))


def test_a_run_that_failed_at_once_does_not_block_its_folder(config: TrainConfig) -> None:
    short = replace(config, steps=5, warmup=0, sample_every=0)
    with pytest.raises(FloatingPointError, match=r"lr: the loss is .* got 1e\+09"):
        train("kpn-l1", replace(short, lr=1e9))
    train("kpn-l1", short)
    assert json.loads((config.run / "config.json").read_text(encoding="utf-8"))["lr"] == 1e-3


def test_a_gradient_that_is_not_finite_ends_a_run_before_its_step(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkpn.training import train as module

    short = replace(config, steps=2, checkpoint_every=1, sample_every=0)
    real, balanced, calls = module._step, module.balanced, list[None]()
    states: list[dict[str, torch.Tensor]] = []

    def steep(losses: torch.Tensor, _: float) -> torch.Tensor:
        """Zero, whose slope is infinite."""
        return (losses - losses.detach()).sqrt().mean()

    def step(network: torch.nn.Module, state: TrainingState, *rest: Any) -> float:
        calls.append(None)
        monkeypatch.setattr(module, "balanced", steep if len(calls) == 2 else balanced)
        states.append(state.network.state_dict())
        return real(network, state, *rest)

    monkeypatch.setattr(module, "_step", step)
    with pytest.raises(FloatingPointError, match=r"lr: the norm of the gradient is (nan|inf) at step 1 of seed 0"):
        train("kpn-l1", short)
    assert all(tensor.isfinite().all() for tensor in states[-1].values())
    assert read_tensors(config.run / "state.safetensors")[1]["step"] == 1
    train("kpn-l1", short)


def test_a_run_goes_on_without_the_file_that_it_started_from(config: TrainConfig) -> None:
    """And whatever has that file's name since; the checkpoint still tells where the run comes from."""
    donor = train("kpn-l3", replace(config, run=config.run / "donor", steps=1, sample_every=0))
    run = replace(config, run=config.run / "on", init=donor, steps=5, sample_every=0)
    exported = train("kpn-l3", run)
    before = load_model(exported)[1]["training"]["started_from"]
    for content in (b"something else", None):
        donor.write_bytes(content) if content else donor.unlink()
        assert train("kpn-l3", replace(run, log_every=1)) == exported
        assert load_model(exported)[1]["training"]["started_from"] == before
    with pytest.raises(ValueError, match="expected a checkpoint, got no file"):
        train("kpn-l3", replace(run, run=config.run / "anew"))


@pytest.mark.parametrize(
    ("field", "value"), [("registration", Path("start.safetensors")), ("start_share", 0.5), ("keep_registration", True)]
)
def test_what_refers_to_a_start_needs_one(config: TrainConfig, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field}: expected none without --init, to which it refers, got {value}"):
        replace(config, **{field: value})


def test_a_measurement_comes_from_and_goes_to_what_registers(config: TrainConfig) -> None:
    donor = train("kpn-l3", replace(config, run=config.run / "donor", steps=1, sample_every=0))
    with pytest.raises(ValueError, match="registration: expected a network that registers, for an --init that"):
        train("kpn-l3", replace(config, run=config.run / "on", init=donor, registration=donor))


@pytest.mark.parametrize("text", ["", "[1]", None], ids=["empty", "list", "missing"])
def test_damaged_settings_of_a_run_are_named(config: TrainConfig, text: str | None) -> None:
    short = replace(config, steps=5, sample_every=0)
    train("kpn-l1", short)
    settings = config.run / "config.json"
    settings.unlink()
    if text is not None:
        settings.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"run: expected the settings of the run in .*config\.json"):
        train("kpn-l1", short)


def test_another_file_in_the_place_of_the_state_is_named(config: TrainConfig) -> None:
    short = replace(config, steps=1, sample_every=0)
    exported, state = train("kpn-l1", short), config.run / "state.safetensors"
    tensors, metadata = read_tensors(state)
    del metadata["step"]
    # The tensors that were read still lie in the first file: it is replaced, not written over.
    for content, facts in (tensors, metadata), (load_model(exported)[0].state_dict(), {}):
        write_tensors(state, content, facts)
        with pytest.raises(ValueError, match=r"^run: expected in .*state\.safetensors what a run writes there"):
            train("kpn-l1", short)


@pytest.mark.parametrize(
    ("field", "value"),
    [("threads", -3), ("threads", 10**6), ("lr", 0.0), ("lr", float("nan")), ("beta", -1.0), ("seed", -1)],
)
def test_odd_numbers_are_refused(config: TrainConfig, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected .*, got "):
        replace(config, **{field: value})


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def first_losses(config: TrainConfig, **changed: Any) -> list[float]:
    """Of the first four steps."""
    run = config.run / "-".join(map(str, changed.values()))
    config = replace(config, run=run, steps=4, log_every=1, sample_every=0, beta=0.0, synthesis="host", **changed)
    train("mkpn", config)
    return [json.loads(line)["loss"] for line in (run / "stats.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_trains_weights_of_full_precision(config: TrainConfig, device: str) -> None:
    mixed = first_losses(config, device=device, precision="bfloat16")
    plain = first_losses(config, device=device, precision="float32")
    assert mixed == pytest.approx(plain, rel=0.02)
    assert mixed != plain
    tensors, _ = read_tensors(config.run / f"{device}-bfloat16" / "state.safetensors")
    assert {tensor.dtype for name, tensor in tensors.items() if name.startswith("weights/")} == {torch.float32}


@pytest.mark.parametrize("device", DEVICES)
def test_a_compiled_network_takes_the_same_steps(
    config: TrainConfig, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[torch.nn.Module] = []

    def compiled(network: torch.nn.Module) -> Any:
        calls.append(network)
        # Everything of torch.compile but the C++ compiler, which a machine need not have.
        return real(network) if device == "cuda" else real(network, backend="aot_eager")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", compiled)
    plain = first_losses(config, device=device, compile=False)
    assert not calls
    assert first_losses(config, device=device, compile=True) == pytest.approx(plain, rel=1e-3)
    assert len(calls) == 1


def test_where_bursts_are_drawn_is_kept_with_the_run(config: TrainConfig) -> None:
    train("kpn-l1", replace(config, steps=1))
    written = json.loads((config.run / "config.json").read_text())
    assert written["synthesis"] == "host"  # what auto means on a CPU
    with pytest.raises(ValueError, match="synthesis was 'host', is 'device'"):
        train("kpn-l1", replace(config, steps=1, synthesis="device"))


def test_a_trunk_starts_another_network(config: TrainConfig) -> None:
    donor = train("kpn-l3", replace(config, run=config.run / "donor", steps=5, sample_every=0))
    child = train("mkpn", replace(config, run=config.run / "child", steps=1, lr=1e-12, init=donor, sample_every=0))
    a, b = load_model(donor)[0], load_model(child)[0]
    torch.testing.assert_close(a.encoder[0][0].weight, b.encoder[0][0].weight, atol=1e-3, rtol=0)
    assert load_model(child)[1]["training"]["started_from"]["model"] == "kpn-l3"
    whole = replace(config, run=config.run / "whole", steps=1, lr=1e-12, init=donor, sample_every=0)
    fresh = replace(whole, run=config.run / "fresh", fresh_last=True)
    last_of = {run.run.name: load_model(train("kpn-l3", run))[0].last.weight for run in (whole, fresh)}
    torch.testing.assert_close(last_of["whole"], a.last.weight, atol=1e-3, rtol=0)
    assert a.last.weight.abs().max() > 1e-3 > last_of["fresh"].abs().max()
    with pytest.raises(ValueError, match="same preset"):
        train("mkpn", replace(config, run=config.run / "paper", preset="paper", init=donor))


def test_full_kernels_imitate_a_separable_teacher(config: TrainConfig) -> None:
    """Few steps of imitation alone bring the kernels nearer to the teacher's, nearer than the same steps without."""
    teacher = train("kpn-l5", replace(config, run=config.run / "teacher", steps=5, lr=5e-3))
    batch = TrainingStream([np.zeros((3, 64, 64), np.uint8)], batch=2, patch=16, noise_range="gains", seed=0)(0)
    factors = load_model(teacher)[0](batch.frames, batch.noise_std)

    def distance(run: str, **settings: Any) -> float:
        path = train("kpn", replace(config, run=config.run / run, beta=0.0, ema=0.0, **settings))
        with torch.no_grad():
            return imitation_loss(load_model(path)[0](batch.frames, batch.noise_std), factors).item()

    alone = distance("alone")
    taught = distance("taught", teacher=teacher, teacher_weight=100.0, teacher_until=1.0)
    assert taught < 0.5 * alone
    with pytest.raises(ValueError, match=r"teacher: expected a separable network .* got kpn-l5 for kpn-l3"):
        train("kpn-l3", replace(config, run=config.run / "wrong", teacher=teacher))


def test_the_start_has_its_share_in_what_is_exported(config: TrainConfig) -> None:
    donor = train("kpn-l3", replace(config, run=config.run / "donor", steps=2, sample_every=0))
    base = replace(config, init=donor, steps=3, lr=0.02, warmup=0, ema=0.0, seed=5, sample_every=0)
    plain = train("kpn-l3", replace(base, run=config.run / "plain"))
    mixed = replace(base, run=config.run / "mixed", start_share=0.25)
    exported = train("kpn-l3", mixed)
    start, end, between = (load_model(path)[0].state_dict() for path in (donor, plain, exported))
    assert any((end[name] - start[name]).abs().max() > 1e-2 for name in end)
    for name, tensor in between.items():
        torch.testing.assert_close(tensor, 0.75 * end[name] + 0.25 * start[name], atol=2e-3, rtol=2e-3)
    # The steps themselves know nothing of that share, and a run that goes on has its start at hand.
    one, two = (read_tensors(config.run / name / "state.safetensors")[0] for name in ("plain", "mixed"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {name for name in two if name not in one} == {f"first/{name}" for name in start}
    (mixed.run / "kpn-l3.safetensors").unlink()
    donor.unlink()
    saved = mixed.run / "state.safetensors"
    state = TrainingState(model_config("kpn-l3"), mixed, torch.device("cpu"), [], saved)
    state.export(exported, 1)
    assert all(torch.equal(tensor, between[name]) for name, tensor in load_model(exported)[0].state_dict().items())


def test_a_run_counts_the_hours_before_it_was_resumed(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("mkpn.training.train.time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = model_config("kpn-l1"), config, torch.device("cpu"), list[np.ndarray[Any, Any]]()
    saved, exported = config.run / "state.safetensors", config.run / "kpn-l1.safetensors"
    begun = TrainingState(*settings)
    now[0] = 3600.0
    begun.save(saved)
    now[0] = 99_000.0
    resumed = TrainingState(*settings, saved)
    now[0] += 1800
    resumed.export(exported, 1)
    assert load_model(exported)[1]["training"]["hours"] == 1.5


def test_the_moving_average_forgets_its_start(config: TrainConfig) -> None:
    """Early steps weigh more; after twenty the decay itself would have left 0.96 of the start."""
    state = TrainingState(model_config("kpn-l1"), config, torch.device("cpu"), [])
    for ours, own in zip(state.averaged.values(), state.network.state_dict().values(), strict=True):
        ours.zero_()
        own.fill_(1)
    for state.step in range(20):
        state.average(0.998)
    assert all((tensor - 1).abs().max() < 1e-5 for tensor in state.averaged.values())
    state.step = 100_000
    for own in state.network.state_dict().values():
        own.zero_()
    state.average(0.998)
    assert all((tensor - 0.998).abs().max() < 1e-5 for tensor in state.averaged.values())


def test_a_step_balances_its_bursts_and_notes_their_plain_loss(config: TrainConfig) -> None:
    weights: list[torch.Tensor] = []
    for balance in (0.0, 1.0):
        run = replace(config, run=config.run / str(balance), balance=balance, steps=1, log_every=1, sample_every=0)
        train("kpn-l3", run)
        weights.append(read_tensors(run.run / "state.safetensors")[0]["weights/last.weight"])
    # The same bursts and start: the losses are the same, what is learned from them is not.
    noted = [(config.run / name / "stats.jsonl").read_text(encoding="utf-8") for name in ("0.0", "1.0")]
    assert json.loads(noted[0])["loss"] == json.loads(noted[1])["loss"]
    assert not torch.equal(*weights)
    with pytest.raises(ValueError, match=r"balance: expected 0 to 1, got 1\.5"):
        replace(config, balance=1.5)


def test_a_loss_that_is_not_finite_stops(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkpn.training.train.total_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(FloatingPointError, match="step 0 of seed 0"):
        train("kpn-l1", config)


def test_learning_rate_warms_up_and_follows_a_cosine(config: TrainConfig) -> None:
    rates = [_learning_rate(step, config) for step in range(21)]
    assert rates[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert rates[20] == pytest.approx(1e-5)
    assert all(a > b for a, b in pairwise(rates[5:]))
    assert rates[12] == pytest.approx(1e-3 * (0.01 + 0.99 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * 7 / 15)))))


def test_torchrun_reads_the_documented_command() -> None:
    """Behind two dashes, no option of ours is taken for one of torchrun's; `--run` is ambiguous without them."""
    readme = (Path(__file__).parents[2] / "mkpn/training/README.md").read_text(encoding="utf-8")
    command = re.search(r"`torchrun ([^`]*) \.\.\.`", readme)
    assert command
    given = [*command[1].replace(" N ", " 2 ").split(), "kpn-l1", "--run", "x", "--images", "y"]
    read = get_args_parser().parse_args(given)
    assert (read.nproc_per_node, read.module, read.training_script) == ("2", True, "mkpn")
    assert read.training_script_args == ["train", "kpn-l1", "--run", "x", "--images", "y"]


@pytest.mark.parametrize("rotate", [False, True], ids=["plain", "rotated"])
def test_two_processes_equal_a_doubled_batch(config: TrainConfig, rotate: bool) -> None:
    config = replace(config, rotate=rotate)
    single = replace(config, run=config.run / "one", steps=6, batch=4, log_every=1, checkpoint_every=6, sample_every=0)
    double = replace(single, run=config.run / "two", batch=2)
    train("kpn-l3", single)
    two_ranks(command(double), config.run)
    one, two = (read_tensors(run.run / "state.safetensors")[0] for run in (single, double))
    for name in one:
        # Adam divides a gradient by its own size: where it is nearly zero, its rounding errors move a weight, too.
        close = torch.isclose(one[name], two[name], atol=1e-4, rtol=1e-3)
        assert (~close).sum().item() <= 1e-5 * close.numel(), name
        assert (one[name] - two[name]).abs().max() < 5e-4, name
