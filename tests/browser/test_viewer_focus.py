"""The viewer without a mouse: where the focus is can be seen, no key is a trap, every key of the help does something;
and what asks for more precision than a click: double click, region tool, two ways to pinch, less motion."""

from __future__ import annotations

from typing import Any

import pytest
from viewer_page import MODELS, Handle, expect

FOCUSED = """() => {
    const node = document.activeElement;
    const viewer = document.querySelector('.mkpn-viewer');
    if (!viewer.contains(node)) return null;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const outer = viewer.getBoundingClientRect();
    const reach = parseFloat(style.outlineWidth) + Math.max(0, parseFloat(style.outlineOffset));
    return {
        name: node.dataset.ui ?? node.dataset.modeTo ?? node.dataset.toolTo ?? node.dataset.tableTo ?? node.className,
        outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
        visible: box.width > 0 && box.height > 0,
        cut: box.left - reach < outer.left - 0.5 || box.right + reach > outer.right + 0.5,
    };
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_tab_reaches_every_control_with_a_visible_ring_and_leaves_again(shown: Handle, theme: str) -> None:
    shown.page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
    shown.page.evaluate("document.activeElement.blur()")
    shown.page.locator('[data-mode-to="grid"]').focus()
    shown.press("Shift+Tab")
    visited: list[dict[str, Any]] = []
    for _ in range(120):
        shown.press("Tab")
        record = shown.page.evaluate(FOCUSED)
        if record is None:
            break
        visited.append(record)
    shown.page.evaluate("document.body.classList.remove('dark')")
    assert record is None, "the focus never left the viewer"
    names = [entry["name"] for entry in visited]
    expected = ["grid", "split", "fit", "zoom-select", "region", "error-kind", "reference", "side-toggle", "help"]
    expected += ["ev", "contrast", "stage", "pane-name", "pixel-x", "scroll", "keys"]
    assert [name for name in expected if name not in names] == []
    assert [entry for entry in visited if entry["outline"] < 2 or not entry["visible"] or entry["cut"]] == []


def test_every_key_of_the_help_does_something(shown: Handle) -> None:
    """`test_viewer_input` says what each key does; here none may be listed that does nothing, and none be missing."""
    pressed = {
        "1 … 9, 0": "7",
        "↑ ↓": "ArrowDown",
        "Shift + 1 … 0": "Shift+Digit2",
        "Shift + N": "Shift+N",
        "E": "e",
        "B": "b",
        "F": "f",
        "A": "a",
        "+ −": "+",
        "Shift + arrows": "Shift+ArrowLeft",
        "R": "r",
        "?": "?",
        "Esc": "Escape",
    }
    listed = shown.ui("key-help").locator("th").all_text_contents()
    assert set(listed) == {*pressed, "Space (hold)", "Ctrl + K"}
    before_key = {
        "Shift + arrows": {"zoom": 8, "fit": False},
        "F": {"zoom": 8, "fit": False},
        "R": {"zoom": 8, "fit": False},
    }
    for name, key in pressed.items():
        shown.reset()
        shown.call("v.restore(a)", before_key.get(name, {}))
        if name == "Esc":
            shown.press("1")
        shown.drawn()
        before = shown.state()
        shown.press(key)
        shown.drawn()
        opened = shown.ui("help-dialog").is_visible()
        assert opened == (name == "?")
        assert opened or shown.state() != before, f"{name} changed nothing"
        if opened:
            shown.press("Escape")


def test_shift_and_arrows_move_in_all_directions(shown: Handle) -> None:
    for key, axis, sign in [("Left", 0, -1), ("Right", 0, 1), ("Up", 1, -1), ("Down", 1, 1)]:
        shown.call("v.restore(a)", {"zoom": 16, "fit": False, "center": [48, 41]})
        shown.press(f"Shift+Arrow{key}")
        center = shown.state()["center"]
        assert (center[axis] - [48, 41][axis]) * sign > 1
        assert center[1 - axis] == pytest.approx([48, 41][1 - axis], abs=0.5)


def test_escape_goes_back_one_step_at_a_time(shown: Handle) -> None:
    shown.ui("region-visible").click() if shown.ui("region-visible").is_visible() else None
    shown.page.locator('[data-tool-to="region"]').click()
    shown.press("3")
    shown.press("Escape")
    expect(shown.root).to_have_attribute("data-mode", "grid")
    while shown.state()["region"]:
        shown.press("Escape")
    assert shown.state()["tool"] == "region"
    shown.press("Escape")
    assert shown.state()["tool"] == "pan"


def test_less_motion_is_respected(shown: Handle) -> None:
    """Blinking starts by itself only where the system does not ask for less motion, and nothing else moves."""
    try:
        shown.page.emulate_media(reduced_motion="no-preference")
        shown.press("b")
        expect(shown.ui("blink-play")).to_have_text("Pause")
        expect(shown.solo()).to_have_attribute("data-pane", "truth")
        shown.press("Escape")
        # The command plays from anywhere; pressed again it pauses.
        for playing in ("Pause", "Play"):
            shown.stage.focus()
            shown.press("Control+k")
            shown.page.keyboard.type("blink: play")
            shown.press("Enter")
            expect(shown.ui("blink-play")).to_have_text(playing)
        shown.press("Escape")
        shown.page.emulate_media(reduced_motion="reduce")
        shown.press("b")
        expect(shown.ui("blink-play")).to_have_text("Play")
    finally:
        shown.page.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll('.mkpn-viewer, .mkpn-viewer *')].filter((node) => {
        const { animationName, transitionDuration } = getComputedStyle(node);
        return animationName !== 'none' || parseFloat(transitionDuration) > 0;
    }).map((node) => node.outerHTML.slice(0, 80))"""
    assert shown.page.evaluate(moving) == []


