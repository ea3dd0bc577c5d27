"""The comparison viewer's tools: how it opens, the table of figures, histograms, tone, insets, own pictures, commands,
and what fingers do."""

from __future__ import annotations

import base64
import csv
import io
import time

import numpy as np
import pytest
from PIL import Image
from viewer_page import HEIGHT, MODELS, PANES, WIDTH, Handle, expect, expected_canvas, image_of, numbers

from mkpn.geometry import Rectangle
from mkpn.ui.viewer import component as viewer

LUMA = np.array([0.299, 0.587, 0.114])


def luma_levels(image: np.ndarray) -> np.ndarray:
    """Rec. 601 luma, summed and rounded as the browser does, so that ties fall alike."""
    red, green, blue = np.moveaxis(image.astype(float), -1, 0)
    return np.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5)


STORY = ["noisy", "kpn-l3", "kpn-l25", "mkpn", "truth"]


def png_of(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="png")
    return stream.getvalue()


def cells(handle: Handle, column: str) -> dict[str, str]:
    """The texts of one column of the table of figures by pane, in the order shown."""
    rows = handle.page.locator('[data-ui="region-rows"] tr')
    return {
        row.get_attribute("data-pane") or "": row.locator(f'[data-column="{column}"]').inner_text()
        for row in rows.all()
    }


@pytest.fixture
def figures(shown: Handle):
    shown.page.locator('[data-table-to="region"]').click()
    shown.page.wait_for_function(
        "document.querySelector('.mkpn-viewer').mkpnViewer.figures()?.every((r) => r.ssim !== null)"
    )
    yield shown
    shown.ui("baseline").select_option("")
    shown.page.locator('[data-sort=""]').click()
    shown.page.locator('[data-table-to="pixel"]').click()


def test_story_and_all_are_one_click_away(shown: Handle) -> None:
    shown.ui("panes-story").click()
    expect(shown.page.locator(".stage .pane")).to_have_count(3)
    expect(shown.ui("panes-story")).to_have_attribute("aria-pressed", "true")
    shown.ui("panes-all").click()
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES))
    expect(shown.ui("panes-all")).to_have_attribute("aria-pressed", "true")


def test_the_table_sorts_and_tells_differences(figures: Handle) -> None:
    order = list(cells(figures, "psnr"))
    assert order == list(PANES)
    for column, best_first in {"psnr": -1, "mae": 1}.items():
        figures.page.locator(f'[data-sort="{column}"]').click()
        figures.drawn()
        values = [float(text) for text in cells(figures, column).values() if text]
        assert values == sorted(values, reverse=best_first < 0)
        assert list(cells(figures, column))[-1] == "truth"  # has no error: empty figures come last
        figures.page.locator(f'[data-sort="{column}"]').click()
        figures.drawn()
        assert [float(text) for text in cells(figures, column).values() if text] == values[::-1]
    plain = cells(figures, "psnr")
    figures.ui("baseline").select_option("mkpn")
    figures.drawn()
    for name, text in cells(figures, "psnr").items():
        if name != "truth":
            expected = float(plain[name]) - float(plain["mkpn"])
            assert numbers(text)[0] == pytest.approx(expected, abs=0.011)


def test_the_table_is_copied_as_csv_and_markdown(figures: Handle) -> None:
    figures.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    figures.ui("copy-csv").click()
    expect(figures.ui("copy-note")).to_have_text("Copied as CSV")
    rows = list(csv.DictReader(io.StringIO(figures.page.evaluate("navigator.clipboard.readText()"))))
    assert [row["Pane"] for row in rows] == [name.upper() for name in PANES]
    for row in rows[:-1]:
        error = np.abs(image_of(row["Pane"].lower()) / 255 - image_of("truth") / 255)
        assert float(row["MAE"]) == pytest.approx(error.mean(), abs=6e-5)
        assert float(row["MSE"]) == pytest.approx((error**2).mean(), abs=6e-6)
        x, y = map(int, row["largest at"].split())
        assert error.mean(2)[y, x] == pytest.approx(error.mean(2).max())
    figures.ui("copy-markdown").click()
    expect(figures.ui("copy-note")).to_have_text("Copied as Markdown")
    lines = figures.page.evaluate("navigator.clipboard.readText()").splitlines()
    assert len(lines) == len(PANES) + 2
    assert lines[2].startswith("| NOISY | ")


