"""Named endpoints for `gradio_client`: the same service functions as the page, numbers instead of markup."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api as add_endpoint
from gradio.utils import get_upload_folder, is_in_or_equal

from mkpn.capture.burst import given_noise
from mkpn.checks import choice, shown
from mkpn.explain import probe
from mkpn.synthesis.images import EXAMPLES, example_image, load_image
from mkpn.synthesis.noise import noise_for_gain
from mkpn.ui.page.handlers import owner_of
from mkpn.ui.run.captured import Finished, run_captured, start_captured
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.session import Run, run_models, start_run
from mkpn.ui.run.settings import Settings

RUNS = "models"
"""`concurrency_id` of everything that runs networks: one at a time."""


def register(store: ModelStore, root: Path) -> None:
    """Adds the endpoints `/denoise`, `/denoise_burst`, `/kernels` and `/models` to the page that is being built."""

    def begin(image: dict[str, Any] | str, gain: int, seed: int, downsample: int, models: list[str], owner: str) -> Run:
        try:
            names = _names(models) or store.names
            settings = Settings(noise=noise_for_gain(gain), downsample=downsample, seed=seed, models=names)
            title, source = _open(image)
            run = start_run(load_image(source), title, settings, store, root)
        except ValueError as error:
            raise gr.Error(str(error)) from error
        run.owner = owner
        return run

    def denoise(
        image: dict[str, Any] | str,
        gain: int = 4,
        seed: int = 0,
        downsample: int = 1,
        models: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> Iterator[list[dict[str, Any]]]:
        """Denoises a synthetic burst; the table grows model by model.

        Args:
            image: a file (`handle_file(path)`) or the name of a bundled example.
            gain: 1, 2, 4 or 8.
            seed: 0 or more.
            downsample: 1, 2 or 4.
            models: names of the models, empty for all.
        """
        run = begin(image, gain, seed, downsample, models or [], owner_of(request))
        try:
            yield table_rows(run)
            for _ in run_models(run, store):
                yield table_rows(run)
        finally:
            run.close()

    def kernels(
        image: dict[str, Any] | str,
        model: str,
        x: int,
        y: int,
        gain: int = 4,
        seed: int = 0,
        downsample: int = 1,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Returns the kernels that made one pixel: by size, fused, and each frame's share of the result."""
        run = begin(image, gain, seed, downsample, [model], owner_of(request))
        try:
            pane = next(run_models(run, store))
            if pane.result is None:
                raise gr.Error(pane.message)
            found = probe(pane.result, x, y)
        except ValueError as error:
            raise gr.Error(str(error)) from error
        finally:
            run.close()
        return {
            "by_size": {str(size): kernel.tolist() for size, kernel in found.by_size.items()},
            "fused": found.fused.tolist(),
            "frame_weights": found.frame_weights.tolist(),
            "offsets": run.burst.offsets.tolist(),
        }

    def denoise_burst(
        photographs: list[dict[str, Any]],
        models: list[str] | None = None,
        sigma_r: float | None = None,
        sigma_s: float | None = None,
        light: str = "auto",
    ) -> dict[str, Any]:
        """Denoises a real burst, and tells of each model whether what it removed is noise.

        Args:
            photographs: 2 to 8 photographs or raw files of one scene (`handle_file(path)` each), the reference first.
            models: names of the models, empty for MKPN or the last one that is there.
            sigma_r: read noise if it is known, with sigma_s; else the file's NoiseProfile or an estimate is used.
            sigma_s: shot noise.
            light: what the networks see of raw files: auto, linear or display.
        """
        try:
            paths = [_uploaded(photograph)[1] for photograph in _listed("photographs", photographs)]
            names = _names(models) or store.names[-1:]
            run = start_captured(
                paths,
                names,
                store,
                root,
                noise=given_noise(sigma_r, sigma_s),
                light=choice("light", light, ("auto", "linear", "display")),
            )
        except ValueError as error:
            raise gr.Error(str(error)) from error
        try:
            return {"notes": run.notes, "models": [burst_row(done) for done in run_captured(run, store)]}
        finally:
            run.folder.remove()

    def models() -> dict[str, Any]:
        """Returns the models that are there, the device, and the names of the bundled examples."""
        return {"models": list(store.names), "device": store.device_name, "examples": [e.name for e in EXAMPLES]}

    add_endpoint(denoise, api_name="denoise", concurrency_id=RUNS)
    add_endpoint(kernels, api_name="kernels", concurrency_id=RUNS)
    add_endpoint(denoise_burst, api_name="denoise_burst", concurrency_id=RUNS)
    add_endpoint(models, api_name="models")


def table_rows(run: Run) -> list[dict[str, Any]]:
    """Returns the figures of every picture but the ground truth, in display order."""
    return [
        {
            "model": pane.id,
            "status": pane.status,
            "psnr": pane.psnr,
            "ssim": pane.ssim,
            "seconds": pane.seconds,
            "message": pane.message,
        }
        for pane in run.panes.values()
        if pane.group != "truth"
    ]


def burst_row(done: Finished) -> dict[str, Any]:
    """Returns the figures of a network on a real burst; `png` is the result's file in base64."""
    return {
        "model": done.model,
        "seconds": done.seconds,
        "mean": done.report.mean,
        "std": done.report.std,
        "expected_std": done.report.expected,
        "neighbours": done.report.neighbours,
        "verdict": done.report.verdict(),
        "png": base64.b64encode(done.picture.read_bytes()).decode(),
    }


def _open(image: dict[str, Any] | str) -> tuple[str, Any]:
    if isinstance(image, str):
        return image, example_image(image)
    return _uploaded(image)


def _uploaded(image: Any) -> tuple[str, Path]:
    path = image.get("path") if isinstance(image, dict) else None
    # Only what has been uploaded: a bare path could name any file of the server.
    if not isinstance(path, str) or "\0" in path or not is_in_or_equal(path, get_upload_folder()):
        raise ValueError("image: expected an uploaded file or the name of a bundled example")
    name = image.get("orig_name")
    return (name if isinstance(name, str) and name else Path(path).name)[:255], Path(path)


def _names(models: Any) -> tuple[str, ...]:
    return () if models is None else tuple(_listed("models", models))


def _listed(field: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        kind = "names" if field == "models" else "uploaded files"
        raise ValueError(f"{field}: expected a list of {kind}, got {shown(values)}")
    return values
