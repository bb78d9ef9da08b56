"""Multipart bodies, whole and broken, fed to the decoder and received into a file."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from asr_core.api.multipart import MAX_FIELD_BYTES, MAX_LIST_BYTES, MAX_PARTS, MAX_PREAMBLE_BYTES, FormDecoder, Keep
from asr_core.api.spool import Pace, Spool
from asr_core.api.upload import Upload, receive_upload
from asr_core.errors import BadRequest, UploadStalled, UploadTooLarge

BOUNDARY = b"xxBOUNDARYxx"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
MIB = 2**20


def encode(parts: Iterable[tuple[str, tuple[str | None, bytes]]]) -> bytes:
    """A multipart body as httpx writes it."""
    request = httpx.Request("POST", "http://x", files=list(parts), headers={"content-type": CONTENT_TYPE})
    return request.read()


def part(headers: str, data: bytes) -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + headers.encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"
KEPT = {"unwanted": Keep.NOTHING, "noticed": Keep.BEGINNING, "words": Keep.LIST}
FILE = part('Content-Disposition: form-data; name="file"; filename="a.wav"', b"sound")


def decode(pieces: Iterable[bytes]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    decoder = FormDecoder(BOUNDARY, lambda name: KEPT.get(name, Keep.WHOLE))
    data = b""
    for piece in pieces:
        decoder.feed(piece)
        data += decoder.take_file_data()
    fields = decoder.finish()
    return data + decoder.take_file_data(), fields


def split(body: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return (body[start:end] for start, end in itertools.pairwise(edges))


# Sound that looks like the markup around it is what a decoder gets wrong.
sounds = st.lists(st.sampled_from([b"\r\n--" + BOUNDARY[:5], b"\r\n", b"--", b"\r", b"-", b"\0", b"abc"])).map(b"".join)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='"\\'), min_size=1)


@given(
    sound=sounds,
    fields=st.lists(st.tuples(names.filter(lambda name: name not in ("file", "unwanted")), st.text(max_size=30))),
    before=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 10_000)),
)
def test_however_a_body_is_cut_into_pieces_the_file_and_the_fields_are_what_was_sent(
    sound: bytes, fields: list[tuple[str, str]], before: int, cuts: list[int]
) -> None:
    parts: list[tuple[str, tuple[str | None, bytes]]] = [(name, (None, value.encode())) for name, value in fields]
    parts.insert(before, ("file", ("a.wav", sound)))
    body = encode(parts)
    assert decode(split(body, cuts)) == (sound, tuple(fields))


def test_fields_that_nobody_wants_are_dropped_however_long_they_are() -> None:
    long = part('Content-Disposition: form-data; name="unwanted"', b"x" * MAX_FIELD_BYTES * 3)
    assert decode([long + FILE + END]) == (b"sound", ())


def test_of_a_field_that_is_only_noticed_the_beginning_is_kept_whatever_it_is() -> None:
    long = part('Content-Disposition: form-data; name="noticed"', b"\xff" + b"x" * MAX_FIELD_BYTES * 3)
    _, ((name, value),) = decode([long + FILE + END])
    assert (name, len(value)) == ("noticed", MAX_FIELD_BYTES)


@given(
    preamble=st.sampled_from([b"", b"\r\n", b"This is a message in several parts.\r\n", b"--b0und\r\n\r\n-\r\n"]),
    cuts=st.lists(st.integers(0, 300)),
)
def test_what_stands_before_the_first_boundary_means_nothing(preamble: bytes, cuts: list[int]) -> None:
    field = part('Content-Disposition: form-data; name="model"', b"demo")
    assert decode(split(preamble + field + FILE + END, cuts)) == (b"sound", (("model", "demo"),))


@pytest.mark.parametrize(
    "disposition", ["filename*=UTF-8''%D0%B0.wav", "FileName* = utf-8''a.WAV; x=y", 'filename*0="a"; filename*=x.wav']
)
def test_a_file_may_be_named_in_the_extended_way_alone(disposition: str) -> None:
    file = part(f'Content-Disposition: form-data; name="file"; {disposition}', b"sound")
    decoder = FormDecoder(BOUNDARY, lambda name: Keep.WHOLE)
    decoder.feed(file + END)
    assert (decoder.finish(), decoder.take_file_data(), decoder.suffix) == ((), b"sound", ".wav")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"garbage", None, id="garbage"),
        pytest.param(b"x" * (MAX_PREAMBLE_BYTES + 1), None, id="a preamble that is too long"),
        pytest.param(FILE, None, id="no closing boundary"),
        pytest.param(FILE[:-9], None, id="cut inside the file"),
        pytest.param(END, "file", id="no part at all"),
        pytest.param(part('Content-Disposition: form-data; name="model"', b"x") + END, "file", id="no file"),
        pytest.param(FILE + FILE + END, "file", id="two files"),
        pytest.param(
            part('Content-Disposition: form-data; name="file"', b"http://host/a.wav") + END, "file", id="a URL as file"
        ),
        pytest.param(
            part('Content-Disposition: form-data; name="prompt"; filename="p"', b"x") + FILE + END,
            "prompt",
            id="a file where text belongs",
        ),
        pytest.param(part("Content-Type: text/plain", b"x") + FILE + END, None, id="a part without a name"),
        pytest.param(part("Content-Disposition: form-data", b"x") + FILE + END, None, id="a name that is missing"),
        pytest.param(
            part('Content-Disposition: form-data; name="model"', b"\xff\xfe") + FILE + END, "model", id="not UTF-8"
        ),
        pytest.param(
            part('Content-Disposition: form-data; name="model"', b"x" * (MAX_FIELD_BYTES + 1)) + FILE + END,
            "model",
            id="a field that is too long",
        ),
        pytest.param(
            part('Content-Disposition: form-data; name="a"', b"") * (MAX_PARTS + 1) + FILE + END, None, id="many parts"
        ),
        pytest.param(
            part('Content-Disposition: form-data; name="words"', b"x" * (MAX_LIST_BYTES + 1)) + FILE + END,
            "words",
            id="a list that is too long",
        ),
        pytest.param(
            part('Content-Disposition: form-data; name="words"', b"x" * MAX_LIST_BYTES) * 9 + FILE + END,
            None,
            id="more text than anybody has to say",
        ),
        pytest.param(part(f"X: {'x' * 10_000}", b"") + END, None, id="a long header"),
        pytest.param(part("\r\n".join(f"X{i}: x" for i in range(100)), b"") + END, None, id="many headers"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        decode([body])
    assert refused.value.param == param


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300)))
def test_garbage_is_refused_and_nothing_else_happens(body: bytes, cuts: list[int]) -> None:
    with pytest.raises(BadRequest):
        decode(split(body, cuts))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path, max_files=1, max_bytes=4 * MIB, pace=Pace(step_bytes=1000, step_s=0.05))) as spool:
        yield spool


def waiting_files(folder: Path) -> list[Path]:
    """Uploads in a spool's parent folder."""
    return list(folder.glob("*/*"))


