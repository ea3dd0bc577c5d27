"""What one click on Run does, without Gradio: the burst, then model after model."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mkpn.geometry import Rectangle
from mkpn.inference.denoiser import Result, Stopped
from mkpn.metrics import MetricDefinition, definition_for, psnr, ssim
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.burst import Burst, burst_of, rng_for
from mkpn.ui.run.going import hollow
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import PictureFolder
from mkpn.ui.run.settings import FIRST_SIDE, ImageRef, Recorded, Settings, fit_scene

LOGGER = logging.getLogger("mkpn.service")

Group = Literal["noisy", "mean", "baseline", "mkpn", "truth"]
Status = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(kw_only=True)
class Pane:
    """One picture of the comparison: an input, a model's result or the ground truth.

    Attributes:
        id: `noisy`, `mean`, a model's name, or `truth`.
        label: its name for people.
        group: what kind of picture it is.
        status: how far it is.
        kernel: kernel sides for people, e.g. `5×5`; empty where there is no kernel.
        image: `[C,H,W]` intensities as the model made them, not clipped.
        path: exact PNG of the whole image.
        psnr: of the whole image in dB.
        ssim: of the whole image.
        seconds: time of the network and the local convolution.
        message: what went wrong, for people.
        result: what the kernels can be read from.
        measured: PSNR and SSIM of the compared square, and which one that was.
    """

    id: str
    label: str
    group: Group
    status: Status = "waiting"
    kernel: str = ""
    image: torch.Tensor | None = None
    path: Path | None = None
    psnr: float | None = None
    ssim: float | None = None
    seconds: float | None = None
    message: str = ""
    result: Result | None = None
    measured: tuple[Rectangle, float, float] | None = None


@dataclass(kw_only=True, eq=False)
class Run:
    """A burst and what the models have made of it so far; equal to itself only.

    Attributes:
        title: the image's name.
        notes: what was done to the image before the burst was made, one sentence each.
        settings: what was asked for.
        burst: the frames and the ground truth.
        panes: every picture by id, in display order: noisy, mean, baselines by kernel size, MKPN, ground truth.
        folder: where the pictures lie.
        definition: how the whole images are measured.
        device: where the models run, for people.
        stop: set to keep what is finished, to give up the model that runs and to start no further one.
        square: the part that is compared, large in the page.
        side: side of the square in pixels that was asked for; a small picture has a smaller one.
        pixel: column and row whose kernels are shown, in the middle of the square where the image does not end.
        shown: id of the pane that the page shows whole.
        image: which picture this is, to find it again.
        region: the rectangle that is selected in the viewer.
        view: how the viewer should look; None leaves it as it is.
        recorded: the numbers of the file or address that this run was rebuilt from.
        scene: `[h,w,3]`, the picture that the burst was cut from, with its margin.
        token: names the run to its own page and to nobody else.
        caveats: what of that file or address could not be kept, one sentence each.
        owner: whose run it is: the session of the page or the call.
        shared: its results belong to other pages, too, and stay when it is closed.
        closed: its results are not kept any more.
        afterwards: what is called once it is closed.
    """

    title: str
    notes: list[str]
    settings: Settings
    burst: Burst
    panes: dict[str, Pane]
    folder: PictureFolder
    definition: MetricDefinition
    device: str
    square: Rectangle
    side: int
    pixel: tuple[int, int]
    image: ImageRef
    scene: NDArray[np.float32]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    shown: str = "noisy"
    region: Rectangle | None = None
    view: dict[str, Any] | None = None
    recorded: Recorded | None = None
    caveats: list[str] = field(default_factory=lambda: list[str]())
    owner: str = ""
    shared: bool = False
    closed: bool = False
    afterwards: list[Callable[[], None]] = field(default_factory=lambda: list[Callable[[], None]]())
    stop: threading.Event = field(default_factory=threading.Event)
    frames: list[Path] = field(default_factory=lambda: list[Path]())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.burst.clean.shape[2], self.burst.clean.shape[1]

    @property
    def model_panes(self) -> list[Pane]:
        """The panes of the networks that were asked for."""
        return [pane for pane in self.panes.values() if pane.group in ("baseline", "mkpn")]

    def look_at(self, pixel: tuple[int, int], side: int) -> None:
        """Compares the square of at most `side` around a pixel, which is moved inside of the image."""
        width, height = self.size
        self.side = side
        self.pixel = (min(max(pixel[0], 0), width - 1), min(max(pixel[1], 0), height - 1))
        self.square = Rectangle.around(self.pixel, side, width, height)

    def done(self, name: str) -> bool:
        """Tells whether a pane's picture is there."""
        return name in self.panes and self.panes[name].status == "done"

    def cancel(self) -> None:
        """Keeps what is finished and gives up the rest."""
        self.stop.set()
        for pane in self.model_panes:
            if pane.status in ("waiting", "running"):
                pane.status = "stopped"

    def close(self) -> None:
        """Gives up what is not finished, and deletes the results and their pictures."""
        self.cancel()
        self.closed = True
        for pane in self.panes.values():
            pane.image, pane.result = None, None
        self.burst, self.scene = hollow(self.burst), np.broadcast_to(np.float32(0), self.scene.shape)
        if not self.shared:
            self.folder.remove()
        for call in self.afterwards:
            call()


