"""`doelband pbx probe` beside PBXs that can do one thing and not the other."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.phone import free_port
from demo.registrar import Datagram, Message, Registrar
from recorder.config import parse
from recorder.probe import telephone, trial
from recorder.probe.findings import Seen, findings
from recorder.probe.telephone import Account
from recorder.probe.trial import Wanted, try_out
from sip_hooks.digest import Login
from storage.errors import Unavailable
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.recorder.schemes import CONFIGURATION

Address = tuple[str, int]

HOST, PASSWORD = "127.0.0.1", "pbx-password"
PREFIX = "*31"
QUESTIONS = {
    "path": "Does a call come back, with Path?",
    "contact": "Does a call come back, with our Contact?",
    "private": "May the private prefix be stripped under way?",
    "shared": "May two phones come from one address?",
    "named": "Is the phone told who calls?",
}
needs_kamailio = pytest.mark.skipif(bool(kamailio.missing()), reason=kamailio.missing() or "it is there")


def configuration(pbx: Address, more: str = "") -> str:
    """One listener beside this PBX; `more` goes into [pbx]."""
    text = CONFIGURATION.replace(
        'address = "192.0.2.10"\nport = 5060', f'address = "{HOST}"\nport = {free_port()}'
    )
    text = text.replace('address = "192.0.2.20"', f'address = "{pbx[0]}"\nport = {pbx[1]}\n{more}')
    return text.replace("192.0.2.10", HOST).replace('"*31"', f'"{PREFIX}"')


@dataclass(frozen=True, slots=True)
class Probed:
    status: int
    said: dict[str, Any]
    errors: str

    def good(self, question: str) -> bool | None:
        """Whether what was seen is good; None: not tried."""
        answers: dict[str, bool | None] = {it["question"]: it["is_good"] for it in self.said["rows"]}
        return answers[QUESTIONS[question]]


async def probed(folder: Path, text: str, *arguments: str, password: str = PASSWORD) -> Probed:
    """Run the command on a configuration; two accounts, 201 and 202, have one password."""
    config = folder / "config.toml"
    config.write_text(text, encoding="utf-8")
    variables = {"DOELBAND_PROBE_PASSWORD": password, "DOELBAND_PROBE_CALLER_PASSWORD": password}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder", "pbx", "probe", "--user", "201", "--domain", "pbx.example"),
        *("--config", str(config), "--json", *arguments),
        env=os.environ | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return Probed(process.returncode or 0, json.loads(out or b"{}"), errors.decode())


@needs_kamailio
async def test_a_pbx_that_knows_path_gets_path(tmp_path: Path) -> None:
    async with Kamailio(tmp_path / "pbx", "20[0-9]", PASSWORD, trusted="") as pbx:
        seen = await probed(tmp_path, configuration(pbx.address), "--caller", "202")
        assert (seen.status, seen.said["registration"]) == (6, "path"), seen.errors
        assert all(seen.good(it) for it in QUESTIONS)
        assert seen.said["findings"] == ['write registration = "path" into [pbx]']
        text = configuration(pbx.address, 'registration = "path"')
        assert (await probed(tmp_path, text, "--caller", "202")).status == 0
        assert await pbx.contacts("201") == [], "it has taken back what it registered"


@needs_kamailio
async def test_a_pbx_that_ignores_path_gets_our_contact(tmp_path: Path) -> None:
    async with Kamailio(tmp_path / "pbx", "20[0-9]", PASSWORD, knows_path=False) as pbx:
        seen = await probed(tmp_path, configuration(pbx.address), "--caller", "202")
        assert (seen.status, seen.said["registration"]) == (0, "contact"), seen.errors
        assert (seen.good("path"), seen.good("contact")) == (False, True)
        text = configuration(pbx.address, 'registration = "path"')
        warned = await probed(tmp_path, text)
        assert (warned.status, warned.said["findings"]) == (6, ['write registration = "contact" into [pbx]'])


@needs_kamailio
async def test_a_pbx_that_compares_the_digest_with_the_number_is_found_out(tmp_path: Path) -> None:
    async with Kamailio(tmp_path / "pbx", "20[0-9]", PASSWORD, trusted="", compares_uri=True) as pbx:
        seen = await probed(tmp_path, configuration(pbx.address, 'registration = "path"'))
        assert (seen.status, seen.good("path"), seen.good("private")) == (6, True, False), seen.errors
        assert "private prefix" in seen.errors


async def test_one_account_is_enough_beside_the_registrar_of_the_demo(tmp_path: Path) -> None:
    async with Registrar({"201": PASSWORD}) as pbx:
        seen = await probed(tmp_path, configuration(pbx.address))
        assert (seen.status, seen.said["registration"]) == (0, "contact"), seen.errors
        assert (seen.good("contact"), seen.good("private"), seen.good("shared")) == (True, True, None)
        assert pbx.contacts == {}


async def test_a_wrong_password_is_said_to_be_one(tmp_path: Path) -> None:
    async with Registrar({"201": PASSWORD}) as pbx:
        seen = await probed(tmp_path, configuration(pbx.address), password="wrong")
        assert (seen.status, seen.said["registration"]) == (1, None)
        assert "password" in seen.errors


async def test_without_a_terminal_a_password_is_not_waited_for(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(configuration((HOST, 5060)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder", "pbx", "probe", "--user", "201", "--config", str(config)),
        env={name: value for name, value in os.environ.items() if "PROBE" not in name},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert (process.returncode, b"DOELBAND_PROBE_PASSWORD" in errors) == (2, True)


# --- in this process, where nobody has to be as patient


@dataclass(slots=True)
class Guard(Registrar):
    """A registrar with a ban on addresses: after so many wrong passwords it hears them no more."""

    bans_after: int = 5
    wrong: int = field(default=0)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.wrong <= self.bans_after:
            super(Guard, self).datagram_received(data, addr)
            self.wrong += self._was_wrong(data)

    def _was_wrong(self, data: bytes) -> bool:
        last: Datagram = self.wire[-1]
        return b"Authorization" in data and Message.parse(last.data).start.startswith(b"SIP/2.0 401")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telephone, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(trial, "BAN_SECONDS", 0.0)


async def tried(pbx: Address, *, tries_bans: bool = False) -> Seen:
    account = Account("201", "pbx.example", Login("201", PASSWORD))
    config = parse(configuration(pbx), "config.toml", Path("/"))
    return await try_out(config, Wanted(account, "201", tries_bans=tries_bans), lambda text: None)


@pytest.mark.parametrize(("bans_after", "is_banned"), [(5, True), (100, False)])
async def test_a_pbx_that_bans_addresses_is_found_out(bans_after: int, is_banned: bool) -> None:
    async with Guard({"201": PASSWORD}, bans_after=bans_after) as pbx:
        seen = await tried(pbx.address, tries_bans=True)
    assert seen.is_banned is is_banned
    assert any("banned" in it for it in findings(seen)) is is_banned


async def test_a_pbx_that_is_not_there_is_no_verdict() -> None:
    with pytest.raises(Unavailable, match="said nothing"):
        await tried((HOST, free_port()))
