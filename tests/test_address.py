"""Where the server is to listen, tried before it does."""

from __future__ import annotations

import socket

import pytest

from asr_core.address import check_free, numeric
from asr_core.errors import ConfigurationError
from tests.conftest import free_port


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1")],
)
def test_an_address_stays_and_a_name_becomes_one(host: str, address: str) -> None:
    assert numeric(host) == address


@pytest.mark.parametrize("host", ["nowhere.invalid", "[::]", "a" * 100, "http://nas"])
def test_what_is_no_address_is_said_to_be_none(host: str) -> None:
    with pytest.raises(ConfigurationError, match="takes an address or a name of this machine"):
        numeric(host)


def test_a_free_port_is_free_afterwards_too() -> None:
    port = free_port()
    check_free("127.0.0.1", port)
    check_free("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_port_that_another_program_has_is_taken(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"^PORT={port}: another program listens there"):
            check_free(host, port)


def test_an_address_of_another_machine_is_none_of_ours() -> None:
    with pytest.raises(ConfigurationError, match=r"^HOST=192\.0\.2\.1: takes an address of this machine"):
        check_free("192.0.2.1", 3000)
