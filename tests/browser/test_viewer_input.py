"""The comparison viewer by keyboard, mouse and touch, and what it says to a screen reader."""

from __future__ import annotations

import numpy as np
import pytest
from viewer_page import MODELS, PANES, WIDTH, Handle, expect, expected_canvas, image_of


@pytest.mark.parametrize(("key", "model"), list(zip("1234567890", MODELS, strict=True)))
def test_digits_show_a_model(shown: Handle, key: str, model: str) -> None:
    shown.press(key)
    expect(shown.root).to_have_attribute("data-mode", "single")
    expect(shown.solo()).to_have_attribute("data-pane", model)
    shown.press("Escape")
    expect(shown.root).to_have_attribute("data-mode", "grid")


def test_arrows_step_through_all_panes(shown: Handle) -> None:
    shown.press("1", "ArrowUp")
    expect(shown.solo()).to_have_attribute("data-pane", "noisy")
    shown.press("ArrowUp")
    expect(shown.solo()).to_have_attribute("data-pane", "truth")
    shown.press("ArrowDown", "ArrowDown")
    expect(shown.solo()).to_have_attribute("data-pane", MODELS[0])


def test_space_shows_the_reference_while_held(shown: Handle) -> None:
    shown.press("3", "a")
    shown.page.keyboard.down(" ")
    expect(shown.root).to_have_attribute("data-holding", "true")
    canvas, place = shown.pixels(MODELS[2])
    expected, inside = expected_canvas(image_of("truth"), place)
    np.testing.assert_array_equal(canvas[inside], expected[inside])
    shown.page.keyboard.up(" ")
    canvas, _ = shown.pixels(MODELS[2])
    expected, _ = expected_canvas(image_of(MODELS[2]), place)
    np.testing.assert_array_equal(canvas[inside], expected[inside])


def test_shift_sets_the_reference(shown: Handle) -> None:
    shown.press("Shift+Digit4")
    expect(shown.root).to_have_attribute("data-reference", MODELS[3])
    expect(shown.page.locator("#said textarea")).to_have_value(str({"id": MODELS[3], "dataset_id": "noise"}))
    shown.press("Shift+N")
    expect(shown.root).to_have_attribute("data-reference", "mkpn")
    expect(shown.page.locator('.stage [data-pane="mkpn"] .pane-mark')).to_have_text("REF")


def test_letters(shown: Handle) -> None:
    shown.press("e")
    expect(shown.root).to_have_attribute("data-error", "absolute")
    shown.press("a")
    expect(shown.root).to_have_attribute("data-zoom", "1")
    shown.press("+")
    expect(shown.root).to_have_attribute("data-zoom", "2")
    shown.press("-", "f")
    expect(shown.root).to_have_attribute("data-fit", "true")
    shown.press("b")
    expect(shown.root).to_have_attribute("data-mode", "blink")
    shown.press("r")
    expect(shown.root).to_have_attribute("data-mode", "grid")
    assert shown.root.get_attribute("data-error") is None
    shown.press("?")
    expect(shown.ui("help-dialog")).to_be_visible()
    shown.press("1")
    expect(shown.root).to_have_attribute("data-mode", "grid")
    shown.press("Escape")
    expect(shown.ui("help-dialog")).to_be_hidden()


def test_blink_alternates_with_the_reference(shown: Handle) -> None:
    shown.press("b")
    # Less motion was asked for: nothing flickers until Play is pressed.
    expect(shown.ui("blink-play")).to_have_text("Play")
    shown.ui("blink-rate").fill("3")
    shown.ui("blink-play").click()
    expect(shown.solo()).to_have_attribute("data-pane", "truth")
    expect(shown.solo()).to_have_attribute("data-pane", "mkpn")
    shown.ui("blink-partner").select_option("all")
    expect(shown.solo()).to_have_attribute("data-pane", "noisy")
    shown.ui("blink-partner").select_option("reference")


