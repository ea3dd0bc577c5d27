"""The app without a browser: its public endpoints through `gradio_client`, and its service layer directly."""

from __future__ import annotations

import base64
import io
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import break_network, untrained
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import mkpn
from mkpn.explain import probe
from mkpn.geometry import Rectangle
from mkpn.inference.denoiser import Denoiser
from mkpn.metrics import MetricDefinition, definition_for
from mkpn.model.config import MODELS
from mkpn.synthesis.burst import NoisyBurst, make_burst, rng_for
from mkpn.synthesis.images import EXAMPLES, example_image, load_image, to_uint8
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS
from mkpn.ui.page import views
from mkpn.ui.page.handlers import Handlers, close_run
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, mark_next, run_models, start_run
from mkpn.ui.run.settings import LARGEST_SEED, Settings, example_fit, fit_scene
from mkpn.ui.run.sources import upload_source
from mkpn.ui.saved.state import from_json

WAIT = 120


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten untrained networks with kernels that differ from pixel to pixel."""
    return untrained(tmp_path_factory.mktemp("checkpoints"), MODELS, 0.003)


@pytest.fixture(scope="module")
def store(checkpoints: Path) -> ModelStore:
    return ModelStore(checkpoints, "cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    """A photograph of 96x80 pixels: 64x48 are shown."""
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    Image.fromarray(photo[60:140, 100:196]).save(path)
    return path


@pytest.fixture
def run(store: ModelStore, picture: Path, tmp_path: Path) -> Iterator[Run]:
    settings = Settings(noise=GAINS[4], seed=3, models=("kpn-l3", "mkpn"))
    made = start_run(load_image(picture), "cat", settings, store, tmp_path, 32)
    yield made
    close_run(made)


@pytest.fixture(scope="module")
def client(checkpoints: Path) -> Iterator[object]:
    gradio_client = pytest.importorskip("gradio_client")
    from mkpn.ui.launch import launch

    page, address = launch(device="cpu", checkpoints=checkpoints, block=False)
    yield gradio_client.Client(address, verbose=False)
    page.close(verbose=False)


def upload(path: Path) -> object:
    from gradio_client import handle_file

    return handle_file(str(path))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def finished(rows: list[dict[str, object]]) -> list[str]:
    return [str(row["model"]) for row in rows if row["status"] == "done"]


def test_nothing_is_reported_to_anyone(client) -> None:
    assert client
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_only_named_endpoints_are_public(client) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == {
        "/synthesize",
        "/denoise",
        "/compare",
        "/probe",
        "/evaluate_image",
        "/denoise_burst",
        "/models",
    }
    assert not info["unnamed_endpoints"]


def test_the_types_of_the_endpoints_are_told(client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name, told in endpoints.items():
        types = {one["parameter_name"]: one["python_type"]["type"] for one in told["parameters"]}
        types["result"] = told["returns"][0]["python_type"]["type"]
        assert all(kind != "Any" for kind in types.values()), (name, types)
        assert told["description"], name
    assert "gain: int, status: str, psnr: float | None" in str(endpoints["/evaluate_image"]["returns"]).replace(
        "None | float", "float | None"
    )


def test_models_endpoint(client) -> None:
    answer = client.predict(api_name="/models")
    assert answer["models"] == list(MODELS)
    assert answer["device"].startswith("CPU")


def test_the_table_equals_the_metrics_of_the_python_api(client, checkpoints: Path, picture: Path) -> None:
    job = client.submit(upload(picture), 8, 5, 1, ["mkpn", "kpn-l3"], api_name="/denoise")
    job.result(timeout=WAIT)
    steps = job.outputs()
    assert [finished(rows) for rows in steps] == [
        ["noisy", "mean"],
        ["noisy", "mean", "kpn-l3"],
        ["noisy", "mean", "kpn-l3", "mkpn"],
    ]
    burst = mkpn.synthesize(picture, gain=8, seed=5)
    images = {"noisy": burst.frames[0], "mean": burst.frames.mean(0)}
    for name in ("kpn-l3", "mkpn"):
        images[name] = mkpn.load(checkpoints / f"{name}.safetensors", "cpu")(burst).image
    definition = definition_for(*burst.clean.shape[1:])
    assert definition.border == 8
    for row in steps[-1]:
        image = images[row["model"]]
        assert row["psnr"] == pytest.approx(mkpn.psnr(image, burst.clean, definition), abs=1e-4)
        assert row["ssim"] == pytest.approx(mkpn.ssim(image, burst.clean, definition), abs=1e-5)


def test_cancel_starts_no_further_model(client, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    gate = threading.Event()
    get = ModelStore.get

    def gated(self: ModelStore, name: str) -> Denoiser:
        if threading.current_thread().name == "mkpn-preload":
            return get(self, name)
        asked.append(name)
        if name == "kpn-l3":
            assert gate.wait(WAIT)
        return get(self, name)

    monkeypatch.setattr(ModelStore, "get", gated)
    job = client.submit(upload(picture), 4, 0, 1, list(MODELS), api_name="/denoise")
    until(lambda: "kpn-l3" in asked)
    until(lambda: any("kpn-l1" in finished(rows) for rows in job.outputs()))
    # The server answers when the model that is running has ended.
    threading.Timer(1.0, gate.set).start()
    job.cancel()
    # The next call shares the run's queue: when it has answered, the cancelled one is over.
    rows = client.predict(upload(picture), 4, 0, 1, ["kpn-l1"], api_name="/denoise")
    assert finished(rows) == ["noisy", "mean", "kpn-l1"]
    assert asked == ["kpn-l1", "kpn-l3", "kpn-l1"]
    assert finished(job.outputs()[-1]) == ["noisy", "mean", "kpn-l1"]


def test_a_model_that_fails_does_not_lose_the_others(client, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_network(monkeypatch, "kpn-l3")
    rows = client.predict(upload(picture), 4, 0, 1, ["kpn-l1", "kpn-l3", "kpn-l5"], api_name="/denoise")
    assert [row["status"] for row in rows] == ["done", "done", "done", "failed", "done"]
    assert rows[3]["message"] == "RuntimeError: out of memory"


def pixels(png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_the_burst_is_the_one_of_the_library(client, picture: Path) -> None:
    answer = client.predict(upload(picture), 8, 5, 1, api_name="/synthesize")
    burst = mkpn.synthesize(picture, gain=8, seed=5)
    assert (answer["width"], answer["height"]) == (64, 48)
    assert answer["offsets"] == burst.offsets.tolist()
    assert (answer["sigma_r"], answer["sigma_s"]) == (GAINS[8].sigma_r, GAINS[8].sigma_s)
    assert np.array_equal(pixels(answer["clean"]), to_uint8(burst.clean))
    for png, frame in zip(answer["frames"], burst.frames, strict=True):
        assert np.array_equal(pixels(png), to_uint8(frame))


def test_pictures_come_where_they_are_asked_for(client, checkpoints: Path, picture: Path) -> None:
    rows = client.predict(upload(picture), 4, 0, 1, ["mkpn"], True, api_name="/denoise")
    result = mkpn.load(checkpoints / "mkpn.safetensors", "cpu")(mkpn.synthesize(picture, gain=4, seed=0))
    assert np.abs(pixels(rows[-1]["png"]).astype(int) - to_uint8(result.image)).max() <= 1
    assert client.predict(upload(picture), 4, 0, 1, ["mkpn"], api_name="/denoise")[-1]["png"] is None


def test_models_are_compared_in_a_square(client, checkpoints: Path, picture: Path) -> None:
    answer = client.predict(upload(picture), 4, 0, 1, ["kpn-l3", "mkpn"], 20, 11, 32, api_name="/compare")
    assert answer["square"] == {"x": 4, "y": 0, "side": 32}
    assert [row["model"] for row in answer["rows"]] == ["noisy", "mean", "kpn-l3", "mkpn"]
    burst = mkpn.synthesize(picture, gain=4, seed=0)
    image = mkpn.load(checkpoints / "mkpn.safetensors", "cpu")(burst).image.clamp(0, 1)
    inside = (slice(None), slice(0, 32), slice(4, 36))
    row = answer["squares"][-1]
    bare = MetricDefinition(border=0)
    assert row["psnr"] == pytest.approx(mkpn.psnr(image[inside], burst.clean[inside], bare), abs=1e-4)
    assert row["ssim"] == pytest.approx(mkpn.ssim(image[inside], burst.clean[inside], bare), abs=1e-5)
    assert np.abs(pixels(row["png"]).astype(int) - to_uint8(image[inside])).max() <= 1
    # The figure has all five columns, and the file rebuilds the view.
    assert min(pixels(answer["figure"]).shape[:2]) > 100
    assert "MKPN" in answer["alt"]
    state = from_json(answer["view"])
    assert state.panes == ("noisy", "mean", "kpn-l3", "mkpn", "truth")
    assert state.recorded.figures["mkpn"][0] == pytest.approx(answer["rows"][-1]["psnr"])


def test_one_photograph_is_measured_at_several_gains(client, picture: Path) -> None:
    job = client.submit(upload(picture), [8, 2], 5, 1, ["kpn-l1"], api_name="/evaluate_image")
    rows = job.result(timeout=WAIT)
    assert [(row["gain"], row["model"]) for row in rows] == [
        (gain, model) for gain in (8, 2) for model in ("noisy", "mean", "kpn-l1")
    ]
    assert [len(rows) for rows in job.outputs()] == [3, 6]
    single = client.predict(upload(picture), 2, 5, 1, ["kpn-l1"], api_name="/denoise")
    assert rows[-1]["psnr"] == pytest.approx(single[-1]["psnr"], abs=1e-6)


GOOD = {
    "synthesize": {"gain": 4, "seed": 0, "downsample": 1},
    "denoise": {"gain": 4, "seed": 0, "downsample": 1, "models": ["kpn-l1"], "pictures": False},
    "compare": {"gain": 4, "seed": 0, "downsample": 1, "models": ["kpn-l1"], "x": 1, "y": 1, "side": 64},
    "probe": {"model": "kpn-l1", "x": 1, "y": 1, "gain": 4, "seed": 0, "downsample": 1},
    "evaluate_image": {"gains": [4], "seed": 0, "downsample": 1, "models": ["kpn-l1"]},
}
WRONG = (None, True, -1, 10**30, 1.5, "", "<b>7</b>", [], [None], ["unet"], {"a": 1}, "x" * 9999)


@pytest.fixture(scope="module")
def endpoints(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    """The functions behind the public endpoints."""
    pytest.importorskip("gradio")
    from mkpn.ui.page.events import build

    page = build(store, tmp_path_factory.mktemp("pages"))
    return {str(fn.api_name): fn.fn for fn in page.fns.values() if fn.api_visibility == "public" and fn.fn}


def first(answer: Any) -> Any:
    return next(answer) if isinstance(answer, Iterator) else answer


@pytest.mark.parametrize("endpoint", list(GOOD))
def test_every_wrong_value_is_told_by_field_expected_and_got(
    endpoints: dict[str, Callable[..., Any]], endpoint: str
) -> None:
    """Each field of each endpoint with values of all kinds: a result, or one sentence that begins with the field."""
    refused = 0
    fields = ("image", *GOOD[endpoint])
    # For a place in the picture a burst is made each time, so that a few values must do.
    few = (1.5, -1, 10**30)
    pairs = [(name, value) for name in fields for value in (few if name in ("x", "y") else WRONG)]
    for field, value in pairs:
        # Every other field is judged before the picture, which is wrong, too, so that nothing is run.
        place = field in ("x", "y")
        image = "Chelsea the cat" if place else "no such picture"
        arguments = {"image": image, **GOOD[endpoint], "downsample": 4 if place else 1, field: value}
        with pytest.raises(ValueError, match="expected") as error:
            first(endpoints[endpoint](**arguments))
        sentence = str(error.value)
        assert re.match(rf"({field}|image|x and y): expected .*, got .+$", sentence), (field, value, sentence)
        assert len(sentence) < 500
        refused += not sentence.startswith("image")
    assert refused >= 6 * len(GOOD[endpoint])


@pytest.mark.parametrize("endpoint", list(GOOD))
def test_an_endpoint_takes_no_seed_that_a_view_may_not_have(
    endpoints: dict[str, Callable[..., Any]], endpoint: str
) -> None:
    arguments = {**GOOD[endpoint], "image": "no such picture", "seed": LARGEST_SEED + 1}
    with pytest.raises(ValueError, match=f"^seed: expected a whole number, 0 to {LARGEST_SEED}, got "):
        first(endpoints[endpoint](**arguments))
    assert f"seed: 0 to {LARGEST_SEED}" in str(endpoints[endpoint].__doc__)


def test_an_uploaded_file_of_a_name_that_no_file_can_have_is_gone(endpoints: dict[str, Callable[..., Any]]) -> None:
    from gradio.utils import get_upload_folder

    image = {"path": f"{get_upload_folder()}/{'a' * 300}.png"}
    with pytest.raises(ValueError, match=r"^image: expected an uploaded file that is still kept, got one that is gone"):
        endpoints["synthesize"](image, **GOOD["synthesize"])


def test_the_kernels_endpoint(client, checkpoints: Path, picture: Path) -> None:
    answer = client.predict(upload(picture), "mkpn", 20, 11, 4, 0, 1, api_name="/probe")
    result = mkpn.load(checkpoints / "mkpn.safetensors", "cpu")(mkpn.synthesize(picture, gain=4, seed=0))
    expected = probe(result, 20, 11)
    np.testing.assert_allclose(answer["fused"], expected.fused, atol=1e-5)
    assert set(answer["by_size"]) == {"1", "3", "5", "7", "9", "11"}
    np.testing.assert_allclose(answer["frame_weights"], expected.frame_weights, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "gain", "models", "message"),
    [
        ("no such picture", 4, ["mkpn"], "Chelsea the cat"),
        ("Chelsea the cat", 3, ["mkpn"], "1, 2, 4, 8"),
        ("Chelsea the cat", 4, ["unet"], "kpn-l1"),
        ({"path": "/etc/passwd"}, 4, ["mkpn"], "uploaded"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(client, image: object, gain: int, models: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.predict(image, gain, 0, 1, models, api_name="/denoise")


def test_panes_are_in_display_order_and_pictures_exact(run: Run, store: ModelStore) -> None:
    assert list(run.panes) == ["noisy", "mean", "kpn-l3", "mkpn", "truth"]
    assert [pane.id for pane in run_models(run, store)] == ["kpn-l3", "mkpn"]
    assert len(run.frames) == 8
    for pane in run.panes.values():
        assert pane.path is not None
        assert pane.image is not None
        np.testing.assert_array_equal(np.asarray(Image.open(pane.path)), to_uint8(pane.image))
    for path, frame in zip(run.frames, run.burst.frames, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), to_uint8(frame))


def test_shown_pixels_are_clipped_and_rounded() -> None:
    values = np.array([-0.2, 0, 0.4999 / 255, 0.5001 / 255, 1, 1.7], np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(to_uint8(values)[..., 0], [[0, 0, 0], [1, 255, 255]])
    with pytest.raises(ValueError, match="finite"):
        to_uint8(np.array([[[np.nan]]], np.float32))


def test_stop_keeps_what_is_finished(run: Run, store: ModelStore) -> None:
    models = run_models(run, store)
    next(models)
    run.cancel()
    assert list(models) == []
    assert [pane.status for pane in run.model_panes] == ["done", "stopped"]
    assert "Stopped: 1 of 2" in views.status_line(run)
    assert 'data-pane="kpn-l3"' in views.crops(run)


def test_stop_reaches_into_a_running_model(run: Run, store: ModelStore) -> None:
    """The model that runs ends at its next layer; it is neither kept nor called failed."""
    models = run_models(run, store)
    next(models)
    ran: list[nn.Module] = []

    def stop_here(layer: nn.Module, *_: object) -> None:
        ran.append(layer)
        run.cancel()

    hooks = [
        layer.register_forward_hook(stop_here)
        for layer in store.get(run.model_panes[1].id).network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert list(models) == []
    for hook in hooks:
        hook.remove()
    assert len(ran) == 1
    assert [pane.status for pane in run.model_panes] == ["done", "stopped"]
    assert run.model_panes[1].image is None


def test_a_stop_is_asked_for_before_a_model_is_loaded_and_after_it_has_run(run: Run, store: ModelStore) -> None:
    asked: list[str] = []
    late = ""

    def get(name: str) -> Callable[..., Any]:
        asked.append(name)

        def denoised(burst: NoisyBurst, stop: Callable[[], bool]) -> Any:
            result = store.get(name)(burst, stop=stop)
            if name == late:  # between the network's last question and its result
                run.cancel()
            return result

        return denoised

    watched: Any = SimpleNamespace(going=store.going, folder=store.folder, get=get)
    first, second = run.model_panes
    late = second.id
    models = run_models(run, watched)
    assert next(models) is first
    assert list(models) == []
    assert (second.status, second.image, second.result) == ("stopped", None, None)

    # A run that was stopped before its turn loads nothing.
    asked.clear()
    assert list(run_models(run, watched)) == []
    assert asked == []


def test_the_run_is_the_library_s_burst(run: Run, picture: Path) -> None:
    scene = np.ascontiguousarray(load_image(picture).transpose(2, 0, 1))
    burst = make_burst(scene, GAINS[4], rng_for(3), BurstConfig())
    np.testing.assert_array_equal(run.burst.frames, burst.frames)
    assert run.size == (64, 48)


def test_the_square_is_measured_where_it_lies(run: Run) -> None:
    run.look_at((60, 2), 32)
    assert (run.square, run.pixel) == (Rectangle(32, 0, 32, 32), (60, 2))
    region = (slice(None), slice(0, 32), slice(32, 64))
    expected = mkpn.psnr(run.burst.frames[0][region], run.burst.clean[region], MetricDefinition(border=0))
    assert f"<td>{expected:.2f}" in views.table(run).replace(' class="best"', "")
    run.look_at((0, 0), 32)
    assert f"{expected:.2f}" not in views.table(run)


def test_the_best_of_each_column_is_marked(run: Run, store: ModelStore) -> None:
    list(run_models(run, store))
    best = max((pane for pane in run.panes.values() if pane.psnr is not None), key=lambda pane: pane.psnr or 0)
    row = views.table(run).split(f'data-pane="{best.id}"')[1].split("</tr>")[0]
    assert f'<td class="best">{best.psnr:.2f}' in row
    assert run.definition.describe() in views.table(run)


def test_the_status_names_the_model_that_runs(run: Run) -> None:
    mark_next(run)
    assert "0 of 2 models · KPN L3 …" in views.status_line(run)
    run.panes["kpn-l3"].status = "done"
    mark_next(run)
    assert "1 of 2 models · MKPN …" in views.status_line(run)


def test_infinity_has_one_sign(run: Run) -> None:
    run.panes["noisy"].psnr = math.inf
    for markup in (views.table(run), views.crops(run), views.overview(run)):
        assert "∞" in markup
        assert not re.search(r"\binf(inity)?\b", markup)


def test_names_are_escaped(run: Run) -> None:
    run.title = "<img src=x onerror=alert(1)>"
    assert "<img src=x" not in views.status_line(run)


def test_closing_a_run_deletes_its_pictures(run: Run) -> None:
    folder = run.folder.path
    assert folder.is_dir()
    close_run(run)
    assert not folder.exists()
    assert run.stop.is_set()
    close_run(None)


def settings(**changes: object) -> Settings:
    return Settings(noise=GAINS[1], **changes)


def scene(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def test_images_up_to_512_run_whole() -> None:
    image = scene(512, 300)
    fitted, notes = fit_scene(image, settings())
    assert fitted is image
    assert notes == ["A margin of 16 px around the picture feeds the displaced frames: 268×480 px are shown."]


def test_larger_images_are_shrunk_or_cropped_and_it_is_said() -> None:
    image = scene(600, 1100)
    shrunk, notes = fit_scene(image, settings())
    assert shrunk.shape == (200, 366, 3)
    np.testing.assert_allclose(shrunk[0, 0], image[:3, :3].mean((0, 1)), rtol=1e-5)
    assert "shrunk by 3 (box-downsampling) to 366×200" in notes[0]
    cropped, notes = fit_scene(image, settings(fit="crop"))
    np.testing.assert_array_equal(cropped, image[44:556, 294:806])
    assert "cropped at the centre to 512×512" in notes[0]
    halved, notes = fit_scene(image, settings(downsample=4))
    assert halved.shape == (150, 275, 3)
    assert notes[0] == "Shrunk by 4 (box-downsampling) to 275×150."


def test_too_little_left_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 48×48 px after downsampling .* got 25×25"):
        fit_scene(scene(100, 100), settings(downsample=4))
    with pytest.raises(ValueError, match=r"got 450×30; “crop the centre” under “A picture over 512 px” takes a part"):
        fit_scene(scene(60, 900), settings())
    assert fit_scene(scene(60, 900), settings(fit="crop"))[0].shape == (60, 512, 3)
    with pytest.raises(ValueError, match=r"got 512×40$"):
        fit_scene(scene(40, 900), settings(fit="crop"))
    with pytest.raises(ValueError, match="at least 144×144"):
        fit_scene(scene(100, 100), settings(motion=BurstConfig(large=64)))


def test_bundled_pictures_keep_their_detail() -> None:
    """Each is shown at 384 pixels or more on its longer side, or as large as it is."""
    for example in EXAMPLES:
        pixels = load_image(example_image(example.name))
        fitted, _ = fit_scene(pixels, settings(fit=example_fit(pixels)))
        assert max(fitted.shape[:2]) >= min(384, max(pixels.shape[:2])), example.name
    cup = load_image(example_image("Coffee cup"))
    assert fit_scene(cup, settings(fit=example_fit(cup)))[0].shape == (400, 512, 3)
    retina = load_image(example_image("Retina"))
    assert example_fit(retina) == "shrink"


@pytest.mark.parametrize("changes", [{"downsample": 3}, {"fit": "stretch"}, {"seed": -1}, {"models": ("unet",)}])
def test_wrong_settings_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        settings(**changes)


def test_an_upload_keeps_16_bits_and_says_so(tmp_path: Path) -> None:
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    path = tmp_path / "deep.png"
    Image.fromarray(deep).save(path)
    source = upload_source(path, "holiday.png", tmp_path)
    np.testing.assert_allclose(source.pixels()[..., 0], deep / 65535, atol=1e-7)
    assert "16-bit grey, kept at full depth" in source.caption
    assert source.preview.exists()


@pytest.mark.parametrize("size", [(48, 31000), (33000, 64)])
def test_a_strip_has_a_preview(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "strip.png"
    Image.new("RGB", size, "white").save(path)
    source = upload_source(path, "strip.png", tmp_path)
    with Image.open(source.preview) as preview:
        assert min(preview.size) == 1
    with pytest.raises(ValueError, match=r"image: expected at least 48×48 px after downsampling"):
        fit_scene(source.pixels(), settings())


def test_a_preview_that_cannot_be_written_is_not_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "cat.png"
    Image.new("RGB", (64, 64)).save(path)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        upload_source(path, "cat.png", tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_example_in_place_of_an_upload_deletes_its_preview(
    store: ModelStore, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio.Warning", str)
    handlers, source = Handlers(store, tmp_path), upload_source(picture, "cat.png", tmp_path)
    handlers.pick_example(source, SimpleNamespace(_data={"name": "no such example"}))
    assert source.preview.exists()
    chosen = handlers.pick_example(source, SimpleNamespace(_data={"name": EXAMPLES[0].name}))
    assert not source.preview.exists()
    assert chosen.source.preview.exists()
    # The examples' own previews are shared, and stay.
    handlers.pick_example(chosen.source, SimpleNamespace(_data={"name": EXAMPLES[1].name}))
    assert chosen.source.preview.exists()


def test_only_uploaded_files_are_read(store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("gradio.Warning", warned.append)
    private = tmp_path / "private.png"
    Image.new("RGB", (64, 64)).save(private)
    event = SimpleNamespace(_data={"path": str(private), "name": "private.png"})
    answer = Handlers(store, tmp_path).take_upload(None, event)
    assert warned == ["That file was not uploaded to this page."]
    assert not any(isinstance(part, str) for part in answer)


def test_without_checkpoints_the_page_says_so(tmp_path: Path) -> None:
    from mkpn.ui.page.layout import _missing

    empty = ModelStore(tmp_path, "cpu")
    assert empty.names == ()
    assert "No checkpoints were found" in _missing(empty)
    with pytest.raises(ValueError, match="none found"):
        empty.get("mkpn")
