"""`doelband selftest transfer` beside Debian's Kamailio, by an administrator who may open nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.registrar import Registrar
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    COLLEAGUE,
    CUSTOMER,
    DOCTOR,
    Recorder,
    serving,
)
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.b2bua import B2bua
from tests.end_to_end.peers.kamailio import Kamailio

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)

PASSWORD = "pbx-password"
PASSWORDS = {f"DOELBAND_SELFTEST_{name}_PASSWORD": PASSWORD for name in ("CUSTOMER", "AGENT", "PRIVILEGED")}
ACCOUNTS = r"2[0-9][0-9]|[+]31[0-9]+"
SHORT = {'ports = "': 'horizon = "1 s"\nports = "'}
"""A shorter horizon, so that less has to be said."""


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    said: dict[str, Any]
    errors: str


class Site(Recorder):
    """An installation with Kamailio beside it."""

    async def selftest(self, *arguments: str, config: Path | None = None, **changed: str) -> Ran:
        """Run the command as an administrator would; `changed`: options that are otherwise."""
        options = {
            "customer": CUSTOMER,
            "agent": AGENT,
            "line": BUSINESS_NUMBER,
            "privileged": DOCTOR,
            "domain": "pbx.example",
            **changed,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recorder", "selftest", "transfer", *words),
            *("--config", str(config or self.config), "--json", *arguments),
            env=os.environ | PASSWORDS,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        return Ran(process.returncode or 0, json.loads(out or b"{}"), errors.decode())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(Site(tmp_path_factory.mktemp("selftest"), SHORT), exchange=False) as made:
        yield made


def pbx(site: Site, folder: Path) -> Kamailio:
    numbers = {BUSINESS_NUMBER: AGENT}
    return Kamailio(folder / "pbx", ACCOUNTS, PASSWORD, numbers, (site.address[0], site.pbx_port))


def otherwise(site: Site, old: str, new: str) -> Path:
    """A configuration that is not the running service's."""
    text = site.config.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = site.directory / "otherwise.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


async def test_it_shows_that_nothing_of_a_transfer_is_kept(site: Site, tmp_path: Path) -> None:
    async with pbx(site, tmp_path) as exchange:
        tested = await site.selftest(*site.listener("coaching"))
        assert tested.status == 0, tested.errors + json.dumps(tested.said, indent=1)
        for user in (CUSTOMER, AGENT, DOCTOR):
            assert await exchange.contacts(user) == [], "it has taken back what it registered"
    assert [it["kind"] for it in tested.said["transfers"]] == ["blind", "attended"]
    for transfer in tested.said["transfers"]:
        assert all(row["is_good"] for row in transfer["rows"])
        assert len(transfer["clips"]) == 2, "one for each purpose"
        assert transfer["calls"] == [], "of a call that becomes a privileged one there is no row"
        said = {row["question"]: row["answer"] for row in transfer["rows"]}
        assert "nothing but the day's count" in said["What does the ledger say?"]
        assert "none of the privileged conversation" in said["What is in the clips?"]


async def test_it_shows_the_same_beside_a_pbx_that_ends_calls(site: Site) -> None:
    """The PBX does itself what a REFER says, and leads media to the privileged telephone by re-INVITE."""
    accounts = Registrar(dict.fromkeys((CUSTOMER, AGENT, DOCTOR), PASSWORD))
    async with B2bua((site.address[0], site.pbx_port), accounts, groups={BUSINESS_NUMBER: (AGENT,)}):
        tested = await site.selftest(kind="attended")
    assert tested.status == 0, tested.errors + json.dumps(tested.said, indent=1)
    assert len(tested.said["transfers"][0]["clips"]) == 2


async def test_it_says_so_when_something_is_kept(site: Site, tmp_path: Path) -> None:
    """The file excludes a colleague, and the service that runs has not been told: she is recorded."""
    config = otherwise(site, f'numbers = ["{DOCTOR}"', f'numbers = ["{COLLEAGUE}", "{DOCTOR}"')
    async with pbx(site, tmp_path):
        tested = await site.selftest(config=config, privileged=COLLEAGUE, kind="blind")
    assert tested.status == 1, tested.errors + json.dumps(tested.said, indent=1)
    assert "SOMETHING WAS KEPT" in tested.errors
    assert not tested.said["nothing_kept"]
    assert any("begun after the transfer" in it for it in tested.said["kept"])


async def test_it_does_not_say_that_nothing_is_kept_when_nothing_can_be_shown(
    site: Site, tmp_path: Path
) -> None:
    elsewhere = otherwise(site, 'directory = "run"', 'directory = "run-elsewhere"')
    async with pbx(site, tmp_path):
        refused, absent, inside = await asyncio.gather(
            site.selftest(privileged=COLLEAGUE),
            site.selftest(config=elsewhere),
            site.selftest(customer="999", kind="blind"),
        )
    assert (refused.status, "no exclusion lists it" in refused.errors) == (4, True), refused.errors
    assert (absent.status, "start the service" in absent.errors) == (75, True), absent.errors
    assert inside.status == 6
    assert "nothing is proved: the call was not recorded before the transfer either" in inside.errors
    assert "it is not certain that the other party is outside" in inside.errors
