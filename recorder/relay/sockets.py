"""Media sockets."""

from __future__ import annotations

import socket


def bind(address: str, port: int, receive_buffer_bytes: int) -> socket.socket:
    endpoint = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        endpoint.setblocking(False)
        if endpoint.family == socket.AF_INET6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        endpoint.bind((address, port))
    except OSError:
        endpoint.close()
        raise
    return endpoint
