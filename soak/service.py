"""The service under soak: a whole installation on loopback, its processes by name, and how to kill them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from demo.installation import until
from demo.registrar import Registrar
from demo.telephony import pbx
from recorder.relay.client import MediaClient
from soak.verdict import Kind
from tests.end_to_end.installation import PATIENCE_SECONDS, Recorder
from tests.end_to_end.peers import processes

MEDIA_PORTS = 5000
"""How many an installation has. Ports rest 30 s before they are used again."""
FIRST_PORT = 10_000
"""Below those that Linux draws for clients."""
_OTHERS = 10  # of an installation's ports are for SIP
SOCKETS = 4
"""Of one call."""

T = TypeVar("T")

_MICROSECONDS = 1e6 / os.sysconf("SC_CLK_TCK")
_ROWS = "SELECT id, state, sha256 FROM clip"


@dataclass(frozen=True, slots=True)
class Usage:
    """One process now: anonymous memory in KiB, descriptors, CPU seconds since it began."""

    pid: int
    memory: int
    descriptors: int
    cpu: float


Life = tuple[int, int]
"""A process: its id, which is given again one day, and when it began, in clock ticks."""


class Service(Recorder):
    """One installation with many media ports and a commit horizon of so many seconds."""

    def __init__(
        self, directory: Path, horizon: float, first_port: int, otherwise: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(directory)
        sip_port, self.pbx_port = first_port, first_port + 2  # nobody else draws these
        self.address = (self.address[0], sip_port)
        self.configure(sip_port, self.pbx_port, (first_port + _OTHERS, first_port + MEDIA_PORTS - 1))
        text, count = re.subn(
            r'ports = "\d+-\d+"',
            f'\\g<0>\nhorizon = "{int(horizon * 1000)} ms"',
            self.config.read_text(encoding="utf-8"),
        )
        assert count == 1
        for old, new in (otherwise or {}).items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")

    def kill(self, kind: Kind) -> dict[str, Life]:
        """SIGKILL one process, or all of them at once; returns the processes that are gone, by name."""
        pids = self.pids()
        names = list(pids) if kind == "everything" else [kind]
        gone = {name: life for name in names if (life := _life(pids[name])) is not None}
        for pid, _ in gone.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind == "everything" and self._service is not None:
            self._service.wait()
        return gone

    def missing(self, gone: Mapping[str, Life]) -> list[str]:
        """What is not yet as it must be: everything runs, nothing of `gone` does, and it may record."""
        pids = self.pids()
        status = self.answer("signalling", "status")
        found = [f"{name} is the old one" for name, life in gone.items() if _life(pids[name]) == life]
        found += [f"no {name}" for name, pid in pids.items() if pid is None]
        if not self.is_ready():
            found.append("not ready")
        if not status.get("recording"):
            found.append(f"not recording: {status}")
        return found

    def rows(self) -> dict[str, tuple[str, str | None]]:
        """State and SHA-256 of every clip in the catalogue."""
        place = f"file:{self.directory / 'storage' / 'catalogue.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=15)) as database:
            return {clip: (state, sha256) for clip, state, sha256 in database.execute(_ROWS)}

    def unsealed(self) -> dict[str, str]:
        """The state of every clip that is not sealed."""
        return {clip: state for clip, (state, _) in self.rows().items() if state != "sealed"}

    def findings(self) -> list[str]:
        """What `doelband fsck` finds; also when it cannot look."""
        answer = self.ask("fsck")
        return [] if answer.status == 0 else [f"fsck, {answer.status}: {answer.value or answer.complaint}"]

    async def media_calls(self) -> int:
        """How many calls the media broker holds."""
        return (await self.media())[0]

    async def is_relaying(self) -> bool:
        """Whether there is a relay worker, and it answers."""
        workers = (await self.media())[1]
        return bool(workers) and all(it["answers"] for it in workers)

    async def media(self) -> tuple[int, list[dict[str, object]]]:
        """How many calls the media broker holds, and what the relay workers say of themselves."""
        client = MediaClient(self.directory / "run" / "media.sock")
        try:
            await processes.until(lambda: client.is_up)
            return len(await client.table()), await client.stats()
        finally:
            client.shut()

    def usage(self) -> dict[str, Usage]:
        """Every running process by name, of the relays the one that has the calls."""
        pids = {name: pid for name, pid in self.pids().items() if not name.startswith("relay-")}
        found = {name: _usage(pid) for name, pid in pids.items() if pid is not None}
        return {name: usage for name, usage in found.items() if usage is not None}


def _life(pid: int | None) -> Life | None:
    """None when there is no such process any more."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return None if pid is None else (pid, int(_stat(pid)[19]))
    return None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _usage(pid: int) -> Usage | None:
    """None when it has ended; one that was killed has lost its memory before its number."""
    place = Path(f"/proc/{pid}")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        memory = re.findall(r"RssAnon:\s+(\d+)", (place / "status").read_text(encoding="utf-8"))
        fields, descriptors = _stat(pid), len(list((place / "fd").iterdir()))
        if memory:
            seconds = (int(fields[11]) + int(fields[12])) * _MICROSECONDS / 1e6
            return Usage(pid, int(memory[0]), descriptors, seconds)
    return None


@contextlib.contextmanager
def serving(
    directory: Path,
    horizon: float,
    first_port: int = FIRST_PORT,
    otherwise: Mapping[str, str] | None = None,
) -> Iterator[tuple[Service, Registrar]]:
    """A set-up installation whose scheme is signed, and its PBX. `otherwise`: replacements in its file."""
    service = Service(directory, horizon, first_port, otherwise)
    service.set_up()
    with pbx(service.pbx_port) as exchange:
        try:
            service.start()
            service.sign()
            yield service, exchange
        except Exception as error:
            error.add_note(service.log.read_text(encoding="utf-8")[-4000:])
            raise
        finally:
            service.stop()


async def eventually(look: Callable[[], T], is_it: Callable[[T], bool] = bool) -> None:
    """Wait in a thread until something is so, while the phones go on talking. Raises DemoError."""
    await asyncio.to_thread(until, look, is_it, PATIENCE_SECONDS)
