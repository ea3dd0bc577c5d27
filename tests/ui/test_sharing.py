"""Figure, file and permalink through the page's own handlers: what is made, rebuilt, refused, and what has changed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mkpn.geometry import Rectangle
from mkpn.model.checkpoint import save_model
from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork
from mkpn.synthesis.images import to_uint8
from mkpn.ui.page.handlers import Handlers, close_run
from mkpn.ui.page.sharing import Opened, Pending, Sharing, close_sheet, sheet_html
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run
from mkpn.ui.run.sources import Source, example_source, upload_source
from mkpn.ui.saved.look import Look
from mkpn.ui.saved.permalink import from_query
from mkpn.ui.saved.recording import Sheet, enlarged

EXAMPLE = "Printed letters (grey)"  # the smallest
MODELS = ["kpn-l3", "mkpn"]
PANES = ["noisy", "kpn", "kpn-l25", "mkpn", "truth"]
LOOK = Look(
    mode="split", fit=False, zoom=4, center=(40, 20.5), active="mkpn", second="noisy", reference="noisy", hidden=()
)


def checkpoints(folder: Path, seed: int = 0) -> Path:
    for name in MODELS:
        torch.manual_seed(seed if name == "mkpn" else 7)
        network = KernelPredictionNetwork(model_config(name))
        torch.nn.init.normal_(network.last.weight, std=0.003)
        save_model(folder / f"{name}.safetensors", network.config, network.state_dict(), {})
    return folder


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Sharing:
    folder = checkpoints(tmp_path_factory.mktemp("checkpoints"))
    return Sharing(Handlers(ModelStore(folder, "cpu"), tmp_path_factory.mktemp("pictures")))


@pytest.fixture(scope="module")
def other(sharing: Sharing, tmp_path_factory: pytest.TempPathFactory) -> Sharing:
    """The same app after MKPN has been trained anew."""
    folder = checkpoints(tmp_path_factory.mktemp("checkpoints"), seed=1)
    return Sharing(Handlers(ModelStore(folder, "cpu"), sharing.root))


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr("gradio.Warning", messages.append)
    return messages


def press_run(sharing: Sharing, source: Source, gain: str = "8", previous: Run | None = None) -> Run:
    controls = (2, "shrink", gain, 0.05, 0.02, 1.5, 2, 8, 7, MODELS)
    pages = list(sharing.handlers.run(source, "noisy", 32, previous, None, *controls))
    return next(page[0] for page in pages if isinstance(page[0], Run))


@pytest.fixture(scope="module")
def ran(sharing: Sharing) -> Iterator[Run]:
    run = press_run(sharing, example_source(EXAMPLE, sharing.root))
    run.region = Rectangle(21, 10, 30, 24)
    yield run
    close_run(run)


@pytest.fixture(scope="module")
def sheet(sharing: Sharing, ran: Run) -> Iterator[Sheet]:
    made, _ = sharing.figure(ran, LOOK, PANES, "mkpn", None)
    yield made
    close_sheet(made)


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data, **data)


def opened(answer: tuple[Any, ...]) -> tuple[list[Any], Any, Any, Any]:
    """What an opening handler changes: controls, what is pending, the message, the address."""
    controls, (pending, notice, link) = answer[:-3], answer[-3:]
    return [part for part in controls if not skipped(part)], pending, notice, link


def skipped(part: Any) -> bool:
    return isinstance(part, dict) and part.get("__type__") == "update" and len(part) == 1


def rebuilt(sharing: Sharing, pending: Pending, source: Source) -> Run:
    return next(page[0] for page in list(sharing.rebuild(pending, source, None)) if isinstance(page[0], Run))


def test_the_figure_is_made_of_what_is_there(sheet: Sheet, ran: Run) -> None:
    assert sheet.left_out == ("kpn", "kpn-l25")
    assert sheet.png.name == "mkpn-printed-letters-grey-gain8-seed7.png"
    record = json.loads(sheet.json.read_text())
    area = asdict(Rectangle(21, 10, 30, 24))
    assert record["crop"] | area == record["crop"]
    factor = record["crop"]["magnification"]
    pixels = np.asarray(Image.open(sheet.png))
    assert ran.panes["mkpn"].image is not None
    crop = to_uint8(ran.panes["mkpn"].image)[10:34, 21:51].repeat(factor, axis=0).repeat(factor, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, crop.shape)
    # Somewhere in the figure the crop lies, pixel for pixel: first the places where its corner fits.
    places = np.argwhere((pixels[: windows.shape[0], : windows.shape[1]] == crop[0, 0]).all(-1))
    assert any((windows[y, x, 0] == crop).all() for y, x in places)


def test_the_file_says_what_was_done(sheet: Sheet, sharing: Sharing, ran: Run) -> None:
    record = json.loads(sheet.json.read_text())
    assert record["image"]["bundled"] == "text"
    assert record["noise"]["gain"] == 8
    assert (record["seed"], record["downsample"], record["burst"]["large"]) == (7, 2, 8)
    assert record["models"] == MODELS
    assert record["weights"] == {name: sharing.store.hash_of(name) for name in MODELS}
    assert record["figures"]["mkpn"] == {"psnr": ran.panes["mkpn"].psnr, "ssim": ran.panes["mkpn"].ssim}
    assert record["metric_definition"]["whole"] == ran.definition.to_dict()
    assert record["view"]["mode"] == "split"
    assert f"{ran.panes['mkpn'].psnr:.2f} dB" in record["alt"]


def test_the_page_shows_figure_downloads_and_alt_text(sheet: Sheet) -> None:
    html = sheet_html(sheet)
    assert unescape(html).count(sheet.alt) == 2
    for path in (sheet.png, sheet.pdf, sheet.json):
        assert f'download="{path.name}"' in html
    assert "Left out" in html
    assert "kpn-l25" in html


def test_without_a_region_the_square_is_enlarged(ran: Run) -> None:
    before, ran.region = ran.region, None
    assert enlarged(ran) == ran.square == Rectangle(ran.square.x, ran.square.y, 32, 32)
    ran.region = before


def test_a_figure_of_nothing_is_refused(sharing: Sharing, ran: Run, warned: list[str]) -> None:
    assert all(map(skipped, sharing.figure(ran, LOOK, ["kpn"], "noisy", None)))
    assert all(map(skipped, sharing.figure(None, LOOK, PANES, "noisy", None)))
    assert ["at least one picture" in warned[0], "Press Run first" in warned[1]] == [True, True]


def test_a_file_rebuilds_the_very_view(sharing: Sharing, sheet: Sheet, ran: Run) -> None:
    answer = sharing.open_file(None, event(name="f.json", text=sheet.json.read_text()))
    controls, pending, notice, link = opened(answer)
    source, _, downsample, fit, gain, _, _, rate, small, large, seed, models, side, shown, panes = controls
    assert (source.title, downsample, fit, gain, seed, models) == (EXAMPLE, 2, "shrink", "8", 7, MODELS)
    assert (rate, small, large, side, shown) == (1.5, 2, 8, 32, "mkpn")
    # Two of the five are no models of this app.
    assert panes == ["noisy", "mkpn", "truth"]
    assert pending.state.look == LOOK
    assert "Restoring f.json" in notice
    assert link["go"]
    run = rebuilt(sharing, pending, source)
    assert run.region == ran.region
    assert (run.square, run.pixel) == (ran.square, ran.pixel)
    assert run.view is not None
    assert (run.view["zoom"], run.view["region"]) == (4, {"x": 21, "y": 10, "w": 30, "h": 24})
    assert 'data-state="same"' in sharing.report(run)
    again, _ = sharing.figure(run, LOOK, ["noisy", "mkpn", "truth"], shown, None)
    assert again.png.read_bytes() == sheet.png.read_bytes()
    assert again.pdf.read_bytes() == sheet.pdf.read_bytes()
    close_sheet(again)
    close_run(run)


def test_an_address_rebuilds_the_very_view(sharing: Sharing, ran: Run) -> None:
    query = sharing.link(ran, LOOK, PANES, "mkpn")["query"]
    state, problems = from_query(query)
    assert state is not None
    assert problems == []
    assert (state.image.bundled, state.gain, state.settings.seed, state.look) == ("text", 8, 7, LOOK)
    controls, pending, _, link = opened(sharing.open_link(None, event(query=f"?{query}&__theme=dark")))
    assert link["query"] is None
    run = rebuilt(sharing, pending, controls[0])
    assert "all 4 pictures are the same" in sharing.report(run)
    assert sharing.link(run, LOOK, PANES, "mkpn")["query"] == query
    close_run(run)


def test_changed_weights_are_told_and_stay_told(sharing: Sharing, other: Sharing, sheet: Sheet, ran: Run) -> None:
    query = sharing.link(ran, LOOK, PANES, "mkpn")["query"]
    _, pending, _, _ = opened(other.open_file(None, event(name="f.json", text=sheet.json.read_text())))
    for waiting in (pending, opened(other.open_link(None, event(query=query)))[1]):
        run = rebuilt(other, waiting, example_source(EXAMPLE, other.root))
        told = other.report(run)
        assert "no longer gives the numbers" in told
        _, line = told.split("<li>")
        old, new = sharing.store.hash_of("mkpn"), other.store.hash_of("mkpn")
        assert old is not None
        assert new is not None
        assert line.startswith("MKPN: other weights")
        assert old[:8] in line
        assert new[:8] in line
        assert f"recorded {ran.panes['mkpn'].psnr:.3f} dB" in line
        assert f"now {run.panes['mkpn'].psnr:.3f} dB" in line
        # The address goes on naming the numbers that were recorded.
        kept, _ = from_query(other.link(run, LOOK, PANES, "mkpn")["query"])
        assert kept is not None
        assert kept.recorded.figures["mkpn"][0] == pytest.approx(ran.panes["mkpn"].psnr, abs=6e-4)
        close_run(run)


def test_the_look_comes_with_the_run_that_it_belongs_to(sharing: Sharing, ran: Run) -> None:
    """Not with the controls, when the page may still show another run, and not with each of the run's pages."""
    query = sharing.link(ran, LOOK, PANES, "mkpn")["query"]
    controls, pending, _, _ = opened(sharing.open_link(None, event(query=query)))
    assert LOOK not in controls
    pages = list(sharing.rebuild(pending, controls[0], None))
    looks = [page[-1] for page in pages]
    assert looks[1] == LOOK
    assert len(looks) > 2
    assert all(map(skipped, [looks[0], *looks[2:]]))
    close_run(pages[1][0])


