"""The fields that ask who spoke, of every route that takes a recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, ValidationError

from asr_core.api.fields import Lower, bad_request, given, split
from asr_core.api.multipart import Keep
from asr_core.types import ChannelMode, JobOptions, VadOptions


class SpeakerFields(BaseModel):
    """Ours: `channels` are what OpenAI's API has no word for."""

    model_config = ConfigDict(frozen=True)

    channels: Annotated[ChannelMode, Lower] | None = None

    def job_options(self, vad: VadOptions) -> JobOptions:
        return JobOptions(vad, channels=self.channels or "mix")


def wanted(field_name: str) -> Keep:
    """How much of a form's field means anything to a route that has no others."""
    return Keep.WHOLE if split(field_name)[0] in SpeakerFields.model_fields else Keep.NOTHING


def parse_speakers(fields: Iterable[tuple[str, str]]) -> SpeakerFields:
    """The form's fields as options; BadRequest names the one at fault."""
    try:
        return SpeakerFields.model_validate({split(name)[0]: value for name, text in fields if (value := given(text))})
    except ValidationError as exc:
        raise bad_request(exc) from exc
