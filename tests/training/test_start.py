"""Networks that register: the wired measurement equals the reader, kernels follow the motion, held weights stay."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import perturbed

from mkpn.model.checkpoint import load_model, read_tensors, save_model, write_tensors
from mkpn.model.config import ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.training.config import RegisterConfig, TrainConfig
from mkpn.training.start.reader import INDICATORS, Reader, probabilities, true_probabilities, within_reach
from mkpn.training.start.register import Evidence, register, registration_loss
from mkpn.training.start.widen import widen
from mkpn.training.start.wiring import (
    copy_measurement,
    evidence_of,
    held_rows,
    hold,
    read_reader,
    wire_evidence,
    wire_full_kernels,
    wire_reader,
)
from mkpn.training.train import train

WIDER = ModelConfig(name="wider", sizes=(7,), widths=(20, 40, 70, 130, 140), head_width=70)


def wired(config: ModelConfig | str = "kpn-l5") -> tuple[KernelPredictionNetwork, Reader]:
    torch.manual_seed(0)
    config = model_config(config) if isinstance(config, str) else config
    network, reader = KernelPredictionNetwork(config), Reader()
    wire_evidence(network)
    wire_reader(network, reader)
    return network.eval(), reader


def plane(height: int, width: int, offsets: list[tuple[int, int]]) -> torch.Tensor:
    """A burst `[1,8,3,H,W]` of a scene whose brightness rises evenly, so that the evidence is the same everywhere."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = [0.2 + 0.002 * (x + dx) + 0.001 * (y + dy) for dx, dy in offsets]
    return torch.stack(frames)[None, :, None].expand(-1, -1, 3, -1, -1).contiguous().float()


OFFSETS = [(0, 0), (1, 0), (-2, 1), (0, 2), (2, -2), (-1, -1), (0, 0), (2, 1)]


@pytest.mark.parametrize("config", ["kpn-l5", WIDER], ids=["compact", "wider"])
def test_the_network_says_what_the_reader_says(config: ModelConfig | str) -> None:
    network, reader = wired(config)
    frames = plane(192, 192, OFFSETS)
    noise = torch.full((1, 3, 192, 192), 0.05)
    said: list[torch.Tensor] = []
    network.decoder[1].register_forward_hook(lambda _, __, output: said.append(output))
    with torch.inference_mode():
        expected = reader(*evidence_of(network, frames, noise))[0]  # [7,24,24,9]
        head = network.features(frames, noise)[0, -7 * INDICATORS :].unflatten(0, (7, INDICATORS))
    assert expected.abs().max() > 0.05
    # From an eighth of the resolution to a quarter, and carried on to the last convolution's inputs.
    up = torch.nn.functional.interpolate(expected.permute(0, 3, 1, 2), scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(said[0][0, -7 * INDICATORS :].unflatten(0, (7, INDICATORS)), up, atol=1e-4, rtol=1e-4)
    half = torch.nn.functional.interpolate(up, scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(head, half, atol=1e-4, rtol=1e-4)


def test_the_reader_treats_all_frames_alike_and_looks_around() -> None:
    torch.manual_seed(0)
    reader = Reader()
    evidence, scene = torch.rand(1, 7, 8, 6, 6), torch.rand(1, 6, 6, 6)
    order = torch.tensor([3, 0, 6, 1, 2, 5, 4])
    with torch.inference_mode():
        plain = reader(evidence, scene)
        torch.testing.assert_close(reader(evidence[:, order], scene), plain[:, order])
        changed = evidence.clone()
        changed[:, :, :, 0, 0] += 1
        far = (reader(changed, scene) - plain).abs().amax((0, 1, 4))
    assert plain.shape == (1, 7, 12, 12, INDICATORS)
    # Three convolutions at a sixteenth and three at an eighth: nine places of an eighth.
    assert far[11, 11] < 1e-5 < far[8, 0]


def test_the_evidence_tells_the_displacement_along_the_gradient() -> None:
    """Brightness constancy: the difference of both rectified sums is proportional to `d . gradient`."""
    network, _ = wired()
    steps = [-2, -1, 0, 1, 2]
    frames = plane(192, 192, [(0, 0), *((step, 0) for step in steps), (0, 0), (0, 0)])
    with torch.inference_mode():
        evidence, scene = evidence_of(network, frames, torch.full((1, 3, 192, 192), 0.05))
    at, slope = evidence[0, :5, :, 6, 6], scene[0, 0, 6, 6]
    signed = 2 * (at[:, 0] - at[:, 1]) - 2 * 0.7 * slope
    ratio = (signed / slope).tolist()
    # The scene rises to the right by one unit per pixel: a quarter-resolution pixel is four pixels.
    assert ratio == pytest.approx([2 * step / 4 for step in steps], abs=0.02)


@pytest.mark.parametrize("name", ["kpn-l3", "kpn-l11", "mkpn"])
def test_perfect_indicators_make_shifted_deltas(name: str) -> None:
    network, _ = wired(name)
    offsets = torch.tensor(OFFSETS)[1:]
    vertical, horizontal = true_probabilities(offsets)
    features = torch.zeros(1, network.last.in_channels, 3, 3)
    indicators = torch.cat((vertical, horizontal.cumsum(-1)[:, :-1]), -1)
    features[0, -7 * INDICATORS :] = indicators.flatten()[:, None, None]
    with torch.inference_mode():
        coeffs = network.coefficients(features)[0, ..., 1, 1]
    for size, first in zip(network.config.sizes, network.config.first_taps, strict=True):
        taps = coeffs[1:, :, first : first + size]
        for (dx, dy), (v, h) in zip(offsets.tolist(), taps, strict=True):
            for factor, step in ((v, dy), (h, dx)):
                expected = torch.zeros(size)
                if abs(step) <= size // 2:
                    expected[size // 2 - step] = 1
                torch.testing.assert_close(factor, expected)


def test_probabilities_and_their_truth() -> None:
    vertical, horizontal = true_probabilities(torch.tensor([[1, -2], [0, 3]]))
    assert vertical.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert horizontal.tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
    assert within_reach(torch.tensor([[2, -2], [0, 3], [-3, 0]])).tolist() == [True, False, False]
    v, h = probabilities(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0, 0.1, 0.3, 0.6, 1.0]))
    assert v.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.0])
    assert h.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.0])


