"""How the app is served; the defaults are safe for one machine, and none of them lets in more than it must."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mkpn.checks import choice, shown, whole
from mkpn.ui.run.going import MOST_KEPT

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?|\[[0-9a-f:]+\](:\d{1,5})?")
_ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")
_ROOT = re.compile(r"(https?://[a-z0-9.:-]+)?(/[A-Za-z0-9._~-]+)*")


FILES_AT_ONCE = 8
"""Files of one upload: a burst has so many frames."""


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Serve the app to others.

    Attributes:
        max_upload_mb: largest file that may be uploaded, 1 to 512.
        auth_file: file of logins, one NAME:PASSWORD a line; the variable MKPN_LOGINS may hold the same text.
        hosts: names by which the app may be asked for, with the port unless it is the usual one; by default any, or
            this machine's own ones where it listens to this machine only, and X-Forwarded-Host is then ignored.
        origins: other sites whose pages may call the app, e.g. https://lab.example; by default none.
        frames: other sites that may show the app in a frame, e.g. https://huggingface.co; by default none.
        root_path: path or full address under which a proxy serves the app.
        kept_runs: runs whose results are kept at the same time, 1 to 1000; the oldest goes first.
        forget_seconds: how long results are kept after their page was closed, 1 to 86400.
        max_disk_mb: uploads are kept up to this size together, 64 to 1048576 and 8 times `--max-upload-mb` at least;
            the oldest goes first.
        log: text prints problems only, json one line for each request, event and problem.
        share: ask gradio.live for a public link that lasts a week; everybody who knows it may use the app.
        mcp: serve the endpoints to language models, too (needs the extra mcp).
    """

    max_upload_mb: int = 32
    auth_file: Path | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    root_path: str = ""
    kept_runs: int = MOST_KEPT
    forget_seconds: int = 180
    max_disk_mb: int = 2048
    log: Literal["text", "json"] = "text"
    share: bool = False
    mcp: bool = False

    def __post_init__(self) -> None:
        whole("max_upload_mb", self.max_upload_mb, 1, 512)
        whole("kept_runs", self.kept_runs, 1, 1000)
        whole("forget_seconds", self.forget_seconds, 1, 86400)
        whole("max_disk_mb", self.max_disk_mb, 64, 2**20)
        if self.max_disk_mb < FILES_AT_ONCE * self.max_upload_mb:
            raise ValueError(
                f"max_disk_mb: expected room for a burst of {FILES_AT_ONCE} files of max_upload_mb, "
                f"{FILES_AT_ONCE * self.max_upload_mb} or more, got {self.max_disk_mb}"
            )
        choice("log", self.log, ("text", "json"))
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"hosts: expected names such as mkpn.example or mkpn.example:8080, got {shown(host)}")
        for field in ("origins", "frames"):
            for origin in getattr(self, field):
                if not _ORIGIN.fullmatch(origin):
                    raise ValueError(f"{field}: expected sites such as https://lab.example, got {shown(origin)}")
        if any("*" in origin for origin in self.origins):
            raise ValueError(f"origins: expected sites without *, got {', '.join(self.origins)}")
        path = self.root_path.strip().rstrip("/")
        slash = "/" if path and not path.startswith(("/", "http://", "https://")) else ""
        object.__setattr__(self, "root_path", slash + path)  # with or without slashes, it is the same place
        if not _ROOT.fullmatch(self.root_path):
            raise ValueError(f"root_path: expected a path such as /mkpn or an address, got {shown(self.root_path)}")
        if self.mcp and find_spec("mcp") is None:
            raise ValueError("mcp: expected the extra mcp (pip install 'mkpn-studio[mcp]'), but it is not installed")
