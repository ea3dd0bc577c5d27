"""Starts MKPN Studio: `python app.py`, options with `python app.py --help`."""

from __future__ import annotations

import tyro

from mkpn.__main__ import app

if __name__ == "__main__":
    try:
        tyro.cli(app, prog="app.py", description="Serves the app until it is interrupted.")
    except ValueError as error:
        raise SystemExit(f"app.py: {error}") from error
