"""Event handlers: parse what the page sends, call one service function, format the answer.

Bad input becomes a warning and changes nothing on the page. A session's data is one `Run` in a `gr.State`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Annotated, Any

import gradio as gr
from gradio import EventData
from gradio.utils import get_upload_folder, is_in_or_equal
from PIL import Image

from mkpn.figures import drawings
from mkpn.geometry import Rectangle
from mkpn.ui.explorer.service import Service
from mkpn.ui.page import views
from mkpn.ui.page.answers import KEEP, Chosen, Moved, Shown, Stopped, Strengths, warn, worded
from mkpn.ui.page.compare import compare
from mkpn.ui.page.fields import strengths
from mkpn.ui.page.run_controls import CUSTOM, RunControls, chosen_noise
from mkpn.ui.run.first import OWNER, FirstRun
from mkpn.ui.run.going import Run as AnyRun
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, mark_next, run_models, start_run, stay_in_place
from mkpn.ui.run.settings import MAX_SIDE, example_fit
from mkpn.ui.run.sources import Source, example_source, forget_source, upload_source
from mkpn.ui.saved.checked import NOTHING, check, text, whole
from mkpn.ui.viewer.component import ViewerValue

LONGEST = 4096
"""Characters of a path, a name or a reason that an event may bring: a path of Linux has no more."""

_OTHER = "These results were made with other settings."
FORGOTTEN = (
    "This run is no longer kept: it is half an hour old, this page was away, or others needed its place. "
    "Press Run again."
)
AWAY = "This page was away for so long that its picture is no longer kept: choose it again."

Update = dict[str, Any]


class Handlers:
    """All handlers of the page; the weights are shared, the pictures lie below one folder."""

    def __init__(self, store: ModelStore, root: Path, first: FirstRun | None = None) -> None:
        self.store = store
        self.root = root
        self.first = first
        self.service = Service(store)

    def pick_example(self, previous: Source | None, event: gr.EventData, request: gr.Request | None = None) -> Chosen:
        """Takes a bundled example."""
        try:
            source = example_source(sent_text(event, "name"), self.root)
        except ValueError as error:
            warn(str(error))
            return Chosen()
        forget_source(previous)
        self.store.going.welcome(owner_of(request))
        return Chosen(source, source.html(), example_fit(source.pixels()))

    def take_upload(self, previous: Source | None, event: gr.EventData, request: gr.Request | None = None) -> Chosen:
        """Takes a file that the browser has sent, if it is an image that can be used."""
        path, name = Path(sent_text(event, "path", LONGEST)), sent_text(event, "name", LONGEST)
        # The browser names the file: without this check it could name any file of the server.
        if not is_in_or_equal(path, get_upload_folder()):
            warn("That file was not uploaded to this page.")
            return Chosen()
        try:
            source = upload_source(path, name, self.root)
        except ValueError as error:
            warn(str(error))
            return Chosen()
        forget_source(previous)
        self.store.going.welcome(owner_of(request))
        return Chosen(source, source.html())

    def refuse_upload(self, event: gr.EventData) -> None:
        """Tells why the browser did not send a file."""
        warn(sent_text(event, "reason", LONGEST))

    def choose_gain(self, gain: str) -> Strengths:
        """Shows the parameters of one of the four gains; custom keeps what is there."""
        return Strengths() if gain == CUSTOM else strengths(chosen_noise(gain))

    def show_own_noise(self, gain: str) -> Any:
        """Unfolds the two numbers of Eq. 7 where they are to be typed."""
        return gr.update(open=True) if gain == CUSTOM else KEEP

    def noise_curve(self, gain: str, sigma_r: float | None, sigma_s: float | None, dark: bool) -> Any:
        """Draws the chosen noise; a value that is still being typed keeps the curve that is there."""
        try:
            noise = chosen_noise(gain, sigma_r, sigma_s)
        except ValueError:
            return KEEP
        return _picture(drawings.noise_curve(noise, _theme(dark)))

    def roll_seed(self) -> int:
        """Throws the dice."""
        return random.randrange(10**6)

    def run(
        self,
        source: Source | None,
        shown: str,
        side: int,
        previous: Run | None,
        request: gr.Request | None = None,
        *controls: Any,
    ) -> Iterator[Shown]:
        """Makes the burst, then runs model after model; yields the page after each of them.

        Args:
            source: the picture.
            shown: the pane that is shown whole.
            side: of the compared square in pixels.
            previous: the run that the page shows.
            request: whose call it is; Gradio puts it here.
            controls: the values of `RunControls`.
        """
        try:
            if source is None:
                raise ValueError("Choose an image first.")
            if self.store.going.forgotten(owner_of(request)):
                raise ValueError(AWAY)
            settings = RunControls(*controls).settings()
            run = start_run(source.pixels(), source.title, settings, self.store, self.root, side)
        except ValueError as error:
            warn(str(error))
            yield Shown(stale=_stale(worded(str(error))))
            return
        run.image, run.owner, run.shown = source.ref, owner_of(request), shown
        # A run may have waited for its turn: what the page shows is then known from the run before, not from the click.
        stay_in_place(run, previous)
        yield from self.stream(run, previous)

    def wait(self, request: gr.Request | None = None) -> str | Update:
        """Says that another visitor's run comes first, of which Gradio shows nothing; `run` takes the sentence away."""
        first = self.store.going.of_others(owner_of(request), OWNER)
        return _stale("Another visitor's run comes first; yours begins by itself.") if first else KEEP

    def arrive(self, shown: str, side: int, request: gr.Request | None = None) -> Shown:
        """Shows what there is of the first results to a page that has just been opened; `follow` shows the rest."""
        if self.first is None:
            return Shown()
        run = self.first.copy(side, owner_of(request))
        run.shown = shown
        return self._page(run)._replace(run=run, frames=views.burst_frames(run))

    def follow(self, run: Run | None) -> Iterator[Shown]:
        """Yields the page of a copy of the first results after each network that finishes, until the run is stopped.

        It ends by itself when another run takes the copy's place: one that is refused must not end it.
        """
        if self.first is not None and run is not None and run.shared:
            for _ in self.first.follow(run):
                yield self._page(run)
        # Gradio sends the last answer again at the end, when the page may already show another run.
        yield Shown()

    def begin(self, run: Run, previous: Run | None) -> Iterator[Shown]:
        """Yields the first page of a run, and then closes the run that the page has shown until now."""
        # What still follows that one must not write over the page of this one.
        if previous is not None:
            previous.stop.set()
        yield self._page(run)._replace(run=run, frames=views.burst_frames(run), stale="")
        close_run(previous)

    def stream(self, run: Run, previous: Run | None) -> Iterator[Shown]:
        """Yields the page of a run that has been started, after each of its models; the run before it is closed."""
        mark_next(run)
        self.store.going.keep(run)
        yield from self.begin(run, previous)
        for _ in run_models(run, self.store):
            yield self._page(run)
        # Gradio sends the last answer again when a run ends: without this one the page would go back to "running".
        if run.stop.is_set():
            yield self._page(run)

    def fits(self, run: Run | None, source: Source | None, *controls: Any) -> str:
        """Says so where the results on the page were made with other settings than those that are chosen now."""
        if (run := kept(run)) is None or source is None:
            return ""
        try:
            settings = RunControls(*controls).settings()
        except ValueError as error:
            return _stale(worded(str(error)))
        chosen, made = ({*these.models} & {*self.store.names} for these in (settings, run.settings))
        same = replace(settings, models=()) == replace(run.settings, models=())
        if same and chosen == made and source.ref == run.image:
            return ""
        going = run in self.store.going and not run.stop.is_set()
        return _stale(f"{_OTHER} {'Stop it, then Run.' if going else 'Run renews them.'}")

    def stop(self, run: Run | None) -> Stopped:
        """Keeps what is finished; the running model's result is dropped."""
        if (run := kept(run)) is None:
            warn("Nothing is running.")
            return Stopped()
        run.cancel()
        return Stopped(views.status_line(run), views.crops(run), views.table(run), compare(run))

    def show(self, run: Run | None, shown: str) -> str | Update:
        """Shows another whole picture; so does every later page of the run, and the next run from its beginning."""
        if run is not None:
            run.shown = shown
        return KEEP if (run := kept(run)) is None else views.overview(run)

    def move_square(self, run: Run | None, event: gr.EventData) -> Moved:
        """Moves the compared square to a pixel that was clicked."""
        return self._look_at(run, (_whole(event, "x"), _whole(event, "y")))

    def resize_square(self, run: Run | None, side: int) -> Moved:
        """Changes the side of the compared square."""
        if run is None:
            return Moved()
        run.side = side
        return self._look_at(run)

    def measure_region(self, run: Run | None, event: EventData) -> ViewerValue | Update:
        """Takes the rectangle that was selected in the viewer; an empty one clears it."""
        drawn = Rectangle(*(_whole(event, field) for field in "xywh"))
        if (run := kept(run)) is None:
            return KEEP
        width, height = run.size
        region = drawn.grown(0, Rectangle.whole(height, width))
        run.region = region if region.w > 0 and region.h > 0 else None
        return compare(run)

    def _page(self, run: Run) -> Shown:
        seen = copy(run)  # its square does not move between two parts of the answer
        return Shown(
            status=views.status_line(seen),
            overview=views.overview(seen),
            crops=views.crops(seen),
            table=views.table(seen),
            viewer=compare(seen),
        )

    def _look_at(self, run: Run | None, pixel: tuple[int, int] | None = None) -> Moved:
        if (run := kept(run)) is None:
            warn(FORGOTTEN)
            return Moved()
        run.look_at(pixel or run.pixel, run.side)
        # Handing the run back keeps it for another half hour. No copy is drawn: of several moves that are answered at
        # once each shows the newest place, so that none that is late takes the page back.
        return Moved(run, views.overview(run), views.crops(run), views.table(run), views.burst_frames(run))


