"""The media process: ports, media sockets, rings, and the last state of every call's media.

It hands a relay worker its ring, orders it on the same connection, and hands all rings to capture.
A worker that ends leaves nothing behind but its place, which the next one takes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket

import structlog

from recorder import control, handover, ring
from recorder.channel import Channel, Listener
from recorder.config import Config
from recorder.metrics import answered
from recorder.notify import Notifier, keep_telling
from recorder.relay.broker import BrokerSettings, MediaBroker
from recorder.service import places
from recorder.service.figures import media_samples

log = structlog.get_logger()

RING_SLOTS = 32768
"""728 bytes each: five seconds of 64 recorded calls, should capture be away so long."""


class Media:
    """The broker with its rings and the doors at which they are handed out. Lives in an event loop."""

    def __init__(self, config: Config) -> None:
        self._rings = [ring.create(RING_SLOTS) for _ in range(config.media.workers)]
        self._broker = MediaBroker(
            BrokerSettings(
                places.media(config),
                config.media.port_low,
                config.media.port_high,
                addresses=frozenset(config.media.advertised_addresses().values()),
            ),
            secrets.randbelow,
        )
        self._readers: set[Channel] = set()
        self._doors = (
            Listener(places.relays(config), self._employ),
            Listener(places.rings(config), self._show_rings),
        )

    @property
    def status(self) -> str:
        """For people."""
        return f"{self._broker.open_calls} calls, {len(self._broker.workers)} of {len(self._rings)} relays"

    async def answer(self, question: control.Message) -> control.Message:
        """What broker and workers count, to whoever asks for the metrics."""
        if question.get("op") != "metrics":
            return {"ok": False, "error": "unknown question"}
        return answered(await media_samples(self._broker))

    def close(self) -> None:
        """Close everything, which ends the workers."""
        for door in self._doors:
            door.close()
        for reader in self._readers:
            reader.close()
        self._broker.close()
        for fd in self._rings:
            os.close(fd)

    def _employ(self, connection: socket.socket) -> None:
        """A relay worker has come. It gets the first free place; it asks again where there is none."""
        free = set(range(len(self._rings))) - self._broker.workers
        if not free:
            connection.close()
            return
        index = min(free)
        if _handed(connection, [self._rings[index]], index):
            self._broker.attach_worker(index, connection)
            log.info("relay attached", index=index)

    def _show_rings(self, connection: socket.socket) -> None:
        """Capture has come; it keeps the connection, to see when this process ends."""
        if not _handed(connection, self._rings):
            return
        reader = Channel(connection, lambda _: None, lambda: self._readers.discard(reader))
        self._readers.add(reader)
        log.info("rings handed to capture", rings=len(self._rings))


def _handed(connection: socket.socket, rings: list[int], place: int = 0) -> bool:
    try:
        handover.give(connection, rings, place)
    except OSError:  # it has gone again
        connection.close()
        return False
    return True


async def run(config: Config, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    media = Media(config)
    server = await control.serve(places.media_status(config), media.answer)
    log.info("media ports are served", first=config.media.port_low, last=config.media.port_high)
    notifier.ready(media.status)
    telling = asyncio.create_task(keep_telling(notifier, lambda: media.status))
    await stop.wait()
    telling.cancel()
    notifier.stopping()
    server.close()
    media.close()
