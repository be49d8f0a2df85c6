"""Keys in a recorded call: the customer's; the agent's for a menu, as the beginning of a code, as the code.

The telephones are baresip's; the keys come as RTP events (RFC 4733), or as INFO (application/dtmf-relay).
Those of another one, which knows neither, are tones in its audio.
"""

from __future__ import annotations

import asyncio
import audioop
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from demo.phone import free_port
from demo.telephony import PASSWORD
from recorder.config import load
from storage.records import Audio, Parties, Pause, Record, Resume
from tests.end_to_end.installation import (
    AGENT,
    CLIENT,
    COLLEAGUE,
    CUSTOMER,
    LISTENERS,
    Recorder,
    running,
)
from tests.end_to_end.peers import baresip
from tests.end_to_end.peers.baresip import Baresip
from tests.end_to_end.peers.scripted import Phone, converse
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.end_to_end.traces import files, mentions, said
from tests.fakes.rtp import PCMA
from tests.fakes.speech import Search, voice, windows
from tests.recorder.test_tones import in_alaw, pressed

if reason := baresip.missing():
    pytest.skip(reason, allow_module_level=True)

Way = Literal["rtpevent", "info"]

CODES = {
    "[feature_codes]": '[feature_codes]\ntransfer = ["##"]\nkey_seconds = 2',
    'ports = "': 'horizon = "1 s"\nports = "',
}
MENU = "730246819"
"""Keys for somebody's menu, such as a number of a card: no code, and nobody's business."""
OUTSIDE, MENU_AT, CODE_BEGINS, NO_CODE, CODE, END = 0.8, 1.4, 3.5, 4.8, 7.5, 11.5
"""When keys are pressed, in seconds of what the agent has heard: the customer's, and then the agent's. At the
end a pause for the beginning of a code would be over.
"""
SLACK = 0.5
"""What the agent hears was said so much earlier, at most."""
HORIZON, MOST = 1.0, 0.9
BEFORE, AFTER = voice("agent, before tones", 2.0), voice("agent, after tones", 1.5)
PRESSED = b"".join(in_alaw(pressed("##", seconds=0.1))[:-1])
"""The code as tones, without the last piece, which is shorter than a packet."""
IN_TONES = BEFORE + PRESSED + AFTER
PEOPLE: dict[Way, tuple[str, str]] = {"rtpevent": (AGENT, CUSTOMER), "info": (COLLEAGUE, CLIENT)}


@dataclass(frozen=True, slots=True)
class Left:
    """What the calls left. By way: what of the customer is in the coaching clip (seconds of the speech), and
    its records. And everything that could hold a key.
    """

    kept: dict[Way, set[float]]
    records: dict[Way, list[Record]]
    in_tones: list[list[Record]]
    files: list[tuple[str, bytes]]
    told: str

    def share(self, way: Way, begin: float, end: float) -> float:
        """How much is kept of what was said from one key to the next."""
        wanted = {it / 8000 for it in windows(spoken(way))}
        wanted = {it for it in wanted if begin + SLACK <= it <= end - SLACK}
        return len(wanted & self.kept[way]) / len(wanted)


def spoken(way: Way) -> bytes:
    return voice(f"customer, {way}", END + 1)


def phone(recorder: Recorder, folder: Path, number: str, way: Way, alaw: bytes) -> Baresip:
    samples = np.frombuffer(audioop.alaw2lin(alaw, 2), np.int16)
    made = Baresip(folder / number, recorder.address, number, samples, "PCMA", PASSWORD, dtmf=way)
    own = load(recorder.config).media
    while own.port_low <= made.media_port <= own.port_high:  # whoever names a port of ours is not recorded
        made.media_port = free_port()
    return made


async def call(recorder: Recorder, folder: Path, way: Way) -> None:
    agent_number, customer_number = PEOPLE[way]
    async with (
        phone(recorder, folder, agent_number, way, voice(f"agent, {way}", END + 1)) as agent,
        phone(recorder, folder, customer_number, way, spoken(way)) as customer,
    ):
        await customer.dial(agent_number)
        await agent.has_heard(OUTSIDE)
        await press(customer, "##", agent)
        await agent.has_heard(MENU_AT)
        await press(agent, MENU, customer)
        await agent.has_heard(CODE_BEGINS)
        await press(agent, "#", customer)
        await agent.has_heard(NO_CODE)
        await press(agent, "5", customer)
        await agent.has_heard(CODE)
        await press(agent, "##", customer)
        await agent.has_heard(END)
        await customer.hang_up()


