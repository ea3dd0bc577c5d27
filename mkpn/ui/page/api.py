"""Named endpoints for `gradio_client`: the same service functions as the page, numbers instead of markup."""

from __future__ import annotations

import base64
import hashlib
import os.path
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import gradio as gr
from gradio.events import api as add_endpoint
from gradio.utils import get_upload_folder, is_in_or_equal

from mkpn.capture.burst import given_noise
from mkpn.checks import choice, shown, whole
from mkpn.explain import probe as kernels_of
from mkpn.synthesis.images import EXAMPLES, load_image
from mkpn.synthesis.noise import GAINS, noise_for_gain
from mkpn.ui.page.api_types import (
    Available,
    BurstRow,
    Compared,
    DenoisedBurst,
    Evaluated,
    Probed,
    Row,
    Synthesized,
)
from mkpn.ui.page.handlers import owner_of
from mkpn.ui.run.captured import Finished, run_captured, start_captured
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import PictureFolder
from mkpn.ui.run.session import Pane, Run, run_models, square_metrics, start_run
from mkpn.ui.run.settings import FIRST_SIDE, ImageRef, Settings
from mkpn.ui.run.sources import example_source
from mkpn.ui.saved.look import Look
from mkpn.ui.saved.recording import make_sheet, state_of
from mkpn.ui.saved.state import SIDES

RUNS = "models"
"""`concurrency_id` of everything that runs networks: one at a time."""

Image = dict[str, Any] | str
"""What a caller sends for a picture: an uploaded file or the name of a bundled example."""


Call = TypeVar("Call", bound=Callable[..., Any])


def _endpoint(call: Call) -> Call:
    """Gradio tells callers the type of what they get in the end, if it stands there as a type and not as text."""
    returned = get_type_hints(call)["return"]
    call.__annotations__["return"] = get_args(returned)[0] if isgeneratorfunction(call) else returned
    return call


