"""A Unix SOCK_SEQPACKET connection between two of our processes: one JSON object per message, descriptors
beside it.

Messages keep their order and are never split. Sending never blocks: what the socket does not take waits in
a queue and goes out when it does. Both ends belong to this project; a message that is not a JSON object
ends the connection. One of more than 64 KiB would arrive cut: it is refused to its sender, who alone knows
what else to do, and the connection goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

Message = dict[str, Any]
MESSAGE_BYTES = 65536
DESCRIPTORS = 8
_CREDENTIALS = struct.Struct("3i")


class TooLarge(ValueError):
    """A message of more than MESSAGE_BYTES; nothing of it was sent."""


def encode(message: Message) -> bytes:
    """One message as it stands on the wire. Raises TooLarge."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MESSAGE_BYTES:
        raise TooLarge(f"a message has {len(data)} bytes, {MESSAGE_BYTES} are allowed")
    return data


def decode(data: bytes) -> Message:
    """Read one message. Raises ValueError when it is not a JSON object."""
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")
    return message


class Open(Protocol):
    """Something that has a descriptor: a socket, or a `Descriptor`."""

    def fileno(self) -> int: ...


class Descriptor:
    """A descriptor that is closed when nobody holds it any more."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def __del__(self) -> None:
        os.close(self._number)


class Channel:
    """One connected end, driven by the running event loop.

    `on_message(message)` is called for every message, `on_close()` once when the other end has gone.
    `handed`: the descriptors that came with the latest message.
    """

    def __init__(
        self, connection: socket.socket, on_message: Callable[[Message], None], on_close: Callable[[], None]
    ) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._on_message = on_message
        self._on_close = on_close
        self._waiting: deque[tuple[bytes, Sequence[Open]]] = deque()
        self.handed: list[Descriptor] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._receive)
        self.is_open = True

    def send(self, message: Message, handed: Sequence[Open] = ()) -> None:
        """Send in order, now or as soon as the socket takes it; on a closed channel nothing happens.
        `handed` stays open until then.

        Raises TooLarge.
        """
        if not self.is_open:
            return
        self._waiting.append((encode(message), handed))
        if len(self._waiting) == 1:
            self._flush()

    def close(self) -> None:
        """Close this end, without calling `on_close`."""
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._waiting.clear()

    def _flush(self) -> None:
        try:
            while self._waiting:
                data, handed = self._waiting[0]
                self._transmit(data, [each.fileno() for each in handed])
                self._waiting.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            return
        except OSError:
            self._lose()
            return
        self._loop.remove_writer(self._socket)

    def _transmit(self, data: bytes, descriptors: list[int]) -> None:
        if -1 in descriptors:  # closed while it waited: the order to close follows
            return
        if descriptors:
            socket.send_fds(self._socket, [data], descriptors)
        else:
            self._socket.send(data)

    def _receive(self) -> None:
        while self.is_open:
            try:
                data, handed, _, _ = socket.recv_fds(
                    self._socket, MESSAGE_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                self.handed = [Descriptor(it) for it in handed]
                message = decode(data) if data else None
            except BlockingIOError:
                return
            except (OSError, ValueError):
                message = None
            if message is None:
                self._lose()
            else:
                self._on_message(message)

    def _lose(self) -> None:
        if self.is_open:
            self.close()
            self._on_close()


class Listener:
    """Listens at `path` (mode 0600) and hands every connection of our own user or root to `on_connection`."""

    def __init__(self, path: Path, on_connection: Callable[[socket.socket], None]) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._on_connection = on_connection
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(16)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(peer)[1] in (0, os.getuid()):
            self._on_connection(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Stop listening; connections that exist stay."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Dialler:
    """Keeps a channel to `path` open: connects, and connects again when the other end has gone.

    Nothing is called before the constructor has returned. `on_up()` comes after what had waited was sent.
    What is sent meanwhile waits in order, up to `capacity` messages; beyond that the oldest are lost and
    counted.
    """

    RETRY_SECONDS = 0.1

    def __init__(
        self,
        path: Path,
        on_message: Callable[[Message], None],
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        capacity: int = 4096,
    ) -> None:
        self._path = path
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._capacity = capacity
        self._pending: deque[Message] = deque()
        self._channel: Channel | None = None
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.Handle | None = self._loop.call_soon(self._connect)
        self.lost = 0

    @property
    def is_up(self) -> bool:
        return self._channel is not None

    def send(self, message: Message, handed: Sequence[Open] = ()) -> None:
        """Send now or after the next connection, in order; never blocks. Raises TooLarge, at once. With
        something `handed` it is sent now or never.
        """
        if self._channel is not None or handed:
            if self._channel is not None:
                self._channel.send(message, handed)
            return
        encode(message)  # too large now, too large later
        if len(self._pending) == self._capacity:
            self._pending.popleft()
            self.lost += 1
        self._pending.append(message)

    def close(self) -> None:
        """Hang up and stay down."""
        if self._retry is not None:
            self._retry.cancel()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _connect(self) -> None:
        self._retry = None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            self._retry = self._loop.call_later(self.RETRY_SECONDS, self._connect)
            return
        self._channel = Channel(connection, self._on_message, self._dropped)
        while self._pending and self._channel is not None:
            self._channel.send(self._pending.popleft())
        if self._channel is not None:
            self._on_up()

    def _dropped(self) -> None:
        self._channel = None
        self._on_down()
        self._retry = self._loop.call_later(self.RETRY_SECONDS, self._connect)
