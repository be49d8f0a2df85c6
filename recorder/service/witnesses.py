"""The connection to the source of evidence that [trunk] names: made, kept alive, and given up when silent.

A source that says nothing is asked; one that does not answer within seconds is lost, and with it all that it
ever said. It is tried again as long as the process lives. Nothing that comes from it is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from recorder.config import Config
from recorder.config.trunk import Trunk
from recorder.evidence.ami import AmiReader
from recorder.evidence.dialogs import DialogReader
from recorder.evidence.esl import EslReader
from recorder.evidence.statements import ASK_AFTER, LOST_AFTER, Broken, Reader, Statement
from recorder.evidence.subscription import Watcher
from recorder.metrics import Sample, sample
from recorder.readiness import UNWITNESSED
from sip_hooks.digest import Login
from sip_hooks.settings import Address
from storage.errors import Unavailable

log = structlog.get_logger()

RETRY_SECONDS = 2.0
Make: TypeAlias = Callable[[Address], Reader]
"""What reads a connection; it is told our own end of it."""
Connection: TypeAlias = tuple[Address, Make]
"""Where a source is, and what reads a connection to it."""
Extensions: TypeAlias = Callable[[], tuple[str, ...]]
"""All that agents have, now."""


class Witness:
    """One source over TCP. `say` is called with each statement, `lose` whenever nothing that it said counts.

    Lives inside a running event loop. `make` makes a reader for each connection.
    """

    def __init__(
        self,
        address: Address,
        make: Make,
        say: Callable[[Statement], None],
        lose: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._address = address
        self._make = make
        self._say = say
        self._lose = lose
        self._now = now
        self._reader: Reader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.statements = 0
        self.losses = 0

    @property
    def is_up(self) -> bool:
        """Whether the source is there and lets us in."""
        return self._reader is not None and self._reader.is_ready

    def start(self) -> None:
        """Connect, and stay connected."""
        self._task = asyncio.create_task(self._stay())

    @property
    def state(self) -> str:
        """What else there is to say of it."""
        return "" if self._reader is None else self._reader.state

    def ask(self, conversation: str = "") -> None:
        """Have it said anew who speaks in this conversation; in all if none is named."""
        if self._reader is not None and self._reader.is_ready:
            self._reader.ask(self._now(), conversation)
            self._send()

    def close(self) -> None:
        """Let go."""
        if self._task is not None:
            self._task.cancel()

    async def _stay(self) -> None:
        is_missed = False
        while True:
            try:
                await self._follow()
            except Exception as error:  # whatever it is: the source is lost, and tried again
                if self.is_up or not is_missed:
                    log.error("the evidence source is not there", why=_why(error))
                is_missed = True
            finally:
                self._hang_up()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """One connection, until it ends. Raises OSError, Broken, TimeoutError."""
        async with asyncio.timeout(LOST_AFTER.total_seconds()):
            incoming, self._writer = await asyncio.open_connection(*self._address)
        self._reader = self._make(self._writer.get_extra_info("sockname")[:2])
        data, is_quiet = b"", False
        while True:
            is_ready = self.is_up
            for statement in self._reader.receive(data, self._now()):
                self.statements += 1
                self._say(statement)
            self._send()
            if self.is_up and not is_ready:
                log.info("the evidence source is there")
            data = await self._heard(incoming, is_quiet)
            is_quiet = not data

    async def _heard(self, incoming: asyncio.StreamReader, is_quiet: bool) -> bytes:
        """What comes next; nothing when nothing comes for a while. Raises ConnectionError, TimeoutError."""
        data = await _read(incoming, LOST_AFTER - ASK_AFTER if is_quiet else ASK_AFTER)
        if data is None and is_quiet:
            raise TimeoutError("it has fallen silent")
        if data is None:
            self.ask()
            return b""
        if not data:
            raise ConnectionResetError("it has closed the connection")
        return data

    def _send(self) -> None:
        if self._reader is not None and self._writer is not None and (data := self._reader.to_send()):
            self._writer.write(data)

    def _hang_up(self) -> None:
        was_up, writer = self.is_up, self._writer
        self._reader = self._writer = None
        if writer is not None:
            with contextlib.suppress(Exception):
                writer.close()
        if was_up:
            self.losses += 1
        self._lose()


class Witnesses:
    """Whatever [trunk] says: the source it names, or none."""

    def __init__(
        self,
        config: Config,
        say: Callable[[Statement], None],
        lose: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        """Raises Unavailable when a password cannot be read."""
        self._config = config
        self._evidence = config.trunk.evidence if config.trunk else None
        self._witness: Witness | None = None
        if config.trunk is not None and (connection := _MAKERS.get(config.trunk.evidence)):
            address, make = connection(config.trunk, self._extensions)
            self._witness = Witness(address, make, say, lose, now)

    def start(self) -> None:
        """Begin to ask, or say that there is nobody to be asked."""
        if self._witness is not None:
            self._witness.start()
        elif self._evidence == "none":
            log.warning("no call is recorded on the trunk side", why=UNWITNESSED[2])

    def follow(self, config: Config) -> None:
        """Other agents count from now on."""
        self._config = config

    def ask(self, conversation: str) -> None:
        """Have it said anew who speaks in this conversation."""
        if self._witness is not None:
            self._witness.ask(conversation)

    def close(self) -> None:
        """Let go."""
        if self._witness is not None:
            self._witness.close()

    def status(self) -> dict[str, Any]:
        """For `doelband status`; nothing without a trunk side."""
        if self._evidence is None:
            return {}
        state = self._witness.state if self._witness is not None else ""
        return {"evidence": self._evidence, "evidence_connected": self._is_up, "evidence_state": state}

    def samples(self) -> list[Sample]:
        """For metrics; nothing without a source."""
        if self._witness is None:
            return []
        return [
            sample("evidence_connected", self._is_up),
            sample("evidence_statements_total", self._witness.statements),
            sample("evidence_losses_total", self._witness.losses),
        ]

    def _extensions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(it for agent in self._config.agents for it in agent.extensions))

    @property
    def _is_up(self) -> bool:
        """The phones' side is here in this process; every other source has to be connected with."""
        return self._evidence == "phones" or (self._witness is not None and self._witness.is_up)