@pytest.fixture(scope="module")
def registered(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RegisterConfig, dict[str, float]]:
    """A small registration and its figures."""
    config = RegisterConfig(
        images=(photo_folder,),
        out=tmp_path_factory.mktemp("registered") / "a.safetensors",
        downsample=1,
        bursts=96,
        patches=(64,),
        steps=300,
        batch=128,
        lr=6e-3,
        threads=1,
    )
    return config, register(config)


def test_a_small_registration_beats_chance(registered: tuple[RegisterConfig, dict[str, float]]) -> None:
    config, figures = registered
    assert min(figures["accuracy_x"], figures["accuracy_y"]) > 0.5  # chance: 0.2
    assert figures["left_out"] < figures["kept"] - 0.3
    assert load_model(config.out)[1]["training"]["registration"]["accuracy_x"] == figures["accuracy_x"]


def test_a_registration_repeats(photo_folder: Path, tmp_path: Path) -> None:
    settings = {"images": (photo_folder,), "downsample": 1, "bursts": 32, "patches": (64,), "steps": 40, "batch": 64}
    config = RegisterConfig(out=tmp_path / "a.safetensors", threads=1, **settings)
    assert register(replace(config, out=tmp_path / "b.safetensors")) == register(config)
    one, two = (load_model(tmp_path / f"{name}.safetensors")[0].state_dict() for name in "ab")
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_the_reader_is_read_back() -> None:
    network, reader = wired()
    again = Reader()
    with torch.no_grad():
        again.scale.copy_(torch.rand(len(again.scale)) + 0.5)
        read_reader(network, again)
    evidence, scene = torch.rand(1, 7, 8, 5, 5), torch.rand(1, 6, 5, 5)
    torch.testing.assert_close(again(evidence, scene), reader(evidence, scene), atol=1e-5, rtol=1e-5)


