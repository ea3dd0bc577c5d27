"""Faults of the layout that a review met: what is off the screen, cut, or beside what it does not belong to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_page import Handle, expect

import mkpn.ui.page

CSS = Path(mkpn.ui.page.__file__).parent


def edges(page: Any, selector: str) -> tuple[float, float]:
    """Top and bottom in the window."""
    found = page.locator(selector).bounding_box()
    return found["y"], found["y"] + found["height"]


@pytest.mark.parametrize("width", [1280, 760])
def test_controls_of_a_mode_and_the_colour_bar_stand_above_the_stage(shown: Handle, width: int) -> None:
    page = shown.page
    page.set_viewport_size({"width": width, "height": 900})
    try:
        shown.drawn()
        bottom = edges(page, '[data-ui="stage"]')[1]
        expect(shown.ui("context")).to_be_hidden()
        for change, rows in (
            ({"mode": "blink"}, ["row-solo"]),
            ({"mode": "split"}, ["row-solo"]),
            ({"mode": "grid", "error": "absolute"}, ["row-colors", "row-error"]),
        ):
            shown.call("v.restore(a)", change)
            for row in rows:
                expect(shown.ui(row)).to_be_visible()
            shown.drawn()
            assert max(edges(page, f'[data-ui="{row}"]')[1] for row in rows) <= edges(page, '[data-ui="stage"]')[0]
            # The stage gives them the room: it still ends in the same place.
            assert edges(page, '[data-ui="stage"]')[1] <= bottom + 1
        # Without a mode of its own, tone is between pictures and tables, for the eye and for Tab.
        shown.call("v.restore(a)", {"error": None})
        expect(shown.ui("row-tone")).to_be_visible()
        top = edges(page, '[data-ui="row-tone"]')[0]
        assert edges(page, '[data-ui="stage"]')[1] <= top
        if width < 1080:
            assert top < edges(page, '[data-ui="side"]')[0]
        order = page.evaluate(
            """() => [...document.querySelectorAll('.mkpn-viewer [data-ui]')].map((node) => node.dataset.ui)
                .filter((name) => ['stage', 'ev', 'pixel-x'].includes(name))"""
        )
        assert order == ["stage", "ev", "pixel-x"]
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})


def test_a_tall_picture_leaves_no_pane_alone(shown: Handle) -> None:
    source = CSS.parent / "viewer" / "panes.js"
    script = source.read_text(encoding="utf-8").split("function createSlot")[0]
    grid = (
        f"([count, width, height, aspect]) => {{ {script}; return bestGrid(count, width, height, aspect, () => 40); }}"
    )
    # 70 by 500 pixels on a stage of 1366 by 768: all six in one row, inside of the stage.
    six = shown.page.evaluate(grid, [6, 720, 568, 0.14])
    assert six["columns"] == 6
    assert six["cellHeight"] + 40 <= 568
    # Thirteen do not fit: rows of five, five and three rather than six, six and one.
    assert shown.page.evaluate(grid, [13, 720, 568, 0.14])["columns"] == 5
    # An ordinary picture is shown as before.
    assert shown.page.evaluate(grid, [6, 720, 568, 1.3])["columns"] == 3
    assert shown.page.evaluate(grid, [13, 366, 340, 1.3])["columns"] == 3


def test_no_caption_of_a_tall_picture_is_cut(shown: Handle) -> None:
    cut = """(classes) => {
      const stage = document.querySelector(".stage");
      const before = stage.className;
      stage.classList.add(...classes);
      const captions = [...stage.querySelectorAll("figcaption")];
      for (const caption of captions) caption.style.width = "101px";
      const wide = (node) => node.scrollWidth > node.clientWidth ||
        node.getBoundingClientRect().right > node.closest("figcaption").getBoundingClientRect().right;
      const parts = (caption) => [...caption.querySelectorAll(".pane-label, .pane-figures")];
      const found = captions.flatMap(parts).filter(wide);
      stage.className = before;
      for (const caption of captions) caption.style.width = "";
      return found.length;
    }"""
    assert shown.page.evaluate(cut, ["narrow"]) > 0
    # With the name and the PSNR alone there is room.
    assert shown.page.evaluate(cut, ["narrow", "tiny"]) == 0


def test_digits_say_that_they_are_keys_and_largest_leads_to_the_largest_error(shown: Handle) -> None:
    key = shown.page.locator('.stage [data-pane="kpn-l1"] kbd')
    expect(key).to_have_attribute("title", f"Key {key.text_content()}")
    shown.call("v.restore(a)", {"active": "kpn-l5"})
    shown.stage.focus()
    shown.press("Control+k")
    shown.ui("palette-input").fill("largest")
    expect(shown.ui("palette-list").locator("li").first).to_have_text("Largest error of KPN-L5: go there")
    shown.press("Escape")


def row(model: str, psnr: float) -> list[dict[str, object]]:
    return [{"model": model, "gain": gain, "psnr": psnr, "ssim": psnr / 100, "images": 68} for gain in (1, 2, 4, 8)]


def test_table_1_is_whole_on_a_laptop_and_says_what_reach_is(shown: Handle) -> None:
    from mkpn.metrics import MetricDefinition
    from mkpn.ui.page.published import table1

    figures = {
        "rows": row("mkpn", 32.0),
        "references": row("noisy", 20.0) + row("oracle-0", 30.0) + row("oracle-12+nlm", 39.0),
        "metric": MetricDefinition().to_dict(),
        "settings": {"images": ["CBSD68"], "downsample": 2, "crop": 128, "seed": 0},
    }
    sheets = "".join((CSS / name).read_text(encoding="utf-8") for name in ("app.css", "table1.css"))
    page = shown.page.context.new_page()
    try:
        # As wide as the tab in a window of 1366 pixels, beside the settings.
        page.set_viewport_size({"width": 1026, "height": 768})
        tables = table1({"mkpn": {"metrics": figures}})
        page.set_content(f"<style>body {{ margin: 0; font: 16px sans-serif }}{sheets}</style>{tables}")
        for name in ("the shipped networks", "the paper's Table 1"):
            table = page.get_by_role("region", name=f"PSNR and SSIM of {name}")
            assert table.evaluate("node => node.scrollWidth <= node.clientWidth"), name
        ours = page.get_by_role("region", name="PSNR and SSIM of the shipped networks")
        expect(ours.locator("tbody th")).to_have_text(["noisy frame", "MKPN"])
        # The best of the networks is marked, whatever the truly aligned means have.
        expect(ours.locator("td.best")).to_have_count(8)
        means = page.get_by_role("region", name="PSNR and SSIM of truly aligned means")
        expect(means).to_be_hidden()
        page.get_by_text("Truly aligned means, by reach").click()
        expect(means.locator("tbody th")).to_have_text(
            ["truly aligned mean, reach 0", "truly aligned mean + NLM, reach 12"]
        )
        expect(page.locator("details .caption").first).to_contain_text("the true motion is given")
    finally:
        page.close()


@pytest.fixture
def bare(shown: Handle) -> Iterator[Any]:
    """An empty page with an address of its own, on which parts of the app are tried."""
    page = shown.page.context.new_page()
    page.route("http://studio.test/**", lambda route: route.fulfill(body="<html></html>", content_type="text/html"))
    page.goto("http://studio.test/?image=coffee&gain=8")
    yield page
    page.close()


def part(name: str) -> str:
    return (CSS / name).read_text(encoding="utf-8")


def test_a_window_that_is_enlarged_hides_the_settings_and_has_a_choice_of_its_own(bare: Any) -> None:
    def settings() -> str:
        return bare.evaluate("document.documentElement.dataset.settings")

    # Chosen in a wide window, as the two scripts do it.
    bare.evaluate("localStorage.setItem('mkpn-settings', 'shown')")
    bare.set_content("<div id='toggle'><button>Settings</button></div>")
    bare.evaluate(f"(() => {{ {part('settings_head.js')} }})()")
    bare.evaluate(f"(() => {{ const element = document.querySelector('#toggle'); {part('settings.js')} }})()")
    button = bare.get_by_role("button")
    expect(button).to_have_attribute("aria-expanded", "true")
    try:
        # 1440 pixels at 200 %.
        bare.set_viewport_size({"width": 720, "height": 450})
        expect(button).to_have_attribute("aria-expanded", "false")
        assert settings() == "hidden"
        button.click()
        assert settings() == "shown"
        assert bare.evaluate("localStorage.getItem('mkpn-settings-narrow')") == "shown"
        button.click()
        bare.set_viewport_size({"width": 1280, "height": 900})
        expect(button).to_have_attribute("aria-expanded", "true")
        assert settings() == "shown"
    finally:
        bare.evaluate("localStorage.clear()")
        bare.set_viewport_size({"width": 1280, "height": 900})


def test_a_link_dims_the_first_results_until_its_own_come(bare: Any) -> None:
    whole = "<div id='overview'><div class='overview' data-run='{run}' data-x='1' data-y='1'><img></div></div>"
    bare.set_content(f"<style>{part('layout.css')}</style><div id='results'>{whole.format(run='first')}</div>")
    bare.evaluate(f"(() => {{ {part('settings_head.js')} }})()")
    opacity = "getComputedStyle(document.querySelector('img')).opacity"
    assert bare.evaluate(opacity) == "0.45"
    watched = "const element = document.querySelector('#overview'); const watch = (_, then) => (window.come = then);"
    bare.evaluate(f"(() => {{ {watched} {part('overview.js')} }})()")
    assert bare.evaluate(opacity) == "0.45"
    bare.evaluate("document.querySelector('.overview').dataset.run = 'own'; come()")
    assert bare.evaluate(opacity) == "1"


def test_the_line_restored_pushes_nothing_down(bare: Any) -> None:
    line = '<p class="notes" role="status" data-state="{state}">Restored.</p>'
    page = """<style>{css}</style><div id="introduction"><p class="introduction">What it is.</p></div>
      <div id="results"><div id="notice">{notice}</div><div id="views">Panes</div></div>"""

    def top(notice: str) -> float:
        bare.set_content(page.format(css=part("layout.css"), notice=notice))
        return edges(bare, "#views")[0]

    usual = top("")
    for state in ("busy", "same"):
        assert top(line.format(state=state)) == usual
        expect(bare.get_by_text("Restored.")).to_be_in_viewport()
        # It stands where the introduction was.
        expect(bare.get_by_text("What it is.")).to_be_hidden()
    # What has to be read keeps a place of its own.
    failure = '<div class="failure">KPN L3 is not on this server.</div>'
    for notice in (line.format(state="waiting"), failure + line.format(state="same")):
        assert top(notice) > usual
        expect(bare.get_by_text("What it is.")).to_be_visible()


def test_what_is_said_about_a_run_does_not_stand_above_other_tabs(bare: Any) -> None:
    for tab, there in (("captured", False), ("table1", False), ("explore", True)):
        bare.set_content(
            f"""<style>{part("layout.css")}</style><div id="results"><div id="notice">Restored.</div>
            <button id="{tab}-tab-button" class="selected">.</button></div>"""
        )
        assert bare.locator("#notice").is_visible() == there, tab


def test_all_eight_photographs_of_a_burst_are_seen(bare: Any) -> None:
    rows = "".join(f"<tr><td>photograph-{index}.dng</td></tr>" for index in range(8))
    # As Gradio draws them.
    bare.set_content(
        f"""<style>{part("app.css")}</style><style>.file-preview {{ max-height: 240px; overflow-y: auto }}</style>
        <div id="burst-files" style="height: 150px; overflow: auto"><div class="file-preview-holder"
        style="overflow: auto"><table class="file-preview" style="display: block; line-height: 4em">{rows}</table></div>
        </div>"""
    )
    scrolls = bare.evaluate(
        "[...document.querySelectorAll('div, table')].filter((n) => n.scrollHeight > n.clientHeight + 1).length"
    )
    assert scrolls == 0


def test_a_white_picture_has_a_frame(shown: Handle, bare: Any) -> None:
    assert "1px" in shown.page.locator(".pane-view").first.evaluate("node => getComputedStyle(node).boxShadow")
    # The chosen picture, the whole image, and a crop.
    bare.set_content(
        f"""<style>{part("layout.css")}{part("app.css")}</style>
        <div class="gradio-container" style="--body-text-color: #000">
        <div id="source"><img></div>
        <div id="overview"><div class="overview">.</div></div><div class="crops"><a class="window">.</a></div></div>"""
    )
    assert "1px" in bare.locator("#source img").evaluate("node => getComputedStyle(node).filter")
    for place in (".overview", ".window"):
        assert "1px" in bare.locator(place).evaluate("node => getComputedStyle(node).boxShadow"), place


def test_a_difference_beside_two_figures_is_theirs(bare: Any) -> None:
    script = (CSS.parent / "viewer" / "format.js").read_text(encoding="utf-8")
    # Shown are 31.24 and 31.20.
    text = bare.evaluate(f"(() => {{ {script} return signedText(shownDifference(31.2449, 31.195), 2); }})()")
    assert text == "+0.04"


@pytest.fixture(scope="module")
def whole(chromium: Any, address: str) -> Iterator[Any]:
    """The whole page; what runs on it does not matter here."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{address}?__theme=light")
    page.wait_for_function("document.documentElement.dataset.drawn === 'true'")
    yield page
    context.close()


