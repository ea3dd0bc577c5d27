"""The explorer's answers in another order than its questions: what was asked last is what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_explorer import EXPLORER, expect, probed, recomposed, ui, view, watched

HOLD = """() => {
  const fetched = window.fetch;
  window.held = { text: null, answers: [] };
  window.fetch = async (...asked) => {
    const { held } = window;
    const holds = held.text !== null && String(asked[1]?.body ?? "").includes(held.text);
    if (holds) held.text = null;
    const answer = await fetched(...asked);
    if (holds) await new Promise((resolve) => held.answers.push(resolve));
    return answer;
  };
}"""
"""Holds the answer to the next question whose text contains `held.text`."""

FRAMES = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
"""Resolves when what has been asked to be drawn is drawn."""


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    with watched(chromium, address, "kernels&x=60&y=20") as shown:
        shown.evaluate(HOLD)
        yield shown


def hold(page, text: str) -> None:
    page.evaluate("(text) => (window.held.text = text)", text)


def wait_held(page) -> None:
    page.wait_for_function("() => window.held.answers.length === 1")


def release(page) -> None:
    """Lets the held answer through, and waits until it has been read: a question behind it has its answer."""
    wait_held(page)
    page.evaluate("() => window.held.answers.pop()()")
    page.evaluate(f"() => {EXPLORER}.ask({{ what: 'regions' }})")
    page.evaluate(FRAMES)


def test_maps_of_an_earlier_model_that_come_late_are_dropped(page) -> None:
    view(page, "maps")
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)
    hold(page, '"what":"maps"')
    ui(page, "model").select_option("kpn-l3")
    wait_held(page)
    ui(page, "model").select_option("mkpn")
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)
    release(page)
    expect(ui(page, "map-table").locator("tbody tr")).to_have_count(10)
    assert "dominant" in ui(page, "map").inner_text()


def test_winners_of_earlier_patches_that_come_late_are_dropped(page) -> None:
    view(page, "winners")
    expect(ui(page, "winners-words")).to_contain_text("32×32")
    hold(page, '"side":8')
    ui(page, "patch").select_option("8")
    wait_held(page)
    ui(page, "patch").select_option("64")
    expect(ui(page, "winners-words")).to_contain_text("64×64")
    release(page)
    expect(ui(page, "winners-words")).to_contain_text("64×64")
    ui(page, "patch").select_option("32")


def test_the_latest_pixel_wins_however_long_an_answer_takes(page) -> None:
    view(page, "kernels")
    probed(page, "mkpn", 60, 20)
    hold(page, '"what":"probe"')
    ui(page, "stage").focus()
    page.keyboard.press("ArrowRight")
    wait_held(page)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    release(page)
    probed(page, "mkpn", 68, 20)
    assert page.evaluate(f"() => [{EXPLORER}.answer.x, {EXPLORER}.answer.y]") == [68, 20]


def test_a_pixel_that_comes_back_from_python_undoes_no_later_move(page) -> None:
    view(page, "kernels")
    page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          window.late = [];
          window.ingest = app.ingest;
          app.ingest = (value) => window.late.push(value);
          app.setPixel(61, 28);
        }}"""
    )
    page.wait_for_function("() => window.late.some((value) => value.pixel.join(' ') === '61 28')")
    # The user has gone on; what Python says of the pixel before comes only now.
    page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          app.setPixel(90, 35);
          app.ingest = window.ingest;
          window.late.forEach((value) => app.ingest(value));
        }}"""
    )
    assert page.evaluate(f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]") == [90, 35]
    expect(page.locator("#overview .caption")).to_contain_text("pixel x 90, y 35")
    page.wait_for_function(f"() => {EXPLORER}.state.value.pixel.join(' ') === '90 35'")
    # Where Python itself moves the pixel, the explorer follows: also to one that was picked here before.
    for pixel in ([61, 28], [68, 20]):
        page.evaluate(f"(pixel) => {EXPLORER}.ingest({{ ...{EXPLORER}.state.value, pixel }})", pixel)
        assert page.evaluate(f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]") == pixel
    page.evaluate(f"() => {EXPLORER}.setPixel(60, 20)")
    expect(page.locator("#overview .caption")).to_contain_text("pixel x 60, y 20")
    probed(page, "mkpn", 60, 20)


def test_words_and_picture_of_a_recomposition_are_of_one_question(page) -> None:
    view(page, "ablation")
    everything = "mkpn; 1,3,5,7,9,11; 0,1,2,3,4,5,6,7; renormalised"
    recomposed(page, everything)
    hold(page, '"frames":[0]')
    ui(page, "reference-only").click()
    wait_held(page)
    hold(page, '"frames":[0,1,2,3,4,5,6,7]')
    ui(page, "all-on").click()
    # The late answer is shown as what it is, and the next question follows at once.
    release(page)
    recomposed(page, "mkpn; 1,3,5,7,9,11; 0; renormalised")
    expect(ui(page, "ablation-words")).to_contain_text("; frame 0.")
    release(page)
    recomposed(page, everything)
    expect(ui(page, "ablation-words")).to_contain_text("Everything is on")


def test_figures_of_a_square_that_has_moved_on_are_dropped(page) -> None:
    view(page, "sizes")
    expect(ui(page, "sizes-table").locator("tbody tr")).to_have_count(1)
    square = f"() => {EXPLORER}.state.value.square.join(' ')"
    for x, y in ((90, 30), (30, 40)):
        before = page.evaluate(square)
        hold(page, '"what":"measure"') if x == 90 else None
        page.evaluate(f"([x, y]) => {EXPLORER}.setPixel(x, y)", [x, y])
        page.wait_for_function(f"(before) => ({square})() !== before", arg=before)
    now = page.evaluate(f"() => {EXPLORER}.ask({{ what: 'measure', gain: '4', seed: 4, model: 'kpn-l1' }})")
    figure = f"() => {EXPLORER}.parts.sizes.figure('kpn-l1', 'square')"
    page.wait_for_function(f"(value) => ({figure})() === value", arg=now["psnr"]["square"])
    release(page)
    assert page.evaluate(figure) == now["psnr"]["square"]


def test_nothing_is_called_the_best_before_all_are_measured(page) -> None:
    view(page, "sizes")
    # All figures of this square are there, so that what is held is a question about the next one.
    figure = f"{EXPLORER}.parts.sizes.figure(model.id, 'square')"
    page.wait_for_function(f"() => {EXPLORER}.models().every((model) => Number.isFinite({figure}))")
    expect(ui(page, "sizes-words")).to_contain_text("the single sizes")
    hold(page, '"model":"kpn-l25"')
    # Another square: its figures are asked for anew.
    page.evaluate(f"() => {EXPLORER}.setPixel(100, 20)")
    wait_held(page)
    expect(ui(page, "sizes-words")).to_contain_text("not all models are measured")
    expect(ui(page, "sizes-words")).not_to_contain_text("best of")
    expect(ui(page, "sizes-table").locator("td.best")).to_have_count(0)
    release(page)
    expect(ui(page, "sizes-words")).to_contain_text("is best of the single sizes")
    expect(ui(page, "sizes-table").locator("td.best")).not_to_have_count(0)


def test_a_step_of_the_lesson_that_was_left_moves_nothing(page) -> None:
    view(page, "kernels")
    ui(page, "lesson-toggle").click()
    hold(page, '"what":"places"')
    for _ in range(4):
        page.locator('[data-lesson="next"]').click()
    expect(page.locator(".lesson-title")).to_contain_text("5 of")
    wait_held(page)
    page.locator('[data-lesson="next"]').click()
    expect(page.locator(".lesson-title")).to_contain_text("6 of")
    pixel = page.evaluate(f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]")
    release(page)
    assert page.evaluate(f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]") == pixel
    page.locator('[data-lesson="next"]').click()
    page.locator('[data-lesson="next"]').click()
    # A step whose maps are still being read says their figures when they are there.
    expect(ui(page, "lesson")).to_contain_text("Means over flat / edges / texture")


def test_a_new_run_keeps_no_figure_of_the_last_one_in_the_lesson(page) -> None:
    page.locator('[data-lesson="next"]').click()
    expect(ui(page, "lesson")).to_contain_text("MKPN has the lowest error in")
    told = page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          const value = app.state.value;
          app.ingest({{ ...value, token: "another" }});
          const text = document.querySelector(".lesson").innerText;
          app.ingest(value);
          return text;
        }}"""
    )
    assert "dB, MKPN" not in told
    expect(ui(page, "lesson")).to_contain_text("MKPN has the lowest error in")
