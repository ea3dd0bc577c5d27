"""How fast 14 pictures of 1024x1024 move together under the mouse; the number is printed, the floor is low.

Run with `-s` to see it. The floor only catches a viewer that has become unusable: other work on a shared machine
must not turn it red.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import pytest
from viewer_page import png_bytes

from mkpn.ui.viewer import component as viewer

SIDE = 1024
PANES = 14
FLOOR_FPS = 8
# A frame is what lies between two animation callbacks while the pointer moves once per callback.
DRAG = """async ([zoom, error]) => {
    const handle = document.querySelector('.mkpn-viewer').mkpnViewer;
    handle.restore({ zoom, fit: false, center: [512, 512], error });
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    for (let i = 0; i < 20; i += 1) await frame();
    const view = document.querySelector('.stage [data-pane="pane-5"] .pane-view');
    const box = view.getBoundingClientRect();
    const send = (type, x, y) => view.dispatchEvent(new PointerEvent(type, {
        pointerId: 77, pointerType: 'mouse', bubbles: true, button: 0, buttons: 1,
        clientX: box.x + x, clientY: box.y + y,
    }));
    send('pointerdown', 100, 60);
    const before = handle.getState().center;
    const times = [await frame()];
    for (let i = 1; i <= 90; i += 1) {
        const angle = i / 15;
        send('pointermove', 100 + 70 * Math.sin(angle), 60 + 50 * (1 - Math.cos(angle)));
        times.push(await frame());
    }
    const after = handle.getState().center;
    send('pointerup', 100, 60);
    return { times, moved: Math.hypot(after[0] - before[0], after[1] - before[1]) };
}"""


@pytest.fixture(scope="module")
def page(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import gradio

    folder = tmp_path_factory.mktemp("speed")
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 200, SIDE)[:, None, None]

    def value() -> viewer.ViewerValue:
        panes: list[viewer.Pane] = []
        for index in range(PANES):
            image = (ramp + generator.integers(0, 56, (SIDE, SIDE, 3))).astype(np.uint8)
            path = folder / f"{index}.png"
            path.write_bytes(png_bytes(image))
            url = f"gradio_api/file={path}"
            group = "truth" if index == PANES - 1 else "baseline"
            panes.append(viewer.make_pane(f"pane-{index}", f"Pane {index}", group, url=url, size=(SIDE, SIDE), psnr=30))
        return viewer.viewer_value(panes, dataset_id="speed")

    with gradio.Blocks(analytics_enabled=False) as layout:
        component = viewer.comparison_viewer()
        gradio.Button("fill", elem_id="fill").click(value, None, component, api_visibility="private")
    _, url, _ = layout.launch(
        prevent_thread_lock=True, quiet=True, inbrowser=False, ssr_mode=False, allowed_paths=[str(folder)]
    )
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    try:
        shown = context.new_page()
        shown.set_default_timeout(120_000)
        shown.goto(url)
        shown.locator("#fill").click()
        shown.wait_for_function(
            "count => document.querySelectorAll('.stage [data-ready=\"true\"]').length === count", arg=PANES
        )
        yield shown
    finally:
        context.close()
        layout.close(verbose=False)


@pytest.mark.parametrize(
    ("zoom", "error"), [(0.25, None), (1, None), (4, None), (1, "absolute")], ids=["25%", "100%", "400%", "error map"]
)
def test_fourteen_large_panes_follow_the_mouse(page: Any, zoom: float, error: str | None) -> None:
    record = page.evaluate(DRAG, [zoom, error])
    spans = np.diff(record["times"])
    fps = 1000 * len(spans) / spans.sum()
    load = os.getloadavg()[0]
    print(
        f"\n{PANES} panes of {SIDE}x{SIDE} at {zoom:g}x{' ' + error if error else ''}: {fps:.1f} frames/s, "
        f"median {median(spans):.1f} ms, 95 % {np.quantile(spans, 0.95):.1f} ms; load {load:.1f}, "
        f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
    )
    assert record["moved"] > 5 / zoom
    assert fps > FLOOR_FPS
