"""Recordings become files of text, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # comes with bentoml, its types do not

from asr_core.audio.ffmpeg import find_ffmpeg
from tests.cli.conftest import COMMAND, Run, environment
from tests.conftest import Server, wait_until
from tests.processes import decoders


def files(folder: Path) -> dict[str, int]:
    """Every file below `folder`, hidden ones too, and when it was written, ns."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`gigaam-asr transcribe` at work in `folder`."""
    command = [*COMMAND, "transcribe", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def interrupt(process: subprocess.Popen[str]) -> str:
    """Ctrl-C as a terminal sends it, to ffmpeg too; gives what the program had to say."""
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=60)[1]


def test_a_batch_does_all_it_can_names_what_it_could_not_and_goes_on_from_there(
    run: Run, tmp_path: Path, speech: Path, spoken_text: str
) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "deeper").mkdir(parents=True)
    shutil.copy(speech, inbox / "talk.wav")
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", speech, "-c:a", "flac", inbox / "deeper" / "film.mkv"], check=True
    )
    (inbox / "broken.mp3").write_bytes(b"not sound" * 1000)
    (inbox / "notes.md").write_text("not a recording")
    command = ("transcribe", "inbox", "missing.ogg", "--recursive", "-f", "text", "-f", "srt")

    first = run(*command)
    assert first.returncode == 1
    assert first.stdout == ""
    *_, broken, missing = first.stderr.strip().splitlines()
    assert "broken.mp3: The file is not a recording" in broken
    assert missing.strip() == "missing.ogg: No such file or directory"
    before = files(inbox)
    written = {"talk.txt", "talk.srt", "deeper/film.txt", "deeper/film.srt"}
    assert before.keys() == {"talk.wav", "deeper/film.mkv", "broken.mp3", "notes.md"} | written
    assert (inbox / "talk.txt").read_text() == (inbox / "deeper" / "film.txt").read_text() == spoken_text + "\n"
    assert (inbox / "talk.srt").read_text().startswith("1\n00:00:0")

    shutil.copy(speech, inbox / "broken.mp3")
    (inbox / "talk.srt").unlink()
    (inbox / "talk.txt").write_text("corrected by hand")
    second = run(*command[:2], *command[3:])
    assert second.returncode == 0, second.stderr
    after = files(inbox)
    assert after.keys() == before.keys() | {"broken.txt", "broken.srt"}
    assert after["deeper/film.txt"] == before["deeper/film.txt"]
    assert (inbox / "talk.txt").read_text() == "corrected by hand"


def test_standard_input_is_answered_on_standard_output_and_leaves_nothing(
    run: Run, tmp_path: Path, speech: Path, spoken_text: str
) -> None:
    (scratch := tmp_path / "tmp").mkdir()
    done = run("transcribe", "-", "-f", "verbose_json", "--words", stdin=speech.read_bytes(), TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"] == " ".join(word["word"] for word in answer["words"]) == spoken_text
    assert not files(tmp_path)
    assert not list(scratch.iterdir())


def test_standard_output_that_takes_nothing_is_one_sentence(tmp_path: Path, speech: Path) -> None:
    command = [*COMMAND, "transcribe", "-o", "-", str(speech)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=100, check=False
        )
    assert done.returncode == 1
    *_, sentence = done.stderr.decode().splitlines()
    assert sentence == "error: Standard output cannot be written to: No space left on device."
    assert b"Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_found_before_anything_is_computed(
    run: Run, tmp_path: Path, speech: Path
) -> None:
    (tmp_path / "texts").touch()
    (tmp_path / "damaged.ckpt").write_bytes(b"would be complained about when it is loaded")
    done = run("transcribe", str(speech), "-o", "texts", "--model", "damaged.ckpt")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"[1/1] {speech}: FAILED: Not a directory: texts"]


def test_a_model_that_is_not_there_is_named_with_its_folder(run: Run, tmp_path: Path, speech: Path) -> None:
    done = run("transcribe", str(speech), "--model", "deep/mine.ckpt")
    assert (done.returncode, done.stderr) == (1, f"error: There is no weights file {tmp_path}/deep/mine.ckpt.\n")


def test_a_file_that_is_named_like_a_transcript_is_refused_aloud(run: Run, tmp_path: Path, speech: Path) -> None:
    shutil.copy(speech, tmp_path / "talk.tsv")
    refused = run("transcribe", "talk.tsv")
    assert "Left out, being named like transcripts: talk.tsv." in refused.stderr
    assert files(tmp_path).keys() == {"talk.tsv"}


