"""The explorer on a phone, its lesson before the answer, and the words in its charts, squares and picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from test_explorer import EXPLORER, expect, opened, ui, view
from test_explorer_late import FRAMES

PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 720}
PLACE = f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]"
WRITTEN = """(ui) => {
  const { fillText, lineTo } = CanvasRenderingContext2D.prototype;
  window.written = [];
  window.level = [];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const { width } = this.measureText(text);
    if (this.canvas.dataset.ui === ui) window.written.push({ text, x, y, width, align: this.textAlign });
    fillText.apply(this, arguments);
  };
  CanvasRenderingContext2D.prototype.lineTo = function (x, y) {
    if (this.canvas.dataset.ui === ui && this.getLineDash().join() === "8,4") window.level.push(y);
    lineTo.apply(this, arguments);
  };
  window.unwrap = () => Object.assign(CanvasRenderingContext2D.prototype, { fillText, lineTo });
}"""
"""Notes what is written on a canvas from now on, and the heights of MKPN's dashed lines."""

STILL = """() => new Promise((resolve) => {
  let last = -1;
  const look = () => (scrollY === last ? resolve() : ((last = scrollY), setTimeout(look, 120)));
  look();
})"""
"""Resolves when the page has stopped gliding."""

MEASURED = """() => {
  const app = EXPLORER;
  const { ask } = app;
  const curves = {
    4: [28, 32.4, 34.1, 34.25, 34.3, 34.32, 34.33, 34.36, 34.1, 34.5],
    8: [27, 32, 34.2, 34.35, 34.42, 34.48, 34.53, 34.6, 34.3, 34.9],
  };
  const names = [...BASELINES, "kpn", "mkpn"];
  window.asked = [];
  window.gate = null;
  app.ask = async (question) => {
    if (question.what !== "measure") return ask(question);
    window.asked.push(question);
    await window.gate;
    const psnr = { whole: curves[question.gain][names.indexOf(question.model)] };
    const oracle = Object.fromEntries([1, 3, 5].map((k) => [k, { whole: 30 + k }]));
    return question.model === "oracle" ? { oracle } : { psnr };
  };
  app.parts.sizes.reset();
  app.parts.sizes.choose("whole");
  app.parts.sizes.show();
  window.unmeasure = () => ((app.ask = ask), app.parts.sizes.reset());
}""".replace("EXPLORER", EXPLORER).replace(
    "BASELINES", '"l1 l3 l5 l7 l9 l11 l13 l25".split(" ").map((name) => `kpn-${name}`)'
)
"""Measurements of two gains without a network; `gate` holds them."""


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    shown = opened(chromium, address, "kernels&x=60&y=20", has_touch=True)
    yield shown
    shown.close()
    assert shown.errors == []


@pytest.fixture
def phone(page) -> Iterator[Any]:
    page.set_viewport_size(PHONE)
    page.evaluate("() => (document.activeElement.blur(), scrollTo(0, 0))")
    page.evaluate(FRAMES)
    yield page
    page.set_viewport_size(WIDE)


def touch(page, *steps: list[tuple[float, float]]) -> None:
    """Fingers from step to step, as a screen reports them, and up."""
    client = page.context.new_cdp_session(page)
    for kind, step in [("touchStart", steps[0]), *(("touchMove", step) for step in steps[1:]), ("touchEnd", [])]:
        points = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(step)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.detach()
    page.evaluate(FRAMES)


def test_a_finger_scrolls_the_page_past_the_picture_until_it_has_tapped_it(phone) -> None:
    def middle() -> tuple[float, float]:
        ui(phone, "stage").evaluate("(stage) => stage.scrollIntoView({ block: 'center' })")
        phone.evaluate(STILL)
        box = ui(phone, "stage").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    x, y = middle()
    before, at = phone.evaluate(PLACE), phone.evaluate("() => scrollY")
    touch(phone, *([(x, y + 60 - 12 * i)] for i in range(10)))
    phone.wait_for_function("(at) => scrollY > at", arg=at)
    assert phone.evaluate(PLACE) == before
    assert not ui(phone, "stage").evaluate("(stage) => stage === document.activeElement")
    # Two fingers zoom all the same.
    x, y = middle()
    touch(phone, *([(x - 10 - 8 * i, y), (x + 10 + 8 * i, y)] for i in range(8)))
    assert not phone.evaluate(f"() => {EXPLORER}.view.state.fit")
    assert phone.evaluate(PLACE) == before
    ui(phone, "fit").evaluate("(button) => button.click()")
    # A tap moves the pixel and takes the focus; now the picture has the finger.
    x, y = middle()
    touch(phone, [(x + 20, y + 20)])
    tapped, at = phone.evaluate(PLACE), phone.evaluate("() => scrollY")
    assert tapped != before
    expect(ui(phone, "stage")).to_be_focused()
    touch(phone, *([(x + 20, y + 20 - 8 * i)] for i in range(5)))
    assert phone.evaluate(PLACE)[1] < tapped[1]
    assert phone.evaluate("() => scrollY") == at


