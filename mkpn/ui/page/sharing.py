"""Event handlers of figure, file and permalink: open a state, rebuild its run, tell whether it still holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr
from gradio import EventData

from mkpn.model.config import model_config
from mkpn.ui.page.answers import KEEP, Drawn, GivenUp, Opened, Remembered, Shown, Told, warn
from mkpn.ui.page.fields import strengths
from mkpn.ui.page.handlers import LONGEST, Handlers, Update, kept, owner_of, sent_text
from mkpn.ui.page.run_controls import CUSTOM
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import Run, start_run
from mkpn.ui.run.settings import FIRST_SIDE
from mkpn.ui.run.sources import Source, example_source, forget_source
from mkpn.ui.saved import recording
from mkpn.ui.saved.look import PANES, Look
from mkpn.ui.saved.permalink import from_query, to_query
from mkpn.ui.saved.recording import Sheet
from mkpn.ui.saved.state import FIGURE_PANES, MOST_CHARACTERS, State, from_json

_LINK = "the link"
_tokens = itertools.count(1)


@dataclass(frozen=True)
class Pending:
    """A state that waits for its run, or for its picture.

    Attributes:
        state: what to rebuild.
        origin: where it came from, for people.
        caveats: what of it could not be kept, one sentence each.
        addressed: it stands in the address of the page, which stays as it is as long as the state waits.
    """

    state: State
    origin: str
    caveats: tuple[str, ...] = ()
    addressed: bool = False

    @property
    def subject(self) -> str:
        """Where it came from, at the beginning of a sentence; the name of a file stays as it is."""
        return "The link" if self.origin == _LINK else self.origin


class Sharing:
    """The handlers; a session's data are the `Run`, the viewer's `Look`, what is `Pending`, and the last `Sheet`."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.store = handlers.store
        self.root = handlers.root

    def open_link(self, source: Source | None, event: EventData) -> Opened:
        """Takes the query of the address that the page was opened with."""
        state, problems = from_query(sent_text(event, "query", 100_000, 0))
        if state is None:
            notice = _failure("This link cannot be opened.", problems) if problems else KEEP
            return Opened(notice=notice, link=_arrival())
        return self._open(Pending(state, _LINK, tuple(problems), addressed=True), source)

    def open_file(self, source: Source | None, event: EventData) -> Opened:
        """Takes the text of a figure's file; one that cannot be read changes nothing but the message."""
        name = sent_text(event, "name", LONGEST)
        try:
            state = from_json(sent_text(event, "text", 10 * MOST_CHARACTERS, 0))
        except ValueError as error:
            return Opened(notice=_failure(f"{name} was not opened and nothing was changed.", [str(error)]))
        return self._open(Pending(state, name), source)

    def refuse_file(self, event: EventData) -> str:
        """Tells why the browser did not send a file."""
        return _failure("Nothing was opened.", [sent_text(event, "reason", LONGEST)])

    def resume(self, pending: Pending | None, source: Source | None) -> Opened:
        """Looks whether a picture that was just uploaded is the one that a state waits for."""
        if pending is None or source is None or pending.state.image.bundled is not None:
            return Opened()
        if source.path is None:  # the upload was refused: a bundled picture is still chosen
            return Opened()
        if source.sha256 == pending.state.image.sha256:
            return self._open(pending, source)
        problem = f"{source.title} is another file: its SHA-256 is {source.sha256[:16]}…. {_asks_for(pending)}"
        return Opened(notice=_failure(f"{pending.subject} is still waiting for its picture.", [problem]))

    def rebuild(
        self,
        pending: Pending | None,
        source: Source | None,
        previous: Run | None,
        request: gr.Request | None = None,
    ) -> Iterator[tuple[Any, ...]]:
        """Runs what a state says, and puts the page as it says. What the first run still computes comes by `follow`.

        Yields:
            At once that nothing waits any more, since what is opened from then on is another view; then the page
            after each model, the first one with the viewer's look.
        """
        if pending is None or source is None:
            yield *Shown(), KEEP, KEEP
            return
        yield *Shown(), None, KEEP
        # What waits was put there by this very session, and its picture with it.
        self.store.going.welcome(owner_of(request))
        state = pending.state
        settings = state.settings
        missing = [name for name in settings.models if name not in self.store.names]
        settings = replace(settings, models=tuple(name for name in settings.models if name not in missing))
        side = state.square[2] if state.square else FIRST_SIDE
        first = self.handlers.first
        known = first is not None and first.shows(source.ref, settings)
        try:
            run = (
                first.copy(side)
                if first is not None and known
                else start_run(source.pixels(), source.title, settings, self.store, self.root, side)
            )
        except ValueError as error:
            warn(str(error))
            return
        run.image, run.owner = source.ref, owner_of(request)
        run.shown = state.shown
        run.caveats = [*pending.caveats, *(f"{model_config(name).label} is not on this server." for name in missing)]
        recording.restore_place(run, state)
        pages = self.handlers.begin if known else self.handlers.stream
        # Only once: what the viewer tells from then on is newer.
        look: Any = state.look
        for page in pages(run, previous):
            yield *page, KEEP, look
            look = KEEP

    def report(self, run: Run | None) -> str | Update:
        """Tells whether a rebuilt run gives the numbers that were recorded; clears the message of any other run."""
        if run is None or run.recorded is None:
            return ""
        found = recording.differences(run, self.store)
        caveats = (
            _failure("Not everything could be restored; the page has its defaults instead.", run.caveats)
            if run.caveats
            else ""
        )
        if found:
            return caveats + _failure("This view no longer gives the numbers that were recorded.", found)
        done = "The rest was restored." if run.caveats else "Restored."
        count = len(run.recorded.figures)
        agrees = f" The recorded figures of all {count} pictures are the same again." if count else ""
        return f'{caveats}<p class="notes" role="status" data-state="same">{done}{agrees}</p>'

    def finish(self, run: Run | None, look: Look, panes: list[str], shown: str, pending: Pending | None) -> Told:
        """After a run: whether it gives what was recorded, and its address."""
        return Told(self.report(run), self.link(run, look, panes, shown, pending))

    def forget(self) -> GivenUp:
        """Gives up what was waiting: the user has started something else."""
        return GivenUp(pending=None, notice="")

    def remember(
        self, run: Run | None, panes: list[str], shown: str, pending: Pending | None, event: EventData
    ) -> Remembered:
        """Keeps how the viewer looks, unless it has told so before it took over the view that was restored."""
        data: Any = event._data or {}  # pyright: ignore[reportPrivateUsage] - Gradio has no other way
        try:
            look = Look.from_event(data)
        except ValueError:
            return Remembered()
        if run is not None and run.view is not None and data.get("token") != run.view["token"]:
            return Remembered()
        return Remembered(look, self.link(run, look, panes, shown, pending))

    def link(
        self, run: Run | None, look: Look, panes: list[str], shown: str, pending: Pending | None = None
    ) -> dict[str, Any] | Update:
        """Returns the address of what is on the page, but keeps one that still waits for its picture."""
        if (run := kept(run)) is None or (pending is not None and pending.addressed):
            return KEEP
        state = recording.state_of(run, look, _ordered(panes), shown, self.store)
        if run.recorded is not None and run.recorded.figures:
            # The address goes on saying what was recorded first, or a reload would forget that it has changed.
            state = replace(state, recorded=run.recorded)
        return {"query": to_query(state), "go": None}

    def figure(self, run: Run | None, look: Look, panes: list[str], shown: str, previous: Sheet | None) -> Drawn:
        """Makes the paper's figure of what is on the page."""
        if (run := kept(run)) is None:
            warn("Press Run first: the figure is made of its pictures.")
            return Drawn()
        try:
            state = recording.state_of(run, look, _ordered(panes), shown, self.store)
            sheet = recording.make_sheet(run, state, self.root)
        except ValueError as error:
            warn(str(error))
            return Drawn()
        close_sheet(previous)
        return Drawn(sheet, sheet_html(sheet))

    def as_paper(self) -> list[str]:
        """Returns the columns of the paper's figures, as far as they are there."""
        return self._available(FIGURE_PANES)

    def as_viewer(self, run: Run | None, look: Look) -> list[str]:
        """Returns what is on the screen in the viewer."""
        visible = look.visible()
        return self._available(visible if run is None else tuple(pane for pane in visible if pane in run.panes))

    def _open(self, pending: Pending, source: Source | None) -> Opened:
        image = pending.state.image
        caveats = pending.caveats
        if image.bundled is not None:
            found = example_source(image.title, self.root)
            forget_source(source)
            if image.sha256 and image.sha256 != found.sha256:
                caveats += (f"{image.title} is another picture than it was: scikit-image has changed it.",)
        elif source is not None and source.sha256 == image.sha256:
            found = source
        else:
            asks = f'<p class="notes" role="status" data-state="waiting"><b>{escape(_asks_for(pending))}</b></p>'
            return Opened(pending=pending, notice=asks, link=_arrival() if pending.addressed else KEEP)
        pending = replace(pending, caveats=caveats)
        notice = f'<p class="notes" role="status" data-state="busy">Restoring {escape(pending.origin)} …</p>'
        # The page answers a new number with the event `go`, which starts the run in the queue of the models.
        return self._controls(pending.state, found)._replace(
            pending=pending, notice=notice, link={"query": None, "go": next(_tokens)}
        )

    def _controls(self, state: State, source: Source) -> Opened:
        settings = state.settings
        motion, noise = settings.motion, settings.noise
        shown_noise = strengths(noise) if state.gain else noise
        return Opened(
            source=source,
            preview=source.html(),
            downsample=settings.downsample,
            fit=settings.fit,
            gain=CUSTOM if state.gain is None else str(state.gain),
            sigma_r=shown_noise.sigma_r,
            sigma_s=shown_noise.sigma_s,
            rate=motion.rate,
            small=motion.small,
            large=motion.large,
            seed=settings.seed,
            models=[name for name in settings.models if name in self.store.names],
            side=state.square[2] if state.square else KEEP,
            shown=state.shown if state.shown in self._available(PANES) else "noisy",
            panes=self._available(state.panes),
        )

    def _available(self, panes: tuple[str, ...]) -> list[str]:
        there = ("noisy", "mean", "truth", *self.store.names)
        return [pane for pane in panes if pane in there]


