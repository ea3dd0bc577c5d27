"""A file appears whole or stays as it was, and nothing else is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from mkpn.whole_files import written_whole


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_new_content_takes_the_place_of_the_old_at_the_end(tmp_path: Path, on_disk: bool) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old", encoding="utf-8")
    with written_whole(path, on_disk) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_old_content_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="full"), written_whole(path) as temporary:
        _write_half(temporary)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("named", [None, "temporary"])
def test_an_error_names_the_file(tmp_path: Path, named: str | None) -> None:
    """Of a full disk the system names no file, otherwise the temporary one."""
    with pytest.raises(OSError, match="No space") as found, written_whole(tmp_path / "a.json") as temporary:
        raise OSError(28, "No space left on device", *([str(temporary)] if named else []))
    assert found.value.filename == str(tmp_path / "a.json")


def _write_half(path: Path) -> None:
    path.write_text("half", encoding="utf-8")
    raise OSError("the disk is full")
