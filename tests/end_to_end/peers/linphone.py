"""linphone (Debian's linphone-cli) as a phone without sound card: speaks a WAV file and writes what it hears.

Its console program is steered by lines of text, and what it does is read from the lines that it prints. In
dialogs it names itself by a GRUU (RFC 5627) if the registrar hands one out.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from demo.phone import free_port
from tests.end_to_end.peers.processes import PATIENCE_SECONDS, stop, until

Address = tuple[str, int]

CONFIG = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
media_encryption={encryption}
media_encryption_mandatory={mandatory}
srtp_crypto_suites={suite}
auto_net_state_mon=0
register_only_when_network_is_up=0
verify_server_certs=1
verify_server_cn=1
root_ca={ca}
[net]
firewall_policy=0
[video]
automatically_initiate=0
automatically_accept=0
[rtp]
audio_rtp_port={media}
bind_address={here}
[proxy_0]
reg_proxy=<sip:{host}:{port};transport={transport}>
reg_route=<sip:{host}:{port};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
[auth_info_0]
username={user}
passwd={password}
realm={domain}
"""
PROMPT = "linphonec> "
MEMORY = Path("/dev/shm")
"""For its database: some hundred synchronous writes at every start take seconds on a disk that is busy."""

G711 = ("PCMU", "PCMA")

REGISTERED = b"to [LinphoneRegistrationOk]"
NEWS = {
    "refused": r"Password for \S+ on (\S+):",  # it wants another one
    "incoming": r"Receiving new incoming call from (.*), assigned",
    "ringing": r"Call \d+ to \S+ ringing",
    "talking": r"Media streams established with \S+ for call (\d+)",
    "held": r"Call (\d+) with \S+ is now paused",
    "held by other": r"Call (\d+) has been paused by",
    "closed": r"Call \d+ with \S+ (?:ended|error)\s*\(?(.*?)\)?\.\s",
    "message": r"Message received from \S+ : (.*)",
}


def missing() -> str:
    """Why linphone cannot be used here; empty when it can."""
    return "" if shutil.which("linphonec") else "linphone is not installed (Debian: linphone-cli)"


@dataclass(slots=True)
class Linphone:
    """One phone as a context: `user` of `domain`, its files in the new `folder`.

    `server`: its outbound proxy. `speech`: samples (n,), int16, 8,000 a second. Over TLS the server's
    certificate is of `ca`. With a `suite` (RFC 4568, RFC 6188) it speaks under that alone. Inside,
    `is_registered` says whether the password was taken.
    """

    folder: Path
    server: Address
    user: str
    password: str
    speech: NDArray[np.int16]
    domain: str = "pbx.example"
    transport: Literal["udp", "tcp", "tls"] = "udp"
    ca: Path | None = None
    suite: str = ""
    codecs: tuple[str, ...] = G711
    is_registered: bool = False
    media_port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None
    _read: int = 0
    _home: Path = Path()

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True)
        home = self._make_home()
        soundfile.write(self.folder / "speech.wav", self.speech, 8000, subtype="PCM_16")
        config = self.folder / "linphonerc"
        config.write_text(
            CONFIG.format(
                ca=self.ca or "",
                encryption="srtp" if self.suite else "none",
                mandatory=int(bool(self.suite)),
                suite=self.suite,
                media=self.media_port,
                here=self.server[0],
                host=self.server[0],
                port=self.server[1],
                transport=self.transport,
                user=self.user,
                domain=self.domain,
                password=self.password,
            )
        )
        with (self.folder / "screen.log").open("wb") as screen:
            self._process = await asyncio.create_subprocess_exec(
                *("linphonec", "-c", str(config), "-d", "6", "-l", str(self.folder / "debug.log")),
                cwd=self.folder,
                stdout=screen,
                stderr=screen,
                stdin=asyncio.subprocess.PIPE,
                env={**os.environ, "HOME": home},
            )
        self.is_registered = await self._registers()
        if self.is_registered:
            await self._prepare()
        return self

    def _make_home(self) -> str:
        home = tempfile.mkdtemp(prefix="linphone", dir=MEMORY if MEMORY.is_dir() else None)
        self._home = Path(home)
        (self._home / ".local" / "share" / "linphone").mkdir(parents=True)
        return home

    async def _prepare(self) -> None:
        for command in (
            "soundcard use files",
            f"play {self.folder}/speech.wav",
            f"record {self.folder}/heard.wav",
            "codec disable all",
        ):
            await self.tell(command)
        for codec in self.codecs:
            number = re.search(rf"^ *(\d+): {re.escape(codec)} \(", self._screen(), re.MULTILINE)
            assert number, f"this linphone has no {codec}"
            await self.tell(f"codec enable {number[1]}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            await stop(self._process)
        shutil.rmtree(self._home)

    async def tell(self, command: str) -> None:
        """A line of its console. It loses lines that come before it has done with the one before."""
        await until(lambda: PROMPT in self._screen(), PATIENCE_SECONDS)
        prompts = self._screen().count(PROMPT)
        self._write(command)
        await until(lambda: self._screen().count(PROMPT) > prompts, PATIENCE_SECONDS)

    def _write(self, text: str) -> None:
        assert self._process is not None, "use it as a context"
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    async def sees(self, kind: str) -> str:
        """Wait for the next news of this kind after the last one seen; returns what it says besides."""
        wanted = re.compile(NEWS[kind])

        def found() -> re.Match[str] | None:
            return wanted.search(self._screen(), self._read)

        try:
            await until(lambda: found() is not None, PATIENCE_SECONDS)
        except TimeoutError as error:
            error.add_note(f"{self.user} did not see {kind}")
            raise
        match = found()
        assert match is not None
        self._read = match.end()
        return match[1] if match.re.groups else ""

    def story(self) -> str:
        """The end of its screen."""
        return f"linphone {self.user}: {self._screen()[-2000:]}"

    async def _registers(self) -> bool:
        """Wait until it is, or wants another password. The screen shows only the latter."""
        log, wanted = self.folder / "debug.log", re.compile(NEWS["refused"])

        def decided() -> bool:
            return wanted.search(self._screen()) is not None or REGISTERED in log.read_bytes()

        await until(lambda: log.exists() and decided(), PATIENCE_SECONDS)
        return REGISTERED in log.read_bytes()

    async def dial(self, number: str) -> None:
        """Begin a call."""
        await self.tell(f"call sip:{number}@{self.domain}")

    async def has_heard(self, seconds: float) -> None:
        """Wait until so much sound has come."""
        file = self.folder / "heard.wav"
        size = 2 * round(8000 * seconds)
        await until(lambda: file.exists() and file.stat().st_size > size, PATIENCE_SECONDS)

    async def transfer(self, number: str) -> None:
        """Blind: the other party is sent to this number."""
        await self.tell(f"transfer sip:{number}@{self.domain}")

    def _screen(self) -> str:
        return (self.folder / "screen.log").read_text(encoding="utf-8", errors="replace")
