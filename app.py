"""Starts MKPN Studio: `python app.py`, options with `python app.py --help`."""

from __future__ import annotations

import sys

import tyro

from mkpn.__main__ import app
from mkpn.console import exit_code

if __name__ == "__main__":
    sys.exit(exit_code(lambda: tyro.cli(app, prog="app.py", description="Serves the app until it is interrupted.")))