def close_sheet(sheet: Sheet | None) -> None:
    """Deletes a figure's files; also what `gr.State` calls for a session that is gone."""
    if sheet is not None:
        sheet.folder.remove()


def sheet_html(sheet: Sheet) -> str:
    """Returns the figure with its downloads and its alt text."""
    width, height = sheet.size
    downloads = "".join(
        f'<a class="download" href="{picture_url(path)}" download="{path.name}">{kind}</a>'
        for kind, path in (("PNG", sheet.png), ("PDF", sheet.pdf), ("JSON", sheet.json))
    )
    missing = ", ".join(sheet.left_out)
    note = f'<p class="caption">Left out, because there is no picture: {escape(missing)}.</p>' if missing else ""
    alt = escape(sheet.alt)
    return (
        f'<figure class="sheet"><a href="{picture_url(sheet.png)}" target="_blank" rel="noopener" '
        f'title="Open the figure in its full size"><img src="{picture_url(sheet.png)}" width="{width}" '
        f'height="{height}" alt="{alt}"></a><figcaption><p class="downloads"><span>Download</span>{downloads}'
        f"<small>{width}×{height} px; the JSON rebuilds this view.</small></p>{note}"
        f'<label for="sheet-alt">Alt text</label><textarea id="sheet-alt" readonly rows="5">{alt}</textarea>'
        '<button type="button" class="download" data-copy="sheet-alt">Copy alt text</button>'
        '<span class="said" role="status"></span></figcaption></figure>'
    )


def _ordered(panes: list[str]) -> tuple[str, ...]:
    return tuple(pane for pane in PANES if pane in panes)


def _asks_for(pending: Pending) -> str:
    image = pending.state.image
    return (
        f"{pending.subject} shows a picture of your own: choose {image.title} on the left, the same file as then "
        f"(SHA-256 {image.sha256[:16]}…)."
    )


def _arrival() -> dict[str, Any]:
    """Makes the page ask for the first results, where its address does not say what else to show."""
    return {"query": None, "go": None, "arrive": next(_tokens)}


def _failure(title: str, sentences: list[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<div class="failure" role="alert" data-state="problem"><b>{escape(title)}</b><ul>{items}</ul></div>'
