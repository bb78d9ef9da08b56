from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_core.audio.decode import decode
from asr_core.audio.downmix import WINDOW
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.errors import AsrError, AudioTooLong, BadAudio, FfmpegMissing, ModelNotReady
from asr_core.types import SAMPLE_RATE
from tests.audio.recordings import DAY, decoded, ffmpeg, likeness, probed, stamped
from tests.audio.signals import SPEECH_FILE, speech
from tests.processes import decoders


def wav_header(*, channels: int = 1, rate: int = SAMPLE_RATE, n_bytes: int = 0) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2 % 2**32, channels * 2 % 2**16, 16)
    size = struct.pack("<I", 36 + n_bytes)
    return b"RIFF" + size + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", n_bytes)


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes: more than all pipes and buffers on the way hold."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=600:sample_rate=16000", path)
    return path


@pytest.mark.parametrize("name", ["speech.wav", "speech.flac"])
def test_lossless_recordings_come_out_sample_for_sample(name: str, tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, tmp_path / name)
    np.testing.assert_array_equal(np.concatenate(decoded(tmp_path / name)), speech())


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("voice.mp3", []),
        ("phone.ogg", ["-c:a", "libopus"]),
        ("browser.webm", ["-c:a", "libopus"]),
        ("memo.m4a", []),
        ("radio.aac", []),
        ("telephone.au", ["-ar", "8000", "-c:a", "pcm_mulaw"]),
        ("stereo.wav", ["-ac", "2", "-ar", "44100"]),
        ("surround.mka", ["-ac", "6", "-ar", "48000", "-c:a", "flac"]),
        ("phone.avi", ["-c:a", "adpcm_ms"]),
        ("broadcast.ts", ["-c:a", "mp2"]),
    ],
)
def test_formats_of_all_kinds_become_16_khz_mono(name: str, encoding: list[str], tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, *encoding, tmp_path / name)
    sound = np.concatenate(decoded(tmp_path / name))
    assert len(sound) == pytest.approx(len(speech()), abs=0.15 * SAMPLE_RATE)
    assert likeness(sound, speech()) > 0.9


