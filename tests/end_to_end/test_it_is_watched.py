"""A running service, seen by those who watch it: figures, readiness, and a log without numbers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.installation import until
from demo.phone import free_port
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    HOME,
    PATIENCE_SECONDS,
    PREFIX,
    SPECIALIST,
    USERS,
    Recorder,
    serving,
)
from tests.end_to_end.peers.scripted import Phone, converse
from tests.end_to_end.traces import mentions
from tests.fakes.speech import voice

PURGE_STANDS_STILL_DAYS = 33
"""Retention, the day of the deadline, and the day of grace."""

FAULTS = """
import os, pathlib, sys

if "signalling" in sys.orig_argv:
    from recorder.calls import Calls

    def broken(name):
        whole = getattr(Calls, name)

        def method(self, *arguments):
            if pathlib.Path(os.environ["FAULTS"]).exists():
                raise ValueError(f"{name}: {arguments} sip:{HOME}@127.0.0.1 {HOME}")
            return whole(self, *arguments)

        setattr(Calls, name, method)

    HOME = os.environ["HOME_NUMBER"]
    broken("on_event")
    broken("abandon")
    broken("on_capture")
    broken("media_opened")
"""
"""Put into the signalling process: once FAULTS is there, whatever happens raises what it happened to."""


class Watched(Recorder):
    """A recorder with [watch]."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        super().__init__(directory, {"[clock]": f"[watch]\nport = {self.port}\n\n[clock]"})
        self.faults = directory / "faults"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    def figure(self, name: str, **labels: str) -> float | None:
        """The sum of this metric's samples that have these labels; None where there is none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == f"doelband_{name}" and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def missing(self) -> list[str]:
        return [it["code"] for it in json.loads(self.get("/readyz")[1])["missing"]]

    def call(self, caller: str, callee: str, dialled: str) -> None:
        async def hold() -> None:
            async with (
                Phone(caller, PASSWORD, self.address) as one,
                Phone(callee, PASSWORD, self.address) as other,
            ):
                await converse(one, other, dialled, (voice(caller, 1.0), voice(callee, 1.0)))

        asyncio.run(hold())


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One business, one privileged and one private call were made."""
    directory = tmp_path_factory.mktemp("watched")
    (directory / "sitecustomize.py").write_text(FAULTS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(directory))
        environment.setenv("FAULTS", str(directory / "faults"))
        environment.setenv("HOME_NUMBER", HOME)
        environment.setenv("DOELBAND_HUNG_AFTER", "600")  # one is stopped here, and watched
        with serving(Watched(directory)) as recorder:
            recorder.call(CUSTOMER, AGENT, BUSINESS_NUMBER)
            recorder.call(SPECIALIST, AGENT, BUSINESS_NUMBER)
            recorder.call(AGENT, HOME, PREFIX + HOME)
            recorder.sealed(1)
            yield recorder


def test_it_is_alive_and_ready_and_status_says_the_same(watched: Watched) -> None:
    until(lambda: watched.get("/readyz")[0], lambda status: status == 200, PATIENCE_SECONDS)
    assert watched.get("/healthz") == (200, "alive\n")
    answer = json.loads(watched.get("/readyz")[1])
    assert (answer["gate_open"], answer["gate"], answer["missing"]) == (True, "approved", [])
    assert watched.ask("status", "--health").status == 0
    assert watched.tell("status")["missing"] == []


def test_every_process_counts_what_it_did(watched: Watched) -> None:
    until(lambda: watched.figure("calls_total", outcome="recorded"), bool, PATIENCE_SECONDS)
    for process in ("keys", "media", "capture", "relay-0", "purge", "signalling", "supervisor", "watch"):
        assert watched.figure("process_up", process=process) == 1, process
    assert watched.figure("gate_open") == 1
    assert watched.figure("calls_total", outcome="recorded") == 1
    assert watched.figure("capture_sealed_total") == 2  # coaching and assessment
    for name in ("capture_frames_committed_total", "media_packets_forwarded_total"):
        assert (watched.figure(name) or 0) > 20, name
    assert watched.figure("capture_chunks_total")
    assert watched.figure("capture_horizon_bytes") == 0
    assert watched.figure("keys_days_ahead", purpose="coaching") == 30
    assert (watched.figure("media_port_pairs", state="free") or 0) > 0
    assert (watched.figure("purge_last_success_timestamp_seconds") or 0) > 0
    until(
        lambda: watched.figure("clips", state="sealed", purpose="coaching"),
        lambda it: it == 1,
        PATIENCE_SECONDS,
    )


def test_of_who_called_and_who_was_kept_out_the_page_says_nothing(watched: Watched) -> None:
    page = watched.get("/metrics")[1]
    assert [number for number in USERS if mentions(page.encode(), number)] == []
    assert watched.figure("calls_withheld_yesterday") is None
    assert watched.figure("calls_total") == 1, "withheld calls have no live count"


def test_who_stands_still_is_down_and_the_page_goes_on(watched: Watched) -> None:
    """And a purge that stands still is overdue by the catalogue's word, not by its own."""
    pid = watched.pids()["purge"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert until(watched.missing, bool, PATIENCE_SECONDS) == ["process-down:purge"]
        assert watched.get("/readyz")[0] == 503
        assert watched.figure("process_up", process="purge") == 0
        assert watched.figure("purge_last_success_timestamp_seconds") is None
        assert watched.ask("status", "--health").status == 75
        watched.days_pass(PURGE_STANDS_STILL_DAYS)
        until(lambda: watched.figure("purge_overdue_clips"), lambda it: it == 2, PATIENCE_SECONDS)
        assert (watched.figure("purge_oldest_overdue_age_seconds") or 0) > 86_400
        words = " ".join(it["code"] for it in watched.ask("status").value["warnings"])
        assert "purge-overdue" in words
    finally:
        (watched.directory / "clock-offset").unlink(missing_ok=True)
        os.kill(pid, signal.SIGCONT)
    until(watched.missing, lambda it: not it, PATIENCE_SECONDS)


def test_whatever_breaks_the_log_holds_no_number(watched: Watched) -> None:
    watched.faults.touch()
    for caller, callee, dialled in (
        (CUSTOMER, AGENT, BUSINESS_NUMBER),
        (SPECIALIST, AGENT, BUSINESS_NUMBER),
        (AGENT, HOME, PREFIX + HOME),
    ):
        watched.call(caller, callee, dialled)
    log = watched.log.read_text(encoding="utf-8")
    said = [json.loads(line) for line in log.splitlines()]
    assert any("[number]" in it.get("exception", "") for it in said), "the faults were logged"
    assert {"signalling", "capture", "supervisor"} <= {it["process"] for it in said}
    for number in (*USERS, BUSINESS_NUMBER):
        if len(number) > 3:  # three digits stand in any identifier
            assert not mentions(log.encode(), number), number
