"""The page in a real browser: what people see, hear and keep."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from asr_core.api.native import segment_with_words
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.text.formats import RenderOptions, render, verbose_transcription
from asr_core.types import Segment, Token, Transcript, Word
from tests.conftest import Server, running_server, wait_until

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import Browser, BrowserType, Error, Locator, Page, Route, expect, sync_playwright  # noqa: E402 - after the check above

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

WAIT_MS = 60_000
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # To a browser, a page is only trusted with the microphone on https or at the address of its own machine.
    "--host-resolver-rules=MAP asr.test 127.0.0.1",
]

Open = Callable[..., Page]
"""Opens the page: `open_page(url, **context options)`."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserType]:
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def browser(chromium: BrowserType) -> Iterator[Browser]:
    running = chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
    yield running
    running.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Pages in contexts of their own; whatever a test does, none may ask another host for anything or throw."""
    contexts, requested, thrown = [], [], []

    def open_page(url: str = server.url, **options: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})  # type: ignore[arg-type]  # a table of options
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.on("console", lambda message: thrown.append(message.text) if "Policy" in message.text else None)
        page.goto(url)
        expect(page.locator("#pick")).to_be_visible(timeout=WAIT_MS)
        return page

    yield open_page
    for context in contexts:
        context.close()
    hosts = {httpx.URL(url).host for url in requested if url.startswith("http")}
    assert hosts <= {"127.0.0.1", "asr.test"}
    assert not thrown


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """Enough speech that its transcription can be watched."""
    path = tmp_path_factory.mktemp("recordings") / "minutes.wav"
    source = ["-stream_loop", "-1", "-i", str(speech), "-t", "600"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, str(path)], check=True)
    return path


def send(page: Page, *paths: Path) -> None:
    page.locator("#file").set_input_files(list(paths))


def drop(page: Page, *paths: Path) -> None:
    script = """(files) => {
        const carried = new DataTransfer();
        for (const [name, bytes] of files) carried.items.add(new File([new Uint8Array(bytes)], name));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true}));
    }"""
    page.evaluate(script, [[path.name, list(path.read_bytes())] for path in paths])


def wait_for_text(page: Page) -> None:
    expect(page.locator("#tools")).to_be_visible(timeout=WAIT_MS)


def wait_for_sound(page: Page) -> None:
    """Until the browser has read enough of the recording to play it."""
    expect(page.locator("#play")).to_be_enabled(timeout=WAIT_MS)


def text_of(page: Page) -> str:
    return " ".join(page.locator("#text p").all_text_contents())


def clock(recording: Path) -> str:
    """How long it is, as the page writes it."""
    with wave.open(str(recording), "rb") as file:
        return f"0:{round(file.getnframes() / file.getframerate()):02}"


def heard_at(page: Page) -> float:
    """Where the recording is being played, s."""
    return float(page.locator("#audio").evaluate("audio => audio.currentTime"))


def test_a_recording_becomes_its_text_with_times(open_page: Open, speech: Path, spoken_text: str) -> None:
    page = open_page()
    send(page, speech)
    wait_for_text(page)
    assert text_of(page) == spoken_text
    assert page.locator("#text button").all_text_contents()[0] == "0:00"
    expect(page.locator("#summary")).to_contain_text(f"{clock(speech)} in")
    expect(page.locator("#news")).to_have_text("Done, the text is ready.")


def test_keywords_are_listened_for_and_remembered(open_page: Open, speech: Path) -> None:
    page = open_page()
    expect(page.locator("#keywords")).to_be_hidden()
    page.locator("#keywords-box summary").click()
    page.locator("#keywords").fill("Больница, Kubernetes")
    send(page, speech)
    wait_for_text(page)
    assert "Больница" in text_of(page)
    another = page.context.new_page()
    another.goto(page.url)
    expect(another.locator("#keywords")).to_be_visible()
    expect(another.locator("#keywords")).to_have_value("Больница, Kubernetes")


def test_a_dropped_file_is_transcribed(open_page: Open, speech: Path, spoken_text: str) -> None:
    page = open_page()
    drop(page, speech)
    wait_for_text(page)
    assert text_of(page) == spoken_text
    heading = page.locator("#result-name")
    expect(heading).to_have_text("speech.wav")
    expect(heading).to_be_focused()  # for who listens to the page: nothing to see, as nothing can be done with it
    assert heading.evaluate("heading => getComputedStyle(heading).outlineStyle") == "none"


def test_of_several_files_the_first_is_transcribed_and_the_page_says_so(
    open_page: Open, speech: Path, tmp_path: Path
) -> None:
    (other := tmp_path / "other.wav").write_bytes(speech.read_bytes())
    page = open_page()
    drop(page, speech, other)
    wait_for_text(page)
    expect(page.locator("#result-name")).to_have_text("speech.wav")
    expect(page.locator("#others")).to_have_text(
        "Only the first file was taken: recordings are transcribed one at a time."
    )


def test_text_arrives_while_the_rest_is_being_recognised_and_stays_when_it_is_cancelled(
    open_page: Open, server: Server, minutes: Path
) -> None:
    page = open_page()
    send(page, minutes)
    expect(page.locator("#text p").first).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#stage")).to_have_text(re.compile(r"Recognised \d+:\d\d of 10:00"))
    assert 0 < float(page.locator("#progress").get_attribute("value") or 0) < 1
    page.locator("#cancel").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    wait_for_text(page)
    server.wait_until_clean()
    with page.expect_download() as download:
        page.get_by_role("button", name="TXT").click()
    assert download.value.path().read_text() == text_of(page)


def test_downloads_are_what_the_server_itself_answers(open_page: Open, server: Server, speech: Path) -> None:
    page = open_page()
    send(page, speech)
    wait_for_text(page)

    def downloaded(name: str) -> bytes:
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"speech.{name.lower()}"
        return download.value.path().read_bytes()

    def answered(response_format: str) -> bytes:
        form = {"response_format": response_format, "timestamp_granularities[]": ["word", "segment"]}
        files = {"file": speech.read_bytes()}
        return httpx.post(f"{server.url}/v1/audio/transcriptions", data=form, files=files, timeout=60).content

    assert downloaded("TXT") == answered("text")
    assert downloaded("SRT") == answered("srt")
    assert downloaded("VTT") == answered("vtt")
    assert json.loads(downloaded("JSON")) == json.loads(answered("verbose_json"))


def test_downloads_have_the_servers_times_and_escapes_whatever_was_recognised(open_page: Open, speech: Path) -> None:
    """Times on every sample, half milliseconds among them, and text that means something to subtitle formats."""
    segments = []
    for index, text in enumerate(["раз & два", "<b>три</b>", "--> четыре", "пять"] * 50):
        start, end = index * 16_009 / 16_000, (index * 16_009 + 8 * (index % 9)) / 16_000
        words = tuple(Word(word, start, end, 0.5) for word in text.split())
        segments.append(Segment(index, start, end, text, words, (Token(text, 0, -0.5),), -0.5, 0.25))
    transcript = Transcript(tuple(segments), 201.0)
    done = verbose_transcription(transcript, RenderOptions(segment_timestamps=False))
    lines = [{"type": "segment", **segment_with_words(segment)} for segment in segments] + [{"type": "done", **done}]
    stream = "".join(json.dumps(line) + "\n" for line in lines)
    page = open_page()
    page.route("**/transcribe_stream", lambda route: route.fulfill(body=stream, content_type="application/x-ndjson"))
    send(page, speech)
    wait_for_text(page)
    for name, response_format in (("TXT", "text"), ("SRT", "srt"), ("VTT", "vtt"), ("JSON", "verbose_json")):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        found = download.value.path().read_bytes()
        expected = render(transcript, response_format, RenderOptions(word_timestamps=True)).body
        if name == "JSON":
            assert json.loads(found) == json.loads(expected)
        else:
            assert found == expected


WATCH = """
    window.watched = {sought: null, marked: []};
    const audio = document.querySelector("#audio");
    audio.addEventListener("seeking", () => (watched.sought ??= audio.currentTime));
    new MutationObserver(() => {
        const word = document.querySelector("#text .now")?.dataset.word;
        if (word !== undefined && watched.marked.at(-1) !== Number(word)) watched.marked.push(Number(word));
    }).observe(document.querySelector("#text"), {subtree: true, attributeFilter: ["class"]});
