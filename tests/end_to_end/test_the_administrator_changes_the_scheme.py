"""The configuration changes while people talk: what is excluded is out at once, and their call goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from demo.installation import Answer, until
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    PATIENCE_SECONDS,
    Recorder,
    running,
)
from tests.end_to_end.peers.scripted import Call, Phone
from tests.end_to_end.test_a_crash_does_not_end_a_call import PIECE_SECONDS, eventually, talk
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.speech import Search, voice

HORIZON_SECONDS = 1
SOON = {'address = "127.0.0.1"\nports = ': 'address = "127.0.0.1"\nhorizon = "1 s"\nports = '}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """An installation of its own, for its scheme changes."""
    with running(tmp_path_factory.mktemp("office"), SOON) as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def as_before(office: Recorder) -> Iterator[None]:
    """Whatever a test did to the file, the next one finds it approved as it was."""
    before = office.config.read_text(encoding="utf-8")
    yield
    office.config.write_text(before, encoding="utf-8")
    office.tell("ctl", "reload")
    office.sign()


@asynccontextmanager
async def talking(office: Recorder) -> AsyncIterator[tuple[Call, Call]]:
    """A customer and the agent talk and are recorded; at the end every packet of theirs has arrived."""
    clips = len(office.clips())
    async with (
        Phone(AGENT, PASSWORD, office.address) as agent,
        Phone(CUSTOMER, PASSWORD, office.address) as customer,
    ):
        call = await customer.dial(BUSINESS_NUMBER)
        taken = await agent.taken(call.id)
        done = asyncio.Event()
        talk_on = asyncio.gather(talk(call, "customer", done), talk(taken, "agent", done))
        try:
            await eventually(lambda: len(office.clips()) > clips)
            yield call, taken
        finally:
            done.set()
            await talk_on
        await asyncio.gather(call.hears(taken.sent), taken.hears(call.sent))
        await call.hang_up()
        await asyncio.wait_for(taken.ended.wait(), PATIENCE_SECONDS)


async def ask(office: Recorder, *arguments: str) -> Answer:
    return await asyncio.to_thread(office.ask, *arguments)


async def said(call: Call, seconds: float) -> None:
    """Wait until so much more was said."""
    goal = call.sent + seconds * 50
    await eventually(lambda: call.sent >= goal)


def pieces_in(office: Recorder, clip: str, call: Call) -> set[int]:
    """The numbers of the customer's pieces of speech that can be heard in a clip."""
    count = int(call.sent * 0.02 / PIECE_SECONDS)
    search = Search({str(it): voice(f"customer {it}", PIECE_SECONDS) for it in range(count)})
    (opened,) = (it for it in asyncio.run(open_all(office)) if it.header.clip == clip)
    return {int(it) for it in search.found(b"".join(getattr(it, "payload", b"") for it in opened.records))}


def states(office: Recorder) -> list[str]:
    """The state of each running call that may be shown."""
    return [it["state"] for it in office.answer("signalling", "calls")["calls"]]


def hang_up(office: Recorder) -> None:
    pid = office.pids()["supervisor"]
    assert pid is not None
    os.kill(pid, signal.SIGHUP)


def test_a_file_that_cannot_be_used_leaves_the_running_recording_as_it_is(office: Recorder) -> None:
    before = office.config.read_text(encoding="utf-8")
    broken = before.replace('"+31201234567"', '"twelve"').replace('prefix = "*31"', 'prefix = "112"')

    async def scenario() -> tuple[Answer, Call]:
        async with talking(office) as (call, _):
            office.config.write_text(broken, encoding="utf-8")
            answer = await ask(office, "ctl", "reload")
            await asyncio.to_thread(hang_up, office)
            await eventually(lambda: office.log.read_text().count("reload refused") == 2)
            assert await asyncio.to_thread(states, office) == ["recording"]
            office.config.write_text(before, encoding="utf-8")
            await said(call, HORIZON_SECONDS)
        return answer, call

    answer, call = asyncio.run(scenario())
    assert answer.status == 5 and "running configuration stays as it was" in answer.complaint
    assert len(answer.value["errors"]) == 2 and all(it["line"] for it in answer.value["errors"])
    clip = office.sealed(len(office.clips()))[0]
    assert clip["ending"] == "complete"
    assert max(pieces_in(office, clip["clip"], call)) >= int(call.sent * 0.02 / PIECE_SECONDS) - 2


