"""Every recording whole: nothing lost, nothing bent, nothing invented."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from asr_core.audio.decode import decode
from asr_core.errors import BadRequest, DecoderFailed
from asr_core.types import SAMPLE_RATE, Pcm
from tests.audio.recordings import DAY, decoded, each_ffmpeg, ffmpeg, likeness, recording, stamped
from tests.audio.signals import SPEECH_FILE, speech

ONCE_S = len(speech()) / SAMPLE_RATE


def sound_of(path: Path, program: str) -> Pcm:
    return np.concatenate(decoded(path, ffmpeg=program))


def assert_is_speech(sound: Pcm, times: int = 1) -> None:
    """It is the sample, so many times over, and nothing else."""
    assert len(sound) / SAMPLE_RATE == pytest.approx(times * ONCE_S, abs=0.15 * times)
    for part in np.array_split(sound, times):
        assert likeness(part, speech()) > 0.9


LYING_CLOCKS = {
    "stamped on arrival, ten packets at a time": "floor(N/10)*10*20+mod(N,10)",
    "stamped on arrival, five seconds at a time": "floor(N/250)*250*20",
    "all alike": "0",
    "a millisecond apart": "N",
    "set back by five seconds": "if(gt(N,300),N*20-5000,N*20)",
    "set back and forward again": "if(between(N,300,500),N*20-3000,N*20)",
    "running slow": "N*15",
    "beginning below zero": "N*20-3000",
    "set forward by days": "if(gt(N,300),N*20+300000000,N*20)",
}


@each_ffmpeg
@pytest.mark.parametrize("times", LYING_CLOCKS.values(), ids=LYING_CLOCKS)
def test_where_the_clock_lies_the_sound_is_as_it_was(times: str, program: str, tmp_path: Path) -> None:
    stamped(tmp_path / "a.mka", times)
    assert_is_speech(sound_of(tmp_path / "a.mka", program))


@each_ffmpeg
def test_a_clock_that_runs_fast_does_not_cut_the_sound_into_pieces(program: str, tmp_path: Path) -> None:
    stamped(tmp_path / "a.mka", "N*25")
    assert len(sound_of(tmp_path / "a.mka", program)) / SAMPLE_RATE == pytest.approx(ONCE_S, abs=0.2)


@each_ffmpeg
def test_a_clock_set_forward_by_seconds_adds_that_much_silence_and_takes_nothing(program: str, tmp_path: Path) -> None:
    stamped(tmp_path / "a.mka", "if(gte(N,300),N*20+5000,N*20)")
    sound = sound_of(tmp_path / "a.mka", program)
    before, hole, after = np.split(sound, [6 * SAMPLE_RATE, 11 * SAMPLE_RATE])
    assert np.abs(hole[SAMPLE_RATE // 10 : -SAMPLE_RATE // 10]).max() < 10
    assert_is_speech(np.concatenate((before, after)))


PIECES = {
    "a.webm": ["-c:a", "libopus"],
    "a.mka": ["-c:a", "flac"],
    "a.flac": [],
    "a.ogg": ["-c:a", "libopus"],
    "a.ts": ["-c:a", "mp2"],
    "a.aac": [],
}


@each_ffmpeg
@pytest.mark.parametrize(("name", "encoding"), PIECES.items(), ids=PIECES)
def test_pieces_one_after_the_other_in_a_file_are_all_heard(
    name: str, encoding: list[str], program: str, tmp_path: Path
) -> None:
    ffmpeg("-i", SPEECH_FILE, *encoding, tmp_path / name)
    for times in (2, 5):
        (tmp_path / f"many-{name}").write_bytes((tmp_path / name).read_bytes() * times)
        assert_is_speech(sound_of(tmp_path / f"many-{name}", program), times)


CHANGES: dict[str, tuple[str, list[str], list[str]]] = {
    "mono, then stereo, in mp3": ("mp3", ["-ac", "1"], ["-ac", "2"]),
    "stereo, then mono, in mp3": ("mp3", ["-ac", "2"], ["-ac", "1"]),
    "48, then 24 kHz, in mp3": ("mp3", ["-ar", "48000"], ["-ar", "24000"]),
    "2.0, then 5.1, in ts": ("ts", ["-c:a", "ac3", "-ac", "2"], ["-c:a", "ac3", "-ac", "6"]),
    "5.1, then 1.0, in ts": ("ts", ["-c:a", "ac3", "-ac", "6"], ["-c:a", "ac3", "-ac", "1"]),
    "32, then 48 kHz, in ts": ("ts", ["-c:a", "ac3", "-ar", "32000"], ["-c:a", "ac3", "-ar", "48000"]),
}


@each_ffmpeg
@pytest.mark.parametrize(("suffix", "first", "second"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_channels_or_rate_adds_nothing_and_loses_nothing(
    suffix: str, first: list[str], second: list[str], program: str, tmp_path: Path
) -> None:
    parts = []
    for index, options in enumerate((first, second, first)):
        part = tmp_path / f"{index}.{suffix}"
        ffmpeg("-i", SPEECH_FILE, *options, "-output_ts_offset", f"{index * ONCE_S:f}", part)
        parts.append(part.read_bytes())
    path = tmp_path / f"spliced.{suffix}"
    path.write_bytes(b"".join(parts))
    assert_is_speech(sound_of(path, program), 3)
    if suffix == "ts":
        ffmpeg("-i", path, "-c", "copy", path.with_suffix(".mkv"))
        assert_is_speech(sound_of(path.with_suffix(".mkv"), program), 3)


VIDEO = {
    "film.mkv": ["-c:v", "mpeg4", "-c:a", "aac"],
    "film.mp4": ["-c:v", "mpeg4", "-c:a", "aac"],
    "film.mov": ["-c:v", "mpeg4", "-c:a", "pcm_s16le"],
    "film.ts": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "film.vob": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "film.mpg": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "film.flv": ["-c:v", "flv", "-c:a", "mp3", "-ar", "44100"],
    "film.asf": ["-c:v", "msmpeg4v3", "-c:a", "wmav2"],
    "film.webm": ["-c:v", "libvpx", "-c:a", "libopus"],
}


@each_ffmpeg
@pytest.mark.parametrize(("name", "encoding"), VIDEO.items(), ids=VIDEO)
def test_sound_that_begins_after_the_picture_keeps_its_place(
    name: str, encoding: list[str], program: str, tmp_path: Path
) -> None:
    picture, tone = ("-f", "lavfi", "-i", "color=s=64x64:d=6:r=25"), ("-f", "lavfi", "-i", "sine=d=1:r=44100")
    ffmpeg(*picture, "-itsoffset", "4", *tone, "-map", "0:v", "-map", "1:a", *encoding, tmp_path / name)
    loud = np.flatnonzero(np.abs(sound_of(tmp_path / name, program)) > 500) / SAMPLE_RATE
    assert (loud[0], loud[-1]) == (pytest.approx(4.0, abs=0.12), pytest.approx(5.0, abs=0.12))


def test_a_hole_in_a_recording_is_silence_of_its_length(tmp_path: Path) -> None:
    path = tmp_path / "call.webm"
    ffmpeg("-f", "lavfi", "-i", "sine=d=6", "-af", "aselect='lt(t,1)+gte(t,5)'", "-c:a", "libopus", path)
    sound = np.concatenate(decoded(path))
    assert len(sound) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)
    assert not np.any(np.abs(sound[2 * SAMPLE_RATE : 4 * SAMPLE_RATE]) > 500)


def _film(path: Path, *tracks: tuple[str, ...]) -> None:
    """A film with one tone a track, of 500, 700, 900 … Hz, or a silent track, each with options of its own."""
    inputs: list[str] = []
    options: list[str] = []
    for number, (source, *own) in enumerate(tracks):
        inputs += ["-f", "lavfi", "-i", source or f"sine=f={500 + 200 * number}:d=4"]
        options += ["-map", f"{number}:a", *(option.replace("#", str(number)) for option in own)]
    ffmpeg(*inputs, *options, "-c:a", "aac", path)


SINE, SILENT = "", "anullsrc=r=44100:d=4"
RUSSIAN, ENGLISH = ("-metadata:s:a:#", "language=rus"), ("-metadata:s:a:#", "language=eng")
DEFAULT, OTHER = ("-disposition:a:#", "default"), ("-disposition:a:#", "0")

FILMS: dict[str, tuple[int, list[tuple[str, ...]]]] = {
    "the Russian track before the default one": (1, [(SINE, *ENGLISH, *DEFAULT), (SINE, *RUSSIAN, *OTHER)]),
    "the default track before the first": (1, [(SINE, *ENGLISH, *OTHER), (SINE, *ENGLISH, *DEFAULT)]),
    "the first of equals": (0, [(SINE, *OTHER), (SINE, *OTHER)]),
    "not a silent one": (2, [(SILENT, *RUSSIAN, *DEFAULT), (SILENT, *OTHER), (SINE, *OTHER)]),
    "one that is silent at first": (1, [(SILENT, *OTHER), ("aevalsrc=sin(700*2*PI*t)*gt(t\\,2):d=4", *OTHER)]),
}


def _pitch(sound: Pcm) -> int:
    """Of the end of a tone, in Hz."""
    rising = np.count_nonzero((sound[-SAMPLE_RATE - 2000 : -2001] < 0) & (sound[-SAMPLE_RATE - 1999 : -2000] >= 0))
    return int(round(rising, -2))


@each_ffmpeg
@pytest.mark.parametrize(("chosen", "tracks"), FILMS.values(), ids=FILMS)
def test_of_several_sound_tracks_one_is_chosen(
    chosen: int, tracks: list[tuple[str, ...]], program: str, tmp_path: Path
) -> None:
    _film(tmp_path / "film.mkv", *tracks)
    heard, blocks = recording(tmp_path / "film.mkv", ffmpeg=program)
    assert heard.audio_track == chosen
    assert _pitch(np.concatenate(blocks)) == 500 + 200 * chosen
    assert sum(map(len, blocks)) == pytest.approx(4 * SAMPLE_RATE, abs=2000)


def test_the_track_that_is_asked_for_is_heard_silent_or_not(tmp_path: Path) -> None:
    _film(tmp_path / "film.mkv", (SINE, *RUSSIAN), (SINE,), (SILENT,))
    for track, pitch in enumerate((500, 700, 0)):
        heard, blocks = recording(tmp_path / "film.mkv", audio_track=track)
        assert (heard.audio_track, _pitch(np.concatenate(blocks))) == (track, pitch)
    with pytest.raises(BadRequest, match="3 sound tracks, 0 to 2") as caught:
        decoded(tmp_path / "film.mkv", audio_track=3)
    assert caught.value.param == "audio_track"


def test_where_all_tracks_are_silent_there_is_silence(tmp_path: Path) -> None:
    _film(tmp_path / "film.mkv", (SILENT,), (SILENT, *RUSSIAN))
    heard, blocks = recording(tmp_path / "film.mkv")
    assert heard.audio_track == 1
    assert not np.any(np.concatenate(blocks))


def test_a_single_track_is_not_worth_a_number_and_the_only_one(tmp_path: Path) -> None:
    assert recording(SPEECH_FILE)[0].audio_track is None
    assert recording(SPEECH_FILE, audio_track=0)[0].audio_track is None
    with pytest.raises(BadRequest, match="one sound track, 0"):
        decoded(SPEECH_FILE, audio_track=1)


LEVELS = {
    "18 dB too loud, float": ("volume=18dB:precision=double", "pcm_f32le"),
    "40 dB too loud, double": ("volume=40dB:precision=double", "pcm_f64le"),
    "60 dB too faint, float": ("volume=-60dB:precision=double", "pcm_f32le"),
    "60 dB too faint, 24 bits": ("volume=-60dB:precision=double", "pcm_s24le"),
}


@pytest.mark.parametrize(("gain", "encoding"), LEVELS.values(), ids=LEVELS)
def test_what_is_too_loud_or_too_faint_for_int16_comes_at_a_normal_level(
    gain: str, encoding: str, tmp_path: Path
) -> None:
    ffmpeg("-i", SPEECH_FILE, "-af", f"aformat=dbl,{gain}", "-c:a", encoding, tmp_path / "a.wav")
    sound = np.concatenate(decoded(tmp_path / "a.wav"))
    assert len(sound) == len(speech())
    assert 0.1 < np.quantile(np.abs(sound), 0.999) / 32768 < 0.9
    for one, other in pairwise(range(0, len(sound) + 1, 10 * SAMPLE_RATE)):
        assert np.corrcoef(sound[one:other], speech()[one:other])[0, 1] > 0.999


def test_channels_in_opposite_phase_do_not_cancel(tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, "-af", "pan=stereo|c0=c0|c1=-1*c0", tmp_path / "a.wav")
    np.testing.assert_array_equal(np.concatenate(decoded(tmp_path / "a.wav")), speech())


@pytest.mark.parametrize(("encoding", "most"), [(["-c:a", "pcm_s16le"], 0), (["-ar", "44100", "-c:a", "flac"], 1)])
def test_ordinary_stereo_is_mixed_as_ffmpeg_mixes_it(encoding: list[str], most: int, tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, "-af", "pan=stereo|c0=c0|c1=.6*c0,adelay=0|3", *encoding, tmp_path / "a.mka")
    ffmpeg("-i", tmp_path / "a.mka", "-ac", "1", "-ar", str(SAMPLE_RATE), tmp_path / "mixed.wav")
    ours, theirs = np.concatenate(decoded(tmp_path / "a.mka")), np.concatenate(decoded(tmp_path / "mixed.wav"))
    assert np.abs(ours.astype(int) - theirs).max() <= most


def _cut(path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, path)
    path.write_bytes(path.read_bytes()[:100_000])


def _dented(path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = bytes(5000)
    path.write_bytes(content)


@each_ffmpeg
@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [("a.wav", _cut, "says it has 21.2 s, and has 3.1 s"), ("a.flac", _cut, "."), ("a.flac", _dented, "damaged")],
)
def test_a_recording_that_lacks_something_says_so(
    name: str, spoil: Callable[[Path], None], told: str, program: str, tmp_path: Path
) -> None:
    spoil(tmp_path / name)
    heard, blocks = recording(tmp_path / name, ffmpeg=program)
    assert 1 < sum(map(len, blocks)) / SAMPLE_RATE <= ONCE_S
    assert len(heard.warnings) == 1
    assert told in heard.warnings[0]
    assert str(tmp_path) not in heard.warnings[0]


@each_ffmpeg
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac", "a.m4a", "a.webm", "a.aac", "film.mkv"])
def test_a_recording_that_lacks_nothing_does_not_warn(name: str, program: str, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=5:d=40") if name == "film.mkv" else ()
    ffmpeg(*picture, "-i", SPEECH_FILE, *(("-c:v", "mjpeg") if picture else ()), "-ar", "48000", tmp_path / name)
    assert recording(tmp_path / name, ffmpeg=program)[0].warnings == []


JOINED = {
    "mp3 with tags": ("mp3", ["-id3v2_version", "3", "-write_id3v1", "1", "-metadata", "title=часть"]),
    "mp3 with a picture in its tag": ("mp3", ["-map", "1:v", "-c:v", "png", "-disposition:v", "attached_pic"]),
    "WebM of browsers that record": ("webm", ["-live", "1"]),
}


@each_ffmpeg
@pytest.mark.parametrize(("suffix", "options"), JOINED.values(), ids=JOINED)
def test_whole_recordings_that_were_joined_lack_nothing_and_do_not_warn(
    suffix: str, options: list[str], program: str, tmp_path: Path
) -> None:
    once, thrice = tmp_path / f"once.{suffix}", tmp_path / f"thrice.{suffix}"
    ffmpeg("-i", SPEECH_FILE, "-f", "lavfi", "-i", "testsrc=s=320x240:r=1:d=1", "-map", "0:a", *options, once)
    thrice.write_bytes(once.read_bytes() * 3)
    heard, blocks = recording(thrice, ffmpeg=program)
    assert_is_speech(np.concatenate(blocks), 3)
    assert heard.warnings == []


@each_ffmpeg
def test_a_tag_does_not_excuse_damage_to_the_sound(program: str, tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, "-write_id3v1", "1", "-metadata", "title=часть", tmp_path / "a.mp3")
    content = bytearray(tmp_path.joinpath("a.mp3").read_bytes())
    for at in range(20_000, 80_000, 10_000):
        content[at : at + 2000] = np.random.default_rng(at).bytes(2000)
    (tmp_path / "a.mp3").write_bytes(content)
    assert "damaged" in recording(tmp_path / "a.mp3", ffmpeg=program)[0].warnings[0]


def _pretender(path: Path, script: str) -> str:
    """A program in ffmpeg's place, which has the real one decode and then does as `script` says."""
    path.write_text(f'#!/bin/bash\nffmpeg "$@"\n{script}\n')
    path.chmod(0o755)
    return str(path)


