"""The command line: `python -m mkpn app | denoise | register | train | curves | evaluate | models | bench`."""

from __future__ import annotations

import io
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mkpn.evaluation.config import EvaluateConfig
from mkpn.model.config import MODELS, model_config
from mkpn.training.config import RegisterConfig, TrainConfig
from mkpn.ui.service.options import ServiceOptions

# Everything heavy is imported inside the commands, so that --help answers at once.


@dataclass(frozen=True, kw_only=True)
class DenoiseOptions:
    """Denoise a synthetic burst of one image, or a real one, and save the pictures.

    Attributes:
        out: folder for `noisy.png` and one PNG per model; `clean.png` of one image, `residual-MODEL.png` of a real
            burst.
        models: networks to run; all shipped ones by default.
        gain: 1, 2, 4 or 8; of a synthetic burst.
        downsample: box-downsampling factor of the images.
        seed: of a synthetic burst.
        device: `auto`, `cpu`, `cuda` or `mps`.
        burst: folder of 2 to 8 photographs of one scene, instead of naming them.
        sigma_r: of a real burst whose noise you know; without it, the file's NoiseProfile or an estimate is used.
        sigma_s: goes with `--sigma-r`.
        light: what the networks see of raw files: `linear` light, `display` values, or what suits their noise.
    """

    out: Path
    models: tuple[str, ...] = MODELS
    gain: int = 4
    downsample: int = 1
    seed: int = 0
    device: str = "auto"
    burst: Path | None = None
    sigma_r: float | None = None
    sigma_s: float | None = None
    light: Literal["auto", "linear", "display"] = "auto"


def denoise(
    images: tyro.conf.Positional[tuple[Path, ...]], options: Annotated[DenoiseOptions, tyro.conf.arg(name="")]
) -> None:
    """Denoise a synthetic burst of one image, or the real burst of 2 to 8 photographs or raw files of one scene."""
    if len(images) > 1 or options.burst is not None:
        _denoise_real(images, options)
        return
    if not images:
        raise ValueError("images: expected an image, several photographs, or --burst DIR, got nothing")
    _denoise_synthetic(images[0], options)


def _denoise_real(images: tuple[Path, ...], options: DenoiseOptions) -> None:
    from mkpn.capture.burst import burst_files, read_burst
    from mkpn.evaluation.captured import denoise_captured, describe
    from mkpn.synthesis.noise import Noise

    if options.burst is not None and images:
        raise ValueError("images: expected photographs or --burst DIR, got both")
    noise = "auto"
    if options.sigma_r is not None and options.sigma_s is not None:
        noise = Noise(options.sigma_r, options.sigma_s)
    elif options.sigma_r is not None or options.sigma_s is not None:
        raise ValueError("sigma_r and sigma_s: expected both or none of them, got one")
    burst = read_burst(
        images if options.burst is None else burst_files(options.burst),
        noise=noise,
        light=options.light,
        downsample=options.downsample,
    )
    print("\n".join(describe(burst)))
    print("Residual: (frame 0 - result) / expected noise. Noise has mean 0 and neighbours 0.")
    for done in denoise_captured(burst, options.models, options.out, options.device):
        report = done.report
        print(
            f"{done.model:8}  mean {report.mean:6.3f}  std {report.std:.3f} (noise: {report.expected:.3f})  "
            f"neighbours {report.neighbours:6.3f}  {done.seconds:.2f} s  {report.verdict()}"
        )


def _denoise_synthetic(image: Path, options: DenoiseOptions) -> None:
    import torch
    from PIL import Image

    import mkpn
    from mkpn.checks import writable_folder
    from mkpn.metrics import definition_for
    from mkpn.synthesis.files import OWN_MEGAPIXELS
    from mkpn.synthesis.images import to_uint8

    def save(name: str, picture: torch.Tensor) -> None:
        Image.fromarray(to_uint8(picture)).save(options.out / f"{name}.png")

    # All that may be wrong first: a wrong name after nine networks would cost minutes.
    denoisers = {name: mkpn.load(name, device=options.device) for name in options.models}
    pixels = mkpn.load_image(image, max_megapixels=OWN_MEGAPIXELS)
    burst = mkpn.synthesize(pixels, gain=options.gain, seed=options.seed, downsample=options.downsample)
    writable_folder(options.out, "out")
    save("clean", burst.clean)
    save("noisy", burst.frames[0])
    definition = definition_for(*burst.clean.shape[-2:])
    print(definition.describe())
    pictures = {"noisy": burst.frames[0], "mean": burst.frames.mean(0)}
    for name in (*pictures, *options.models):
        seconds = ""
        if name in pictures:
            picture = pictures[name]
        else:
            result = denoisers[name](burst)
            picture, seconds = result.image, f"  {result.seconds:.2f} s"
            save(Path(name).stem, picture)
        shown = picture.clamp(0, 1)
        p, s = mkpn.psnr(shown, burst.clean, definition), mkpn.ssim(shown, burst.clean, definition)
        print(f"{name:8}  {p:6.2f} dB  {s:.3f}{seconds}")