"""
"""Notes the moment, s, that playing is first moved to, and the words that are marked, which may be for 50 ms each."""


def question(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_a_text_that_was_not_saved_is_replaced_only_if_its_reader_agrees(
    open_page: Open, speech: Path, tmp_path: Path
) -> None:
    (second := tmp_path / "second.wav").write_bytes(speech.read_bytes())
    page = open_page()
    send(page, speech)
    wait_for_text(page)
    drop(page, second)
    expect(question(page)).to_contain_text("You have neither copied nor downloaded it")
    expect(page.get_by_role("button", name="Go back")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question(page)).to_be_hidden()
    page.get_by_role("button", name="Another recording").click()
    page.get_by_role("button", name="Go back").click()
    expect(page.locator("#result-name")).to_have_text("speech.wav")
    wait_for_text(page)
    drop(page, second)
    page.get_by_role("button", name="Go on without saving").click()
    expect(page.locator("#result-name")).to_have_text("second.wav")
    wait_for_text(page)


@pytest.mark.parametrize("way", ["Copy the text", "SRT"])
def test_a_text_that_was_saved_is_replaced_without_a_question(open_page: Open, speech: Path, way: str) -> None:
    page = open_page(permissions=["clipboard-write"])
    send(page, speech)
    wait_for_text(page)
    page.get_by_role("button", name=way).click()
    expect(page.locator("#copy")).to_have_text("Copied" if way == "Copy the text" else "Copy the text")
    page.get_by_role("button", name="Another recording").click()
    expect(page.locator("#choose")).to_be_focused()


def test_a_tab_with_a_text_that_was_not_saved_is_closed_only_if_its_reader_agrees(
    open_page: Open, speech: Path
) -> None:
    page = open_page()
    page.locator("h1").click()  # browsers listen to pages only that somebody has touched
    send(page, speech)
    wait_for_text(page)
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    wait_for_text(page)
    page.get_by_role("button", name="TXT").click()  # what is saved is not asked about, also when this test's tab goes


def test_a_word_can_be_clicked_to_be_heard_and_is_marked_while_it_is(
    open_page: Open, server: Server, speech: Path
) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    files = {"file": speech.read_bytes()}
    answer = httpx.post(f"{server.url}/v1/audio/transcriptions", data=form, files=files, timeout=60).json()
    word = answer["words"][7]
    page = open_page()
    send(page, speech)
    wait_for_text(page)
    wait_for_sound(page)
    page.evaluate(WATCH)
    page.locator("#text span").nth(7).click()
    expect(page.locator("#play")).to_have_accessible_name("Pause")
    assert page.evaluate("watched.sought") == pytest.approx(word["start"])
    expect(page.locator("#strip")).to_have_attribute("aria-valuetext", re.compile(rf"0:\d\d of {clock(speech)}"))
    wait_until(lambda: len(page.evaluate("watched.marked")) > 1, "a mark that moves on")
    marked = page.evaluate("watched.marked")
    assert marked[0] == 7
    assert marked == sorted(marked)


def test_a_click_on_the_waveform_plays_from_there(open_page: Open, speech: Path) -> None:
    page = open_page()
    send(page, speech)
    wait_for_text(page)
    wait_for_sound(page)
    seconds_shown = float(page.locator("#strip").evaluate("strip => strip.clientWidth / 90"))
    width = float(page.locator("#strip").evaluate("strip => strip.clientWidth"))
    page.evaluate(WATCH)
    page.locator("#strip").click(position={"x": width / 2, "y": 40})
    expect(page.locator("#play")).to_have_accessible_name("Pause")
    assert page.evaluate("watched.sought") == pytest.approx(seconds_shown / 2, abs=0.1)


def test_everything_can_be_done_from_the_keyboard(open_page: Open, speech: Path) -> None:
    page = open_page()
    keys = page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(20):
            keys.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    page.on("filechooser", lambda _: None)  # or the browser may open one before Playwright has begun to watch for it
    tab_to("#choose")
    with page.expect_file_chooser() as chooser:
        keys.press("Enter")
    chooser.value.set_files(speech)
    wait_for_text(page)
    wait_for_sound(page)
    expect(page.locator("#result-name")).to_be_focused()
    tab_to("#strip")
    keys.press("ArrowRight")
    assert heard_at(page) == 5
    tab_to("#play")
    tab_to("[data-format=json]")
    tab_to("#text span")
    keys.press("ArrowDown")
    keys.press("ArrowRight")
    second_of_the_second_line = page.locator("#text p").nth(1).locator("span").nth(1)
    expect(second_of_the_second_line).to_be_focused()
    page.evaluate(WATCH)
    keys.press("Enter")
    wait_until(lambda: page.evaluate("watched.marked"), "a marked word")
    assert page.evaluate("watched.marked[0]") == int(second_of_the_second_line.get_attribute("data-word") or -1)


def test_a_broken_file_is_explained_in_the_language_of_the_page(open_page: Open, tmp_path: Path, speech: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"nonsense" * 100)
    page = open_page(locale="ru-RU")
    send(page, broken)
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text("Не удалось прочитать запись")
    assert not re.search("[a-z]{2}", alarm.inner_text().replace("broken.mp3", ""), re.IGNORECASE)
    page.get_by_text("Ответ сервера").click()
    expect(page.locator("#alarm-message")).to_be_visible()
    expect(page.locator("#alarm-message")).to_contain_text("The file is not a recording that can be decoded")
    page.get_by_role("button", name="EN").click()
    expect(alarm).to_contain_text("This recording cannot be read")
    page.get_by_role("button", name="Another recording").click()
    send(page, speech)
    wait_for_text(page)


def test_a_file_that_vanishes_before_it_is_sent_is_not_taken_for_a_lost_connection(
    open_page: Open, tmp_path: Path, speech: Path
) -> None:
    (unplugged := tmp_path / "unplugged.wav").write_bytes(speech.read_bytes())
    page = open_page()

    def unplug(route: Route) -> None:
        unplugged.unlink(missing_ok=True)
        route.continue_()

    page.route("**/v1/models", unplug)
    send(page, unplugged)
    expect(page.get_by_role("alert")).to_contain_text("The browser could not read the file")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_an_answer_from_somebody_else_is_no_answer(open_page: Open, speech: Path) -> None:
    """Of a network, say, that wants its users to log in first."""
    page = open_page()
    page.route("**/transcribe_stream", lambda route: route.fulfill(body="<html>\nLog in\n</html>\n"))
    send(page, speech)
    expect(page.get_by_role("alert")).to_contain_text("The connection to the server was lost")


def test_what_the_server_noticed_about_a_recording_is_on_the_page(open_page: Open, speech: Path) -> None:
    warnings = ["The recording is damaged at 0:07.", "<b>Its header is wrong.</b>"]
    answer = {"type": "done", "text": "", "duration": 7.0, "warnings": warnings}
    page = open_page()
    page.route("**/transcribe_stream", lambda route: route.fulfill(body=json.dumps(answer) + "\n"))
    send(page, speech)
    remarks = page.get_by_text("Remarks from the server: 2")
    expect(remarks).to_be_visible()
    remarks.click()
    expect(page.locator("#warnings li")).to_have_text(warnings)
    page.unroute("**/transcribe_stream")
    page.get_by_role("button", name="Another recording").click()
    send(page, speech)
    wait_for_text(page)
    expect(page.locator("#warnings")).to_be_hidden()


def test_a_busy_server_is_explained_and_can_be_tried_again(
    open_page: Open, server: Server, minutes: Path, speech: Path, spoken_text: str
) -> None:
    others = [open_page(), open_page()]
    for other in others:
        send(other, minutes)
        expect(other.locator("#text p").first).to_be_visible(timeout=WAIT_MS)
    page = open_page()
    send(page, speech)
    expect(page.get_by_role("alert")).to_contain_text("The server is busy")
    others[0].locator("#cancel").click()
    expect(others[0].get_by_role("alert")).to_be_visible()
    wait_until(lambda: server.metric("asr_open_jobs") < 2, "a place at the server")
    page.get_by_role("button", name="Try again").click()
    wait_for_text(page)
    assert text_of(page) == spoken_text


def test_a_lost_connection_is_explained(open_page: Open, speech: Path) -> None:
    page = open_page()
    page.context.set_offline(True)
    send(page, speech)
    expect(page.get_by_role("alert")).to_contain_text("The connection to the server was lost")
    expect(page.locator("#news")).to_be_empty()  # no more of an upload that has ended
    expect(page.locator("#stage")).to_be_empty()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    wait_for_text(page)


def test_a_recording_without_speech_is_said_to_have_none(open_page: Open, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    page = open_page()
    send(page, silence)
    expect(page.locator("#summary")).to_have_text("No speech was heard in this recording.")
    expect(page.locator("#tools")).to_be_hidden()


def test_a_name_of_a_file_is_text_and_never_markup(open_page: Open, tmp_path: Path, speech: Path) -> None:
    name = "<img src=x onerror=document.title='owned'>.wav"
    hostile = tmp_path / name
    shutil.copy(speech, hostile)
    page = open_page()
    send(page, hostile)
    wait_for_text(page)
    expect(page.locator("#result-name")).to_have_text(name)
    assert page.locator("img").count() == 0
    assert page.title() == f"✓ · {name}"


def wait_for_seconds(page: Page, seconds: int) -> None:
    """Until so much or more has been recorded."""
    expect(page.locator("#recorded")).to_have_text(re.compile(rf"0:0[{seconds}-9]"))


def test_the_microphone_is_recorded_and_transcribed(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    page.get_by_role("button", name="Record your voice").click()
    expect(page.locator("#stop")).to_be_focused()
    wait_for_seconds(page, 2)
    page.locator("#stop").click()
    expect(page.locator("#head")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#result-name")).to_contain_text("Recording")


def test_a_discarded_recording_is_sent_nowhere(open_page: Open, server: Server) -> None:
    page = open_page(permissions=["microphone"])
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_role("button", name="Record your voice").click()
    page.locator("#discard").click()
    expect(page.locator("#record")).to_be_focused()
    assert f"{server.url}/transcribe_stream" not in sent


SLOW_PERMISSION = """
    const granted = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const answered = new Promise((resolve) => (window.answer = resolve));
    const streams = [];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        await answered;
        streams.push(await granted(wanted));
        return streams.at(-1);
    };
    window.unplug = () => streams.at(-1).getTracks().forEach((track) => track.stop());
    window.microphones = () => [streams.length, streams.filter((stream) => stream.active).length];
