"""What ffmpeg says on stderr, with `-loglevel level+info`. Pure: lines in; what it knows of the recording out.

There is no ffprobe in static builds, and to start another process takes as long as to decode a voice note.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from asr_core.audio.demuxers import PICTURE

_LINE = re.compile(r"(?:\[[^\]]* @ 0x[0-9a-f]+\] )*\[(?P<level>[a-z]+)\] (?P<text>.*)")
_INPUT = re.compile(r"Input #0, (?P<name>.*), from '")
_DURATION = re.compile(
    r"  Duration: (?:(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d\.\d+)|N/A)(?:, start: (?P<start>-?\d+\.\d+))?"
)
_STREAM = re.compile(
    r"  Stream #0:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\((?P<language>[^()]*)\))?: (?P<kind>\w+): (?P<about>.*)"
)
_LAYOUT = re.compile(r" Hz, (?:(?P<count>\d+) channels|(?P<name>[a-z]+)|(?P<points>\d+(?:\.\d+)+))")
_NAMED = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}
_ERRORS = frozenset({"error", "fatal", "panic"})
_NO_RESOURCES = tuple(os.strerror(number) for number in (errno.ENOMEM, errno.EAGAIN))
"""How the C library calls it when a process may not have more memory, or threads."""

HARMLESS = "Found unknown-length element with ID 0x18538067"
"""Said of a WebM file that follows another in one file, and is read on with."""

GUESSED = "Estimating duration from bitrate"
"""A warning: a header does not tell the length. The first frames may be silence, and the guess absurd."""
CLOCKED = frozenset({*PICTURE.split(), "flac"})
"""Formats that have a clock: that of the picture, or numbers of frames."""
SPLICED = frozenset({"mpeg", "mpegts"})
"""Broadcast formats, whose clock may jump within a file: their length is not what lies between its ends."""


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of sound."""

    index: int
    """Among the file's streams of all kinds."""
    language: str
    default: bool
    channels: int
    """0 where that is not understood."""

    @property
    def mono(self) -> bool:
        return self.channels == 1

    @property
    def russian(self) -> bool:
        return self.language.lower().partition("-")[0] in ("ru", "rus")


class Header:
    """What has been said of the recording so far; complete once ffmpeg begins to decode, or ends."""

    def __init__(self) -> None:
        self.format_name = ""
        """ffmpeg's; empty as long as it has not recognised any."""
        self.tracks: list[Track] = []
        self.start_s = 0.0
        """Where the recording's clock begins."""
        self.only_sound = True
        """Whether there is no video, whose length would be the recording's as well."""
        self.complete = False
        self.no_resources = False
        """Whether ffmpeg was refused memory or threads."""
        self._duration_s = 0.0
        self._guessed = False
        self._complaint = ""
        self.n_errors = 0
        """Messages about what could not be decoded."""

    @property
    def spliced(self) -> bool:
        """Whether the clock may jump."""
        return self.format_name in SPLICED

    @property
    def has_clock(self) -> bool:
        """Whether the format tells when sound is to be heard; of others ffmpeg counts it, and may count wrong."""
        return not CLOCKED.isdisjoint(self.format_name.split(","))

    @property
    def claimed_s(self) -> float | None:
        """The length that the header tells; None if it does not, or nothing to be relied on."""
        return None if self._guessed or self.spliced else self._duration_s or None

    def read(self, line: str) -> None:
        """Take the next line."""
        match = _LINE.fullmatch(line)
        if match is None:
            return
        level, text = match["level"], match["text"]
        if level in _ERRORS:
            self._complain(text)
        elif not self.complete and level == "warning" and GUESSED in text:
            self._guessed = True
        elif not self.complete and level == "info":
            self._describe(text)

    def complaint(self, path: Path) -> str:
        """The last error message, without `path`; empty if there was none."""
        text = re.sub(r"file:|\[[^]]* @ 0x\w+] *", "", self._complaint.replace(str(path.absolute()), "")).strip(" :")
        return "".join(filter(str.isprintable, text))[:200]

    def _complain(self, text: str) -> None:
        if text.strip() and HARMLESS not in text:
            self._complaint = text
            self.n_errors += 1
        self.no_resources |= text.endswith(_NO_RESOURCES)

    def _describe(self, text: str) -> None:
        if text.startswith(("Stream mapping:", "Output #0")):
            self.complete = True
            self._complaint, self.n_errors = "", 0  # what was odd in pictures or tags does not matter to the sound
        elif match := _INPUT.match(text):
            self.format_name = match["name"]
        elif match := _DURATION.match(text):
            self.start_s = float(match["start"] or 0)
            if match["h"]:
                self._duration_s = int(match["h"]) * 3600 + int(match["m"]) * 60 + float(match["s"])
        elif match := _STREAM.match(text):
            self._take_stream(match)

    def _take_stream(self, match: re.Match[str]) -> None:
        about = match["about"]
        if match["kind"] == "Audio":
            language, default = match["language"] or "", "(default)" in about
            self.tracks.append(Track(int(match["index"]), language, default, _channels(about)))
            self.tracks.sort(key=lambda track: track.index)  # said program by program where there are programs
        elif match["kind"] == "Video" and "(attached pic)" not in about:
            self.only_sound = False


def _channels(about: str) -> int:
    """`44100 Hz, 5.1(side), fltp` → 6; 0 for a layout with a name that is not known."""
    layout = _LAYOUT.search(about)
    if layout is None:
        return 0
    if layout["points"]:
        return sum(map(int, layout["points"].split(".")))
    return int(layout["count"]) if layout["count"] else _NAMED.get(layout["name"], 0)
