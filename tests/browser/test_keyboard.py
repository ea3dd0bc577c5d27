"""The page without a mouse, with colours of the system, on the smallest phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_first_minute import WAIT_MS, expect


@pytest.fixture(scope="module")
def app(chromium: Any, address: str) -> Iterator[Any]:
    """The page; its errors are failures."""
    errors: list[str] = []
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}?__theme=light")
    page.wait_for_function("document.documentElement.dataset.drawn === 'true'")
    yield page
    page.close()
    assert errors == []


def test_arrow_keys_choose_the_gain_and_tab_stops_there_once(app: Any) -> None:
    """Gradio makes a group of its own of every radio button, and tells no screen reader what is asked."""
    gain = app.get_by_role("group", name="Noise level (gain)")
    chosen = gain.locator("input:checked")
    chosen.focus()
    for key, value in (("ArrowRight", "8"), ("ArrowLeft", "4"), ("ArrowLeft", "2"), ("ArrowRight", "4")):
        app.keyboard.press(key)
        expect(chosen).to_have_value(value)
        expect(chosen).to_be_focused()
        app.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    app.keyboard.press("Tab")
    assert not gain.evaluate("group => group.contains(document.activeElement)")


def test_what_is_chosen_is_seen_where_the_system_chooses_the_colours(app: Any) -> None:
    app.emulate_media(forced_colors="active")
    try:
        for chosen, other in (
            ('#views [role="tab"][aria-selected="true"]', '#views [role="tab"][aria-selected="false"]'),
            ('[data-mode-to="grid"]', '[data-mode-to="single"]'),
            ("#gain label.selected", "#gain label:not(.selected)"),
        ):
            # A colour on its way is none yet.
            app.wait_for_function(
                """pair => {
                    const colors = pair.map((one) => getComputedStyle(document.querySelector(one)).backgroundColor);
                    return colors[0] !== colors[1] && colors[0] !== "rgba(0, 0, 0, 0)";
                }""",
                arg=[chosen, other],
            )
        box = app.locator("#models input[type=checkbox]").first
        assert box.evaluate("box => getComputedStyle(box).appearance") == "auto"
        assert app.locator("#status progress").evaluate("bar => getComputedStyle(bar).forcedColorAdjust") == "none"
    finally:
        app.emulate_media(forced_colors="none")


def test_the_smallest_phone_shows_the_whole_state_of_a_run(app: Any) -> None:
    app.set_viewport_size({"width": 320, "height": 640})
    try:
        right = app.locator("#status .state").evaluate("""(state) => {
            const said = state.textContent;
            state.textContent = "Stopped: 10 of 10 models are kept.";
            const words = document.createRange();
            words.selectNodeContents(state);
            const { right } = words.getBoundingClientRect();
            state.textContent = said;
            return right;
        }""")
        assert right <= 320
    finally:
        app.set_viewport_size({"width": 1366, "height": 768})
