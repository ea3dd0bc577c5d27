"""What is done again and again as long as the app lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from mkpn.ui.service.logs import LOGGER


@asynccontextmanager
async def every(seconds: float, step: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Takes a step every few seconds; one that fails is logged, and the next one is taken all the same.

    Args:
        seconds: pause before each step.
        step: what is done.
    """

    async def watch() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await step()
            # Whatever it is, it must not end the watch, which nobody would notice.
            except Exception:
                LOGGER.exception("watch failed")

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
