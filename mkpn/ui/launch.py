"""Starts the app: what `python app.py` and `python -m mkpn app` call."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from mkpn.checks import shown
from mkpn.ui.run.going import Going
from mkpn.ui.service.options import ServiceOptions

_LEAVE_SECONDS = 3.0  # for runs to notice that they are stopped; they ask before every layer

MAX_WAITING = 16
"""Runs that may wait for their turn; the next one is told that the queue is full."""


def launch(
    *,
    host: str | None = None,
    port: int | None = None,
    device: str = "auto",
    checkpoints: Path | None = None,
    folder: Path | None = None,
    browser: bool = False,
    service: ServiceOptions | None = None,
    block: bool = True,
) -> tuple[Any, str]:
    """Builds the page, starts the server, loads the networks and makes the first results in the background.

    Args:
        host: address to listen on; `0.0.0.0` lets other machines in. By default `GRADIO_SERVER_NAME`, else 127.0.0.1.
        port: port; by default `GRADIO_SERVER_PORT`, else the first free one from 7860.
        device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
        checkpoints: folder with `<model>.safetensors`; by default the shipped ones.
        folder: all that the app writes goes into a folder of its own below this one, which is removed at the end; by
            default below the folder for temporary files.
        browser: open the page in a browser.
        service: logins, limits, who may call and frame the app; safe defaults. Without a root path,
            `GRADIO_ROOT_PATH` counts.
        block: serve until SIGTERM or Ctrl+C, then end the process.

    Returns:
        The `gr.Blocks` and the page's address.

    Raises:
        ValueError: if the device, the address or the port is not available, or an option cannot be met.
    """
    service = _with_root_path(service or ServiceOptions())
    host, port = _host(host), _port(port)
    from mkpn.ui.run.pictures import make_root

    root = make_root(folder)
    going = Going(service.kept_runs)
    if block:
        leave_on_signals(root, going)
    # Before gradio is imported: it asks the network for its newest version otherwise.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Its statistics for a page that is not served: 10,000 records, from which it makes a table after every event.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    from gradio.themes import Default
    from gradio.themes.utils.fonts import LocalFont
    from gradio.utils import get_upload_folder

    from mkpn.ui.page.api import RUNS
    from mkpn.ui.page.events import build
    from mkpn.ui.page.layout import HERE, head
    from mkpn.ui.run.first import FirstRun
    from mkpn.ui.run.models import ModelStore
    from mkpn.ui.service import logs
    from mkpn.ui.service.guard import around
    from mkpn.ui.service.health import health_of
    from mkpn.ui.service.logins import login_check
    from mkpn.ui.service.memory import giving_back
    from mkpn.ui.service.queue import MOST_EVENTS, limit_runs, stopping_unheard
    from mkpn.ui.service.uploads import trimming
    from mkpn.ui.service.visitors import Visitors, forgetting

    login = login_check(service.auth_file)
    logs.configure(service.log)
    store = ModelStore(checkpoints, device, going)
    first = FirstRun(store, root) if store.names else None
    page = build(store, root, first).queue(max_size=MOST_EVENTS)
    limit_runs(page, RUNS, MAX_WAITING)
    visitors = Visitors()
    guarded = around(service, root, lambda: health_of(page, store, RUNS, MAX_WAITING), host, visitors)

    @asynccontextmanager
    async def life(app: Any) -> AsyncGenerator[None]:
        async with (
            guarded(app),
            stopping_unheard(page, going, RUNS),
            forgetting(page, visitors, going, service.forget_seconds),
            giving_back(going),
            trimming(Path(get_upload_folder()), service.max_disk_mb * 2**20),
        ):
            yield

    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            allowed_paths=[str(root)],
            max_file_size=service.max_upload_mb * 2**20,
            root_path=service.root_path,
            auth=login,
            # Said here, because Gradio's own variables could switch them on unasked.
            share=service.share,
            mcp_server=service.mcp,
            enable_monitoring=False,
            app_kwargs={"lifespan": life},
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
            head=head(),
            footer_links=["api", "settings"],
            run_history=False,
            ssr_mode=False,
            quiet=True,
        )
    except OSError as error:
        raise ValueError(f"port: expected a free port at {host}, got {port or 'none from 7860 on'}") from error
    # Only now: loading and running compete with the page for the processor.
    store.preload(None if first is None else first.compute)
    if block:
        print(f"MKPN Studio is at {address} ({store.device_name}); Ctrl+C ends it.", flush=True)
        threading.Event().wait()  # until a signal ends the process
    return page, address


def leave_on_signals(root: Path, going: Going) -> None:
    """Makes SIGTERM, Ctrl+C and a closed terminal end the process: runs are stopped, the app's folder is removed.

    Args:
        root: the app's folder.
        going: the runs.
    """

    ends = [signal.SIGINT, signal.SIGTERM]
    # Not where somebody wants the app to outlive the terminal (nohup); Windows has no such signal.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        ends.append(signal.SIGHUP)

    def leave(_number: int, _frame: FrameType | None) -> None:
        # A second signal does not wait.
        for name in ends:
            signal.signal(name, signal.SIG_DFL)
        going.cancel_all(_LEAVE_SECONDS)
        shutil.rmtree(root, ignore_errors=True)
        logging.shutdown()
        sys.stdout.flush()
        # Not by an exception: threads that are inside of C++ code then take the process down with "terminate called".
        os._exit(0)

    for name in ends:
        signal.signal(name, leave)


def _host(host: str | None) -> str:
    name, value = ("host", host) if host else ("GRADIO_SERVER_NAME", os.environ.get("GRADIO_SERVER_NAME"))
    if not value:
        return "127.0.0.1"
    # Asked here, because Gradio tries a hundred ports for minutes, and would then say that none is free.
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(value.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as attempt:
            attempt.bind(place)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{name}: expected an address of this machine, got {shown(value)}") from error
    # Gradio puts it into addresses of the page, where one of IPv6 stands in brackets.
    return f"[{value}]" if ":" in value and not value.startswith("[") else value


def _port(port: int | None) -> int | None:
    name, value = ("port", port) if port is not None else ("GRADIO_SERVER_PORT", os.environ.get("GRADIO_SERVER_PORT"))
    if value in (None, ""):
        return None
    if not str(value).isdecimal() or not 0 < int(value) < 2**16:
        raise ValueError(f"{name}: expected a port, 1 to 65535, got {shown(value)}")
    return int(value)


def _with_root_path(service: ServiceOptions) -> ServiceOptions:
    if service.root_path:
        return service
    try:
        return replace(service, root_path=os.environ.get("GRADIO_ROOT_PATH", ""))
    except ValueError as error:
        raise ValueError(f"GRADIO_ROOT_PATH: {str(error).removeprefix('root_path: ')}") from error
