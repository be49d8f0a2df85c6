"""A running installation: `doelband serve` with all its child processes, and a PBX, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from demo import listening
from demo.__main__ import media_range
from demo.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    DOCTOR,
    HOME,
    PREFIX,
    Answer,
    Installation,
    until,
)
from demo.phone import free_port
from demo.telephony import pbx
from recorder import control, presence
from recorder.service import places
from storage.signing import create_key, public_bytes, public_text
from tests.commands import doelband

__all__ = ["AGENT", "BUSINESS_NUMBER", "CUSTOMER", "DOCTOR", "HOME", "PREFIX"]

LOCAL = ("127.0.0.1", "127.0.0.1")
COLLEAGUE = "203"
AGENTS = ("204", "205", "206")
CLIENT = "+31611223344"
SPECIALIST = "+31201112233"
FORWARDED = "+31611223355"
UNLISTED = "230"
PATIENCE_SECONDS = 40.0

USERS = (AGENT, COLLEAGUE, *AGENTS, UNLISTED, DOCTOR, CUSTOMER, CLIENT, HOME, SPECIALIST, FORWARDED)
"""Who has an account at the PBX. AGENT and COLLEAGUE are extensions of the one enrolled agent; DOCTOR and
SPECIALIST are excluded, one inside and one outside.
"""

LISTENERS = {"coaching": "anna", "assessment": "bert"}
"""Who may listen, for each purpose."""

CLIPS = """SELECT clip.id AS clip, recording, part, previous, state, ending
    FROM clip JOIN recording ON recording = recording.id WHERE purpose = ? ORDER BY opened_at DESC"""

WRITTEN = {
    'purposes = ["coaching"]': 'purposes = ["coaching", "assessment"]',
    f'extensions = ["{AGENT}"]': f'extensions = ["{AGENT}", "{COLLEAGUE}"]',
    f'numbers = ["{DOCTOR}"]': f'numbers = ["{DOCTOR}", "{SPECIALIST}"]',
}
"""What this installation has otherwise than the demo's."""


