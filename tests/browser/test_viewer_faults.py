"""Faults of the comparison viewer that users met, one test each."""

from __future__ import annotations

import re

import numpy as np
import pytest
from viewer_page import PANES, Handle, expect, image_of, png_bytes, ssim_map

from mkpn.metrics import MetricDefinition, ssim

CALL = "document.querySelector('.mkpn-viewer').mkpnViewer"


def planes(name: str) -> np.ndarray:
    return np.moveaxis(image_of(name) / 255, 2, 0)


@pytest.mark.parametrize(("width", "height", "least"), [(1280, 900, 700), (800, 900, 380), (390, 844, 560)])
def test_full_screen_gives_the_stage_what_is_left_of_the_screen(
    shown: Handle, width: int, height: int, least: int
) -> None:
    shown.page.set_viewport_size({"width": width, "height": height})
    try:
        shown.ui("fullscreen").click()
        shown.page.wait_for_function("document.fullscreenElement !== null")
        for mode in ("grid", "single"):
            shown.page.locator(f'[data-mode-to="{mode}"]').click()
            shown.drawn()
            box, pane = shown.stage.bounding_box(), shown.page.locator(".stage .pane").last.bounding_box()
            assert box is not None
            assert pane is not None
            assert box["height"] > least, mode
            # A picture that is as wide as the screen need not be as high.
            wide = mode == "single" and pane["width"] > 0.98 * box["width"]
            assert wide or pane["y"] + pane["height"] > box["y"] + 0.8 * box["height"], mode
        # What lies below can be reached.
        shown.ui("metric-note").scroll_into_view_if_needed()
        expect(shown.ui("metric-note")).to_be_in_viewport()
    finally:
        shown.page.evaluate("document.exitFullscreen()")
        shown.page.wait_for_function("document.fullscreenElement === null")
        shown.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("reference", ["truth", "mkpn"])
def test_ssim_maps_are_those_against_the_reference(shown: Handle, reference: str) -> None:
    shown.call("v.restore(a)", {"reference": reference, "error": "ssim"})
    for name in ("noisy", "kpn-l5"):
        shown.page.wait_for_function(f"n => {CALL}.errorValues(n, 'ssim')", arg=name)
        values = np.array(shown.call("v.errorValues(a, 'ssim')", name)).reshape(image_of(name).shape[:2])
        expected = 1 - ssim_map(planes(name), planes(reference)).clip(0, 1)
        np.testing.assert_allclose(values, expected, atol=1e-5)
    shown.page.locator('[data-table-to="region"]').click()
    shown.page.wait_for_function(f"{CALL}.figures()?.every((r) => r.ssim !== null)")
    for row in shown.call("v.figures()"):
        if row["id"] != reference:
            expected = ssim(planes(row["id"]), planes(reference), MetricDefinition(border=0))
            assert row["ssim"] == pytest.approx(expected, abs=1e-6)
    shown.page.locator('[data-table-to="pixel"]').click()


def test_a_held_reference_has_its_own_caption(shown: Handle) -> None:
    for keys in ([], ["3"]):
        shown.press(*keys)
        shown.page.keyboard.down(" ")
        expect(shown.page.locator(".stage .pane-label").first).to_have_text("TRUTH")
        assert set(shown.page.locator(".stage .pane-label").all_text_contents()) == {"TRUTH"}
        assert set(shown.page.locator(".stage .pane-psnr").all_text_contents()) == {""}
        shown.page.keyboard.up(" ")
        expect(shown.page.locator(".stage .pane-label").first).not_to_have_text("TRUTH")


def test_hidden_panes_and_the_rim_do_not_set_the_error_scale(shown: Handle) -> None:
    def inner(name: str) -> float:
        error = np.abs(image_of(name).astype(int) - image_of("truth")).sum(2)[8:-8, 8:-8] / 765
        return float(np.quantile(error, 0.995))

    shown.ui("error-kind").select_option("absolute")
    shown.ui("error-auto").click()
    assert shown.state()["top"] == pytest.approx(max(map(inner, PANES[1:-1])), rel=0.03)
    # Alone on the screen is the pane with the smallest errors.
    shown.press("0")
    shown.ui("error-auto").click()
    assert shown.state()["top"] == pytest.approx(inner("mkpn"), rel=0.03)
    assert inner("mkpn") < 0.8 * inner("kpn-l1")


