"""Which runs are computed and which results are kept, so that runs can be stopped and memory has a limit."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from mkpn.synthesis.burst import NoisyBurst

MOST_KEPT = 16
"""Runs whose results are kept at the same time: 250 MB each, if they have ten models at 512 pixels."""

_MOST_FORGOTTEN = 10_000  # names of sessions, 20 bytes each


AnyBurst = TypeVar("AnyBurst", bound="NoisyBurst")


class Run(Protocol):
    """What is computed for a visitor and can be stopped, and whose results are kept until it is closed.

    Attributes:
        owner: the session of the page or the call.
        closed: its results are not kept any more.
    """

    owner: str
    closed: bool

    def cancel(self) -> None:
        """Keeps what is finished and gives up the rest."""

    def close(self) -> None:
        """Gives up what is not finished, and deletes the results."""


def hollow(burst: AnyBurst) -> AnyBurst:
    """Returns a burst of the same shape that holds no pixels: a page may keep its closed run as long as it is open."""
    # The command line reads `MOST_KEPT` for its --help, which does not wait for PyTorch.
    import torch

    nothing = torch.zeros(())
    held: dict[str, Any] = {entry.name: getattr(burst, entry.name) for entry in fields(burst)}
    shapes = {name: value.shape for name, value in held.items() if torch.is_tensor(value) and value.is_floating_point()}
    return replace(burst, surroundings=None, **{name: nothing.expand(shape) for name, shape in shapes.items()})


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
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._ended: float | None = None

    def __len__(self) -> int:
        """How many runs are being computed."""
        return len(self._computed)

    def __iter__(self) -> Iterator[Run]:
        """The runs that are being computed now."""
        return iter(list(self._computed))

    def __contains__(self, run: object) -> bool:
        """Tells whether a run is being computed."""
        return any(other is run for other in self)

    @property
    def kept(self) -> int:
        """How many runs have results that are kept."""
        return sum(not run.closed for run in self._kept)

    @property
    def ended(self) -> float | None:
        """When the last run ended, on the clock of `time.monotonic`; None while one is computed or none was."""
        return None if self._computed else self._ended

    def others(self, run: Run) -> int:
        """How many runs other than this one are being computed."""
        return sum(other is not run for other in self)

    def of_others(self, *owners: str) -> bool:
        """Tells whether a run is being computed that is none of these owners'."""
        return any(run.owner not in owners for run in self)

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
                self._ended = time.monotonic()

    def keep(self, run: Run) -> None:
        """Keeps a run's results; what is over the limit is closed, the oldest first, but no run that is computed."""
        with self._lock:
            self._kept = [other for other in self._kept if not other.closed and other is not run] + [run]
            idle = [other for other in self._kept[:-1] if other not in self._computed]
            over = idle[: max(0, len(self._kept) - self._most)]
        for other in over:
            other.close()

    def forget(self, owner: str) -> None:
        """Lets go of the runs that are closed, and notes that a visitor's choices are gone with them."""
        with self._lock:
            self._kept = [run for run in self._kept if not run.closed]
            self._forgotten[owner] = None
            while len(self._forgotten) > _MOST_FORGOTTEN:
                self._forgotten.popitem(last=False)

    def forgotten(self, owner: str) -> bool:
        """Tells whether a visitor who is back has to choose a picture again."""
        return owner in self._forgotten

    def welcome(self, owner: str) -> None:
        """A visitor has chosen a picture."""
        with self._lock:
            self._forgotten.pop(owner, None)

    def cancel(self, owner: str) -> None:
        """Stops the runs of a visitor."""
        for run in self:
            if run.owner == owner:
                run.cancel()

    def cancel_all(self, seconds: float = 0) -> bool:
        """Stops all runs, waits so long for them to end, and tells whether they have."""
        for run in self:
            run.cancel()
        end = time.monotonic() + seconds
        while self._computed and time.monotonic() < end:
            time.sleep(0.02)
        return not self._computed
