"""Where scenarios are played: a PBX with what stands before it, and the phones of one scenario."""

from __future__ import annotations

import asyncio
import audioop
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from demo.phone import Phone as PyvoipPhone
from demo.phone import free_port
from tests.end_to_end.interop.handset import BaresipHandset, Handset, LinphoneHandset, PyvoipHandset
from tests.end_to_end.peers import scripted
from tests.end_to_end.peers.baresip import Baresip
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.linphone import Linphone
from tests.end_to_end.peers.sipp import Codec, Sipp
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_tcp_port

Address = tuple[str, int]
Transport = Literal["udp", "tcp", "tls"]
Doors = Mapping[Transport, Address]

PASSWORD = "pbx-password"
DOMAIN = "pbx.example"
TRUSTED = r"1[0-9][0-9][5-9]|[+]31610[0-9]+[5-9]"
"""Whose calls the PBX does not challenge: those of phones that could not answer it."""

ACCOUNTS = r"1[0-9][0-9][0-9]|250|[+]31[0-9]+"
AT_ONCE = 4
SECONDS = 2.0
TIMES, SIPP_TIMES = 40, 2
"""A phone says its voice over and over, so that who comes late hears it too; sipp hangs up after the last."""


@dataclass(frozen=True, slots=True)
class Site:
    """A PBX, and by which door phones reach it: the proxy's, or its own."""

    pbx: Kamailio
    doors: Doors
    authority: Authority
    folder: Path


@dataclass(slots=True)
class Stage:
    """The phones of scenario number `index`. They leave when `exits` is closed."""

    site: Site
    index: int
    exits: contextlib.AsyncExitStack
    phones: int = 0
    handsets: list[Handset] = field(default_factory=list)

    @property
    def pbx(self) -> Kamailio:
        return self.site.pbx

    def inside(self, last: int) -> str:
        """An extension of this scenario alone, by its last digit: from 5 on its calls go unchallenged."""
        return f"1{self.index:02}{last}"

    def outside(self, last: int) -> str:
        """A number outside, likewise."""
        return f"+31610{self.index:03}00{last}"

    def voice(self) -> NDArray[np.int16]:
        """Noise that no other phone makes."""
        seed = self.index * 10 + self.phones
        return np.random.default_rng(seed).normal(0, 4000, int(SECONDS * 8000)).astype(np.int16)

    def folder(self, kind: str) -> Path:
        self.phones += 1
        return self.site.folder / f"{self.index:02}-{self.phones}-{kind}"

    async def phone(
        self, kind: str, number: str, transport: Transport = "udp", password: str = PASSWORD
    ) -> Handset:
        """A phone of this make, registered. RuntimeError: refused, with the status."""
        match kind:
            case "baresip":
                return await self.baresip(number, transport, password)
            case "linphone":
                return await self.linphone(number, transport, password)
            case "pyVoIP":
                return await self.pyvoip(number)
        raise ValueError(kind)

    async def baresip(
        self,
        number: str,
        transport: Transport = "udp",
        password: str = PASSWORD,
        dtmf: Literal["rtpevent", "info"] = "rtpevent",
    ) -> BaresipHandset:
        voice = self.voice()
        said = np.tile(voice, TIMES)
        phone = Baresip(self.folder("baresip"), self.site.doors[transport], number, said)
        phone.password, phone.domain, phone.answers, phone.dtmf = password, DOMAIN, False, dtmf
        phone.codecs = "PCMA", "PCMU"
        phone.transport, phone.ca = transport, self.site.authority.certificate
        if transport != "udp":
            phone.port = free_tcp_port()
        await self.exits.enter_async_context(phone)
        await _registered(phone.sees, "REGISTER_OK", "REGISTER_FAIL")
        handset = BaresipHandset(phone, voice)
        self.handsets.append(handset)
        return handset

    async def linphone(
        self, number: str, transport: Transport = "udp", password: str = PASSWORD
    ) -> LinphoneHandset:
        door, voice = self.site.doors[transport], self.voice()
        said = np.tile(voice, TIMES)
        phone = Linphone(self.folder("linphone"), door, number, password, said, DOMAIN, transport)
        phone.ca = self.site.authority.certificate
        await self.exits.enter_async_context(phone)
        if not phone.is_registered:
            raise RuntimeError(f"{number} was refused")
        handset = LinphoneHandset(phone, voice)
        self.handsets.append(handset)
        return handset

    async def pyvoip(self, number: str) -> PyvoipHandset:
        voice = self.voice()
        self.phones += 1
        speech = audioop.lin2ulaw(np.tile(voice, TIMES).tobytes(), 2)
        phone = PyvoipPhone(number, PASSWORD, self.site.doors["udp"], speech)
        await asyncio.to_thread(phone.__enter__)
        self.exits.push_async_callback(asyncio.to_thread, phone.__exit__, None, None, None)
        return PyvoipHandset(phone, voice, lambda ulaw: np.frombuffer(audioop.ulaw2lin(ulaw, 2), np.int16))

    def sipp(
        self, number: str, transport: Literal["udp", "tcp"] = "udp", codec: Codec = "PCMA"
    ) -> tuple[Sipp, NDArray[np.int16]]:
        """A sipp phone, not registered yet, and its voice."""
        voice = self.voice()
        encode = audioop.lin2alaw if codec == "PCMA" else audioop.lin2ulaw
        speech = encode(np.tile(voice, SIPP_TIMES).tobytes(), 2)
        port = free_port() if transport == "udp" else free_tcp_port()
        door = self.site.doors[transport]
        return Sipp(self.folder("sipp"), door, number, speech, codec, transport, port), voice

    async def scripted(self, number: str) -> scripted.Phone:
        phone = scripted.Phone(number, PASSWORD, self.site.doors["udp"])
        return await self.exits.enter_async_context(phone)


async def _registered(sees: Callable[[str], Awaitable[str]], good: str, bad: str) -> None:
    """Which of the two a phone sees first. RuntimeError: the bad one."""
    tasks = [asyncio.ensure_future(sees(kind)) for kind in (good, bad)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if tasks[1] in done:
        raise RuntimeError(tasks[1].result())
    tasks[0].result()
