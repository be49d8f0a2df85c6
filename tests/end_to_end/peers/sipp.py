"""sipp (Debian's sip-tester) as a phone: registers, calls, answers, and plays G.711 from a capture file.

sipp plays captures through a raw socket, so it needs root. It plays to where the other side's SDP says, from
the media port that its own SDP names. What it hears it drops.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from demo.phone import free_port
from tests.end_to_end.peers.processes import PATIENCE_SECONDS, listening, stop

Address = tuple[str, int]
Codec = Literal["PCMU", "PCMA"]

PAYLOAD_TYPES: dict[Codec, int] = {"PCMU": 0, "PCMA": 8}
OVER = {"udp": "u1", "tcp": "t1"}
SILENCE: dict[Codec, bytes] = {"PCMU": b"\xff" * 2400, "PCMA": b"\xd5" * 2400}
PACKET_SAMPLES = 160
LOOPBACK = 0x7F000001


def missing() -> str:
    """Why sipp cannot be used here; empty when it can."""
    if shutil.which("sipp") is None:
        return "sipp is not installed (Debian: sip-tester)"
    return "" if os.geteuid() == 0 else "sipp plays captures through a raw socket and needs root"


def capture(payload: bytes, payload_type: int) -> bytes:
    """A pcap file of `payload` (G.711): RTP in packets of 20 ms over UDP, IPv4 and Ethernet."""
    blocks = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for index, start in enumerate(range(0, len(payload), PACKET_SAMPLES)):
        rtp = struct.pack("!BBHII", 0x80, payload_type, index & 0xFFFF, start, 0x5111F0E5)
        rtp += payload[start : start + PACKET_SAMPLES]
        udp = struct.pack("!HHHH", 4000, 4000, 8 + len(rtp), 0) + rtp
        ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, LOOPBACK, LOOPBACK)
        frame = bytes(12) + b"\x08\x00" + ip + udp
        seconds, rest = divmod(index * 20, 1000)
        blocks.append(struct.pack("<IIII", seconds, rest * 1000, len(frame), len(frame)) + frame)
    return b"".join(blocks)


class SippError(Exception):
    """sipp ended otherwise than its scenario says: what it wrote."""


@dataclass(frozen=True, slots=True)
class Sipp:
    """One sipp phone: `user` at `server`, its files in the new `folder`. Its voice is `speech`, in `codec`.

    A third of a second of silence follows the speech: a jitter buffer gives up its last words only then.
    """

    folder: Path
    server: Address
    user: str
    speech: bytes
    codec: Codec = "PCMA"
    transport: Literal["udp", "tcp"] = "udp"
    port: int = field(default_factory=free_port)
    media_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "speech.pcap").write_bytes(
            capture(self.speech + SILENCE[self.codec], PAYLOAD_TYPES[self.codec])
        )

    async def register(self, password: str) -> None:
        async with self._play("register", "-au", self.user, "-ap", password) as process:
            await self._finish(process)

    async def call(self, dialled: str) -> None:
        """Call, speak all of the speech and half a second more, hang up."""
        async with self._play("call", "-key", "dialled", dialled) as process:
            await self._finish(process)

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Inside, one call is answered and spoken into; leaving waits until the other side has hung up."""
        async with self._play("answer") as process:
            await listening(self.port, process, transport=self.transport)
            yield
            await self._finish(process)

    @asynccontextmanager
    async def _play(self, scenario: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        text = Path(__file__).with_name(f"sipp_{scenario}.xml").read_text()
        milliseconds = len(self.speech) // 8 + 500
        for name, value in (
            ("PAYLOAD_TYPE", PAYLOAD_TYPES[self.codec]),
            ("CODEC", self.codec),
            ("MILLISECONDS", milliseconds),
            ("CAPTURE", self.folder / "speech.pcap"),
        ):
            text = text.replace(f"@{name}@", str(value))
        file = self.folder / f"{scenario}.xml"
        file.write_text(text)
        command = [
            "sipp",
            "{}:{}".format(*self.server),
            "-t",
            OVER[self.transport],
            "-sf",
            str(file),
            "-key",
            "user",
            self.user,
        ]
        command += ["-i", "127.0.0.1", "-p", str(self.port), "-mi", "127.0.0.1", "-mp", str(self.media_port)]
        command += ["-m", "1", "-nostdin", "-trace_err", "-error_file", str(self.folder / "errors.log")]
        command += ["-trace_msg", "-message_file", str(self.folder / f"{scenario}.log"), *arguments]
        with (self.folder / "screen.log").open("wb") as screen:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, stdout=screen, stderr=screen, stdin=asyncio.subprocess.DEVNULL
            )
        try:
            yield process
        finally:
            await stop(process)

    async def _finish(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(len(self.speech) / 8000 + PATIENCE_SECONDS):
            status = await process.wait()
        if status != 0:
            logs = [file.read_text(errors="replace") for file in self.folder.glob("*.log")]
            raise SippError(f"{self.user} ended with {status}:\n" + "\n".join(logs))
