"""The app in a real browser: pick, run, stop, click, read the table; and the PNGs it shows are the models' arrays."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import mkpn
from mkpn.inference.denoiser import Denoiser
from mkpn.metrics import MetricDefinition
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.images import box_downsample, example_image, load_image, to_uint8
from mkpn.ui.run.models import ModelStore

WAIT_MS = 60_000
EXAMPLE = "Printed letters (grey)"  # the smallest: 448x172, a quarter of it is 112x43 and too small, a half is not
SHOWN = (448 // 2 - 32, 172 // 2 - 32)


@pytest.fixture(scope="module")
def app(chromium, address: str) -> Iterator[object]:
    """The page with an example chosen; its errors are failures."""
    errors: list[str] = []
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}?__theme=light")
    expect(page.locator("#run")).to_be_visible()
    yield page
    page.close()
    assert errors == []


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


def choose_models(app, *labels: str) -> None:
    for label in (model_config(name).label for name in MODELS):
        app.locator("#models").get_by_label(label, exact=True).set_checked(label in labels)


def choose(app, group: str, label: str) -> None:
    app.locator(f"#{group}").get_by_label(label, exact=True).check()


def row(app, model: str):
    return app.locator(f"#table tr[data-pane='{model}']")


def numbers(app, model: str) -> list[float]:
    """PSNR and SSIM of the whole image, then of the square."""
    cells = row(app, model).locator("td").all_inner_texts()
    return [float(cell.replace("★", "").strip()) for cell in cells[:4]]


def burst() -> mkpn.Burst:
    return mkpn.synthesize(box_downsample(load_image(example_image(EXAMPLE)), 2), gain=8, seed=7)


def pixels(app, selector: str) -> NDArray[np.uint8]:
    """What the browser decodes from the address of a shown picture, `[H,W,3]`."""
    encoded, width, height = app.evaluate(
        """async (selector) => {
            const shown = document.querySelector(selector);
            const answer = await fetch(shown.src);
            const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none" });
            const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
            const context = canvas.getContext("2d");
            context.drawImage(bitmap, 0, 0);
            const data = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
            let text = "";
            for (let start = 0; start < data.length; start += 32768)
                text += String.fromCharCode(...data.subarray(start, start + 32768));
            return [btoa(text), bitmap.width, bitmap.height];
        }""",
        selector,
    )
    return np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(height, width, 4)[..., :3]


@pytest.fixture(scope="module")
def ran(app) -> object:
    """After a run of two models on an example at gain 8."""
    app.locator(f"#intake button[data-example='{EXAMPLE}']").click()
    expect(app.locator("#source figcaption")).to_contain_text("public domain")
    for part in ("size", "noise"):
        app.locator(f"#{part} > button").click()
    choose(app, "downsample", "2")
    choose(app, "gain", "8")
    expect(app.locator("#sigma-r input")).to_have_value(re.compile(r"0\.0794"))
    app.locator("#seed input").fill("7")
    choose_models(app, "KPN L3", "MKPN")
    app.get_by_role("tab", name="Crops").click()
    app.locator("#run").click()
    expect(app.locator("#status .state")).to_contain_text("Done: 2 models")
    return app


def test_the_table_holds_the_figures_of_the_library(ran, untrained: Path) -> None:
    made = burst()
    order = ran.locator("#table tbody tr").evaluate_all("rows => rows.map(row => row.dataset.pane)")
    assert order == ["noisy", "mean", "kpn-l3", "mkpn"]
    images = {"noisy": made.frames[0], "mean": made.frames.mean(0)}
    images |= {name: mkpn.load(untrained / f"{name}.safetensors", "cpu")(made).image for name in ("kpn-l3", "mkpn")}
    for name, image in images.items():
        psnr, ssim, *_ = numbers(ran, name)
        assert psnr == pytest.approx(mkpn.psnr(image, made.clean), abs=0.006)
        assert ssim == pytest.approx(mkpn.ssim(image, made.clean), abs=6e-5)
    best = max(images, key=lambda name: mkpn.psnr(images[name], made.clean))
    expect(row(ran, best).locator("td").first).to_have_class("best")


@pytest.mark.parametrize("name", ["noisy", "kpn-l3", "mkpn", "truth"])
def test_shown_png_is_the_array(ran, untrained: Path, name: str) -> None:
    made = burst()
    if name in ("noisy", "truth"):
        expected = made.frames[0] if name == "noisy" else made.clean
    else:
        expected = mkpn.load(untrained / f"{name}.safetensors", "cpu")(made).image
    shown = pixels(ran, f"#crops figure[data-pane='{name}'] img")
    assert shown.shape == (SHOWN[1], SHOWN[0], 3)
    difference = shown.astype(int) - to_uint8(expected)
    # A network that runs a second time may round a value at a half the other way.
    assert np.abs(difference).max() <= (1 if name in ("kpn-l3", "mkpn") else 0)
    assert (difference != 0).mean() < 1e-3


def test_frames_are_exact_with_their_true_offsets(ran) -> None:
    made = burst()
    ran.get_by_role("tab", name="Burst", exact=True).click()
    tiles = ran.locator("#frames figure")
    expect(tiles).to_have_count(8)
    for index, (x, y) in enumerate(made.offsets.tolist()):
        np.testing.assert_array_equal(
            pixels(ran, f"#frames figure[data-frame='{index}'] img"), to_uint8(made.frames[index])
        )
        caption = tiles.nth(index).locator("figcaption").inner_text().replace("−", "-")
        assert re.search(rf"x \+?{x}, y \+?{y} px", caption)
    ran.get_by_role("tab", name="Crops").click()


def test_one_click_downloads_the_burst(ran, tmp_path: Path) -> None:
    ran.get_by_role("tab", name="Burst", exact=True).click()
    choose(ran, "burst-format", "TIFF, floating point")
    with ran.expect_download() as waiting:
        ran.locator("#burst-download").click()
    assert waiting.value.suggested_filename == "burst-seed7-tiff.zip"
    expect(ran.locator("#burst-link a")).to_have_text("burst-seed7-tiff.zip")
    waiting.value.save_as(tmp_path / "burst.zip")
    made = burst()
    with zipfile.ZipFile(tmp_path / "burst.zip") as archive:
        assert json.loads(archive.read("burst/burst.json"))["offsets"] == made.offsets.tolist()
        for index, frame in enumerate(made.frames):
            stored = tifffile.imread(io.BytesIO(archive.read(f"burst/frame-{index}.tiff")))
            np.testing.assert_array_equal(stored.transpose(2, 0, 1), frame.numpy())
    ran.get_by_role("tab", name="Crops").click()


def test_crops_are_magnified_by_whole_numbers(ran) -> None:
    choose(ran, "side", "32 px")
    expect(ran.locator("#overview .overview")).to_have_attribute("data-side", "32")
    window = ran.locator("#crops figure[data-pane='mkpn'] .window")
    box = window.bounding_box()
    assert (box["width"], box["height"]) == (192, 192)
    image = window.locator("img")
    assert image.evaluate("image => image.naturalWidth * 6 === image.getBoundingClientRect().width")
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


def test_a_click_moves_the_square_and_picks_the_pixel(ran) -> None:
    choose(ran, "side", "32 px")
    picture = ran.locator("#overview img")
    box = picture.bounding_box()
    scale = box["width"] / SHOWN[0]
    x, y = 150, 20
    picture.click(position={"x": (x + 0.5) * scale, "y": (y + 0.5) * scale})
    expect(ran.locator("#overview .caption")).to_contain_text(f"pixel x {x}, y {y}")
    made = burst()
    left, top = x - 16, y - 16
    region = (slice(None), slice(top, top + 32), slice(left, left + 32))
    expected = mkpn.psnr(made.frames[0][region], made.clean[region], MetricDefinition(border=0))
    expect(row(ran, "noisy").locator("td").nth(2)).to_contain_text(f"{expected:.2f}")
    # The window shows the square's top left pixel at its own top left corner.
    window = ran.locator("#crops figure[data-pane='truth'] .window")
    place = window.locator("img").evaluate("i => [i.offsetLeft, i.offsetTop]")
    assert place == [-6 * left, -6 * top]
    ran.get_by_role("tab", name="Explore", exact=True).click()
    expect(ran.locator(".mkpn-explorer")).to_have_attribute("data-probed", f"mkpn {x} {y}")
    ran.get_by_role("tab", name="Crops").click()


def test_arrow_keys_move_the_square(ran) -> None:
    view = ran.locator("#overview .overview")
    before = int(view.get_attribute("data-x"))
    view.focus()
    ran.keyboard.press("ArrowLeft")
    expect(ran.locator("#overview .caption")).to_contain_text(f"pixel x {before - 1},")
    expect(view).to_be_focused()


def test_another_whole_picture_is_shown(ran) -> None:
    ran.locator("#shown input").click()
    ran.get_by_role("option", name="Ground truth").click()
    expect(ran.locator("#overview img")).to_have_attribute("data-pane", "truth")
    np.testing.assert_array_equal(pixels(ran, "#overview img"), to_uint8(burst().clean))


def test_psnr_against_kernel_size_is_told(ran) -> None:
    ran.get_by_role("tab", name="Explore", exact=True).click()
    ran.locator('[data-view-to="sizes"]').click()
    expect(ran.locator('[data-ui="sizes-table"]')).to_contain_text("MKPN")
    ran.get_by_role("tab", name="Crops").click()


def test_the_page_says_what_ran(ran) -> None:
    expect(ran.locator("#status .device")).to_contain_text("CPU")
    expect(ran.locator("#status .notes")).to_contain_text("Shrunk by 2 (box-downsampling) to 224×86")
    expect(ran.locator("#table .caption")).to_contain_text("8-pixel border removed")
    assert re.fullmatch(r"\d+\.\d\d s", row(ran, "mkpn").locator(".seconds").inner_text())


def test_wrong_files_are_refused_and_nothing_is_lost(ran, tmp_path: Path) -> None:
    small = tmp_path / "tiny.png"
    Image.new("RGB", (20, 20)).save(small)
    text = tmp_path / "letter.png"
    text.write_text("no picture at all")
    for path, message in ((small, "at least 48x48"), (text, "expected an image")):
        ran.locator("#intake input[type=file]").set_input_files(path)
        toast = ran.locator(".toast-body").filter(has_text=message)
        expect(toast.first).to_be_visible()
        toast.first.get_by_test_id("toast-close").click()
    expect(ran.locator("#source figcaption")).to_contain_text(EXAMPLE)
    expect(row(ran, "mkpn")).to_have_class(re.compile("done"))


def test_an_upload_is_taken(ran, tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    path = tmp_path / "my cat.png"
    Image.fromarray(photo[:100, :120]).convert("LA").save(path)
    ran.locator("#intake input[type=file]").set_input_files(path)
    expect(ran.locator("#source figcaption")).to_contain_text("my cat.png")
    expect(ran.locator("#source figcaption")).to_contain_text("120×100 px")
    expect(ran.locator("#source figcaption")).to_contain_text("transparency is laid over white", ignore_case=True)


def test_a_phone_sees_everything_without_scrolling_sideways(ran) -> None:
    for tab in ("Explore", "Burst", "Crops"):
        ran.get_by_role("tab", name=tab, exact=True).click()
        ran.set_viewport_size({"width": 390, "height": 844})
        ran.wait_for_function("document.querySelector('#views').getBoundingClientRect().width < 390")
        assert ran.evaluate("document.documentElement.scrollWidth") <= 390
        if tab == "Crops":
            box = ran.locator("#crops figure[data-pane='mkpn'] .window").bounding_box()
            assert box["width"] == box["height"] == 32 * 4
        # Where the tabs do not fit, gradio moves some of them into a menu.
        ran.set_viewport_size({"width": 1440, "height": 1000})
        expect(ran.get_by_role("tab", name="Crops")).to_be_visible()


def test_stop_keeps_what_is_finished(ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second model waits until Stop was pressed."""
    gate = threading.Event()
    asked: list[str] = []
    get = ModelStore.get

    def gated(self: ModelStore, name: str) -> Denoiser:
        if threading.current_thread().name == "mkpn-preload":
            return get(self, name)
        asked.append(name)
        if name == "kpn-l5":
            assert gate.wait(WAIT_MS / 1000)
        return get(self, name)

    monkeypatch.setattr(ModelStore, "get", gated)
    ran.locator(f"#intake button[data-example='{EXAMPLE}']").click()
    expect(ran.locator("#source figcaption")).to_contain_text("public domain")
    choose_models(ran, "KPN L1", "KPN L5", "MKPN")
    ran.locator("#run").click()
    expect(row(ran, "kpn-l1")).to_have_class(re.compile("done"))
    ran.locator("#stop").click()
    expect(ran.locator("#status .state")).to_have_text("Stopped: 1 of 3 models are kept.")
    gate.set()
    expect(ran.locator("#crops figure[data-pane='kpn-l1'] img")).to_be_visible()
    expect(ran.locator("#crops figure[data-pane='mkpn'] .empty")).to_have_text("stopped")
    assert asked == ["kpn-l1", "kpn-l5"]


def test_custom_noise_unfolds_its_numbers(app) -> None:
    if app.locator("#sigma-r input").is_visible():
        app.locator("#noise > button").click()
    expect(app.locator("#sigma-r input")).to_be_hidden()
    choose(app, "gain", "custom")
    expect(app.locator("#sigma-r input")).to_be_visible()
    choose(app, "gain", "8")
    expect(app.locator("#sigma-r input")).to_have_value(re.compile(r"0\.0794"))
