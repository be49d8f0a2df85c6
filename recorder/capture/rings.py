"""The rings as the media broker hands them out: at the start, and again by a restarted one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import structlog

from recorder import handover
from recorder.notify import Notifier

log = structlog.get_logger()

RETRY_SECONDS = 0.1


async def handed_out(path: Path, notifier: Notifier) -> AsyncGenerator[Sequence[int], None]:
    """The descriptors of every ring, from each broker in turn; map them before asking for the next."""
    while True:
        broker, descriptors, _ = await _patiently(path, notifier)
        with broker:
            try:
                log.info("rings taken over from the media broker", rings=len(descriptors))
                yield descriptors
            finally:
                handover.close_all(descriptors)
            broker.setblocking(False)
            await _gone(broker)
        log.error("the media broker has ended")


async def _patiently(path: Path, notifier: Notifier) -> tuple[socket.socket, list[int], int]:
    is_told = False
    while True:
        try:
            return await asyncio.to_thread(handover.take, path)
        except OSError:
            if not is_told:
                log.info("waiting for the media broker", socket=str(path))
                notifier.waiting("waiting for the media broker")
                is_told = True
        await asyncio.sleep(RETRY_SECONDS)


async def _gone(broker: socket.socket) -> None:
    """Wait until the broker ends; it says nothing more on this connection."""
    try:
        await asyncio.get_running_loop().sock_recv(broker, 1)
    except OSError:
        return
