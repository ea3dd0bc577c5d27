"""Which runs are computed and which results are kept, so that runs can be stopped and memory has a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkpn.ui.run.session import Run

MOST_KEPT = 16
"""Runs whose results are kept at the same time: 170 MB each, if they have ten models at 512 pixels."""


class Going:
    """The runs of all visitors; safe from several threads."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        """Begins with no run.

        Args:
            most_kept: runs that are kept; of more, the one that has been kept longest is closed.
        """
        self._most = most_kept
        self._lock = threading.Lock()
        self._computed: list[Run] = []
        self._kept: list[Run] = []

    def __len__(self) -> int:
        """How many runs are being computed."""
        return len(self._computed)

    @contextmanager
    def computing(self, run: Run) -> Generator[None]:
        """Counts a run as being computed."""
        with self._lock:
            self._computed.append(run)
        try:
            yield
        finally:
            with self._lock:
                self._computed.remove(run)

    def keep(self, run: Run) -> None:
        """Keeps a run's results; what is over the limit is closed, the oldest first, but no run that is computed."""
        with self._lock:
            self._kept = [other for other in self._kept if not other.closed and other is not run] + [run]
            idle = [other for other in self._kept[:-1] if other not in self._computed]
            over = idle[: max(0, len(self._kept) - self._most)]
        for other in over:
            other.close()

    def cancel(self, owner: str) -> None:
        """Stops the runs of a visitor."""
        for run in [run for run in self._computed if run.owner == owner]:
            run.cancel()

    def cancel_all(self, seconds: float = 0) -> bool:
        """Stops all runs, waits so long for them to end, and tells whether they have."""
        for run in list(self._computed):
            run.cancel()
        end = time.monotonic() + seconds
        while self._computed and time.monotonic() < end:
            time.sleep(0.02)
        return not self._computed
