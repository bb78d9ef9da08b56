"""Which files a batch takes, and what it writes for them: two recordings never share an output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_core.cli.plan import SUFFIXES, Collision, Recording, find, missing, plan
from asr_core.text.formats import FORMATS


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def complain(what: OSError | Path) -> None:
    raise AssertionError(what)


def found(inputs: Iterable[Path], *, recursive: bool = False) -> list[Recording]:
    return list(find(inputs, recursive=recursive, unreadable=complain, left_out=complain))


def texts(folder: Path, output_dir: Path | None = None) -> set[str]:
    """Where the texts of all recordings below `folder` are written, as seen from there."""
    tasks = plan(found([folder], recursive=True), ["text"], output_dir)
    return {str(task.outputs["text"].relative_to(output_dir or folder)) for task in tasks}


def test_every_format_has_a_file_name_of_its_own_and_can_be_asked_for() -> None:
    assert SUFFIXES.keys() == FORMATS.keys()
    assert len(set(SUFFIXES.values())) == len(FORMATS)


def test_a_folder_gives_its_recordings_in_order_and_nothing_else(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.MP3", "a.mkv", "notes.txt", ".hidden.mp3", "._a.mkv", "c.mp3.part", "deeper/d.ogg", ".trash/e.mp3"
    )
    assert [recording.path.name for recording in found([tmp_path])] == ["a.mkv", "b.MP3"]
    assert [recording.path.name for recording in found([tmp_path], recursive=True)] == ["a.mkv", "b.MP3", "d.ogg"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called_and_only_once(tmp_path: Path) -> None:
    touch(tmp_path, "voice", "a.mp3")
    (tmp_path / "link.mp3").symlink_to(tmp_path / "a.mp3")
    named = [tmp_path / "voice", tmp_path / "a.mp3", tmp_path / "link.mp3", tmp_path, tmp_path / "voice"]
    assert [recording.path.name for recording in found(named)] == ["voice", "a.mp3"]


def test_a_folder_that_cannot_be_read_is_reported_and_the_rest_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "kept/b.mp3")
    (tmp_path / "gone").mkdir()
    told: list[OSError] = []
    recordings = find([tmp_path], recursive=True, unreadable=told.append, left_out=complain)
    first = next(recordings)
    (tmp_path / "gone").rmdir()
    assert [recording.path.name for recording in (first, *recordings)] == ["a.mp3", "b.mp3"]
    assert [error.filename for error in told] == [str(tmp_path / "gone")]


def test_transcripts_are_left_out_aloud_when_a_pattern_matches_them_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "a.txt", "a.verbose.json", "B.SRT", "folder.txt/b.mp3")
    left_out: list[Path] = []
    recordings = find(sorted(tmp_path.iterdir()), recursive=False, unreadable=complain, left_out=left_out.append)
    assert [recording.path.name for recording in recordings] == ["a.mp3", "b.mp3"]
    assert [path.name for path in left_out] == ["B.SRT", "a.txt", "a.verbose.json"]


def test_recordings_of_one_name_keep_their_suffix_in_this_batch_and_in_any_later_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "A.wav", "b.mp3")
    assert texts(tmp_path) == {"a.mp3.txt", "A.wav.txt", "b.txt"}
    alone = plan(found([tmp_path / "a.mp3"]), ["text"], None)
    assert alone[0].outputs["text"].name == "a.mp3.txt"


def test_a_recording_without_a_suffix_and_one_with_it_are_not_taken_for_each_other(tmp_path: Path) -> None:
    touch(tmp_path, "talk", "talk.mp3", "slides.mp3", "slides.pdf")
    (tmp_path / "slides").mkdir()
    named = plan(found([tmp_path / "talk"]), ["text"], None)
    assert named[0].outputs["text"].name == "talk.txt"
    assert texts(tmp_path) == {"talk.mp3.txt", "slides.txt"}


def test_an_output_folder_gets_the_same_tree(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.mp3", "x/a.mp3", "y/z/a.mp3")
    assert texts(tmp_path / "in", tmp_path / "out") == {"a.txt", "x/a.txt", "y/z/a.txt"}


def test_two_recordings_for_one_output_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.mp3", "y/a.mp3")
    with pytest.raises(Collision, match=r"x/a\.mp3 and .*y/a\.mp3"):
        plan(found([tmp_path / "x" / "a.mp3", tmp_path / "y" / "a.mp3"]), ["text"], tmp_path / "out")


def test_only_what_is_not_there_is_left_to_do(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "a.txt", "b.mp3", "b.txt", "b.srt")
    left = missing(plan(found([tmp_path]), ["text", "srt"], None))
    assert [task.outputs for task in left] == [{"srt": tmp_path / "a.srt"}]


names = st.text("abA.", min_size=1, max_size=3).filter(lambda name: name.strip("."))
suffixes = st.sampled_from([".mp3", ".wav", ".bin", ""])
recordings = st.builds("{}/{}{}".format, st.sampled_from("xy"), names, suffixes)


@given(st.data())
def test_no_two_recordings_of_a_folder_ever_share_an_output(data: st.DataObject) -> None:
    files = data.draw(st.lists(st.builds("{}{}".format, names, suffixes), min_size=2, max_size=5, unique=True))
    batches = st.lists(st.sampled_from(files), min_size=1, unique=True)
    with TemporaryDirectory() as folder:
        touch(Path(folder), *files)
        written: dict[Path, Path] = {}
        for batch in (files, *data.draw(st.lists(batches, min_size=1, max_size=4))):
            for task in plan([Recording(Path(folder, name)) for name in batch], ["text"], None):
                assert written.setdefault(task.outputs["text"], task.recording) == task.recording


@given(st.lists(recordings, min_size=1, max_size=6, unique=True), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_output_is_written_twice_or_over_a_recording(tmp_path: Path, paths: list[str], elsewhere: bool) -> None:
    batch = found([tmp_path / path for path in paths])
    try:
        tasks = plan(batch, SUFFIXES, tmp_path / "out" if elsewhere else None)
    except Collision:
        return
    outputs = [output for task in tasks for output in task.outputs.values()]
    assert len(set(outputs)) == len(batch) * len(SUFFIXES)
    assert not {recording.path for recording in batch} & set(outputs)
