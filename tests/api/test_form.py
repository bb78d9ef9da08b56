"""What clients put into the form, and what the server makes of it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.api.fields import unquoted
from asr_core.api.form import TranscriptionForm, parse_form, wanted
from asr_core.api.multipart import MAX_LIST_BYTES, Keep
from asr_core.errors import BadRequest, UnknownModel
from asr_core.settings import OPENAI_MODELS, Settings
from asr_core.text.cues import CueLayout
from asr_core.types import Hints, Keyword, ResponseFormat, VadOptions

SETTINGS = Settings(_env_file=None, model="demo", model_aliases=frozenset({"whisper-1"}))
SERVER_VAD = VadOptions(threshold=0.25)


def parse(*fields: tuple[str, str]) -> TranscriptionForm:
    return parse_form(fields, SETTINGS)


def test_an_empty_form_asks_for_the_loaded_model_and_the_default_format() -> None:
    form = parse()
    assert (form.model, form.response_format, form.streamed) == ("demo", "json", False)
    assert form.job_options(SERVER_VAD).vad == SERVER_VAD


def test_the_default_format_is_the_configured_one() -> None:
    assert parse_form([], SETTINGS.model_copy(update={"default_response_format": "srt"})).response_format == "srt"


@pytest.mark.parametrize(
    "fields",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["word"]'), ("timestamp_granularities[]", "SEGMENT")],
        [("timestamp_granularities[]", " segment , word ,")],
        [("timestamp_granularities[]", "word"), ("timestamp_granularities", "segment,word")],
    ],
)
def test_a_list_may_be_bracketed_bare_repeated_or_comma_separated(fields: list[tuple[str, str]]) -> None:
    options = parse(*fields).render_options
    assert (options.word_timestamps, options.segment_timestamps) == (True, True)


def test_words_alone_come_without_segments() -> None:
    options = parse(("timestamp_granularities[]", "word")).render_options
    assert (options.word_timestamps, options.segment_timestamps) == (True, False)


@pytest.mark.parametrize("text", ["true", "True", "1", "on", "yes"])
def test_what_means_yes_streams(text: str) -> None:
    assert parse(("stream", text)).streamed


@pytest.mark.parametrize("text", ["false", "False", "0", "off", "no", ""])
def test_what_means_no_does_not_stream(text: str) -> None:
    assert not parse(("stream", text)).streamed


@pytest.mark.parametrize(
    ("name", "streamed"), [(name, name in ("json", "text", "diarized_json")) for name in get_args(ResponseFormat)]
)
def test_only_what_comes_in_pieces_is_streamed(name: str, streamed: bool) -> None:
    assert parse(("stream", "true"), ("response_format", name)).streamed is streamed


@pytest.mark.parametrize(
    "fields",
    [
        [
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.5"),
            ("chunking_strategy[prefix_padding_ms]", "300"),
            ("chunking_strategy[silence_duration_ms]", "700"),
        ],
        [
            (
                "chunking_strategy",
                '{"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 700}',
            )
        ],
    ],
)
def test_the_knobs_of_server_vad_reach_the_vad(fields: list[tuple[str, str]]) -> None:
    vad = parse(*fields).job_options(SERVER_VAD).vad
    assert vad == VadOptions(threshold=0.5, speech_pad_ms=300, min_silence_ms=700)


@pytest.mark.parametrize("value", ["auto", "server_vad", '{"type": "server_vad"}', ""])
def test_a_strategy_without_knobs_leaves_the_server_as_configured(value: str) -> None:
    assert parse(("chunking_strategy", value)).job_options(SERVER_VAD).vad == SERVER_VAD


def test_a_knob_that_is_not_given_keeps_its_configured_value() -> None:
    vad = parse(("chunking_strategy[silence_duration_ms]", "700")).job_options(SERVER_VAD).vad
    assert vad == VadOptions(threshold=0.25, min_silence_ms=700)


@pytest.mark.parametrize(
    ("name", "value", "param"),
    [
        ("response_format", "csv", "response_format"),
        ("channels", "both", "channels"),
        ("response_format", "JSON5", "response_format"),
        ("max_line_width", "9", "max_line_width"),
        ("max_line_count", "0", "max_line_count"),
        ("max_line_count", "two", "max_line_count"),
        ("include", '["logprobs", 1]', "include"),
        ("include", '[["logprobs"]]', "include"),
        ("stream", "maybe", "stream"),
        ("temperature", "1.1", "temperature"),
        ("temperature", "-0.1", "temperature"),
        ("temperature", "nan", "temperature"),
        ("temperature", "warm", "temperature"),
        ("include[]", "item", "include"),
        ("timestamp_granularities", "word,sentence", "timestamp_granularities"),
        ("chunking_strategy", "fixed", "chunking_strategy"),
        ("chunking_strategy", "{", "chunking_strategy"),
        ("chunking_strategy", "[" * 5000, "chunking_strategy"),
        ("chunking_strategy", "7", "chunking_strategy"),
        ("chunking_strategy[type]", "client_vad", "chunking_strategy[type]"),
        ("chunking_strategy[threshold]", "1.5", "chunking_strategy[threshold]"),
        ("chunking_strategy[threshold]", "nan", "chunking_strategy[threshold]"),
        ("chunking_strategy[prefix_padding_ms]", "-1", "chunking_strategy[prefix_padding_ms]"),
        ("chunking_strategy[silence_duration_ms]", "1e9", "chunking_strategy[silence_duration_ms]"),
        ("model[x]", "demo", "model"),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(name: str, value: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse((name, value))
    assert refused.value.param == param
    assert param in str(refused.value)


@pytest.mark.parametrize("name", ["demo", "whisper-1"])
def test_the_loaded_model_answers_to_its_name_and_aliases(name: str) -> None:
    assert parse(("model", name)).model == name


def test_another_model_is_refused() -> None:
    with pytest.raises(UnknownModel) as refused:
        parse(("model", "gpt-4o-transcribe"))  # which is no alias in this configuration
    assert refused.value.param == "model"


def test_allowed_models_replace_the_loaded_models_name_but_not_the_aliases() -> None:
    settings = SETTINGS.model_copy(update={"allowed_models": frozenset({"ru-asr"})})
    assert parse_form([("model", "ru-asr")], settings).model == "ru-asr"
    assert parse_form([("model", "whisper-1")], settings).model == "whisper-1"
    with pytest.raises(UnknownModel):
        parse_form([("model", "demo")], settings)


@pytest.mark.parametrize("model", sorted(OPENAI_MODELS))
def test_every_transcription_model_of_openais_is_an_alias_unless_configured_otherwise(model: str) -> None:
    assert parse_form([("model", model)], Settings(_env_file=None)).model == model
    with pytest.raises(UnknownModel):
        parse_form([("model", model)], Settings(_env_file=None, model_aliases=frozenset()))


@pytest.mark.parametrize("nothing", ["", " ", "null", "NULL", "None", "undefined"])
@pytest.mark.parametrize("name", TranscriptionForm.model_fields)
def test_what_clients_write_for_nothing_is_not_given(name: str, nothing: str) -> None:
    assert parse((name, nothing)) == parse((f"{name}[]", nothing)) == parse()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_format", "verbose_json"),
        ("stream", "true"),
        ("include[]", "logprobs"),
        ("timestamp_granularities[]", "word"),
        ("chunking_strategy", "server_vad"),
        ("chunking_strategy", "auto"),
        ("chunking_strategy[type]", "server_vad"),
    ],
)
def test_a_word_from_a_list_may_be_in_capitals(name: str, value: str) -> None:
    assert parse((name, value.upper())) == parse((name, value.title())) == parse((name, value))


@pytest.mark.parametrize("empty", ["[]", ",", " , "])
def test_an_empty_list_is_not_given(empty: str) -> None:
    assert parse(("timestamp_granularities", empty), ("include[]", empty), ("languages[]", empty)) == parse()


def test_subtitles_are_laid_out_as_the_form_asks_for() -> None:
    assert parse().render_options.layout == CueLayout(42, 2)
    assert parse(("max_line_width", "30"), ("max_line_count", "1")).render_options.layout == CueLayout(30, 1)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("language", "ru"), ("temperature", "0"), ("prompt", "")],
        [("language", "Russian"), ("languages[]", "RU"), ("languages[]", "ru-RU")],
        [("language", "auto"), ("keywords", "[]"), ("known_speaker_names[]", "null")],
    ],
)
def test_who_asks_for_nothing_else_than_what_is_done_is_not_warned(fields: list[tuple[str, str]]) -> None:
    assert parse(*fields).warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("language", "en"),
        ("language", "klingon" * 1000),
        ("languages[]", '["ru", "en"]'),
        ("temperature", "0.2"),
        ("known_speaker_names[]", "Анна"),
    ],
)
def test_what_was_asked_for_in_vain_is_told_in_one_short_sentence(name: str, value: str) -> None:
    (warning,) = parse((name, value)).warnings
    assert f"`{name.removesuffix('[]')}`" in warning
    assert "no effect" in warning
    assert len(warning) < 150


@pytest.mark.parametrize(
    "fields",
    [
        [("keywords", "Иванов, Нижний Новгород"), ("keywords", "иванов")],
        [("keywords[]", "Иванов"), ("keywords[]", "Нижний Новгород")],
        [("keywords", '["Иванов", "Нижний Новгород"]')],
    ],
)
def test_keywords_come_in_every_way_that_lists_do(fields: list[tuple[str, str]]) -> None:
    assert parse(*fields).hints == Hints((Keyword("Иванов"), Keyword("Нижний Новгород")))


def test_bentomls_client_sends_json_texts() -> None:
    fields = [("prompt", json.dumps("Встреча")), ("keywords_spelling", '"model"'), ("keywords", "[]")]
    assert parse(*((name, unquoted(text)) for name, text in fields)).hints == Hints(prompt="Встреча", spelling="model")


@pytest.mark.parametrize("keywords", [["x" * 101], [f"слово{n}" for n in range(1001)]])
def test_more_keywords_than_can_be_listened_for_are_refused(keywords: list[str]) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(("keywords", json.dumps(keywords)))
    assert refused.value.param == "keywords"


def test_a_thousand_keywords_of_a_hundred_characters_are_taken_in_one_field() -> None:
    keywords = [f"{n:04}" + "я" * 96 for n in range(1000)]
    text = ",".join(keywords)
    assert len(text.encode()) < MAX_LIST_BYTES
    assert wanted("keywords[]") is wanted("keywords") is Keep.LIST
    assert [keyword.text for keyword in parse(("keywords", text)).hints.keywords] == keywords


def test_of_a_scalar_given_twice_the_last_counts() -> None:
    assert parse(("response_format", "srt"), ("response_format", "vtt")).response_format == "vtt"


@given(
    fields=st.lists(
        st.tuples(
            st.one_of(
                st.text(max_size=20),
                st.sampled_from([*TranscriptionForm.model_fields, "prompt", "language", "known_speaker_names[]"]),
                st.sampled_from(
                    ["include[]", "chunking_strategy[threshold]", "chunking_strategy[]", "[]", "stream[x]"]
                ),
            ),
            st.one_of(st.text(max_size=30), st.sampled_from(["true", "auto", "0.5", "word", "json", "{}", "[[]]"])),
        ),
        max_size=8,
    )
)
def test_whatever_a_form_holds_it_is_understood_or_refused_with_a_known_field_named(
    fields: list[tuple[str, str]],
) -> None:
    try:
        form: Any = parse_form(fields, SETTINGS)
    except BadRequest as refused:
        assert refused.param is not None
        assert wanted(refused.param) is not Keep.NOTHING
    else:
        assert form.response_format in get_args(ResponseFormat)
        assert 0 < form.job_options(SERVER_VAD).vad.threshold < 1
