"""The compose files say nothing that Docker Compose 2.0 does not understand; NASes have old ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with bentoml, its types do not

ROOT = Path(__file__).resolve().parents[2]
FILES = ["docker-compose.yml", "docker-compose.replicas.yml"]

UNDERSTOOD = {
    **dict.fromkeys(("image", "env_file", "mem_limit", "cpus", "restart", "stop_grace_period", "working_dir"), str),
    **dict.fromkeys(("volumes", "tmpfs", "cap_drop", "security_opt", "ports", "profiles"), list),
    **dict.fromkeys(("command", "entrypoint"), list),
    **dict.fromkeys(("environment", "healthcheck", "depends_on"), dict),
    "read_only": bool,
}
"""Of a service: the keys in use, and the form that each had in the Compose specification of 2021."""


def compose(file: str) -> dict[str, Any]:
    """Plain YAML: an unknown tag, such as the `!reset` of later versions, is an error."""
    content: dict[str, Any] = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("file", FILES)
def test_every_service_is_written_as_compose_2_0_reads_it(file: str) -> None:
    content = compose(file)
    assert {key for key in content if not key.startswith("x-")} <= {"services", "volumes"}
    for service in content["services"].values():
        assert {key: type(value) for key, value in service.items()} == {key: UNDERSTOOD[key] for key in service}
        for key in ("volumes", "ports", "tmpfs"):
            assert all(isinstance(entry, str) for entry in service.get(key, []))


def test_the_replicas_are_the_one_server_without_its_port() -> None:
    alone, replica = (compose(file)["services"]["asr"] for file in FILES)
    assert alone.pop("ports") == compose(FILES[1])["services"]["nginx"]["ports"]
    assert alone == replica


@pytest.mark.parametrize("file", FILES)
def test_what_can_be_set_for_the_container_is_in_the_example_with_its_default(file: str) -> None:
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    variables = re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / file).read_text(encoding="utf-8"))
    assert {name for name, _ in variables} == {"PORT", "MEMORY", "CPUS"}
    assert [(name, example.get(name)) for name, _ in variables] == variables
