"""The comparison viewer in a real browser: exact pixels, a view that stays, error maps, tables, events."""

from __future__ import annotations

import numpy as np
import pytest
from viewer_page import (
    HEIGHT,
    PANES,
    WIDTH,
    Handle,
    expect,
    expected_canvas,
    image_of,
    load,
    numbers,
    ssim_map,
)

from mkpn.metrics import MetricDefinition, psnr, ssim


@pytest.mark.parametrize("zoom", [1, 2, 8, 16])
def test_canvas_equals_the_array(shown: Handle, zoom: int) -> None:
    shown.call("v.restore(a)", {"zoom": zoom, "fit": False, "center": [31, 40]})
    for name in ("noisy", "kpn-l5", "truth"):
        canvas, place = shown.pixels(name)
        assert place["scale"] == zoom
        expected, inside = expected_canvas(image_of(name), place)
        assert inside.sum() > 5000
        np.testing.assert_array_equal(canvas[inside], expected[inside])


def test_screen_equals_the_array(shown: Handle) -> None:
    """What the compositor puts on the screen, not only what the canvas holds."""
    from io import BytesIO

    from PIL import Image

    shown.press("a")
    _, place = shown.pixels("kpn-l3")
    screen = np.asarray(Image.open(BytesIO(shown.pane("kpn-l3").screenshot())).convert("RGB"))
    expected, inside = expected_canvas(image_of("kpn-l3"), place)
    # The last rows have rounded corners.
    inside[-6:] = False
    np.testing.assert_array_equal(screen[inside], expected[inside])


def test_decoded_pixels_are_the_stored_ones(shown: Handle) -> None:
    total = shown.call("Array.from(v.imagePixels('mkpn').data.filter((_, i) => i % 4 < 3))")
    np.testing.assert_array_equal(np.array(total, np.uint8).reshape(HEIGHT, WIDTH, 3), image_of("mkpn"))