class Endpoints:
    """The public endpoints by their names.

    Every refusal is a ValueError `FIELD: expected ..., got ...`, which reaches the caller as it is.
    """

    def __init__(self, store: ModelStore, root: Path) -> None:
        self._store = store
        self._root = root

    @contextmanager
    def _begun(
        self, image: Any, gain: Any, seed: Any, downsample: Any, models: tuple[str, ...], owner: str
    ) -> Generator[Run]:
        settings = Settings(noise=noise_for_gain(gain), downsample=downsample, seed=seed, models=models)
        ref, source = _open(image, self._root)
        run = start_run(load_image(source), ref.title, settings, self._store, self._root)
        run.image, run.owner = ref, owner
        try:
            yield run
        finally:
            run.close()

    def _names(self, models: Any) -> tuple[str, ...]:
        found = () if models is None else (choice("models", name, self._store.names) for name in _listed(models))
        return tuple(dict.fromkeys(found)) or self._store.names

    @_endpoint
    def synthesize(
        self, image: Image, gain: int = 4, seed: int = 0, downsample: int = 1, request: gr.Request | None = None
    ) -> Synthesized:
        """Makes a noisy burst of eight displaced frames out of a photograph, with its ground truth.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            gain: of the camera whose noise is added: 1, 2, 4 or 8.
            seed: 0 to 9007199254740991; the same seed gives the same burst.
            downsample: the photograph is box-downsampled by 1, 2 or 4 first.
        """
        with self._begun(image, gain, seed, downsample, (), owner_of(request)) as run:
            noise, (width, height) = run.settings.noise, run.size
            return {
                "width": width,
                "height": height,
                "sigma_r": noise.sigma_r,
                "sigma_s": noise.sigma_s,
                "offsets": run.burst.offsets.tolist(),
                "notes": run.notes,
                "frames": [_png(path) for path in run.frames],
                "clean": _png(run.panes["truth"].path),
            }

    @_endpoint
    def denoise(
        self,
        image: Image,
        gain: int = 4,
        seed: int = 0,
        downsample: int = 1,
        models: list[str] | None = None,
        pictures: bool = False,
        request: gr.Request | None = None,
    ) -> Iterator[list[Row]]:
        """Denoises a synthetic burst; the table of PSNR and SSIM grows model by model.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            gain: 1, 2, 4 or 8.
            seed: 0 to 9007199254740991.
            downsample: 1, 2 or 4.
            models: names of the models, empty for all.
            pictures: whether the last table has the pictures, too.
        """
        if not isinstance(pictures, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - a caller sends anything
            raise ValueError(f"pictures: expected true or false, got {shown(pictures)}")
        with self._begun(image, gain, seed, downsample, self._names(models), owner_of(request)) as run:
            yield table_rows(run)
            for _ in run_models(run, self._store):
                yield table_rows(run)
            if pictures:
                yield table_rows(run, pictures=True)

    @_endpoint
    def compare(
        self,
        image: Image,
        gain: int = 4,
        seed: int = 0,
        downsample: int = 1,
        models: list[str] | None = None,
        x: int | None = None,
        y: int | None = None,
        side: int = FIRST_SIDE,
        request: gr.Request | None = None,
    ) -> Compared:
        """Compares models on one burst, in the whole picture and in a square, and draws the paper's figure of it.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            gain: 1, 2, 4 or 8.
            seed: 0 to 9007199254740991.
            downsample: 1, 2 or 4.
            models: names of the models, empty for all.
            x: column of the pixel in the square's middle, with y; without them the picture's middle.
            y: row of that pixel.
            side: of the square: 32, 48, 64, 96 or 192.
        """
        side = choice("side", side, SIDES)
        if (x is None) != (y is None):
            raise ValueError(f"x and y: expected both or none of them, got {shown(x)} and {shown(y)}")
        chosen = self._names(models)
        with self._begun(image, gain, seed, downsample, chosen, owner_of(request)) as run:
            width, height = run.size
            if x is None or y is None:
                x, y = width // 2, height // 2
            x, y = whole("x", x, 0, width - 1), whole("y", y, 0, height - 1)
            run.look_at((x, y), side)
            for _ in run_models(run, self._store):
                pass
            panes = tuple(name for name in run.panes if run.done(name))
            sheet = make_sheet(run, state_of(run, Look(), panes, "noisy", self._store), self._root)
            try:
                return {
                    "square": {"x": run.square.x, "y": run.square.y, "side": run.square.w},
                    "rows": table_rows(run),
                    "squares": _square_rows(run, self._root),
                    "figure": _png(sheet.png),
                    "alt": sheet.alt,
                    "view": sheet.json.read_text("utf-8"),
                }
            finally:
                sheet.folder.remove()

    @_endpoint
    def probe(
        self,
        image: Image,
        model: str,
        x: int,
        y: int,
        gain: int = 4,
        seed: int = 0,
        downsample: int = 1,
        request: gr.Request | None = None,
    ) -> Probed:
        """Returns the kernels that made one pixel: by size, fused, and each frame's share of the result.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            model: name of the model.
            x: column of the pixel.
            y: row of the pixel.
            gain: 1, 2, 4 or 8.
            seed: 0 to 9007199254740991.
            downsample: 1, 2 or 4.
        """
        chosen = (choice("model", model, self._store.names),)
        with self._begun(image, gain, seed, downsample, chosen, owner_of(request)) as run:
            width, height = run.size
            x, y = whole("x", x, 0, width - 1), whole("y", y, 0, height - 1)
            pane = next(run_models(run, self._store), None)
            if pane is None or pane.result is None:
                raise gr.Error("stopped" if pane is None else pane.message)
            found = kernels_of(pane.result, x, y)
            return {
                "by_size": {str(size): kernel.tolist() for size, kernel in found.by_size.items()},
                "fused": found.fused.tolist(),
                "frame_weights": found.frame_weights.tolist(),
                "offsets": run.burst.offsets.tolist(),
            }

    @_endpoint
    def evaluate_image(
        self,
        image: Image,
        gains: list[int] | None = None,
        seed: int = 0,
        downsample: int = 1,
        models: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> Iterator[list[Evaluated]]:
        """Measures models on one photograph at several gains; the table grows gain by gain.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            gains: of 1, 2, 4 and 8, empty for all of them.
            seed: 0 to 9007199254740991.
            downsample: 1, 2 or 4.
            models: names of the models, empty for all.
        """
        asked = () if gains is None else tuple(choice("gains", gain, tuple(GAINS)) for gain in _listed(gains, "gains"))
        rows: list[Evaluated] = []
        for gain in dict.fromkeys(asked or GAINS):
            with self._begun(image, gain, seed, downsample, self._names(models), owner_of(request)) as run:
                for _ in run_models(run, self._store):
                    pass
                rows = [*rows, *(_evaluated(row, gain) for row in table_rows(run))]
                yield rows
                if run.stop.is_set():
                    return

    @_endpoint
    def denoise_burst(
        self,
        photographs: list[dict[str, Any]],
        models: list[str] | None = None,
        sigma_r: float | None = None,
        sigma_s: float | None = None,
        light: str = "auto",
        request: gr.Request | None = None,
    ) -> DenoisedBurst:
        """Denoises a real burst, and tells of each model whether what it removed is noise.

        Args:
            photographs: 2 to 8 photographs or raw files of one scene (`handle_file(path)` each), the reference first.
            models: names of the models, empty for MKPN or the last one that is there.
            sigma_r: read noise if it is known, with sigma_s; else the file's NoiseProfile or an estimate is used.
            sigma_s: shot noise.
            light: what the networks see of raw files: auto, linear or display.
        """
        paths = [_uploaded(photograph, "photographs")[1] for photograph in _listed(photographs, "photographs")]
        run = start_captured(
            paths,
            self._names(models) if models else self._store.names[-1:],
            self._store,
            self._root,
            noise=given_noise(sigma_r, sigma_s),
            light=choice("light", light, ("auto", "linear", "display")),
        )
        run.owner = owner_of(request)
        try:
            for _ in run_captured(run, self._store):
                pass
            if run.failed and not run.finished:
                raise gr.Error("; ".join(run.failures))
            return {"notes": [*run.notes, *run.failures], "models": [burst_row(done) for done in run.finished]}
        finally:
            run.close()

    @_endpoint
    def models(self) -> Available:
        """Returns the models that are there, the device, and the names of the bundled examples."""
        return {
            "models": list(self._store.names),
            "device": self._store.device_name,
            "examples": [e.name for e in EXAMPLES],
        }


def register(store: ModelStore, root: Path) -> None:
    """Adds the public endpoints to the page that is being built; everything else on it is private.

    Args:
        store: the networks.
        root: folder below which the pictures go.
    """
    own = Endpoints(store, root)
    for run in (own.synthesize, own.denoise, own.compare, own.probe, own.evaluate_image, own.denoise_burst):
        add_endpoint(run, api_name=run.__name__, concurrency_id=RUNS)
    add_endpoint(own.models, api_name=own.models.__name__)


def table_rows(run: Run, pictures: bool = False) -> list[Row]:
    """Returns the figures of every picture but the ground truth, in display order."""
    return [
        {
            "model": pane.id,
            "status": pane.status,
            "psnr": pane.psnr,
            "ssim": pane.ssim,
            "seconds": pane.seconds,
            "message": pane.message,
            "png": _png(pane.path) if pictures and pane.path is not None else None,
        }
        for pane in _measured(run)
    ]


def burst_row(done: Finished) -> BurstRow:
    """Returns the figures of a network on a real burst."""
    return {
        "model": done.model,
        "seconds": done.seconds,
        "mean": done.report.mean,
        "std": done.report.std,
        "expected_std": done.report.expected,
        "neighbours": done.report.neighbours,
        "verdict": done.report.verdict(),
        "png": _png(done.picture),
    }


def _measured(run: Run) -> list[Pane]:
    return [pane for pane in run.panes.values() if pane.group != "truth"]


def _square_rows(run: Run, root: Path) -> list[Row]:
    """The same rows of the compared square, with its pixels."""
    rows = table_rows(run)
    folder = PictureFolder(root)
    try:
        for row, pane in zip(rows, _measured(run), strict=True):
            found = square_metrics(run, pane)
            row["psnr"], row["ssim"] = found or (None, None)
            if pane.image is not None:
                row["png"] = _png(folder.save(pane.id, pane.image[:, *run.square.slices]))
    finally:
        folder.remove()
    return rows


def _evaluated(row: Row, gain: int) -> Evaluated:
    return {
        "model": row["model"],
        "gain": gain,
        "status": row["status"],
        "psnr": row["psnr"],
        "ssim": row["ssim"],
        "seconds": row["seconds"],
    }


def _png(path: Path | None) -> str:
    assert path is not None
    return base64.b64encode(path.read_bytes()).decode()


def _open(image: Any, root: Path) -> tuple[ImageRef, Any]:
    """Which picture it is, and what `load_image` takes."""
    if isinstance(image, str):
        source = example_source(choice("image", image, [example.name for example in EXAMPLES]), root)
        return source.ref, source.pixels()
    name, path = _uploaded(image, "image")
    data = path.read_bytes()
    return ImageRef(name or "image", None, hashlib.sha256(data).hexdigest()), data


def _uploaded(image: Any, field: str) -> tuple[str, Path]:
    path = image.get("path") if isinstance(image, dict) else None
    # Only what has been uploaded: a bare path could name any file of the server.
    if not isinstance(path, str) or "\0" in path or not is_in_or_equal(path, get_upload_folder()):
        what = "an uploaded file" if field == "photographs" else "an uploaded file or the name of a bundled example"
        raise ValueError(f"{field}: expected {what}, got {shown(image)}")
    # Unlike `Path.is_file`, this one does not fail for a name that is too long.
    if not os.path.isfile(path):
        raise ValueError(
            f"{field}: expected an uploaded file that is still kept, got one that is gone; upload it again"
        )
    name = image.get("orig_name")
    return (name if isinstance(name, str) and name else Path(path).name)[:255], Path(path)


def _listed(values: Any, field: str = "models") -> list[Any]:
    if not isinstance(values, list):
        kind = {"models": "names", "gains": "numbers"}.get(field, "uploaded files")
        raise ValueError(f"{field}: expected a list of {kind}, got {shown(values)}")
    return values  # pyright: ignore[reportUnknownVariableType] - checked one by one