def test_keys_are_ignored_in_inputs_and_outside_and_can_be_switched_off(shown: Handle) -> None:
    shown.ui("pixel-x").focus()
    shown.press("e", "b")
    shown.ui("reference").focus()
    shown.press("1")
    shown.page.locator("#said textarea").focus()
    shown.press("e", "1")
    assert shown.state()["error"] is None
    assert shown.state()["mode"] == "grid"
    shown.ui("keys").uncheck()
    shown.stage.focus()
    shown.press("e", "1")
    assert shown.state()["error"] is None
    assert shown.state()["mode"] == "grid"
    shown.ui("keys").check()
    shown.stage.focus()
    shown.press("Control+e", "Alt+1")
    assert shown.state()["error"] is None
    shown.press("e")
    expect(shown.root).to_have_attribute("data-error", "absolute")


def test_split_by_keyboard_and_mouse(shown: Handle) -> None:
    shown.page.locator('[data-mode-to="split"]').click()
    divider = shown.page.get_by_role("slider", name="Divider")
    expect(divider).to_have_attribute("aria-valuenow", "50")
    shown.call("v.restore(a)", {"zoom": 4, "fit": False})
    divider.focus()
    shown.press("ArrowRight", "ArrowRight", "Shift+ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "44")
    canvas, place = shown.pixels("mkpn")
    edge = round(0.44 * place["width"])
    left, inside = expected_canvas(image_of("mkpn"), place)
    right, _ = expected_canvas(image_of("truth"), place)
    both = np.concatenate([left[:, :edge], right[:, edge:]], axis=1)
    np.testing.assert_array_equal(canvas[inside], both[inside])
    shown.press("Home")
    expect(divider).to_have_attribute("aria-valuenow", "0")
    shown.press("End", "PageDown")
    expect(divider).to_have_attribute("aria-valuenow", "90")
    box, view = divider.bounding_box(), shown.solo().locator(".pane-view").bounding_box()
    assert box is not None
    assert view is not None
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    shown.page.mouse.down()
    shown.page.mouse.move(view["x"] + 0.25 * view["width"], box["y"] + 60, steps=3)
    shown.page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")


def test_wheel_zooms_at_the_cursor(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [48, 41]})
    _, before = shown.pixels("kpn-l5")
    box = shown.pane("kpn-l5").bounding_box()
    assert box is not None
    px, py = 60, 70
    under = [(px - before["originX"]) / before["scale"], (py - before["originY"]) / before["scale"]]
    shown.page.mouse.move(box["x"] + px, box["y"] + py)
    shown.page.mouse.wheel(0, -120)
    expect(shown.root).to_have_attribute("data-zoom", "6")
    for name in ("kpn-l5", "noisy", "truth"):
        _, after = shown.pixels(name)
        now = [(px - after["originX"]) / after["scale"], (py - after["originY"]) / after["scale"]]
        np.testing.assert_allclose(now, under, atol=0.2)
    shown.page.mouse.wheel(0, 120)
    expect(shown.root).to_have_attribute("data-zoom", "4")


def test_drag_pans_all_panes(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 8, "fit": False, "center": [48, 41]})
    _, before = shown.pixels("mkpn")
    x, y = shown.center("mkpn")
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x - 30, y + 21, steps=4)
    shown.page.mouse.up()
    for name in ("mkpn", "noisy"):
        _, after = shown.pixels(name)
        assert [after["originX"] - before["originX"], after["originY"] - before["originY"]] == [-30, 21]
    shown.press("Shift+ArrowRight")
    _, moved = shown.pixels("mkpn")
    assert moved["originX"] < after["originX"]