def test_below_full_size_pixels_are_averaged(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 0.5, "fit": False})
    canvas, place = shown.pixels("truth")
    blocks = image_of("truth")[: HEIGHT // 2 * 2, : WIDTH // 2 * 2].astype(float)
    expected = blocks.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
    top, left = int(place["originY"]), int(place["originX"])
    part = canvas[top : top + HEIGHT // 2, left : left + WIDTH // 2]
    assert np.abs(part - expected).max() <= 1


def test_view_survives_a_new_gain_and_panes_that_arrive(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 4, "fit": False, "center": [40, 50]})
    before = shown.state()
    load(shown, "gain-2")
    canvas, place = shown.pixels("noisy")
    expected, inside = expected_canvas(image_of("noisy", 2), place)
    np.testing.assert_array_equal(canvas[inside], expected[inside])
    load(shown, "partial", panes=5)
    expect(shown.page.locator('.stage [data-pane="mkpn"] .pane-psnr')).to_have_text("waiting")
    load(shown, "gain-1")
    after = shown.state()
    for field in ("zoom", "fit", "center", "reference", "active"):
        assert after[field] == before[field]


def test_captions_and_best(shown: Handle) -> None:
    caption = shown.page.locator('.stage [data-pane="mkpn"] figcaption')
    expect(caption.locator(".pane-psnr")).to_have_text("30.25 dB")
    expect(caption.locator(".pane-ssim")).to_have_text("0.750")
    expect(shown.page.locator(".stage .pane-psnr.best")).to_have_count(1)
    expect(caption.locator(".pane-psnr")).to_have_class("pane-psnr best")


@pytest.mark.parametrize("kind", ["absolute", "squared", "signed", "relative", "relative-squared", "ssim"])
def test_error_maps_share_one_scale(shown: Handle, kind: str) -> None:
    shown.ui("error-kind").select_option(kind)
    shown.press("a")
    top = 0.35
    shown.call("v.restore(a)", {"error": kind, "top": top, "zoom": 1, "fit": False})
    expect(shown.ui("colorbar-box")).to_have_attribute("data-top", str(top))
    shown.page.wait_for_function(
        "k => ['noisy', 'mkpn'].every((p) => document.querySelector('.mkpn-viewer').mkpnViewer.errorValues(p, k))",
        arg=kind,
    )
    truth = image_of("truth").astype(float) / 255
    levels: dict[tuple[int, ...], float] = {}
    for name in ("noisy", "mkpn"):
        canvas, place = shown.pixels(name)
        difference = image_of(name) / 255 - truth
        error = {
            "absolute": np.abs(difference).mean(2),
            "squared": (difference**2).mean(2),
            "signed": difference.mean(2),
            "relative": (np.abs(difference) / (truth + 0.01)).mean(2),
            "relative-squared": (difference**2 / (truth**2 + 0.01)).mean(2),
            "ssim": 1 - ssim_map(np.moveaxis(image_of(name) / 255, 2, 0), np.moveaxis(truth, 2, 0)).clip(0, 1),
        }[kind]
        _, inside = expected_canvas(image_of(name), place)
        colors = canvas[inside]
        values = np.clip(error / top, -1, 1).reshape(-1)
        assert len(colors) == len(values)
        # The same error has the same colour in both panes, and brightness follows the error.
        for color, value in zip(map(tuple, colors.tolist()), values.tolist(), strict=True):
            assert abs(levels.setdefault(color, value) - value) < 0.02
        if kind != "signed":
            assert np.corrcoef(colors.sum(1), values)[0, 1] > 0.9
        else:
            assert np.corrcoef(colors[:, 0].astype(int) - colors[:, 2], values)[0, 1] > 0.9
    # The reference stays a picture.
    canvas, place = shown.pixels("truth")
    expected, inside = expected_canvas(image_of("truth"), place)
    np.testing.assert_array_equal(canvas[inside], expected[inside])


def test_scale_slider_and_auto(shown: Handle) -> None:
    shown.ui("error-kind").select_option("absolute")
    slider = shown.ui("error-top")
    # It is drawn with the next frame; until then it cannot have the focus.
    expect(slider).to_be_visible()
    before = shown.state()["top"]
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert shown.state()["top"] > before
    shown.ui("error-auto").click()
    errors = [
        np.abs(image_of(name).astype(int) - image_of("truth")).sum(2)[8:-8, 8:-8] / 765
        for name in PANES
        if name not in ("noisy", "truth")
    ]
    assert shown.state()["top"] == pytest.approx(max(np.quantile(error, 0.995) for error in errors), rel=0.06)


def test_exposure_and_contrast_are_marked(shown: Handle) -> None:
    expect(shown.ui("tone-chip")).to_be_hidden()
    shown.ui("ev").fill("1")
    shown.ui("contrast").fill("1.5")
    expect(shown.ui("tone-chip")).to_be_visible()
    shown.press("a")
    shown.call("v.restore(a)", {"zoom": 1, "fit": False})
    canvas, place = shown.pixels("mkpn")
    expected, inside = expected_canvas(image_of("mkpn"), place)
    toned = np.clip((expected / 255 * 2 - 0.5) * 1.5 + 0.5, 0, 1) * 255
    assert np.abs(canvas[inside] - toned[inside]).max() <= 1
    shown.ui("tone-reset").click()
    expect(shown.ui("tone-chip")).to_be_hidden()


def test_inspector_shows_every_pane(shown: Handle) -> None:
    _, place = shown.pixels("kpn")
    box = shown.pane("kpn").bounding_box()
    assert box is not None
    x, y = 60, 17
    at = [
        box["x"] + place["originX"] + (x + 0.5) * place["scale"],
        box["y"] + place["originY"] + (y + 0.5) * place["scale"],
    ]
    shown.page.mouse.move(*at)
    expect(shown.ui("pixel-x")).to_have_value(str(x))
    expect(shown.ui("pixel-y")).to_have_value(str(y))
    for name in PANES:
        cells = shown.page.locator(f'[data-ui="inspector-rows"] [data-pane="{name}"] td').all_inner_texts()
        value = image_of(name)[y, x].astype(int)
        assert numbers(cells[0]) == value.tolist()
        np.testing.assert_allclose(numbers(cells[1]), value / 255, atol=5e-4)
        if name != "truth":
            assert numbers(cells[2]) == (value - image_of("truth")[y, x]).tolist()
    shown.page.mouse.click(*at)
    expect(shown.page.locator("#said textarea")).to_have_value(
        str({"x": x, "y": y, "pane": "kpn", "dataset_id": "noise"})
    )


def test_region_statistics_equal_numpy(shown: Handle) -> None:
    shown.press("f")
    _, place = shown.pixels("mkpn")
    box = shown.pane("mkpn").bounding_box()
    assert box is not None

    def at(x: int, y: int) -> list[float]:
        left, top = box["x"] + place["originX"], box["y"] + place["originY"]
        return [left + (x + 0.5) * place["scale"], top + (y + 0.5) * place["scale"]]

    shown.page.mouse.move(*at(20, 12))
    shown.page.keyboard.down("Shift")
    shown.page.mouse.down()
    shown.page.mouse.move(*at(40, 30), steps=3)
    shown.page.mouse.move(*at(59, 40))
    shown.page.mouse.up()
    shown.page.keyboard.up("Shift")
    assert shown.state()["region"] == {"x": 20, "y": 12, "w": 40, "h": 29}
    part = (slice(12, 41), slice(20, 60))
    truth = np.moveaxis(image_of("truth")[part] / 255, 2, 0)
    definition = MetricDefinition(border=0)
    best = max(PANES[:-1], key=lambda name: psnr(np.moveaxis(image_of(name)[part] / 255, 2, 0), truth, definition))
    for name in PANES:
        row = shown.page.locator(f'[data-ui="region-rows"] [data-pane="{name}"]')
        values = np.moveaxis(image_of(name)[part] / 255, 2, 0)
        expected = {"mean": values.mean(), "sd": values.std()}
        if name != "truth":
            error = np.abs(values - truth)
            expected |= {
                "psnr": psnr(values, truth, definition),
                "ssim": ssim(values, truth, definition),
                "mae": error.mean(),
                "mse": (error**2).mean(),
                "relative": (error / (truth + 0.01)).mean(),
                "relativeSquared": (error**2 / (truth**2 + 0.01)).mean(),
                "worst": error.mean(0).max(),
            }
            jump = row.locator(".jump")
            x, y = (int(jump.get_attribute(f"data-{axis}") or -1) for axis in "xy")
            assert error.mean(0)[y - 12, x - 20] == error.mean(0).max()
        for column, value in expected.items():
            cell = row.locator(f'[data-column="{column}"]')
            expect(cell).not_to_be_empty()
            digits = len(cell.inner_text().split(".")[1])
            assert float(cell.inner_text()) == pytest.approx(value, abs=0.6 * 10**-digits), (name, column)
    expect(shown.page.locator('[data-ui="region-rows"] .best').first).to_be_visible()
    expect(shown.page.locator(f'[data-ui="region-rows"] [data-pane="{best}"] td').first).to_have_class("number best")
    shown.ui("region-x").fill("21")
    shown.ui("region-x").press("Enter")
    assert shown.state()["region"] == {"x": 21, "y": 12, "w": 40, "h": 29}


def test_values_are_printed_in_large_pixels(shown: Handle) -> None:
    shown.call("v.restore(a)", {"zoom": 32, "fit": False, "center": [30, 30]})
    share = 0.0
    for _ in range(50):
        canvas, place = shown.pixels("mkpn")
        expected, inside = expected_canvas(image_of("mkpn"), place)
        share = ((canvas != expected).any(2) & inside).sum() / inside.sum()
        if share:
            break
        shown.page.wait_for_timeout(100)  # values are printed once the view rests
    assert 0.02 < share < 0.5
