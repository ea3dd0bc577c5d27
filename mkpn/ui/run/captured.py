"""A visitor's own burst, without Gradio: photographs are read, networks run, pictures and figures are written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mkpn.capture.burst import CapturedBurst, read_burst
from mkpn.capture.residual import Residual, residual
from mkpn.checks import choice
from mkpn.evaluation.captured import describe
from mkpn.figures.residual import residual_figure
from mkpn.inference.denoiser import Result, Stopped
from mkpn.model.config import model_config
from mkpn.synthesis.files import MAX_MEGAPIXELS
from mkpn.synthesis.noise import Noise
from mkpn.ui.run.going import hollow
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import PictureFolder
from mkpn.ui.run.session import reason
from mkpn.ui.run.settings import MAX_SIDE


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a network made of the burst.

    Attributes:
        model: its name.
        label: its name for people.
        picture: exact PNG of the result, as it is shown.
        figure: PNG with the residual's figures.
        report: what was removed.
        seconds: time of the network and the local convolution.
    """

    model: str
    label: str
    picture: Path
    figure: Path
    report: Residual
    seconds: float


@dataclass(kw_only=True, eq=False)
class CapturedRun:
    """A burst of photographs and what the models have made of it so far; equal to itself only.

    Attributes:
        burst: the frames.
        models: names of the networks to run.
        notes: what was done, one sentence each.
        folder: where the pictures lie.
        noisy: exact PNG of the reference, as it is shown.
        finished: the networks that have run.
        failed: why others could not, by name.
        owner: whose run it is: the session of the page or the call.
        stop: set to keep what is finished and to give up the network that runs.
        closed: its results are not kept any more.
    """

    burst: CapturedBurst
    models: tuple[str, ...]
    notes: list[str]
    folder: PictureFolder
    noisy: Path
    finished: list[Finished] = field(default_factory=lambda: list[Finished]())
    failed: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    owner: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.burst.frames.shape[3], self.burst.frames.shape[2]

    @property
    def failures(self) -> list[str]:
        """A sentence for each network that failed."""
        return [f"{model_config(name).label} failed: {why}" for name, why in self.failed.items()]

    def cancel(self) -> None:
        """Keeps what is finished and gives up the rest."""
        self.stop.set()

    def close(self) -> None:
        """Gives up what is not finished, and deletes the results and their pictures."""
        self.cancel()
        self.closed = True
        self.burst = hollow(self.burst)
        self.folder.remove()


def start_captured(
    paths: Sequence[str | Path],
    models: Sequence[str],
    store: ModelStore,
    root: Path,
    *,
    noise: Noise | Literal["auto", "estimate"] = "auto",
    light: Literal["auto", "linear", "display"] = "auto",
) -> CapturedRun:
    """Reads the centre of 2 to 8 photographs, at most 512 pixels wide and high, as a burst.

    Args:
        paths: the photographs, the reference first.
        models: networks to run.
        store: the networks that are there.
        root: folder below which the pictures go.
        noise: see `read_burst`.
        light: see `read_burst`.

    Raises:
        ValueError: if the photographs are no burst, no network is to run, or a value is out of its range.
    """
    if not models:
        raise ValueError("models: expected at least one, got none")
    chosen = tuple(dict.fromkeys(choice("models", name, store.names) for name in models))
    burst = read_burst(paths, noise=noise, light=light, crop=MAX_SIDE, max_megapixels=MAX_MEGAPIXELS)
    folder = PictureFolder(root)
    height, width = burst.frames.shape[-2:]
    with folder.removed_on_error():
        noisy = folder.save("noisy", burst.displayed(burst.frames[0]))
    return CapturedRun(
        burst=burst,
        models=chosen,
        notes=[f"{width}×{height} pixels at the centre.", *describe(burst)],
        folder=folder,
        noisy=noisy,
    )


def run_captured(run: CapturedRun, store: ModelStore) -> Iterator[CapturedRun]:
    """Runs the models; yields the run after each of them, and nothing more once `run.stop` is set."""
    with store.going.computing(run):
        for name in run.models:
            try:
                result = store.get(name)(run.burst, stop=run.stop.is_set)
                if run.stop.is_set():
                    return
                run.finished.append(_finished(run, name, result))
            except Stopped:
                return
            # One model that fails in any way must not lose the others' results.
            except Exception as error:
                run.failed[name] = reason(error, store.folder)
            yield run


def _finished(run: CapturedRun, name: str, result: Result) -> Finished:
    report = residual(run.burst, result.image)
    label = model_config(name).label
    figure = run.folder.path / f"residual-{name}.png"
    figure.write_bytes(residual_figure(report, label))
    return Finished(
        model=name,
        label=label,
        picture=run.folder.save(name, run.burst.displayed(result.image)),
        figure=figure,
        report=report,
        seconds=result.seconds,
    )
