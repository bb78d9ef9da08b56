"""Files of keywords."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_core.configuration import read_settings
from asr_core.errors import ConfigurationError
from asr_core.types import Keyword
from asr_core.wordlist import read_wordlist


def test_a_file_has_a_keyword_a_line_and_a_weight_if_one_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# people\nИванов\n\n Нижний Новгород ; 2 \nKubernetes\t0,5\nиванов; 3\n", encoding="utf-8")
    assert read_wordlist(path) == (Keyword("Иванов"), Keyword("Нижний Новгород", 2.0), Keyword("Kubernetes", 0.5))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Иванов\nПетров; много".encode(), "line 2: 'много' is no weight"),
        ("Иванов; 0".encode(), "line 1: a weight is above 0"),
        ("Иванов; nan".encode(), "line 1: a weight is above 0"),
        (b"x" * 101, "longer than 100 characters"),
        ("\n".join(f"слово{n}" for n in range(1001)).encode(), "1001 keywords"),
        ("Иванов".encode("cp1251"), "is not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_with_one_line(
    content: bytes | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("KEYWORDS_FILE", str(path))
    with pytest.raises(ConfigurationError) as error:
        read_settings()
    assert complaint in str(error.value)
    assert str(error.value).startswith("KEYWORDS_FILE")
    assert len(str(error.value).splitlines()) == 1