def choose(page: Any, tab: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")


def test_tabs_that_are_not_about_the_run_do_not_show_its_figures(whole: Any) -> None:
    choose(whole, "Compare")
    expect(whole.locator("#summary")).to_be_visible()
    left = whole.get_by_role("tab", name="My burst").bounding_box()
    for tab in ("Table 1", "My burst"):
        choose(whole, tab)
        expect(whole.locator("#summary")).to_be_hidden()
    expect(whole.locator("#gain")).to_be_hidden()
    assert whole.get_by_role("tab", name="My burst").bounding_box() == left
    choose(whole, "Compare")
    expect(whole.locator("#gain")).to_be_visible()
    expect(whole.locator("#summary")).to_be_visible()


@pytest.mark.parametrize("width", [768, 800, 850, 1000])
def test_the_bar_of_a_tablet_keeps_its_progress_and_whole_sentences(whole: Any, width: int) -> None:
    choose(whole, "Compare")
    whole.set_viewport_size({"width": width, "height": 1024})
    try:
        sizes = whole.evaluate(
            """() => {
                const stale = document.querySelector('#stale .html-container') ?? document.querySelector('#stale');
                const before = stale.innerHTML;
                const words = 'These results were made with other settings. Run renews them.';
                stale.innerHTML = `<div class="stale">${words}</div>`;
                const sentence = stale.querySelector('.stale');
                const cut = sentence.scrollWidth > sentence.clientWidth;
                const bar = document.querySelector('#top').getBoundingClientRect();
                const inside = sentence.getBoundingClientRect().bottom <= bar.bottom;
                stale.innerHTML = before;
                const status = document.querySelector('#status .status');
                const progress = status.querySelector('progress').offsetWidth;
                return { cut, inside, progress, over: status.scrollWidth > status.clientWidth };
            }"""
        )
        assert sizes["progress"] >= 60
        assert (sizes["cut"], sizes["inside"], sizes["over"]) == (False, True, False)
    finally:
        whole.set_viewport_size({"width": 1366, "height": 768})


def test_what_is_chosen_beside_the_pictures_has_a_visible_name(whole: Any) -> None:
    choose(whole, "Compare")
    expect(whole.locator("#shown").get_by_text("Whole image", exact=True)).to_be_in_viewport()
    assert whole.locator("#shown").get_by_text("Whole image", exact=True).bounding_box()["width"] > 40
    choose(whole, "Crops")
    assert whole.locator("#side").get_by_text("Side of the square", exact=True).bounding_box()["width"] > 40
    tabs = whole.get_by_role("tablist").first.bounding_box()
    assert whole.locator("#side").bounding_box()["y"] >= tabs["y"] + tabs["height"] + 4
    choose(whole, "Compare")
