"""A page with nothing but the comparison viewer on it, and handles to read back what the browser shows."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from mkpn.geometry import Rectangle
from mkpn.ui.viewer import component as viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

# Not a square and not a multiple of anything: mistakes of half a pixel or of swapped axes show.
WIDTH, HEIGHT = 97, 83
MODELS = ("kpn-l1", "kpn-l3", "kpn-l5", "kpn-l7", "kpn-l9", "kpn-l11", "kpn-l13", "kpn-l25", "kpn", "mkpn")
PANES = ("noisy", *MODELS, "truth")


def image_of(pane: str, gain: int = 1) -> NDArray[np.uint8]:
    """Colour noise [H,W,3], different for every pane and gain; the truth does not depend on the gain."""
    seed = [PANES.index(pane), 0 if pane == "truth" else gain]
    truth = np.random.default_rng([PANES.index("truth"), 0]).integers(0, 256, (HEIGHT, WIDTH, 3))
    if pane == "truth":
        return truth.astype(np.uint8)
    spread = 60 - 4 * PANES.index(pane)
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8)


def png_bytes(levels: NDArray[np.uint8]) -> bytes:
    """A PNG file of pixels `[H,W,3]`."""
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, format="png", compress_level=1)
    return stream.getvalue()


def data_uri(levels: NDArray[np.uint8]) -> str:
    """A PNG inside its own address."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(levels)).decode("ascii")


def value_of(gain: int = 1, finished: int = len(PANES), **fields: Any) -> viewer.ViewerValue:
    """The component's value with the first panes finished and the others waiting."""
    panes: list[viewer.Pane] = []
    for index, name in enumerate(PANES):
        group: viewer.Group = "baseline"
        if name in ("noisy", "truth", "mkpn"):
            group = name
        if index >= finished and name != "truth":
            panes.append(viewer.make_pane(name, name.upper(), group, size=(WIDTH, HEIGHT)))
            continue
        scores = {} if name == "truth" else {"psnr": 20 + index + 0.25, "ssim": 0.5 + index / 40, "seconds": 0.5}
        url = data_uri(image_of(name, gain))
        panes.append(viewer.make_pane(name, name.upper(), group, url=url, size=(WIDTH, HEIGHT), **scores))
    return viewer.viewer_value(panes, dataset_id="noise", reference="truth", **fields)


