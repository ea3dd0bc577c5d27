"""One's own burst in the browser: photographs and DNGs, the viewer without a truth, refusals, Stop, accessibility."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_accessibility import SIZES, expect, serious

import mkpn
from mkpn.capture.light import decode
from mkpn.inference.denoiser import Denoiser
from mkpn.synthesis.images import to_uint8
from mkpn.ui.page import captured
from mkpn.ui.run.models import ModelStore

WAIT_MS = 60_000
VIEWER = "#burst-viewer .mkpn-viewer"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> list[Path]:
    """Two noisy photographs of one scene."""
    burst = mkpn.synthesize(photo[:150, :160], gain=4, seed=0, config=mkpn.BurstConfig(rate=0))
    folder = tmp_path_factory.mktemp("burst")
    paths = [folder / f"{name}.png" for name in "ab"]
    for path, frame in zip(paths, burst.frames, strict=False):
        Image.fromarray(to_uint8(frame)).save(path)
    return paths


def opened(chromium, address: str, size: str = "wide", theme: str = "light"):
    context = chromium.new_context(viewport=SIZES[size], reduced_motion="reduce", has_touch=size == "phone")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{address}?__theme={theme}")
    expect(page.locator("#run")).to_be_visible()
    tab = page.get_by_role("tab", name="My burst")
    # Where the tabs do not fit, gradio moves some of them into a menu.
    if not tab.is_visible():
        page.locator("#views .overflow-menu button").first.click()
        tab = page.locator("#views .overflow-dropdown button", has_text="My burst")
    tab.click()
    expect(page.locator("#burst-run")).to_be_visible()
    return page


def sent(page, paths: list[Path], *models: str) -> None:
    """Chooses files and networks, and presses the button."""
    clear = page.locator("#burst-files").get_by_role("button", name="Clear")
    if clear.count():
        clear.first.click()
    page.locator("#burst-files input[type=file]").set_input_files(paths)
    expect(page.locator("#burst-files .file-preview tr")).to_have_count(len(paths))
    for label in models:
        page.locator("#burst-models input").click()
        page.locator("#burst-models").get_by_role("option", name=label, exact=True).click()
        page.keyboard.press("Escape")
    page.locator("#burst-run").click()


@pytest.fixture
def tab(chromium, address: str) -> Iterator[object]:
    page = opened(chromium, address)
    yield page
    page.context.close()


def test_two_photographs_are_denoised_and_looked_at_in_the_viewer(tab, frames: list[Path]) -> None:
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    assert tab.locator(VIEWER).count() == 0
    sent(tab, frames)
    expect(tab.locator("#burst-state [role=status]")).to_have_text("Done.")
    expect(tab.locator("#burst-outcome")).to_contain_text("2 photographs are repeated in turn to fill 8 frames")
    expect(tab.locator("#burst-outcome table tbody tr th")).to_have_text(["noise", "MKPN"])
    expect(tab.locator(f'{VIEWER} .stage [data-pane][data-ready="true"]')).to_have_count(2)
    state = tab.evaluate(f"document.querySelector('{VIEWER}').mkpnViewer.getState()")
    assert state["reference"] == "noisy"
    assert "no PSNR" in tab.locator(VIEWER).inner_text()
    assert "dB" not in tab.locator(f"{VIEWER} .stage").inner_text()
    # A file that is wrong afterwards takes nothing for its result.
    small = frames[0].with_name("small.png")
    Image.open(frames[1]).crop((0, 0, 90, 80)).save(small)
    sent(tab, [frames[0], small])
    expect(tab.locator("#burst-outcome .failure")).to_contain_text("small.png: expected 128x118 pixels as a.png has")
    assert tab.locator(VIEWER).count() == 0
    assert errors == []


def test_what_goes_on_is_said_beside_the_button(tab, frames: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are below the window of a projector."""
    gate, start = threading.Event(), captured.start_captured

    def gated(*arguments: Any, **options: Any) -> Any:
        assert gate.wait(WAIT_MS / 1000)
        return start(*arguments, **options)

    monkeypatch.setattr(captured, "start_captured", gated)
    tab.set_viewport_size({"width": 1280, "height": 720})
    sent(tab, frames)
    state = tab.locator("#burst-state [role=status]")
    expect(state).to_have_text("Starting …")
    gate.set()
    expect(state).to_have_text("Done.")
    tab.evaluate("() => scrollTo(0, 0)")
    expect(state).to_be_in_viewport()
    # A refusal has its own place; nothing is said to have been done.
    sent(tab, frames[:1])
    expect(tab.locator("#burst-outcome .failure")).to_be_visible()
    expect(state).to_have_count(0)


def test_raw_files_are_denoised(tab, tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    pytest.importorskip("rawpy")
    sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
    from capture_scenes import NEUTRAL, mosaic, to_counts, write_dng

    scene = photo[:80, :100] / 255.0
    seen = mosaic(decode(scene) * NEUTRAL)
    rng = np.random.default_rng(0)
    paths = []
    for name in "ab":
        sensor = seen + np.sqrt(0.004 * seen + 4e-4) * rng.standard_normal(seen.shape)
        paths.append(write_dng(tmp_path / f"{name}.dng", to_counts(sensor), profile=(0.004, 4e-4)))
    sent(tab, paths)
    expect(tab.locator("#burst-state [role=status]")).to_have_text("Done.")
    expect(tab.locator("#burst-outcome")).to_contain_text("from the file's NoiseProfile")
    expect(tab.locator(f'{VIEWER} .stage [data-pane][data-ready="true"]')).to_have_count(2)
    # The scene's own colours: neither the camera's nor those that white balance alone gives.
    words = tab.evaluate(f"Array.from(document.querySelector('{VIEWER}').mkpnViewer.imagePixels('mkpn').words)")
    shown = np.array(words, "<u4").view(np.uint8).reshape(-1, 4)[:, :3].mean(0) / 255
    assert np.abs(shown - scene[8:-8, 8:-8].mean((0, 1))).max() < 0.02


def test_stop_keeps_what_is_finished(tab, frames: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    gate, get = threading.Event(), ModelStore.get

    def gated(self: ModelStore, name: str) -> Denoiser:
        if name == "kpn-l1" and threading.current_thread().name != "mkpn-preload":
            assert gate.wait(WAIT_MS / 1000)
        return get(self, name)

    monkeypatch.setattr(ModelStore, "get", gated)
    sent(tab, frames, "KPN L1")
    expect(tab.locator("#burst-state [role=status]")).to_have_text("1 of 2 models …")
    tab.locator("#burst-stop").click()
    expect(tab.locator("#burst-state [role=status]")).to_have_text("Stopped: 1 of 2 models are kept.")
    gate.set()
    expect(tab.locator(f'{VIEWER} .stage [data-pane="mkpn"][data-ready="true"]')).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_axe_finds_nothing_serious(chromium, address: str, frames: list[Path], size: str, theme: str) -> None:
    page = opened(chromium, address, size, theme)
    found = {"before": serious(page)}
    sent(page, frames)
    expect(page.locator("#burst-state [role=status]")).to_have_text("Done.")
    expect(page.locator(f'{VIEWER} .stage [data-pane][data-ready="true"]')).to_have_count(2)
    found["after"] = serious(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    page.context.close()
    assert found == {"before": [], "after": []}
