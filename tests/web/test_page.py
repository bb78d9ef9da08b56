"""The page, as it is served and as it is written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from asr_core.web import INDEX
from tests.conftest import Server

GAP = re.compile(r"\{\w+\}")


class Document(HTMLParser):
    """What the page consists of."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        """What elements hold: `style`, `script/module`, `script/application/json`."""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        self._inside = f"{tag}/{dict(attrs).get('type', '')}".rstrip("/")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def values(self, name: str) -> set[str]:
        return {value for attribute, value in self.attributes if attribute == name}


@pytest.fixture(scope="module")
def html() -> str:
    return INDEX.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(html: str) -> Document:
    return Document(html)


def test_the_page_is_served_at_the_root_without_a_key(server: Server, html: str) -> None:
    response = server.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == html


def test_the_page_may_run_only_its_own_script_and_talk_only_to_its_own_server(
    server: Server, document: Document
) -> None:
    policy = dict(
        directive.split(" ", 1) for directive in server.get("/").headers["content-security-policy"].split("; ")
    )

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == source(document.texts["script/module"])
    assert policy["style-src"] == source(document.texts["style"])
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", " ".join(policy.values()))


def test_the_page_names_nothing_that_would_be_loaded_from_elsewhere(html: str, document: Document) -> None:
    assert not re.search(r"\w+://|url\(|@import|\bimport\b", html)
    assert all(value.startswith(("data:", "#")) for name in ("src", "href") for value in document.values(name))


def test_the_page_never_makes_markup_out_of_text(document: Document) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\b|\bFunction\("
    assert not re.search(forbidden, document.texts["script/module"])


def test_every_language_says_everything(document: Document) -> None:
    russian, english = json.loads(document.texts["script/application/json"]).values()
    assert russian.keys() == english.keys()
    for key in russian:
        assert russian[key].strip(), key
        assert english[key].strip(), key
        assert sorted(GAP.findall(russian[key])) == sorted(GAP.findall(english[key])), key
    assert all(re.search("[а-яё]", text, re.IGNORECASE) for text in russian.values())
    assert not any(re.search("[а-яё]", text, re.IGNORECASE) for text in english.values())


def test_every_string_that_is_shown_exists_and_every_one_that_exists_is_shown(document: Document) -> None:
    strings = json.loads(document.texts["script/application/json"])["en"].keys()
    script = document.texts["script/module"]
    in_markup = document.values("data-text") | document.values("data-label")
    called = set(re.findall(r"\bt\(\"(\w+)\"", script))
    assert in_markup | called <= strings
    mentioned = in_markup | set(re.findall(r"[\"'](\w+)[\"']", script))
    assert {name for name in strings if name.removesuffix("_advice") not in mentioned} == set()
