"""Ports for what listens for connections; UDP's are chosen by `demo.phone.free_port`."""

from __future__ import annotations

import socket


def free_tcp_port() -> int:
    """A TCP port that nobody on loopback has, and whose next one is free as well."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