def _ami(trunk: Trunk, _: Extensions) -> Connection:
    it = trunk.ami
    assert it is not None, "the configuration has it"
    secret = _secret(it.secret_file)
    return (it.address, it.port), lambda _: AmiReader(it.user, secret, it.trunk)


def _esl(trunk: Trunk, _: Extensions) -> Connection:
    it = trunk.esl
    assert it is not None, "the configuration has it"
    password = _secret(it.password_file)
    return (it.address, it.port), lambda _: EslReader(password, it.trunk)


def _dialogs(trunk: Trunk, extensions: Extensions) -> Connection:
    it = trunk.dialogs
    assert it is not None, "the configuration has it"
    login = Login(it.user, _secret(it.password_file))

    def make(here: Address) -> Reader:
        return DialogReader(Watcher(login, it.domain, here), extensions, secrets.token_bytes)

    return (it.address, it.port), make


_MAKERS: dict[str, Callable[[Trunk, Extensions], Connection]] = {
    "ami": _ami,
    "esl": _esl,
    "dialogs": _dialogs,
}


async def _read(incoming: asyncio.StreamReader, patience: timedelta) -> bytes | None:
    """What comes next, None when nothing does; b"" at the end."""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            return await incoming.read(65_536)
    except TimeoutError:
        return None


def _secret(file: Path) -> str:
    """The first line of a file. It goes into a line of a protocol, so it is one word without line ends."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Unavailable(f"read {file}", f"{why.lower()}; the service's user has to read it") from error
    if not lines or not lines[0].strip():
        raise Unavailable(f"read {file}", "it is empty; write the password into its first line")
    return lines[0].strip()


def _why(error: Exception) -> str:
    """Our own words, or the system's; nothing of what came."""
    if isinstance(error, Broken | OSError):
        return getattr(error, "strerror", None) or str(error) or "it does not answer"
    return type(error).__name__