def test_the_table_says_which_pixels_it_measures(shown: Handle) -> None:
    shown.page.locator('[data-table-to="region"]').click()
    expect(shown.ui("region-note")).to_contain_text("8-bit")
    expect(shown.ui("region-note")).to_contain_text("before it was rounded")
    shown.page.locator('[data-table-to="pixel"]').click()


def test_the_wheel_passes_until_the_viewer_is_clicked(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False})
    shown.page.evaluate("document.activeElement.blur()")
    x, y = shown.center("mkpn")
    shown.page.mouse.move(x, y)
    shown.page.mouse.wheel(0, -120)
    expect(shown.ui("wheel-hint")).to_be_visible()
    assert shown.state()["zoom"] == 4
    shown.page.mouse.click(x, y)
    shown.page.mouse.wheel(0, -120)
    expect(shown.root).to_have_attribute("data-zoom", "6")
    expect(shown.ui("wheel-hint")).to_be_hidden()


def test_equal_pictures_are_infinitely_alike(shown: Handle) -> None:
    """One sign in caption and table, which is also what the copied table has."""
    shown.ui("panes-menu").locator("summary").click()
    same = {"name": "same.png", "mimeType": "image/png", "buffer": png_bytes(image_of("truth"))}
    shown.ui("external-file").set_input_files(same)
    expect(shown.page.locator(".stage .pane").last).to_have_attribute("data-ready", "true")
    shown.press("Escape")
    shown.page.locator('[data-table-to="region"]').click()
    row = shown.ui("region-rows").locator("tr", has_text="same")
    expect(row.locator('td[data-column="psnr"]')).to_have_text(re.compile("^★?∞★?$"))
    for text in (shown.ui("region-rows").inner_text(), shown.stage.inner_text()):
        assert "inf" not in text.lower()
    shown.page.locator('[data-table-to="pixel"]').click()
    shown.stage.focus()
    shown.press("Control+k")
    shown.page.keyboard.type("remove added")
    shown.press("Enter")
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES))


def test_tools_find_a_pane_that_is_hidden(shown: Handle) -> None:
    shown.page.locator('[data-table-to="region"]').click()
    cell = shown.ui("region-rows").locator("tr", has_text="MKPN").locator('td[data-column="psnr"]')
    shown.ui("baseline").select_option("kpn-l1")
    expect(cell).to_contain_text(re.compile(r"[+−]"))
    difference = cell.inner_text()
    rows = shown.ui("region-rows").locator("tr")
    before = rows.count()
    shown.call("v.restore(a)", {"hidden": ["kpn-l1"]})
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES) - 1)
    expect(rows).to_have_count(before - 1)
    expect(cell).to_have_text(difference)
    shown.stage.focus()
    shown.press("Control+k")
    shown.page.keyboard.type("largest error of kpn l1")
    shown.press("Enter")
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES))
    expect(shown.root).to_have_attribute("data-zoom", re.compile("^(8|16|32)"))
    assert shown.state()["pick"] is not None
    shown.ui("baseline").select_option("")
    shown.page.locator('[data-table-to="pixel"]').click()


def test_a_button_that_disables_itself_leaves_the_keys_to_the_stage(shown: Handle) -> None:
    shown.page.locator('[data-table-to="region"]').click()
    shown.ui("region-visible").click()
    shown.ui("region-clear").focus()
    shown.press("Enter")
    expect(shown.stage).to_be_focused()
    shown.page.locator('[data-table-to="pixel"]').click()


def test_number_fields_show_what_is_used(shown: Handle) -> None:
    height, width = image_of("truth").shape[:2]
    shown.page.locator('[data-table-to="pixel"]').click()
    shown.ui("pixel-x").fill("9999")
    shown.press("Enter")
    expect(shown.ui("pixel-x")).to_have_value(str(width - 1))
    shown.page.locator('[data-table-to="region"]').click()
    shown.ui("region-y").fill(str(height - 5))
    shown.ui("region-h").fill("64")
    shown.press("Enter")
    expect(shown.ui("region-h")).to_have_value("5")
    shown.ui("region-clear").click()
    shown.page.locator('[data-table-to="pixel"]').click()


def test_the_reference_is_held_by_the_palette_of_the_button(shown: Handle) -> None:
    shown.ui("commands").click()
    shown.page.keyboard.type("hold for ref")
    shown.press("Enter")
    expect(shown.stage).to_be_focused()
    assert shown.state()["holding"]
    shown.page.evaluate("document.activeElement.blur()")
    assert not shown.state()["holding"]
