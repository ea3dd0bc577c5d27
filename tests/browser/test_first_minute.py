"""The first minute on the page: results on arrival, no jumps, one window, settings fold, old results are marked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

WAIT_MS = 120_000
WINDOWS = {"laptop": (1440, 900), "small": (1280, 720), "phone": (390, 844)}
MOST_SHIFT = 0.05
STORY = ["noisy", "kpn-l3", "kpn", "kpn-l25", "mkpn", "truth"]

# Everything that moves without having been asked to, from the first moment on.
WATCH = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""
SHIFT = "window.shifts.reduce((sum, value) => sum + value, 0)"


def expect(locator: Any) -> Any:  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; its errors are failures."""
    contexts, errors = [], []

    def open_page(window: str, query: str = "?__theme=light") -> Any:
        width, height = WINDOWS[window]
        context = chromium.new_context(viewport={"width": width, "height": height}, has_touch=window == "phone")
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(WATCH)
        page.goto(f"{address}{query}")
        contexts.append(context)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def settled(page: Any) -> None:
    """Waits for the ten results, and until nothing has moved for a while."""
    expect(page.locator("#status .state")).to_contain_text("Done: 10 models")
    expect(page.locator('.stage [data-pane][data-ready="true"]')).to_have_count(len(STORY))
    page.wait_for_function("document.documentElement.dataset.drawn === 'true'")
    page.wait_for_function(
        """() => {
            const now = performance.now();
            if (window.lastCount !== window.shifts.length)
                [window.lastCount, window.lastTime] = [window.shifts.length, now];
            return now - window.lastTime > 1000;
        }"""
    )


