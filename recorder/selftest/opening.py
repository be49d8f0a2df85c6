"""The clips of a test, opened by somebody whom management lets listen, and searched for what was said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from portal.access import Action
from recorder.selftest.transfer import Told
from recorder.selftest.verdict import Opened, Seen
from recorder.selftest.witness import Witness
from recorder.service import places
from storage.errors import NotFound, StorageError
from storage.keydoor import KeyDoor
from storage.records import Audio
from storage.vault import Vault


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens, for which purpose, and why: it is audited like any other opening."""

    person: str
    purpose: str
    reason: str


async def opened(witness: Witness, told: Told, listener: Listener) -> Told:
    """The same, and what was found in the clips. A refusal is part of what was found."""
    try:
        audio = await _audio(witness, told.seen, listener)
    except StorageError as error:
        found = Opened(refused=str(error))
    else:
        before, after = (sum(it.found(audio) for it in said) for said in (told.before, told.after))
        found = Opened(before, after)
    return replace(told, seen=replace(told.seen, opened=found))


async def _audio(witness: Witness, seen: Seen, listener: Listener) -> bytes:
    """All that the test's clips for this purpose hold, in RAM alone."""
    config = witness.config
    door = KeyDoor(places.keys(config))
    vault = await Vault.open(config.storage.directory, witness.catalogue, witness.clock)
    clips = [it for it in seen.own_clips() if it.purpose == listener.purpose]
    if not clips:
        raise NotFound(f"open clips for {listener.purpose}", "the test has left none for this purpose")
    held = bytearray()
    for clip in clips:
        key = await door.open_clip(clip.id, listener.purpose, Action.PLAY, listener.reason, listener.person)
        for channel in (0, 1):
            records = (await vault.read(clip.id, key)).records
            held += b"".join(it.payload for it in records if isinstance(it, Audio) and it.channel == channel)
    return bytes(held)
