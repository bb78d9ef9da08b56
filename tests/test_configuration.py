"""What is wrong with the settings is said in a line each, and no key with it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from asr_core.configuration import NAMES, as_environment, misspelt_names, read_settings
from asr_core.errors import ConfigurationError
from asr_core.model.weights import MD5
from asr_core.settings import Settings
from asr_core.types import OFFICIAL_MODELS

KEY = "open-sesame"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing of ours in the environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(text: str) -> str:
    """What is said about a `.env` with this text and a key."""
    Path(".env").write_text(f"API_KEY={KEY}\n{text}\n")
    with pytest.raises(ConfigurationError) as raised:
        read_settings()
    assert KEY not in "".join(traceback.format_exception(raised.value))
    return str(raised.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PORT=70000", "PORT=70000: takes a whole number, at least 1, at most 65535"),
        ("PORT=", "PORT=: takes a whole number, at least 1, at most 65535"),
        ("MAX_QUEUE=many", "MAX_QUEUE=many: takes a whole number, at least 1"),
        ("VAD_THRESHOLD=1", "VAD_THRESHOLD=1: takes a number, above 0, below 1"),
        ("MAX_AUDIO_SECONDS=inf", "MAX_AUDIO_SECONDS=inf: takes a number, at least 0.1"),
        ("PRECISION=fp23", "PRECISION=fp23: takes auto, fp32, bf16, int8"),
        ("LOG_JSON=maybe", "LOG_JSON=maybe: takes true or false"),
        ("TMPDIR=nowhere", "TMPDIR=nowhere: takes a folder that is there and that this user may write to"),
        ("HOST=", "HOST=: takes a name or an address"),
        (
            "MODEL=nonsense",
            f"MODEL=nonsense: takes {', '.join(OFFICIAL_MODELS)}, demo, or the path of a .ckpt file or a folder",
        ),
        ("MODELS_URL=ftp://mirror/x", "MODELS_URL=ftp://mirror/x: takes the http or https address of a folder"),
        (
            f"MODELS_URL=https://a:{KEY}@mirror/x",
            "MODELS_URL: takes an address without a password: put that into ~/.netrc",
        ),
        (
            "VAD_MIN_DURATION=23",
            "VAD_MIN_DURATION may not exceed VAD_MAX_DURATION, nor that VAD_STRICT_LIMIT; they are 23, 22 and 30 s",
        ),
        (f"PORT=3000 API_KEY={KEY}", "PORT: takes a whole number, at least 1, at most 65535"),
        (
            "MAX_QUEUE=0\nPRECISION=0",
            "PRECISION=0: takes auto, fp32, bf16, int8\nMAX_QUEUE=0: takes a whole number, at least 1",
        ),
    ],
)
def test_a_wrong_setting_is_a_line_with_its_name_its_value_and_what_it_takes(line: str, expected: str) -> None:
    assert complaint(line) == expected


@given(
    st.sets(
        st.sampled_from(sorted({*NAMES} - {"API_KEY", "MODEL_ALIASES", "ALLOWED_MODELS", "MODELS_DIR"})), min_size=1
    )
)
def test_whatever_is_wrong_the_key_is_not_told(names: set[str]) -> None:
    Path(".env").write_text("".join(f"{name}=x {KEY}\n" for name in names) + f"API_KEY={KEY}\n")
    try:
        settings = read_settings()
    except ConfigurationError as error:
        assert KEY not in str(error)
    else:
        assert names <= {"HOST", "FFMPEG"}, settings  # where any text is possible


def test_a_file_that_cannot_be_read_is_a_line() -> None:
    Path(".env").write_bytes(b"MODEL=\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: it is not UTF-8$"):
        read_settings()


def test_a_byte_order_mark_does_not_hide_the_first_setting() -> None:
    Path(".env").write_bytes("\ufeffMAX_QUEUE=3\n".encode())
    assert read_settings().max_queue == 3


def test_names_that_are_almost_ours_are_pointed_out_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MAX_QUEU=3\nLOGLEVEL=DEBUG\nMEMORY=3g\nCPUS=2\nmax_upload_mb=5\nCOMPOSE_FILE=x\n")
    monkeypatch.setenv("API_KEYS", KEY)
    assert list(misspelt_names()) == [
        "LOGLEVEL in .env has no effect: is LOG_LEVEL meant?",
        "MAX_QUEU in .env has no effect: is MAX_QUEUE meant?",
        "API_KEYS in the environment has no effect: is API_KEY meant?",
    ]


def test_another_process_gets_the_same_settings_in_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Path("scratch").mkdir()
    Path(".env").write_text(f"API_KEY=one,{KEY}\nMODEL=mine.ckpt,demo\nTMPDIR=scratch\nMODEL_ALIASES=\nLOG_JSON=1\n")
    settings = read_settings()
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    absolute = {"model": f"{folder / 'mine.ckpt'},demo", "models_dir": folder / "models", "tmpdir": folder / "scratch"}
    assert read_settings() == settings.model_copy(update=absolute)
    assert [key.get_secret_value() for key in read_settings().api_key] == ["one", KEY]


def test_a_key_is_not_in_the_settings_as_they_print() -> None:
    settings = Settings(_env_file=None, api_key=(SecretStr(KEY),))
    assert KEY not in f"{settings!r} {settings}"


def test_the_settings_know_the_models_that_can_be_downloaded() -> None:
    assert set(OFFICIAL_MODELS) == set(MD5)
