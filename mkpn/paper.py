"""The paper's Table 1 (section 3.3)."""

from __future__ import annotations

from mkpn.model.config import MODELS

MEASURED_ON = (
    "Images of Open Images, box-downsampled by 4, 128×128 patches; the number of images, the border and the channels "
    "of the metric are not given. Networks of up to four times the width, 1,000,000 training steps."
)
"""What the paper's figures were measured on, as far as sections 3.1 to 3.3 say."""

_GAINS = (1, 2, 4, 8)
_FIGURES = {
    "kpn-l1": ((31.66, 0.837), (28.50, 0.759), (24.32, 0.607), (21.30, 0.486)),
    "kpn-l3": ((33.65, 0.897), (30.79, 0.844), (27.26, 0.735), (24.55, 0.632)),
    "kpn-l5": ((34.30, 0.906), (31.36, 0.855), (27.76, 0.754), (24.88, 0.658)),
    "kpn": ((34.28, 0.914), (31.46, 0.862), (27.86, 0.756), (24.90, 0.654)),
    "kpn-l7": ((34.54, 0.918), (31.65, 0.866), (28.10, 0.765), (25.37, 0.679)),
    "kpn-l9": ((34.57, 0.917), (31.63, 0.867), (28.07, 0.769), (25.34, 0.681)),
    "kpn-l11": ((34.67, 0.919), (31.78, 0.871), (28.15, 0.773), (25.26, 0.679)),
    "kpn-l13": ((34.71, 0.918), (31.77, 0.870), (28.15, 0.772), (25.34, 0.683)),
    "kpn-l25": ((34.96, 0.922), (32.04, 0.871), (28.44, 0.770), (25.66, 0.686)),
    "mkpn": ((35.10, 0.925), (32.22, 0.878), (28.61, 0.781), (25.78, 0.692)),
}

PAPER: dict[tuple[str, int], tuple[float, float]] = {
    (model, gain): figures for model in MODELS for gain, figures in zip(_GAINS, _FIGURES[model], strict=True)
}
"""PSNR in dB and SSIM of the paper's Table 1 by (model, gain)."""


def paper_rows() -> list[dict[str, str | int | float]]:
    """Returns the paper's figures as `{model, gain, psnr, ssim}`, gain by gain, in the order of `MODELS`."""
    return [
        {"model": model, "gain": gain, "psnr": PAPER[model, gain][0], "ssim": PAPER[model, gain][1]}
        for gain in _GAINS
        for model in MODELS
    ]
