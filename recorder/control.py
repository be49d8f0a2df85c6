"""Asking a running process something: one JSON line in, one JSON line out, over a Unix socket.

Each long-lived process answers on a socket of its own in the runtime directory. Only the service's
own user and root can connect (the socket is 0600 in a 0700 directory).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message], Message | Awaitable[Message]]

LIMIT = 1 << 20
"""Octets of a question."""
ANSWER_LIMIT = 1 << 26
"""Of an answer: a list of running calls has some 300 for each."""
TIMEOUT_SECONDS = 5.0


class NotRunning(Exception):
    """Nobody answers on the socket: the process is not running, or not for this user."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"nothing answers at {path}: start the service with `doelband serve`, or give --config "
            "with the file that the running service was started from"
        )


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Listen at `path` and answer each line with what `handler` makes of it; replaces an earlier socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _reply(line, handler)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the asker went away, or sent a line past the limit: nobody is left to be told
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, sock=_listen(path), limit=LIMIT)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    return listening


async def _reply(line: bytes, handler: Handler) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        return {"ok": False, "error": "not a JSON line"}
    if not isinstance(message, dict):
        return {"ok": False, "error": "not a JSON object"}
    answer = handler(message)
    return await answer if isawaitable(answer) else answer


async def ask(path: Path, message: Message, seconds: float = TIMEOUT_SECONDS) -> Message:
    """Send `message` to the process listening at `path` and return its answer.

    Raises NotRunning when nobody listens or no answer comes within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
            try:
                writer.write(json.dumps(message).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise NotRunning(path) from error
    if not line:
        raise NotRunning(path)
    answer: Message = json.loads(line)
    return answer
