"""The queue of the runs: only runs count against its limit, and a run that nobody waits for any more is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import gradio as gr

from mkpn.ui.run.going import Going, Run
from mkpn.ui.service.logs import LOGGER, REQUEST_ID
from mkpn.ui.service.watch import every

MOST_EVENTS = 1000
"""Events of any other kind that may wait: each of them takes milliseconds."""

UNHEARD_SECONDS = 30.0
"""So long may the messages to a visitor lie unread before the run is stopped; a page reads them at once."""

_STEP = 0.2  # seconds between two looks


def limit_runs(page: gr.Blocks, runs: str, most_waiting: int) -> None:
    """Lets only runs count against the limit of waiting runs.

    Gradio counts all events, and so refuses to stop a run where the queue is full.

    Args:
        page: the page, after `queue()`.
        runs: `concurrency_id` of the runs.
        most_waiting: runs that may wait.
    """
    queue: Any = page._queue  # pyright: ignore[reportPrivateUsage] - Gradio has no other way
    push: Callable[..., Any] = queue.push

    async def limited(body: Any, request: Any, username: str | None) -> tuple[bool, Any, str]:
        event = page.fns.get(body.fn_index)
        waiting = queue.event_queue_per_concurrency_id.get(runs)
        if event is not None and event.concurrency_id == runs and waiting and len(waiting.queue) >= most_waiting:
            sentence = f"queue: expected at most {most_waiting} waiting runs, and so many wait; try again in a minute"
            return False, sentence, "queue_full"
        return await push(body, request, username)

    queue.push = limited


def stopping_unheard(page: gr.Blocks, going: Going, runs: str) -> AbstractAsyncContextManager[None]:
    """Stops the runs of closed pages, of cancelled jobs and of those that nobody ever listened to.

    It does so as long as the app lives.
    """
    queue: Any = page._queue  # pyright: ignore[reportPrivateUsage] - Gradio has no other way
    unread: dict[str, tuple[int, float]] = {}  # by session: messages taken so far, and since when no more were
    begun: list[tuple[Run, set[str]]] = []  # what is computed, and the events of its visitor when it was first seen

    async def step() -> None:
        nonlocal unread, begun
        computed = [event for job in queue.active_jobs if job for event in job if event.concurrency_id == runs]
        known = [(run, ids) for run, ids in begun if run in going]
        new = [run for run in going if not any(run is other for other, _ in known)]
        begun = known + [(run, {event._id for event in computed if event.session_hash == run.owner}) for run in new]
        there = {event._id for event in computed}
        for run, ids in begun:
            # Gradio forgets a cancelled job at once, but nobody has told its run.
            if ids and not ids & there:
                run.cancel()
        waiting = queue.event_queue_per_concurrency_id.get(runs)
        events = [*computed, *(waiting.queue if waiting else ())]
        unread = {event.session_hash: unread.get(event.session_hash, (0, time.monotonic())) for event in events}
        for event in events:
            session = event.session_hash
            messages = queue.pending_messages_per_session.get(session)
            left = messages.qsize() if messages is not None else 0
            before, since = unread[session]
            # Fewer than before: somebody reads. As many or more: nobody does.
            if left == 0 or left < before:
                since = time.monotonic()
            unread[session] = (left, since)
            if time.monotonic() - since > UNHEARD_SECONDS:
                await queue.clean_events(event_id=event._id)
                fields = {"event": str(event.fn.api_name), "request_id": event.request.scope.get(REQUEST_ID, "")}
                LOGGER.info("stopped, because nobody listens", extra={"fields": fields})
            if not event.alive:
                going.cancel(session)

    return every(_STEP, step)
