"""The capture process: it reads every 100 ms and writes every second, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from recorder import control
from recorder.capture.process import Capture, CaptureSettings
from recorder.capture.rings import handed_out
from recorder.capture.track import ClipVault
from recorder.notify import Notifier
from storage.clock import Clock

log = structlog.get_logger()

HEAR_SECONDS = 0.1
HEARINGS = 10
"""In one beat."""


async def run_capture(settings: CaptureSettings, vault: ClipVault, clock: Clock, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT; then running clips are sealed as interrupted.

    It listens once it has rings.
    """
    supply = handed_out(settings.rings, notifier)
    capture = Capture(settings, vault, await anext(supply), clock.now)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if capture.unlocked_rings:
        log.warning("audio in rings may be swapped out: raise LimitMEMLOCK", rings=capture.unlocked_rings)
    if settings.status_socket is not None:
        await control.serve(settings.status_socket, capture.answer)
    following = asyncio.create_task(_follow(supply, capture))
    notifier.ready(_status(capture))
    beat_at = 0.0
    for hearing in itertools.count():
        capture.hear() if hearing % HEARINGS else capture.beat()
        if time.monotonic() >= beat_at:
            notifier.beat(_status(capture))
            beat_at = time.monotonic() + notifier.every_seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAR_SECONDS):
                await stop.wait()
                break
    notifier.stopping()
    following.cancel()
    await capture.stop()


async def _follow(supply: AsyncIterator[Sequence[int]], capture: Capture) -> None:
    async for ring_fds in supply:
        capture.use_rings(ring_fds)


def _status(capture: Capture) -> str:
    return f"{capture.recording} calls are recorded"
