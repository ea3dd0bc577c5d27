"""What the endpoints return, field by field; Gradio's page of the API and its tools for models show these types.

Pictures are PNG files in base64, 8 bits, intensities clipped to [0,1]. PSNR is in dB.
"""

from __future__ import annotations

from typing import TypedDict


class Synthesized(TypedDict):
    """A burst: frame 0 is the reference, an offset is (x, y) in pixels, notes say what was done to the picture."""

    width: int
    height: int
    sigma_r: float
    sigma_s: float
    offsets: list[list[int]]
    notes: list[str]
    frames: list[str]
    clean: str


class Row(TypedDict):
    """One picture against the ground truth; `status` is waiting, running, done, stopped or failed."""

    model: str
    status: str
    psnr: float | None
    ssim: float | None
    seconds: float | None
    message: str
    png: str | None


class Square(TypedDict):
    """The compared square: its left upper corner and its side in pixels."""

    x: int
    y: int
    side: int


class Compared(TypedDict):
    """Models on one burst: `rows` of the whole picture, `squares` of the square, the paper's figure of both.

    `alt` says the figure in words; `view` is the file from which the app rebuilds it.
    """

    square: Square
    rows: list[Row]
    squares: list[Row]
    figure: str
    alt: str
    view: str


class Probed(TypedDict):
    """The kernels of one pixel: by size `[N,K,K]`, fused, the sum of each frame's fused weights over N, the offsets."""

    by_size: dict[str, list[list[list[float]]]]
    fused: list[list[list[float]]]
    frame_weights: list[float]
    offsets: list[list[int]]


class Evaluated(TypedDict):
    """A model at a gain; a failed one has no figures."""

    model: str
    gain: int
    status: str
    psnr: float | None
    ssim: float | None
    seconds: float | None


class BurstRow(TypedDict):
    """A network on a real burst: the residual over the expected noise, which has std `expected_std` and mean 0."""

    model: str
    seconds: float
    mean: float
    std: float
    expected_std: float
    neighbours: float
    verdict: str
    png: str


class DenoisedBurst(TypedDict):
    """A real burst: what was done to it, and the networks' results."""

    notes: list[str]
    models: list[BurstRow]


class Available(TypedDict):
    """What is there."""

    models: list[str]
    device: str
    examples: list[str]