def test_a_registration_goes_on_from_another(
    registered: tuple[RegisterConfig, dict[str, float]], tmp_path: Path
) -> None:
    first, learned = registered
    # A rate that moves nothing: what is measured is what the first training has learned.
    on = register(replace(first, out=tmp_path / "b.safetensors", init=first.out, steps=1, lr=1e-9))
    assert on == pytest.approx(learned, abs=2e-3)
    anew = register(replace(first, out=tmp_path / "c.safetensors", steps=1, lr=1e-9))
    assert anew["accuracy_x"] < 0.5 < on["accuracy_x"]


def test_only_what_registers_has_a_reader_to_go_on_from(tmp_path: Path) -> None:
    network = KernelPredictionNetwork(model_config("kpn-l5"))
    path = tmp_path / "plain.safetensors"
    save_model(path, network.config, network.state_dict(), {})
    # Said before the photographs are looked for, of which there are none.
    with pytest.raises(ValueError, match="init: expected a network of `mkpn register`"):
        register(RegisterConfig(images=(tmp_path,), out=tmp_path / "a.safetensors", init=path))


def test_clear_bursts_and_frames_just_beyond_reach_count_more() -> None:
    """One wrong probability each: its square, by how much the burst and the frame count, over the frames."""
    nothing = torch.zeros(1, 7, 1, 1, INDICATORS)
    false_alarm = nothing.clone()
    false_alarm[0, 0, 0, 0, 0] = 0.5

    def loss(x: int, noise: float) -> float:
        offsets = torch.tensor([[[x, 0]] + [[16, 16]] * 6])
        evidence = Evidence(torch.empty(1, 7, 8, 1, 1), torch.empty(1, 6, 1, 1), offsets, torch.tensor([noise]))
        return registration_loss(false_alarm, evidence).item() * 7

    assert loss(16, 0.05) == pytest.approx(0.25 * 1.5)
    assert loss(3, 0.05) == pytest.approx(0.25 * 5)
    assert loss(3, 0.025) == pytest.approx(0.25 * 5 * 2**0.5)
    assert loss(3, 0.001) == pytest.approx(0.25 * 5 * 5**0.5)
    assert loss(3, 0.5) == pytest.approx(0.25 * 5 * 0.2**0.5)


