"""How the events of the page wait for each other: equal names are one queue, so each is written here once."""

from __future__ import annotations

from typing import Any

from mkpn.ui.page.api import RUNS

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of all events of the page: none is an endpoint."""

QUICK: dict[str, Any] = {**PRIVATE, "concurrency_id": "quick", "concurrency_limit": 4}
"""Cheap events do not wait behind a run, and do not crowd out its thread either."""

MODELS: dict[str, Any] = {**PRIVATE, "concurrency_id": RUNS, "concurrency_limit": 1}
"""The networks have the processor to themselves."""
