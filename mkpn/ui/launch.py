"""Starts the app: what `python app.py` and `python -m mkpn app` call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mkpn.checks import whole
from mkpn.ui.service.options import ServiceOptions

MAX_WAITING = 16
"""Runs that may wait for their turn; the next one is told that the queue is full."""


def launch(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str = "auto",
    checkpoints: Path | None = None,
    browser: bool = False,
    service: ServiceOptions | None = None,
    block: bool = True,
) -> tuple[Any, str]:
    """Builds the page, starts the server, and loads the networks in the background.

    Args:
        host: address to listen on; `0.0.0.0` lets other machines in.
        port: port; by default the first free one from 7860.
        device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
        checkpoints: folder with `<model>.safetensors`; by default the shipped ones.
        browser: open the page in a browser.
        service: logins, limits, who may call and frame the app; safe defaults.
        block: do not return before the server is stopped.

    Returns:
        The `gr.Blocks` and the page's address.

    Raises:
        ValueError: if the device or the port is not available, or an option cannot be met.
    """
    if port is not None:
        whole("port", port, 1, 2**16 - 1)
    # Before gradio is imported: it asks the network for its newest version otherwise.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from gradio.themes import Default
    from gradio.themes.utils.fonts import LocalFont

    from mkpn.ui.page.api import RUNS
    from mkpn.ui.page.events import build
    from mkpn.ui.page.layout import HERE
    from mkpn.ui.run.models import ModelStore
    from mkpn.ui.run.pictures import make_root
    from mkpn.ui.service import logs
    from mkpn.ui.service.guard import around
    from mkpn.ui.service.health import health_of
    from mkpn.ui.service.logins import login_check

    service = service or ServiceOptions()
    login = login_check(service.auth_file)
    logs.configure(service.log)
    store = ModelStore(checkpoints, device)
    root = make_root()
    page = build(store, root).queue(max_size=MAX_WAITING)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            allowed_paths=[str(root)],
            max_file_size=service.max_upload_mb * 2**20,
            root_path=service.root_path or None,
            auth=login,
            # Said here, because Gradio's own variables could switch them on unasked.
            share=service.share,
            mcp_server=service.mcp,
            enable_monitoring=False,
            app_kwargs={"lifespan": around(service, root, lambda: health_of(page, store, RUNS, MAX_WAITING))},
            theme=Default(
                primary_hue="teal",
                secondary_hue="teal",
                neutral_hue="slate",
                # Bold, because the half-bold file that gradio ships lacks most letters.
                font=(LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
            ).set(
                # Gradio's own shades do not reach the contrast of 4.5 that WCAG AA asks of text.
                color_accent="*primary_700",
                link_text_color="*primary_700",
                body_text_color_subdued="*neutral_500",
                button_primary_background_fill="*primary_700",
                button_primary_background_fill_hover="*primary_800",
                button_primary_background_fill_dark="*primary_700",
                button_primary_background_fill_hover_dark="*primary_800",
                checkbox_background_color_selected_dark="*primary_600",
                checkbox_border_color_selected_dark="*primary_400",
            ),
            css_paths=[HERE / "app.css", HERE / "share.css", HERE / "table1.css"],
            footer_links=["api", "settings"],
            run_history=False,
            ssr_mode=False,
            quiet=True,
        )
    except OSError as error:
        raise ValueError(f"port: expected a free port at {host}, got {port or 'none from 7860 on'}") from error
    # Only now: loading competes with the page for the processor.
    store.preload()
    if block:
        print(f"MKPN Studio is at {address} ({store.device_name}); Ctrl+C ends it.", flush=True)
        page.block_thread()
    return page, address
