"""Commands: `python -m mkpn app | denoise | register | train | curves | evaluate | explain | models | bench | verify`.

Results go to stdout, progress and warnings to stderr; exit codes are in `mkpn.console`.
"""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `main` runs, Ctrl+C ends the process at once, without a traceback of imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import inspect
import io
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mkpn.console import DONE, EXIT_CODES, PATHS, Failed, Output, exit_code, keeping
from mkpn.evaluation.config import EvaluateConfig
from mkpn.model.config import MODELS, model_config
from mkpn.training.config import RegisterConfig, TrainConfig
from mkpn.training.recipes import OF_ALL, recipes
from mkpn.ui.service.options import ServiceOptions

if TYPE_CHECKING:
    from mkpn.inference.denoiser import Denoiser

# Everything heavy is imported inside the commands, so that --help answers at once.


_ABOUT = "Burst denoising by kernel prediction: MKPN and nine KPN baselines."
EXAMPLES = {
    "denoise": (
        "mkpn denoise photo.jpg --out out --gain 8",
        "mkpn denoise photos/ --out out --models mkpn kpn-l11 --save-burst --format png16",
        "mkpn denoise a.jpg b.jpg --each --out out",
        "mkpn denoise a.dng b.dng c.dng --out out",
    ),
    "train": (
        "mkpn train mkpn --images DIR --run runs/mkpn --init runs/start.safetensors",
        "mkpn train kpn-l5 --images DIR --run runs/l5 --init runs/start.safetensors --validate-images OTHER",
        "mkpn train mkpn --images DIR --run runs/on --recipe on --init checkpoints/mkpn.safetensors",
        "mkpn train all --images DIR --run runs/all",
    ),
    "register": ("mkpn register --images DIR --out runs/start.safetensors",),
    "evaluate": (
        "mkpn evaluate --images DIR --out out",
        "mkpn evaluate --images CBSD68 --downsample 2 --crop 128 --baselines aligned nlm --out out/table1",
        "mkpn evaluate --images DIR --out out --models mkpn runs/mkpn/mkpn.safetensors --gains 4 8 --json",
    ),
    "explain": (
        "mkpn explain --out out",
        "mkpn explain --image photo.jpg --gain 4 --out out",
    ),
    "curves": ("mkpn curves runs/mkpn runs/kpn-l5 --out curves.png",),
    "models": ("mkpn models --json",),
    "verify": (
        "mkpn verify",
        "mkpn verify --checkpoints DIR --json",
    ),
    "bench": (
        "mkpn bench --out bench.json",
        "mkpn bench --only models --models mkpn --sides 512",
    ),
    "app": (
        "mkpn app --browser",
        "mkpn app --host 0.0.0.0 --port 8000",
    ),
}
"""What `--help` of a command shows below its description."""

_Output = Annotated[Output, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True, kw_only=True)
class DenoiseOptions:
    """Denoise synthetic bursts of images, or a real one, and save the pictures.

    Attributes:
        out: folder for `noisy.png` and one PNG per model; `clean.png` of one image, `residual-MODEL.png` of a real
            burst. Several images get a folder each below it.
        models: networks to run, names or checkpoint files; all shipped ones by default. A second one of the same name
            is called `MODEL-2`.
        gain: noise level of a synthetic burst: 1, 2, 4 or 8.
        downsample: box-downsampling factor of the images.
        seed: number from which motion and noise of a synthetic burst are drawn; the same number, the same burst.
        device: `auto`, `cpu`, `cuda` or `mps`.
        each: several files are pictures by themselves, each with a synthetic burst, instead of one real burst.
        strict: stop at a picture that cannot be used, instead of naming it and going on without it.
        save_burst: write the frames, the truth and the parameters of synthetic bursts into `burst/`, too.
        format: of the pictures: `png` (8 bits), `png16` (16 bits) or `tiff` (floating point, not clipped).
        burst: folder of 2 to 8 photographs of one scene, instead of naming them.
        sigma_r: read noise of a real burst, 0 to 1: its standard deviation in black; goes with `--sigma-s`. Without
            both, the file's NoiseProfile or an estimate is used. Both hold for the frames after downsampling.
        sigma_s: shot noise of a real burst, 0 to 1: what its variance grows by from black to white.
        light: what the networks see of raw files: `linear` light, `display` values, or what suits their noise.
    """

    out: Path
    models: tuple[str, ...] = MODELS
    gain: int = 4
    downsample: int = 1
    seed: int = 0
    device: str = "auto"
    each: bool = False
    strict: bool = False
    save_burst: bool = False
    format: Literal["png", "png16", "tiff"] = "png"
    burst: Path | None = None
    sigma_r: float | None = None
    sigma_s: float | None = None
    light: Literal["auto", "linear", "display"] = "auto"


