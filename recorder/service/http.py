"""A small HTTP server of threads beside the event loop, for answers of JSON and text."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from storage.errors import Unavailable

REQUEST_SECONDS = 5.0
"""What a request may take to arrive."""

Application = Callable[[dict[str, Any], Any], list[bytes]]
"""WSGI (PEP 3333)."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """A request every few seconds is no event."""


def open_server(address: str, port: int, application: Application, section: str) -> WSGIServer:
    """Listen; `section` of the configuration says where. Raises Unavailable."""
    kind = _Server6 if ":" in address else _Server
    try:
        server = kind((address, port), _Handler)
    except OSError as error:
        raise Unavailable(
            f"listen for HTTP on {address}:{port}",
            f"stop the program that has it (ss -ltnp) or change {section}",
        ) from error
    server.set_app(application)
    return server


@contextmanager
def serving(address: str, port: int, application: Application, section: str) -> Iterator[None]:
    """Answer meanwhile, in threads. Raises Unavailable."""
    server = open_server(address, port, application, section)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