"""
"""A browser that asks for the microphone until `answer()`.

`microphones()`: how many were opened, how many are open; `unplug()` is the end of the last one.
"""


def test_a_microphone_is_asked_for_once_and_closed_when_its_recording_is_discarded(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    page.evaluate(SLOW_PERMISSION)
    record = page.get_by_role("button", name="Record your voice")
    record.click()
    record.click()
    page.evaluate("answer()")
    expect(page.locator("#stop")).to_be_focused()
    page.locator("#discard").evaluate("discard => { discard.click(); discard.click(); }")
    expect(record).to_be_visible()
    assert page.evaluate("microphones()") == [1, 0]


def test_a_file_chosen_while_the_browser_asks_for_the_microphone_takes_its_place(
    open_page: Open, speech: Path, spoken_text: str
) -> None:
    page = open_page(permissions=["microphone"])
    page.evaluate(SLOW_PERMISSION)
    page.get_by_role("button", name="Record your voice").click()
    send(page, speech)
    page.evaluate("answer()")
    wait_for_text(page)
    wait_until(lambda: page.evaluate("microphones()") == [1, 0], "a closed microphone")
    expect(page.locator("#recorder")).to_be_hidden()
    assert text_of(page) == spoken_text


def record(page: Page, seconds: int) -> None:
    """Speak into a microphone that can be unplugged."""
    page.evaluate(SLOW_PERMISSION)
    page.get_by_role("button", name="Record your voice").click()
    page.evaluate("answer()")
    expect(page.locator("#stop")).to_be_focused()
    wait_for_seconds(page, seconds)


def test_what_was_said_before_the_microphone_was_unplugged_is_transcribed(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    record(page, 2)
    page.evaluate("unplug()")
    expect(page.get_by_role("heading", name="The microphone is gone")).to_be_visible()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    expect(page.locator("#head")).to_be_visible(timeout=WAIT_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the recording").click()
    saved = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", str(download.value.path()), "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    )
    assert saved.stdout
    assert download.value.suggested_filename.endswith(".webm")


def test_after_an_unplugged_microphone_another_one_can_be_used(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    record(page, 1)
    page.evaluate("unplug()")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Record your voice").click()
    expect(page.get_by_role("heading", name="Recording")).to_be_visible()
    expect(page.get_by_role("button", name="Stop and transcribe")).to_be_focused()


def test_a_voice_that_could_not_be_transcribed_is_not_thrown_away_without_a_question(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    record(page, 1)
    page.context.set_offline(True)
    page.locator("#stop").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection to the server was lost")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("The connection to the server was lost")
    page.get_by_role("button", name="Another recording").click()
    expect(question(page)).to_contain_text("It exists on this page only")
    page.get_by_role("button", name="Go back").click()
    with page.expect_download():
        page.get_by_role("button", name="Save the recording").click()
    page.get_by_role("button", name="Another recording").click()
    expect(page.locator("#choose")).to_be_focused()


def test_stopping_twice_is_stopping_once(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    page.get_by_role("button", name="Record your voice").click()
    expect(page.locator("#stop")).to_be_focused()
    wait_for_seconds(page, 1)
    page.locator("#stop").evaluate("stop => { stop.click(); stop.click(); }")
    expect(page.locator("#head")).to_be_visible(timeout=WAIT_MS)


def test_where_browsers_give_no_microphone_the_page_says_why(open_page: Open, server: Server) -> None:
    page = open_page(server.url.replace("127.0.0.1", "asr.test"))
    page.get_by_role("button", name="Record your voice").click()
    expect(page.locator("#microphone")).to_contain_text("only to pages opened over https or on localhost")


def test_the_text_can_be_copied_where_there_is_no_clipboard_interface(
    open_page: Open, server: Server, speech: Path, spoken_text: str
) -> None:
    page = open_page(server.url.replace("127.0.0.1", "asr.test"))
    send(page, speech)
    wait_for_text(page)
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    page.locator("#paste").focus()
    page.keyboard.press("Control+V")
    expect(page.locator("#paste")).to_have_value(spoken_text)


def test_the_language_is_the_browsers_and_the_switch_is_remembered(open_page: Open) -> None:
    page = open_page(locale="ru-RU")
    expect(page.get_by_role("heading", name="Речь в текст")).to_be_visible()
    page.get_by_role("button", name="English").click()
    page.reload()
    expect(page.get_by_role("heading", name="Speech to text")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_sticks_out_of_the_screen(open_page: Open, speech: Path, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = open_page(locale="ru-RU", color_scheme=scheme, **phone)

    def width() -> int:
        return int(page.evaluate("document.documentElement.scrollWidth"))

    assert width() == 360
    send(page, speech)
    wait_for_text(page)
    assert width() == 360
    wait_for_sound(page)
    expect(page.locator("#hint")).to_contain_text("Нажмите на слово")
    expect(page.locator("#hint .keys")).to_be_hidden()


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key."""
    with running_server(tmp_path_factory.mktemp("locked"), API_KEY="сезам-1") as running:
        yield running


