"""Networks that register: the wired measurement equals the reader, kernels follow the motion, held weights stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import perturbed

from mkpn.model.checkpoint import load_model, read_tensors, save_model
from mkpn.model.config import MODELS, ModelConfig, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ops import local_conv
from mkpn.training.config import RegisterConfig, TrainConfig
from mkpn.training.start.reader import INDICATORS, Reader, probabilities, true_probabilities, within_reach
from mkpn.training.start.register import Evidence, register, registration_loss
from mkpn.training.start.transplant import transplant_taps
from mkpn.training.start.widen import widen_head
from mkpn.training.start.wiring import (
    copy_measurement,
    evidence_of,
    held_rows,
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


def test_a_small_registration_beats_chance(photo_folder: Path, tmp_path: Path) -> None:
    config = RegisterConfig(
        images=(photo_folder,),
        out=tmp_path / "a.safetensors",
        downsample=1,
        bursts=96,
        patches=(64,),
        steps=300,
        batch=128,
        lr=6e-3,
        threads=1,
    )
    figures = register(config)
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


def test_a_registration_goes_on_from_another(photo_folder: Path, tmp_path: Path) -> None:
    settings = {"images": (photo_folder,), "downsample": 1, "bursts": 96, "patches": (64,), "batch": 128, "threads": 1}
    first = RegisterConfig(out=tmp_path / "a.safetensors", steps=300, lr=6e-3, **settings)
    learned = register(first)
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


def test_a_wider_head_says_the_same() -> None:
    torch.manual_seed(0)
    network = perturbed(model_config("kpn-l5"))
    wide = widen_head(network, 80)
    assert wide.config == replace(network.config, head_width=80)
    frames, noise = torch.rand(1, 8, 3, 32, 32), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(wide(frames, noise), network(frames, noise), atol=1e-5, rtol=1e-4)
        features = wide.features(frames, noise)
    # The new channels are alive, and the last convolution's gradient can find a use for them.
    assert (features[:, 64:].amax((0, 2, 3)) > 0).float().mean() > 0.5
    with pytest.raises(ValueError, match="head_width: expected at least the 64 channels"):
        widen_head(network, 32)


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


def test_the_start_does_not_depend_on_the_batch(
    holding: TrainConfig, donor: tuple[KernelPredictionNetwork, torch.Tensor]
) -> None:
    """A transplanted last convolution needs typical features; two processes of half the batch must agree on them."""
    network, _ = donor
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


@pytest.mark.parametrize("lr_registration", [0.0, 0.01])
def test_a_run_that_holds_resumes_bit_for_bit(
    holding: TrainConfig, monkeypatch: pytest.MonkeyPatch, lr_registration: float
) -> None:
    from mkpn.training import train as module

    # Rotated, and held as for the shipped networks, or slowed down.
    holding = replace(holding, rotate=True, lr_registration=lr_registration)
    straight = train("kpn-l5", replace(holding, run=holding.run / "straight"))
    real_step, calls = module._step, []

    def failing_step(*args: object) -> float:
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real_step(*args)  # pyright: ignore[reportArgumentType]

    again = replace(holding, run=holding.run / "again")
    monkeypatch.setattr(module, "_step", failing_step)
    with pytest.raises(KeyboardInterrupt):
        train("kpn-l5", again)
    monkeypatch.setattr(module, "_step", real_step)
    (one, _), (two, _) = (
        read_tensors(path.parent / "state.safetensors") for path in (straight, train("kpn-l5", again))
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


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


def coefficients(network: KernelPredictionNetwork, features: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.coefficients(features)


def narrow(name: str) -> KernelPredictionNetwork:
    """A network whose head is as wide as the donor's."""
    return KernelPredictionNetwork(replace(model_config(name), head_width=64))


@pytest.fixture(scope="module")
def donor() -> tuple[KernelPredictionNetwork, torch.Tensor]:
    torch.manual_seed(0)
    network = KernelPredictionNetwork(model_config("kpn-l11"))
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network, torch.rand(2, 64, 6, 6)


