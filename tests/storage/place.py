"""An installation on the disk that can crash, with a clip to write into it."""

from __future__ import annotations

from pathlib import Path

from storage.catalog import Catalogue
from storage.inspection import Inspector, Report
from storage.keyring import Keyring, Places, PurposeKey
from storage.model import Clip
from storage.records import Audio
from storage.signing import create_key, parse_public
from storage.vault import ClipWriter, Vault
from tests.fakes.clips import DAY
from tests.fakes.clock import START, FakeClock

VOICE = bytes(range(160))


class Place:
    """An installation on the disk: keys, storage, catalogue, and the vault over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Places(root / "keys", root / "provider", root / "storage")
        self.clock = FakeClock()

    async def found(self) -> None:
        with Keyring.create(self.places, "acme", ["coaching"]) as ring:
            ring.ensure_days({"coaching": [DAY]})
            ring.publish(START)
        create_key(self.places.storage / "recorder.key")
        await self.start()

    async def start(self) -> None:
        self.catalogue = await Catalogue.open(self.places.storage / "catalogue.db")
        self.vault = await Vault.open(self.places.storage, self.catalogue, self.clock)

    async def crash(self) -> None:
        """The process is gone; its files stay as they are."""
        await self.catalogue.close()
        await self.start()

    def k2(self, clip: Clip) -> bytes:
        with Keyring.load(self.places) as ring:
            assert clip.wrap is not None
            inner = ring.unwrap_day("coaching", DAY, clip.wrap, clip.header_hash, clip.id)
        return PurposeKey.load(self.places, "coaching").unwrap(inner, clip.header_hash)

    async def inspect(self) -> Report:
        public = parse_public((self.places.storage / "recorder.key.pub").read_text())
        return await Inspector(self.catalogue, self.vault.blobs, public, self.places).inspect()

    def file(self, clip_id: str) -> Path:
        return self.places.storage / "clips" / f"{clip_id}.clip"


def speak(writer: ClipWriter, packets: int, start: int = 0) -> list[Audio]:
    spoken = [Audio(n % 2, n // 2 * 160, n // 2 * 160, 8, VOICE) for n in range(start, start + packets)]
    for record in spoken:
        writer.write(record)
    return spoken


async def only(place: Place) -> Clip:
    (clip,) = await place.catalogue.clips.find()
    return clip