def test_ctrl_c_ends_everything_at_once_and_leaves_no_half_written_file(
    tmp_path: Path, speech: Path, spoken_text: str, long_recording: Path
) -> None:
    shutil.copy(speech, tmp_path / "short.wav")
    (tmp_path / "long.flac").symlink_to(long_recording)
    with started(tmp_path, "short.wav", "long.flac") as process:
        wait_until((tmp_path / "short.txt").exists, "the first transcript", 60)
        tree = psutil.Process(process.pid)
        wait_until(lambda: bool(decoders(tree)), "a recording being decoded")
        children = tree.children(recursive=True)
        messages = interrupt(process)
    assert process.returncode == 130
    assert "1 of 2 done" in messages
    assert "Traceback" not in messages
    assert not any(child.is_running() for child in children)
    assert files(tmp_path).keys() == {"short.wav", "short.txt", "long.flac"}
    assert (tmp_path / "short.txt").read_text() == spoken_text + "\n"


def test_ctrl_c_leaves_nothing_on_a_server_either(tmp_path: Path, long_recording: Path, server: Server) -> None:
    (tmp_path / "long.flac").symlink_to(long_recording)
    with started(tmp_path, "long.flac", "--server", server.url) as process:
        wait_until(lambda: "ffmpeg" in server.leftovers, "the server at work", 60)
        interrupt(process)
    assert process.returncode == 130
    assert files(tmp_path).keys() == {"long.flac"}
    server.wait_until_clean()


def test_a_server_gives_the_same_files_as_this_process(run: Run, tmp_path: Path, speech: Path, server: Server) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):  # more at once than the server, with two slots, takes
        shutil.copy(speech, tmp_path / name)
    wanted = ("-f", "verbose_json", "--words", "-f", "vtt", "-f", "tsv", "-f", "json")
    there = run("transcribe", "a.wav", "b.wav", "c.wav", *wanted, "-o", "there", "--server", f"{server.url}/v1/")
    assert there.returncode == 0, there.stderr
    here = run("transcribe", "a.wav", *wanted, "-o", "here")
    assert here.returncode == 0, here.stderr
    suffixes = (".verbose.json", ".vtt", ".tsv", ".json")
    assert files(tmp_path / "there").keys() == {name + suffix for name in "abc" for suffix in suffixes}
    for suffix in suffixes:
        assert (tmp_path / "there" / f"b{suffix}").read_text() == (tmp_path / "here" / f"a{suffix}").read_text()
    server.wait_until_clean()


def test_a_broken_file_on_a_server_and_a_server_that_is_not_there_are_told_apart(
    run: Run, tmp_path: Path, server: Server
) -> None:
    (tmp_path / "broken.mp3").write_bytes(b"not sound" * 1000)
    broken = run("transcribe", "broken.mp3", "--server", server.url)
    assert broken.returncode == 1
    assert "broken.mp3: FAILED: The file is not a recording" in broken.stderr
    nobody = run("transcribe", "broken.mp3", "--server", "http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "There is no gigaam-asr server at http://127.0.0.1:9" in nobody.stderr
    assert "broken.mp3" not in nobody.stderr
    server.wait_until_clean()


def test_subtitles_have_the_lines_that_were_asked_for(run: Run, speech: Path) -> None:
    layout = ("--max-line-width", "20", "--max-line-count", "1")
    done = run("transcribe", speech, "-o", "-", "-f", "vtt", *layout)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines()[1:] if line and "-->" not in line]
    assert max(map(len, said)) <= 20
    assert len(said) == done.stdout.count("-->")


def test_keywords_are_the_same_here_and_on_a_server(
    run: Run, server: Server, tmp_path: Path, speech: Path, spoken_text: str
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Шарф\n", encoding="utf-8")
    expected = spoken_text.replace("больница", "Больница").replace("шарфе", "Шарфе")
    options = ("--keywords", "Больница, Kubernetes", "--keywords-file", words, "-o", "-")
    assert run("transcribe", speech, *options).stdout.split() == expected.split()
    assert run("transcribe", speech, *options, "--server", server.url).stdout.split() == expected.split()


def test_who_spoke_is_told_where_it_is_asked(run: Run, server: Server, speech: Path) -> None:
    there = run("transcribe", speech, "-f", "srt", "--speakers", "2", "-o", "-", "--server", server.url)
    assert (there.returncode, there.stdout.count("\nB: ") > 0) == (0, True), there.stderr
    for where in ((), ("--server", server.url)):
        text = run("transcribe", speech, "--speakers", "2", "-o", "-", *where).stdout
        assert [line[:3] for line in text.splitlines()] == ["A: ", "B: "] * 3
    refused = run("transcribe", speech, "--speakers", "many", "--server", server.url)
    assert (refused.returncode, "auto" in refused.stderr) == (2, True)