@pytest.mark.parametrize("name", ["index-at-the-end.mp4", "video.mkv", "video.mov"])
def test_a_video_gives_its_sound(name: str, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=5")
    ffmpeg(*picture, "-i", SPEECH_FILE, "-c:v", "mjpeg", "-c:a", "aac", "-shortest", tmp_path / name)
    sound = np.concatenate(decoded(tmp_path / name))
    assert len(sound) == pytest.approx(len(speech()), abs=0.3 * SAMPLE_RATE)


def test_blocks_are_of_one_size_save_the_last() -> None:
    lengths = [len(block) for block in decoded(SPEECH_FILE)]
    assert set(lengths[:-1]) == {WINDOW}
    assert 0 < lengths[-1] <= WINDOW
    assert sum(lengths) == len(speech())


def test_no_empty_block_follows_a_recording_of_whole_blocks(tmp_path: Path) -> None:
    path = tmp_path / "two.flac"
    ffmpeg("-f", "lavfi", "-i", f"sine=duration={2 * WINDOW / SAMPLE_RATE}:sample_rate={SAMPLE_RATE}", path)
    assert [len(block) for block in decoded(path)] == [WINDOW, WINDOW]


def test_probe_reads_the_duration_from_the_header(tmp_path: Path) -> None:
    assert probed(SPEECH_FILE) == pytest.approx(len(speech()) / SAMPLE_RATE, abs=0.01)
    ffmpeg("-i", SPEECH_FILE, tmp_path / "voice.m4a")
    assert probed(tmp_path / "voice.m4a") == pytest.approx(len(speech()) / SAMPLE_RATE, abs=0.1)


def test_probe_does_not_take_a_guess_for_a_duration(tmp_path: Path) -> None:
    silence_first = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=20", "-i", SPEECH_FILE)
    ffmpeg(*silence_first, "-filter_complex", "[0:a][1:a]concat=v=0:a=1", tmp_path / "raw.aac")
    assert probed(tmp_path / "raw.aac") is None
    ffmpeg("-i", tmp_path / "raw.aac", "-c", "copy", "-f", "webm", "-c:a", "libopus", "-live", "1", tmp_path / "l.webm")
    assert probed(tmp_path / "l.webm") is None


def test_probe_does_not_believe_a_clock_that_jumps_nor_an_mp3_without_a_header(tmp_path: Path) -> None:
    for index in range(2):
        part = tmp_path / f"{index}.ts"
        ffmpeg("-i", SPEECH_FILE, "-c:a", "mp2", "-output_ts_offset", str(50_000 * index), "-f", "mpegts", part)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    assert probed(joined) is None
    assert sum(map(len, decoded(joined))) == pytest.approx(2 * len(speech()), rel=0.01)
    ffmpeg("-i", SPEECH_FILE, "-write_xing", "0", tmp_path / "bare.mp3")
    assert probed(tmp_path / "bare.mp3") is None


def _video_without_sound(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1", "-f", "matroska", path)


def _picture(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:duration=1", "-frames:v", "1", "-c:v", "png", "-f", "image2", path)


def _cut_before_its_index(path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, "-f", "mp4", path)
    path.write_bytes(path.read_bytes()[:10_000])


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("Это не запись. " * 100),
    "random": lambda path: path.write_bytes(np.random.default_rng(0).bytes(100_000)),
    "a header without sound": lambda path: path.write_bytes(wav_header()),
    "less than a sample": lambda path: path.write_bytes(wav_header(n_bytes=1) + b"\0"),
    "an mp4 that breaks off before its index": _cut_before_its_index,
    "a video without sound": _video_without_sound,
    "a picture": _picture,
    "65535 channels": lambda path: path.write_bytes(wav_header(channels=65535, n_bytes=200_000) + bytes(200_000)),
    "a sample rate of 0": lambda path: path.write_bytes(wav_header(rate=0, n_bytes=2000) + bytes(2000)),
}


@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_is_bad_audio_for_a_reason_that_names_none_of_our_files(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "upload"
    make(path)
    with pytest.raises(BadAudio) as caught:
        decoded(path)
    assert caught.value.param == "file"
    assert 10 < len(str(caught.value)) < 300
    assert not any(ours in str(caught.value) for ours in (str(tmp_path), "upload", "0x", "file:", "\n"))


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile secret.wav\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet'
    ' mimeType="audio/mp4"><Representation id="0"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period>'
    "</MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "asx": '<asx version="3.0"><entry><ref href="{secret}"/></entry></asx>',
    "rtsp text": "RTSPtext\nrtsp://127.0.0.1/secret\n",
    "reference movie": "[Reference]\nRef1={secret}\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image xlink:href="{secret}"/></svg>',
}


@pytest.mark.parametrize("content", PLAYLISTS.values(), ids=PLAYLISTS)
def test_a_file_that_points_to_another_does_not_get_it(content: str, tmp_path: Path) -> None:
    shutil.copy(SPEECH_FILE, tmp_path / "secret.wav")
    (tmp_path / "upload").write_text(content.format(secret=tmp_path / "secret.wav"))
    with pytest.raises(BadAudio):
        decoded(tmp_path / "upload")


def test_ffmpeg_alone_would_have_followed_such_a_file(tmp_path: Path) -> None:
    shutil.copy(SPEECH_FILE, tmp_path / "secret.wav")
    (tmp_path / "upload").write_text(PLAYLISTS["concat"])
    ffmpeg("-i", tmp_path / "upload", tmp_path / "stolen.wav")
    assert len(np.concatenate(decoded(tmp_path / "stolen.wav"))) == len(speech())


@pytest.mark.parametrize(
    "name", ["-i.wav", "a:b.wav", "http:x", "%03d.wav", "concat:a|b", "pipe:0", "моя запись.wav", "a\nb", "[0]*?.wav"]
)
def test_a_file_s_name_is_only_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SPEECH_FILE, tmp_path / name)
    assert sum(map(len, decoded(Path(name)))) == len(speech())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot limit another process")
def test_the_decoder_cannot_take_more_memory_than_it_needs(long_recording: Path) -> None:
    async def limits() -> tuple[int, int]:
        async with decode(long_recording, max_seconds=DAY) as blocks:
            await anext(blocks)
            return resource.prlimit(decoders()[0].pid, resource.RLIMIT_AS)

    assert asyncio.run(limits()) == (1 << 30, 1 << 30)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policy")
def test_once_there_is_sound_no_thread_of_the_decoder_interrupts_another(long_recording: Path) -> None:
    def policies() -> set[int]:
        return {os.sched_getscheduler(thread.id) for thread in decoders()[0].threads()}

    async def before_and_after() -> tuple[set[int], set[int]]:
        async with decode(long_recording, max_seconds=DAY) as blocks:
            before = policies()
            await anext(blocks)
            return before, policies()

    assert asyncio.run(before_and_after()) == ({os.sched_getscheduler(0)}, {os.SCHED_BATCH})


async def seconds_until_refused(path: Path, max_seconds: float) -> float:
    n_samples = 0
    with pytest.raises(AudioTooLong, match=f"{max_seconds:g} seconds"):
        async with decode(path, max_seconds=max_seconds) as blocks:
            async for block in blocks:
                n_samples += len(block)
    return n_samples / SAMPLE_RATE


def test_what_is_too_long_by_its_header_is_refused_before_the_first_block(long_recording: Path, tmp_path: Path) -> None:
    assert asyncio.run(seconds_until_refused(long_recording, 599)) == 0
    ffmpeg("-i", long_recording, "-c:a", "libopus", tmp_path / "long.mkv")
    assert asyncio.run(seconds_until_refused(tmp_path / "long.mkv", 599)) == 0


def test_what_has_no_header_is_refused_once_it_has_become_too_long(tmp_path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, tmp_path / "raw.aac")
    assert asyncio.run(seconds_until_refused(tmp_path / "raw.aac", 15)) == 10


def _claiming(flac: Path, n_samples: int) -> None:
    """Overwrite the number of samples that the file says it has."""
    content = bytearray(flac.read_bytes())
    content[21] = content[21] & 0xF0 | n_samples >> 32
    content[22:26] = (n_samples % 2**32).to_bytes(4, "big")
    flac.write_bytes(content)


def _endless_flac(path: Path) -> None:
    ffmpeg("-i", SPEECH_FILE, path)
    _claiming(path, 100 * 3600 * SAMPLE_RATE)


def _endless_aiff(path: Path) -> None:
    plain = path.with_suffix(".plain")
    ffmpeg("-i", SPEECH_FILE, "-f", "aiff", plain)
    content = bytearray(plain.read_bytes())
    common, data = content.index(b"COMM"), content.index(b"SSND")
    content[common + 10 : common + 14] = (0x3FFFFFFF).to_bytes(4, "big")
    content[data + 4 : data + 8] = (0x7FFFFFFE).to_bytes(4, "big")
    path.write_bytes(content)


def _clock_set_forward_by_days(path: Path) -> None:
    stamped(path, "if(gt(N,300),N*20+300000000,N*20)")


ONLY_CLAIMED: dict[str, Callable[[Path], None]] = {
    "claims.flac": _endless_flac,
    "pipe.aiff": _endless_aiff,
    "clock.mka": _clock_set_forward_by_days,
}


@pytest.mark.parametrize(("name", "make"), ONLY_CLAIMED.items(), ids=ONLY_CLAIMED)
def test_a_length_that_only_the_header_claims_refuses_nothing(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / name)
    assert probed(tmp_path / name) is None or (probed(tmp_path / name) or 0) > 3600
    assert sum(map(len, decoded(tmp_path / name, max_seconds=3600.0))) == pytest.approx(len(speech()), rel=0.01)


def _hours_of_silence(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=7200", path)


def _hours_of_silence_that_nothing_announces(path: Path) -> None:
    _hours_of_silence(path)
    _claiming(path, 0)


def _one_sample_a_second(path: Path) -> None:
    path.write_bytes(wav_header(rate=1, n_bytes=2_000_000) + bytes(2_000_000))


SWELLING: dict[str, tuple[Callable[[Path], None], float]] = {
    "silence.flac": (_hours_of_silence, 0),
    "unannounced.flac": (_hours_of_silence_that_nothing_announces, 590),
    "slow.wav": (_one_sample_a_second, 0),
}
"""Files of kilobytes that are hours long, and how many of their seconds may be decoded before that is found out."""


@pytest.mark.parametrize(("name", "make", "seconds"), [(name, *how) for name, how in SWELLING.items()], ids=SWELLING)
def test_a_tiny_file_that_swells_to_hours_is_refused_without_decoding_them(
    name: str, make: Callable[[Path], None], seconds: float, tmp_path: Path
) -> None:
    make(tmp_path / name)
    assert asyncio.run(seconds_until_refused(tmp_path / name, 3600)) == seconds


def test_a_recording_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "cut.wav").write_bytes(SPEECH_FILE.read_bytes()[:100_000])
    sound = np.concatenate(decoded(tmp_path / "cut.wav"))
    assert 45_000 < len(sound) < 50_000
    np.testing.assert_array_equal(sound, speech()[: len(sound)])


def test_a_damaged_recording_gives_what_can_be_decoded_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ffmpeg("-i", SPEECH_FILE, tmp_path / "damaged.flac")
    content = bytearray((tmp_path / "damaged.flac").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = bytes(5000)
    (tmp_path / "damaged.flac").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        sound = np.concatenate(decoded(tmp_path / "damaged.flac"))
    assert 0.3 * len(speech()) < len(sound) <= len(speech())
    np.testing.assert_array_equal(sound[: len(speech()) // 4], speech()[: len(speech()) // 4])
    assert "The recording is damaged" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_more_complaints_than_a_pipe_holds_do_not_stop_the_decoding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "torn.flac"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=duration=300:sample_rate=16000:amplitude=0.3:seed=1", path)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[20_000::500] ^= 0xFF
    content.tofile(path)
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-f", "s16le", "pipe:1"]
    assert len(subprocess.run(command, check=True, capture_output=True, timeout=60).stderr) > 1 << 16
    with caplog.at_level(logging.WARNING):
        assert sum(map(len, decoded(path))) > 30 * SAMPLE_RATE
    assert len(caplog.text) < 1000


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Oops(Exception):
    pass


async def leave_after_the_first_block(path: Path) -> None:
    async with decode(path, max_seconds=DAY) as blocks:
        async for _ in blocks:
            break


async def leave_without_reading(path: Path) -> None:
    async with decode(path, max_seconds=DAY):
        assert len(decoders()) == 1


async def leave_while_it_hangs(path: Path) -> None:
    async with asyncio.timeout(30), decode(path, max_seconds=DAY) as blocks:
        await anext(blocks)
        decoders()[0].suspend()  # from here on only SIGKILL ends it


async def leave_by_an_error(path: Path) -> None:
    with pytest.raises(Oops):
        async with decode(path, max_seconds=DAY) as blocks:
            async for _ in blocks:
                raise Oops


async def leave_by_cancellation(path: Path, times: int = 1, after_blocks: int = 1) -> None:
    reached = asyncio.Event()

    async def consume() -> None:
        async with decode(path, max_seconds=DAY) as blocks:
            for _ in range(after_blocks):
                await anext(blocks)
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(consume())
    await reached.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    while len(asyncio.all_tasks()) > 1:  # a second cancellation leaves the reaping to a task of its own
        await asyncio.sleep(0.01)


async def leave_by_cancellation_again_and_again(path: Path) -> None:
    await leave_by_cancellation(path, times=3)


async def leave_by_cancellation_at_any_moment(path: Path) -> None:
    for delay in np.linspace(0, 0.2, 8):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(float(delay)), decode(path, max_seconds=DAY) as blocks:
                async for _ in blocks:
                    await asyncio.sleep(1)


DOORS = (
    leave_after_the_first_block,
    leave_without_reading,
    leave_while_it_hangs,
    leave_by_an_error,
    leave_by_cancellation,
    leave_by_cancellation_again_and_again,
    leave_by_cancellation_at_any_moment,
)


@pytest.mark.parametrize("leave", DOORS, ids=lambda leave: leave.__name__)
def test_however_the_scope_is_left_no_process_and_no_open_file_stays(
    leave: Callable[[Path], object], long_recording: Path
) -> None:
    async def run() -> None:
        await leave_after_the_first_block(SPEECH_FILE)  # the loop's own watchers are in place from here on
        before = open_files()
        await leave(long_recording)  # type: ignore[misc]  # each door is a coroutine function
        assert decoders() == []
        assert open_files() == before
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_ffmpeg_waits_for_a_reader_that_is_slow(long_recording: Path) -> None:
    async def written_ahead() -> int:
        async with decode(long_recording, max_seconds=DAY) as blocks:
            await anext(blocks)
            await asyncio.sleep(1)
            (process,) = decoders()
            return int(process.io_counters().write_chars)

    assert asyncio.run(written_ahead()) < 2_000_000  # of 38 MB


@pytest.mark.parametrize(
    ("ended_by", "expected", "message"),
    [(signal.SIGKILL, AsrError, "signal 9"), (signal.SIGTERM, ModelNotReady, "stopping")],
)
def test_where_someone_ends_ffmpeg_the_recording_has_not_ended(
    ended_by: signal.Signals, expected: type[AsrError], message: str, long_recording: Path
) -> None:
    async def end_and_read_on() -> None:
        async with decode(long_recording, max_seconds=DAY) as blocks:
            await anext(blocks)
            decoders()[0].send_signal(ended_by)
            async for _ in blocks:
                pass

    with pytest.raises(expected, match=message) as caught:
        asyncio.run(end_and_read_on())
    assert not isinstance(caught.value, BadAudio)


def test_without_ffmpeg_the_server_s_owner_learns_what_to_do(long_recording: Path) -> None:
    with pytest.raises(FfmpegMissing, match=r"/nowhere/ffmpeg cannot be run: No such file.*FFMPEG"):
        decoded(long_recording, ffmpeg="/nowhere/ffmpeg")