def test_a_double_click_shows_one_pane_and_the_grid_again(shown: Handle) -> None:
    shown.page.mouse.dblclick(*shown.center("kpn-l5"))
    expect(shown.root).to_have_attribute("data-mode", "single")
    expect(shown.solo()).to_have_attribute("data-pane", "kpn-l5")
    box = shown.solo().locator(".pane-view").bounding_box()
    assert box is not None
    shown.page.mouse.dblclick(box["x"] + 20, box["y"] + 20)
    expect(shown.root).to_have_attribute("data-mode", "grid")


def test_the_region_tool_needs_no_shift(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 1, "fit": False})
    shown.page.locator('[data-tool-to="region"]').click()
    x, y = shown.center("kpn")
    shown.page.mouse.move(x - 10, y - 8)
    shown.page.mouse.down()
    shown.page.mouse.move(x + 9, y + 7, steps=3)
    shown.page.mouse.up()
    region = shown.state()["region"]
    assert [region["w"], region["h"]] == [20, 16]
    shown.page.mouse.click(x, y)
    assert shown.state()["region"] is None


def test_a_pinch_on_a_touchpad_zooms_without_steps(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [48, 41]})
    shown.page.mouse.move(*shown.center("mkpn"))
    shown.page.keyboard.down("Control")
    shown.page.mouse.wheel(0, -10)
    shown.page.keyboard.up("Control")
    shown.page.wait_for_function("document.querySelector('.mkpn-viewer').mkpnViewer.getState().zoom > 4.1")
    assert shown.state()["zoom"] == pytest.approx(4 * 2.718281828**0.1, rel=0.02)
    # The page itself was not enlarged.
    assert shown.page.evaluate("visualViewport.scale") == 1


def test_one_finger_pans_an_enlarged_picture(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 8, "fit": False, "center": [48, 41]})
    shown.drawn()
    x, y = shown.center("kpn-l9")
    client = shown.page.context.new_cdp_session(shown.page)
    for kind, shift in [("touchStart", 0), ("touchMove", 8), ("touchMove", 24), ("touchMove", 40), ("touchEnd", None)]:
        points = [] if shift is None else [{"x": x - shift, "y": y, "id": 0}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    shown.drawn()
    client.detach()
    center = shown.state()["center"]
    assert center[0] == pytest.approx(48 + 40 / 8, abs=1.2)
    assert center[1] == pytest.approx(41, abs=0.5)


def test_the_value_at_the_cursor_stands_in_every_pane(shown: Handle) -> None:
    """Where the table is below the stage, and so perhaps out of sight."""
    shown.page.set_viewport_size({"width": 1000, "height": 900})
    shown.drawn()
    shown.page.mouse.move(*shown.center("kpn-l3"))
    value = shown.page.locator(f'.stage [data-pane="{MODELS[4]}"] .pane-value')
    expect(value).to_be_visible()
    row = shown.page.locator(f'[data-ui="inspector-rows"] [data-pane="{MODELS[4]}"] td').first
    assert value.text_content() == row.text_content()
    shown.page.mouse.move(2, 2)
    expect(value).to_be_hidden()
    shown.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize(("name", "dialog"), [("help", "help-dialog"), ("commands", "palette")])
def test_a_dialog_gives_the_focus_back_to_what_opened_it(shown: Handle, name: str, dialog: str) -> None:
    shown.ui(name).focus()
    shown.page.keyboard.press("Enter")
    expect(shown.ui(dialog)).to_be_visible()
    shown.page.keyboard.press("Escape")
    shown.drawn()
    expect(shown.ui(name)).to_be_focused()
    # After a mouse press the keys are the pictures'.
    shown.ui(name).click()
    expect(shown.ui(dialog)).to_be_visible()
    shown.page.keyboard.press("Escape")
    expect(shown.ui("stage")).to_be_focused()


def test_a_control_that_is_hidden_hands_its_focus_to_the_pictures(shown: Handle) -> None:
    shown.page.locator('[data-mode-to="blink"]').focus()
    shown.page.keyboard.press("Enter")
    shown.ui("blink-play").focus()
    shown.page.keyboard.press("Escape")
    expect(shown.ui("blink-play")).to_be_hidden()
    expect(shown.ui("stage")).to_be_focused()
    shown.ui("false-color").focus()
    shown.page.keyboard.press("e")
    expect(shown.ui("false-color")).to_be_hidden()
    expect(shown.ui("stage")).to_be_focused()
