"""API keys: who may use the routes that cost something."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import SecretStr

from asr_core.errors import Unauthorized


class KeyRing:
    """The accepted keys; none at all means that everybody may come in."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._keys = tuple(key.get_secret_value().encode() for key in keys)

    def check(self, authorization: str | None) -> None:
        """Raise Unauthorized unless the `Authorization` header's value holds an accepted key.

        The time taken tells neither how much of a key was right nor which key it was.
        """
        if not self._keys:
            return
        scheme, _, given = (authorization or "").partition(" ")
        given = given.strip(" \t")  # not by Unicode's rules: a byte of a key in UTF-8 may be a space in latin-1
        if scheme.lower() != "bearer" or not given:
            raise Unauthorized("This server wants an API key: send it as `Authorization: Bearer <key>`.")
        # Header values arrive decoded as latin-1; encoded the same way they are the client's bytes again.
        secret = given.encode("latin-1")
        matches = [hmac.compare_digest(secret, key) for key in self._keys]
        if not any(matches):
            raise Unauthorized("This API key is not one of the server's.")
