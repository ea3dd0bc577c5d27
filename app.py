"""Starts MKPN Studio: `python app.py`, options with `python app.py --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from mkpn.ui.service.options import ServiceOptions


def main(
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str = "auto",
    checkpoints: Path | None = None,
    browser: bool = False,
    service: Annotated[ServiceOptions, tyro.conf.arg(name="")] = ServiceOptions(),  # noqa: B008 - frozen
) -> None:
    """Serves the app until it is interrupted.

    Args:
        host: address to listen on; 0.0.0.0 lets other machines in.
        port: port; by default the first free one from 7860.
        device: auto, cpu, cuda, mps or e.g. cuda:1.
        checkpoints: folder with <model>.safetensors; by default the shipped ones.
        browser: open the page in a browser.
        service: logins, limits, who may call and frame the app.
    """
    from mkpn.ui.launch import launch  # here, so that --help need not wait for PyTorch and Gradio

    try:
        launch(host=host, port=port, device=device, checkpoints=checkpoints, browser=browser, service=service)
    except ValueError as error:
        raise SystemExit(f"app.py: {error}") from error


if __name__ == "__main__":
    tyro.cli(main)