async def call_in_tones(recorder: Recorder) -> None:
    """A telephone that knows no events for keys presses the code, in the middle of what it says."""
    async with (
        Phone(AGENT, PASSWORD, recorder.address) as agent,
        Phone(CLIENT, PASSWORD, recorder.address) as customer,
    ):
        said = voice("customer, tones", len(IN_TONES) / 8000), IN_TONES
        await converse(customer, agent, AGENT, said)


async def press(telephone: Baresip, keys: str, other: Baresip) -> None:
    """One key after the other, as soon as the other party has had the one before."""
    for key in keys:
        telephone.tell("sndcode", key)
        assert await other.sees("CALL_DTMF_START") == key


async def both(recorder: Recorder, folder: Path) -> None:
    await asyncio.gather(*(call(recorder, folder, way) for way in PEOPLE))
    await call_in_tones(recorder)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    with running(tmp_path_factory.mktemp("keys"), CODES) as recorder:
        asyncio.run(both(recorder, tmp_path_factory.mktemp("telephones")))
        for purpose in LISTENERS:
            recorder.sealed(len(PEOPLE) + 1, purpose)
        told = said(recorder) + json.dumps(recorder.answer("signalling", "metrics"))
        opened = asyncio.run(open_all(recorder))
        there = files(recorder)
    kept: dict[Way, set[float]] = {}
    records: dict[Way, list[Record]] = {}
    for way in PEOPLE:
        records[way] = next(
            list(it.records)
            for it in opened
            if it.header.purpose == "coaching" and are(PEOPLE[way], it.records)
        )
        audio = b"".join(it.payload for it in records[way] if isinstance(it, Audio) and it.channel == 1)
        found = Search({way: spoken(way)}).found(audio)
        kept[way] = {it / 8000 for it in found.get(way, set())}
    in_tones = [list(it.records) for it in opened if are((AGENT, CLIENT), it.records)]
    return Left(kept, records, in_tones, there, told)


def are(people: tuple[str, str], records: Iterable[Record]) -> bool:
    return any(isinstance(it, Parties) and (it.agent, it.outside) == people for it in records)


@pytest.mark.parametrize("way", PEOPLE)
def test_recording_goes_on_through_the_customer_s_keys_and_the_keys_of_a_menu(left: Left, way: Way) -> None:
    assert left.share(way, 0, CODE_BEGINS) > MOST


@pytest.mark.parametrize("way", PEOPLE)
def test_it_pauses_from_the_first_key_of_what_may_be_a_code(left: Left, way: Way) -> None:
    assert left.share(way, CODE_BEGINS, NO_CODE) == 0


@pytest.mark.parametrize("way", PEOPLE)
def test_it_goes_on_after_keys_that_are_none(left: Left, way: Way) -> None:
    assert left.share(way, NO_CODE, CODE - HORIZON) > MOST
    marks = [type(it) for it in left.records[way] if isinstance(it, Pause | Resume)]
    assert marks[:2] == [Pause, Resume]


@pytest.mark.parametrize("way", PEOPLE)
def test_it_is_over_after_a_whole_code(left: Left, way: Way) -> None:
    assert left.share(way, CODE, END + 1) == 0


def test_a_code_in_tones_ends_it_where_it_began_and_none_of_its_sound_is_kept(left: Left) -> None:
    assert len(left.in_tones) == len(LISTENERS)
    for records in left.in_tones:
        kept = b"".join(it.payload for it in records if isinstance(it, Audio) and it.channel == 0)
        assert len(kept) > MOST * len(BEFORE)
        assert BEFORE.startswith(kept), "nothing but what was said before the first key"


def test_no_key_is_in_a_clip_a_file_a_row_a_log_or_a_figure(left: Left) -> None:
    sounds = [it for records in left.records.values() for it in records if isinstance(it, Audio)]
    assert {it.payload_type for it in sounds} == {PCMA}
    names = " ".join(name for name, _ in left.files)
    for wanted in ("catalogue.db", "serve.log", "clips/", "config.toml"):
        assert wanted in names, f"{wanted} was not looked at"
    for name, data in [*left.files, ("told", left.told.encode())]:
        assert not mentions(data, MENU), name
        assert b"Signal=" not in data, name
