"""Memory that runs have left goes back to the system once nobody runs anything."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from mkpn.device import release_free_blocks
from mkpn.ui.run.going import Going
from mkpn.ui.service.watch import every

IDLE_SECONDS = 10.0
"""After a run the memory is kept for so long: visitors often run twice, and taking it again costs time."""

_STEP = 1.0  # seconds between two looks


def giving_back(going: Going, seconds: float = IDLE_SECONDS) -> AbstractAsyncContextManager[None]:
    """Gives memory back after the last run, as long as the app lives.

    Args:
        going: the runs.
        seconds: how long no run must have been computed.
    """
    done: float | None = None

    async def step() -> None:
        nonlocal done
        ended = going.ended
        if ended is not None and ended != done and time.monotonic() - ended > seconds:
            # In a thread: it takes a tenth of a second.
            await asyncio.to_thread(release_free_blocks)
            done = ended

    return every(min(_STEP, seconds), step)
