"""Settings of an evaluation: a frozen dataclass, each field an option of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mkpn.checks import thread_count, whole


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """One evaluation; every field is an option of `python -m mkpn evaluate`.

    Attributes:
        images: folders of test photographs, searched recursively.
        scene: `photographs`, or `sharp`: drawn scenes instead of images, which are text, line art, charts, screenshots,
            stars and gratings, six of each or `--limit` in all, of `--crop` pixels or 128.
        out: folder for the tables (`results.json`, `.md`, `.csv`, `.tex`), the plot (`table1.png`, `.pdf`) and
            `images.csv`, the figures of every image with those first where MKPN gains most.
        models: names of shipped networks, or checkpoint files; all shipped networks by default. A second one of the
            same name is called `MODEL-2`.
        gains: noise levels, of 1, 2, 4 and 8 (section 3.1).
        downsample: box-downsampling factor of the photographs.
        crop: side of the centred crop that is evaluated; 0 takes whole images.
        limit: evaluate only this many images; 0 takes all.
        seed: of the test sets.
        frames: how many frames of a burst are seen; a network gets copies of the reference for the others, every other
            method only these. With 1, what a network still reaches is what it does not owe to the burst.
        still: leave the hand motion out.
        far: move every frame but the reference by 3 to 16 pixels along one axis at least, beyond small kernels.
        oracle: measure also the mean of the frames that are truly aligned within the reach of each network's kernels,
            which no network knows.
        oracle_nlm: denoise these means by non-local means, too: how much of what a network lacks is due to its reach.
        border: pixels removed on every side before measuring.
        channels: `rgb`, or `luma`: all figures are of Rec. 601 luma.
        baselines: classical denoisers of the aligned burst's mean: `aligned` (that mean alone), `nlm`, `opencv` and
            `bm3d`, the last two with the extra `baselines`. A 128x128 crop takes 0.02 s with `nlm` and `opencv` and
            3.5 s with `bm3d` on one core.
        against: `results.json` of an earlier run on the same bursts, with which the networks are compared.
        strict: stop at an image that cannot be used, instead of naming it and going on without it.
        title: what the tables call the test set; the folders' names by default.
        stamp: write each network's figures into the metadata of its checkpoint.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 keeps PyTorch's choice.
    """

    images: tuple[Path, ...] = ()
    scene: Literal["photographs", "sharp"] = "photographs"
    out: Path = Path("out/table1")
    models: tuple[str, ...] = ()
    gains: tuple[int, ...] = (1, 2, 4, 8)
    downsample: int = 1
    crop: int = 0
    limit: int = 0
    seed: int = 0
    frames: int = 8
    still: bool = False
    far: bool = False
    oracle: bool = True
    oracle_nlm: bool = False
    border: int = 8
    channels: Literal["rgb", "luma"] = "rgb"
    baselines: tuple[Literal["aligned", "nlm", "opencv", "bm3d"], ...] = ()
    against: Path | None = None
    strict: bool = False
    title: str = ""
    stamp: bool = False
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.images and self.scene == "photographs":
            raise ValueError("images: expected at least one folder, got none")
        if self.oracle_nlm and not self.oracle:
            raise ValueError("oracle_nlm: expected --oracle with it, got --no-oracle")
        if self.still and self.far:
            raise ValueError("far: expected no motion or far motion, got both")
        if not self.gains or len(set(self.gains)) != len(self.gains):
            raise ValueError(f"gains: expected at least one, each once, got {self.gains}")
        thread_count(self.threads)
        whole("seed", self.seed, 0)
        whole("downsample", self.downsample, 1)
        for field in ("crop", "limit", "border"):
            whole(field, getattr(self, field), 0)
        whole("frames", self.frames, 1, 8)
        if self.scene != "photographs" and (self.images or self.downsample != 1 or self.strict):
            raise ValueError(
                "scene: expected no --images, --downsample or --strict with sharp, which reads no photograph"
            )
        part = self.limit or set(self.gains) != {1, 2, 4, 8}
        if self.stamp and (part or self.still or self.far or self.frames < 8 or self.scene != "photographs"):
            raise ValueError(
                "stamp: expected figures of all photographs at all gains, of whole bursts in usual motion, "
                "got --limit, fewer --gains, --still, --far, --scene sharp or fewer --frames"
            )
