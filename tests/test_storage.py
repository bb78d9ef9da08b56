"""A file is there whole or not at all, and a full disk is told from other troubles."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from asr_core.errors import StorageFull
from asr_core.storage import room_for, write_whole


def test_a_new_file_has_its_content_and_the_usual_permissions(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "a.txt", "привет".encode())
    (usual := tmp_path / "usual").touch()
    assert (tmp_path / "new" / "a.txt").read_text() == "привет"
    assert (tmp_path / "new" / "a.txt").stat().st_mode == usual.stat().st_mode


def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path := tmp_path / "a.txt").write_text("old")

    def break_off(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("я" * 125 + ".txt")
    write_whole(path, b"text")
    assert path.read_bytes() == b"text"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_with_what_there_was_no_room_for(number: int) -> None:
    with pytest.raises(StorageFull, match="uploads"), room_for("uploads"):
        raise OSError(number, os.strerror(number))


def test_other_troubles_with_a_disk_are_not_taken_for_a_full_one() -> None:
    with pytest.raises(PermissionError), room_for("uploads"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
