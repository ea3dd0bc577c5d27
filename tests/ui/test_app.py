"""The app without a browser: its public endpoints through `gradio_client`, and its service layer directly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import mkpn
from mkpn.explain import probe
from mkpn.geometry import Rectangle
from mkpn.inference.denoiser import Denoiser
from mkpn.metrics import MetricDefinition, definition_for
from mkpn.model.checkpoint import save_model
from mkpn.model.config import MODELS, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.burst import make_burst, rng_for
from mkpn.synthesis.images import EXAMPLES, example_image, load_image, to_uint8
from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import GAINS
from mkpn.ui.page import views
from mkpn.ui.page.handlers import Handlers, close_run
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, run_models, start_run
from mkpn.ui.run.settings import Settings, example_fit, fit_scene
from mkpn.ui.run.sources import upload_source

WAIT = 120


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten untrained networks with kernels that differ from pixel to pixel."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(MODELS):
        torch.manual_seed(seed)
        network = KernelPredictionNetwork(model_config(name))
        torch.nn.init.normal_(network.last.weight, std=0.003)
        save_model(folder / f"{name}.safetensors", network.config, network.state_dict(), {})
    return folder


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


def test_only_named_endpoints_are_public(client) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == {"/denoise", "/denoise_burst", "/kernels", "/models"}
    assert not info["unnamed_endpoints"]


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
    get = ModelStore.get

    def broken(self: ModelStore, name: str) -> Denoiser:
        if name == "kpn-l3":
            raise RuntimeError("out of memory")
        return get(self, name)

    monkeypatch.setattr(ModelStore, "get", broken)
    rows = client.predict(upload(picture), 4, 0, 1, ["kpn-l1", "kpn-l3", "kpn-l5"], api_name="/denoise")
    assert [row["status"] for row in rows] == ["done", "done", "done", "failed", "done"]
    assert rows[3]["message"] == "RuntimeError: out of memory"


def test_the_kernels_endpoint(client, checkpoints: Path, picture: Path) -> None:
    answer = client.predict(upload(picture), "mkpn", 20, 11, 4, 0, 1, api_name="/kernels")
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
    assert "box-downsampled by 3 to 366×200" in notes[0]
    cropped, notes = fit_scene(image, settings(fit="crop"))
    np.testing.assert_array_equal(cropped, image[44:556, 294:806])
    assert "cropped at the centre to 512×512" in notes[0]
    halved, notes = fit_scene(image, settings(downsample=4))
    assert halved.shape == (150, 275, 3)
    assert notes[0] == "Box-downsampled by 4 to 275×150."


def test_too_little_left_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 48×48 px after downsampling .* got 25×25"):
        fit_scene(scene(100, 100), settings(downsample=4))
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
