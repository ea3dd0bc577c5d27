"""What explorer, lesson and viewer say where the data are odd: equal figures, a region or motion that there is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_explorer import EXPLORER, expect, probed, ui, view, watched

from mkpn.ui.viewer import component

NO_TEXTURE = f"""() => {{
  const app = {EXPLORER};
  const {{ figure }} = app.parts.sizes;
  app.parts.sizes.figure = (model, region) => (region === "texture" ? null : figure(model, region));
  window.restore = () => (app.parts.sizes.figure = figure);
}}"""

ANSWERS = f"""(answers) => {{
  const app = {EXPLORER};
  const {{ ask }} = app;
  app.ask = async (question) => {{
    const answer = question.what === "measure" ? {{}} : await ask(question);
    return {{ ...answer, ...answers[question.what] }};
  }};
  window.restore = () => (app.ask = ask);
}}"""
"""Other figures than those of the run."""


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    with watched(chromium, address, "kernels&x=60&y=20") as shown:
        yield shown


@pytest.fixture(autouse=True)
def left(page) -> Iterator[None]:
    yield
    page.evaluate(f"() => (window.restore?.(), (window.restore = null), {EXPLORER}.lesson.close())")


def step(page, number: int) -> None:
    page.evaluate(f"(number) => {EXPLORER}.lesson.open(number - 1)", number)


def reveal(page) -> Any:
    page.locator('[data-lesson="reveal"]').click()
    return page.locator(".revealed")


def test_a_picture_without_texture_has_no_best_size_there(page) -> None:
    view(page, "sizes")
    page.wait_for_function(f"() => Number.isFinite({EXPLORER}.parts.sizes.figure('mkpn', 'flat'))")
    page.evaluate(NO_TEXTURE)
    step(page, 4)
    expect(ui(page, "lesson")).to_contain_text("This picture has no texture")
    expect(reveal(page)).to_contain_text("This picture has no texture")


def test_means_of_a_region_that_there_is_not_are_not_the_lowest(page) -> None:
    step(page, 8)
    expect(ui(page, "lesson")).to_contain_text("Means over flat")
    page.evaluate(
        f"""() => {{
          const {{ maps }} = {EXPLORER}.parts;
          const {{ means }} = maps;
          maps.means = () => ({{ radius: [2, 1, null], noise_gain: [0.02, 0.01, null] }});
          window.restore = () => (maps.means = means);
        }}"""
    )
    expect(reveal(page)).to_contain_text("most in edges (0.010)")


def test_a_region_without_pixels_is_not_called_unmeasured(page) -> None:
    nothing = {"whole": 30, "square": 30, "flat": 30, "edge": None, "texture": None}
    page.evaluate(ANSWERS, {"measure": {"psnr": nothing, "oracle": {str(size): nothing for size in (1, 3, 5)}}})
    written = page.evaluate(
        f"""async () => {{
          const {{ fillText }} = CanvasRenderingContext2D.prototype;
          const texts = [];
          const {{ sizes }} = {EXPLORER}.parts;
          {EXPLORER}.setView("sizes");
          sizes.reset();
          sizes.show();
          await sizes.fill();
          CanvasRenderingContext2D.prototype.fillText = function (text) {{ texts.push(text); }};
          sizes.choose("edge");
          sizes.draw();
          CanvasRenderingContext2D.prototype.fillText = fillText;
          sizes.choose("whole");
          sizes.reset();
          return texts;
        }}"""
    )
    assert written == ["This picture has no such pixels."]


def test_equal_figures_are_equally_good(page) -> None:
    """Two of the single sizes differ in the third decimal, which nobody sees."""
    page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          const {{ ask }} = app;
          const psnr = {{ "kpn-l11": 31.231, "kpn-l13": 31.2338 }};
          app.ask = async (question) => question.what !== "measure" ? ask(question)
            : question.model === "oracle" ? {{ oracle: {{}} }} : {{ psnr: {{ whole: psnr[question.model] ?? 30 }} }};
          app.setView("sizes");
          app.parts.sizes.reset();
          app.parts.sizes.show();
          window.restore = () => ((app.ask = ask), app.parts.sizes.reset());
        }}"""
    )
    expect(ui(page, "sizes-words")).to_contain_text("KPN L11 and L13 are best of the single sizes (31.23 dB)")
    expect(ui(page, "sizes-table").locator("td.best")).to_have_text(["31.23", "31.23"])