def train(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help=f"one of {', '.join(MODELS)}")],
    config: Annotated[TrainConfig, tyro.conf.arg(name="")],
) -> None:
    """Train a network, or resume its run."""
    from mkpn.training.train import train as run

    print(f"exported {run(model, config)}")


def register(config: Annotated[RegisterConfig, tyro.conf.arg(name="")]) -> None:
    """Write a network that measures hand motion and has learned nothing else, for `train --init` to start from."""
    from mkpn.training.start.register import register as run

    figures = run(config)
    print(f"wrote {config.out}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


def evaluate(config: Annotated[EvaluateConfig, tyro.conf.arg(name="")]) -> None:
    """Measure PSNR and SSIM of models at gains on a folder of images."""
    from mkpn.evaluation.evaluate import evaluate as run

    run(config)
    if os.environ.get("RANK", "0") == "0":
        print((config.out / "results.md").read_text(encoding="utf-8"))


def curves(runs: tuple[Path, ...], /, *, out: Path) -> None:
    """Draw the learning curves of training runs as one PNG.

    Args:
        runs: folders of runs, each with its `stats.jsonl`.
        out: the file.
    """
    from mkpn.checks import writable_folder
    from mkpn.figures.learning_curves import learning_curves, read_curve

    if out.is_dir():
        raise ValueError(f"out: expected a file, got the folder {out}")
    writable_folder(out.parent, "out")
    figure = learning_curves([read_curve(run) for run in runs])
    out.write_bytes(figure)
    print(f"wrote {out}")


def models() -> None:
    """Print the ten networks of both presets with their parameter counts."""
    from mkpn.model.network import parameter_count

    print(f"{'model':9} {'kernel sides':20} {'kernels':10} {'compact':>10} {'paper':>12}")
    for name in MODELS:
        config = model_config(name)
        sides = ",".join(map(str, config.sizes))
        kind = "separable" if config.separable else "full"
        compact, paper = parameter_count(config), parameter_count(model_config(name, "paper"))
        print(f"{name:9} {sides:20} {kind:10} {compact:10,} {paper:12,}")


def bench(
    out: Path | None = None,
    only: Literal["ops", "models", "large"] | None = None,
    threads: int = 0,
    device: str = "auto",
    models: tuple[str, ...] = (),
    sides: tuple[int, ...] = (128, 256, 512, 1024),
    clock: Literal["wall", "cpu"] = "wall",
    quick: bool = False,
) -> None:
    """Measure time and memory of the local convolution, the networks, a training step and a 12-megapixel burst.

    Args:
        out: write the figures as JSON.
        only: one part: `ops`, `models` or `large`.
        threads: CPU threads; 0 keeps PyTorch's choice.
        device: `auto`, `cpu`, `cuda` or `mps`.
        models: networks to run; all by default.
        sides: of the square images that the networks denoise.
        clock: `cpu` counts processor time, for a machine with other work; with one thread only.
        quick: tiny sizes, to see that everything runs.
    """
    from mkpn.evaluation.speed.bench import bench as run

    run(out=out, only=only, threads=threads, device=device, models=models, sides=sides, clock=clock, quick=quick)


def app(
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str = "auto",
    checkpoints: Path | None = None,
    browser: bool = False,
    service: Annotated[ServiceOptions, tyro.conf.arg(name="")] = ServiceOptions(),  # noqa: B008 - frozen
) -> None:
    """Start the comparison app.

    Args:
        host: address to listen on; 0.0.0.0 lets other machines in.
        port: port; by default the first free one from 7860.
        device: `auto`, `cpu`, `cuda`, `mps` or e.g. `cuda:1`.
        checkpoints: folder of the networks; the shipped ones by default.
        browser: open the page in a browser.
        service: logins, limits, who may call and frame the app.
    """
    from mkpn.ui.launch import launch

    launch(host=host, port=port, device=device, checkpoints=checkpoints, browser=browser, service=service)


def main() -> None:
    """Runs the command line; a bad argument ends with a message and exit code 2, not with a traceback."""
    # Results go to stdout; progress and what mkpn has to say to stderr. Other packages speak from warnings on.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("mkpn").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A code page without some sign shows its number; the results are not lost.
            stream.reconfigure(errors="backslashreplace")
    commands = {"app": app, "denoise": denoise, "train": train, "evaluate": evaluate, "models": models}
    commands |= {"register": register, "curves": curves, "bench": bench}
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="mkpn")
    except (ValueError, FloatingPointError) as error:
        print(f"mkpn: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
