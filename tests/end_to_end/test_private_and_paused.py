"""Agents press our codes: two calls become private at random instants, one is paused for card data.

The telephones are baresip's; the keys come as RTP events (RFC 4733), or as INFO (application/dtmf-relay).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.installation import until
from recorder.config import load
from recorder.service import places
from storage.errors import StorageError
from storage.keydoor import KeyDoor
from storage.records import Audio, Gap, Pause, Record, Resume
from tests.end_to_end.installation import CLIENT, CUSTOMER, HOME, LISTENERS, Recorder, running
from tests.end_to_end.peers import baresip
from tests.end_to_end.test_keys_in_a_call import Way, phone, press
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.end_to_end.traces import files, mentions, said
from tests.fakes.speech import Search, voice, windows

if reason := baresip.missing():
    pytest.skip(reason, allow_module_level=True)

LAST = 9.0
CHANCE = random.Random(20_261)
PRIVATE: dict[Way, tuple[str, str, float]] = {
    "rtpevent": ("204", CLIENT, CHANCE.uniform(2.5, 7.0)),
    "info": ("205", HOME, CHANCE.uniform(2.5, 7.0)),
}
"""By way of pressing: the agent's extension, the other party, and when the code is pressed."""
PAUSED, RESUMED, SLACK, TICKS = 3.0, 6.0, 0.6, 8000
PAUSER, CARDHOLDER = "206", CUSTOMER
AGENTS = {"204": "a-9204", "205": "a-9205", "206": "a-9206"}
CHANGES = {
    'prefix = "': 'in_call_code = "*77"\nprefix = "',
    "[feature_codes]": '[pause]\ncode = "*78"\nresume_code = "*79"\n\n[feature_codes]\nkey_seconds = 2',
    "[[agents]]": "\n".join(
        f'[[agents]]\nid = "{name}"\nextensions = ["{number}"]\nlines = ["service"]\n'
        for number, name in AGENTS.items()
    )
    + "\n[[agents]]",
}


@dataclass(frozen=True, slots=True)
class Left:
    """What the calls left: the records of the paused one, every file, all that is told, and the rows."""

    records: list[Record]
    files: list[tuple[str, bytes]]
    told: str
    tables: dict[str, list[dict[str, Any]]]
    refusals: dict[str, str]
    findings: Any


def spoken(number: str) -> bytes:
    return voice(f"private and paused, {number}", LAST + 1)


async def held(recorder: Recorder, folder: Path, way: Way, agent: str, other: str, *keys: Any) -> None:
    """A call to an agent, who presses `keys`, each at its second."""
    async with (
        phone(recorder, folder, agent, way, spoken(agent)) as ours,
        phone(recorder, folder, other, way, spoken(other)) as theirs,
    ):
        await theirs.dial(agent)
        for at, code in keys:
            await ours.has_heard(at)
            await press(ours, code, theirs)
        await ours.has_heard(LAST)
        await theirs.hang_up()


async def all_calls(recorder: Recorder, folder: Path) -> None:
    private = (held(recorder, folder, way, *who, (at, "*77")) for way, (*who, at) in PRIVATE.items())
    paused = held(recorder, folder, "rtpevent", PAUSER, CARDHOLDER, (PAUSED, "*78"), (RESUMED, "*79"))
    await asyncio.gather(paused, *private)


def tables(recorder: Recorder) -> dict[str, list[dict[str, Any]]]:
    place = f"file:{recorder.directory / 'storage' / 'catalogue.db'}?mode=ro"
    names = ("recording", "clip", "call_outcome", "withheld_count", "tombstone", "certificate", "audit")
    with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
        database.row_factory = sqlite3.Row
        return {it: [dict(row) for row in database.execute(f"SELECT * FROM {it}")] for it in names}


def erased(recorder: Recorder) -> list[str]:
    return [it["id"] for it in tables(recorder)["clip"] if it["state"] == "erased"]


async def refused(recorder: Recorder, clips: list[str]) -> dict[str, str]:
    """What the key service says to whoever asks for a clip."""
    door, found = KeyDoor(places.keys(load(recorder.config))), {}
    for clip, (purpose, person) in product(clips, LISTENERS.items()):
        try:
            await door.open_clip(clip, purpose, "play", "an end-to-end test", person)
        except StorageError as error:
            found[clip] = str(error)
        else:
            pytest.fail(f"clip {clip} opens")
    return found


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    with running(tmp_path_factory.mktemp("private"), CHANGES) as recorder:
        asyncio.run(all_calls(recorder, tmp_path_factory.mktemp("telephones")))
        for purpose in LISTENERS:
            recorder.sealed(1, purpose)
        until(lambda: erased(recorder), lambda it: len(it) == len(PRIVATE) * len(LISTENERS), 30)
        until(lambda: tables(recorder)["withheld_count"], bool, 30)
        told = said(recorder) + json.dumps(recorder.answer("signalling", "metrics"))
        opened = [it for it in asyncio.run(open_all(recorder)) if it.header.purpose == "coaching"]
        refusals = asyncio.run(refused(recorder, erased(recorder)))
        findings = recorder.ask("fsck").value
        there = files(recorder)
        yield Left(list(opened[0].records), there, told, tables(recorder), refusals, findings)


