"""baresip (Debian's baresip-core) as a phone without sound card: speaks a WAV file and writes what it hears.

It is steered over its ctrl_tcp module: JSON in netstrings, commands in, answers and events out. Its terminal
module is left out, so that it runs without one.

baresip 1.1.0 dies (SIGSEGV) when a sound is over before it began: the thread that plays to a file says
itself that it runs, so whoever ends the sound before that thread had its first turn does not wait for it,
and it plays from memory that is freed. On a busy machine that befell ring tones, when a call was answered
at once, and early media, when the 180 came after the first RTP. Hence it finds no tones, a call should be
answered only when its caller has seen that it rings, and should be heard before it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from demo.phone import free_port
from sip_hooks.address import family_of, host
from tests.end_to_end.peers.processes import PATIENCE_SECONDS, listening, stop, until

Address = tuple[str, int]

CONFIG = """\
poll_method epoll
sip_listen {here}:{port}
net_interface {interface}
ctrl_tcp_listen 127.0.0.1:{control}
audio_source aufile,{folder}/speech.wav
audio_player aufile,{folder}/heard.wav
audio_path {folder}/tones
rtp_ports {media}-{last_media}
sip_cafile {ca}
sip_verify_server yes
module_path {modules}
ausrc_srate {rate}
ausrc_channels 1
auplay_srate {plays}
auplay_channels 1
module g711.so
module g722.so
module opus.so
module gsm.so
module amr.so
module l16.so
module srtp.so
module aufile.so
module_app menu.so
module_app ctrl_tcp.so
"""
HERE = {4: "127.0.0.1", 6: "::1"}
ACCOUNT = (
    "<sip:{user}@{place}>;auth_user={user};auth_pass={password};regint={interval};answermode={mode};"
    "audio_codecs={codecs}"
)
SILENCE_SAMPLES = 60 * 8000  # after the speech, for baresip hangs up where its file ends
MODULES = Path("/usr/lib/baresip/modules")


def missing() -> str:
    """Why baresip cannot be used here; empty when it can."""
    here = shutil.which("baresip") is not None and (MODULES / "ctrl_tcp.so").exists()
    return "" if here else "baresip is not installed (Debian: baresip-core)"


@dataclass(slots=True)
class Baresip:
    """One phone as a context: `user` at `server`, its files in the new `folder`. Its voice is `speech`.

    `speech`: samples (n,), int16, `rate` of them a second, in `codec`, or in what is agreed of `codecs`:
    names in SDP, with rate and channels unless these are 8000 and 1. With a `password` it registers; else
    call it at `port`.
    Over TLS the server's certificate is of `ca`. With a `domain` its account is there, and `server` its
    outbound proxy. Unless it `answers` by itself, it rings until it is told. `secured`: it would like SRTP
    (RFC 8643), or must have it. What it hears is written with `plays` samples a second.
    """

    folder: Path
    server: Address
    user: str
    speech: NDArray[np.int16]
    codec: str = "PCMA"
    password: str = ""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    ca: Path | None = None
    domain: str = ""
    codecs: tuple[Literal["PCMU", "PCMA"], ...] = ()
    answers: bool = True
    dtmf: Literal["rtpevent", "info"] = "rtpevent"
    rate: int = 8000
    plays: int = 8000
    secured: Literal["", "srtp", "srtp-mand"] = ""
    port: int = field(default_factory=free_port)
    media_port: int = field(default_factory=free_port)
    events: list[dict[str, Any]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    _seen: int = 0
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _writer: asyncio.StreamWriter | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __aenter__(self) -> Self:
        control = self._configure()
        with (self.folder / "screen.log").open("wb") as screen:
            self._process = await asyncio.create_subprocess_exec(
                "baresip",
                f"-{family_of(self.server[0])}",
                "-f",
                str(self.folder),
                cwd=self.folder,
                stdout=screen,
                stderr=screen,
                stdin=asyncio.subprocess.DEVNULL,
            )
        try:
            await listening(self.port, self._process, HERE[family_of(self.server[0])])
            reader, self._writer = await self._connect(control)
            self._reading = asyncio.create_task(self._read(reader))
            self._command("uanew", self._account())
            if self.answers:
                await self.event("REGISTER_OK" if self.password else "CREATE")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._process is not None:
            await stop(self._process)

    async def dial(self, number: str) -> None:
        """Call a number at the server, and return when it is answered."""
        count = len(self.events)
        self.call(number)
        await self.event("CALL_ESTABLISHED", after=count)

    def call(self, number: str) -> None:
        """Begin a call."""
        self._command("dial", f"sip:{number}@{self._home}")

    def tell(self, command: str, parameters: str = "") -> None:
        """A command of its menu: `accept`, `hangup`, `hold`, `resume`, `sndcode`."""
        self._command(command, parameters)

    def transfer(self, number: str) -> None:
        """Blind: the other party is sent to this number."""
        self._command("transfer", f"sip:{number}@{self._home}")

    async def hang_up(self) -> None:
        count = len(self.events)
        self._command("hangup")
        await self.event("CALL_CLOSED", after=count)

    async def sees(self, kind: str, **details: str) -> str:
        """Wait for the next event of this type after the last one seen; returns its parameter.

        `details`: what else it must say, for example `remoteaudiodir="sendonly"`.
        """

        def found() -> int | None:
            for index, one in enumerate(self.events[self._seen :], self._seen):
                if one["type"] == kind and all(one.get(key) == value for key, value in details.items()):
                    return index
            return None

        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._news:
                while (index := found()) is None:
                    await self._news.wait()
        except TimeoutError as error:
            error.add_note(f"{self.user} did not see {kind} after event {self._seen}")
            raise
        self._seen = index + 1
        return str(self.events[index].get("param", ""))

    def story(self) -> str:
        """All that it has told."""
        told = [f"{one['type']} {one.get('param', '')}" for one in self.events]
        ended = self._process and self._process.returncode
        return f"baresip {self.user}: {told}, {self.replies}" + (f", ended with {ended}" if ended else "")

    async def event(self, kind: str, after: int = 0) -> dict[str, Any]:
        """Wait for an event of this type among those after the first `after`."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            while not (found := [one for one in self.events[after:] if one["type"] == kind]):
                await self._news.wait()
        return found[0]

    async def has_heard(self, seconds: float) -> None:
        """Wait until that much sound has arrived in the running call, silence included."""
        file = self.folder / "heard.wav"
        await until(lambda: file.stat().st_size >= seconds * 2 * self.plays, seconds + PATIENCE_SECONDS)

    def heard(self) -> NDArray[np.int16]:
        """What arrived, as written to its WAV file: samples (n,). Complete when the call is closed."""
        samples: NDArray[np.int16] = soundfile.read(self.folder / "heard.wav", dtype="int16")[0]
        return samples

    @property
    def _home(self) -> str:
        """Where its account is, as URIs have it."""
        return self.domain or f"{host(self.server[0])}:{self.server[1]}{self._over}"

    def _account(self) -> str:
        text = ACCOUNT.format(
            user=self.user,
            place=self._home,
            password=self.password,
            interval=600 if self.password else 0,
            mode="auto" if self.answers else "manual",
            codecs=",".join(it if "/" in it else f"{it}/8000/1" for it in self.codecs or (self.codec,)),
        )
        if self.domain:
            text += f';outbound="sip:{host(self.server[0])}:{self.server[1]}{self._over}"'
        if self.secured:
            text += f";mediaenc={self.secured}"
        return f"{text};dtmfmode={self.dtmf}"

    @property
    def _over(self) -> str:
        return "" if self.transport == "udp" else f";transport={self.transport}"

    def _configure(self) -> int:
        self.folder.mkdir(parents=True)
        padded = np.append(self.speech, np.zeros(SILENCE_SAMPLES, np.int16))
        soundfile.write(self.folder / "speech.wav", padded, self.rate, subtype="PCM_16")
        control = free_port()
        here = HERE[family_of(self.server[0])]
        config = CONFIG.format(
            here=host(here),
            interface=here,
            port=self.port,
            control=control,
            folder=self.folder,
            rate=self.rate,
            plays=self.plays,
            media=self.media_port,
            last_media=self.media_port + (1 if self.answers else 9),
            modules=MODULES,
            ca=self.ca or "",
        )
        (self.folder / "config").write_text(config)
        return control

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    return await asyncio.open_connection("127.0.0.1", port)
                await asyncio.sleep(0.02)

    def _command(self, command: str, parameters: str = "") -> None:
        assert self._writer is not None, "use it as a context"
        text = json.dumps(
            {"command": command, "params": parameters, "token": f"{command} {parameters}"}
        ).encode()
        self._writer.write(b"%d:%s," % (len(text), text))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Netstrings: `length:text,`. What carries an event is kept."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                length = int((await reader.readuntil(b":"))[:-1])
                message = json.loads((await reader.readexactly(length + 1))[:-1])
                if "response" in message:
                    self.replies.append(f"{message['token']}: {message['data'].strip()}")
                if "event" in message:
                    async with self._news:
                        self.events.append(message)
                        self._news.notify_all()
