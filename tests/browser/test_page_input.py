"""The page in a real browser: an image pasted or dropped; a region measured by the library, kept through a new run."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mkpn
from mkpn.metrics import MetricDefinition
from mkpn.model.config import MODELS, model_config

WAIT_MS = 60_000
REGION = {"x": 21, "y": 14, "w": 40, "h": 30}


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


@pytest.fixture(scope="module")
def app(chromium: Any, address: str) -> Iterator[Any]:
    """The page; its errors are failures."""
    errors: list[str] = []
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    expect(page.locator("#run")).to_be_visible()
    yield page
    page.close()
    assert errors == []


def give(app: Any, image: NDArray[np.uint8], name: str, event: str, place: str = "#intake .drop") -> None:
    """Pastes or drops a PNG, as the browser does it when the user does."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="png")
    app.evaluate(
        """([text, name, event, place]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: 'image/png' }));
            const options = { bubbles: true, cancelable: true };
            if (event === 'paste') {
                document.body.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: data }));
                return;
            }
            const target = document.querySelector(place);
            for (const type of ['dragenter', 'dragover', 'drop'])
                window.taken = !target.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: data }));
        }""",
        [base64.b64encode(stream.getvalue()).decode(), name, event, place],
    )


@pytest.mark.parametrize(("event", "width"), [("paste", 120), ("drop", 110)])
def test_an_image_can_be_pasted_and_dropped(app: Any, photo: NDArray[np.uint8], event: str, width: int) -> None:
    give(app, photo[:100, :width], f"{event}ed.png", event)
    expect(app.locator("#source figcaption")).to_contain_text(f"{event}ed.png")
    expect(app.locator("#source figcaption")).to_contain_text(f"{width}×100 px")


def test_an_image_that_is_dropped_beside_its_field_is_taken(app: Any, photo: NDArray[np.uint8]) -> None:
    """The browser would open it in place of the page."""
    chosen = app.locator("#source figcaption")
    give(app, photo[:100, :120], "beside.png", "drop", "#source")
    expect(chosen).to_contain_text("beside.png")
    assert app.evaluate("window.taken")
    # These have a field of their own, or take no file.
    app.get_by_role("tab", name="My burst", exact=True).click()
    expect(app.locator("#burst-run")).to_be_visible()
    give(app, photo[:100, :120], "other.png", "drop", "#captured-tab")
    assert app.evaluate("window.taken")
    app.get_by_role("tab", name="Compare", exact=True).click()
    give(app, photo[:100, :120], "other.png", "drop", "#rebuild .drop")
    assert app.evaluate("window.taken")
    give(app, photo[:100, :120], "text.png", "drop", "#seed input")
    assert not app.evaluate("window.taken")
    give(app, photo[:100, :125], "last.png", "drop", "#viewer")
    expect(chosen).to_contain_text("last.png")


def test_a_slow_upload_does_not_replace_what_was_chosen_after_it(app: Any, photo: NDArray[np.uint8]) -> None:
    held: list[Any] = []
    app.route("**/upload*", lambda route: route.continue_() if held else held.append(route))
    give(app, photo[:90, :130], "slow.png", "drop")
    expect(app.locator("#intake .drop")).to_have_css("opacity", "0.5")
    app.locator("#intake button[data-example]").first.click()
    expect(app.locator("#intake .drop")).to_have_css("opacity", "1")
    chosen = app.locator("#source figcaption")
    expect(chosen).to_contain_text("scikit-image")
    before = chosen.inner_text()
    with app.expect_response("**/upload*"):
        held[0].continue_()
    # A later upload has its turn, the slow one never.
    give(app, photo[:90, :140], "quick.png", "drop")
    expect(chosen).not_to_have_text(before)
    assert "quick.png" in chosen.inner_text()
    app.unroute("**/upload*")


