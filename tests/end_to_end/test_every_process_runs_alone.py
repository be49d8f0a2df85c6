"""Without `serve`: every process is started on its own, in any order, and finds the others."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from demo.installation import until
from demo.phone import free_port
from demo.telephony import PASSWORD
from recorder.config import load
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    PATIENCE_SECONDS,
    Recorder,
    serving,
)
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.speech import voice

TOKEN = "t" * 32

COMMANDS = {
    "watch": ("watch",),
    "crm": ("crm",),
    "signalling": ("signalling",),
    "purge": ("purge", "work"),
    "capture": ("capture",),
    "relay-0": ("relay",),
    "keys": ("keys",),
    "media": ("media",),
}
"""In the order of their start: whoever waits for another comes before it."""


class Alone(Recorder):
    """An installation whose processes nobody supervises."""

    processes: dict[str, subprocess.Popen[bytes]]

    def start(self) -> None:
        self.processes = {}
        for name in COMMANDS:
            if name == "media":
                until(self.waiting, lambda it: it == 2, 2 * PATIENCE_SECONDS)
            self.start_one(name)
        until(self.is_ready, bool, PATIENCE_SECONDS)

    def start_one(self, name: str) -> subprocess.Popen[bytes]:
        place = ("--socket", str(self.directory / "run" / "relays.sock"))
        options = place if name == "relay-0" else ("--config", str(self.config))
        self.processes[name] = self.spawn(*COMMANDS[name], *options)
        return self.processes[name]

    def waiting(self) -> int:
        """How many have said that they wait for the media process."""
        return self.log.read_text(encoding="utf-8").count("waiting for the media broker")

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(PATIENCE_SECONDS)

    def pids(self) -> dict[str, int | None]:
        status = self.ask("status").value
        return {it["name"]: it["pid"] for it in status["processes"]}

    def talk(self) -> None:
        """A customer calls the agent, and both are recorded."""

        async def call() -> None:
            async with (
                Phone(AGENT, PASSWORD, self.address) as agent,
                Phone(CUSTOMER, PASSWORD, self.address) as customer,
            ):
                said = (voice("customer", 1.0), voice("agent", 1.0))
                await converse(customer, agent, BUSINESS_NUMBER, said)

        asyncio.run(call())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    directory = tmp_path_factory.mktemp("alone")
    (directory / "crm.token").write_text(TOKEN)
    (directory / "crm.token").chmod(0o600)
    http = (
        f'[watch]\nport = {free_port()}\n\n[crm]\nport = {free_port()}\ntoken_file = "crm.token"\n\n[clock]'
    )
    with serving(Alone(directory, {"[clock]": http})) as recorder:
        yield recorder


def test_started_before_all_that_they_need_they_wait_and_then_record(alone: Alone) -> None:
    assert alone.waiting() >= 2
    assert alone.pids() == {name: process.pid for name, process in alone.processes.items()}
    assert alone.ask("status", "--health").status == 0
    before = len(alone.clips())
    alone.talk()
    alone.sealed(before + 1)
    alone.export(alone.next_clip())
    crm = load(alone.config).crm
    assert crm is not None
    asked = urllib.request.Request(
        f"http://127.0.0.1:{crm.port}/calls", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:
        assert json.load(answer) == {"calls": []}


def test_one_that_has_ended_is_missing_in_the_status(alone: Alone) -> None:
    purge = alone.processes["purge"]
    purge.terminate()
    purge.wait(PATIENCE_SECONDS)
    assert alone.pids()["purge"] is None
    assert alone.ask("status", "--health").status == 75
    alone.start_one("purge")
    until(alone.is_ready, bool, PATIENCE_SECONDS)


@pytest.mark.parametrize("name", ["media", "capture", "keys", "signalling", "purge", "watch", "crm"])
def test_none_is_started_twice(alone: Alone, name: str) -> None:
    running_one = alone.processes[name]
    second = alone.spawn(*COMMANDS[name], "--config", str(alone.config))
    assert second.wait(PATIENCE_SECONDS) == 75
    assert running_one.poll() is None


def test_serve_does_not_join_what_runs_alone(alone: Alone) -> None:
    assert alone.spawn("serve", "--config", str(alone.config)).wait(PATIENCE_SECONDS) == 75
    assert alone.is_ready()


def test_after_the_media_process_was_killed_the_next_call_is_recorded(alone: Alone) -> None:
    """Its relay ends with it, as whoever starts both again expects; capture takes the new rings."""
    alone.processes["media"].kill()
    alone.processes["media"].wait()
    assert alone.processes["relay-0"].wait(PATIENCE_SECONDS) == 0
    alone.start_one("relay-0")
    alone.start_one("media")
    until(alone.is_ready, bool, PATIENCE_SECONDS)
    before = len(alone.clips())
    alone.talk()
    alone.sealed(before + 1)


def test_a_killed_capture_gets_the_rings_again(alone: Alone) -> None:
    alone.processes["capture"].kill()
    alone.processes["capture"].wait()
    alone.start_one("capture")
    until(alone.is_ready, bool, PATIENCE_SECONDS)
    before = len(alone.clips())
    alone.talk()
    alone.sealed(before + 1)
