"""What /docs.json says of the routes that FastAPI cannot see through: those that read their bodies themselves."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from asr_core.api.bazarr import FILE_FIELD as BAZARRS_FILE_FIELD
from asr_core.api.bazarr import Query
from asr_core.api.form import TranscriptionForm
from asr_core.api.multipart import FILE_FIELD
from asr_core.api.native import NativeForm
from asr_core.text.formats import FORMATS
from asr_core.types import ResponseFormat

Operation = dict[str, Any]
"""Members of an OpenAPI operation."""

DESCRIPTION = (
    "Where the server has keys, every request but those under `system` brings one: `Authorization: Bearer <key>`, or"
    " Azure's `api-key: <key>`. Whatever goes wrong is answered with an `ErrorBody`."
    " Text while it is spoken: `GET /v1/realtime?intent=transcription`, a WebSocket, which this page cannot describe."
)


class ErrorDetail(BaseModel):
    """What went wrong, for whom to put right."""

    message: str
    type: str
    param: str | None
    """The form field or parameter at fault."""
    code: str | None


class ErrorBody(BaseModel):
    """OpenAI's shape of an error."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorBody, "description": "An error"}}
"""Of every route: an error's status says what kind it is of."""


def _media_types(names: tuple[str, ...], *streamed: str) -> Operation:
    """The answers in these formats, and the streamed ones."""
    object_with_text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in streamed}
    for name in names:
        media_type = FORMATS[name].media_type.partition(";")[0]
        is_json = media_type == "application/json"
        content[media_type] = {"schema": object_with_text if is_json else {"type": "string"}}
    return {"responses": {"200": {"description": "The transcript", "content": content}}}


def _upload(file_field: str, form: type[BaseModel] | None = None) -> Operation:
    """A multipart body: a recording and the fields of `form`, none of which is required."""
    schema = form.model_json_schema() if form else {}
    definitions = schema.get("$defs", {})
    fields = {name: _inlined(field, definitions) for name, field in schema.get("properties", {}).items()}
    properties = {file_field: {"type": "string", "format": "binary"}, **fields}
    body = {"type": "object", "properties": properties, "required": [file_field]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}}}


def _parameters(query: type[BaseModel]) -> Operation:
    properties = query.model_json_schema()["properties"]
    return {"parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """`schema` without references, which would point into a document that it is no longer part of."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


NATIVE = _upload(FILE_FIELD, NativeForm) | _media_types(("verbose_json",))
NATIVE_STREAM = _upload(FILE_FIELD, NativeForm) | _media_types((), "application/x-ndjson")
SUBMISSION = _upload(FILE_FIELD, NativeForm)
TRANSCRIPTION = _upload(FILE_FIELD, TranscriptionForm) | _media_types(get_args(ResponseFormat), "text/event-stream")
BAZARR = _parameters(Query) | _upload(BAZARRS_FILE_FIELD) | _media_types(("json", "text", "srt", "vtt", "tsv"))
DETECTION = _upload(BAZARRS_FILE_FIELD)

CLIENT_SECRET: Operation = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "expires_after": {"type": "object", "properties": {"seconds": {"type": "integer"}}},
                        "session": {"type": "object"},
                    },
                }
            }
        }
    }
}