def test_the_largest_error_is_a_place_to_go_to(figures: Handle) -> None:
    jump = figures.page.locator('[data-ui="region-rows"] [data-pane="mkpn"] .jump')
    error = np.abs(image_of("mkpn").astype(int) - image_of("truth")).sum(2)
    y, x = np.unravel_index(error.argmax(), error.shape)
    jump.click()
    figures.drawn()
    state = figures.state()
    assert state["pick"] == {"x": int(x), "y": int(y)}
    assert state["zoom"] >= 4
    left, top, width, height = (state["visible"][key] for key in "xywh")
    assert left <= x < left + width
    assert top <= y < top + height


@pytest.mark.parametrize("channel", ["r", "g", "b", "luma"])
def test_one_channel_with_gamma_and_false_colour(shown: Handle, channel: str) -> None:
    shown.call("v.restore(a)", {"zoom": 1, "fit": False})
    shown.ui("channel").select_option(channel)
    canvas, place = shown.pixels("mkpn")
    image, inside = expected_canvas(image_of("mkpn"), place)
    level = luma_levels(image) if channel == "luma" else image[..., "rgb".index(channel)].astype(float)
    assert np.abs(canvas - level[..., None])[inside].max() <= 1
    shown.ui("gamma").fill("2")
    canvas, _ = shown.pixels("mkpn")
    assert np.abs(canvas - 255 * np.sqrt(level / 255)[..., None])[inside].max() <= 1
    shown.ui("gamma").fill("1")
    shown.ui("false-color").check()
    expect(shown.ui("colorbar-box")).to_be_visible()
    pictures = {}
    for colors in ("magma", "viridis", "cividis"):
        shown.ui("colors").select_option(colors)
        # The bar of colours takes its height from the pictures.
        canvas, place = shown.pixels("mkpn")
        image, inside = expected_canvas(image_of("mkpn"), place)
        level = luma_levels(image) if channel == "luma" else image[..., "rgb".index(channel)].astype(float)
        pictures[colors] = canvas[inside]
        # The same level has the same colour, and brightness follows the level.
        assert len(np.unique(np.c_[level[inside], canvas[inside]], axis=0)) == len(np.unique(level[inside]))
        assert np.corrcoef(canvas[inside] @ LUMA, level[inside])[0, 1] > 0.97
    assert (pictures["magma"] != pictures["viridis"]).any()
    expect(shown.ui("tone-chip")).to_contain_text("not the stored pixels")
    shown.ui("colors").select_option("magma")
    shown.ui("tone-reset").click()
    expect(shown.ui("tone-chip")).to_be_hidden()


def test_histograms_count_every_level(shown: Handle) -> None:
    shown.page.locator('[data-table-to="histogram"]').click()
    rect = {"x": 5, "y": 7, "w": 40, "h": 30}
    shown.call("v.restore(a)", {"region": rect})
    for channel in ("rgb", "g", "luma"):
        shown.ui("histogram-channel").select_option(channel)
        shown.drawn()
        counts = shown.call("v.histograms()")
        assert [entry["id"] for entry in counts] == list(PANES)
        for entry in counts:
            part = image_of(entry["id"])[7:37, 5:45]
            values = {"rgb": part, "g": part[..., 1], "luma": luma_levels(part)}[channel]
            expected = np.bincount(values.astype(int).ravel(), minlength=256) / (3 if channel == "rgb" else 1)
            np.testing.assert_allclose(entry["counts"], expected, atol=1e-9)
    before = shown.ui("histogram").screenshot()
    shown.ui("histogram-log").uncheck()
    shown.drawn()
    assert shown.ui("histogram").screenshot() != before
    shown.ui("histogram-log").check()
    shown.ui("histogram-channel").select_option("rgb")
    shown.page.locator('[data-table-to="pixel"]').click()


def test_insets_show_the_same_regions_under_every_pane(shown: Handle) -> None:
    shown.page.locator('[data-table-to="region"]').click()
    for rect in ({"x": 10, "y": 20, "w": 12, "h": 12}, {"x": 60, "y": 40, "w": 20, "h": 10}):
        shown.call("v.restore(a)", {"region": rect})
        shown.ui("inset-add").click()
    expect(shown.page.locator(".stage .pane-strip:visible")).to_have_count(len(PANES))
    expect(shown.page.locator('.stage [data-pane="mkpn"] .pane-inset')).to_have_count(2)
    shown.drawn()
    for name in ("noisy", "mkpn"):
        url = shown.page.locator(f'.stage [data-pane="{name}"] .pane-strip').evaluate("c => c.toDataURL()")
        strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
        side = strip.shape[0]
        scale = (side - 4) // 12
        left = top = round((side - 12 * scale) / 2)
        drawn = strip[top : top + 12 * scale, left : left + 12 * scale]
        expected = image_of(name)[20:32, 10:22].repeat(scale, 0).repeat(scale, 1)
        # The number stands in the corner.
        np.testing.assert_array_equal(drawn[16:], expected[16:])
    strip = shown.page.locator('.stage [data-pane="mkpn"] .pane-strip')
    strip.click(position={"x": 10, "y": 10})
    shown.drawn()
    assert shown.state()["center"] == pytest.approx([16, 26], abs=0.1)
    shown.ui("inset-clear").click()
    expect(shown.page.locator(".stage .pane-strip:visible")).to_have_count(0)
    shown.page.locator('[data-table-to="pixel"]').click()