def box(page: Any, selector: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in the window."""
    found = page.locator(selector).bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def inside(page: Any, selector: str) -> bool:
    left, top, right, bottom = box(page, selector)
    size = page.viewport_size
    return left >= 0 and top >= 0 and right <= size["width"] and bottom <= size["height"]


@pytest.mark.parametrize("window", list(WINDOWS))
def test_results_on_arrival_and_nothing_jumps(visit: Callable[..., Any], window: str) -> None:
    page = visit(window)
    settled(page)
    assert page.evaluate(SHIFT) < MOST_SHIFT
    assert page.locator("#table tr.done").count() == 12
    assert page.evaluate("document.documentElement.scrollWidth") <= WINDOWS[window][0]
    page.evaluate("window.shifts = []")
    page.locator("#run").click()
    expect(page.locator("#status .state")).to_contain_text("models ·")
    settled(page)
    assert page.evaluate(SHIFT) < MOST_SHIFT


@pytest.mark.parametrize("window", ["laptop", "small"])
def test_picture_figures_and_six_panes_are_seen_together(visit: Callable[..., Any], window: str) -> None:
    page = visit(window)
    settled(page)
    for selector in ("#run", "#source img", "#gain", "#overview img", "#table tbody"):
        assert inside(page, selector), selector
    assert page.locator(".stage [data-pane]").evaluate_all("all => all.map(one => one.dataset.pane)") == STORY
    for name in STORY:
        assert inside(page, f'.stage [data-pane="{name}"]'), name
    assert page.evaluate("document.querySelector('.mkpn-viewer').mkpnViewer.getState().zoom") >= 2
    page.locator('[data-ui="panes-all"]').click()
    expect(page.locator(".stage [data-pane]")).to_have_count(13)
    # Run and its progress stay where they are while one scrolls.
    page.mouse.wheel(0, 1500)
    page.wait_for_function("scrollY > 300")
    assert inside(page, "#run")
    assert inside(page, "#status progress")


def test_the_settings_fold_and_stay_folded(visit: Callable[..., Any]) -> None:
    page = visit("laptop")
    settled(page)
    before = box(page, ".stage")
    button = page.get_by_role("button", name="Settings", exact=True)
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(page.locator("#controls")).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    after = box(page, ".stage")
    assert after[2] - after[0] > before[2] - before[0] + 200
    page.reload()
    settled_again = page.locator("#run")
    expect(settled_again).to_be_visible()
    expect(page.locator("#controls")).to_be_hidden()
    page.locator("body").press("s")
    expect(page.locator("#controls")).to_be_visible()
    # In a field the letter is a letter, and where the viewer's keys are off this one is off, too.
    page.locator("#seed input").press("s")
    expect(page.locator("#controls")).to_be_visible()
    page.evaluate("localStorage.setItem('mkpn-viewer-keys', 'off')")
    page.locator("body").press("s")
    expect(page.locator("#controls")).to_be_visible()


def test_rarely_used_settings_are_folded(visit: Callable[..., Any]) -> None:
    page = visit("laptop")
    settled(page)
    for name, inner in (("size", "#downsample"), ("noise", "#sigma-r"), ("motion", "#motion input >> nth=0")):
        expect(page.locator(inner)).to_be_hidden()
        page.locator(f"#{name} > button").click()
        expect(page.locator(inner)).to_be_visible()


def test_results_of_other_settings_are_marked(visit: Callable[..., Any]) -> None:
    page = visit("laptop")
    settled(page)
    stale = page.locator("#stale .stale")
    faded = "getComputedStyle(document.querySelector('.stage canvas')).opacity < 1"

    def choose(gain: str) -> None:
        page.locator("#gain").get_by_label(gain, exact=True).check()

    expect(stale).to_have_count(0)
    choose("8")
    expect(stale).to_contain_text("made with other settings")
    assert page.evaluate(faded)
    choose("4")
    expect(stale).to_have_count(0)
    assert not page.evaluate(faded)
    page.locator("#models").get_by_label("KPN L1", exact=True).uncheck()
    expect(stale).to_be_visible()
    page.locator("#models").get_by_label("KPN L1", exact=True).check()
    expect(stale).to_have_count(0)
    page.locator("#intake button[data-example='Printed letters (grey)']").click()
    expect(stale).to_be_visible()
    page.locator("#run").click()
    expect(page.locator("#status .notes")).to_contain_text("Printed letters")
    expect(stale).to_have_count(0)


def test_a_phone_has_picture_run_and_panes_on_its_first_screen(visit: Callable[..., Any]) -> None:
    page = visit("phone")
    settled(page)
    for selector in ("#run", "#source img", *(f'.stage [data-pane="{name}"]' for name in STORY)):
        assert inside(page, selector), selector
    expect(page.locator("#gain")).to_be_hidden()
    page.get_by_role("button", name="Settings", exact=True).tap()
    expect(page.locator("#gain")).to_be_visible()


@pytest.mark.parametrize("width", [320, 359, 360])
def test_nothing_in_the_bar_covers_anything(visit: Callable[..., Any], width: int) -> None:
    page = visit("phone")
    settled(page)
    page.set_viewport_size({"width": width, "height": 640})
    expect(page.get_by_role("button", name="Settings", exact=True)).to_be_visible()
    assert box(page, "#settings-toggle button")[2] <= box(page, "#link button")[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_swipes_between_models_and_holds_for_the_truth(visit: Callable[..., Any]) -> None:
    page = visit("phone")
    settled(page)
    page.locator('.stage [data-pane="mkpn"] .pane-name').tap()
    state = "document.querySelector('.mkpn-viewer').mkpnViewer.getState()"
    expect(page.locator(".mkpn-viewer")).to_have_attribute("data-mode", "single")
    left, top, right, bottom = box(page, ".pane.solo .pane-view")
    y = (top + min(bottom, 800)) / 2
    touch = page.context.new_cdp_session(page)
    now = [time.time()]

    def send(kind: str, *points: tuple[float, float]) -> None:
        # With times of its own: on a busy machine a flick would become a drag.
        now[0] += 0.02
        points = [{"x": x, "y": y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points, "timestamp": now[0]})

    def flick(start: float, direction: int) -> None:
        send("touchStart", (start, y))
        for step in range(1, 6):
            send("touchMove", (start + 40 * direction * step, y))
        send("touchEnd")
        now[0] += 1

    flick(left + 0.8 * (right - left), -1)
    page.wait_for_function(f"{state}.active === 'truth'")
    flick(left + 0.2 * (right - left), 1)
    page.wait_for_function(f"{state}.active === 'mkpn'")
    send("touchStart", ((left + right) / 2, y))
    page.wait_for_function(f"{state}.holding")
    send("touchEnd")
    page.wait_for_function(f"!{state}.holding")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"?file=mine.jpg&sha256={'a' * 64}&gain=4&seed=4", "choose mine.jpg on the left"),
        (f"?image=chelsea&{'&'.join(f'a{index}=1' for index in range(200))}", "This link cannot be opened."),
    ],
)
def test_a_link_that_has_to_wait_shows_the_first_results_meanwhile(
    visit: Callable[..., Any], query: str, said: str
) -> None:
    page = visit("laptop", query)
    settled(page)
    expect(page.locator("#notice [data-state]")).to_contain_text(said)
    page.get_by_role("tab", name="Crops").click()
    page.locator("#overview img").first.click()
    expect(page.locator("#crops figure[data-pane='mkpn'] img")).to_be_visible()
    expect(page.locator("#notice [data-state]")).to_contain_text(said)
    if "file=" in query:
        # A reload asks for the same picture again.
        assert page.evaluate("location.search") == query


def test_a_link_to_the_first_results_runs_nothing(visit: Callable[..., Any]) -> None:
    page = visit("laptop", "?image=chelsea&gain=4&seed=4&__theme=light")
    expect(page.locator("#notice [data-state]")).to_contain_text("Restored")
    assert page.locator(".stage [data-pane]").evaluate_all("all => all.map(one => one.dataset.pane)") == STORY
    shown = page.locator("#overview img").get_attribute("src")
    other = visit("laptop")
    settled(other)
    assert other.locator("#overview img").get_attribute("src") == shown
