"""The address that the server listens on."""

from __future__ import annotations

import errno
import socket

from asr_core.errors import ConfigurationError


def numeric(host: str) -> str:
    """The IP address that `host` is or stands for: BentoML takes no names. Of several, IPv4 goes before IPv6.

    Raises ConfigurationError.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name"
        raise ConfigurationError(f"HOST={host}: takes an address or a name of this machine ({reason})") from None
    family, *_, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(address[0]) if family in {socket.AF_INET, socket.AF_INET6} else host


def check_free(host: str, port: int) -> None:
    """Listen there for a moment, exactly as the server will. Raises ConfigurationError if that cannot be done."""
    try:
        # Not `create_server`: that one makes :: mean IPv6 alone, to BentoML it is IPv4 too.
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen()
    except OverflowError:
        raise ConfigurationError(f"PORT={port}: takes a whole number, at most 65535") from None
    except OSError as error:
        raise ConfigurationError(_obstacle(host, port, error)) from None


def _obstacle(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"PORT={port}: another program listens there; stop it, or set PORT to another"
        case errno.EACCES:
            return f"PORT={port}: takes a port that this user may listen on, such as 3000"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"HOST={host}: takes an address of this machine, or 0.0.0.0 for all that it has"
    return f"HOST={host}, PORT={port}: cannot be listened on: {error.strerror or error}"