def test_a_png_of_ones_own_becomes_a_pane(shown: Handle) -> None:
    mine = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)

    def add(name: str, data: bytes) -> None:
        shown.ui("external-file").set_input_files({"name": name, "mimeType": "image/png", "buffer": data})

    shown.ui("panes-menu").locator("summary").click()
    add("small.png", png_of(mine[:40]))
    expect(shown.ui("external-note")).to_have_text("small.png: expected 97 × 83 pixels, got 97 × 40")
    add("deep.png", png_of(np.zeros((HEIGHT, WIDTH), np.uint16)))
    expect(shown.ui("external-note")).to_have_text("deep.png: expected 8 bits per channel, got 16")
    add("photo.png", b"\xff\xd8\xff\xe0" + bytes(60))
    expect(shown.ui("external-note")).to_have_text("photo.png: expected a PNG file, got another format")
    add("mine.png", png_of(mine))
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES) + 1)
    pane = shown.page.locator(".stage .pane").last
    expect(pane.locator(".pane-label")).to_have_text("mine")
    expect(pane).to_have_attribute("data-ready", "true")
    shown.press("Escape")
    shown.call("v.restore(a)", {"zoom": 1, "fit": False})
    name = pane.get_attribute("data-pane") or ""
    canvas, place = shown.pixels(name)
    expected, inside = expected_canvas(mine, place)
    np.testing.assert_array_equal(canvas[inside], expected[inside])
    # It is nobody else's: what leaves the page names other panes only.
    shown.call("v.restore(a)", {"active": name, "reference": name})
    record = shown.state()
    assert [record["active"], record["reference"]] == [None, "truth"]
    # Removed while it is shown alone, it leaves another pane and no empty stage.
    pane.locator(".pane-name").click()
    expect(shown.solo()).to_have_attribute("data-pane", name)
    shown.stage.focus()
    shown.press("Control+k")
    shown.page.keyboard.type("remove added")
    shown.press("Enter")
    expect(shown.solo()).to_have_attribute("data-pane", "mkpn")
    shown.press("Escape")
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES))


def test_the_palette_finds_every_action(shown: Handle) -> None:
    def run(query: str) -> None:
        shown.stage.focus()
        shown.press("Control+k")
        expect(shown.ui("palette")).to_be_visible()
        shown.page.keyboard.type(query)
        expect(shown.ui("palette-list").locator("[aria-selected=true]")).to_have_count(1)
        shown.press("Enter")
        expect(shown.ui("palette")).to_be_hidden()
        shown.drawn()

    for query, field, value in [
        ("split", "mode", "split"),
        ("relative sq", "error", "relative-squared"),
        ("zoom: 400", "zoom", 4),
        ("luma", "channel", "luma"),
        ("false colour", "falseColor", True),
        ("colours: viridis", "colors", {"magnitude": "viridis", "signed": "blue to red"}),
        ("reference: kpn-l7", "reference", "kpn-l7"),
        ("show alone: kpn-l9", "active", "kpn-l9"),
        ("difference to noisy", "baseline", "noisy"),
        ("sort by mae", "sort", {"key": "mae", "descending": False}),
        ("sort by relative squared", "sort", {"key": "relativeSquared", "descending": False}),
        ("gamma up", "gamma", 1.1),
        ("contrast up", "contrast", 1.1),
        ("contrast down", "contrast", 1),
        ("gamma down", "gamma", 1),
        ("split: kpn-l5", "second", "kpn-l5"),
        ("histogram: green", "histogram", {"log": True, "channel": "g"}),
        ("histogram: rgb", "histogram", {"log": True, "channel": "rgb"}),
        ("blink: all panes", "blink", {"playing": False, "rate": 1, "partner": "all"}),
        ("blink: faster", "blink", {"playing": False, "rate": 1.25, "partner": "all"}),
        ("blink: slower", "blink", {"playing": False, "rate": 1, "partner": "all"}),
        ("blink: with the reference", "blink", {"playing": False, "rate": 1, "partner": "reference"}),
        ("layout: grid", "mode", "grid"),
        ("keyboard shortcuts", "keys", False),
        ("keyboard shortcuts", "keys", True),
        ("order of the panes", "sort", {"key": None, "descending": True}),
        ("no differences", "baseline", None),
        ("colours: magma", "colors", {"magnitude": "magma", "signed": "blue to red"}),
        ("table: pixel", "table", "pixel"),
    ]:
        run(query)
        assert shown.state()[field] == value, query
    # Every choice of the bars has its command.
    names = " ".join(shown.call("v.commands()")).lower()
    controls = ("error-kind", "channel", "first", "second", "reference", "baseline", "colors", "histogram-channel")
    for control in (*controls, "blink-partner"):
        for text in shown.ui(control).locator("option").all_text_contents():
            assert text.lower().split(":")[0] in names or text.startswith("none"), text
    error = np.abs(image_of("kpn-l9").astype(int) - image_of("kpn-l7")).sum(2)  # kpn-l7 is the reference by now
    run("largest error of kpn-l9")
    shown.drawn()
    y, x = np.unravel_index(error.argmax(), error.shape)
    assert shown.state()["pick"] == {"x": int(x), "y": int(y)}
    shown.ui("side-toggle").click()
    shown.stage.focus()
    run("largest error of kpn-l11")
    shown.drawn()
    assert shown.state()["pick"] != {"x": int(x), "y": int(y)}
    run("table: pixel")
    shown.press("Control+k")
    shown.page.keyboard.type("no such thing")
    expect(shown.ui("palette-none")).to_be_visible()
    shown.press("Escape")
    expect(shown.ui("palette")).to_be_hidden()


