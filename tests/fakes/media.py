"""Calls through a broker: free ports, two phones that are joined, and what passes between them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from recorder.relay.client import MediaClient
from tests.fakes.relay import soon
from tests.fakes.rtp import Phone, packet

LOCALHOST = "127.0.0.1"


def free_range(pairs: int) -> int:
    """The first of `2 * pairs` UDP ports that nobody holds."""
    for low in range(21000, 30000, 2 * pairs):
        held = []
        try:
            for port in range(low, low + 2 * pairs):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind((LOCALHOST, port))
        except OSError:
            continue
        else:
            return low
        finally:
            for each in held:
                each.close()
    raise AssertionError("no free ports")


def join(client: MediaClient, session: int, caller: Phone, callee: Phone, final: bool = True) -> None:
    client.remote(session, "a", [caller.remote], final=final)
    client.remote(session, "b", [callee.remote], final=final)


def waiting(phone: Phone) -> Iterator[bytes]:
    """What has arrived at a phone by now."""
    with contextlib.suppress(BlockingIOError):
        while True:
            yield phone.rtp.recv(4096)


async def passes(sender: Phone, port: int, receiver: Phone, payload: bytes) -> tuple[str, int]:
    """Send until it arrives, since orders are not acknowledged; where it came from."""
    receiver.rtp.setblocking(False)
    source: list[tuple[str, int]] = []

    def arrived() -> bool:
        sender.rtp.sendto(packet(1, 1, payload), (sender.remote[0], port))
        try:
            data, address = receiver.rtp.recvfrom(4096)
        except BlockingIOError:
            return False
        source.append(address[:2])
        return data[12:] == payload

    await soon(arrived)
    return source[-1]