def test_indicators_that_are_zero_at_first_learn(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rectified number below zero has no gradient; the leak gives it one, and is gone at the end."""
    readers: list[Reader] = []

    class Silent(Reader):
        def __init__(self) -> None:
            super().__init__()
            torch.nn.init.constant_(self.own[-1].bias, -5.0)  # pyright: ignore[reportArgumentType]
            readers.append(self)

    monkeypatch.setattr("mkpn.training.start.register.Reader", Silent)
    settings = {"images": (photo_folder,), "downsample": 1, "bursts": 32, "patches": (64,), "steps": 60, "batch": 64}
    register(RegisterConfig(out=tmp_path / "a.safetensors", threads=1, **settings))
    (reader,) = readers
    # The optimiser's decay alone takes less than a hundredth of that.
    assert (reader.own[-1].bias + 5).abs().min() > 1e-3  # pyright: ignore[reportOperatorIssue]
    assert reader.leak == 0


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-2, 2)])
def test_full_kernels_start_as_deltas_at_the_displacement(offset: tuple[int, int]) -> None:
    """The separable start, too, but no product of its factors: rectified sums stand for them."""
    torch.manual_seed(0)
    network = KernelPredictionNetwork(replace(model_config("kpn"), head_width=239))
    wire_full_kernels(network, share=1.0)
    offsets = torch.tensor(OFFSETS)[1:].clone()
    offsets[2] = torch.tensor(offset)
    offsets[5] = torch.tensor([9, 3])
    vertical, horizontal = true_probabilities(offsets)
    below = torch.zeros(1, network.config.widths[2] + network.config.widths[1], 5, 5)
    indicators = torch.cat((vertical, horizontal.cumsum(-1)[:, :-1]), -1).flatten()
    start = network.config.widths[2] - 7 * INDICATORS
    below[0, start : network.config.widths[2]] = indicators[:, None, None]
    with torch.inference_mode():
        kernels = network.coefficients(torch.nn.Sequential(*network.head)(below))[0, :, :, 2, 2].unflatten(1, (5, 5))
    expected = torch.zeros(8, 5, 5)
    for frame, (dx, dy) in enumerate(offsets.tolist(), 1):
        if max(abs(dx), abs(dy)) <= 2:
            expected[frame, 2 - dy, 2 - dx] = 1
    # The reference stands in for the frame that moved too far.
    expected[0, 2, 2] = 2
    torch.testing.assert_close(kernels, expected, atol=1e-5, rtol=0)


def test_only_full_kernels_with_a_wide_head_get_that_start() -> None:
    with pytest.raises(ValueError, match="more than 175 channels in the head, got kpn-l5 with 64"):
        wire_full_kernels(KernelPredictionNetwork(model_config("kpn-l5")))
    narrow = replace(model_config("kpn"), head_width=64)
    with pytest.raises(ValueError, match="more than 175 channels in the head, got kpn with 64"):
        wire_full_kernels(KernelPredictionNetwork(narrow))


@pytest.mark.parametrize("preset", ["kpn-l5", "kpn"])
def test_a_wider_network_says_the_same_and_measures_the_same(preset: str) -> None:
    """What measures motion has moved to other channels, and is held there."""
    narrow = replace(model_config(preset), widths=(18, 40, 64, 128, 128))
    config = replace(narrow, widths=(24, 48, 64, 128, 128), head_width=(narrow.head_width or 0) + 16)
    network = wired(narrow)[0] if narrow.separable else perturbed(narrow)
    frames, noise = torch.rand(2, 8, 3, 32, 32), torch.full((2, 3, 32, 32), 0.1)
    wide = widen(network, config, frames, noise)
    assert wide.config == config
    read: list[torch.Tensor] = []
    for layer in (wide.encoder[0], wide.encoder[1], wide.head):
        layer.register_forward_hook(lambda _, __, output: read.append(output))
    with torch.no_grad():
        torch.testing.assert_close(wide(frames, noise), network(frames, noise), atol=1e-5, rtol=1e-4)
    # The new channels are alive, and gradients can find a use for them.
    for output, new in zip(read, (slice(11, 17), slice(33, 41), slice(narrow.head_width, None)), strict=True):
        part = output[:, new]
        assert 0.02 < part.mean() < 0.5
        assert (part.amax((0, 2, 3)) > 0).all()
    before, after = held_rows(network), held_rows(wide)
    assert {name: int(rows.sum()) for name, rows in before.items()} == {n: int(r.sum()) for n, r in after.items()}
    for name, rows in after.items():
        old, new = (n.state_dict()[f"{name}.bias"][r] for n, r in ((network, before[name]), (wide, rows)))
        assert torch.equal(old, new), name


def test_only_a_narrower_network_is_widened() -> None:
    network, config = KernelPredictionNetwork(model_config("kpn-l5")), model_config("kpn-l5")
    frames, noise = torch.rand(1, 8, 3, 16, 16), torch.rand(1, 3, 16, 16)
    for other in (config, replace(config, widths=(32, 32, 64, 128, 128)), replace(config, head_width=32)):
        with pytest.raises(ValueError, match=r"init: expected a network .* with fewer than .* got kpn-l5 with"):
            widen(network, other, frames, noise)
    wider = replace(config, head_width=80, sizes=(7,))
    with pytest.raises(ValueError, match="fewer than 24-48-64-128-128 channels and 80 in the last block"):
        widen(network, wider, frames, noise)


def test_a_run_from_a_narrower_network_goes_on_from_its_kernels(holding: TrainConfig) -> None:
    assert holding.init is not None
    donor, metadata = load_model(holding.init)
    narrow = replace(donor.config, widths=(20, 40, *donor.config.widths[2:]))
    network, _ = wired(narrow)
    save_model(holding.init, narrow, network.state_dict(), metadata["training"])
    exported = train(narrow.name, replace(holding, steps=1, lr=1e-20))
    trained, _ = load_model(exported)
    frames, noise = torch.rand(1, 8, 3, 32, 32), torch.full((1, 3, 32, 32), 0.1)
    with torch.no_grad():
        # Exported weights are rounded to half precision.
        torch.testing.assert_close(trained(frames, noise), network(frames, noise), atol=0.01, rtol=0.01)
    assert trained.config == model_config(narrow.name)


def test_another_measurement_replaces_only_what_measures() -> None:
    (network, _), (other, _) = wired("kpn-l5"), wired("mkpn")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.01
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copy_measurement(network, other)
    held = held_rows(network)
    for name, tensor in network.state_dict().items():
        layer = name.rpartition(".")[0]
        rows = held.get(layer, torch.zeros(len(tensor), dtype=torch.bool))
        assert torch.equal(tensor[~rows], before[name][~rows]), name
        assert torch.equal(tensor[rows], other.state_dict()[name][rows]) if rows.any() else True, name
    with pytest.raises(ValueError, match="registration: expected a network of the same preset"):
        copy_measurement(network, wired(WIDER)[0])


def test_a_network_that_cannot_be_wired_says_so() -> None:
    with pytest.raises(ValueError, match="registration: expected a network of separable kernels, got kpn"):
        wire_evidence(KernelPredictionNetwork(model_config("kpn")))
    with pytest.raises(ValueError, match="registration: expected more than 63 channels in the head, got 16"):
        wire_evidence(KernelPredictionNetwork(model_config("kpn-l1", "paper")))


@pytest.mark.parametrize("field", ["bursts", "patches", "out", "images"])
def test_registration_settings_are_checked(field: str, tmp_path: Path) -> None:
    good = RegisterConfig(images=(tmp_path,), out=tmp_path / "x.safetensors")
    wrong = {"bursts": 0, "patches": (40,), "out": tmp_path / "x.pt", "images": ()}
    with pytest.raises(ValueError, match=f"{field}: expected"):
        replace(good, **{field: wrong[field]})


@pytest.fixture
def holding(photo_folder: Path, tmp_path: Path) -> TrainConfig:
    """Four steps from a start that registers."""
    network, _ = wired("kpn-l11")
    start = tmp_path / "start.safetensors"
    save_model(start, network.config, network.state_dict(), {"registration": {}})
    return TrainConfig(
        images=(photo_folder,),
        run=tmp_path / "run",
        downsample=1,
        batch=2,
        patch=32,
        steps=4,
        warmup=1,
        beta=0,
        init=start,
        lr_registration=0.0,
        lr_last=0.3,
        checkpoint_every=1,
        device="cpu",
        threads=1,
    )


def test_only_what_registers_is_held(holding: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    child = train("kpn-l3", replace(holding, run=tmp_path / "child", steps=1))
    train("kpn-l5", replace(holding, run=tmp_path / "grandchild", steps=1, init=child))
    grandchild = load_model(tmp_path / "grandchild" / "kpn-l5.safetensors")[0]
    held, before = held_rows(grandchild), load_model(child)[0].state_dict()
    assert all(
        torch.equal(before[f"{name}.weight"][rows], grandchild.state_dict()[f"{name}.weight"][rows])
        for name, rows in held.items()
    )
    # What starts from nothing has nothing to hold, and says what that costs.
    assert "registers" not in caplog.text
    orphan = train("kpn-l5", replace(holding, run=tmp_path / "orphan", init=None))
    assert "starts from nothing that registers the burst" in caplog.text
    torch.manual_seed(holding.seed)
    fresh = KernelPredictionNetwork(model_config("kpn-l5")).state_dict()
    after = load_model(orphan)[0].state_dict()
    assert all(
        not torch.equal(fresh[f"{name}.weight"][rows].half().float(), after[f"{name}.weight"][rows])
        for name, rows in held.items()
    )


def test_held_weights_stay_bit_for_bit(holding: TrainConfig) -> None:
    assert holding.init is not None
    before, _ = load_model(holding.init)
    exported = train("kpn-l13", holding)
    # The run's own weights: what is exported is rounded to half precision.
    state, _ = read_tensors(exported.parent / "state.safetensors")
    new = {name.removeprefix("weights/"): tensor for name, tensor in state.items()}
    held, old = held_rows(before), before.state_dict()
    for name, rows in held.items():
        for kind in ("weight", "bias"):
            assert torch.equal(old[f"{name}.{kind}"][rows], new[f"{name}.{kind}"][rows]), name
    assert {name.split(".")[0] for name in held} == {"encoder", "decoder"}
    for name in ("encoder.0.0", "encoder.1.4", "head.0"):
        free = ~held.get(name, torch.zeros(len(old[f"{name}.bias"]), dtype=torch.bool))
        assert not torch.equal(old[f"{name}.weight"][free], new[f"{name}.weight"][free]), name
    assert load_model(exported)[1]["training"]["started_from"]["model"] == "kpn-l11"


@pytest.mark.parametrize("reads_itself", [True, False])
def test_holding_skips_gradients_that_end_in_what_is_held(reads_itself: bool) -> None:
    """The same gradients as through the whole network, at less work; not where what is held reads what learns."""
    network, _ = wired()
    torch.nn.init.normal_(network.last.weight, std=0.02)
    first = network.get_submodule("encoder.2.0")
    assert isinstance(first, torch.nn.Conv2d)
    if not reads_itself:
        torch.nn.init.normal_(first.weight, std=0.1)
    whole, entries = copy.deepcopy(network), list[torch.Tensor]()
    hold(network)
    first.register_forward_hook(lambda _, inputs, __: entries.append(inputs[0]))
    frames, noise = torch.rand(1, 8, 3, 32, 32), torch.full((1, 3, 32, 32), 0.1)
    for one in (network, whole):
        one(frames, noise).square().mean().backward()
    assert entries[0].requires_grad is not reads_itself
    held, kept = held_rows(network), dict(network.named_parameters())
    for name, parameter in whole.named_parameters():
        assert parameter.grad is not None
        layer, _, _ = name.rpartition(".")
        free = ~held.get(layer, torch.zeros(len(parameter), dtype=torch.bool))
        if free.any():
            gradient = kept[name].grad
            assert gradient is not None
            torch.testing.assert_close(gradient[free], parameter.grad[free], rtol=1e-5, atol=1e-8)
            assert gradient[free].any()


def test_what_measures_motion_may_learn_slowly(holding: TrainConfig) -> None:
    """One step of Adam moves every weight by its learning rate, and those rows by a fraction of it."""
    config = replace(holding, steps=1, ema=0.0, lr=1e-3, weight_decay=0.0, clip=1e6, rotate=False, lr_registration=0.01)
    run = train("kpn-l11", config).parent
    state, _ = read_tensors(run / "state.safetensors")
    assert holding.init is not None
    before, _ = load_model(holding.init)
    old = before.state_dict()
    for name, rows in held_rows(before).items():
        moved = (state[f"weights/{name}.weight"] - old[f"{name}.weight"]).abs()
        assert 0 < moved[rows].max() < 1.1e-5, name
    assert (state["weights/head.0.weight"] - old["head.0.weight"]).abs().max().item() == pytest.approx(1e-3, rel=0.02)
    with pytest.raises(ValueError, match="lr_registration: expected 0 to 1"):
        replace(config, lr_registration=1.5)


def test_what_measures_motion_may_be_exported_as_it_was(holding: TrainConfig) -> None:
    """The run itself learns as without it, and goes on where it was."""
    base = replace(holding, steps=2, ema=0.0, lr=1e-2, lr_registration=0.5)
    plain = train("kpn-l11", replace(base, run=base.run / "plain"))
    keeping = replace(base, run=base.run / "kept", keep_registration=True, start_share=0.25)
    exported = train("kpn-l11", keeping)
    assert holding.init is not None
    start, end, kept = (load_model(path)[0] for path in (holding.init, plain, exported))
    held = held_rows(start)
    for name, tensor in kept.state_dict().items():
        old, new = start.state_dict()[name], end.state_dict()[name]
        rows = held.get(name.rpartition(".")[0], torch.zeros(len(tensor), dtype=torch.bool))
        torch.testing.assert_close(tensor[rows], old[rows], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(tensor[~rows], (0.75 * new + 0.25 * old)[~rows], atol=2e-3, rtol=2e-3)
        assert not (rows.any() and torch.allclose(old[rows], new[rows])), name
    one, two = (read_tensors(base.run / name / "state.safetensors")[0] for name in ("plain", "kept"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    save_model(holding.init, start.config, start.state_dict(), {})
    with pytest.raises(ValueError, match="keep_registration: expected an --init that registers"):
        train("kpn-l11", replace(keeping, run=base.run / "other"))


def test_the_start_does_not_depend_on_the_batch(holding: TrainConfig) -> None:
    """A transplanted last convolution needs typical features; two processes of half the batch must agree on them."""
    network = perturbed(model_config("kpn-l11"), scale=0.05)
    assert holding.init is not None
    save_model(holding.init, network.config, network.state_dict(), {"registration": {}})
    one, two = (
        read_tensors(
            train("kpn-l5", replace(holding, run=holding.run / str(batch), batch=batch, steps=1, lr=1e-20)).parent
            / "state.safetensors"
        )[0]["weights/last.weight"]
        for batch in (1, 2)
    )
    assert one.abs().max() > 0
    assert torch.equal(one, two)


def test_a_run_of_another_width_says_how_to_go_on(holding: TrainConfig) -> None:
    run = train("kpn-l5", replace(holding, steps=1)).parent
    tensors, metadata = read_tensors(run / "state.safetensors")
    tensors["weights/encoder.0.0.weight"] = tensors["weights/encoder.0.0.weight"][:16].clone()
    write_tensors(run / "state.safetensors", tensors, metadata)
    with pytest.raises(ValueError, match=r"another width, first at encoder\.0\.0\.weight.*--init and another --run"):
        train("kpn-l5", replace(holding, steps=1))


@pytest.mark.parametrize("lr_registration", [0.0, 0.01])
def test_a_run_that_holds_resumes_bit_for_bit(
    holding: TrainConfig, monkeypatch: pytest.MonkeyPatch, lr_registration: float
) -> None:
    from mkpn.training import train as module

    # Rotated, and held as for the shipped networks, or slowed down.
    holding = replace(holding, rotate=True, lr_registration=lr_registration)
    straight = train("kpn-l5", replace(holding, run=holding.run / "straight"))
    real_step, calls = module._step, []
    entries: list[bool] = []

    def watched_step(network: torch.nn.Module, *args: object) -> float:
        first = network.get_submodule("encoder.2.0")
        handle = first.register_forward_hook(lambda _, inputs, __: entries.append(inputs[0].requires_grad))
        loss = real_step(network, *args)  # pyright: ignore[reportArgumentType]
        handle.remove()
        return loss

    def failing_step(*args: object) -> float:
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real_step(*args)  # pyright: ignore[reportArgumentType]

    again = replace(holding, run=holding.run / "again")
    monkeypatch.setattr(module, "_step", failing_step)
    with pytest.raises(KeyboardInterrupt):
        train("kpn-l5", again)
    monkeypatch.setattr(module, "_step", watched_step)
    (one, _), (two, _) = (
        read_tensors(path.parent / "state.safetensors") for path in (straight, train("kpn-l5", again))
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    # Nor does it compute again what a run that holds leaves out.
    assert entries == [lr_registration > 0] * 2


def test_the_last_convolution_has_a_learning_rate_of_its_own(holding: TrainConfig) -> None:
    """One step of Adam moves every weight by its learning rate."""
    config = replace(holding, steps=1, ema=0.0, lr=1e-3, weight_decay=0.0, lr_last=0.25, clip=1e6, rotate=False)
    run = train("kpn-l11", config).parent
    after = {
        name.removeprefix("weights/"): tensor for name, tensor in read_tensors(run / "state.safetensors")[0].items()
    }
    assert holding.init is not None
    before = load_model(holding.init)[0].state_dict()
    moved = {name: (after[name] - before[name]).abs().max().item() for name in ("head.0.weight", "last.weight")}
    assert moved == pytest.approx({"head.0.weight": 1e-3, "last.weight": 2.5e-4}, rel=0.02)