def test_of_a_private_call_nothing_can_be_opened_and_no_file_is_left(left: Left) -> None:
    gone = left.refusals
    assert len(gone) == len(PRIVATE) * len(LISTENERS)
    assert all(clip not in name for clip in gone for name, _ in left.files if "clips/" in name)
    assert {(it["wrap"], it["close_record"]) for it in left.tables["clip"] if it["id"] in gone} == {
        (None, None)
    }


def test_no_row_file_log_or_figure_names_who_it_was(left: Left) -> None:
    """But for the scheme, which lists the agents: in the file, and as the works council has signed it."""
    names = "|".join(AGENTS[agent] for agent, _, _ in PRIVATE.values())
    named = re.compile(f'(?<!"id":")(?<!id = ")({names})'.encode())
    numbers = [other for _, other, _ in PRIVATE.values()]
    assert any("catalogue.db" in name for name, _ in left.files)
    assert re.search(f'"id":"({names})'.encode(), dict(left.files)["storage/catalogue.db"])
    for name, data in [*left.files, ("told", left.told.encode())]:
        assert not named.search(data), name
        assert not any(mentions(data, number) for number in numbers), name


def test_what_is_left_tells_the_day_and_nothing_of_when(left: Left) -> None:
    gone = left.refusals
    clips = [it for it in left.tables["clip"] if it["id"] in gone]
    rows = [it for it in left.tables["recording"] if it["id"] in {clip["recording"] for clip in clips}]
    assert {(it["purpose"], it["line"], it["agent"]) for it in rows} == {("", "", "")}
    leaves = [it for it in left.tables["audit"] if it["object"] in gone and it["action"] != "clip.refused"]
    instants = [it["started_at"] for it in rows] + [it["opened_at"] for it in clips]
    instants += [it["at"] for it in (*leaves, *(row for row in left.tables["tombstone"]))]
    assert {it[10:] for it in instants} == {"T00:00:00.000000Z"}
    assert [(it["kind"], it["count"]) for it in left.tables["withheld_count"]] == [("private", len(PRIVATE))]
    assert {it["agent"] for it in left.tables["call_outcome"]} == {AGENTS[PAUSER]}
    assert len(left.tables["certificate"]) == len(gone)


def test_rows_files_keys_and_log_agree(left: Left) -> None:
    assert left.findings["findings"] == []


def places_of(left: Left) -> list[tuple[float, float]]:
    """Windows of the cardholder's speech in the clip: where in the speech, where in the clip, in seconds."""
    sounds = [it for it in left.records if isinstance(it, Audio) and it.channel == 1]
    found: list[tuple[float, float]] = []
    speech = spoken(CARDHOLDER)
    for it in sounds:
        at = speech.find(it.payload[:64])
        if at >= 0:
            found.append((at / TICKS, it.position / TICKS))
    return found


def test_nothing_of_the_paused_span_is_kept_and_what_follows_keeps_its_place(left: Left) -> None:
    found = places_of(left)
    assert not [at for at, _ in found if PAUSED + SLACK < at < RESUMED - SLACK]
    kept = Search({"all": spoken(CARDHOLDER)}).found(
        b"".join(it.payload for it in left.records if isinstance(it, Audio))
    )
    spots = {it / TICKS for it in windows(spoken(CARDHOLDER))}
    paused = {it for it in spots if PAUSED + SLACK <= it <= RESUMED - SLACK}
    assert paused and not paused & {it / TICKS for it in kept["all"]}
    before = [place - at for at, place in found if at < PAUSED - SLACK]
    after = [place - at for at, place in found if at > RESUMED + SLACK]
    assert len(before) > 50 and len(after) > 50
    assert abs(float(np.median(before)) - float(np.median(after))) <= 0.020


def test_the_clip_marks_the_pause_and_its_silence_is_as_long(left: Left) -> None:
    marks = [it for it in left.records if isinstance(it, Pause | Resume)]
    pause, resume = max(pairwise(marks), key=lambda it: it[1].position - it[0].position)
    assert isinstance(pause, Pause) and isinstance(resume, Resume)
    for channel in (0, 1):
        silent = sum(
            min(it.position + it.length, resume.position) - max(it.position, pause.position)
            for it in left.records
            if isinstance(it, Gap) and it.channel == channel
            if it.position < resume.position and it.position + it.length > pause.position
        )
        assert abs(silent - (resume.position - pause.position)) <= 0.020 * TICKS
    assert resume.position - pause.position == pytest.approx((RESUMED - PAUSED) * TICKS, abs=1.2 * TICKS)
