"""What the explorer shows between a question and its answer, after a refusal, and for pictures that do not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from test_explorer import EXPLORER, IMAGE, expect, probed, recomposed, ui, view, watched
from test_explorer_late import FRAMES, HOLD, hold, release, wait_held

from mkpn.ui.page import handlers

TOUCH = """([kind, id, x, y]) => {
  const stage = document.querySelector('.mkpn-explorer [data-ui="stage"]');
  const box = stage.getBoundingClientRect();
  const [clientX, clientY] = [box.left + x, box.top + y];
  const init = { pointerId: id, pointerType: "touch", clientX, clientY, bubbles: true, cancelable: true };
  stage.dispatchEvent(new PointerEvent(kind, init));
}"""
"""One event of a finger on the picture, in pixels of the page from its corner."""


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    with watched(chromium, address, "kernels&x=60&y=20") as shown:
        shown.evaluate(HOLD)
        yield shown


def again(page, change: str = "{}") -> None:
    """Hands the explorer its value again, as a network that arrives does."""
    page.evaluate(f"() => {EXPLORER}.ingest({{ ...{EXPLORER}.state.value, ...{change} }})")


def test_the_second_block_is_looked_at_and_keeps_the_focus(page) -> None:
    ui(page, "beside").select_option("kpn-l25")
    kernel = page.locator('.block[data-block="1"] button.kernel[data-frame="0"]')
    expect(kernel).to_have_count(1)
    kernel.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.block[data-block="1"] button.kernel[data-frame="1"]')).to_be_focused()
    expect(page.locator(".kernel-title")).to_have_text("B: KPN L25, 25×25, frame 1")
    expect(page.locator('button.kernel[aria-pressed="true"]')).to_have_attribute("data-block", "1")
    page.locator('.block[data-block="0"] button.kernel[data-frame="2"]').click()
    expect(page.locator(".kernel-title")).to_have_text("A: MKPN, fused, frame 2")
    ui(page, "beside").select_option("")
    expect(page.locator(".kernel-title")).to_have_text("MKPN, fused, frame 2")


def test_maps_that_are_being_read_show_no_figure_of_the_model_before(page) -> None:
    view(page, "maps")
    expect(ui(page, "map-here")).to_contain_text("dominant size")
    hold(page, '"what":"maps"')
    ui(page, "model").select_option("kpn-l9")
    wait_held(page)
    page.evaluate(FRAMES)
    expect(ui(page, "map-here")).to_be_empty()
    expect(ui(page, "map-table").locator("tr")).to_have_count(0)
    release(page)
    expect(ui(page, "map-here")).to_contain_text("effective radius")
    ui(page, "model").select_option("mkpn")
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)


def test_a_refusal_ends_with_the_run_that_it_was_about(page) -> None:
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    again(page, "{ token: 'gone' }")
    expect(ui(page, "live")).to_contain_text("no longer kept")
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    expect(ui(page, "live")).to_be_empty()


def test_a_square_that_moves_while_it_is_measured_leaves_no_hole(page) -> None:
    view(page, "sizes")
    page.locator('[data-gain="2"]').click()
    hold(page, '"gain":"2"')
    ui(page, "sweep").click()
    square = f"() => {EXPLORER}.state.value.square.join(' ')"
    before = page.evaluate(square)
    wait_held(page)
    page.evaluate(f"() => {EXPLORER}.setPixel(90, 30)")
    page.wait_for_function(f"(before) => ({square})() !== before", arg=before)
    release(page)
    expect(ui(page, "sweep")).to_be_enabled()
    row = ui(page, "sizes-table").locator("tbody tr", has_text="gain 2")
    expect(row.locator("td", has_text="–")).to_have_count(0)
    expect(ui(page, "sizes-words")).not_to_contain_text("not all models")


def test_leaving_the_sizes_stops_no_other_sweep(page) -> None:
    """One that was begun earlier, in another view, goes on."""
    view(page, "winners")
    hold(page, '"what":"measure"')
    ui(page, "more-seeds").click()
    wait_held(page)
    view(page, "sizes")
    page.locator('[data-gain="8"]').click()
    ui(page, "sweep").click()
    with page.expect_request(lambda request: '"stop"' in (request.post_data or "")):
        view(page, "winners")
    release(page)
    expect(ui(page, "winners-words")).to_contain_text("of 20)")
    # A pixel that moves does not write over how far it is.
    page.evaluate(f"() => {EXPLORER}.setPixel(64, 24)")
    page.evaluate(FRAMES)
    expect(ui(page, "winners-words")).to_contain_text("of 20)")
    expect(ui(page, "more-seeds")).to_be_enabled()
    expect(ui(page, "winners-note")).to_contain_text("Seeds: 4, 5, 6.")
    view(page, "sizes")
    page.locator('[data-gain="8"]').click()
    page.locator('[data-gain="2"]').click()


def test_stripes_are_explained_where_a_small_lead_is_a_tie(page) -> None:
    view(page, "winners")
    page.evaluate(f"() => {EXPLORER}.parts.winners.reset()")
    ui(page, "least").select_option(index=1)
    expect(ui(page, "winners-words")).to_contain_text("grey and striped where the lead is too small")
    ui(page, "least").select_option(index=0)
    expect(ui(page, "winners-words")).not_to_contain_text("striped")


def test_the_address_forgets_the_gain_of_a_slider_that_was_left(page) -> None:
    view(page, "sizes")
    ui(page, "scrub").press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('gain=')")
    ui(page, "sweep-stop").click() if ui(page, "sweep-stop").is_visible() else None
    page.locator('[data-gain="8"]').click()
    page.wait_for_function("() => !location.hash.includes('gain=')")
    page.locator('[data-gain="8"]').click()


def test_the_chosen_place_is_marked_and_not_its_number(page) -> None:
    view(page, "places")
    expect(page.locator(".place")).not_to_have_count(0)
    page.locator('[data-place="0"]').click()
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    # Another run of the networks: the places are asked for anew, and now there is one more before the chosen one.
    page.evaluate(
        f"""async () => {{
          const app = {EXPLORER};
          const {{ ask, state: {{ value }} }} = app;
          const fewer = value.panes.map((pane) => (pane.id === "kpn-l1" ? {{ ...pane, url: null }} : pane));
          const old = await app.parts.places.load();
          const more = {{ ...old, places: [{{ ...old.places[0], x: old.places[0].x + 1 }}, ...old.places] }};
          app.ask = async (question) => (question.what === "places" ? more : ask(question));
          app.ingest({{ ...value, panes: fewer }});
          app.ask = ask;
        }}"""
    )
    expect(page.locator('[data-place="1"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-place="0"]')).to_have_attribute("aria-pressed", "false")
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)


def test_the_lesson_quotes_the_maps_of_its_own_network(page) -> None:
    ui(page, "lesson-toggle").click()
    for _ in range(7):
        page.locator('[data-lesson="next"]').click()
    expect(ui(page, "lesson")).to_contain_text("Means over flat / edges / texture")
    told = ui(page, "lesson").locator("p").nth(1).inner_text()
    ui(page, "model").select_option("kpn-l25")
    expect(ui(page, "map-here")).to_contain_text("effective radius")
    again(page)
    expect(ui(page, "lesson")).not_to_contain_text("Means over")
    ui(page, "model").select_option("mkpn")
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)
    again(page)
    expect(ui(page, "lesson").locator("p").nth(1)).to_have_text(told)


def test_the_lesson_card_keeps_the_focus_when_it_is_written_anew(page) -> None:
    summary = ui(page, "lesson").locator("summary")
    summary.focus()
    again(page)
    expect(ui(page, "lesson").locator("summary")).to_be_focused()
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    unfinished = f"{EXPLORER}.state.value.panes.map((pane) => pane.id === 'kpn' ? {{ ...pane, url: null }} : pane)"
    again(page, f"{{ panes: {unfinished} }}")
    link = ui(page, "lesson").locator("a").nth(1)
    link.focus()
    again(page)
    expect(link).to_be_focused()
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    ui(page, "lesson-toggle").click()


def test_the_end_of_the_lesson_hands_the_focus_to_its_button(page) -> None:
    page.evaluate(f"() => {EXPLORER}.lesson.open(8)")
    page.locator('[data-lesson="next"]').focus()
    page.keyboard.press("Enter")
    expect(ui(page, "lesson")).to_be_hidden()
    expect(ui(page, "lesson-toggle")).to_be_focused()


def test_two_fingers_zoom_and_leave_the_pixel_where_it_is(page) -> None:
    view(page, "kernels")
    place = f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]"
    ui(page, "fit").click()
    page.evaluate(TOUCH, ["pointerdown", 1, 100, 60])
    before = page.evaluate(place)
    fit = page.evaluate(f"() => {EXPLORER}.view.state.zoom")
    page.evaluate(TOUCH, ["pointerdown", 2, 140, 60])
    page.evaluate(TOUCH, ["pointermove", 2, 220, 60])
    zoom = page.evaluate(f"() => {EXPLORER}.view.state.zoom")
    assert not page.evaluate(f"() => {EXPLORER}.view.state.fit")
    assert zoom != fit
    # The finger that stays behind does not throw the pixel to itself; a new one moves it.
    page.evaluate(TOUCH, ["pointerup", 1, 100, 60])
    page.evaluate(TOUCH, ["pointermove", 2, 200, 90])
    assert page.evaluate(place) == before
    page.evaluate(TOUCH, ["pointerup", 2, 200, 90])
    page.evaluate(TOUCH, ["pointerdown", 3, 120, 90])
    page.evaluate(TOUCH, ["pointerup", 3, 120, 90])
    assert page.evaluate(place) != before
    ui(page, "fit").click()
    page.evaluate(f"() => {EXPLORER}.setPixel(60, 20)")
    probed(page, "mkpn", 60, 20)


def test_a_finger_scrolls_past_the_chart_until_a_curve_is_predicted(page) -> None:
    view(page, "sizes")
    touch = "(chart) => getComputedStyle(chart).touchAction"
    assert ui(page, "chart").evaluate(touch) == "auto"
    ui(page, "predict").click()
    assert ui(page, "chart").evaluate(touch) == "none"
    ui(page, "predict").click()
    ui(page, "predict").click()


def test_a_picture_that_does_not_come_says_so_and_is_asked_for_again(chromium, address: str) -> None:
    with watched(chromium, address, "kernels&x=60&y=20") as page:
        ui(page, "layer").select_option("kpn-l3")
        page.wait_for_function("() => document.querySelector('.mkpn-explorer').dataset.layer === 'kpn-l3'")
        url = page.evaluate(f"() => {EXPLORER}.pane('kpn-l9').url")
        page.route(f"**{url}*", lambda route: route.abort())
        ui(page, "layer").select_option("kpn-l9")
        expect(ui(page, "readout")).to_contain_text("the picture cannot be shown")
        page.unroute(f"**{url}*")
        ui(page, "layer").select_option("frame-0")
        expect(ui(page, "readout")).not_to_contain_text("cannot be shown")
        ui(page, "layer").select_option("kpn-l9")
        page.wait_for_function("() => document.querySelector('.mkpn-explorer').dataset.layer === 'kpn-l9'")


def test_no_other_picture_stands_under_the_name_of_one_that_is_missing(chromium, address: str) -> None:
    with watched(chromium, address, "kernels&x=60&y=20") as page:
        page.evaluate(HOLD)
        hold(page, '"what":"ablate"')
        view(page, "ablation")
        ui(page, "layer").select_option("difference")
        wait_held(page)
        page.evaluate(FRAMES)
        assert page.locator(".mkpn-explorer").get_attribute("data-layer") == ""
        release(page)
        recomposed(page, "mkpn; 1,3,5,7,9,11; 0,1,2,3,4,5,6,7; renormalised")
        page.wait_for_function("() => document.querySelector('.mkpn-explorer').dataset.layer === 'difference'")


def test_a_link_that_presents_leaves_another_tab_alone(chromium, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks may end when the user has gone to another tab."""
    run_models, gone = handlers.run_models, threading.Event()

    def after_the_user_has_gone(*arguments: Any) -> Iterator[None]:
        assert gone.wait(60)
        yield from run_models(*arguments)

    monkeypatch.setattr(handlers, "run_models", after_the_user_has_gone)
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{address}{IMAGE}#explore=maps&mode=present")
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator(".mkpn-explorer")).to_be_hidden()
    gone.set()
    expect(page.locator("#status .state")).to_contain_text("Done: 10 models")
    page.wait_for_function(f"() => {EXPLORER}.models().length === 10 && {EXPLORER}.state.view === 'maps'")
    assert page.evaluate("() => document.documentElement.style.overflow") == ""
    page.get_by_role("tab", name="Crops").click()
    expect(page.get_by_role("tab", name="Crops")).to_have_attribute("aria-selected", "true")
    page.close()
