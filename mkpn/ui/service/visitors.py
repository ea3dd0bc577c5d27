"""What a visitor leaves behind goes soon after the page is closed: state, results, unread messages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from mkpn.ui.run.going import Going
from mkpn.ui.service.watch import every

_STEP = 1.0  # seconds between two looks
_HEARTBEAT = "/gradio_api/heartbeat/"
_MESSAGES = "/gradio_api/queue/data"
_CALL = "/gradio_api/call/"


class Visitors:
    """Which sessions somebody is listening to: a page holds one such request open for as long as it is open."""

    def __init__(self) -> None:
        """Begins with nobody."""
        self._listening: Counter[str] = Counter()
        self._left: dict[str, float] = {}

    @contextmanager
    def listening(self, scope: dict[str, Any]) -> Generator[None]:
        """Counts a request, if it is one of those that a page or a client keeps open."""
        session = _session_of(scope)
        if not session:
            yield
            return
        self._listening[session] += 1
        try:
            yield
        finally:
            self._listening[session] -= 1
            if not self._listening[session]:
                del self._listening[session]
                self._left[session] = time.monotonic()

    def away(self, session: str, used: float) -> float:
        """Returns for how many seconds nobody has listened to a session; 0 while somebody does.

        Args:
            session: its name.
            used: when the session last asked for something, on the clock of `time.monotonic`.
        """
        if session in self._listening:
            return 0.0
        return time.monotonic() - max(used, self._left.get(session, used))

    def forget(self, session: str) -> None:
        """Drops what is known of a session."""
        self._left.pop(session, None)

    def forget_unknown(self, sessions: set[str], seconds: float) -> None:
        """Drops who left long ago and is none of these sessions: who listened and never asked for anything."""
        now = time.monotonic()
        for session, left in list(self._left.items()):
            if session not in sessions and now - left > seconds:
                del self._left[session]


def forgetting(page: gr.Blocks, visitors: Visitors, going: Going, seconds: float) -> AbstractAsyncContextManager[None]:
    """Forgets the sessions of closed pages and of calls that are over, as long as the app lives.

    Gradio keeps the state of a closed page for an hour, and the rest of a session (0.16 MB) until there are 10,000.

    Args:
        page: the page.
        visitors: who is there.
        going: the runs; it is told whose session was forgotten.
        seconds: how long a session is kept after its page was closed or its last call was answered.
    """

    async def step() -> None:
        forget_absent(page, visitors, going, seconds)

    return every(min(_STEP, seconds), step)


def forget_absent(page: gr.Blocks, visitors: Visitors, going: Going, seconds: float) -> None:
    """Forgets once what `forgetting` forgets again and again; the arguments are the same."""
    holder: Any = page.state_holder  # pyright: ignore[reportAttributeAccessIssue] - Gradio sets it at launch
    queue: Any = page._queue  # pyright: ignore[reportPrivateUsage] - Gradio has no other way
    jobs = [event for job in queue.active_jobs if job for event in job]
    jobs += [event for waiting in queue.event_queue_per_concurrency_id.values() for event in waiting.queue]
    busy = {event.session_hash for event in jobs}
    # Gradio notes the time of day; the clock of `Visitors` does not jump.
    offset = time.monotonic() - time.time()
    for session, used in list(holder.time_last_used.items()):
        if session in busy or visitors.away(session, used.timestamp() + offset) <= seconds:
            continue
        holder.delete_state(session)
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)
        queue.pending_event_ids_session.pop(session, None)
        visitors.forget(session)
        going.forget(session)
    visitors.forget_unknown(set(holder.session_data), seconds)


def _session_of(scope: dict[str, Any]) -> str:
    path = str(scope["path"]).rstrip("/")
    if scope["method"] != "GET":
        return ""
    if path.startswith(_HEARTBEAT):
        return path.removeprefix(_HEARTBEAT)
    if path == _MESSAGES:
        return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [""])[0]
    # Without a session of its own a call has one that is named like its event.
    return path.rpartition("/")[2] if path.startswith(_CALL) else ""