OUR_REASONS = {
    "no memory": ("echo '[error] Error while decoding stream #0:0: Cannot allocate memory' >&2; exit 0", "more memory"),
    "killed": ("kill -KILL $$", "signal 9"),
    "aborted": ("kill -ABRT $$", "signal 6"),
}


@pytest.mark.parametrize(("script", "told"), OUR_REASONS.values(), ids=OUR_REASONS)
def test_what_ends_early_for_our_reasons_is_an_error(script: str, told: str, tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, tmp_path / "a.mp3")
    with pytest.raises(DecoderFailed, match=told):
        decoded(tmp_path / "a.mp3", ffmpeg=_pretender(tmp_path / "pretender", script))


def test_an_ffmpeg_that_hangs_is_an_error(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=600:sample_rate=16000", tmp_path / "a.flac")

    async def suspend_and_read_on() -> None:
        async with decode(tmp_path / "a.flac", max_seconds=DAY, patience_s=0.5) as blocks:
            await anext(blocks)
            os.kill(blocks._source._tool._process.pid, signal.SIGSTOP)  # type: ignore[attr-defined]  # ours to suspend
            async for _ in blocks:
                pass

    with pytest.raises(DecoderFailed, match=r"did nothing for 0\.5 s"):
        asyncio.run(suspend_and_read_on())
