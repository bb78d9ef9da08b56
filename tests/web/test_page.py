"""The page, as it is served and as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest

from asr_core.web import INDEX, PAGE
from tests.conftest import Server

GAP = re.compile(r"\{\w+\}")
PARTS = sorted(path.name for path in PAGE.iterdir() if path.name != INDEX)
MODULES = [name for name in PARTS if name.endswith(".mjs")]
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
}


def read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def imports(name: str) -> set[str]:
    """The modules that a module names, each beside it; an AudioWorklet's has the document's address for it."""
    return set(re.findall(r'(?:\bfrom "\./|addModule\("page/)([^"]+)"', read(name)))


class Document(HTMLParser):
    """What the page's markup consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline: dict[str, str] = {}
        """What scripts and styles hold in the document itself."""
        self._tag = ""
        self.feed(read(INDEX))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._tag = tag

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in {"script", "style"}:
            self.inline[self._tag] = self.inline.get(self._tag, "") + data

    def values(self, attribute: str) -> set[str]:
        return {attributes[attribute] for _, attributes in self.elements if attribute in attributes}

    def links(self, relation: str) -> list[str]:
        return [found["href"] for tag, found in self.elements if tag == "link" and found["rel"] == relation]


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


@pytest.fixture(scope="module")
def strings() -> Mapping[str, Mapping[str, str]]:
    languages: Mapping[str, Mapping[str, str]] = json.loads(read("strings.json"))
    return languages


def test_the_page_is_served_at_the_root_without_a_key(server: Server) -> None:
    response = server.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == read(INDEX)


@pytest.mark.parametrize("name", PARTS)
def test_each_part_of_the_page_is_served_as_what_it_is(server: Server, name: str) -> None:
    response = server.get(f"/page/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text == read(name)


@pytest.mark.parametrize("path", ["/", "/page/main.mjs"])
def test_what_the_browser_already_has_is_not_sent_again(server: Server, path: str) -> None:
    first = server.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = server.get(path, **{"If-None-Match": f'"another", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert server.get(path, **{"If-None-Match": '"another"'}).content == first.content


@pytest.mark.parametrize(
    "name",
    [
        "",
        "index.html",
        "absent.mjs",
        "__init__.py",
        "..%2f__init__.py",
        "%2e%2e/__init__.py",
        "..%5c__init__.py",
        "%2fetc%2fpasswd",
        "main.mjs%00",
    ],
)
def test_nothing_but_the_pages_own_parts_is_served(server: Server, name: str) -> None:
    response = server.get(f"/page/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_the_page_may_run_only_its_own_script_and_talk_only_to_its_own_server(server: Server) -> None:
    policy = dict(
        directive.split(" ", 1) for directive in server.get("/").headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", " ".join(policy.values()))


def test_the_document_holds_no_script_and_no_style(document: Document) -> None:
    assert not "".join(document.inline.values()).strip()
    assert not [name for _, attributes in document.elements for name in attributes if re.match("on|style$", name)]


def test_every_part_is_loaded_with_the_document_none_waits_for_another_to_name_it(document: Document) -> None:
    (script,) = document.values("src")
    assert sorted([script, *document.links("modulepreload")]) == [f"page/{name}" for name in MODULES]
    assert document.links("stylesheet") + document.links("preload") == ["page/style.css", "page/strings.json"]


def test_every_module_is_used(document: Document) -> None:
    assert set().union(*map(imports, MODULES)) == set(MODULES) - {"main.mjs"}


def test_the_page_names_nothing_that_would_be_loaded_from_elsewhere(document: Document) -> None:
    assert not [name for name in [INDEX, *PARTS] if re.search(r"\w+://|url\(|@import|\bimport\(", read(name))]
    assert all(value.startswith(("data:", "#", "page/")) for name in ("src", "href") for value in document.values(name))


def test_the_page_never_makes_markup_out_of_text() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\b|\bFunction\("
    assert not [name for name in MODULES if re.search(forbidden, read(name))]


def test_every_language_says_everything(strings: Mapping[str, Mapping[str, str]]) -> None:
    russian, english = strings["ru"], strings["en"]
    assert russian.keys() == english.keys()
    for key in russian:
        assert russian[key].strip(), key
        assert english[key].strip(), key
        assert sorted(GAP.findall(russian[key])) == sorted(GAP.findall(english[key])), key
    assert all(re.search("[а-яё]", text, re.IGNORECASE) for text in russian.values())
    assert not any(re.search("[а-яё]", text, re.IGNORECASE) for text in english.values())


def test_every_string_that_is_shown_exists_and_every_one_that_exists_is_shown(
    document: Document, strings: Mapping[str, Mapping[str, str]]
) -> None:
    modules = "".join(map(read, MODULES))
    in_markup = document.values("data-text") | document.values("data-label")
    called = set(re.findall(r"\bt\(\"(\w+)\"", modules))
    assert in_markup | called <= strings["en"].keys()
    mentioned = in_markup | set(re.findall(r"[\"'](\w+)[\"']", modules))
    assert {name for name in strings["en"] if name.removesuffix("_advice") not in mentioned} == set()