def test_an_exclusion_added_while_they_talk_stops_the_recording_and_drops_the_horizon(
    office: Recorder,
) -> None:
    """The audio goes on both ways (`talking` sees to that); what is younger than the horizon is nowhere."""

    async def scenario() -> tuple[Answer, Call, int]:
        async with talking(office) as (call, _):
            await said(call, 2 * HORIZON_SECONDS + 1)
            began = call.sent
            answer = await ask(office, "exclude", "add", CUSTOMER, "--name", "Customer", "--reason", "secret")
            await said(call, 0.5)
        return answer, call, began

    clips = len(office.clips())
    answer, call, began = asyncio.run(scenario())
    assert answer.status == 0, answer.complaint
    service = answer.value["service"]
    assert (service["running"], service["stopped_recordings"]) == (True, 1)
    assert service["recording_allowed"] and "awaits ratification" in service["gate"]
    clip = office.sealed(clips + 1)[0]
    kept = pieces_in(office, clip["clip"], call)
    assert min(kept) <= 1
    asked, stopped = began * 0.02, call.sent * 0.02 - 0.5
    assert (max(kept) + 1) * PIECE_SECONDS <= stopped - HORIZON_SECONDS + 2 * PIECE_SECONDS
    assert (max(kept) + 1) * PIECE_SECONDS >= asked - HORIZON_SECONDS - 1
    again = office.tell("exclude", "add", CUSTOMER, "--name", "Customer")
    assert not again["changed"]


def test_an_exclusion_removed_shuts_the_gate_until_the_council_has_signed(office: Recorder) -> None:
    answer = office.ask("exclude", "remove", "250")
    assert answer.status == 0, answer.complaint
    assert answer.value["service"]["recording_allowed"] is False
    assert "sign it again" in answer.value["service"]["gate"]
    assert office.ask("exclude", "remove", "250").status == 3


def test_a_recording_stopped_by_hand_ends_while_the_call_goes_on_and_is_written_down(
    office: Recorder,
) -> None:
    async def scenario() -> tuple[Answer, Answer, str]:
        async with talking(office) as (call, _):
            await said(call, HORIZON_SECONDS + 1.5)
            (shown,) = await asyncio.to_thread(office.tell, "ctl", "calls", "list")
            answer = await ask(office, "ctl", "calls", "stop", shown["call"][:8], "--as", "anna")
            explained = await ask(office, "explain", shown["call"][:12])
            assert await asyncio.to_thread(states, office) == ["not recorded"]
            await said(call, 0.2)
        return answer, explained, shown["call"]

    answer, explained, call = asyncio.run(scenario())
    assert (answer.status, answer.value["stopped"]) == (0, ["assessment", "coaching"]), answer.complaint
    assert explained.value["explanation"] == ["somebody stopped the recording"]
    office.sealed(len(office.clips()))
    place = f"file:{office.directory / 'storage' / 'catalogue.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
        rows = database.execute(
            "SELECT actor FROM audit JOIN audit_body USING (seq) WHERE action = 'call.stop' AND body = ?",
            (call,),
        )
        assert [row[0].split()[0] for row in rows] == ["anna"]
    ended = until(lambda: office.ask("explain", call), lambda it: it.status == 0, PATIENCE_SECONDS)
    assert ended.value["outcome"] == "recorded"  # until it was stopped: there is a clip


def test_sighup_to_the_supervisor_reaches_the_processes(office: Recorder) -> None:
    """A new exclusion stops the recording; the answer says so, and the works council still covers it."""
    text = office.config.read_text(encoding="utf-8")

    async def scenario() -> None:
        async with talking(office) as (call, _):
            office.config.write_text(text.replace('numbers = ["250"', f'numbers = ["{CUSTOMER}", "250"'))
            await asyncio.to_thread(hang_up, office)
            await eventually(lambda: states(office) == [])
            gate = "stricter-awaiting-ratification"
            await eventually(lambda: office.answer("signalling", "status")["gate"] == gate)
            await said(call, 0.2)

    asyncio.run(scenario())
    office.sealed(len(office.clips()))


def test_a_new_purpose_has_keys_at_once_and_waits_for_the_councils_signature(office: Recorder) -> None:
    text = office.config.read_text(encoding="utf-8")
    first = text.index("[purposes.coaching]")
    section = text[first : text.index("[purposes.assessment]")].replace("coaching]", "training]")
    changed = text[:first] + section + text[first:]
    office.config.write_text(
        changed.replace('purposes = ["coaching", ', 'purposes = ["training", "coaching", ')
    )
    told = office.tell("ctl", "reload")
    assert told["new_day_keys"] > 0 and told["recording_allowed"] is False
    assert "changed after" in told["gate"] and told["next_start"] == []
    office.sign()

    async def scenario() -> None:
        async with talking(office) as (call, _):
            await said(call, HORIZON_SECONDS)

    asyncio.run(scenario())
    until(
        lambda: office.clips("training"), lambda it: [c["state"] for c in it] == ["sealed"], PATIENCE_SECONDS
    )
