"""What a visitor reads calls things by the names that the page shows."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import fields
from typing import Any

import gradio as gr
import pytest
from gradio.exceptions import InvalidPathError

from mkpn.synthesis.motion import BurstConfig
from mkpn.synthesis.noise import Noise
from mkpn.ui.page import answers
from mkpn.ui.run.settings import Settings
from mkpn.ui.service.events import Page


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Noise(2, 0), "Read noise σr: expected a number from 0 to 1, got 2"),
        (lambda: BurstConfig(rate=99), "Frames that move far, λ: expected a number from 0 to 64, got 99"),
        (
            lambda: Settings(noise=Noise(0, 0), seed=-1),
            "Seed: expected a whole number, 0 to 9007199254740991, got -1",
        ),
    ],
)
def test_a_setting_has_the_name_of_its_control(monkeypatch: pytest.MonkeyPatch, make: Any, said: str) -> None:
    heard: list[str] = []
    monkeypatch.setattr(answers.gr, "Warning", heard.append)
    with pytest.raises(ValueError, match="expected") as refused:
        make()
    answers.warn(str(refused.value))
    assert heard == [said]


def test_every_setting_of_the_page_has_a_name() -> None:
    names = {field.name for kind in (Settings, BurstConfig, Noise) for field in fields(kind)}
    for name in names - {"motion", "frames", "far"}:  # which the page cannot set by themselves
        assert answers.worded(f"{name}: expected x") != f"{name}: expected x", name
    assert answers.worded("photo.png: expected an image") == "photo.png: expected an image"


@pytest.mark.parametrize(
    ("value", "said"),
    [(-1, "Seed: expected a number, 0 or more, got -1"), ("x", "data: expected values for number")],
)
def test_a_number_beyond_its_range_is_named_as_on_the_page(value: Any, said: str) -> None:
    with Page() as page:
        seed = gr.Number(0, label="Seed (same number, same burst)", minimum=0)
        gr.Button().click(lambda number: number, [seed], None)
    event = next(iter(page.fns.values()))
    with pytest.raises(gr.Error) as refused:
        asyncio.run(page.preprocess_data(event, [value], None))
    assert str(refused.value.message).startswith(said)


def test_a_path_of_the_server_is_refused_in_words_of_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(*_: object) -> None:
        raise InvalidPathError("Cannot move /srv/secret to the gradio cache dir")

    monkeypatch.setattr(gr.Blocks, "preprocess_data", refuses)
    with Page() as page:
        gr.Button().click(lambda file: file, [gr.JSON()], None)
    with pytest.raises(gr.Error) as refused:
        asyncio.run(page.preprocess_data(next(iter(page.fns.values())), [{"path": "/srv/secret"}], None))
    assert refused.value.message == "data: expected uploaded files, got a path of the server"


def test_a_full_disk_is_told_and_nothing_else_of_the_server() -> None:
    def full(_: float) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret")

    with Page() as page:
        seed = gr.Number(0)
        gr.Button().click(full, [seed], None)
    with pytest.raises(gr.Error) as refused:
        asyncio.run(page.process_api(next(iter(page.fns.values())), [1]))
    assert refused.value.message == "disk: expected free space on the server, got a full disk; try again later"


def test_the_empty_number_of_a_slider_is_its_smallest() -> None:
    """So it is for a moment while it is typed anew, and Gradio's slider takes nothing but numbers."""
    with Page() as page:
        slider = gr.Slider(3, 9, label="Far motion")
        slider.change(lambda number: number, [slider], None)
    event = next(iter(page.fns.values()))
    assert asyncio.run(page.preprocess_data(event, [None], None)) == [3]
