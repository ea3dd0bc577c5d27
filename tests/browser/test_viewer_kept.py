"""The comparison viewer keeps what is the user's own, and shows no figure of a picture that is gone."""

from __future__ import annotations

import pytest
from viewer_page import HEIGHT, PANES, WIDTH, Handle, data_uri, expect, image_of, load, png_bytes

FOCUSED = "() => document.querySelector('.mkpn-viewer').contains(document.activeElement)"


@pytest.fixture
def figures(shown: Handle):
    shown.page.locator('[data-table-to="region"]').click()
    measured(shown)
    yield shown
    shown.page.locator('[data-table-to="pixel"]').click()


def measured(handle: Handle) -> None:
    handle.page.wait_for_function(
        "document.querySelector('.mkpn-viewer').mkpnViewer.figures()?.every((r) => r.ssim !== null)"
    )


def figure(handle: Handle) -> float:
    return next(row["psnr"] for row in handle.call("v.figures()") if row["id"] == "kpn-l1")


def test_figures_are_of_the_run_that_came_while_the_tab_was_hidden(figures: Handle) -> None:
    before = figure(figures)
    around = "document.querySelector('.mkpn-viewer').parentElement.style.display"
    figures.page.evaluate(f"() => ({around} = 'none')")
    figures.page.locator("#gain-2").click()
    figures.page.wait_for_function(
        "(u) => document.querySelector('.mkpn-viewer').mkpnViewer.imagePixels('kpn-l1')?.url === u",
        arg=data_uri(image_of("kpn-l1", 2)),
    )
    figures.drawn()
    figures.page.evaluate(f"() => ({around} = '')")
    figures.page.wait_for_function(
        "(before) => document.querySelector('.mkpn-viewer').mkpnViewer.figures()"
        "?.some((row) => row.id === 'kpn-l1' && row.psnr !== before)",
        arg=before,
    )
    measured(figures)
    load(figures, "gain-1")
    measured(figures)
    assert figure(figures) == before


def test_figures_are_copied_also_where_they_are_not_shown(shown: Handle) -> None:
    shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown.ui("side-toggle").click()
    shown.stage.focus()
    shown.press("Control+k")
    shown.page.keyboard.type("copy as csv")
    shown.press("Enter")
    expect(shown.ui("live")).to_contain_text("Copied as CSV")
    assert len(shown.page.evaluate("navigator.clipboard.readText()").strip().splitlines()) == len(PANES) + 1
    shown.ui("side-toggle").click()
    shown.page.locator('[data-table-to="pixel"]').click()


def test_the_thick_line_is_that_of_the_selected_pane(shown: Handle) -> None:
    shown.page.locator('[data-table-to="histogram"]').click()
    shown.press("3")
    thick = shown.ui("histogram-legend").locator(".thick")
    expect(thick).to_have_text("KPN-L5")
    shown.press("ArrowDown")
    expect(thick).to_have_text("KPN-L7")
    shown.page.locator('[data-table-to="pixel"]').click()


def test_a_region_is_not_taken_to_a_picture_of_another_size(shown: Handle) -> None:
    """Nor does Python take it there: link and figure would have another one than the screen."""
    shown.call("v.restore(a)", {"region": {"x": 3, "y": 4, "w": 20, "h": 10}})
    load(shown, "gain-2")
    assert shown.state()["region"] == {"x": 3, "y": 4, "w": 20, "h": 10}
    load(shown, "larger", panes=3)
    assert shown.state()["region"] is None
    load(shown, "gain-1")


def test_the_keys_stay_the_viewer_s_when_a_name_is_entered(shown: Handle) -> None:
    shown.page.locator(".stage .pane-name").first.focus()
    shown.press("Enter")
    expect(shown.root).to_have_attribute("data-mode", "single")
    shown.drawn()
    assert shown.page.evaluate(FOCUSED)
    shown.press("Escape")
    expect(shown.root).to_have_attribute("data-mode", "grid")
    shown.drawn()
    assert shown.page.evaluate(FOCUSED)


def test_a_figure_keeps_the_focus_when_the_table_is_written_anew(figures: Handle) -> None:
    jump = figures.page.locator('[data-ui="region-rows"] [data-pane="mkpn"] .jump')
    jump.focus()
    figures.press("Shift+Digit1")
    expect(figures.root).to_have_attribute("data-reference", "kpn-l1")
    measured(figures)
    expect(jump).to_be_focused()


def test_a_picture_of_ones_own_stays_when_python_answers(shown: Handle) -> None:
    load(shown, "story", panes=3)
    mine = {"name": "mine.png", "mimeType": "image/png", "buffer": png_bytes(image_of("noisy", 2))}
    shown.ui("external-file").set_input_files(mine)
    own = shown.page.locator(".stage .pane").filter(has_text="mine")
    expect(own).to_have_count(1)
    shown.page.locator("#story-again").click()
    shown.page.wait_for_function("document.querySelector('.mkpn-viewer').mkpnViewer.getState().region?.w === 20")
    expect(own).to_have_count(1)
    expect(shown.page.locator(".stage .pane")).to_have_count(4)
    # Why one is refused stands where it was asked for, though the press on the button has closed that menu.
    shown.ui("panes-menu").locator("summary").click()
    with shown.page.expect_file_chooser() as chooser:
        shown.ui("external-add").click()
    small = png_bytes(image_of("noisy")[:40])
    chooser.value.set_files({"name": "small.png", "mimeType": "image/png", "buffer": small})
    expect(shown.ui("external-note")).to_be_visible()
    expect(shown.ui("external-note")).to_contain_text(f"expected {WIDTH} × {HEIGHT} pixels")
