"""Where a run's image comes from: a bundled example or a file that the browser has sent."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mkpn.checks import one_line
from mkpn.synthesis.files import read_file
from mkpn.synthesis.images import (
    EXAMPLES,
    box_downsample,
    conversion_notes,
    example_image,
    load_image,
    to_channels_first,
    to_uint8,
)
from mkpn.ui.run.pictures import picture_url
from mkpn.ui.run.settings import ImageRef

_PREVIEW_SIDE = 640
_THUMBNAIL_SIDE = 72  # CSS pixels; the files have twice as many, for dense screens


@dataclass(frozen=True, kw_only=True)
class Source:
    """An image that a run may start from.

    Attributes:
        title: its name for people.
        path: the file, or None for a bundled example of that name.
        caption: size, credit and what reading it changes, for people.
        preview: an exact PNG, box-downsampled where the image is large.
        bundled: short name of a bundled example, else None.
        sha256: of the uploaded file, or of a bundled example's pixels.
    """

    title: str
    path: Path | None
    caption: str
    preview: Path
    bundled: str | None = None
    sha256: str = ""

    @property
    def ref(self) -> ImageRef:
        """What a file or an address says about this image."""
        return ImageRef(self.title[:255] or "image", self.bundled, self.sha256)

    def pixels(self) -> NDArray[np.float32]:
        """Decodes the image to `[H,W,3]` intensities.

        Raises:
            ValueError: if the file is gone or damaged.
        """
        return load_image(self.path if self.path is not None else example_image(self.title))

    def html(self) -> str:
        """Returns the picture with its caption."""
        return (
            f'<figure class="source"><img src="{picture_url(self.preview)}" alt="{escape(self.title)}">'
            f"<figcaption><b>{escape(self.title)}</b> {escape(self.caption)}</figcaption></figure>"
        )


def example_source(name: str, folder: Path) -> Source:
    """Returns a bundled example with its credit.

    Raises:
        ValueError: if there is no such example.
    """
    levels = example_image(name)
    pixels = load_image(levels)
    index, example = next((index, example) for index, example in enumerate(EXAMPLES) if example.name == name)
    preview = folder / f"example-{index}.png"
    if not preview.exists():
        _write_preview(pixels, preview)
    caption = f"{_size(pixels)} px. {example.credit}; from scikit-image."
    digest = hashlib.sha256(levels.tobytes()).hexdigest()
    return Source(title=name, path=None, caption=caption, preview=preview, bundled=example.loader, sha256=digest)


def upload_source(path: Path, name: str, folder: Path) -> Source:
    """Reads a file that was uploaded.

    Args:
        path: where the server keeps it.
        name: what the user calls it.
        folder: where the preview goes.

    Raises:
        ValueError: if it is no image, damaged, too small or too large; the message is for the user.
    """
    name = one_line(name)
    try:
        data = read_file(path)
        pixels, notes = load_image(data), conversion_notes(data)
    except ValueError as error:
        # The server's own name of the file says nothing to the user.
        reason = str(error).removeprefix(f"{one_line(path.name)}: ").removeprefix("image: ")
        raise ValueError(f"{name}: {reason}") from error
    handle, file = tempfile.mkstemp(prefix="upload-", suffix=".png", dir=folder)
    os.close(handle)
    preview = Path(file)
    try:
        _write_preview(pixels, preview)
    except BaseException:
        preview.unlink()
        raise
    caption = f"{_size(pixels)} px." + "".join(f" {note[0].upper()}{note[1:]}." for note in notes)
    digest = hashlib.sha256(data).hexdigest()
    return Source(title=name, path=path, caption=caption, preview=preview, sha256=digest)


def forget_source(source: Source | None) -> None:
    """Deletes the preview of an upload that nobody looks at any more; also what `gr.State` calls at the end."""
    if source is not None and source.path is not None:
        source.preview.unlink(missing_ok=True)


def example_strip(folder: Path) -> str:
    """Returns a button with a thumbnail for every bundled example."""
    buttons = ""
    for index, example in enumerate(EXAMPLES):
        path = folder / f"thumbnail-{index}.png"
        ImageOps.fit(Image.fromarray(example_image(example.name)), (2 * _THUMBNAIL_SIDE, 2 * _THUMBNAIL_SIDE)).save(
            path
        )
        name = escape(example.name)
        buttons += (
            f'<button type="button" data-example="{name}" title="{name} – {escape(example.credit)}" '
            f'aria-label="{name}">'
            f'<img src="{picture_url(path)}" width="{_THUMBNAIL_SIDE}" height="{_THUMBNAIL_SIDE}" alt=""></button>'
        )
    return f'<div class="examples">{buttons}</div>'


def _write_preview(pixels: NDArray[np.float32], path: Path) -> None:
    # A strip keeps at least one pixel of its short side.
    factor = min(-(-max(pixels.shape[:2]) // _PREVIEW_SIDE), *pixels.shape[:2])
    Image.fromarray(to_uint8(to_channels_first(box_downsample(pixels, factor)))).save(path, compress_level=1)


def _size(pixels: NDArray[np.float32]) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