@asynccontextmanager
async def received(
    pieces: Iterable[bytes | None], spool: Spool, *, content_type: str = CONTENT_TYPE, length: int | None = None
) -> AsyncIterator[Upload]:
    """An upload whose body arrives as `pieces`; None among them is a silence without end."""
    waiting = list(pieces)

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        piece = waiting.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    headers = [(b"content-type", content_type.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    async with receive_upload(request, spool, wanted=lambda name: Keep.WHOLE) as result:
        yield result


def test_the_file_lives_as_long_as_the_request(spool: Spool, tmp_path: Path) -> None:
    sound = b"s" * (3 * MIB)
    body = encode([("file", ("a.wav", sound)), ("model", (None, b"demo"))])

    async def scenario() -> None:
        async with received([*split(body, range(0, len(body), 100_000)), b""], spool) as result:
            assert waiting_files(tmp_path) == [result.path]
            assert result.path.read_bytes() == sound
            assert result.fields == (("model", "demo"),)
        assert waiting_files(tmp_path) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([FILE], ClientDisconnect, id="the client leaves"),
        pytest.param([FILE, b""], BadRequest, id="the body ends early"),
        pytest.param([FILE[:-2], *([b"s" * 400_000] * 11)], UploadTooLarge, id="the body grows too large"),
        pytest.param([FILE, None], UploadStalled, id="the body stops coming"),
    ],
)
def test_an_upload_that_fails_leaves_no_file(
    pieces: list[bytes | None], expected: type[Exception], spool: Spool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        with pytest.raises(expected):
            async with received(pieces, spool):
                pytest.fail("the upload was taken for complete")

    asyncio.run(scenario())
    assert waiting_files(tmp_path) == []


async def trickled(spool: Spool, sizes: Iterable[int], every_s: float) -> Upload:
    """An upload of `sizes` bytes at a time."""
    body = iter([FILE[:-2], *(b"s" * size for size in sizes), b"\r\n" + END])

    async def receive() -> Message:
        await asyncio.sleep(every_s)
        piece = next(body)
        return {"type": "http.request", "body": piece, "more_body": not piece.endswith(END)}

    headers = [(b"content-type", CONTENT_TYPE.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    async with receive_upload(request, spool, wanted=lambda name: Keep.NOTHING) as result:
        return result


def test_a_body_that_trickles_loses_its_place_and_one_that_is_slow_does_not(tmp_path: Path) -> None:
    """Both take several times as long as a step may."""
    with closing(Spool(tmp_path, max_files=1, max_bytes=4 * MIB, pace=Pace(step_bytes=1000, step_s=0.5))) as spool:
        asyncio.run(trickled(spool, [500] * 30, 0.05))
        with pytest.raises(UploadStalled, match="too slowly"):
            asyncio.run(trickled(spool, [10] * 30, 0.05))
    assert waiting_files(tmp_path) == []


def test_a_request_that_says_it_is_too_large_is_refused_unread(spool: Spool) -> None:
    async def scenario() -> None:
        with pytest.raises(UploadTooLarge):
            async with received([None], spool, length=4 * MIB + 1):
                pytest.fail("the upload was taken for complete")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=" + "x" * 999,
    ],
)
def test_a_body_that_is_no_form_is_refused_with_the_remedy(content_type: str, spool: Spool) -> None:
    async def scenario() -> None:
        with pytest.raises(BadRequest, match="multipart/form-data"):
            async with received([FILE + END, b""], spool, content_type=content_type):
                pytest.fail("the upload was taken for complete")

    asyncio.run(scenario())
