"""The relay process: a worker that the media broker gives its ring and its orders."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import structlog

from recorder import handover, presence
from recorder.notify import Notifier
from recorder.relay import worker
from recorder.service import places

log = structlog.get_logger()

RETRY_SECONDS = 0.1


def run(path: Path, notifier: Notifier) -> None:
    """The whole process. It ends with the broker, since nobody could tell it then what it must not record.

    `path`: where the broker hands out rings to relay workers.
    """
    control, rings, place = _patiently(path, notifier)
    lock = places.presence(path.parent, f"relay-{place}")
    threading.Thread(target=presence.inherit, args=(lock,), daemon=True).start()
    notifier.ready("no call yet")
    with control:
        worker.run(control, rings[0], notifier)
    log.error("the media broker has ended, so this relay ends")


def _patiently(path: Path, notifier: Notifier) -> tuple[socket.socket, list[int], int]:
    is_told = False
    while True:
        try:
            return handover.take(path)
        except OSError:
            if not is_told:
                log.info("waiting for the media broker, or for a free place there", socket=str(path))
                notifier.waiting("waiting for the media broker")
                is_told = True
        time.sleep(RETRY_SECONDS)
