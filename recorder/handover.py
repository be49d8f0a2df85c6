"""Descriptors that another of our processes hands over: they come with the first message of a connection."""

from __future__ import annotations

import os
import socket
from pathlib import Path

SECONDS = 2.0
MOST = 64


def give(connection: socket.socket, descriptors: list[int], place: int = 0) -> None:
    """Hand over up to 64 descriptors on a new SOCK_SEQPACKET connection, to the one who has this place (0 to
    255) from now on. Raises OSError.
    """
    socket.send_fds(connection, [bytes([place])], descriptors)


def take(path: Path) -> tuple[socket.socket, list[int], int]:
    """Connect to `path`; the connection, the descriptors, which are the caller's to close, and the place.

    Raises OSError when nobody listens there, or hangs up, or hands nothing over within two seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        greeting, descriptors, _, _ = socket.recv_fds(connection, 1, MOST, socket.MSG_CMSG_CLOEXEC)
        if not greeting or not descriptors:
            raise ConnectionResetError("nothing was handed over")
    except OSError:
        connection.close()
        raise
    return connection, descriptors, greeting[0]


def close_all(descriptors: list[int]) -> None:
    """Close what was handed over, when it has been mapped or made a socket of."""
    for descriptor in descriptors:
        os.close(descriptor)
