"""What is expensive to compute again, kept for as long as there is room; the oldest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from mkpn.inference.denoiser import Stopped

Key = tuple[str, Hashable]
"""The run's token, and what it is."""

_ASK_SECONDS = 0.05
"""How often somebody who waits for another's computation is asked whether to go on waiting."""


class Cache:
    """Values with their size in bytes, shared by all sessions; safe to use from several threads.

    Attributes:
        limit: bytes that are kept at most; the newest value always stays.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        # One computation at a time: two would take each other's processor and memory.
        self._working = threading.Lock()

    def get(self, key: Key) -> Any | None:
        """Returns a value that is there, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def make(self, key: Key, compute: Callable[[], tuple[Any, int]], stop: Callable[[], bool] = lambda: False) -> Any:
        """Returns a value, computing it where it is not there.

        Args:
            key: of the value.
            compute: returns it with its size in bytes.
            stop: tells whether to give up waiting for another computation; `compute` asks for itself.

        Raises:
            Stopped: if `stop` said so.
        """
        found = self.get(key)
        if found is not None:
            return found
        while not self._working.acquire(timeout=_ASK_SECONDS):
            if stop():
                raise Stopped("stopped")
        try:
            found = self.get(key)
            if found is None:
                found, size = compute()
                self._put(key, found, size)
        finally:
            self._working.release()
        return found

    def replace(self, key: Key, value: Any, size: int) -> None:
        """Keeps a value in place of the one that is there."""
        with self._lock:
            self._values.pop(key, None)
        self._put(key, value, size)

    def forget_all_but(self, tokens: set[str]) -> None:
        """Forgets what belongs to runs that are gone."""
        with self._lock:
            for key in [key for key in self._values if key[0] not in tokens]:
                del self._values[key]

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        with self._lock:
            return sum(size for _, size in self._values.values())

    def _put(self, key: Key, value: Any, size: int) -> None:
        with self._lock:
            self._values[key] = (value, size)
            while len(self._values) > 1 and sum(held for _, held in self._values.values()) > self.limit:
                self._values.popitem(last=False)