def test_neither_of_two_equal_pictures_is_better(page) -> None:
    view(page, "blind")
    for a, b, said in ((31.231, 31.2338, "Neither."), (31.236, 31.2338, "Right.")):
        page.evaluate(
            f"""([a, b]) => {{
              const app = {EXPLORER};
              const {{ models }} = app;
              const random = Math.random;
              app.models = () => models().slice(0, 2).map((pane, i) => ({{ ...pane, psnr: [a, b][i] }}));
              Math.random = () => 0;
              document.querySelector('[data-ui="blind-next"]').click();
              Math.random = random;
              app.models = models;
            }}""",
            [a, b],
        )
        ui(page, "blind-a").click()
        expect(ui(page, "blind-result")).to_contain_text(f"{said} A is")
        expect(ui(page, "blind-result")).to_contain_text(f": {'0.00' if said == 'Neither.' else '0.01'} dB apart")
    expect(ui(page, "blind-tally")).to_contain_text("1 of 1 right")


def test_what_a_size_gives_is_the_difference_of_the_figures_shown(page) -> None:
    page.evaluate(ANSWERS, {"ablate": {"full": 31.234, "psnr": 31.226}})
    step(page, 7)
    expect(ui(page, "lesson")).to_contain_text("Without one size, renormalised, in dB: 1×1 0, 3×3 0")


def test_a_still_burst_blurs_nothing(page) -> None:
    told = page.evaluate(
        f"""() => {{
          const app = {EXPLORER};
          const {{ value }} = app.state;
          app.state.value = {{ ...value, offsets: value.offsets.map(() => [0, 0]) }};
          app.lesson.open(0);
          document.querySelector('[data-lesson="reveal"]').click();
          const text = document.querySelector(".lesson").innerText;
          app.state.value = value;
          return text;
        }}"""
    )
    assert "None has moved." in told
    assert "here nothing has, and only noise is left" in told
    assert "It blurs what has moved" not in told


def test_the_noisy_value_is_the_one_that_the_kernels_read(page) -> None:
    """Neither rounded to 8 bits nor clipped."""
    view(page, "kernels")
    page.evaluate(f"() => {EXPLORER}.setPixel(61, 20)")
    probed(page, "mkpn", 61, 20)
    exact, level = page.evaluate(
        f"""() => {{
          const {{ data, shape: [, , size] }} = {EXPLORER}.answer.values;
          const {{ data: levels, width }} = {EXPLORER}.picture.imageOf("frame-0");
          const each = [0, 1, 2];
          return [each.map((c) => data[c * size * size + (size * size - 1) / 2]),
            each.map((c) => levels[4 * (20 * width + 61) + c] / 255)];
        }}"""
    )
    texts = [" ".join(f"{value:.3f}".replace("-", "−") for value in values) for values in (exact, level)]
    assert texts[0] != texts[1]
    expect(ui(page, "readout")).to_contain_text(f"noisy {texts[0]}")


def test_the_frame_of_a_place_is_around_the_pixels_that_were_measured(page) -> None:
    view(page, "places")
    expect(ui(page, "places-list").locator("button").first).to_be_visible()
    boxes = page.evaluate(
        f"""() => {{
          const boxes = [];
          const context = {{ strokeRect: (...box) => boxes.push(box), fillRect() {{}}, fillText() {{}} }};
          {EXPLORER}.parts.places.over(context, {{ originX: 0, originY: 0, scale: 2 }});
          return boxes;
        }}"""
    )
    # Whole patches side by side from the corner.
    assert boxes
    for left, top, width, height in boxes:
        assert (width, height) == (64, 64)
        assert (left % 64, top % 64) == (0, 0)