@pytest.mark.parametrize("name", ["kpn-l3", "kpn-l25", "mkpn"])
def test_transplanted_factors_are_the_donors_centres(
    donor: tuple[KernelPredictionNetwork, torch.Tensor], name: str
) -> None:
    source, features = donor
    network = narrow(name)
    transplant_taps(network, source, features)
    theirs, ours = coefficients(source, features), coefficients(network, features)
    for size, first in zip(network.config.sizes, network.config.first_taps, strict=True):
        taps = ours[:, :, :, first : first + size]
        if size <= 11:
            # In each factor, for one without weight keeps the other.
            centre = theirs[:, :, :, (11 - size) // 2 : (11 + size) // 2]
            for part in range(2):
                scale = (taps / centre)[:, :, part].median()
                torch.testing.assert_close(taps[:, :, part], scale * centre[:, :, part])
                assert scale > 0 or (part == 0 and size < 11)
        else:
            frames = torch.rand(2, 8, 3, 12, 12)
            expected = local_conv(frames, theirs, (11,), backend="reference")
            torch.testing.assert_close(local_conv(frames, ours, (size,), backend="reference"), expected)


@pytest.mark.parametrize(
    ("vertical", "horizontal", "beyond", "scale"),
    [
        (0.5, 0.5, 0.5, 2),  # a quarter of the weight is kept, and grows back
        (0.01, 0.01, 1.0, 10**0.5),
        (-0.01, 0.01, 1.0, 10**0.5),
        (1.0, 1.0, -0.9, 10**-0.5),
    ],
    ids=["moderate", "hardly any", "negative", "far too much"],
)
def test_a_centre_is_scaled_by_no_more_than_ten(
    vertical: float, horizontal: float, beyond: float, scale: float
) -> None:
    """A kernel's weight is the product of its factors, of which each gets the root of the scale."""
    source, network = KernelPredictionNetwork(model_config("kpn-l11")), KernelPredictionNetwork(model_config("kpn-l1"))
    kernel = torch.zeros(2, 11)
    kernel[:, 5] = torch.tensor([vertical, horizontal])
    kernel[:, 8] = beyond
    with torch.no_grad():
        source.last.weight.zero_()
        source.last.bias.copy_(kernel.repeat(8, 1).flatten())  # pyright: ignore[reportOptionalMemberAccess]
    transplant_taps(network, source, torch.zeros(1, 64, 8, 8))
    expected = scale * torch.tensor([vertical, horizontal]).repeat(8)
    torch.testing.assert_close(network.last.bias, expected, check_stride=False, rtol=1e-5, atol=0)


def test_sizes_that_cannot_hold_the_donors_kernels_start_from_nothing() -> None:
    """The donor shifts every frame by two pixels: sides 1 and 3 have no kernel yet, but a factor that lets it grow."""
    source, network = KernelPredictionNetwork(model_config("kpn-l11")), narrow("mkpn")
    with torch.no_grad():
        source.last.bias.copy_(source.last.bias.view(16, 11).roll(2, 1).flatten() + 0.01)  # pyright: ignore
    features = torch.rand(1, 64, 8, 8)
    transplant_taps(network, source, features)
    coeffs = coefficients(network, features)[:, :, :, :, 4, 4]
    first = network.config.first_taps[2]
    assert coeffs[:, :, 0, :first].abs().max() == 0
    assert coeffs[:, :, 1, :first].abs().min() > 0
    assert coeffs[:, :, :, first:].abs().min() > 0
    frames = torch.rand(1, 8, 3, 16, 16)
    images = [
        local_conv(frames, coefficients(n, features), n.config.sizes, backend="reference") for n in (source, network)
    ]
    torch.testing.assert_close(*images, atol=0.1, rtol=0)


def test_transplanted_full_kernels_are_the_product_to_first_order(
    donor: tuple[KernelPredictionNetwork, torch.Tensor],
) -> None:
    source, features = donor
    network = narrow("kpn")
    transplant_taps(network, source, features)

    def both(scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        mean = features.mean((0, 2, 3))[None, :, None, None]
        x = mean + scale * (features - mean)
        v, h = coefficients(source, x)[:, :, :, 3:8, 1:-1, 1:-1].unbind(2)
        return coefficients(network, x)[..., 1:-1, 1:-1].unflatten(2, (5, 5)), v[:, :, :, None] * h[:, :, None]

    same, product = both(0)
    scale = (same / product).median()
    same, product = same / scale, product
    torch.testing.assert_close(same, product, atol=1e-5, rtol=1e-4)
    (near, near_product), (far, far_product) = both(0.1), both(1)
    assert (near / scale - near_product).abs().max() < 0.02 * (far / scale - far_product).abs().max()


def test_a_transplanted_network_keeps_the_brightness(donor: tuple[KernelPredictionNetwork, torch.Tensor]) -> None:
    """Where a kernel loses the taps beyond its side, the rest is scaled: a white burst stays as white."""
    source, features = donor
    mean = features.mean((0, 2, 3), keepdim=True).expand(1, -1, 16, 16)
    white = torch.ones(1, 8, 3, 32, 32)
    expected = local_conv(white, coefficients(source, mean), (11,), backend="reference")[0, 0, 16, 16]
    for name in MODELS:
        network = narrow(name)
        transplant_taps(network, source, features)
        image = local_conv(white, coefficients(network, mean), network.config.sizes, backend="reference")
        assert image[0, 0, 16, 16].item() == pytest.approx(expected.item(), rel=1e-3), name


def test_only_a_separable_donor_of_the_same_head_will_do() -> None:
    full, thin = narrow("kpn"), model_config("kpn-l3")
    features = torch.rand(1, 64, 4, 4)
    with pytest.raises(ValueError, match="expected a separable network"):
        transplant_taps(KernelPredictionNetwork(thin), full, features)
    other = ModelConfig(name="x", sizes=(3,), head_width=32)
    with pytest.raises(ValueError, match="64 features before its last convolution, got x with 32"):
        transplant_taps(KernelPredictionNetwork(thin), KernelPredictionNetwork(other), features)
