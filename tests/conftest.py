"""Fixtures shared by the tests: small images, an untrained and a perturbed network, one thread count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import perturbed
from numpy.typing import NDArray
from PIL import Image

from mkpn.model.config import model_config
from mkpn.model.network import KernelPredictionNetwork


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A real colour photograph, [300,451,3]."""
    from skimage import data

    return np.asarray(data.chelsea())


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    """A folder of six 128x128 photographs."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(6):
        top, left = 25 * index, 50 * index
        Image.fromarray(photo[top : top + 128, left : left + 128]).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def double_by_default() -> Iterator[None]:
    """PyTorch makes tensors of float64 where nothing else is said, as a program around this one may want."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def mkpn_network() -> KernelPredictionNetwork:
    return perturbed(model_config("mkpn"))
