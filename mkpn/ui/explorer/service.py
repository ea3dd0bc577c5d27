"""What the explorer's page asks and what it is told: numbers and arrays of a run, no markup, no Gradio."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from mkpn.checks import choice, number, whole
from mkpn.explain import probe
from mkpn.explain.estimates import Estimates, estimate, recompose
from mkpn.explain.maps import Behaviour, behaviour
from mkpn.explain.oracle import aligned_mean
from mkpn.explain.places import find_places, motion_error
from mkpn.explain.rebuild import neighbourhood, true_place
from mkpn.explain.regions import REGIONS, RULE, classify
from mkpn.explain.statistics import kernel_statistics
from mkpn.explain.winners import area_shares, squared_error, winners
from mkpn.inference.denoiser import Result, Stopped
from mkpn.metrics import psnr
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.burst import Burst, burst_of, rng_for
from mkpn.synthesis.images import to_uint8
from mkpn.synthesis.noise import GAINS, gain_of
from mkpn.ui.explorer.cache import Cache
from mkpn.ui.explorer.packing import packed, quantised
from mkpn.ui.run.models import ModelStore
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.session import Pane, Run, square_metrics

KEPT_BYTES = 2**29
"""For all sessions together; the estimates of MKPN at 512x512 are 202 MB, an error map half a megabyte."""

PATCHES = (8, 16, 32, 64)
"""Sides of the winner map's patches."""

ORACLE_SIZES = (1, 3, 5, 7, 9, 11, 13, 25)
"""Reaches of the oracle line: the sizes of the ten networks."""

STOPS = 64
"""So many stopped sweeps of a run are remembered: what they still have to ask comes in within seconds."""

OWN = "run"
"""Stands for the run's own noise where a gain is named."""

_HIGHEST = 100.0
"""Decibels that are shown at most, also of a picture without an error."""

FORGOTTEN = "This run is no longer kept. Press Run again."