class Recorder(Installation):
    """One installation in `directory`, at `address`. `otherwise`: more replacements in its configuration.

    `hosts`: where phones and PBX are, 127.0.0.1 or ::1.
    """

    def __init__(
        self, directory: Path, otherwise: Mapping[str, str] | None = None, hosts: tuple[str, str] = LOCAL
    ) -> None:
        super().__init__(directory)
        self.wrapper: tuple[str, ...] = ()  # a command that runs the service, such as setpriv
        self.hosts = hosts
        self.address = (hosts[0], free_port())
        self.pbx_port = free_port()
        self._returned: set[str] = set()
        self.configure(self.address[1], self.pbx_port, media_range(self.address[1], self.pbx_port))
        text = _on(hosts, self.config.read_text(encoding="utf-8"))
        for old, new in {**WRITTEN, **(otherwise or {})}.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")

    def set_up(self) -> None:
        """Make the keys and let management say who may listen."""
        council, management = (str(self.keygen(name)) for name in ("council", "management"))
        self.tell("setup", "--council", f"{council}.pub", "--management", f"{management}.pub")
        end = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
        grants = [
            ("grant", "add", person, "--purpose", purpose, "--until", end, "--key", management)
            for purpose, person in LISTENERS.items()
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda grant: self.tell(*grant), grants))

    def ask(self, *arguments: str) -> Answer:
        """As there, without the second that a command takes to load."""
        left = doelband(*arguments, "--config", str(self.config), "--json")
        return Answer(left.status, left.value if left.out.strip() else None, left.err.strip())

    def keygen(self, name: str) -> Path:
        """A key pair as `doelband keygen` makes it, without the half second that the command takes."""
        path = self.directory / f"{name}.key"
        public = public_text(public_bytes(create_key(path)))
        path.with_name(f"{name}.key.pub").write_text(public + "\n", encoding="ascii")
        return path

    def start(self) -> None:
        """Start the service and wait until everything runs. Its temporary files go into `directory` too."""
        self._service = self.spawn("serve", "--config", str(self.config))
        until(self.is_ready, bool, PATIENCE_SECONDS)

    def spawn(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `doelband …`, which writes to the log."""
        temporary = self.directory / "temporary"
        temporary.mkdir(exist_ok=True)
        command = [*self.wrapper, str(Path(sys.executable).with_name("doelband")), *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": str(temporary), **environment},
            )

    def is_ready(self) -> bool:
        """Whether all processes run and know each other."""
        signalling = self.answer("signalling", "status")
        return (
            all(self.pids().values())
            and bool(signalling.get("media_connected") and signalling.get("capture_connected"))
            and (self.directory / "run" / "keys.sock").exists()
        )

    def sign(self) -> None:
        """The works council approves, and the running service has seen it."""
        self.tell("scheme", "sign", "--key", str(self.directory / "council.key"))
        until(lambda: self.answer("signalling", "status").get("recording"), bool, PATIENCE_SECONDS)

    def answer(self, process: str, question: str) -> dict[str, Any]:
        """What a running process answers; nothing while it does not run."""
        path = self.directory / "run" / f"{process}.sock"
        try:
            return asyncio.run(control.ask(path, {"op": question}))
        except control.NotRunning:
            return {}

    def pids(self) -> dict[str, int | None]:
        """Every process by its name, the supervisor too; None for one that is starting. "relay": the one that
        has the calls, whichever of the children it is.
        """
        status = self.answer("supervisor", "status")
        processes = {it["name"]: it["pid"] for it in status.get("processes", [])}
        relay = presence.holder(places.presence(self.directory / "run", "relay-0"))
        return {"supervisor": status.get("pid"), "relay": relay, **processes}

    def clips(self, purpose: str = "coaching") -> list[dict[str, Any]]:
        """The catalogue's clips of a purpose, the newest first; read by ourselves, since tests ask often."""
        place = f"file:{self.directory / 'storage' / 'catalogue.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(CLIPS, (purpose,))]

    def next_clip(self) -> str:
        """Wait for the next coaching clip that this has not returned yet, sealed; returns its identifier."""

        def fresh() -> list[str]:
            found = [it["clip"] for it in self.clips() if it["state"] == "sealed"]
            return [it for it in found if it not in self._returned]

        clip = until(fresh, bool, PATIENCE_SECONDS)[0]
        self._returned.add(clip)
        return clip

    def sealed(self, count: int, purpose: str = "coaching") -> list[dict[str, Any]]:
        """Wait until there are so many clips of a purpose, all sealed."""
        return until(
            lambda: self.clips(purpose),
            lambda it: len(it) == count and all(clip["state"] == "sealed" for clip in it),
            PATIENCE_SECONDS,
        )

    def export(self, clip: str, purpose: str = "coaching") -> tuple[listening.Samples, listening.Samples]:
        """Export a clip as its listener would; returns agent and outside party, (n,) each."""
        file = self.directory / f"{clip}.wav"
        self.tell("clips", "export", clip, str(file), *self.listener(purpose))
        samples = listening.legs(file)
        file.unlink()
        return samples

    def listener(self, purpose: str) -> list[str]:
        """The words in which somebody who may listens for this purpose."""
        return ["--as", LISTENERS[purpose], "--purpose", purpose, "--reason", "an end-to-end test"]


def _on(hosts: tuple[str, str], text: str) -> str:
    """The configuration for phones and PBX at these addresses."""
    if hosts == LOCAL:
        return text
    listener, pbx, rest = text.partition("[pbx]")[0], *text.partition("[pbx]")[1:]
    listener = listener.replace("127.0.0.1", hosts[0])
    if hosts[0] != hosts[1]:
        second = listener[listener.index("[[listeners]]") :].replace(hosts[0], hosts[1])
        listener = listener.replace("both", "phones") + second.replace("both", "pbx")
    rest = rest.replace("127.0.0.1", hosts[1], 1)
    bound = {"127.0.0.1": 'address = "127.0.0.1"', "::1": 'address6 = "::1"'}
    media = "\n".join(bound[it] for it in sorted(set(hosts)))
    return listener + pbx + rest.replace('[media]\naddress = "127.0.0.1"', f"[media]\n{media}")


def running(
    directory: Path,
    otherwise: Mapping[str, str] | None = None,
    signed: bool = True,
    hosts: tuple[str, str] = LOCAL,
) -> contextlib.AbstractContextManager[Recorder]:
    """An installation that is set up, serves, has its PBX beside it and, if `signed`, may record."""
    return serving(Recorder(directory, otherwise, hosts), signed)


R = TypeVar("R", bound=Recorder)


@contextlib.contextmanager
def serving(recorder: R, signed: bool = True, exchange: bool = True) -> Iterator[R]:
    """As `running`, for one that is not set up yet. Without an `exchange` somebody else brings the PBX."""
    recorder.set_up()
    with contextlib.ExitStack() as stack:
        if exchange:
            own = stack.enter_context(pbx(recorder.pbx_port, USERS, recorder.hosts[1]))
            own.numbers = {**own.numbers, PREFIX + HOME: HOME}  # should the prefix not be stripped
        try:
            recorder.start()
            if signed:
                recorder.sign()
            yield recorder
        except Exception as error:
            error.add_note(recorder.log.read_text(encoding="utf-8")[-4000:])
            raise
        finally:
            recorder.stop()