def test_pasting_text_into_a_field_is_left_alone(app: Any) -> None:
    seed = app.locator("#seed input")
    before = app.locator("#source figcaption").inner_text()
    seed.focus()
    prevented = seed.evaluate(
        """(field) => {
            const data = new DataTransfer();
            data.items.add(new File(['x'], 'late.png', { type: 'image/png' }));
            const options = { bubbles: true, cancelable: true, clipboardData: data };
            return !field.dispatchEvent(new ClipboardEvent('paste', options));
        }"""
    )
    assert not prevented
    assert app.locator("#source figcaption").inner_text() == before


def region_cell(app: Any, pane: str, column: str) -> str:
    cell = app.locator(f'[data-ui="region-rows"] [data-pane="{pane}"] td[data-column="{column}"]')
    return cell.inner_text().replace("★", "").strip()


def check_region(app: Any, burst: mkpn.Burst, network: Path) -> None:
    """Compares the region's figures with `mkpn.metrics`: SSIM of the models' output, PSNR of its 8-bit pixels."""
    part = (slice(None), slice(REGION["y"], REGION["y"] + REGION["h"]), slice(REGION["x"], REGION["x"] + REGION["w"]))
    images = {"noisy": burst.frames[0], "kpn-l3": mkpn.load(network, "cpu")(burst).image}
    definition = MetricDefinition(border=0)
    for name, image in images.items():
        ssim = mkpn.ssim(image[part], burst.clean[part], definition)
        # The page measures the 8-bit pixels, the library the network's own output.
        app.wait_for_function(
            """([name, value]) => {
                const cells = document.querySelectorAll(`[data-ui="region-rows"] [data-pane="${name}"] td`);
                return Math.abs(parseFloat(cells[1]?.textContent) - value) < 0.001;
            }""",
            arg=[name, ssim],
        )
        shown = image[part].clamp(0, 1)
        # While a new picture is being decoded the old one stays, and so do its figures.
        app.wait_for_function(
            """([name, value]) => {
                const cell = document.querySelector(`[data-ui="region-rows"] [data-pane="${name}"] td`);
                return Math.abs(parseFloat(cell.textContent) - value) < 0.05;
            }""",
            arg=[name, mkpn.psnr(shown, burst.clean[part], definition)],
        )
        mean, sd = (region_cell(app, name, column) for column in ("mean", "sd"))
        assert float(mean) == pytest.approx(float(shown.mean()), abs=2e-3)
        assert float(sd) == pytest.approx(float(shown.std(correction=0)), abs=2e-3)


def test_a_region_is_measured_and_outlives_a_new_gain(app: Any, photo: NDArray[np.uint8], untrained: Path) -> None:
    picture = photo[60:180, 100:240]
    give(app, picture, "part.png", "drop")
    expect(app.locator("#source figcaption")).to_contain_text("part.png")
    for label in (model_config(name).label for name in MODELS):
        app.locator("#models").get_by_label(label, exact=True).set_checked(label == "KPN L3")
    app.locator("#seed input").fill("7")
    app.locator("#run").click()
    expect(app.locator("#status .state")).to_contain_text(re.compile("Done: 1 model"))
    app.locator('[data-table-to="region"]').click()
    for name, value in REGION.items():
        app.locator(f'[data-ui="region-{name}"]').fill(str(value))
    app.locator('[data-ui="region-h"]').press("Enter")
    network = untrained / "kpn-l3.safetensors"
    check_region(app, mkpn.synthesize(picture, gain=4, seed=7), network)
    app.locator("#gain").get_by_label("8", exact=True).check()
    app.locator("#noise > button").click()
    expect(app.locator("#sigma-r input")).to_have_value(re.compile(r"0\.0794"))
    app.locator("#run").click()
    expect(app.locator("#status .state")).to_contain_text(re.compile("Done: 1 model"))
    check_region(app, mkpn.synthesize(picture, gain=8, seed=7), network)
    state = app.evaluate("document.querySelector('.mkpn-viewer').mkpnViewer.getState().region")
    assert state == REGION
