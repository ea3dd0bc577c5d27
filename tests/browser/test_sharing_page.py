"""Figure, file and permalink in a real browser: what one page shows, another one rebuilds."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from mkpn.model.checkpoint import save_model
from mkpn.model.config import MODELS, model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.ui.saved.permalink import from_query

WAIT_MS = 90_000
EXAMPLE = "Printed letters (grey)"
REGION = {"x": 21, "y": 10, "w": 30, "h": 24}


def expect(locator):  # Playwright may be missing where these tests are skipped.
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=WAIT_MS)
    return wait_for(locator)


@pytest.fixture
def open_page(chromium) -> Iterator[object]:
    """Opens addresses in windows of their own; their errors are failures."""
    windows, errors = [], []

    def open_at(address: str, prepare=None):
        window = chromium.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
        page = window.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        windows.append(window)
        if prepare is not None:
            prepare(page)
        page.goto(address)
        expect(page.locator("#run")).to_be_visible()
        return page

    yield open_at
    for window in windows:
        window.close()
    assert errors == []


@pytest.fixture(scope="module")
def made(chromium, address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Runs two models, sets up the viewer, makes the figure; returns the address, the files and what was shown."""
    folder = tmp_path_factory.mktemp("downloads")
    page = chromium.new_page(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{address}?__theme=light")
    page.locator(f"#intake button[data-example='{EXAMPLE}']").click()
    expect(page.locator("#source figcaption")).to_contain_text("public domain")
    page.locator("#size > button").click()
    page.locator("#downsample").get_by_label("2", exact=True).check()
    page.locator("#gain").get_by_label("8", exact=True).check()
    page.locator("#seed input").fill("7")
    for name in MODELS:
        label = re.compile(rf"^\s*{model_config(name).label}\s*$")
        box = page.locator("#models label").filter(has_text=label).locator("input")
        box.set_checked(name in ("kpn-l3", "mkpn"))
    # The first results have an address, too.
    expect(page.locator("#link button")).to_be_enabled()
    page.locator("#run").click()
    expect(page.locator("#status .state")).to_contain_text("Done: 2 models")
    page.locator("#overview img").click(position={"x": 60, "y": 40})
    select_region(page)
    page.locator(".mkpn-viewer [data-mode-to='split']").click()
    page.locator(".mkpn-viewer [data-ui='second']").select_option("kpn-l3")
    page.locator(".mkpn-viewer [data-ui='error-kind']").select_option("signed")
    page.locator(".mkpn-viewer [data-ui='zoom-select']").select_option("4")
    call(page, "v.panBy(...a)", [40, -12])
    page.wait_for_url(re.compile(r"mode=split.*zoom=4.*region|region.*mode=split.*zoom=4"))
    page.locator("#as-viewer").click()
    expect(page.locator("#figure-panes input:checked")).to_have_count(2)
    page.locator("#as-paper").click()
    expect(page.locator("#figure-panes input:checked")).to_have_count(5)
    page.locator("#make-figure").click()
    expect(page.locator("#figure img")).to_be_visible()
    alt = page.locator("#figure img").get_attribute("alt")
    assert page.locator("#sheet-alt").input_value() == alt
    files = {}
    for kind in ("PNG", "PDF", "JSON"):
        with page.expect_download() as waiting:
            page.locator("#figure a.download", has_text=kind).click()
        files[kind] = folder / waiting.value.suggested_filename
        waiting.value.save_as(files[kind])
    settled(page)
    shown = {"alt": alt, "files": files, "address": page.url, "view": view(page), "text": facts(page)}
    page.close()
    return shown


def select_region(page) -> None:
    """Types the rectangle into the viewer's own fields."""
    page.locator(".mkpn-viewer [data-table-to='region']").evaluate("button => button.click()")
    for name in "xywh":
        field = page.locator(f".mkpn-viewer [data-ui='region-{name}']")
        field.fill(str(REGION[name]))
        field.press("Tab")


def call(page, expression: str, argument: object = None) -> object:
    script = f"(a) => {{ const v = document.querySelector('.mkpn-viewer').mkpnViewer; return {expression}; }}"
    return page.evaluate(script, argument)


def view(page) -> dict[str, object]:
    """What the viewer shows, as far as an address holds it."""
    state = call(page, "v.getState()")
    fields = ("mode", "zoom", "fit", "active", "second", "reference", "hidden", "error", "top", "region")
    return {name: state[name] for name in fields} | {"center": [round(value, 4) for value in state["center"]]}


def facts(page) -> list[str]:
    """Picture, gain, seed, models, figures and square, as the page prints them; not how long it took."""
    rows = page.locator("#table tbody tr")
    cells = rows.evaluate_all(
        "all => all.map(row => row.dataset.pane + [...row.querySelectorAll('td:not(.seconds)')].map(c => c.innerText))"
    )
    notes = page.locator("#status .notes").inner_text()
    gain = page.locator("#gain input:checked").input_value()
    seed = page.locator("#seed input").input_value()
    models = page.locator("#models input:checked").count()
    return [*cells, notes, gain, seed, str(models), page.locator("#overview .caption").inner_text()]


def settled(page) -> None:
    """Waits until the address has stopped changing: the viewer tells its state after a pause."""
    page.evaluate("window.lastAddress = null")
    page.wait_for_function(
        """() => {
            const now = performance.now();
            if (window.lastAddress !== location.href) [window.lastAddress, window.lastChange] = [location.href, now];
            return now - window.lastChange > 2000;
        }"""
    )


def names(page, address: str) -> None:
    """Waits until the page's own address names what another one does, and stays so."""
    wanted = parse_qs(urlsplit(address).query)
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == wanted)
    settled(page)
    assert parse_qs(urlsplit(page.url).query) == wanted


