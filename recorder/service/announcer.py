"""Plays announcements: from a file of the configuration to packets for a party, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from secrets import randbelow

import structlog

from recorder import sounds
from recorder.announcement import Hearer, packets
from recorder.announcing import INTERRUPTED
from recorder.config import Config
from recorder.effects import Play
from recorder.relay.client import MediaClient, MediaUnavailable
from recorder.relay.protocol import Side
from recorder.said import Heard

log = structlog.get_logger()

HEARD, STOPPED = "heard", "stopped"
FILE, CODEC, FAILED = "announcement-file", "announcement-codec", "announcement-failed"
Sound = Mapping[tuple[str, int], list[bytes]]
"""Payloads of 20 ms, by codec and RTP clock."""


class Announcer:
    """The announcements of the configuration. `results`: what became of those that were to be played."""

    def __init__(self, config: Config, media: MediaClient, now: Callable[[], datetime]) -> None:
        self._media = media
        self._now = now
        self.results: Counter[str] = Counter()
        self.use(config)

    def use(self, config: Config) -> None:
        """Make the sounds of this configuration, beside the loop."""
        self._sounds: asyncio.Task[dict[str, Sound]] = asyncio.create_task(_loaded(config))

    async def play(self, order: Play) -> Heard | str:
        """Play it to its end; what was heard, or why it was not."""
        became = await self._played(order)
        self.results[became if isinstance(became, str) else HEARD] += 1
        return became

    async def _played(self, order: Play) -> Heard | str:
        sound = (await self._sounds).get(order.sha256)
        if sound is None:
            return FILE
        voices: dict[Side, list[bytes]] = {}
        for hearer in order.hearers:
            if (voice := _voice(hearer, sound)) is None:
                return CODEC
            voices[hearer.side] = voice
        try:
            played = await self._media.play(order.session, voices)
        except (MediaUnavailable, TimeoutError) as error:
            if str(error) == STOPPED:
                return INTERRUPTED
            log.warning("an announcement was not played to its end", why=str(error) or "no answer in time")
            return FAILED
        now, clock = self._now(), time.monotonic_ns()
        began, ended = (now - timedelta(microseconds=(clock - it) // 1000) for it in played[:2])
        return Heard(order.sha256, began, ended)


def _voice(hearer: Hearer, sound: Sound) -> list[bytes] | None:
    """In the codec that this party likes most of those that can be made; None: in none."""
    for number, name, rate in hearer.codecs:
        if (name, rate) in sound:
            return packets(sound[name, rate], number, rate // 50, randbelow, hearer.key)
    return None


async def _loaded(config: Config) -> dict[str, Sound]:
    is_any = any(it.announcement_sha256 for it in config.purposes.values())
    return await asyncio.to_thread(_made, config) if is_any else {}


def _made(config: Config) -> dict[str, Sound]:
    """By the SHA-256 of the file. What is not as the configuration says is left out, and told."""
    made: dict[str, Sound] = {}
    for name, purpose in config.purposes.items():
        if not purpose.announcement or not purpose.announcement_sha256:
            continue
        try:
            sound, rate = sounds.read(purpose.file, purpose.announcement_sha256)
        except sounds.Unusable as error:
            log.error(
                "nothing is recorded for a purpose: its announcement cannot be used",
                purpose=name,
                why=str(error),
            )
            continue
        from recorder.encoding import payloads

        made[purpose.announcement_sha256] = payloads(sound, rate)
    return made