def test_what_is_opened_during_a_rebuild_is_not_forgotten(sharing: Sharing, ran: Run) -> None:
    """What waited is taken before anything is computed: no later page clears what has been opened since."""
    query = sharing.link(ran, LOOK, PANES, "mkpn")["query"]
    controls, pending, _, _ = opened(sharing.open_link(None, event(query=query)))
    pages = sharing.rebuild(pending, controls[0], None)
    first = next(pages)
    assert first[-2] is None
    assert all(map(skipped, [*first[:-2], first[-1]]))
    rest = list(pages)
    assert len(rest) > 1
    assert all(skipped(page[-2]) for page in rest)
    close_run(rest[0][0])


def test_a_report_from_before_the_restored_view_is_too_late(sharing: Sharing, ran: Run) -> None:
    query = sharing.link(ran, LOOK, PANES, "mkpn")["query"]
    controls, pending, _, _ = opened(sharing.open_link(None, event(query=query)))
    run = rebuilt(sharing, pending, controls[0])
    for before in (event(zoom=3, fit=False), event(zoom=3, fit=False, token=None), event(zoom=3, fit=False, token="x")):
        assert all(map(skipped, sharing.remember(run, PANES, "noisy", None, before)))
    assert run.view is not None
    look, link = sharing.remember(run, PANES, "noisy", None, event(zoom=3, fit=False, token=run.view["token"]))
    assert look == Look(zoom=3, fit=False)
    assert "zoom=3" in link["query"]
    close_run(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["figures"]["noisy"].update(psnr=30.0), "Noisy frame: recorded 30.000 dB"),
        (lambda record: record.update(metric="0" * 8), "defined differently"),
        (
            lambda record: record["figures"].update(kpn={"psnr": 1, "ssim": 0}),
            "kpn: recorded 1.000 dB / 0.0000, now not",
        ),
        (lambda record: record["image"].update(sha256="0" * 64), "another picture than it was"),
        (lambda record: record.update(region=[90, 0, 400, 5]), "region does not lie in the picture"),
    ],
)
def test_other_changes_are_told(sharing: Sharing, sheet: Sheet, change: Callable[[Any], None], message: str) -> None:
    record = json.loads(sheet.json.read_text())
    change(record)
    _, pending, _, _ = opened(sharing.open_file(None, event(name="f.json", text=json.dumps(record))))
    run = rebuilt(sharing, pending, example_source(EXAMPLE, sharing.root))
    assert message in sharing.report(run)
    close_run(run)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": "mkpn-studio-view-1"}', '{"a": "<img src=x onerror=alert(1)>"}']
)
def test_a_foreign_file_changes_nothing(sharing: Sharing, text: str) -> None:
    controls, pending, notice, link = opened(sharing.open_file(None, event(name="<b>x</b>.json", text=text)))
    assert controls == []
    assert skipped(pending)
    assert skipped(link)
    assert "nothing was changed" in notice
    assert "<img" not in notice
    assert "<b>x" not in notice