def ssim_map(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """scikit-image's local structural similarity `[H,W]` of `[C,H,W]`, the mean of the channels."""
    similar: Any = structural_similarity(
        a, b, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return similar[1].mean(0)


def larger_value() -> viewer.ViewerValue:
    """Three black panes of another size."""
    groups: dict[str, viewer.Group] = {"noisy": "noisy", "mkpn": "mkpn", "truth": "truth"}
    url, size = data_uri(np.zeros((HEIGHT + 10, WIDTH + 20, 3), np.uint8)), (WIDTH + 20, HEIGHT + 10)
    panes = [viewer.make_pane(name, name.upper(), group, url=url, size=size) for name, group in groups.items()]
    return viewer.viewer_value(panes, dataset_id="larger", reference="truth")


class Handle:
    """The viewer of one page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root: Locator = page.locator(".mkpn-viewer")
        self.stage: Locator = self.ui("stage")

    def ui(self, name: str) -> Locator:
        return self.page.locator(f'.mkpn-viewer [data-ui="{name}"]')

    def pane(self, name: str) -> Locator:
        return self.page.locator(f'.stage [data-pane="{name}"] .pane-view')

    def solo(self) -> Locator:
        """The pane that is shown alone."""
        return self.page.locator(".stage .solo")

    def call(self, expression: str, argument: Any = None) -> Any:
        return self.page.evaluate(
            f"(a) => {{ const v = document.querySelector('.mkpn-viewer').mkpnViewer; return {expression}; }}", argument
        )

    def state(self) -> dict[str, Any]:
        return self.call("v.getState()")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def drawn(self) -> None:
        """Waits until the frame that was asked for has been drawn."""
        self.page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def pixels(self, name: str) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Returns the canvas of a visible pane [H,W,3] and where the image lies in it."""
        self.drawn()
        record = self.call(
            "(() => { const { data, ...rest } = v.readPixels(a); let text = '';"
            "for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));"
            "return { ...rest, text: btoa(text) }; })()",
            name,
        )
        raw = np.frombuffer(base64.b64decode(record.pop("text")), np.uint8)
        return raw.reshape(record["height"], record["width"], 4)[..., :3], record

    def center(self, name: str) -> tuple[float, float]:
        box = self.pane(name).bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def reset(self) -> None:
        """Brings the page back to where every test starts."""
        self.stage.focus()
        self.press("Escape", "r")
        self.call("v.restore(a)", {"active": "mkpn", "reference": "truth", "second": None, "hidden": []})
        self.page.mouse.move(2, 2)
        self.drawn()


def expected_canvas(image: NDArray[np.uint8], place: dict[str, float]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Enlarges by whole factors what a canvas should show; also returns which canvas pixels hold image."""
    scale = round(place["scale"])
    rows = (np.arange(place["height"]) - place["originY"]) // scale
    columns = (np.arange(place["width"]) - place["originX"]) // scale
    inside = ((rows >= 0) & (rows < image.shape[0]))[:, None] & ((columns >= 0) & (columns < image.shape[1]))
    rows = np.clip(rows, 0, image.shape[0] - 1).astype(int)
    columns = np.clip(columns, 0, image.shape[1] - 1).astype(int)
    return image[rows][:, columns], inside


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    return wait_for(locator)


@contextmanager
def served_viewer(chromium: Browser, **context: Any) -> Iterator[Handle]:
    """Starts a Gradio page and opens it in the browser; both end with the block."""
    from playwright.sync_api import expect

    gradio = pytest.importorskip("gradio")

    with gradio.Blocks(analytics_enabled=False) as page_layout:
        component = viewer.comparison_viewer()
        for name, update in {
            "gain-1": lambda: value_of(1),
            "gain-2": lambda: value_of(2),
            "partial": lambda: value_of(2, finished=4),
            "story": lambda: value_of(1, story=("noisy", "mkpn", "truth")),
            "story-again": lambda: value_of(1, story=("noisy", "mkpn", "truth"), region=Rectangle(3, 4, 20, 10)),
            "larger": larger_value,
        }.items():
            gradio.Button(name, elem_id=name).click(update, None, component, api_visibility="private")
        said = gradio.Textbox(label="event", elem_id="said")

        def told(event: gradio.EventData) -> str:
            return str(event._data)

        # Gradio finds an event argument by its type, which must be there as a type and not as text.
        told.__annotations__["event"] = gradio.EventData
        # Not "view": it would come after the others and take their place.
        for name in ("pick", "reference"):
            getattr(component, name)(told, None, said, trigger_mode="multiple", api_visibility="private")

        def measured(event: gradio.EventData) -> tuple[viewer.ViewerValue, str]:
            drawn = Rectangle(*(event._data[field] for field in "xywh"))
            region = drawn if drawn.w else None
            return value_of(1, region=region), str(event._data)

        measured.__annotations__["event"] = gradio.EventData
        component.region(measured, None, [component, said], trigger_mode="multiple", api_visibility="private")

    _, url, _ = page_layout.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", "has_touch": True, **context}
    window = chromium.new_context(**options)
    try:
        page = window.new_page()
        page.goto(url)
        expect(page.locator(".mkpn-viewer")).to_be_visible(timeout=30_000)
        handle = Handle(page)
        load(handle, "gain-1")
        yield handle
    finally:
        window.close()
        page_layout.close()


def load(handle: Handle, button: str, panes: int = len(PANES)) -> None:
    """Presses one of the page's buttons and waits for the panes to be decoded."""
    from playwright.sync_api import expect

    handle.page.locator(f"#{button}").click()
    expect(handle.page.locator('.stage [data-pane][data-ready="true"]')).to_have_count(panes, timeout=20_000)
    if panes == len(PANES):
        first = data_uri(image_of("noisy", 2 if button == "gain-2" else 1))
        handle.page.wait_for_function(
            "(u) => document.querySelector('.mkpn-viewer').mkpnViewer.imagePixels('noisy')?.url === u", arg=first
        )


def numbers(text: str) -> list[float]:
    """Reads the numbers from a cell, whatever minus sign it uses."""
    return [float(part) for part in re.findall(r"-?[\d.]+", text.replace("−", "-"))]
