"""The explorer as a Gradio component; Python keeps the kernels and answers questions, the page draws.

The browser part lies beside this file and is read without a build step. Zoom, colour maps and the decoding of exact
pixels are the comparison viewer's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mkpn.ui.viewer import component as viewer

if TYPE_CHECKING:
    import gradio as gr

STYLES = ("theme", "layout", "panels", "modes")  # where two rules weigh the same, the later one wins
TAB = "Explore"
OPEN_TAB = f"""() => {{
  if (!/[#&]explore=/.test(location.hash)) return;
  [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === "{TAB}")?.click();
}}"""
"""Script for the page's load event: an address that names a view of the explorer opens its tab."""

_ASSETS, _VIEWER = Path(__file__).parent, Path(viewer.__file__).parent
_AT_ONCE = ("probe", "stop")  # what is answered in milliseconds
_WAITING = 8  # other questions that are computed or wait for each other; more wait without a thread
_SHARED = ("format", "pixels", "view", "colormaps", "draw")  # scripts of the comparison viewer


def explorer(answer: Callable[[Any], dict[str, Any]]) -> gr.HTML:
    """Builds the explorer inside the current Gradio layout.

    Use the component as an output of `Service.value`; its event `pick` {x, y} tells where the pixel came to rest.

    Args:
        answer: `Service.answer`.
    """
    # Importing Gradio takes seconds; answering questions must not.
    import gradio
    from anyio import CapacityLimiter, to_thread

    # Questions wait for each other's networks, and Gradio's own threads are for what answers at once.
    few = CapacityLimiter(_WAITING)

    async def explore(request: Any) -> dict[str, Any]:
        what = cast("Mapping[Any, Any]", request).get("what") if isinstance(request, Mapping) else None
        return await to_thread.run_sync(answer, request, limiter=None if what in _AT_ONCE else few)

    return gradio.HTML(
        None,
        html_template=_asset("explorer.html"),
        css_template="".join(path.read_text(encoding="utf-8") for path in _styles()),
        js_on_load=_script(),
        apply_default_css=False,
        elem_id="explorer",
        label="Kernel explorer",
        server_functions=[explore],
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _styles() -> list[Path]:
    return [_VIEWER / "palette.css", *(_ASSETS / f"{name}.css" for name in STYLES)]


def _script() -> str:
    # The files only declare, and share one function's scope; mount.js acts, and so comes last.
    shared = [_VIEWER / f"{name}.js" for name in _SHARED]
    own = sorted(_ASSETS.glob("*.js"), key=lambda path: (path.stem == "mount", path.stem))
    return "\n".join(path.read_text(encoding="utf-8") for path in [*shared, *own])