def test_the_lesson_comes_into_sight(phone) -> None:
    in_sight = """() => {
      const box = document.querySelector('[data-lesson="next"]')?.getBoundingClientRect();
      return box && box.top > 0 && box.bottom <= innerHeight;
    }"""
    # Without the pointer: Playwright would scroll.
    ui(phone, "lesson-toggle").evaluate("(button) => button.click()")
    phone.wait_for_function(in_sight)
    phone.evaluate("() => scrollTo(0, 0)")
    assert not phone.evaluate(in_sight)
    phone.evaluate(f"() => {EXPLORER}.lesson.open(1)")
    phone.wait_for_function(in_sight)
    # The answer makes the card longer.
    phone.evaluate("() => scrollBy(0, document.querySelector('.lesson').getBoundingClientRect().bottom - innerHeight)")
    phone.locator('[data-lesson="reveal"]').evaluate("(button) => button.click()")
    phone.wait_for_function(in_sight)
    ui(phone, "lesson-toggle").click()


def test_the_lesson_asks_before_it_answers(page) -> None:
    ui(page, "lesson-toggle").click()
    for step, region in ((2, "Flat third"), (3, "Texture third")):
        page.evaluate(f"(step) => {EXPLORER}.lesson.open(step)", step)
        words, best = ui(page, "sizes-words"), ui(page, "sizes-table").locator("td.best")
        expect(words).to_contain_text("The lesson asks")
        expect(ui(page, "sizes-table").locator("td")).to_have_count(10)
        expect(ui(page, "lesson")).not_to_contain_text("Reading the run")
        expect(ui(page, "lesson")).not_to_contain_text("KPN L")
        expect(best).to_have_count(0)
        page.locator('[data-lesson="reveal"]').click()
        expect(page.locator(".revealed")).to_contain_text(re.compile(rf"{region}, best first: KPN L\d+ \d"))
        expect(words).to_contain_text("single sizes")
        expect(best).not_to_have_count(0)
    page.evaluate(f"(step) => {EXPLORER}.lesson.open(step)", 8)
    expect(ui(page, "lesson")).to_contain_text("MKPN has the lowest error in")
    page.evaluate(
        f"""() => {{
          const place = {{ x: 1, y: 2, best: "kpn-l7", psnr: {{ "kpn-l7": 31.24, mkpn: 31.2 }} }};
          {EXPLORER}.lesson.loss = {{ place, by: 0.04 }};
          {EXPLORER}.lesson.follow();
        }}"""
    )
    expect(page.locator(".question")).to_have_text("Is a patch where another network leads by 0.04 dB a defeat?")
    expect(ui(page, "lesson")).to_contain_text("it loses by 0.04 dB: KPN L7 has 31.24 dB, MKPN 31.20.")
    ui(page, "lesson-toggle").click()


def test_what_is_missing_is_measured_and_its_bar_moves_nothing(page) -> None:
    view(page, "sizes")
    page.evaluate(MEASURED)
    # Not by its sentence, which may be an earlier test's: ten networks and the mean of the aligned frames.
    page.wait_for_function("() => window.asked.length === 11")
    expect(ui(page, "sizes-words")).to_contain_text("is best of the single sizes")
    page.locator('[data-gain="8"]').click()
    top = ui(page, "chart").bounding_box()["y"]
    page.evaluate("() => void (window.gate = new Promise((resolve) => (window.open_ = resolve)))")
    ui(page, "sweep").click()
    bar = ui(page, "sweep-progress")
    expect(bar).to_be_visible()
    assert bar.evaluate("(bar) => [bar.value, bar.max]") == [0, 11]
    assert bar.evaluate("(bar) => getComputedStyle(bar).appearance") == "none"
    page.evaluate(FRAMES)
    assert ui(page, "chart").bounding_box()["y"] == top
    page.evaluate("() => ((window.gate = null), window.open_())")
    expect(ui(page, "sweep")).to_be_enabled()
    expect(bar).to_be_hidden()
    assert ui(page, "chart").bounding_box()["y"] == top
    # At once, because a late answer of the server may begin the view anew.
    asked = ui(page, "sweep").evaluate(
        "(sweep) => { const before = window.asked.length; sweep.click(); return window.asked.length - before; }"
    )
    expect(ui(page, "scrub-text")).to_have_text("Everything is measured already.")
    assert asked == 0
    page.locator('[data-gain="2"]').click()
    expect(ui(page, "scrub-text")).to_be_empty()
    page.locator('[data-gain="2"]').click()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_line_crosses_a_number_of_the_chart(page, size: dict[str, int]) -> None:
    page.evaluate("() => (window.unmeasure?.(), (window.unmeasure = null))")
    page.set_viewport_size(size)
    page.evaluate(MEASURED)
    expect(ui(page, "sizes-words")).to_contain_text("is best of the single sizes")
    page.locator('[data-gain="8"]').click()
    ui(page, "sweep").click()
    expect(ui(page, "sizes-words")).to_contain_text("Gain 8, whole image: KPN L25")
    page.evaluate(FRAMES)
    page.evaluate(WRITTEN, "chart")
    page.evaluate(f"() => {EXPLORER}.redraw()")
    page.evaluate(FRAMES)
    written, levels = page.evaluate("() => (window.unwrap(), [window.written, window.level])")
    page.set_viewport_size(WIDE)
    page.evaluate("() => (window.unmeasure(), (window.unmeasure = null))")
    values = [one for one in written if re.fullmatch(r"\d+\.\d\d", one["text"]) and one["align"] == "left"]
    assert len(set(levels)) == 2
    assert 0 < len(values) <= 6, values
    assert [one for one in values for y in levels if abs(y - one["y"]) < 6] == []
    for index, one in enumerate(values):
        for other in values[:index]:
            apart = one["x"] > other["x"] + other["width"] or other["x"] > one["x"] + one["width"]
            assert apart or abs(one["y"] - other["y"]) >= 12, (one, other)


