"""Starts MKPN Studio on a Hugging Face Space: reachable through the Space's proxy, and in its frame only."""

from __future__ import annotations

import os

from mkpn.ui.launch import launch
from mkpn.ui.service.options import ServiceOptions

host = os.environ.get("SPACE_HOST", "")
launch(
    host="0.0.0.0",
    port=7860,
    service=ServiceOptions(
        root_path=f"https://{host}" if host else "",
        frames=("https://huggingface.co", "https://*.hf.space"),
        log="json",
    ),
)
