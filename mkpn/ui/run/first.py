"""The run that a visitor finds on arrival: made once, when the app starts, and shown to every page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mkpn.synthesis.images import EXAMPLES
from mkpn.synthesis.noise import GAINS
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, mark_next, run_models, start_run
from mkpn.ui.run.settings import FIRST_GAIN, FIRST_SEED, ImageRef, Settings
from mkpn.ui.run.sources import example_source

_LOOK_SECONDS = 0.5  # between two looks whether the page that waits is still there


OWNER = "the app's own"
"""Whose the first results are: no visitor waits for them."""


class FirstRun:
    """All networks on the first bundled picture, with the settings that the page opens with; safe from several threads.

    Attributes:
        run: what is shared by all pages; its pictures live as long as the app.
    """

    def __init__(self, store: ModelStore, root: Path) -> None:
        """Makes the burst; no network runs yet.

        Args:
            store: the networks.
            root: folder below which the pictures go.
        """
        self._store = store
        self._changed = threading.Condition()
        source = example_source(EXAMPLES[0].name, root)
        settings = Settings(noise=GAINS[FIRST_GAIN], seed=FIRST_SEED, models=store.names)
        self.run = start_run(source.pixels(), source.title, settings, store, root)
        # A name that no session has, so that no visitor's leaving stops it.
        self.run.image, self.run.owner = source.ref, OWNER
        mark_next(self.run)

    def compute(self) -> None:
        """Runs the networks one after the other, and lets the runs of visitors go before."""
        for _ in run_models(self.run, self._store):
            with self._changed:
                self._changed.notify_all()
            while self._store.going.others(self.run) and threading.main_thread().is_alive():
                time.sleep(_LOOK_SECONDS)
            if not threading.main_thread().is_alive():
                return

    def shows(self, image: ImageRef, settings: Settings) -> bool:
        """Tells whether this is the run of that picture with these settings."""
        return (image.bundled, settings) == (self.run.image.bundled, self.run.settings)

    def copy(self, side: int, owner: str = "") -> Run:
        """Returns a page's own copy: it has its own square and region, and closing it deletes nothing.

        Args:
            side: side of the compared square in pixels.
            owner: session of the page.
        """
        run = self.run
        copy = Run(
            title=run.title,
            notes=list(run.notes),
            settings=run.settings,
            burst=run.burst,
            panes={name: replace(pane) for name, pane in run.panes.items()},
            folder=run.folder,
            definition=run.definition,
            device=run.device,
            square=run.square,
            side=run.side,
            pixel=run.pixel,
            image=run.image,
            scene=run.scene,
            frames=list(run.frames),
            owner=owner,
            shared=True,
        )
        copy.look_at(run.pixel, side)
        return copy

    def follow(self, copy: Run) -> Iterator[Run]:
        """Brings a copy up to date as networks finish, until all have or the copy is stopped.

        Yields:
            The copy, after each change.
        """
        while self._pending(copy):
            with self._changed:
                self._changed.wait_for(lambda: self._news(copy), _LOOK_SECONDS)
            if copy.stop.is_set() or copy.closed:
                return
            if self._news(copy):
                for name, pane in self.run.panes.items():
                    if copy.panes[name].status != pane.status:
                        copy.panes[name] = replace(pane)
                yield copy

    def _pending(self, copy: Run) -> bool:
        return any(pane.status in ("waiting", "running") for pane in copy.model_panes)

    def _news(self, copy: Run) -> bool:
        return any(copy.panes[pane.id].status != pane.status for pane in self.run.model_panes)
