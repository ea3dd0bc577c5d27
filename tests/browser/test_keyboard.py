"""The page without a mouse: what Tab stops at, what the arrow keys choose, and where the focus is afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

WAIT_MS = 60_000


def expect(locator: Any) -> Any:  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


@pytest.fixture(scope="module")
def app(chromium: Any, address: str) -> Iterator[Any]:
    """The page; its errors are failures."""
    errors: list[str] = []
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}?__theme=light")
    expect(page.locator("#status .state")).to_contain_text("Done: 10 models")
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
