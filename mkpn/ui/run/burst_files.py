"""A run's burst as one ZIP: eight frames, the truth, and what they were made from."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from mkpn.synthesis.writing import FileFormat, write_burst
from mkpn.ui.run.session import Run

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP knows: the same burst gives the same file


def burst_archive(run: Run, file_format: FileFormat) -> Path:
    """Writes what `denoise --save-burst` writes into one ZIP that lies, and ends, with the run's pictures.

    Args:
        run: not closed.
        file_format: see `mkpn.synthesis.writing.STORED`.

    Returns:
        The ZIP.

    Raises:
        OSError: if nothing can be written.
    """
    settings = run.settings
    parameters = {
        "image": run.image.title,
        "sha256": run.image.sha256,
        "seed": settings.seed,
        "downsample": settings.downsample,
        "fit": settings.fit,
        "motion": asdict(settings.motion),
        "notes": run.notes,
    }
    path = run.folder.path / f"burst-seed{settings.seed}-{file_format}.zip"
    with TemporaryDirectory(dir=run.folder.path) as folder:
        burst, written = Path(folder) / "burst", Path(folder) / path.name
        write_burst(burst, run.burst, parameters, file_format)
        # Noise does not compress; PNGs are compressed already.
        with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(burst.iterdir()):
                archive.writestr(zipfile.ZipInfo(f"burst/{file.name}", _EPOCH), file.read_bytes())
        # At once: another page of the same run may be downloading the file that is there. Windows then lets nobody
        # replace it, which is as good: the same run gives the same file.
        with suppress(PermissionError):
            written.replace(path)
    return path
