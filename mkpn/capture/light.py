"""Linear light and display values: sRGB's curve (IEC 61966-2-1), its inverse, and what it does to noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_KNEE, _SLOPE, _OFFSET, _GAMMA = 0.0031308, 12.92, 0.055, 2.4


def encode(linear: NDArray[Any]) -> NDArray[Any]:
    """Returns display values of linear light of any shape; below zero the curve goes on as a straight line."""
    bent = (1 + _OFFSET) * np.maximum(linear, _KNEE) ** (1 / _GAMMA) - _OFFSET
    return np.where(linear > _KNEE, bent, _SLOPE * linear).astype(linear.dtype)


def decode(display: NDArray[Any]) -> NDArray[Any]:
    """Returns linear light of display values: the inverse of `encode`."""
    bent = ((np.maximum(display, _SLOPE * _KNEE) + _OFFSET) / (1 + _OFFSET)) ** _GAMMA
    return np.where(display > _SLOPE * _KNEE, bent, display / _SLOPE).astype(display.dtype)


def slope(linear: NDArray[Any]) -> NDArray[Any]:
    """Returns the derivative of `encode`: by how much it enlarges small noise."""
    bent = (1 + _OFFSET) / _GAMMA * np.maximum(linear, _KNEE) ** (1 / _GAMMA - 1)
    return np.where(linear > _KNEE, bent, _SLOPE).astype(linear.dtype)
