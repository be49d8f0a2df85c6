"""Debian's Kamailio as the PBX: a registrar that checks digests, and a proxy that stays in every dialog.

Its configuration is kamailio.cfg, filled in here. It is asked over the JSON-RPC of its `jsonrpcs` module,
whose socket lies in its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.phone import free_port
from sip_hooks.address import host
from tests.end_to_end.peers.processes import PATIENCE_SECONDS, listening, stop
from tests.fakes.certificates import Credentials
from tests.fakes.ports import free_tcp_port

Address = tuple[str, int]

MODULES = "kamailio/modules"
SCHEMAS, TABLES = (
    Path("/usr/share/kamailio/dbtext/kamailio"),
    ("version", "presentity", "active_watchers", "watchers", "pua"),
)
"""What its presence has to find, although it keeps everything in memory."""
TLS = """\
loadmodule "tls.so"
modparam("tls", "certificate", "{}")
modparam("tls", "private_key", "{}")
modparam("tls", "tls_method", "TLSv1.2+")
"""
MUTUAL = """\
modparam("tls", "ca_list", "{}")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
"""


def modules() -> Path:
    """Where Debian keeps them, whatever the architecture."""
    found = sorted(Path("/usr/lib").glob(f"*/{MODULES}/tm.so"))
    return found[0].parent if found else Path("/usr/lib") / MODULES


def missing() -> str:
    """Why Kamailio cannot be used here; empty when it can."""
    if shutil.which("kamailio") is None:
        return "kamailio is not installed (Debian: kamailio)"
    for module, package in (("tls.so", "kamailio-tls-modules"), ("presence.so", "kamailio-presence-modules")):
        if not (modules() / module).exists():
            return f"Kamailio's {module} is not installed (Debian: {package})"
    return ""


@dataclass(slots=True)
class Kamailio:
    """One Kamailio as a context, its files in the new `folder`.

    `accounts`: a regular expression for whom it knows; each has `password`. `numbers`: dialled → account.
    UDP and TCP are at `address`, TLS at `tls` once there are `credentials`. INVITE and MESSAGE
    need credentials too, but for those whom the regular expression `trusted` names. `ringing_seconds`: after
    so long without an answer it says 408. Without `knows_path` it goes by Contacts alone. With `compares_uri`
    a digest's uri has to be the Request-URI. With an `authority` only who shows a certificate of it may
    connect over TLS; those are proxies and no phones, and their connections are used as RFC 5923 says.
    If it `tells_dialogs`, one may subscribe to them (RFC 4235).
    """

    folder: Path
    accounts: str
    password: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    address: Address = field(default_factory=lambda: ("127.0.0.1", free_port()))
    tls: Address = field(default_factory=lambda: ("127.0.0.1", free_tcp_port()))
    credentials: Credentials | None = None
    authority: Path | None = None
    trusted: str = ".*"
    knows_path: bool = True
    compares_uri: bool = False
    realm: str = "pbx.example"
    ringing_seconds: float = 30
    tells_dialogs: bool = False
    workers: int = 2
    verbosity: int = 0
    _process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True)
        config = self.folder / "kamailio.cfg"
        config.write_text(self._configuration(), encoding="utf-8")
        if self.tells_dialogs:
            tables = self.folder / "tables"
            tables.mkdir()
            for name in TABLES:
                shutil.copy(SCHEMAS / name, tables)
        command = ["kamailio", "-DD", "-E", "-f", str(config), "-Y", str(self.folder), "-m", "32", "-M", "8"]
        command += ["-A", "TELLS_DIALOGS"] if self.tells_dialogs else []
        with (self.folder / "kamailio.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
            )
        try:
            await listening(self.address[1], self._process, self.address[0], "tcp")
            await self._answers()
        except BaseException as error:
            await self.__aexit__(None, None, None)
            error.add_note(self.log())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            await stop(self._process)

    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / "kamailio.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    async def ask(self, method: str, *parameters: object) -> Any:
        """The result of one remote procedure, for example `ul.dump`. RuntimeError: it was refused."""
        answer = await asyncio.to_thread(self._ask, method, parameters)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def contacts(self, user: str) -> list[str]:
        """The Contact URIs that are registered for an account."""
        try:
            found = await self.ask("ul.lookup", "location", user)
        except RuntimeError:  # nobody
            return []
        return [it["Contact"]["Address"] for it in found["Contacts"]]

    async def forgets(self, user: str) -> None:
        """Wait until nothing is registered for an account."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if not await self.contacts(user):
                    return
                await asyncio.sleep(0.05)

    async def options(self, uri: str) -> int:
        """Qualify a contact as a PBX does: the status of the answer to an OPTIONS that it sends there."""
        lines = f"From: <sip:pbx@{self.realm}>;tag=qualify\r\nTo: <{uri}>\r\n"
        answer = await self.ask("tm.t_uac_wait_block", "OPTIONS", uri, ".", ".", lines, "")
        return int(answer["code"])

    def _ask(self, method: str, parameters: tuple[object, ...]) -> dict[str, Any]:
        question = {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": 1}
        own = self.folder / f"ask{id(question)}.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(own))
            channel.settimeout(PATIENCE_SECONDS)
            try:
                channel.sendto(json.dumps(question).encode(), str(self.folder / "rpc.sock"))
                answer: dict[str, Any] = json.loads(channel.recv(1 << 20))
            finally:
                own.unlink()
        return answer

    async def _answers(self) -> None:
        """It listens before its workers are there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(OSError):
                    await self.ask("core.uptime")
                    return
                await asyncio.sleep(0.02)

    def _configuration(self) -> str:
        text = Path(__file__).with_name("kamailio.cfg").read_text(encoding="utf-8")
        places = [f"{over}:{host(self.address[0])}:{self.address[1]}" for over in ("udp", "tcp")]
        if self.credentials is not None:
            places.append(f"tls:{host(self.tls[0])}:{self.tls[1]}")
            places[-1] += "\nenable_tls=yes"
        if self.authority is not None:
            places[-1] += "\ntcp_accept_aliases=yes"
        certificate = self.credentials and (self.credentials.certificate, self.credentials.private_key)
        filled = {
            "WORKERS": self.workers,
            "VERBOSITY": self.verbosity,
            "LISTENERS": "\n".join(f"listen={place}" for place in places),
            "MODULES": modules(),
            "TLS": (TLS.format(*certificate) if certificate else "")
            + (MUTUAL.format(self.authority) if self.authority else ""),
            "PHONES": "1 == 0" if self.authority else "1 == 1",
            "FOLDER": self.folder,
            "RINGING_MS": int(self.ringing_seconds * 1000),
            "REALM": self.realm,
            "PLACE": f"{host(self.address[0])}:{self.address[1]}",
            "PASSWORD": self.password,
            "TRUSTED": self.trusted,
            "PATH": int(self.knows_path),
            "COMPARED": "1 == 1" if self.compares_uri else "1 == 0",
            "ACCOUNTS": self.accounts,
            "NUMBERS": "\n".join(
                f'\tif ($rU == "{dialled}") $rU = "{user}";' for dialled, user in self.numbers.items()
            ),
        }
        for name, value in filled.items():
            text = text.replace(f"@{name}@", str(value))
        return text