def close_run(run: AnyRun | None) -> None:
    """Ends a run and deletes its pictures; also what `gr.State` calls for a session that is gone."""
    if run is not None:
        run.close()


def kept(run: Run | None) -> Run | None:
    """Returns a session's run, or nothing where its results are not kept any more."""
    return None if run is None or run.closed else run


def owner_of(request: gr.Request | None) -> str:
    """Returns whose call this is: the session's random name."""
    return str(request.session_hash or "") if request is not None else ""


def _stale(sentence: str) -> str:
    return f'<p class="stale" role="status">{escape(sentence)}</p>'


def sent(event: EventData, field: str, kind: Any) -> Any:
    """Returns a field of an event's data, which whoever sent it may have made up.

    Raises:
        ValueError: if it is not of that kind, see `check`.
    """
    data = check(dict[str, Any], event._data, "event")  # pyright: ignore[reportPrivateUsage] - Gradio has no other way
    return check(kind, data.get(field, NOTHING), f"event.{field}")


def sent_text(event: EventData, field: str, longest: int = 255, shortest: int = 1) -> str:
    """Returns a text that an event brings."""
    return sent(event, field, Annotated[str, text(longest, shortest)])


def _whole(event: EventData, field: str) -> int:
    return sent(event, field, Annotated[int, whole(0, MAX_SIDE)])


def _picture(data: bytes) -> Image.Image:
    """A figure for `gr.Image`, which keeps it in gradio's own cache and so deletes it with it."""
    return Image.open(io.BytesIO(data))


def _theme(dark: bool) -> drawings.Theme:
    return "dark" if dark else "light"