@pytest.fixture
def touch(shown: Handle):
    """Moves one finger: its place, or None where it leaves the screen."""
    client = shown.page.context.new_cdp_session(shown.page)
    now = [time.time()]

    def send(kind: str, x: float | None = None, y: float | None = None) -> None:
        at = [] if x is None else [{"x": x, "y": y, "id": 0}]
        # With times of its own: on a busy machine a flick would become a drag.
        now[0] += 0.02
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at, "timestamp": now[0]})

    yield send
    client.detach()


def test_a_flick_goes_to_the_next_pane_and_leaves_the_place(shown: Handle, touch) -> None:
    shown.press("3")
    shown.call("v.restore(a)", {"zoom": 16, "fit": False, "center": [48, 41]})
    shown.drawn()
    before = shown.state()["center"]
    box = shown.solo().locator(".pane-view").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for direction, expected in [(-1, MODELS[3]), (1, MODELS[2])]:
        touch("touchStart", x, y)
        for step in (30, 60, 90):
            touch("touchMove", x + direction * step, y)
        touch("touchEnd")
        expect(shown.solo()).to_have_attribute("data-pane", expected)
        assert shown.state()["center"] == before


def test_a_resting_finger_shows_the_truth(shown: Handle, touch) -> None:
    x, y = shown.center("kpn-l5")
    before = shown.state()["pick"]
    touch("touchStart", x, y)
    expect(shown.root).to_have_attribute("data-holding", "true")
    expect(shown.page.locator(".stage .pane-label").first).to_have_text("TRUTH")
    touch("touchEnd")
    expect(shown.root).not_to_have_attribute("data-holding", "true")
    assert shown.state()["pick"] == before


@pytest.fixture(scope="module")
def opened(chromium):
    """A page whose viewer is told where to open."""
    import gradio
    from viewer_page import value_of

    square = Rectangle(40, 30, 24, 24)
    with gradio.Blocks(analytics_enabled=False) as layout:
        viewer.comparison_viewer(value_of(1, square=square, story=STORY))
    _, url, _ = layout.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    window = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = window.new_page()
    page.goto(url)
    expect(page.locator('.stage [data-pane][data-ready="true"]')).to_have_count(len(STORY), timeout=30_000)
    yield Handle(page)
    window.close()
    layout.close()


def test_the_viewer_opens_on_the_square_with_the_story(opened: Handle) -> None:
    opened.drawn()
    state = opened.state()
    assert state["zoom"] >= 2
    assert state["center"] == [52, 42]
    assert [name for name in PANES if name not in state["hidden"]] == STORY
    left, top, width, height = (state["visible"][key] for key in "xywh")
    assert left <= 40
    assert top <= 30
    assert left + width >= 64
    assert top + height >= 54
    opened.ui("panes-all").click()
    expect(opened.page.locator(".stage .pane")).to_have_count(len(PANES))
