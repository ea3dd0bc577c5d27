"""The kernel explorer in a real browser: every view, the lesson to its end, the modes, the address, axe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from test_accessibility import serious

from mkpn.model.config import MODELS

WAIT_MS = 120_000
VIEWS = ("kernels", "rebuild", "ablation", "winners", "maps", "places", "sizes", "blind")
EXPLORER = "document.querySelector('.mkpn-explorer').mkpnExplorer"
IMAGE = "?image=text&downsample=2&gain=4&seed=4"  # the smallest example


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


def opened(chromium, address: str, part: str, shows: str = "mkpn", **options: Any):
    """A page whose address names a view, after its run; `shows` is the network whose kernels are waited for."""
    page = chromium.new_page(viewport={"width": 1280, "height": 720}, reduced_motion="reduce", **options)
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.errors = []
    page.goto(f"{address}{IMAGE}#explore={part}")
    expect(page.locator("#status .state")).to_contain_text(f"Done: {len(MODELS)} models")
    expect(ui(page, "body")).to_be_visible()
    page.wait_for_function(
        "(model) => document.querySelector('.mkpn-explorer').dataset.probed?.startsWith(model)", arg=shows
    )
    return page


def ui(page, name: str):
    return page.locator(f'.mkpn-explorer [data-ui="{name}"]')


def view(page, name: str) -> None:
    page.locator(f'[data-view-to="{name}"]').click()


def probed(page, model: str, x: int, y: int) -> None:
    page.wait_for_function(
        "(text) => document.querySelector('.mkpn-explorer').dataset.probed === text", arg=f"{model} {x} {y}"
    )


def recomposed(page, what: str) -> None:
    """Waits until the picture of these sizes and frames is not only there, but drawn."""
    page.wait_for_function(
        "(text) => document.querySelector('.mkpn-explorer').dataset.ablated === text", arg=what, timeout=WAIT_MS
    )


@contextmanager
def watched(chromium, address: str, part: str, shows: str = "mkpn") -> Iterator[Any]:
    """The page of `opened`; it ends with the block, and its errors are failures."""
    shown = opened(chromium, address, part, shows)
    try:
        yield shown
    finally:
        shown.close()
    assert shown.errors == []


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    with watched(chromium, address, "kernels&x=60&y=20") as shown:
        yield shown


def test_the_address_opens_tab_and_pixel_and_follows(page) -> None:
    probed(page, "mkpn", 60, 20)
    ui(page, "stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    probed(page, "mkpn", 61, 28)
    page.wait_for_function("() => location.hash.includes('x=61') && location.hash.includes('y=28')")
    # The page's own square follows the pixel.
    expect(page.locator("#overview .caption")).to_contain_text("pixel x 61, y 28")


def test_a_drag_moves_the_pixel(page) -> None:
    box = ui(page, "stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1])
    page.mouse.up()
    expect(ui(page, "readout")).to_contain_text(re.compile(r"Pixel x 1\d\d, y 2\d"))


def test_kernels_are_named_scaled_and_told(page) -> None:
    view(page, "kernels")
    expect(page.locator("button.kernel")).to_have_count(7 * 8)
    page.locator('button.kernel[data-row="5"][data-frame="2"]').click()
    expect(ui(page, "kernel-words")).to_contain_text("MKPN, 5×5, frame 2")
    expect(ui(page, "kernel-words")).to_contain_text("The reference frame carries")
    for scale, words in {
        "shared": "one scale",
        "frame": "each frame",
        "log": "symmetric log",
        "row": "each row",
    }.items():
        ui(page, "scale").select_option(scale)
        expect(ui(page, "kernel-bar")).to_contain_text(words)
    ui(page, "beside").select_option("kpn-l25")
    expect(page.locator(".block-name")).to_contain_text(["A: MKPN", "B: KPN L25"])
    ui(page, "beside").select_option("")
    expect(page.locator("button.kernel")).to_have_count(7 * 8)


def test_the_numbers_of_all_kernels_are_a_table_for_the_keyboard(page) -> None:
    view(page, "kernels")
    button = ui(page, "numbers")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    # Seven rows of kernels, five numbers each, eight frames.
    expect(page.locator("td[data-number]")).to_have_count(7 * 5 * 8)
    shown = page.locator("td[data-number]").all_inner_texts()
    kernels = page.evaluate("() => document.querySelector('.mkpn-explorer').mkpnExplorer.answer.kernels")
    rows = [kernels[row] for row in ("1", "3", "5", "7", "9", "11", "fused")]
    expected = [value for row in rows for name in ("sum", "noise_gain", "radius", "x", "y") for value in row[name]]
    for text, value in zip(shown, expected, strict=True):
        assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.051)
    page.locator('button.kernel[data-row="fused"][data-frame="0"]').focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    expect(page.locator('button.kernel[data-row="11"][data-frame="1"]')).to_be_focused()
    expect(ui(page, "kernel-words")).to_contain_text("MKPN, 11×11, frame 1")
    page.wait_for_function("() => location.hash.includes('numbers=1') && location.hash.includes('size=11')")
    button.click()
    expect(page.locator("td[data-number]")).to_have_count(0)


def test_picture_and_kernels_are_on_one_screen(page) -> None:
    view(page, "kernels")
    for width, height in ((1280, 720), (1440, 900), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        page.locator(".mkpn-explorer").evaluate("(node) => node.scrollIntoView()")
        sticky = page.locator("#top").evaluate("(node) => node.getBoundingClientRect().bottom")
        for name in ("stage", "kernel-blocks", "kernel-bar", "overlay"):
            box = ui(page, name).bounding_box()
            assert sticky <= box["y"], (width, name, box)
            assert box["y"] + box["height"] <= height, (width, name, box)
    page.set_viewport_size({"width": 1280, "height": 720})


def test_a_network_of_one_size_has_its_kernels_on_the_keyboard(page) -> None:
    view(page, "kernels")
    ui(page, "model").select_option("kpn-l5")
    expect(page.locator("button.kernel")).to_have_count(8)
    chosen = page.locator('button.kernel[aria-pressed="true"]')
    expect(chosen).to_have_count(1)
    expect(chosen).to_have_attribute("tabindex", "0")
    expect(ui(page, "kernel-words")).to_contain_text("KPN L5, 5×5, frame")
    ui(page, "model").select_option("mkpn")
    expect(page.locator("button.kernel")).to_have_count(7 * 8)


def test_the_products_add_up_to_the_networks_number(page) -> None:
    view(page, "rebuild")
    ui(page, "first").click()
    expect(ui(page, "step-text")).to_contain_text("first of 48 kernels")
    ui(page, "next").click()
    expect(ui(page, "step-text")).to_contain_text("Step 1 of 48: frame 0, 1×1")
    ui(page, "rebuild-weights").hover()
    expect(ui(page, "tap")).to_contain_text("/ 48 =")
    ui(page, "last").click()
    expect(ui(page, "rebuild-result")).to_contain_text("difference")
    assert float(ui(page, "rebuild-result").get_attribute("data-difference")) < 1e-5


def test_the_arrow_keys_mark_a_weight_and_its_product_is_told(page) -> None:
    view(page, "rebuild")
    ui(page, "first").click()
    for _ in range(4):
        ui(page, "next").click()
    expect(ui(page, "step-text")).to_contain_text("Step 4 of 48: frame 0, 7×7")
    tap, trio = ui(page, "tap"), ui(page, "trio")
    expect(tap).to_have_attribute("aria-live", "off")
    trio.focus()
    expect(tap).to_have_attribute("aria-live", "polite")
    for key, place in {
        "ArrowRight": (0, 0),  # the first key marks the centre
        "ArrowLeft": (-1, 0),
        "ArrowDown": (-1, 1),
        "Home": (-3, -3),
        "ArrowUp": (-3, -3),
        "End": (3, 3),
    }.items():
        trio.press(key)
        signs = ["0" if value == 0 else f"{value:+d}".replace("-", "−") for value in place]
        expect(tap).to_contain_text(f"x {signs[0]}, y {signs[1]}: ")
        told = page.evaluate(
            """([x, y]) => {
              const { answer } = document.querySelector('.mkpn-explorer').mkpnExplorer;
              const { weights } = answer.kernels[7];
              const [, channels, side] = answer.values.shape;
              const at = (size, half) => (y + half) * size + x + half;
              return [weights.data[at(7, 3)], answer.values.data[at(side, (side - 1) / 2)], channels];
            }""",
            list(place),
        )
        text = tap.inner_text().replace("−", "-")
        assert float(text.split(" = ")[1]) == pytest.approx(told[0] * told[1] / 48, abs=1e-6)
    trio.press("Escape")
    expect(tap).to_contain_text("Point at a weight, or use the arrow keys here")
    ui(page, "next").focus()
    expect(tap).to_have_attribute("aria-live", "off")


def test_switching_off_changes_picture_and_figure(page) -> None:
    view(page, "ablation")
    expect(ui(page, "ablation-words")).to_contain_text("Everything is on")
    expect(ui(page, "ablation-psnr")).to_contain_text("(0)")
    expect(page.locator('[data-panel="ablation"]')).to_contain_text("not a retrained model")
    read = "() => document.querySelector('.mkpn-explorer').mkpnExplorer.picture.colorAt(40, 20)"
    everything = "mkpn; 1,3,5,7,9,11; 0,1,2,3,4,5,6,7; renormalised"
    recomposed(page, everything)
    whole = page.evaluate(read)
    ui(page, "reference-only").click()
    recomposed(page, "mkpn; 1,3,5,7,9,11; 0; renormalised")
    expect(ui(page, "ablation-words")).to_contain_text("; frame 0.")
    assert page.evaluate(read) != whole
    ui(page, "all-on").click()
    recomposed(page, everything)
    assert page.evaluate(read) == whole


def test_winners_maps_and_places(page) -> None:
    view(page, "winners")
    expect(ui(page, "winners-table").locator("tbody tr")).to_have_count(11)
    expect(ui(page, "readout")).to_contain_text("this patch:")
    view(page, "maps")
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)
    ui(page, "map").select_option("radius")
    expect(ui(page, "map-here")).to_contain_text("px")
    view(page, "places")
    first = ui(page, "places-list").locator("button").first
    first.click()
    expect(first).to_have_attribute("aria-pressed", "true")


def test_sizes_are_drawn_told_and_predicted(page) -> None:
    view(page, "sizes")
    expect(ui(page, "sizes-table").locator("tbody tr")).to_have_count(1)
    expect(ui(page, "sizes-words")).to_contain_text("Gain 4, whole image")
    ui(page, "where").select_option("texture")
    expect(ui(page, "sizes-words")).to_contain_text("texture")
    ui(page, "predict").click()
    expect(ui(page, "sizes-table").locator("tr")).to_have_count(0)
    for key in ("ArrowUp", "ArrowRight", "ArrowDown"):
        ui(page, "chart").press(key)
    ui(page, "predict").click()
    expect(ui(page, "sizes-words")).to_contain_text("Your curve was off by")
    ui(page, "predict").click()


def test_the_slider_moves_the_gain_with_one_seed_and_what_is_measured_is_kept(page) -> None:
    view(page, "sizes")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    ui(page, "scrub").focus()
    page.keyboard.press("ArrowLeft")
    expect(ui(page, "scrub-text")).to_have_text("gain 2, seed 4")
    expect(ui(page, "sizes-words")).to_contain_text("Gain 2, ")
    expect(ui(page, "sizes-words")).to_contain_text("gain 2: L")
    expect(ui(page, "sizes-table").locator("tr.now th")).to_have_text("gain 2")
    expect(ui(page, "sweep-progress")).to_be_hidden()
    table = ui(page, "sizes-table").locator("tr.now").inner_text()
    assert len([post for post in asked if '"gain":"2"' in post]) == len(MODELS) + 1  # and the aligned mean
    page.wait_for_function("() => location.hash.includes('gain=2')")
    page.keyboard.press("ArrowRight")
    expect(ui(page, "sizes-table").locator("tr.now th")).to_have_text("gain 4")
    page.keyboard.press("ArrowLeft")
    expect(ui(page, "sizes-table").locator("tr.now")).to_have_text(re.compile("gain 2"))
    assert ui(page, "sizes-table").locator("tr.now").inner_text() == table
    assert len([post for post in asked if '"gain":"2"' in post]) == len(MODELS) + 1


def test_a_sweep_is_stopped_inside_a_network(page) -> None:
    view(page, "sizes")
    ui(page, "seeds").select_option("3")
    ui(page, "sweep").click()
    expect(ui(page, "sweep-progress")).to_be_visible()
    with page.expect_request(lambda request: '"stop"' in (request.post_data or "")):
        ui(page, "sweep-stop").click()
    expect(ui(page, "sweep")).to_be_enabled()
    expect(ui(page, "sweep-progress")).to_be_hidden()
    ui(page, "seeds").select_option("1")


def test_the_blind_test_counts(page) -> None:
    view(page, "blind")
    options = ui(page, "layer").locator("option").all_inner_texts()
    assert options == ["A", "B", "frame 0 (noisy, reference)"]
    ui(page, "blind-a").click()
    expect(ui(page, "blind-result")).to_contain_text("dB apart")
    expect(ui(page, "blind-tally")).to_contain_text("of 1 right")


def test_the_lesson_runs_to_its_end_with_a_clicker(page) -> None:
    ui(page, "lesson-toggle").click()
    ui(page, "present").click()
    expect(page.locator(".mkpn-explorer.presenting")).to_be_visible()
    for step in range(1, 10):
        expect(page.locator(".lesson-title")).to_contain_text(f"{step} of 9")
        page.locator('[data-lesson="reveal"]').click()
        expect(page.locator(".revealed")).not_to_be_empty()
        expect(ui(page, "lesson")).not_to_contain_text("undefined")
        expect(ui(page, "lesson")).not_to_contain_text("NaN")
        page.keyboard.press("PageDown")
    # A list that was just used keeps the focus; Escape ends the presenter all the same.
    page.locator(".mkpn-explorer select:visible").first.focus()
    page.keyboard.press("Escape")
    expect(page.locator(".mkpn-explorer.presenting")).to_have_count(0)
    page.locator('[data-lesson="next"]').click()
    expect(ui(page, "lesson")).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "phone"])
def test_axe_finds_nothing_serious_in_any_view(chromium, address: str, size: str, theme: str) -> None:
    page = opened(chromium, f"{address}", "kernels", color_scheme=theme)
    found: dict[str, list[str]] = {}
    try:
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        if size == "phone":
            page.set_viewport_size({"width": 390, "height": 844})
        for name in VIEWS:
            view(page, name)
            expect(page.locator(f'[data-panel="{name}"]')).to_be_visible()
            found[name] = serious(page)
        view(page, "kernels")
        ui(page, "numbers").click()
        found["numbers"] = serious(page)
        ui(page, "lesson-toggle").click()
        found["lesson"] = serious(page)
    finally:
        page.close()
    assert {state: lines for state, lines in found.items() if lines} == {}