def test_two_fingers_pinch(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [48, 41]})
    x, y = shown.center("kpn-l9")
    client = shown.page.context.new_cdp_session(shown.page)

    def touch(kind: str, distance: float | None) -> None:
        points = (
            [] if distance is None else [{"x": x - distance, "y": y, "id": 0}, {"x": x + distance, "y": y, "id": 1}]
        )
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 20)
    for distance in (25, 30, 35, 40):
        touch("touchMove", distance)
    touch("touchEnd", None)
    shown.drawn()
    state = shown.state()
    assert state["zoom"] == pytest.approx(8, rel=0.02)
    np.testing.assert_allclose(state["center"], [48, 41], atol=0.5)
    client.detach()


def test_two_fingers_in_two_panes_pinch_the_first(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [48, 41]})
    left, right = shown.center("kpn-l1"), shown.center("kpn-l3")
    assert left[1] == right[1], "the panes are not beside each other"
    client = shown.page.context.new_cdp_session(shown.page)
    apart = right[0] - left[0]

    def touch(kind: str, more: float | None) -> None:
        xs = [] if more is None else [left[0], right[0] + more]
        client.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": left[1], "id": i} for i, x in enumerate(xs)]},
        )

    touch("touchStart", 0)
    for more in (8, 16, 24):
        touch("touchMove", more)
    touch("touchEnd", None)
    shown.drawn()
    assert shown.state()["zoom"] == pytest.approx(4 * (apart + 24) / apart, rel=0.02)
    client.detach()


def test_the_name_of_a_single_pane_leads_back_to_the_grid(shown: Handle) -> None:
    shown.press("3")
    for mode in ("single", "split"):
        shown.page.locator('[data-mode-to="split"]').click() if mode == "split" else None
        expect(shown.root).to_have_attribute("data-mode", mode)
        shown.solo().locator(".pane-name").first.click()
        expect(shown.root).to_have_attribute("data-mode", "grid")


def test_the_button_shows_the_reference_while_it_is_pressed(shown: Handle) -> None:
    shown.press("3")
    shown.ui("hold").hover()
    shown.page.mouse.down()
    shown.drawn()
    expect(shown.root).to_have_attribute("data-holding", "true")
    shown.page.mouse.up()
    expect(shown.root).not_to_have_attribute("data-holding", "true")


def test_layout_keeps_the_view_and_hides_panes(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [12, 70]})
    before = shown.state()
    shown.press("5")
    expect(shown.root).to_have_attribute("data-mode", "single")
    shown.press("Escape")
    shown.page.set_viewport_size({"width": 390, "height": 844})
    expect(shown.page.locator(".stage .pane")).to_have_count(len(PANES))
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.page.set_viewport_size({"width": 1280, "height": 900})
    shown.drawn()
    after = shown.state()
    assert [after["zoom"], after["center"]] == [before["zoom"], before["center"]]
    shown.ui("panes-story").click()
    expect(shown.page.locator(".stage .pane")).to_have_count(3)
    shown.press("1")
    expect(shown.solo()).to_have_attribute("data-pane", MODELS[0])


def test_minimap_shows_and_moves_the_visible_part(shown: Handle) -> None:
    expect(shown.ui("minimap-text")).to_contain_text(f"all of {WIDTH}")
    shown.call("v.restore(a)", {"zoom": 16, "fit": False, "center": [10, 10]})
    box = shown.ui("minimap").bounding_box()
    assert box is not None
    shown.ui("minimap-frame").click(position={"x": 0.7 * box["width"], "y": 0.5 * box["height"]})
    shown.drawn()
    assert shown.state()["center"][0] == pytest.approx(0.7 * WIDTH, abs=2)


def test_changes_are_announced(shown: Handle) -> None:
    shown.press("2")
    expect(shown.ui("live")).to_contain_text("Single pane: KPN-L3, 22.25 dB, SSIM 0.550")
    shown.press("a")
    expect(shown.ui("live")).to_have_text("Zoom 100 %")
    shown.press("e")
    expect(shown.ui("live")).to_contain_text("Absolute error")
    expect(shown.solo().get_by_role("img")).to_have_attribute("aria-label", "KPN-L3, 22.25 dB, SSIM 0.550, error map")
