"""Which recordings a batch has, and where each transcript goes. Touches names only, never contents."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {
    "json": ".json",
    "text": ".txt",
    "srt": ".srt",
    "verbose_json": ".verbose.json",
    "vtt": ".vtt",
    "tsv": ".tsv",
    "diarized_json": ".diarized.json",
}
"""What each format's file ends in."""

SOUND = (
    "aac ac3 aif aiff amr ape au caf dts eac3 flac m4a m4b mka mp2 mp3 oga ogg opus ra spx tta voc w64 wav weba wma wv"
)
VIDEO = "3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv rm ts vob webm wmv"
RECORDINGS = frozenset(f".{suffix}" for suffix in f"{SOUND} {VIDEO}".split())
"""What files in a folder end in to be taken for recordings; one given by its own name may end in anything else too."""


class Collision(Exception):
    """Two recordings would be written to the same file."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file to transcribe, and the folder, relative to the output folder, that its transcript belongs in."""

    path: Path
    subfolder: Path = Path()


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A recording, what to call it, and the files still to be written for it, by format."""

    recording: Path
    label: str
    outputs: Mapping[str, Path]


def find(
    inputs: Iterable[Path],
    *,
    recursive: bool,
    unreadable: Callable[[OSError], None],
    left_out: Callable[[Path], None],
) -> Iterator[Recording]:
    """The files among `inputs` and the recordings in the folders among them, each once, a folder's in order of name.

    What is named like a transcript is no recording, so that `*` means the same before a batch and after it: `left_out`
    is told of each. `unreadable` is told of each folder that cannot be read.
    """
    seen: set[Path] = set()
    for path in inputs:
        if _is_transcript(path.name) and not path.is_dir():
            left_out(path)
            continue
        for recording in _in_folder(path, recursive, unreadable) if path.is_dir() else (Recording(path),):
            identity = recording.path.resolve()
            if identity not in seen:
                seen.add(identity)
                yield recording


def plan(recordings: Iterable[Recording], formats: Iterable[str], output_dir: Path | None) -> list[BatchItem]:
    """An item for each recording, its outputs beside it or, in the same tree, under `output_dir`.

    talk.mp3 → talk.txt; but talk.mp3.txt where its folder has a talk.wav or just talk, and talk.xyz → talk.xyz.txt
    always: then none is taken for another, in this batch or a later one. Raises Collision where that is not enough.
    """
    recordings = list(recordings)
    names = _NamesInUse(recording.path for recording in recordings)
    written_by: dict[Path, Path] = {}
    items = []
    for recording in recordings:
        folder = recording.path.parent if output_dir is None else output_dir / recording.subfolder
        stem = names.output_stem(recording.path)
        outputs = {name: folder / (stem + SUFFIXES[name]) for name in formats}
        for output in outputs.values():
            other = written_by.setdefault(output, recording.path)
            if other != recording.path:
                raise Collision(
                    f"{other} and {recording.path} would both be written to {output}. Give the folder that they have "
                    "in common instead, or another --output-dir for one of them."
                )
        items.append(BatchItem(recording.path, str(recording.path), outputs))
    return items


def missing(items: Iterable[BatchItem]) -> list[BatchItem]:
    """The items that have something to write, with only those outputs that do not exist yet."""
    reduced = []
    for item in items:
        if outputs := {name: path for name, path in item.outputs.items() if not path.is_file()}:
            reduced.append(BatchItem(item.recording, item.label, outputs))
    return reduced


def _in_folder(folder: Path, recursive: bool, unreadable: Callable[[OSError], None]) -> Iterator[Recording]:
    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(files):
            if _is_recording(name):
                yield Recording(Path(parent, name), Path(parent).relative_to(folder))


def _is_recording(name: str) -> bool:
    return Path(name).suffix.lower() in RECORDINGS and not name.startswith(".")


def _is_transcript(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES.values()


class _NamesInUse:
    """The names that outputs may begin with: those of a batch's recordings, and of the files beside them."""

    def __init__(self, recordings: Iterable[Path]) -> None:
        self._names: dict[Path, set[str]] = {}
        for path in recordings:
            if path.parent not in self._names:
                self._names[path.parent] = _files_in(path.parent)
            self._names[path.parent].add(path.name)
        self._counts = {folder: Counter(_claims(names)) for folder, names in self._names.items()}

    def output_stem(self, path: Path) -> str:
        """The name that the outputs of `path` begin with: its stem where that says which recording it is."""
        alone = self._counts[path.parent][path.stem.casefold()] == 1
        return path.stem if _is_recording(path.name) and alone else path.name


def _claims(names: Iterable[str]) -> Iterator[str]:
    """What the outputs of each file may begin with; not every file system tells A from a."""
    for name in names:
        if _is_recording(name):
            yield Path(name).stem.casefold()
        if not _is_transcript(name):
            yield name.casefold()


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()