def test_a_server_with_a_key_asks_for_it_and_keeps_it_no_longer_than_the_tab(
    open_page: Open, locked_server: Server, speech: Path, spoken_text: str
) -> None:
    page = open_page(locked_server.url)
    field = page.get_by_label("Access key")
    field.fill("wrong")
    field.press("Enter")
    expect(page.locator("#key-hint")).to_contain_text("does not accept this key")
    field.fill("сезам-1")
    field.press("Enter")
    expect(field).to_be_hidden()
    send(page, speech)
    wait_for_text(page)
    assert text_of(page) == spoken_text
    assert page.evaluate("Object.values(localStorage).concat(document.cookie)") == [""]
    page.get_by_role("button", name="Forget the key").click()
    expect(field).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_recording_that_was_chosen_before_the_key_is_sent_once_there_is_one(
    open_page: Open, locked_server: Server, speech: Path, spoken_text: str
) -> None:
    page = open_page(locked_server.url)
    send(page, speech)
    expect(page.get_by_role("alert")).to_contain_text("A key is needed")
    page.get_by_label("Access key").fill("сезам-1")
    page.get_by_label("Access key").press("Enter")
    wait_for_text(page)
    assert text_of(page) == spoken_text


def test_a_key_whose_check_got_no_answer_stays_in_its_field(open_page: Open, locked_server: Server) -> None:
    page = open_page(locked_server.url)
    field = page.get_by_label("Access key")
    field.fill("сезам-1")
    page.context.set_offline(True)
    field.press("Enter")
    expect(page.locator("#key-hint")).to_have_text("The server does not answer.")
    expect(field).to_have_value("сезам-1")
    page.context.set_offline(False)
    field.press("Enter")
    expect(field).to_be_hidden()