def test_the_squares_of_a_sum_that_has_not_begun_say_so(page) -> None:
    view(page, "rebuild")
    ui(page, "model").select_option("mkpn")
    ui(page, "first").click()
    expect(ui(page, "step-text")).to_have_text(
        "Nothing added yet. Below: the first of 48 kernels (8 frames times 6 sizes), not yet added."
    )


def test_names_of_winners_end_where_the_picture_does(page) -> None:
    view(page, "winners")
    expect(ui(page, "winners-words")).to_contain_text("32×32")
    page.evaluate(WRITTEN, "picture")
    for _ in range(3):
        ui(page, "zoom-in").click()
    page.evaluate(FRAMES)
    page.evaluate("() => (window.written = [])")
    page.evaluate(f"() => {EXPLORER}.redraw()")
    page.evaluate(FRAMES)
    written = page.evaluate("() => (window.unwrap(), window.written)")
    ui(page, "fit").click()
    width, height = ui(page, "picture").evaluate("(canvas) => [canvas.width, canvas.height]")
    assert written
    assert [one for one in written if not (one["width"] <= one["x"] <= width and 10 <= one["y"] <= height)] == []


def test_frames_that_are_left_out_are_not_said_to_count_alike(page) -> None:
    view(page, "kernels")
    for sums, words in (
        ([1.1, 1, 1, 1, 1, 1, 1, 0.9], "all frames count about alike"),
        ([1.33, 1.26, 1.05, 1.56, 0.03, 1.51, 0.04, 1.36], "a plain mean, but 2 of the other frames count for little"),
        ([1.8, 1.17, 0.94, 1.36, 0, 1.37, 1.1, 1.44], "averages others in; 1 of the other frames counts for little"),
    ):
        page.evaluate(f"(sums) => {{ {EXPLORER}.answer.kernels.fused.sum = sums; {EXPLORER}.redraw(); }}", sums)
        expect(ui(page, "reference-words")).to_contain_text(words)
    page.evaluate(f"() => {EXPLORER}.probe()")


def test_a_share_is_called_everything_or_nothing_only_where_it_is(page) -> None:
    """The table and the lesson say the same."""
    view(page, "winners")
    cells = ui(page, "winners-table").locator("td")
    expect(cells.first).to_be_visible()
    page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          window.keptAsk = app.ask;
          app.ask = async (question) => {{
            const found = await window.keptAsk(question);
            if (question.what !== "winners" || !found) return found;
            const all = found.models.map((name) => ({{ "kpn-l1": 0.003, mkpn: 0.997 }})[name] ?? 0).concat(0);
            return {{ ...found, shares: {{ all, flat: all, edge: all, texture: all }} }};
          }};
        }}"""
    )
    ui(page, "patch").select_option("16")
    row = ui(page, "winners-table").locator("tr")
    expect(row.filter(has_text="MKPN").locator("td").first).to_have_text(">99 %")
    expect(row.filter(has_text="KPN L1").filter(has_not_text="KPN L11").locator("td").first).to_have_text("<1 %")
    expect(row.filter(has_text="tie").locator("td").first).to_have_text("0 %")
    page.evaluate(f"() => {EXPLORER}.lesson.open(8)")
    expect(ui(page, "lesson")).to_contain_text("MKPN has the lowest error in more than 99 % of the area")
    ui(page, "lesson-toggle").click()
    page.evaluate(f"() => {{ {EXPLORER}.ask = window.keptAsk; }}")
    ui(page, "patch").select_option("32")
