"""Incremental multipart/form-data decoding, without IO."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from pathlib import PurePath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from asr_core.errors import BadRequest

FILE_FIELD = "file"
"""What OpenAI calls the part that is the recording."""

MAX_PARTS = 1_280
"""Room for as many keywords as a request may have, each a part."""
MAX_FIELD_BYTES = 16 * 1024
"""Of one text field; those that nobody wants are dropped as they arrive, however long they are."""
MAX_LIST_BYTES = 512 * 1024
"""Of a field that is a list: all keywords may come in one, comma-separated."""
MAX_TEXT_BYTES = 4 * 1024 * 1024
"""Of all text fields."""
MAX_SOUND_BYTES = 2 << 20
"""Of a text field that is some seconds of sound, and twice as much of all of them."""
MAX_SOUNDS_BYTES = 2 * MAX_SOUND_BYTES
MAX_PREAMBLE_BYTES = 16 * 1024
"""Before the first boundary: nothing of it means anything."""

_EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=\s*([^;]*)", re.IGNORECASE)

TYPE_SUFFIXES = {
    b"audio/aac": ".aac",
    b"audio/aacp": ".aac",
    b"audio/x-aac": ".aac",
    b"audio/gsm": ".gsm",
    b"audio/x-gsm": ".gsm",
    b"audio/g722": ".g722",
    b"audio/g729": ".g729",
}
"""Of the types whose files do not always begin with what tells their format."""

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")

_HOW = "Send multipart/form-data with the recording as the part named `{}`."


class Keep(Enum):
    """How much of a text field's value somebody wants."""

    WHOLE = auto()
    """It is refused if it is too long."""
    LIST = auto()
    """The same, and it may be as long as a list is."""
    SOUND = auto()
    """It may be far longer."""
    BEGINNING = auto()
    """What is too long is cut."""
    NOTHING = auto()


class FormDecoder:
    """Incremental multipart/form-data decoder without IO: `feed` it pieces, take the file's bytes out as they come."""

    def __init__(self, boundary: bytes, wanted: Callable[[str], Keep], file_field: str = FILE_FIELD) -> None:
        self.file_data = bytearray()
        self.suffix = ""
        """What the file's name or content type says of its format, as a name's ending: `.aac`."""
        self._file_field = file_field
        self._how = _HOW.format(file_field)
        self._wanted = wanted
        self._fields: list[tuple[str, str]] = []
        self._parts = 0
        self._n_text = 0
        """Bytes of text fields that were kept."""
        self._sounds_bytes_left = MAX_SOUNDS_BYTES
        self._has_file = False
        self._ended = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._kept = Keep.NOTHING
        self._sink: bytearray | None = None
        self._first_boundary = b"--" + boundary
        self._preamble: bytearray | None = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._part_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as exc:
            raise BadRequest(f"The multipart boundary is too long. {self._how}") from exc

    def feed(self, piece: bytes) -> None:
        """Decode further bytes of the body; BadRequest if they cannot belong to one that this server takes."""
        try:
            self._parser.write(self._after_preamble(piece))
        except FormParserError as exc:
            raise BadRequest(f"The multipart body is malformed. {self._how}") from exc

    def take_file_data(self) -> bytes:
        """The file's bytes decoded since the last call."""
        taken = bytes(self.file_data)
        self.file_data.clear()
        return taken

    def finish(self) -> tuple[tuple[str, str], ...]:
        """The text fields, once the body is over; BadRequest if it ended early or held no file."""
        if not self._ended:
            raise BadRequest("The multipart body is cut short: its closing boundary is missing.")
        if not self._has_file:
            raise BadRequest(f"The recording is missing. {self._how}", self._file_field)
        return tuple(self._fields)

    def _after_preamble(self, piece: bytes) -> bytes:
        """What of the body so far belongs to the form: the standard allows lines of anything before it."""
        if self._preamble is None:
            return piece
        self._preamble += piece
        begin = (b"\r\n" + self._preamble).find(b"\r\n" + self._first_boundary)
        if begin < 0:
            if len(self._preamble) > MAX_PREAMBLE_BYTES:
                raise BadRequest(f"The multipart body is malformed: it does not begin with its boundary. {self._how}")
            return b""
        form = bytes(self._preamble[begin:])
        self._preamble = None
        return form

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadRequest(f"The form has more than {MAX_PARTS} parts.")
        self._headers.clear()

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _open_part(self) -> None:
        """Decide where the part's data goes: to the file, to a kept field, or nowhere."""
        disposition = self._headers.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in options:
            raise BadRequest("Every part needs a `Content-Disposition: form-data` header with a name.")
        self._name = options[b"name"].decode("utf-8", "replace")
        # Forms have no filename*, says the standard; there are clients that send nothing else.
        extended = _EXTENDED_FILENAME.search(disposition)
        filename = options.get(b"filename", extended[1] if extended else None)
        if self._name == self._file_field:
            self._open_file(is_file=filename is not None or b"content-type" in self._headers)
            self.suffix = suffix_of(filename or b"", self._headers.get(b"content-type", b""))
        elif filename is not None:
            raise BadRequest(f"No file is expected in this field. {self._how}", self._name)
        else:
            self._kept = self._wanted(self._name)
            self._sink = None if self._kept is Keep.NOTHING else bytearray()

    def _open_file(self, *, is_file: bool) -> None:
        if not is_file:
            message = f"`{self._file_field}` must be the recording itself, not text, a path or a URL."
            raise BadRequest(message, self._file_field)
        if self._has_file:
            raise BadRequest("Only one recording can be sent at a time.", self._file_field)
        self._has_file = True
        self._sink = self.file_data

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is None:
            return
        self._sink += memoryview(data)[start:end]
        if self._sink is self.file_data:
            return
        most = {Keep.LIST: MAX_LIST_BYTES, Keep.SOUND: min(MAX_SOUND_BYTES, self._sounds_bytes_left)}.get(
            self._kept, MAX_FIELD_BYTES
        )
        if len(self._sink) <= most:
            return
        if self._kept is not Keep.BEGINNING:
            raise BadRequest(f"The value is longer than {most} bytes.", self._name)
        del self._sink[most:]

    def _end_part(self) -> None:
        if self._sink is not None and self._sink is not self.file_data:
            if self._kept is Keep.SOUND:
                self._sounds_bytes_left -= len(self._sink)
            else:
                self._n_text += len(self._sink)
            if self._n_text > MAX_TEXT_BYTES:
                raise BadRequest(f"The form's texts are longer than {MAX_TEXT_BYTES >> 20} MiB.")
            try:
                value = self._sink.decode(errors="replace" if self._kept is Keep.BEGINNING else "strict")
            except UnicodeDecodeError as exc:
                raise BadRequest("The value is not UTF-8.", self._name) from exc
            self._fields.append((self._name, value))
        self._sink = None

    def _end(self) -> None:
        self._ended = True


def suffix_of(filename: bytes, content_type: bytes) -> str:
    """How the name of such a file ends, as far as that may be used in a name of ours; empty if it tells nothing."""
    suffix = PurePath(filename.decode("utf-8", "replace")).suffix.lower()
    if _SUFFIX.fullmatch(suffix):
        return suffix
    return TYPE_SUFFIXES.get(content_type.partition(b";")[0].strip().lower(), "")


def boundary_of(content_type: str, file_field: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        given = content_type.partition(";")[0].strip()[:100] or "nothing"
        raise BadRequest(f"The request's content type is {given!r}. {_HOW.format(file_field)}")
    return options[b"boundary"]