@pytest.fixture
def page_without_storage(chromium: BrowserType, tmp_path: Path, locked_server: Server) -> Iterator[Page]:
    """The page in a browser whose user has forbidden pages to keep anything."""
    preferences = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(preferences))
    context = chromium.launch_persistent_context(tmp_path, executable_path=CHROMIUM, args=OPTIONS, locale="en-US")
    page = context.new_page()
    page.goto(locked_server.url)
    yield page
    context.close()


def test_where_pages_may_keep_nothing_a_key_lasts_as_long_as_the_page(
    page_without_storage: Page, speech: Path, spoken_text: str
) -> None:
    page = page_without_storage
    with pytest.raises(Error, match="Access is denied"):
        page.evaluate("sessionStorage.length")
    field = page.get_by_label("Access key")
    field.fill("сезам-1")
    field.press("Enter")
    expect(field).to_be_hidden()
    page.get_by_role("button", name="Русский").click()
    expect(page.get_by_role("heading", name="Речь в текст")).to_be_visible()
    send(page, speech)
    wait_for_text(page)
    assert text_of(page) == spoken_text
    page.get_by_role("button", name="Забыть ключ").click()
    expect(page.locator("#key-input")).to_be_visible()


def test_who_spoke_is_shown_can_be_named_and_goes_into_the_downloads(open_page: Open, speech: Path) -> None:
    page = open_page()
    page.get_by_label("Who spoke").check()
    send(page, speech)
    wait_for_text(page)
    names = page.get_by_label("Speaker’s name")
    assert [name.input_value() for name in names.all()] == ["A", "B"] * 3
    names.nth(0).fill("Анна")
    names.nth(0).press("Enter")
    assert [name.input_value() for name in names.all()] == ["Анна", "B"] * 3
    with page.expect_download() as download:
        page.get_by_role("button", name="VTT").click()
    subtitles = Path(download.value.path()).read_text()
    assert subtitles.count("<v Анна>") >= 3
    assert "<v A>" not in subtitles
    with page.expect_download() as download:
        page.get_by_role("button", name="TXT").click()
    text = Path(download.value.path()).read_text()
    assert [line.split()[0] for line in text.splitlines()] == ["Анна:", "B:"] * 3


def test_what_is_said_into_the_microphone_is_read_while_it_is_said(
    chromium: BrowserType, locked_server: Server, speech: Path, spoken_text: str
) -> None:
    options = [*OPTIONS, f"--use-file-for-fake-audio-capture={speech}"]
    browser = chromium.launch(executable_path=CHROMIUM, args=options)
    try:
        page = browser.new_context(locale="en-US", permissions=["microphone"]).new_page()
        page.goto(locked_server.url)
        page.locator("#key-input").fill("сезам-1")
        page.locator("#key button").click()
        page.get_by_role("button", name="Record your voice").click()
        expect(page.locator("#live")).to_contain_text(" ".join(spoken_text.split()[1:4]), timeout=WAIT_MS)
        page.locator("#stop").click()
        expect(page.locator("#head")).to_be_visible(timeout=WAIT_MS)
    finally:
        browser.close()
