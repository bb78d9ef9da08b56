"""Who may come in."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from asr_core.api.auth import KeyRing
from asr_core.errors import Unauthorized

RING = KeyRing([SecretStr("first-key"), SecretStr("второй"), SecretStr("успех")])


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Basic Zmlyc3Qta2V5"])
def test_without_keys_everybody_may_come_in(header: str | None) -> None:
    KeyRing([]).check(header)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer first-key",
        "bearer first-key",
        "Bearer  first-key ",
        "Bearer " + "второй".encode().decode("latin-1"),
        "Bearer " + "успех".encode().decode("latin-1"),  # its last byte is a space, by Unicode's rules
    ],
)
def test_any_of_the_keys_opens(header: str) -> None:
    RING.check(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "first-key",
        "Basic first-key",
        "Bearer first",
        "Bearer first-key,x",
        "Bearer é",
    ],
)
def test_anything_else_does_not(header: str | None) -> None:
    with pytest.raises(Unauthorized):
        RING.check(header)