class Service:
    """Answers one page's questions about its run; runs are found by a token that only their own page knows."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.kept = Cache(KEPT_BYTES)
        self._lock = threading.Lock()  # of the two below
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()
        self._stopped: dict[str, deque[int]] = {}
        self._questions: dict[str, Callable[[Run, Mapping[str, Any]], dict[str, Any]]] = {
            "probe": self._probe,
            "ablate": self._ablate,
            "maps": self._maps,
            "winners": self._winners,
            "places": self._places,
            "regions": lambda run, _: {"regions": packed(self._regions(run))},
            "measure": self._measure,
            "stop": self._stop,
        }

    def value(self, run: Run | None) -> dict[str, Any] | None:
        """Returns what the component shows of a run before anything is asked, and remembers the run."""
        if run is None:
            return None
        with self._lock:
            new = run.token not in self._runs
            self._runs[run.token] = run
        if new:
            run.afterwards.append(self._tidy)
            self._tidy()
        width, height = run.size
        return {
            "token": run.token,
            "title": run.title,
            "image": run.image.bundled,
            "size": [width, height],
            "pixel": list(run.pixel),
            "square": [run.square.x, run.square.y, run.square.w],
            "seed": run.settings.seed,
            "gain": gain_of(run.settings.noise),
            "small": run.settings.motion.small,
            "offsets": run.burst.offsets.tolist(),
            "frames": [picture_url(path) for path in run.frames],
            "panes": [_pane(pane) for pane in run.panes.values()],
            "rule": RULE,
            "metric": run.definition.describe(),
        }

    def _tidy(self) -> None:
        """Forgets what was kept of runs that are closed or gone."""
        with self._lock:
            there = {token for token, run in list(self._runs.items()) if not run.closed}
            for token in self._stopped.keys() - there:
                del self._stopped[token]
        self.kept.forget_all_but(there)

    def answer(self, request: Any) -> dict[str, Any]:
        """Answers one question.

        Args:
            request: `what` (probe, ablate, maps, winners, places, regions, measure, stop), the run's `token`,
                and what the question needs; from a page, so of any content.

        Returns:
            The answer, `{"error": sentence}`, or `{"stopped": True}` where a measurement was given up.
        """
        try:
            if not isinstance(request, Mapping):
                raise ValueError(f"request: expected an object, got {type(request).__name__}")
            record: Mapping[str, Any] = {str(key): value for key, value in request.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - checked field by field
            what = choice("what", record.get("what"), tuple(self._questions))
            token = record.get("token")
            run = self._runs.get(token) if isinstance(token, str) else None
            if run is None or run.closed:
                raise ValueError(FORGOTTEN)
            return self._asked(self._questions[what], run, record)
        except Stopped:
            return {"stopped": True}
        except ValueError as error:
            return {"error": str(error)}

    def _asked(
        self, question: Callable[[Run, Mapping[str, Any]], dict[str, Any]], run: Run, record: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Asks a run that may be closed meanwhile, which takes its pictures away: whatever then comes is no answer."""
        try:
            found = question(run, record)
        except Stopped:
            raise
        except Exception as error:
            if run.closed:
                raise ValueError(FORGOTTEN) from error
            raise
        if run.closed:
            raise ValueError(FORGOTTEN)
        return found

    def _probe(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """Kernels, their numbers, and what they read at one pixel."""
        model, result = _result(run, request)
        width, height = run.size
        x, y = whole("x", request.get("x"), 0, width - 1), whole("y", request.get("y"), 0, height - 1)
        kernels = probe(result, x, y)
        largest = max(kernels.by_size)
        offsets = [(int(a), int(b)) for a, b in run.burst.offsets.tolist()]
        return {
            "model": model,
            "x": x,
            "y": y,
            "kernels": {str(size): _kernel(kernel, offsets) for size, kernel in kernels.by_size.items()},
            # The mean of a single size is that size.
            "fused": _kernel(kernels.fused, offsets) if len(kernels.by_size) > 1 else None,
            "factors": {str(size): packed(factors) for size, factors in kernels.factors.items()},
            "values": packed(neighbourhood(run.burst, x, y, largest)),
            "output": result.image[:, y, x].tolist(),
            "truth": run.burst.clean[:, y, x].tolist(),
        }

    def _ablate(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """The picture from some sizes and frames."""
        model, result = _result(run, request)

        def compute() -> tuple[Estimates, int]:
            made = estimate(result)
            return made, made.bytes

        found: Estimates = self.kept.make((run.token, ("estimates", model)), compute)
        sizes = [choice("size", size, found.sizes) for size in _list("sizes", request.get("sizes"))]
        frames = [whole("frame", frame, 0, found.frames - 1) for frame in _list("frames", request.get("frames"))]
        full = run.panes[model].psnr
        picture, stayed = recompose(found, sizes, frames, renormalise=request.get("renormalise") is True)
        return {
            "model": model,
            "picture": packed(to_uint8(picture)),
            "psnr": _finite(psnr(picture.clamp(0, 1), run.burst.clean, run.definition)),
            "full": None if full is None else _finite(full),
            "stayed": stayed,
        }

    def _maps(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """The behaviour maps of a model, and their means by region."""
        model, result = _result(run, request)

        def compute() -> tuple[Behaviour, int]:
            made = behaviour(result)
            return made, made.shares.nbytes + 4 * made.radius.nbytes

        found: Behaviour = self.kept.make((run.token, ("maps", model)), compute)
        named: dict[str, NDArray[Any]] = {
            f"share-{size}": share for size, share in zip(found.sizes, found.shares, strict=True)
        }
        named |= {
            "radius": found.radius,
            "noise_gain": found.noise_gain,
            "reference": found.reference,
            "frames": found.frames,
        }
        regions = self._regions(run)[::2, ::2]
        return {
            "model": model,
            "sizes": list(found.sizes),
            "maps": {name: quantised(values) for name, values in named.items()},
            "means": {
                name: [_mean(values, regions == index) for index in range(len(REGIONS))]
                for name, values in named.items()
            },
        }

    def _winners(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """Who has the lowest error where."""
        side = choice("side", request.get("side"), PATCHES)
        least = number("least", request.get("least", 0), 0, 10)
        names = [pane.id for pane in run.model_panes if pane.status == "done"]
        if len(names) < 2:
            raise ValueError("The winner map needs two models or more that have run.")
        seeds = [run.settings.seed]
        for entry in _list("seeds", request.get("seeds", [])):
            seed = whole("seed", entry, 0)
            # Only what has been measured counts: no network runs for this question.
            keys = [(run.token, ("error", OWN, seed, name)) for name in names]
            if seed not in seeds and all(self.kept.get(key) is not None for key in keys):
                seeds.append(seed)
        errors = [np.stack([self._error(run, OWN, seed, name) for name in names]) for seed in seeds]
        found = winners(errors, side, least)
        regions = self._regions(run)
        return {
            "side": side,
            "seeds": seeds,
            "models": names,
            "winner": packed((found.winner + 1).astype(np.uint8)),
            "margin": packed(found.margin),
            "shares": {
                "all": area_shares(found, len(names)).tolist(),
                **{name: area_shares(found, len(names), regions, index).tolist() for index, name in enumerate(REGIONS)},
            },
        }

    def _places(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """Numbered places worth a look."""
        del request
        names = [pane.id for pane in run.model_panes if pane.status == "done"]
        if len(names) < 2:
            raise ValueError("Places need two models or more that have run.")
        errors = np.stack([self._error(run, OWN, run.settings.seed, name) for name in names])
        side = min(32, *run.size)
        subject = names.index("mkpn") if "mkpn" in names else None
        found = find_places(errors, self._regions(run), motion_error(run.burst), side=side, subject=subject)
        places: list[dict[str, Any]] = []
        for place in found:
            area = (slice(None), *_around(place.x, place.y, side, errors.shape[1:]))
            local = errors[area].mean((1, 2))
            order = np.argsort(local)
            places.append(
                {
                    "x": place.x,
                    "y": place.y,
                    "kind": place.kind,
                    "value": place.value,
                    "best": names[int(order[0])],
                    "worst": names[int(order[-1])],
                    "psnr": {name: _decibels(float(value)) for name, value in zip(names, local, strict=True)},
                }
            )
        return {"side": side, "places": places}

    def _measure(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """PSNR by region of one model on the run's scene with another gain or seed, and of the oracle."""
        gain = choice("gain", request.get("gain"), (OWN, *map(str, GAINS)))
        seed = whole("seed", request.get("seed"), 0)
        model = choice("model", request.get("model"), (*MODELS, "oracle"))
        job = whole("job", request.get("job", 0), 0)

        def stop() -> bool:
            return run.closed or job in self._stopped.get(run.token, ())

        if model != "oracle":
            return {"gain": gain, "seed": seed, "model": model, "psnr": self._figures(run, gain, seed, model, stop)}
        return {
            "gain": gain,
            "seed": seed,
            "model": model,
            "oracle": {str(size): self._figures(run, gain, seed, f"oracle-{size}", stop) for size in ORACLE_SIZES},
        }

    def _stop(self, run: Run, request: Mapping[str, Any]) -> dict[str, Any]:
        """Gives up the measurements of one of a page's sweeps, within the layer that a network runs.

        A page numbers its sweeps, so that a measurement that comes in late, behind its own stop, does not begin.
        """
        job = whole("job", request.get("job"), 1)
        with self._lock:
            self._stopped.setdefault(run.token, deque(maxlen=STOPS)).append(job)
        return {"job": job}

    def _figures(self, run: Run, gain: str, seed: int, name: str, stop: Callable[[], bool]) -> dict[str, float | None]:
        error = self._error(run, gain, seed, name, stop)
        regions, border = self._regions(run), run.definition.border
        inner = (slice(border, error.shape[0] - border), slice(border, error.shape[1] - border))
        figures = {
            "whole": _decibels(float(error[inner].mean())),
            "square": _decibels(float(error[run.square.slices].mean())),
            **{region: _decibels(_mean(error[inner], regions[inner] == index)) for index, region in enumerate(REGIONS)},
        }
        pane = run.panes.get(name) if seed == run.settings.seed and _own(run, gain) == OWN else None
        if pane and pane.psnr is not None and (shown := square_metrics(run, pane)):
            # What is kept of the errors is rounded, and could round to another figure than the page shows.
            figures |= {"whole": min(pane.psnr, _HIGHEST), "square": min(shown[0], _HIGHEST)}
        return figures

    def _regions(self, run: Run) -> NDArray[np.uint8]:
        def compute() -> tuple[NDArray[np.uint8], int]:
            made = classify(run.burst.clean.numpy())
            return made, made.nbytes

        return self.kept.make((run.token, "regions"), compute)

    def _error(
        self, run: Run, gain: str, seed: int, name: str, stop: Callable[[], bool] | None = None
    ) -> NDArray[np.float32]:
        """Squared error `[H,W]` of a model, or of the oracle, kept as its root in half precision."""
        gain, stop = _own(run, gain), stop or (lambda: False)

        def compute() -> tuple[NDArray[np.float16], int]:
            if stop():
                raise Stopped("stopped")
            burst = self._burst(run, gain, seed)
            if name.startswith("oracle-"):
                image = aligned_mean(burst, int(name.removeprefix("oracle-")))
            elif burst is run.burst and run.done(name):
                pane_image = run.panes[name].image
                assert pane_image is not None
                image = pane_image
            else:
                image = self.store.get(name)(burst, stop=stop).image
            root = np.sqrt(squared_error(image, burst.clean)).astype(np.float16)
            return root, root.nbytes

        root: NDArray[np.float16] = self.kept.make((run.token, ("error", gain, seed, name)), compute, stop)
        return root.astype(np.float32) ** 2

    def _burst(self, run: Run, gain: str, seed: int) -> Burst:
        if gain == OWN and seed == run.settings.seed:
            return run.burst
        # Called while something is computed, so that one burst at a time is made and kept.
        key = (run.token, "burst")
        held: tuple[tuple[str, int], Burst] | None = self.kept.get(key)
        if held is None or held[0] != (gain, seed):
            noise = run.settings.noise if gain == OWN else GAINS[int(gain)]
            made = burst_of(run.scene, noise, rng_for(seed), run.settings.motion)
            held = ((gain, seed), made)
            self.kept.replace(key, held, (made.surroundings or made).frames.numel() * 4)
        return held[1]


def _own(run: Run, gain: str) -> str:
    """Names the run's own noise in one way, whatever it is asked for by."""
    return OWN if gain != OWN and GAINS[int(gain)] == run.settings.noise else gain


def _pane(pane: Pane) -> dict[str, Any]:
    model = model_config(pane.id) if pane.id in MODELS else None
    return {
        "id": pane.id,
        "label": pane.label,
        "group": pane.group,
        "url": None if pane.path is None or pane.status != "done" else picture_url(pane.path),
        "psnr": None if pane.psnr is None else _finite(pane.psnr),
        "sizes": None if model is None else list(model.sizes),
        "separable": model is not None and model.separable,
    }


def _result(run: Run, request: Mapping[str, Any]) -> tuple[str, Result]:
    model = choice("model", request.get("model"), MODELS)
    pane = run.panes.get(model)
    if pane is None or pane.result is None:
        raise ValueError(f"{model_config(model).label} has not run on this burst.")
    return model, pane.result


def _kernel(kernels: NDArray[np.float32], offsets: list[tuple[int, int]]) -> dict[str, Any]:
    numbers = kernel_statistics(kernels)
    return {
        "weights": packed(kernels),
        "sum": numbers.total.tolist(),
        "noise_gain": numbers.noise_gain.tolist(),
        "radius": numbers.radius.tolist(),
        "x": numbers.x.tolist(),
        "y": numbers.y.tolist(),
        "true": [true_place(offset, kernels.shape[-1]) for offset in offsets],
    }


def _around(x: int, y: int, side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, centre - side // 2), min(size, centre - side // 2 + side))
        for centre, size in ((y, shape[0]), (x, shape[1]))
    )
    return rows, columns


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{field}: expected a list, got {type(value).__name__}")
    return value[:64]  # pyright: ignore[reportUnknownVariableType] - every entry is checked by the caller


def _mean(values: NDArray[Any], inside: NDArray[np.bool_]) -> float | None:
    return float(values[inside].mean()) if inside.any() else None


def _decibels(error: float | None) -> float | None:
    return None if error is None else min(_HIGHEST, float(-10 * np.log10(max(error, 1e-10))))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
