"""Arrays on their way into the page: base64 of little-endian numbers, which the browser reads without parsing."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """Returns shape and bytes of an array: float32, or uint8 as it is.

    Args:
        values: any shape.
    """
    kind = "u1" if values.dtype == np.uint8 else "<f4"
    data = np.ascontiguousarray(values, dtype=kind)
    return {"type": kind, "shape": list(data.shape), "data": base64.b64encode(data.tobytes()).decode("ascii")}


def quantised(values: NDArray[Any]) -> dict[str, Any]:
    """Returns an array in 16 bits between its lowest and highest value; the error is below 1/130,000 of that range.

    Args:
        values: finite numbers, any shape.
    """
    low, high = float(values.min()), float(values.max())
    span = high - low or 1.0
    levels = np.rint((values.astype(np.float64) - low) / span * 65535).astype("<u2")
    return {
        "type": "<u2",
        "shape": list(levels.shape),
        "data": base64.b64encode(levels.tobytes()).decode("ascii"),
        "low": low,
        "span": span,
    }
