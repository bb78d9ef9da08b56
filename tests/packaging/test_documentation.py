"""What users read about the settings is what the settings are, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_core.model.weights import MD5
from asr_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

ENV_LINE = re.compile(r"^#?([A-Z][A-Z_]*)=(.*)$", re.MULTILINE)
TABLE_ROW = re.compile(r"^\| `([A-Z][A-Z_]*)` \| (?:`([^`]*)`)? ?\| .+ \|$", re.MULTILINE)
CODE = re.compile(r"^ *```(?:sh|python)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"\bmake ([a-z][a-z-]+)")
OF_THE_CONTAINER = {"MEMORY", "CPUS"}
"""What docker-compose.yml reads from the same file."""
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")

READMES = ["README.md", "README_ru.md"]
EXAMPLES = ["examples/README.md", "examples/README_ru.md"]
DOCUMENTS = [*READMES, *EXAMPLES, "CONTRIBUTING.md", "docs/decisions.md"]


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "entry"), [(".env.example", ENV_LINE), *((readme, TABLE_ROW) for readme in READMES)])
def test_every_setting_is_documented_with_its_default(
    file: str, entry: re.Pattern[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documented = [(name, value) for name, value in entry.findall(read(file)) if name not in OF_THE_CONTAINER]
    assert sorted(name for name, _ in documented) == sorted(name.upper() for name in Settings.model_fields)

    for name, _ in documented:
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in documented), encoding="utf-8")
    assert Settings(_env_file=env_file) == Settings(_env_file=None)


@pytest.mark.parametrize("readme", READMES)
def test_every_official_model_is_in_the_table_of_models(readme: str) -> None:
    rows = re.findall(r"^\| (`(?:v\d|multi).+?) \|", read(readme), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(MD5)


@pytest.mark.parametrize("languages", [READMES, EXAMPLES])
def test_both_languages_show_the_same_commands_and_figures(languages: list[str]) -> None:
    def commands(text: str) -> list[str]:
        return [re.sub(r"\s+#.*", "", block) for block in CODE.findall(text)]

    def figures(text: str) -> list[str]:
        return [figure.replace(",", ".") for figure in re.findall(r"\| (\d+[.,]\d) ", text)]

    def outline(text: str) -> list[int]:
        return [len(marks) for marks in re.findall(r"^(#+) ", CODE.sub("", text), re.MULTILINE)]

    english, russian = map(read, languages)
    assert commands(english) == commands(russian)
    assert figures(english) == figures(russian)
    assert outline(english) == outline(russian)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_documents_name_exists(document: str) -> None:
    text, makefile = read(document), read("Makefile")
    targets = set(re.findall(r"^([a-z][a-z-]+):", makefile, re.MULTILINE))
    assert set(TARGET.findall(text)) <= targets
    folder = (ROOT / document).parent
    assert [link for link in LINK.findall(text) if not (folder / link).exists()] == []
