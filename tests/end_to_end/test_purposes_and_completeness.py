"""Purposes in practice, and no call missing: a request, a lot, two clips of one call, and the PBX's word."""

from __future__ import annotations

import asyncio
import audioop
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from demo import listening
from demo.installation import until
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    CLIENT,
    HOME,
    PATIENCE_SECONDS,
    PREFIX,
    Recorder,
    running,
)
from tests.end_to_end.peers.scripted import Call, Phone
from tests.fakes.speech import voice

EARLY, LATE = voice("early", 1.5), voice("late", 1.5)
SPOTS = """\
[purposes.spots]
kind = "quality"
description = "Spot checks."
legal_basis = "GDPR art. 6(1)(f)"
mode = "sample"
sample = "0.01 %"
retention = "7 days"
frequency = "One call in ten thousand, drawn by lot."
frequency_justification = "One is enough."
announcement_exemption = "Callers are told by the PBX's welcome message."
listeners = ["coach"]

[[lines]]"""
MODES = {
    'description = "Individual': 'mode = "on-demand"\ndescription = "Individual',
    "[[lines]]": SPOTS,
    'purposes = ["coaching", "assessment"]': 'purposes = ["coaching", "assessment", "spots"]',
}


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with running(tmp_path_factory.mktemp("purposes"), MODES) as made:
        yield made


@asynccontextmanager
async def call(recorder: Recorder, dialled: str, callee: str) -> AsyncIterator[Call]:
    """The agent calls somebody; the call is hung up at the end unless it has been."""
    async with (
        Phone(AGENT, PASSWORD, recorder.address) as agent,
        Phone(callee, PASSWORD, recorder.address) as other,
    ):
        made = await agent.dial(dialled)
        taken = await other.taken(made.id)
        yield made
        await made.hang_up()
        await asyncio.wait_for(taken.ended.wait(), PATIENCE_SECONDS)


def shown(recorder: Recorder) -> str:
    """The one call that runs and is recorded."""
    calls = until(
        lambda: recorder.answer("signalling", "calls").get("calls", []),
        lambda it: bool(it) and it[0]["purposes"] != [],
        PATIENCE_SECONDS,
    )
    return str(calls[0]["call"])


def ledger(recorder: Recorder, call_id: str) -> Any:
    """The row of a call that has ended."""
    rows = until(
        lambda: [it for it in recorder.tell("calls")["ended"] if it["call"] == call_id],
        bool,
        PATIENCE_SECONDS,
    )
    return rows[0]


def heard(alaw: bytes, samples: listening.Samples) -> float:
    said = np.frombuffer(audioop.alaw2lin(alaw, 2), np.int16).astype(np.float64)
    return listening.correlation(said, samples)


async def test_two_purposes_of_one_call_make_two_clips_each_from_its_own_beginning(
    recorder: Recorder,
) -> None:
    async with call(recorder, CLIENT, CLIENT) as made:
        call_id = await asyncio.to_thread(shown, recorder)
        await made.speak(EARLY)
        asked = await asyncio.to_thread(
            recorder.ask, "ctl", "calls", "record", call_id[:12], "--purpose", "assessment", "--as", "bert"
        )
        assert (asked.status, asked.value["recorded"]) == (0, ["assessment"]), asked
        refused = await asyncio.to_thread(
            recorder.ask, "ctl", "calls", "record", call_id, "--purpose", "spots"
        )
        by_lot = refused.value["recorded"] == ["spots"]  # once in ten thousand
        assert by_lot or (refused.status == 4 and "the lot was not drawn" in refused.complaint), refused
        for act in ("record", "stop"):
            unknown = await asyncio.to_thread(
                recorder.ask, "ctl", "calls", act, call_id, "--purpose", "coching"
            )
            assert unknown.status == 3 and "there are assessment" in unknown.complaint
        await made.speak(LATE)
    row = ledger(recorder, call_id)
    whole, part = (recorder.sealed(1, it)[0]["clip"] for it in ("coaching", "assessment"))
    first, second = recorder.export(whole)[0], recorder.export(part, "assessment")[0]
    assert heard(EARLY, first) > 0.6 and heard(LATE, first) > 0.6
    assert heard(LATE, second) > 0.9 and heard(EARLY, second) < 0.2
    crossed = recorder.ask(
        "clips", "export", part, str(recorder.directory / "no.wav"), *recorder.listener("coaching")
    )
    assert crossed.status != 0
    assert {name: it["outcome"] for name, it in row["by_purpose"].items() if name != "spots"} == {
        "assessment": "recorded",
        "coaching": "recorded",
    }
    imagined = {it["purpose"]: it["by_lot"] for it in recorder.tell("explain", AGENT)["calls"]}
    assert imagined["spots"] and not imagined["coaching"]
    drawn = bool(recorder.clips("spots"))  # by one lot in ten thousand
    assert row["by_purpose"]["spots"]["outcome"] == ("recorded" if drawn else "suppressed")
    assert drawn or row["by_purpose"]["spots"]["reasons"] == ["not-sampled"]