def restored(page, state: str = "same") -> None:
    expect(page.locator(f"#notice [data-state='{state}']")).to_be_visible()


class Held:
    """The events of a page whose data have a field, held on their way to the server until they are let go."""

    def __init__(self, page, field: str) -> None:
        self.page = page
        self.field = field
        self.holding = True
        self.routes: list[object] = []
        page.route("**/queue/join*", self._take)

    def _take(self, route) -> None:
        data = (route.request.post_data_json or {}).get("event_data") or {}
        if self.holding and self.field in data:
            self.routes.append(route)
        else:
            route.fallback()

    def wait_for(self, count: int) -> None:
        """Waits until so many are held."""
        for _ in range(WAIT_MS // 50):
            if len(self.routes) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{self.field}: expected {count} events, got {len(self.routes)}")

    def let_go(self, *, backwards: bool = False) -> None:
        """Sends one after the other, and holds nothing any more."""
        self.holding = False
        for route in self.routes[::-1] if backwards else self.routes:
            with self.page.expect_response(lambda answer, sent=route.request: answer.request == sent):
                route.fallback()


def test_the_figure_s_files(made: dict[str, object]) -> None:
    files = made["files"]
    assert {path.name for path in files.values()} == {
        f"mkpn-printed-letters-grey-gain8-seed7.{ending}" for ending in ("png", "pdf", "json")
    }
    picture = Image.open(files["PNG"])
    assert picture.text["Description"] == made["alt"]
    assert files["PDF"].read_bytes().startswith(b"%PDF")
    record = json.loads(files["JSON"].read_text())
    assert record["alt"] == made["alt"]
    assert {key: record["crop"][key] for key in "xywh"} == REGION
    assert "30 by 24 pixels at x 21, y 10" in made["alt"]


def test_the_address_names_the_view(made: dict[str, object]) -> None:
    query = parse_qs(urlsplit(made["address"]).query)
    assert query["image"] == ["text"]
    assert query["__theme"] == ["light"]
    assert (query["gain"], query["seed"], query["models"]) == (["8"], ["7"], ["kpn-l3,mkpn"])
    state, problems = from_query(urlsplit(made["address"]).query)
    assert problems == []
    assert state is not None
    assert set(state.recorded.weights) == {"kpn-l3", "mkpn"}
    assert set(state.recorded.figures) == {"noisy", "mean", "kpn-l3", "mkpn"}


def test_an_address_restores_picture_settings_crop_and_viewer(open_page, made: dict[str, object]) -> None:
    page = open_page(made["address"])
    restored(page)
    assert view(page) == made["view"]
    assert facts(page) == made["text"]
    names(page, made["address"])
    # A run with another gain keeps how the viewer looks.
    page.locator("#gain").get_by_label("2", exact=True).check()
    page.locator("#run").click()
    page.wait_for_url(re.compile("gain=2&"))
    expect(page.locator("#notice .notes")).to_have_count(0)
    assert view(page) == made["view"]


def test_the_button_copies_the_address(open_page, address: str, made: dict[str, object]) -> None:
    page = open_page(made["address"])
    restored(page)
    names(page, made["address"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address.rstrip("/"))
    page.locator("#link button").click()
    expect(page.locator("#link .said")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(address)
    assert from_query(urlsplit(copied).query) == from_query(urlsplit(made["address"]).query)
    assert "__theme" not in copied


def test_the_button_waits_for_what_was_changed_a_moment_ago(open_page, address: str, made: dict[str, object]) -> None:
    page = open_page(made["address"])
    restored(page)
    names(page, made["address"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address.rstrip("/"))
    page.locator(".mkpn-viewer [data-ui='zoom-select']").select_option("2")
    page.locator("#link button").click()
    expect(page.locator("#link .said")).to_have_text("Copied")
    assert "zoom=2" in page.evaluate("navigator.clipboard.readText()")


def test_a_late_report_of_the_look_before_changes_no_address(open_page, made: dict[str, object]) -> None:
    """The page opens with the first results, and the viewer tells how it shows them; here that comes last of all."""
    held: list[Held] = []
    page = open_page(made["address"], lambda page: held.extend(Held(page, field) for field in ("query", "hidden")))
    opening, reports = held
    reports.wait_for(1)
    opening.wait_for(1)
    opening.let_go()
    restored(page)
    reports.wait_for(2)
    assert view(page) == made["view"]
    reports.let_go(backwards=True)
    settled(page)
    names(page, made["address"])


def test_of_two_reports_the_last_one_is_the_address(open_page, made: dict[str, object]) -> None:
    """Two changes of the viewer, while the server has not yet heard of the first."""
    page = open_page(made["address"])
    restored(page)
    names(page, made["address"])
    reports = Held(page, "hidden")
    for count, zoom in enumerate(("2", "8"), 1):
        page.locator(".mkpn-viewer [data-ui='zoom-select']").select_option(zoom)
        reports.wait_for(count)
    reports.let_go()
    page.wait_for_url(re.compile("zoom=8&"))
    settled(page)
    assert parse_qs(urlsplit(page.url).query)["zoom"] == ["8"]


def test_a_file_rebuilds_the_figure(open_page, address: str, made: dict[str, object], tmp_path: Path) -> None:
    page = open_page(address)
    chooser = page.locator("#rebuild input[type=file]")
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"format": "another"}')
    # The results on arrival have an address, too.
    page.wait_for_url(re.compile("hidden=.*psnr="))
    settled(page)
    before = page.url
    chooser.set_input_files(foreign)
    expect(page.locator("#notice .failure")).to_contain_text("nothing was changed")
    assert page.url == before
    expect(page.locator("#seed input")).not_to_have_value("7")
    page.get_by_role("tab", name="Burst", exact=True).click()
    with page.expect_download():
        page.locator("#burst-download").click()
    expect(page.locator("#burst-link a")).to_be_visible()
    page.get_by_role("tab", name="Compare", exact=True).click()
    chooser.set_input_files(made["files"]["JSON"])
    restored(page)
    assert view(page) == made["view"]
    assert facts(page) == made["text"]
    expect(page.locator("#burst-link a")).to_have_count(0)  # its run has gone
    page.locator("#make-figure").click()
    expect(page.locator("#figure img")).to_have_attribute("alt", made["alt"])
    with page.expect_download() as waiting:
        page.locator("#figure a.download", has_text="PNG").click()
    shown = np.asarray(Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes())))
    np.testing.assert_array_equal(shown, np.asarray(Image.open(made["files"]["PNG"])))


def test_a_file_that_comes_during_a_rebuild_is_opened_after_it(
    open_page, address: str, made: dict[str, object], tmp_path: Path
) -> None:
    page = open_page(address)
    page.wait_for_url(re.compile("hidden=.*psnr="))
    record = json.loads(made["files"]["JSON"].read_text())
    second = tmp_path / "second.json"
    second.write_text(json.dumps({**record, "seed": 8}))
    chooser = page.locator("#rebuild input[type=file]")
    chooser.set_input_files(made["files"]["JSON"])
    expect(page.locator("#seed input")).to_have_value("7")
    chooser.set_input_files(second)
    expect(page.locator("#seed input")).to_have_value("8")
    page.wait_for_url(re.compile("seed=8.*mode=split|mode=split.*seed=8"))
    expect(page.locator("#status .state")).to_contain_text("Done: 2 models")
    expect(page.locator("#status .notes")).to_contain_text("seed 8")
    assert view(page) == made["view"]


def test_a_bad_address_is_told(open_page, address: str) -> None:
    page = open_page(f"{address}?image=nobody&gain=77")
    expect(page.locator("#notice .failure")).to_contain_text("gain: expected one of 1, 2, 4, 8, got 77")
    expect(page.locator("#notice .failure")).to_contain_text("bundled: expected one of chelsea")
    page.locator("#stop").click()


def test_changed_weights_are_told(open_page, made: dict[str, object], untrained: Path, tmp_path: Path) -> None:
    """The same address at a server whose MKPN has been trained anew."""
    from mkpn.ui.launch import launch

    for name in ("kpn-l3", "mkpn"):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes((untrained / path.name).read_bytes())
    torch.manual_seed(99)
    network = KernelPredictionNetwork(model_config("mkpn"))
    torch.nn.init.normal_(network.last.weight, std=0.01)
    save_model(tmp_path / "mkpn.safetensors", network.config, network.state_dict(), {})
    server, address = launch(device="cpu", checkpoints=tmp_path, block=False)
    try:
        page = open_page(f"{address}?{urlsplit(made['address']).query}")
        restored(page, "problem")
        told = page.locator("#notice .failure").inner_text()
        assert "This view no longer gives the numbers" in told
        assert "MKPN: other weights" in told
        assert "KPN L3" not in told
        # A reload still knows what was recorded.
        settled(page)
        assert parse_qs(urlsplit(page.url).query)["psnr"] == parse_qs(urlsplit(made["address"]).query)["psnr"]
    finally:
        server.close(verbose=False)
