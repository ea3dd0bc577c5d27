"""What the user has chosen in the explorer stays when Python answers, when a link is opened, when a new run begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_explorer import EXPLORER, expect, probed, recomposed, ui, view, watched

from mkpn.ui.page import handlers, views

NOTHING = f"{{ token: 'another', panes: {EXPLORER}.state.value.panes.map((pane) => ({{ ...pane, url: null }})) }}"
"""A run of which no network is done."""

PIXEL = f"() => {EXPLORER}.state.value.pixel.join(' ')"


@pytest.fixture(scope="module")
def page(chromium, address: str) -> Iterator[Any]:
    with watched(chromium, address, "kernels&x=60&y=20") as shown:
        yield shown


def move(page, key: str) -> None:
    """Moves the pixel by a key, and waits until Python has given it back."""
    ui(page, "stage").press(key)
    now = page.evaluate(f"() => `${{{EXPLORER}.state.x}} ${{{EXPLORER}.state.y}}`")
    page.wait_for_function(f"(now) => ({PIXEL})() === now", arg=now)


def again(page, change: str = "{}") -> None:
    """Hands the explorer its value again, as a network that arrives does."""
    page.evaluate(f"() => {EXPLORER}.ingest({{ ...{EXPLORER}.state.value, ...{change} }})")


def test_the_chosen_picture_stays_when_the_pixel_comes_back(page) -> None:
    view(page, "ablation")
    recomposed(page, "mkpn; 1,3,5,7,9,11; 0,1,2,3,4,5,6,7; renormalised")
    assert ui(page, "layer").input_value() == "recomposed"
    ui(page, "layer").select_option("difference")
    move(page, "ArrowRight")
    assert ui(page, "layer").input_value() == "difference"
    # A view that is entered shows its own picture first.
    view(page, "kernels")
    view(page, "ablation")
    assert ui(page, "layer").input_value() == "recomposed"
    view(page, "blind")
    ui(page, "blind-flip").click()
    move(page, "ArrowLeft")
    assert ui(page, "layer").input_value() == "blind-b"


def test_the_focus_stays_on_what_is_written_anew(page) -> None:
    view(page, "places")
    place = page.locator('[data-place="1"]')
    place.focus()
    before = page.evaluate(PIXEL)
    page.keyboard.press("Enter")
    page.wait_for_function(f"(before) => ({PIXEL})() !== before", arg=before)
    expect(place).to_be_focused()
    for name, button in (("ablation", '[data-value="3"]'), ("sizes", '[data-gain="2"]')):
        view(page, name)
        page.locator(f'[data-panel="{name}"] {button}').first.focus()
        again(page)
        expect(page.locator(f'[data-panel="{name}"] {button}').first).to_be_focused()


def test_nothing_is_asked_before_there_is_something_to_compare(page) -> None:
    """Only the view itself says what it waits for; what is said above the views would stay."""
    for name, words in (
        ("winners", "The winner map needs two models or more that have run."),
        ("places", "Places need two models or more that have run."),
        ("ablation", "No model has run yet."),
    ):
        view(page, name)
        value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
        again(page, NOTHING)
        note = ui(page, "places-note" if name == "places" else f"{name}-words")
        expect(note).to_have_text(words)
        page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
        expect(note).not_to_have_text(words)
        assert ui(page, "live").inner_text() == ""


def test_kernels_and_rebuild_say_what_they_wait_for(page) -> None:
    """A run that was stopped before its first network left half of the view empty."""
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    again(page, NOTHING)
    for name in ("kernels", "rebuild"):
        view(page, name)
        panel = page.locator(f'[data-panel="{name}"]')
        said = panel.evaluate("p => ['content', 'visibility'].map((key) => getComputedStyle(p, '::before')[key])")
        assert said == ['"No model has run yet."', "visible"]
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    page.wait_for_function("() => !document.querySelector('.mkpn-explorer').hasAttribute('data-waiting')")
    assert page.locator('[data-panel="rebuild"]').evaluate("p => getComputedStyle(p, '::before').content") == "none"


def test_switching_off_outlives_a_run_without_a_model(page) -> None:
    everything = "mkpn; 1,3,5,7,9,11; 0,1,2,3,4,5,6,7; renormalised"
    view(page, "ablation")
    recomposed(page, everything)
    ui(page, "layer").select_option("difference")
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    again(page, NOTHING)
    ui(page, "renormalise").click()
    ui(page, "reference-only").click()
    expect(page.locator('[data-panel="ablation"] [data-value]')).to_have_count(0)
    ui(page, "renormalise").click()
    page.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    recomposed(page, everything)
    assert page.errors == []


def test_a_second_pixel_stays_in_a_new_run_of_the_same_size(page) -> None:
    view(page, "kernels")
    page.evaluate(f"() => {EXPLORER}.setPixel(60, 20)")
    ui(page, "beside").select_option("pixel")
    move(page, "ArrowRight")
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    again(page, "{ token: 'another' }")
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    move(page, "ArrowRight")
    expect(page.locator(".block-name")).to_contain_text(["x 62, y 20", "x 60, y 20"])
    # In a picture of another size it would be another place.
    again(page, "{ token: 'another', size: [50, 40], pixel: [5, 5] }")
    assert page.evaluate(f"() => [{EXPLORER}.state.beside, {EXPLORER}.state.second]") == ["", None]
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    assert ui(page, "beside").input_value() == ""


def test_a_new_run_shows_nothing_of_the_last_one_and_keeps_the_chosen_model(page) -> None:
    value = page.evaluate_handle(f"() => {EXPLORER}.state.value")
    ui(page, "model").select_option("kpn-l25")
    for name, filled in (("winners", "winners-table"), ("maps", "map-table")):
        view(page, name)
        expect(ui(page, filled).locator("tr").first).to_be_visible()
        again(page, NOTHING)
        expect(ui(page, filled).locator("tr")).to_have_count(0)
        page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    view(page, "kernels")
    again(page, NOTHING)
    expect(page.locator('[data-panel="kernels"]')).to_be_hidden()
    page.evaluate(f"(value) => {EXPLORER}.ingest(value)", value)
    expect(page.locator('[data-panel="kernels"]')).to_be_visible()
    assert page.evaluate(f"() => {EXPLORER}.state.model") == ui(page, "model").input_value() == "kpn-l25"
    ui(page, "model").select_option("mkpn")


def test_what_was_measured_in_a_square_is_measured_in_the_next_one(page) -> None:
    view(page, "sizes")
    expect(ui(page, "sweep")).to_be_enabled()
    page.locator('[data-gain="2"]').click()
    ui(page, "sweep").click()
    expect(ui(page, "sweep")).to_be_enabled(timeout=60_000)
    rows = page.locator('[data-panel="sizes"] table tbody tr')
    expect(rows).to_have_count(2)
    rows.evaluate_all("(rows) => rows.forEach((row) => (row.dataset.old = ''))")
    move(page, "ArrowDown")
    expect(page.locator('[data-panel="sizes"] tr[data-old]')).to_have_count(0)
    expect(rows).to_have_count(2)
    page.locator('[data-gain="2"]').click()


def test_the_mark_of_a_larger_kernel_is_dropped(page) -> None:
    view(page, "rebuild")
    ui(page, "first").click()
    for _ in range(6):
        ui(page, "next").click()
    expect(ui(page, "step-text")).to_contain_text("11×11")
    ui(page, "trio").press("End")
    expect(ui(page, "tap")).to_contain_text("x +5, y +5: ")
    ui(page, "model").select_option("kpn-l3")
    expect(ui(page, "tap")).to_contain_text("Point at a weight")
    ui(page, "model").select_option("mkpn")


def test_the_explorer_follows_a_pixel_beside_the_border(page) -> None:
    """There the compared square stops, and only the pixel moves on."""
    whole = page.locator("#overview .overview")
    width = whole.locator("img").evaluate("(img) => img.getBoundingClientRect().width / img.naturalWidth")
    whole.locator("img").click(position={"x": 3.5 * width, "y": 3.5 * width})
    page.wait_for_function(f"() => ({PIXEL})() === '3 3'")
    whole.press("ArrowRight")
    page.wait_for_function(f"() => ({PIXEL})() === '4 3'")
    assert page.evaluate(f"() => [{EXPLORER}.state.x, {EXPLORER}.state.y]") == [4, 3]
    page.wait_for_function("() => location.hash.includes('x=4&y=3')")


def test_no_key_on_the_whole_image_is_lost_while_python_answers(page, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, wait = views.overview, page.wait_for_timeout

    def late(*arguments: Any) -> str:
        import time

        time.sleep(0.15)
        return drawn(*arguments)

    monkeypatch.setattr(views, "overview", late)
    whole = page.locator("#overview .overview")
    before = int(whole.get_attribute("data-x"))
    whole.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
        wait(200)  # longer than a held key takes to rest, so that Python hears of each, and answers behind the next
    expect(page.locator("#overview .caption")).to_contain_text(f"pixel x {before + 8},")
    expect(whole).to_have_attribute("data-x", str(before + 8))
    # What Python itself moves is followed.
    view(page, "kernels")
    page.evaluate(f"() => {EXPLORER}.setPixel(60, 20)")
    expect(whole).to_have_attribute("data-x", "60")


def test_a_refused_place_is_forgotten_with_the_next_run(page) -> None:
    whole = page.locator("#overview .overview")
    place = [whole.get_attribute(name) for name in ("data-x", "data-y")]
    before = whole.get_attribute("data-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handlers, "kept", lambda _: None)
        whole.locator("img").click(position={"x": 5, "y": 5})
        expect(page.locator(".toast-body").first).to_be_visible()
    page.locator("#run").click()
    expect(page.locator("#status .state")).to_contain_text("Done: 10 models")
    expect(whole).not_to_have_attribute("data-run", before)
    assert [whole.get_attribute(name) for name in ("data-x", "data-y")] == place


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        ("maps&map=radius", "map=radius"),
        ("sizes&where=texture", "where=texture"),
        ("winners&patch=16", "patch=16"),
        ("kernels&beside=pixel&x2=70&y2=30", "x2=70"),
    ],
)
def test_an_opened_link_stays_in_the_address(chromium, address: str, part: str, kept: str) -> None:
    with watched(chromium, address, f"{part}&model=mkpn&x=60&y=20") as page:
        probed(page, "mkpn", 60, 20)
        assert kept in page.evaluate("() => location.hash")


def test_a_link_to_two_networks_shows_both(chromium, address: str) -> None:
    link = "kernels&model=kpn-l25&beside=mkpn&x=60&y=20"
    with watched(chromium, address, link, shows="kpn-l25 60 20") as page:
        expect(page.locator(".block-name")).to_contain_text(["A: KPN L25", "B: MKPN"])
        # On another tab the address is that of the run alone; here it names the view again.
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_function("() => !location.hash.includes('explore=')")
        page.get_by_role("tab", name="Explore").click()
        page.wait_for_function("() => location.hash.includes('explore=kernels') && location.hash.includes('x=60')")
        # The page's own address is no link: another network that arrives changes nothing.
        view(page, "sizes")
        page.evaluate(f"() => {EXPLORER}.setPixel(70, 30)")
        again(page)
        assert page.evaluate(f"() => [{EXPLORER}.state.view, {EXPLORER}.state.x]") == ["sizes", 70]


def test_a_link_put_into_the_same_tab_is_followed(chromium, address: str) -> None:
    """A browser loads no page where only what is behind "#" is another."""
    with watched(chromium, address, "kernels&x=60&y=20&lesson=2&mode=present", "kpn-l3") as page:
        shown = f"() => [{EXPLORER}.state.view, {EXPLORER}.state.x, {EXPLORER}.state.lesson, {EXPLORER}.state.present]"
        assert page.evaluate(shown) == ["rebuild", 60, 1, True]
        page.evaluate("() => { location.hash = 'explore=sizes&model=mkpn&x=50&y=30&where=edge'; }")
        page.wait_for_function(f"() => {EXPLORER}.state.view === 'sizes'")
        assert page.evaluate(shown) == ["sizes", 50, None, False]
        expect(ui(page, "where")).to_have_value("edge")
        expect(ui(page, "lesson")).to_be_hidden()
        # From another tab, too.
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_function("() => !location.hash.includes('explore=')")
        page.evaluate("() => { location.hash = 'explore=maps&model=kpn-l3&x=40&y=30&map=noise_gain&mode=present'; }")
        expect(ui(page, "map")).to_be_visible()
        page.wait_for_function(f"() => {EXPLORER}.state.present")
        assert page.evaluate(shown) == ["maps", 40, None, True]
        probed(page, "kpn-l3", 40, 30)
