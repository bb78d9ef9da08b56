"""Keywords as files and forms have them: how many, how long, with which weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asr_core.types import Keyword

MAX_KEYWORDS = 1_000
MAX_KEYWORD_CHARS = 100
MAX_WEIGHT = 10.0


def checked(keywords: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """Each keyword once. Raises ValueError where there are too many, or one is too long."""
    found: dict[str, Keyword] = {}
    for keyword in keywords:
        if len(keyword.text) > MAX_KEYWORD_CHARS:
            raise ValueError(f"{keyword.text[:20]!r}… is longer than {MAX_KEYWORD_CHARS} characters")
        found.setdefault(keyword.text.casefold(), keyword)
    if len(found) > MAX_KEYWORDS:
        raise ValueError(f"there are {len(found)} keywords, and at most {MAX_KEYWORDS} can be listened for")
    return tuple(found.values())


def read_wordlist(path: Path) -> tuple[Keyword, ...]:
    """The keywords of a file. Raises ValueError, whose text says what is wrong and on which line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    found: list[Keyword] = []
    for number, line in enumerate(lines, 1):
        try:
            keyword = _parsed(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if keyword:
            found.append(keyword)
    return checked(found)


def _parsed(line: str) -> Keyword | None:
    """A line: a keyword, and after a semicolon or a tab its weight; nothing on an empty one and behind #."""
    text, _, weight = (part.strip() for part in line.replace("\t", ";").partition(";"))
    if not text or text.startswith("#"):
        return None
    try:
        value = float(weight.replace(",", ".") or 1)
    except ValueError:
        raise ValueError(f"{weight[:20]!r} is no weight, as 1.5 is one") from None
    if not 0 < value <= MAX_WEIGHT:
        raise ValueError(f"a weight is above 0 and at most {MAX_WEIGHT:g}")
    return Keyword(text, value)