def denoise(
    images: tyro.conf.Positional[tuple[Path, ...]],
    options: Annotated[DenoiseOptions, tyro.conf.arg(name="")],
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Denoise synthetic bursts of images, or the real burst of 2 to 8 photographs or raw files of one scene.

    Args:
        images: one image, or folders, for synthetic bursts; several files are one real burst, with `--each` many.
        options: see there.
        output: what is printed.
    """
    synthetic = options.each or len(images) == 1 or any(image.is_dir() for image in images)
    if options.burst is None and not images:
        expected = "an image, several photographs or a folder, before --models, or --burst DIR"
        raise ValueError(f"images: expected {expected}, got nothing")
    with output.results() as results, keeping(lambda: _kept_in(options.out)):
        if synthetic and options.burst is None:
            results.value = _denoise_synthetic(images, options)
        else:
            results.value = _denoise_real(images, options)


def _kept_in(out: Path) -> str:
    return f"{out} keeps the pictures so far" if out.is_dir() and any(out.iterdir()) else "nothing was written"


_OF_SYNTHETIC = ("gain", "seed", "each", "strict", "save_burst")
_OF_REAL = ("sigma_r", "sigma_s", "light")


def _refuse(options: DenoiseOptions, fields: tuple[str, ...], reason: str) -> None:
    """Refuses what would have no effect, where it is not as by default."""
    given = [field for field in fields if getattr(options, field) != getattr(DenoiseOptions, field)]
    if given:
        raise ValueError(f"{' and '.join(given)}: {reason}")


def _networks(options: DenoiseOptions) -> dict[str, Denoiser]:
    """Loads all networks, before any of them runs: a wrong name after nine networks would cost minutes."""
    import mkpn
    from mkpn.evaluation.names import named_networks
    from mkpn.ops import warm_up

    if not options.models:
        raise ValueError("models: expected at least one network, got none")
    networks = named_networks(options.models)
    loaded = {name: mkpn.load(model, device=options.device) for name, model in networks.items()}
    if any(denoiser.device.type == "cpu" for denoiser in loaded.values()):
        # Compiling is no part of the first network's time.
        warm_up()
    return loaded


def _denoise_real(images: tuple[Path, ...], options: DenoiseOptions) -> dict[str, Any]:
    from mkpn.capture.burst import burst_files, given_noise, read_burst
    from mkpn.capture.raw import is_raw
    from mkpn.checks import writable_folder
    from mkpn.evaluation.captured import denoise_captured, describe, files_of
    from mkpn.evaluation.names import keep_photographs
    from mkpn.synthesis.files import OWN_MEGAPIXELS
    from mkpn.synthesis.writing import icc_profile

    _refuse(options, _OF_SYNTHETIC, "expected an image with a synthetic burst, got a real burst")
    if options.burst is not None and images:
        raise ValueError("images: expected photographs or --burst DIR, got both")
    files = images if options.burst is None else burst_files(options.burst)
    if not any(map(is_raw, files)):
        _refuse(options, ("light",), "expected raw files, got photographs, whose values are used as stored")
    noise = given_noise(options.sigma_r, options.sigma_s)
    denoisers = _networks(options)
    written = files_of(options.out, denoisers, options.format)
    # A folder below that of the burst will do: only the pictures beside each other are read.
    beside = options.burst is not None and options.out.resolve() == options.burst.resolve()
    keep_photographs(written, files, [options.out] if beside else [])
    writable_folder(options.out, "out")
    burst = read_burst(files, noise=noise, light=options.light, downsample=options.downsample)
    print("\n".join(describe(burst)))
    print("Residual: (frame 0 - result) / expected noise. Noise has mean 0 and neighbours 0.")
    # What is developed from raw files has no profile of a file any more.
    profile = icc_profile(Path(files[0]), OWN_MEGAPIXELS) if burst.light == "stored" else None
    rows: list[dict[str, Any]] = []
    for done in denoise_captured(burst, denoisers, options.out, profile, options.format):
        report = done.report
        print(
            f"{done.model:8}  mean {report.mean:6.3f}  std {report.std:.3f} (noise: {report.expected:.3f})  "
            f"neighbours {report.neighbours:6.3f}  {done.seconds:.2f} s  {report.verdict()}"
        )
        rows.append(
            {"model": done.model, "mean": report.mean, "std": report.std, "expected": report.expected}
            | {"neighbours": report.neighbours, "seconds": done.seconds, "verdict": report.verdict()}
        )
    return {"notes": describe(burst), "models": rows}


def _denoise_synthetic(given: tuple[Path, ...], options: DenoiseOptions) -> list[dict[str, Any]]:
    from collections import Counter
    from statistics import fmean

    from mkpn.checks import one_line, writable_folder
    from mkpn.evaluation.names import keep_photographs
    from mkpn.evaluation.synthetic import Synthesis, denoise_picture, files_of, output_folders, usable_images

    _refuse(options, _OF_REAL, "expected photographs of a real burst, got an image with a synthetic burst")
    denoisers = _networks(options)
    synthesis = Synthesis(
        gain=options.gain,
        downsample=options.downsample,
        seed=options.seed,
        file_format=options.format,
        save_burst=options.save_burst,
    )
    images = usable_images(given, synthesis, options.strict)
    alone = len(given) == 1 and not given[0].is_dir()
    folders = [options.out] if alone else output_folders(images, options.out)
    written = [file for folder in folders for file in files_of(folder, synthesis, denoisers)]
    keep_photographs(written, [*given, *images], [path for path in given if path.is_dir()])
    writable_folder(options.out, "out")
    rows: list[dict[str, Any]] = []
    for image, folder in zip(images, folders, strict=True):
        for place, done in enumerate(denoise_picture(image, folder, synthesis, denoisers)):
            if not place:
                print(done.metric if alone else f"{one_line(str(image))}: {done.metric}")
            seconds = "" if done.seconds is None else f"  {done.seconds:.2f} s"
            print(f"{done.model:8}  {done.psnr:6.2f} dB  {done.ssim:.3f}{seconds}", flush=True)
            rows.append(asdict(done) | {"folder": str(folder)})
    if len(images) > 1:
        metrics = Counter(row["metric"] for row in rows if row["model"] == "noisy")
        # Small pictures are measured without a border removed.
        fewer = metrics.total() - max(metrics.values())
        unlike = f", {fewer} of which had another metric" if len(metrics) > 1 else ""
        print(f"mean of {len(images)} pictures{unlike}:")
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if row["model"] == model]
            print(f"{model:8}  {fmean(row['psnr'] for row in own):6.2f} dB  {fmean(row['ssim'] for row in own):.3f}")
    return rows


def train(
    model: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="MODEL", help=f"one of {', '.join(MODELS)}, or all of them: all"),
    ],
    config: Annotated[TrainConfig, tyro.conf.arg(name="")],
    recipe: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help="; ".join(f"{name}: {one.about}" for name, one in recipes().items())),
    ] = None,
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Train a network, or all ten from one start; the same command resumes. One process at a time trains in a folder.

    Args:
        model: the network.
        config: the run.
        recipe: a name of `mkpn/training/recipes.toml`, whose phases set steps, patches, learning rates and seeds.
        output: what is printed.
    """
    by_recipe = model == "all" or recipe is not None
    with output.results() as results, keeping(lambda: _kept_of(config.run, by_recipe)):
        if by_recipe:
            from mkpn.training.phases import train_recipe

            ends = train_recipe(MODELS if model == "all" else [model], config, recipe or OF_ALL)
            print("\n".join(f"exported {path}" for path in ends.values()))
            results.value = {"exported": {name: str(path) for name, path in ends.items()}}
            return
        from mkpn.training.train import train as run

        exported = run(model, config)
        print(f"exported {exported}")
        results.value = {"exported": str(exported)}


def _kept_of(run: Path, by_recipe: bool) -> str:
    from mkpn.model.checkpoint import read_metadata
    from mkpn.training.phases import START

    # A recipe trains in a folder for each phase and network.
    states = list(run.glob("*/*/state.safetensors" if by_recipe else "state.safetensors"))
    if states:
        newest = max(states, key=lambda state: state.stat().st_mtime)
        kept = f"{newest.parent} keeps step {read_metadata(newest)['step']}"
    elif by_recipe and (run / START).exists():
        kept = f"{run} keeps {START}"
    else:
        return f"{run} holds no checkpoint yet, so a new run starts from the beginning"
    return f"{kept}, and the same command goes on from there"


def register(
    config: Annotated[RegisterConfig, tyro.conf.arg(name="")],
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Write a network that measures hand motion and has learned nothing else, for `train --init` to start from."""
    with output.results() as results, keeping(lambda: "nothing was written"):
        from mkpn.training.start.register import register as run

        results.value = run(config)
        print(f"wrote {config.out}: " + ", ".join(f"{name} {value:.3f}" for name, value in results.value.items()))


def evaluate(
    config: Annotated[EvaluateConfig, tyro.conf.arg(name="")],
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Measure PSNR and SSIM of models at gains on a folder of images."""
    with output.results() as results, keeping(lambda: "nothing was written; figures are written when all are there"):
        from mkpn.evaluation.evaluate import evaluate as run

        results.value = run(config)
        if os.environ.get("RANK", "0") == "0":
            print((config.out / "results.md").read_text(encoding="utf-8"))


def curves(
    runs: tuple[Path, ...],
    /,
    *,
    out: Path,
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Draw the learning curves of training runs as one PNG.

    Args:
        runs: folders of runs, each with its `stats.jsonl`.
        out: the PNG to write.
        output: what is printed.
    """
    with output.results() as results:
        from mkpn.checks import writable_folder
        from mkpn.figures.learning_curves import learning_curves, read_curve
        from mkpn.whole_files import written_whole

        if out.is_dir():
            raise ValueError(f"out: expected a file, got the folder {out}")
        if out.suffix.lower() != ".png":
            raise ValueError(f"out: expected a .png file, got {out}")
        writable_folder(out.parent, "out")
        figure = learning_curves([read_curve(run) for run in runs])
        with written_whole(out) as temporary:
            temporary.write_bytes(figure)
        print(f"wrote {out}")
        results.value = {"out": str(out)}


def explain(
    out: Path,
    image: Path | None = None,
    gain: Literal[1, 2, 4, 8] = 8,
    seed: int = 4,
    downsample: int = 2,
    device: str = "auto",
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Draw three figures of one picture: MKPN's kernels at two pixels, PSNR by kernel size and gain, who wins where.

    Args:
        out: folder for `explain-kernels.png`, `explain-sizes.png`, `explain-maps.png` and `explain.json`.
        image: a picture; the bundled coffee cup by default.
        gain: of the kernels and of the maps; the sizes are drawn at all four.
        seed: of the bursts.
        downsample: box-downsampling factor of the picture.
        device: `auto`, `cpu`, `cuda` or `mps`.
        output: what is printed.
    """
    with (
        output.results() as results,
        keeping(lambda: "nothing was written; the figures are drawn when all is measured"),
    ):
        import json

        import mkpn
        from mkpn.checks import writable_folder
        from mkpn.evaluation.names import keep_photographs
        from mkpn.explain.figures import FIGURES
        from mkpn.explain.study import study
        from mkpn.synthesis.files import OWN_MEGAPIXELS
        from mkpn.synthesis.images import example_image, load_image
        from mkpn.whole_files import written_whole

        pixels = example_image("Coffee cup") if image is None else load_image(image, max_megapixels=OWN_MEGAPIXELS)
        if image is not None:
            keep_photographs([out / f"explain-{name}.png" for name in FIGURES], [image])
        writable_folder(out, "out")
        made = study(
            pixels,
            {name: mkpn.load(name, device) for name in MODELS},
            gain=gain,
            seed=seed,
            downsample=downsample,
            progress=lambda text: None if output.quiet else print(text, file=sys.stderr, flush=True),
        )
        for name, draw in FIGURES.items():
            with written_whole(out / f"explain-{name}.png") as temporary:
                temporary.write_bytes(draw(made))
            print(f"wrote {out / f'explain-{name}.png'}")
        record = {"gain": gain, "seed": seed, "downsample": downsample, **made.record()}
        with written_whole(out / "explain.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {out / 'explain.json'}")
        results.value = record


def models(output: _Output = Output()) -> None:  # noqa: B008 - frozen
    """Print the ten networks of both presets with their parameter counts."""
    with output.results() as results:
        from mkpn.model.network import parameter_count

        print(f"{'model':9} {'kernel sides':20} {'kernels':10} {'compact':>10} {'paper':>12}")
        rows: list[dict[str, Any]] = []
        for name in MODELS:
            config = model_config(name)
            sides = ",".join(map(str, config.sizes))
            kind = "separable" if config.separable else "full"
            compact, paper = parameter_count(config), parameter_count(model_config(name, "paper"))
            print(f"{name:9} {sides:20} {kind:10} {compact:10,} {paper:12,}")
            rows.append({"model": name, "sides": config.sizes, "kernels": kind, "compact": compact, "paper": paper})
        results.value = rows


def verify(
    checkpoints: Path | None = None,
    device: str = "auto",
    store: bool = False,
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Check weights, one burst at gain 8 per network, and back ends; exit code 1 if one is not as it should be.

    Args:
        checkpoints: folder of the networks and their `verify.json`; the shipped ones by default.
        device: `auto`, `cpu`, `cuda` or `mps`.
        store: measure the networks and write `verify.json` instead, after the weights have changed.
        output: what is printed.
    """
    with output.results() as results:
        from mkpn.evaluation import verify as verification

        if store:
            results.value = {"out": str(verification.store(checkpoints, device))}
            print(f"wrote {results.value['out']}")
            return
        marks = {True: "ok", False: "WRONG", None: "-"}
        checks: list[dict[str, Any]] = []
        for check in verification.verify(checkpoints, device):
            print(f"{marks[check.right]:6} {check.name:10} {check.found}", flush=True)
            checks.append(asdict(check))
        results.value = checks
    wrong = [check["name"] for check in checks if check["right"] is False]
    if wrong:
        raise Failed(f"not as it should be: {', '.join(wrong)}")


def bench(
    out: Path | None = None,
    only: Literal["ops", "models", "large"] | None = None,
    threads: int = 0,
    device: str = "auto",
    models: tuple[str, ...] = (),
    sides: tuple[int, ...] = (),
    clock: Literal["wall", "cpu"] = "wall",
    quick: bool = False,
    output: _Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Measure time and memory of the local convolution, the networks, a training step and a 12-megapixel burst.

    Args:
        out: write the figures as JSON.
        only: one part: `ops`, `models` or `large`.
        threads: CPU threads; 0 keeps PyTorch's choice.
        device: `auto`, `cpu`, `cuda` or `mps`.
        models: networks to run; by default all, of `large` and with --quick MKPN.
        sides: sides in pixels of the square images that the networks denoise; by default 128, 256, 512 and 1024.
        clock: `cpu` counts processor time, for a machine with other work; with one thread only.
        quick: tiny sizes, to see that everything runs.
        output: what is printed.
    """
    kept = "nothing was kept; --out keeps what is measured" if out is None else f"{out} keeps what was measured"
    with output.results() as results, keeping(lambda: kept):
        from mkpn.evaluation.speed.bench import bench as run

        results.value = run(
            out=out, only=only, threads=threads, device=device, models=models, sides=sides, clock=clock, quick=quick
        )


def app(
    host: str | None = None,
    port: int | None = None,
    device: str = "auto",
    checkpoints: Path | None = None,
    folder: Path | None = None,
    browser: bool = False,
    service: Annotated[ServiceOptions, tyro.conf.arg(name="")] = ServiceOptions(),  # noqa: B008 - frozen
) -> None:
    """Start the comparison app.

    Args:
        host: address to listen on, by default GRADIO_SERVER_NAME or 127.0.0.1; 0.0.0.0 lets other machines in.
        port: port; by default GRADIO_SERVER_PORT, else the first free one from 7860.
        device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
        checkpoints: folder of the networks; the shipped ones by default.
        folder: what the app writes goes below this folder and is removed at the end; by default a temporary one.
        browser: open the page in a browser.
        service: logins, limits, who may call and frame the app.
    """
    from mkpn.ui.launch import launch

    launch(
        host=host,
        port=port,
        device=device,
        checkpoints=checkpoints,
        folder=folder,
        browser=browser,
        service=service,
    )


def _with_examples(command: Callable[..., None], examples: tuple[str, ...]) -> Callable[..., None]:
    @functools.wraps(command)
    def same(*arguments: Any, **options: Any) -> None:
        command(*arguments, **options)

    what, _, rest = inspect.cleandoc(command.__doc__ or "").partition("\n\n")
    same.__doc__ = "\n\n".join((what, "For example:", "\n".join(f"  {line}" for line in examples), rest))
    return same


def main() -> None:
    """Runs the command line; whatever goes wrong ends with a message and an exit code, not with a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Results go to stdout; progress and what mkpn has to say to stderr. Other packages speak from warnings on.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("mkpn").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A code page without some sign shows its number; the results are not lost.
            stream.reconfigure(errors="backslashreplace")
    commands: dict[str, Callable[..., None]] = {
        "app": app,
        "denoise": denoise,
        "train": train,
        "evaluate": evaluate,
        "explain": explain,
        "models": models,
    }
    commands |= {"register": register, "curves": curves, "bench": bench, "verify": verify}
    # Only where they are asked for: the list of all commands stays short.
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked in commands:
        commands[asked] = _with_examples(commands[asked], EXAMPLES[asked])
    about = f"{_ABOUT}\n\n{EXIT_CODES}"
    with PATHS:
        code = exit_code(lambda: tyro.extras.subcommand_cli_from_dict(commands, prog="mkpn", description=about))
    if code != DONE:
        sys.exit(code)


if __name__ == "__main__":
    main()
