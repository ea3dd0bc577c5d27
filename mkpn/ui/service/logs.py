"""Logs for machines: one JSON object a line, with the id of the request that it belongs to."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("mkpn.service")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered, or that has started the job which is being done."""

REQUEST_ID = "mkpn.request_id"
"""Under this name a request carries its id into the queue."""


class JsonLines(logging.Formatter):
    """Formats records as JSON; `extra={"fields": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line: time (UTC), level, logger, message, request id, and the record's own fields."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **({"request_id": request_id.get()} if request_id.get() else {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        # ASCII only: a terminal or pipe of another encoding would make escapes of the rest that JSON does not know.
        return json.dumps(fields, default=str)


def configure(kind: str) -> None:
    """Sends the logs of the app and of its server to stderr.

    Args:
        kind: `json` writes every request, `text` only what went wrong.
    """
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    LOGGER.setLevel(logging.INFO if kind == "json" else logging.WARNING)
    # It would tell of the one request with which Gradio asks itself whether it is there.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # A line that is no JSON would stop whoever reads these lines: so warnings and lost tasks are told the same way.
    logging.captureWarnings(kind == "json")
    for name in (LOGGER.name, "uvicorn.error", *(("asyncio", "py.warnings") if kind == "json" else ())):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