def test_places_tell_small_differences_and_shares(page) -> None:
    behind = {"x": 16, "y": 16, "best": "kpn-l7", "worst": "kpn-l1", "psnr": {"kpn-l7": 31.24, "mkpn": 31.2}}
    kinds = [{**behind, "kind": "behind", "value": 0.04}, {**behind, "kind": "edge", "value": 0.004}]
    page.evaluate(ANSWERS, {"places": {"side": 32, "places": kinds}})
    page.evaluate(f"() => ({EXPLORER}.parts.places.reset(), {EXPLORER}.setView('places'))")
    buttons = ui(page, "places-list").locator("button")
    expect(buttons.nth(0)).to_contain_text("KPN L7 is better by 0.04 dB")
    expect(buttons.nth(0)).to_contain_text("best here: KPN L7 31.24, MKPN 31.20 dB")
    expect(buttons.nth(1)).to_contain_text("edge (<1 %)")
    page.evaluate(f"() => {EXPLORER}.parts.places.reset()")


def test_few_pixels_that_stay_are_not_called_none(page) -> None:
    page.evaluate(ANSWERS, {"ablate": {"stayed": 0.0001}})
    view(page, "ablation")
    ui(page, "reference-only").click()
    expect(ui(page, "ablation-words")).to_contain_text("In less than 0.1 % of the pixels")
    ui(page, "all-on").click()


def test_the_note_of_the_square_tells_of_the_square(page) -> None:
    view(page, "sizes")
    for where, told in (("square", "no border is removed"), ("whole", "border removed"), ("flat", "structure tensor")):
        ui(page, "where").select_option(where)
        expect(ui(page, "sizes-note")).to_contain_text(told)
    ui(page, "where").select_option("whole")


def test_a_guess_that_was_not_drawn_is_not_right(page) -> None:
    view(page, "sizes")
    for _ in range(2):
        ui(page, "predict").click()
    expect(ui(page, "sizes-words")).to_contain_text("the single sizes")
    expect(ui(page, "sizes-words")).not_to_contain_text("Your curve")
    ui(page, "predict").click()


def test_the_chart_calls_the_truly_aligned_mean_as_table_1_does(page) -> None:
    """Its `aligned mean` is another: there the motion is estimated."""
    view(page, "sizes")
    expect(ui(page, "sizes-words")).to_contain_text("the single sizes")
    written = page.evaluate(
        f"""() => {{
          const {{ fillText }} = CanvasRenderingContext2D.prototype;
          const texts = [];
          CanvasRenderingContext2D.prototype.fillText = function (text) {{ texts.push(text); }};
          {EXPLORER}.parts.sizes.draw();
          CanvasRenderingContext2D.prototype.fillText = fillText;
          return texts;
        }}"""
    )
    assert "truly aligned" in written
    assert "aligned mean" not in written


def test_only_the_fused_sums_are_said_to_be_about_eight(page) -> None:
    """The sums of one of MKPN's sizes may be anything."""
    view(page, "kernels")
    title = ui(page, "kernel-words").locator("dt").first
    expect(title).to_have_attribute("title", "of the fused kernels, the sums of all frames together are about "
                                    "eight where the brightness is kept: the result is their mean")  # fmt: skip
    ui(page, "model").select_option("kpn-l5")
    expect(title).to_have_attribute("title", "the sums of all frames together are about eight where the brightness is "
                                    "kept: the result is their mean")  # fmt: skip
    ui(page, "model").select_option("mkpn")


def test_captions_mark_all_that_show_the_best_figure(page) -> None:
    folder = Path(component.__file__).parent
    script = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in ("format", "state", "table"))
    panes = [
        {"id": str(i), "group": "baseline", "url": "u", "psnr": psnr} for i, psnr in enumerate((30, 31.231, 31.2338))
    ]
    best = page.evaluate(f"(panes) => {{ {script}; return [...bestPanes(panes, 'psnr', 2)]; }}", panes)
    assert best == ["1", "2"]
    figure = f"(rows) => {{ {script}; return bestFigure(rows, COLUMNS[0]); }}"
    assert page.evaluate(figure, panes) == pytest.approx(31.23)
