"""Headless Chromium for the browser tests, and the app with untrained networks; skipped where either is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import helpers
import pytest
from viewer_page import Handle, served_viewer

from mkpn.model.config import MODELS

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _missing(reason: str) -> None:
    """Skips, except where `.ci/run` has set MKPN_REQUIRE_BROWSER: there a test that does not run is a failure."""
    if os.environ.get("MKPN_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A running headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        _missing("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten checkpoints of untrained networks whose kernels differ from pixel to pixel."""
    return helpers.untrained(tmp_path_factory.mktemp("checkpoints"), MODELS, 0.003)


@pytest.fixture(scope="session")
def address(chromium: object, untrained: Path) -> Iterator[str]:
    """Where the app runs with the untrained networks: one server for all tests of the whole page."""
    from mkpn.ui.launch import launch

    del chromium  # asked for so that nothing is launched where it is missing
    page, address = launch(device="cpu", checkpoints=untrained, block=False)
    yield address
    page.close(verbose=False)


@pytest.fixture(scope="module")
def page_handle(chromium) -> Iterator[Handle]:
    with served_viewer(chromium) as handle:
        yield handle


@pytest.fixture
def shown(page_handle: Handle) -> Handle:
    page_handle.reset()
    return page_handle