def test_a_bad_address_is_told_and_its_rest_is_run(sharing: Sharing) -> None:
    query = "image=text&gain=3&seed=2&downsample=2&models=mkpn&psnr=1,2,3&ssim=0,0,0"
    controls, pending, _, link = opened(sharing.open_link(None, event(query=query)))
    assert controls[4] == "4"
    assert controls[10] == 2
    assert link["go"]
    run = rebuilt(sharing, pending, controls[0])
    told = sharing.report(run)
    assert "gain: expected one of 1, 2, 4, 8, got 3" in told
    # Numbers of another noise are no discrepancy.
    assert "no longer" not in told
    close_run(run)
    plain = opened(sharing.open_link(None, event(query="?__theme=dark")))
    assert plain[0] == []
    assert all(map(skipped, plain[1:3]))
    # An address that names nothing shows the first results, as one without a question mark does.
    assert plain[3]["arrive"]


def test_a_network_that_is_not_here_is_told_and_the_others_are_run(sharing: Sharing) -> None:
    query = "image=text&gain=8&seed=7&downsample=2&models=kpn-l25,mkpn"
    controls, pending, _, _ = opened(sharing.open_link(None, event(query=query)))
    assert controls[11] == ["mkpn"]
    run = rebuilt(sharing, pending, controls[0])
    assert [(pane.id, pane.status) for pane in run.model_panes] == [("mkpn", "done")]
    assert "<li>KPN L25 is not on this server.</li>" in sharing.report(run)
    close_run(run)