async def test_a_call_that_runs_no_more_cannot_be_asked_for(recorder: Recorder) -> None:
    asked = await asyncio.to_thread(recorder.ask, "ctl", "calls", "record", "0" * 32)
    assert asked.status == 3


async def test_a_call_that_a_crash_cut_off_is_in_the_ledger(recorder: Recorder) -> None:
    async with call(recorder, CLIENT, CLIENT) as made:
        call_id = await asyncio.to_thread(shown, recorder)
        await made.speak(EARLY)
        before = (await asyncio.to_thread(recorder.pids))["signalling"]
        assert before is not None
        os.kill(before, signal.SIGKILL)
        row = await asyncio.to_thread(ledger, recorder, call_id)
        await asyncio.to_thread(until, recorder.is_ready, bool, PATIENCE_SECONDS)
    assert (row["outcome"], row["reasons"]) == ("failed", ["signalling-lost"])
    assert row["by_purpose"]["coaching"] == {"outcome": "failed", "reasons": ["signalling-lost"]}


async def test_the_pbxs_records_show_a_call_that_the_recorder_never_saw(recorder: Recorder) -> None:
    async with call(recorder, PREFIX + HOME, HOME) as made:
        await made.speak(EARLY[:4000])
    value = until(
        lambda: recorder.tell("calls", "--days", "2"), lambda it: bool(it["withheld"]), PATIENCE_SECONDS
    )
    known = [
        (datetime.fromisoformat(it["started_at"]), AGENT, CLIENT, it["seconds"]) for it in value["ended"]
    ]
    start = min(at for at, *_ in known)
    records = recorder.directory / "cdr.csv"

    def compared(*more: tuple[datetime, str, str, float]) -> Any:
        lines = [f"{at.isoformat()},{caller},{callee},{seconds}" for at, caller, callee, seconds in more]
        records.write_text("\n".join(["start,caller,callee,duration", *lines, ""]), encoding="utf-8")
        since = ("--from", f"{start:%Y-%m-%dT%H:%M:%S}", "--timezone", "UTC")
        answer = recorder.ask("reconcile", "--cdr", str(records), *since)
        assert HOME[-8:] not in f"{answer}" and CLIENT[-8:] not in f"{answer}"
        return answer

    everything = compared(*known, (start, AGENT, PREFIX + HOME, 5.0))
    assert (everything.status, everything.value["matched"]) == (0, len(known)), everything
    inbound = (start + timedelta(minutes=30), CLIENT, AGENT, 30.0)
    bypassed = compared(*known, inbound)
    assert bypassed.status == 6
    (missing,) = bypassed.value["missing"]
    assert (missing["agent"], missing["outside_ends_in"]) == ("a-1041", CLIENT[-3:])
    as_the_pbx_sees_it = compared(*known, (start, AGENT, HOME, 5.0))
    assert (as_the_pbx_sees_it.status, as_the_pbx_sees_it.value["missing"]) == (0, [])
    assert as_the_pbx_sees_it.value["cannot_be_told_from_calls_kept_out"][0]["missing_at_least"] == 0
    assert len(compared(*known[:-1]).value["not_in_the_records"]) == 1
    records.write_text("start,caller,callee,duration\nnever,1,2,3\n", encoding="utf-8")
    broken = recorder.ask("reconcile", "--cdr", str(records), "--from", "2000-01-01", "--until", "2000-01-02")
    assert (broken.status, broken.value["malformed"][0]["file_line"]) == (6, 2)
    assert recorder.ask("reconcile", "--cdr", str(recorder.directory / "no.csv")).status == 3
    assert recorder.ask("reconcile", "--cdr", str(recorder.config)).status == 2
