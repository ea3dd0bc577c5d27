"""The page scanned with axe: in every state, in light and dark, wide and on a phone, nothing serious is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mkpn.model.config import MODELS, model_config

WAIT_MS = 120_000
EXAMPLE = "Printed letters (grey)"
SIZES = {"wide": {"width": 1440, "height": 1000}, "phone": {"width": 390, "height": 844}}


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


def serious(page, part: str | None = None) -> list[str]:
    """What axe finds to be serious or critical, one line per element, in the part that changed or the whole page.

    A component that is being updated fades, and a colour on its way is nobody's choice: a finding must last.
    """
    for _ in range(4):
        lines = scanned(page, part)
        if not lines:
            break
        page.wait_for_timeout(500)
    return lines


def scanned(page, part: str | None) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    if not page.evaluate("'axe' in window"):  # half a megabyte, once a page
        page.evaluate(Axe().axe_script)
    result = page.evaluate("(part) => axe.run(part ?? document, { resultTypes: ['violations'] })", part)
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {[check['message'] for check in node['any'][:1]]}"
        for rule in result["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def ran(page) -> None:
    """Runs two models on the smallest example and waits for their pictures."""
    page.locator(f"#intake button[data-example='{EXAMPLE}']").click()
    expect(page.locator("#source figcaption")).to_contain_text("public domain")
    page.locator("#size > button").click()
    page.locator("#downsample").get_by_label("2", exact=True).check()
    for label in (model_config(name).label for name in MODELS):
        page.locator("#models").get_by_label(label, exact=True).set_checked(label in ("KPN L3", "MKPN"))
    page.locator("#run").click()
    expect(page.locator("#status .state")).to_contain_text("Done: 2 models")
    expect(page.locator('.stage [data-pane][data-ready="true"]')).to_have_count(5)
    expect(page.locator("#link .copy-link")).to_be_enabled()


def viewer_states(page) -> dict[str, Callable[[], Any]]:
    """What is done to reach each state of the viewer, one after the other."""
    ui = '.mkpn-viewer [data-ui="{}"]'.format
    mode = '[data-mode-to="{}"]'.format
    region = {"x": 20, "y": 10, "w": 40, "h": 30}

    def select() -> None:
        for name, value in region.items():
            page.locator(ui(f"region-{name}")).fill(str(value))
        page.locator(ui("region-h")).press("Enter")
        expect(page.locator(ui("region-rows")).locator("tr")).to_have_count(5)

    def tables() -> None:
        page.locator('[data-table-to="region"]').click()
        select()

    return {
        "N-up": lambda: page.locator(ui("stage")).focus(),
        "error map": lambda: page.locator(ui("error-kind")).select_option("absolute"),
        "signed error": lambda: page.locator(ui("error-kind")).select_option("signed"),
        "exposure": lambda: (page.locator(ui("error-kind")).select_option(""), page.locator(ui("ev")).fill("1")),
        "single": lambda: page.locator(mode("single")).click(),
        "blink": lambda: page.locator(mode("blink")).click(),
        "split": lambda: page.locator(mode("split")).click(),
        "region statistics": lambda: (page.locator(mode("grid")).click(), tables()),
        "panes menu": lambda: page.locator(ui("panes-menu")).locator("summary").click(),
        "help": lambda: (page.keyboard.press("Escape"), page.locator(ui("help")).click()),
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_axe_finds_nothing_serious(chromium, address: str, size: str, theme: str) -> None:
    context = chromium.new_context(viewport=SIZES[size], reduced_motion="reduce", has_touch=size == "phone")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    found: dict[str, list[str]] = {}
    try:
        page.goto(f"{address}?__theme={theme}")
        expect(page.locator("#status .state")).to_contain_text("Done: 10 models")
        expect(page.locator('.stage [data-pane][data-ready="true"]')).to_have_count(6)
        found["first visit"] = serious(page)
        settings = page.get_by_role("button", name="Settings", exact=True)
        settings.click()
        found["settings folded" if size == "wide" else "settings opened"] = serious(page)
        if size == "wide":
            settings.click()
        for name in ("noise", "motion"):
            page.locator(f"#{name} > button").click()
        expect(page.locator("#noise-curve img")).to_be_visible()
        page.locator("#gain").get_by_label("8", exact=True).check()
        expect(page.locator("#stale .stale")).to_be_visible()
        found["results of other settings"] = serious(page)
        ran(page)
        found["after a run"] = serious(page)
        for name, reach in viewer_states(page).items():
            reach()
            found[name] = serious(page, ".mkpn-viewer")
        page.locator('[data-ui="help-close"]').click()
        for tab in page.locator("#views [role=tab]:visible").all():
            tab.click()
            name = tab.inner_text()
            panel = page.locator("#views [role=tabpanel]:visible")
            expect(panel).to_be_visible()
            for picture in panel.locator(".figure img").all():
                expect(picture).to_be_visible()
            found[f"tab {name}"] = serious(page, "#views")
        found["at the end"] = serious(page)
    finally:
        context.close()
    assert len(found) >= 20
    assert {state: lines for state, lines in found.items() if lines} == {}