def test_a_picture_of_one_s_own_is_asked_for(sharing: Sharing, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    path, wrong = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(photo[:120, :140]).save(path)
    Image.fromarray(photo[60:180, :140]).save(wrong)
    source = upload_source(path, "my <cat>.png", tmp_path)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    run = press_run(sharing, source)
    made, _ = sharing.figure(run, Look(), ["noisy", "mkpn"], "noisy", None)
    text = made.json.read_text()
    query = sharing.link(run, Look(), ["noisy"], "noisy")["query"]
    assert "my%20%3Ccat%3E.png" in query
    for answer, addressed in (
        (sharing.open_file(None, event(name="f.json", text=text)), False),
        (sharing.open_link(None, event(query=query)), True),
    ):
        controls, pending, notice, link = opened(answer)
        assert controls == []
        # The page of a link shows the first results meanwhile, and its address stays that of the link.
        assert bool(link.get("arrive")) == addressed
        assert skipped(sharing.link(run, Look(), ["noisy"], "noisy", pending)) == addressed
        assert "choose my &lt;cat&gt;.png" in notice
        assert f"<b>{'The link' if addressed else 'f.json'} shows a picture of your own" in notice
        refused = opened(sharing.resume(pending, upload_source(wrong, "my <cat>.png", tmp_path)))
        assert refused[0] == []
        assert "another file" in refused[2]
        # A file that is no picture leaves the bundled one chosen, which nobody meant.
        assert sharing.resume(pending, example_source(EXAMPLE, sharing.root)) == Opened()
        assert "choose my &lt;cat&gt;.png" in refused[2]
        # Under another name, but the same file.
        controls, pending, _, link = opened(sharing.resume(pending, upload_source(path, "cat.png", tmp_path)))
        assert link["go"]
        again = rebuilt(sharing, pending, controls[0])
        assert 'data-state="same"' in sharing.report(again)
        close_run(again)
    # A picture that is there already need not be chosen again.
    assert opened(sharing.open_file(source, event(name="f.json", text=text)))[3]["go"]
    close_sheet(made)
    close_run(run)


def test_a_link_to_an_example_deletes_an_upload_s_preview(
    sharing: Sharing, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(photo[:120, :140]).save(path)
    source = upload_source(path, "cat.png", tmp_path)
    # An upload that is asked for again stays, and so does one on a page that waits for another.
    for sha256 in (source.sha256, "0" * 64):
        query = f"file=cat.png&sha256={sha256}&gain=4&seed=2&models=mkpn"
        sharing.open_link(source, event(query=query))
        assert source.preview.exists()
    assert opened(sharing.open_link(source, event(query="image=text&gain=4&seed=2&models=mkpn")))[3]["go"]
    assert not source.preview.exists()


def test_another_gain_keeps_square_and_region(sharing: Sharing) -> None:
    source = example_source(EXAMPLE, sharing.root)
    run = press_run(sharing, source)
    moved = sharing.handlers.move_square(run, event(x=60, y=20))
    assert moved[0] is run
    region = sharing.handlers.measure_region(run, event(x=3, y=4, w=20, h=16))
    assert region["region"] == {"x": 3, "y": 4, "w": 20, "h": 16}
    after = press_run(sharing, source, gain="1", previous=run)
    assert (after.square, after.pixel, after.region) == (run.square, run.pixel, run.region)
    assert sharing.report(after) == ""
    sharing.handlers.measure_region(after, event(x=0, y=0, w=0, h=0))
    assert after.region is None
    close_run(after)


def test_custom_noise_comes_back_exactly(sharing: Sharing) -> None:
    run = press_run(sharing, example_source(EXAMPLE, sharing.root), gain="custom")
    state, _ = from_query(sharing.link(run, Look(), PANES, "noisy")["query"])
    assert state is not None
    assert state.settings.noise == run.settings.noise
    controls, *_ = opened(sharing._open(Pending(state, "the link"), None))
    assert controls[4:7] == ["custom", 0.05, 0.02]
    close_run(run)


def test_the_viewer_chooses_the_columns(sharing: Sharing, ran: Run) -> None:
    look, link = sharing.remember(ran, PANES, "noisy", None, event(mode="single", active="kpn-l3", zoom=2, fit=False))
    assert look == Look(mode="single", active="kpn-l3", zoom=2, fit=False)
    assert "mode=single" in link["query"]
    assert sharing.as_viewer(ran, look) == ["kpn-l3"]
    assert sharing.as_viewer(ran, Look(hidden=("mean",))) == ["noisy", "kpn-l3", "mkpn", "truth"]
    assert sharing.as_paper() == ["noisy", "mkpn", "truth"]
    assert all(map(skipped, sharing.remember(ran, PANES, "noisy", None, event(mode="theatre"))))


def test_the_png_can_be_read_without_the_app(sheet: Sheet) -> None:
    assert Image.open(io.BytesIO(sheet.png.read_bytes())).text["Description"] == sheet.alt


def test_the_last_page_of_a_stopped_run_says_so(sharing: Sharing) -> None:
    """Gradio sends a run's last answer once more at its end: it must not be the one before Stop."""
    controls = (2, "shrink", "8", 0.05, 0.02, 1.5, 2, 8, 7, MODELS)
    pages = []
    for page in sharing.handlers.run(example_source(EXAMPLE, sharing.root), "noisy", 32, None, None, *controls):
        pages.append(page)
        pages[0].run.cancel()
    assert "Stopped: 0 of" in pages[-1].status
    close_run(pages[0].run)
