"""What is in a clip: which packets of which call, where, and whether they are what was said.

Runs in a process of its own, so that the phones keep time.
"""

from __future__ import annotations

import asyncio
import audioop
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from portal import playback
from portal.decoding import Samples
from recorder.config import load
from recorder.service import places
from soak.voice import Voice
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import StorageError, Unavailable
from storage.keydoor import KeyDoor
from storage.records import Announcement, Audio
from storage.vault import Opened, Vault
from tests.fakes.rtp import SAMPLES

PURPOSE, PERSON, REASON = "coaching", "anna", "a soak test"


@dataclass(slots=True)
class Contents:
    """One clip. `indices` and `positions` (ticks) of its packets by channel; `faults` in words."""

    clip: str
    recording: str
    part: int
    previous: str | None
    ending: str
    seconds: float | None
    call: int | None = None
    indices: tuple[array[int], array[int]] = field(default_factory=lambda: (array("I"), array("I")))
    positions: tuple[array[int], array[int]] = field(default_factory=lambda: (array("Q"), array("Q")))
    announced: list[Announcement] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read(config: Path, seed: int, clips: list[str]) -> list[Contents]:
    """Open clips as their listener would and look at every packet. Left out is what cannot be opened now."""
    return asyncio.run(_read(config, Voice(seed), clips))


async def _read(path: Path, voice: Voice, clips: list[str]) -> list[Contents]:
    config = load(path)
    clock = SystemClock(config.clock.offset_file)
    catalogue = await Catalogue.open(places.catalogue(config))
    try:
        vault = await Vault.open(config.storage.directory, catalogue, clock)
        door = KeyDoor(places.keys(config))
        found = [await _contents(catalogue, vault, door, voice, clip) for clip in clips]
        return [it for it in found if it is not None]
    finally:
        await catalogue.close()


async def _contents(
    catalogue: Catalogue, vault: Vault, door: KeyDoor, voice: Voice, clip_id: str
) -> Contents | None:
    row = await catalogue.clips.show(clip_id)
    found = Contents(clip_id, row.recording, row.part, row.previous, str(row.ending), row.seconds)
    if row.size == 0:
        return found  # cut off before the first word
    try:
        key = await door.open_clip(clip_id, PURPOSE, "export", REASON, PERSON)
        opened = await vault.read(clip_id, key)
        samples = playback.render(opened.records, opened.header.codecs).samples
    except Unavailable:
        return None  # the key service is being started: later
    except StorageError as error:
        found.faults.append(f"clip {clip_id} cannot be opened: {error}")
        return found
    _look(opened, samples, voice, found)
    return found


def _look(opened: Opened, samples: Samples, voice: Voice, found: Contents) -> None:
    ends = [0, 0]
    for record in opened.records:
        if isinstance(record, Announcement):
            found.announced.append(record)
        if not isinstance(record, Audio):
            continue
        known = voice.known(record.payload)
        if known is None or known[1] != record.channel:
            found.faults.append(f"clip {found.clip} has audio that nobody said on that side")
            continue
        if found.call not in (None, known[0]):
            found.faults.append(f"clip {found.clip} of call {found.call} has audio of call {known[0]}")
        if record.position < ends[record.channel] - SAMPLES // 4:  # where a clock was fast
            found.faults.append(f"clip {found.clip} has two packets in one place")
        ends[record.channel] = record.position + SAMPLES
        found.call = known[0]
        found.indices[record.channel].append(known[2])
        found.positions[record.channel].append(record.position)
        sound = samples[record.position : ends[record.channel], record.channel]
        if sound.tobytes() != _linear(record.payload):
            found.faults.append(f"clip {found.clip} does not sound like what was said")


def _linear(alaw: bytes) -> bytes:
    return np.frombuffer(audioop.alaw2lin(alaw, 2), dtype="=i2").tobytes()