def start_run(
    pixels: NDArray[np.float32], title: str, settings: Settings, store: ModelStore, root: Path, side: int = FIRST_SIDE
) -> Run:
    """Makes the burst and the pictures that need no model: noisy frame, burst mean, ground truth, all frames.

    Args:
        pixels: `[H,W,3]` intensities.
        title: the image's name for people.
        settings: what to do.
        store: the models; none is loaded yet.
        root: folder below which the pictures go.
        side: of the compared square in pixels.

    Raises:
        ValueError: if the image is too small for the settings.
    """
    scene, notes = fit_scene(pixels, settings)
    burst = burst_of(scene, settings.noise, rng_for(settings.seed), settings.motion)
    height, width = burst.clean.shape[1:]
    folder = PictureFolder(root)
    run = Run(
        title=title,
        notes=notes,
        settings=settings,
        burst=burst,
        panes=_empty_panes(settings.models),
        folder=folder,
        definition=definition_for(height, width),
        device=store.device_name,
        square=Rectangle.around((width // 2, height // 2), side, width, height),
        side=side,
        pixel=(width // 2, height // 2),
        image=ImageRef(title),
        scene=scene,
    )
    with folder.removed_on_error():
        run.frames = [folder.save(f"frame-{index}", frame) for index, frame in enumerate(burst.frames)]
        _finish(run, run.panes["noisy"], burst.frames[0])
        _finish(run, run.panes["mean"], burst.frames.mean(0))
        _finish(run, run.panes["truth"], burst.clean)
    return run


def run_models(run: Run, store: ModelStore) -> Iterator[Pane]:
    """Runs the models in display order; a model that fails leaves its message and the others go on.

    Yields:
        The pane that has just been finished, while the next one is called running; nothing more once `run.stop` is set,
        which ends the model that runs, too.
    """
    with store.going.computing(run):
        for pane in run.model_panes:
            if run.stop.is_set():
                return
            pane.status = "running"
            try:
                result = store.get(pane.id)(run.burst, stop=run.stop.is_set)
                if run.stop.is_set():
                    return
                # Before the pane is called done: a page may copy it at any moment.
                pane.result, pane.seconds = result, result.seconds
                _finish(run, pane, result.image)
            except Stopped:
                pane.status = "stopped"
                return
            # One model that fails in any way must not lose the others' results.
            except Exception as error:
                pane.status, pane.message = "failed", reason(error, store.folder)
                pane.result = pane.seconds = None
            fields = {"model": pane.id, "status": pane.status, "seconds": pane.seconds, "message": pane.message}
            LOGGER.info("model", extra={"fields": {name: value for name, value in fields.items() if value}})
            mark_next(run)
            yield pane


def mark_next(run: Run) -> None:
    """Calls the first model that waits running, so that the page names the model that it waits for."""
    for pane in run.model_panes:
        if pane.status == "running":
            return
        if pane.status == "waiting":
            pane.status = "running"
            return


def reason(error: Exception, folder: Path) -> str:
    """What went wrong, for people: a sentence stays as it is, but names no folder of the server."""
    sentence = str(error).replace(f"{folder}{os.sep}", "")
    return sentence if isinstance(error, ValueError) else f"{type(error).__name__}: {sentence}"


def square_metrics(run: Run, pane: Pane) -> tuple[float, float] | None:
    """Returns PSNR and SSIM of the compared square, no border removed; None where there is nothing to measure."""
    if pane.image is None or pane.group == "truth":
        return None
    # Once, because another event may move it meanwhile.
    square = run.square
    if (measured := pane.measured) is None or measured[0] != square:
        rows, columns = square.slices
        a, b = pane.image[:, rows, columns].clamp(0, 1), run.burst.clean[:, rows, columns]
        pane.measured = measured = (square, psnr(a, b, CROP_DEFINITION), ssim(a, b, CROP_DEFINITION))
    return measured[1:]


def stay_in_place(run: Run, previous: Run | None) -> None:
    """Takes over what the page shows of the run before; square and region where the pictures have the same size."""
    if previous is None:
        return
    run.shown = previous.shown
    same = previous.size == run.size
    run.look_at(previous.pixel if same else run.pixel, previous.side)
    run.region = previous.region if same else run.region


CROP_DEFINITION = MetricDefinition(border=0)
"""A crop has neighbours on all sides, so nothing is removed from it."""


def _empty_panes(models: tuple[str, ...]) -> dict[str, Pane]:
    panes = [Pane(id="noisy", label="Noisy frame", group="noisy"), Pane(id="mean", label="Burst mean", group="mean")]
    for name in MODELS:
        if name in models:
            config = model_config(name)
            side = f"{config.sizes[0]}×{config.sizes[0]}"
            kernel = f"{min(config.sizes)}…{max(config.sizes)}" if name == "mkpn" else side
            group: Group = "mkpn" if name == "mkpn" else "baseline"
            panes.append(Pane(id=name, label=config.label, group=group, kernel=kernel if config.separable else "full"))
    panes.append(Pane(id="truth", label="Ground truth", group="truth"))
    return {pane.id: pane for pane in panes}


def _finish(run: Run, pane: Pane, image: torch.Tensor) -> None:
    """Measures a picture, writes it, and only then calls it done."""
    pane.path = run.folder.save(pane.id, image)
    pane.image = image
    if pane.group != "truth":
        shown = image.clamp(0, 1)
        pane.psnr = psnr(shown, run.burst.clean, run.definition)
        pane.ssim = ssim(shown, run.burst.clean, run.definition)
    pane.status = "done"
