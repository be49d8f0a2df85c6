"""Each party of each call speaks its own pseudo-random sequence. Afterwards everything is searched for it.

Of those who may be recorded there is no plaintext anywhere but in what their clips hold when they are opened;
of the others there is nothing anywhere, and never was anything in the ring.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from demo.installation import until
from demo.telephony import PASSWORD
from portal import playback
from recorder.config import load
from recorder.service import places
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import NotFound
from storage.keydoor import KeyDoor
from storage.records import Audio
from storage.vault import Opened, Vault
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CLIENT,
    COLLEAGUE,
    CUSTOMER,
    FORWARDED,
    HOME,
    LISTENERS,
    PATIENCE_SECONDS,
    PREFIX,
    SPECIALIST,
    UNLISTED,
    Recorder,
    running,
)
from tests.end_to_end.peers.scripted import Phone, converse
from tests.end_to_end.traces import RingWatch, files, mentions, ring_file, said
from tests.fakes.speech import Search, forms, voice, windows

SECONDS = 1.5
TAP_SECONDS = 0.4
"""So much of an answered call may pass before capture and relay have been told of it."""

SAYS = {FORWARDED: (f"P-Asserted-Identity: <sip:{SPECIALIST}@pbx.example>",)}


@dataclass(frozen=True, slots=True)
class Plan:
    """A call: who calls whom by which number."""

    caller: str
    callee: str
    dialled: str = ""


KEPT = {
    "a customer calls": Plan(CUSTOMER, AGENT, BUSINESS_NUMBER),
    "the agent calls": Plan(AGENT, CLIENT),
}
REFUSED = {
    "privileged caller": Plan(SPECIALIST, AGENT, BUSINESS_NUMBER),
    "privileged callee": Plan(AGENT, SPECIALIST),
    "answered by the privileged": Plan(AGENT, FORWARDED),
    "private prefix": Plan(AGENT, HOME, PREFIX + HOME),
    "unlisted extension": Plan(UNLISTED, CLIENT),
    "internal call": Plan(AGENT, COLLEAGUE),
}
UNSIGNED = {"unsigned scheme": Plan(AGENT, CLIENT)}

SWITCHED_OFF = {
    f'numbers = ["250", "{SPECIALIST}"]': 'numbers = ["250"]',
    f'prefix = "{PREFIX}"': 'prefix = "*99"',
    '"201-219"]': '"201-239"]',
    f'extensions = ["{AGENT}", "{COLLEAGUE}"]': f'extensions = ["{AGENT}", "{COLLEAGUE}", "{UNLISTED}"]',
}
"""A configuration without the rules that keep out REFUSED; but for the internal call."""


@dataclass(slots=True)
class Evidence:
    """What was said, and all that was found of it."""

    voices: dict[str, bytes]
    search: Search
    in_ring: set[str] = field(default_factory=set)
    left_in_ring: bytes = b""
    told: str = ""
    files: list[tuple[str, bytes]] = field(default_factory=list)
    clips: list[Opened] = field(default_factory=list)

    def in_files(self) -> dict[str, set[str]]:
        """Which file holds whose voice."""
        found = {name: set(self.search.found(data)) for name, data in self.files}
        return {name: names for name, names in found.items() if names}

    def in_clips(self) -> list[dict[str, set[int]]]:
        """For each opened clip, the windows of voices in it: as it was kept, and as it is played."""
        found = []
        for clip in self.clips:
            kept = [
                b"".join(it.payload for it in clip.records if isinstance(it, Audio) and it.channel == side)
                for side in (0, 1)
            ]
            played = playback.render(clip.records, clip.header.codecs).samples
            sound = [*kept, played[:, 0].tobytes(), played[:, 1].tobytes()]
            found.append(self.search.found(b"".join(sound)))
        return found


def voices_of(plans: Mapping[str, Plan]) -> dict[str, bytes]:
    return {
        f"{name}, {role}": voice(f"{name}, {role}", SECONDS)
        for name in plans
        for role in ("caller", "callee")
    }


async def hold_calls(
    recorder: Recorder, plans: Mapping[str, Plan], voices: Mapping[str, bytes], meanwhile: Callable[[], None]
) -> None:
    """These calls one after the other, and something else while they last: what a telephone says in two at
    once may be a three-way call.
    """
    async with contextlib.AsyncExitStack() as stack:
        phones = {
            number: await stack.enter_async_context(
                Phone(number, PASSWORD, recorder.address, SAYS.get(number, ()))
            )
            for number in sorted({it.caller for it in plans.values()} | {it.callee for it in plans.values()})
        }
        looking = asyncio.create_task(asyncio.to_thread(meanwhile))
        for name, plan in plans.items():
            await converse(
                phones[plan.caller],
                phones[plan.callee],
                plan.dialled or plan.callee,
                (voices[f"{name}, caller"], voices[f"{name}, callee"]),
            )
        await looking


async def open_all(recorder: Recorder) -> list[Opened]:
    """Every clip that has something in it, opened for its purpose through the key service."""
    config = load(recorder.config)
    catalogue = await Catalogue.open(places.catalogue(config))
    vault = await Vault.open(config.storage.directory, catalogue, SystemClock(config.clock.offset_file))
    door = KeyDoor(places.keys(config))
    opened = []
    for purpose, person in LISTENERS.items():
        for clip in await asyncio.to_thread(recorder.clips, purpose):
            with contextlib.suppress(NotFound):  # it ended before the first word
                key = await door.open_clip(clip["clip"], purpose, "play", "an end-to-end test", person)
                opened.append(await vault.read(clip["clip"], key))
    await catalogue.close()
    return opened


def look_everywhere(
    recorder: Recorder,
    plans: Mapping[str, Plan],
    evidence: Evidence,
    kept: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Hold the calls, watch the ring, wait until `kept` clips of each purpose are sealed, open them."""
    with RingWatch(ring_file(recorder), evidence.search) as watch:
        asyncio.run(hold_calls(recorder, plans, evidence.voices, meanwhile))
        for purpose in LISTENERS:
            recorder.sealed(kept, purpose)
    until(lambda: not watch.used(), bool, PATIENCE_SECONDS)
    evidence.left_in_ring = watch.used()
    evidence.in_ring |= watch.seen
    evidence.clips = asyncio.run(open_all(recorder))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """One call before the scheme is signed, all others after; then the service is stopped, too."""
    voices = voices_of(KEPT | REFUSED | UNSIGNED)
    evidence = Evidence(voices, Search(voices))
    with running(tmp_path_factory.mktemp("everything"), signed=False) as recorder:
        look_everywhere(recorder, UNSIGNED, evidence, kept=0)
        recorder.sign()

        def take() -> None:
            evidence.told += said(recorder)
            evidence.files += files(recorder)

        look_everywhere(recorder, KEPT | REFUSED, evidence, kept=len(KEPT), meanwhile=take)
        take()
    evidence.files += files(recorder)
    return evidence


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Calls as in `evidence`, while the rules that kept them out are switched off."""
    plans = {name: plan for name, plan in REFUSED.items() if name != "internal call"}
    voices = voices_of(plans)
    evidence = Evidence(voices, Search(voices))
    with running(tmp_path_factory.mktemp("control"), SWITCHED_OFF) as recorder:
        look_everywhere(recorder, plans, evidence, kept=len(plans))
    return evidence


def spoken(plans: Mapping[str, Plan]) -> set[str]:
    return set(voices_of(plans))


def test_who_may_be_recorded_is_in_a_clip_of_each_purpose(evidence: Evidence) -> None:
    assert {clip.header.purpose for clip in evidence.clips} == set(LISTENERS)
    for purpose in LISTENERS:
        found: dict[str, set[int]] = {}
        for clip, windows_in in zip(evidence.clips, evidence.in_clips(), strict=True):
            if clip.header.purpose == purpose:
                found |= windows_in
        assert set(found) == spoken(KEPT)
        for name, alaw in evidence.voices.items():
            if name in found:
                assert windows(alaw, TAP_SECONDS) <= found[name], name


def test_who_must_not_be_recorded_is_in_no_clip(evidence: Evidence) -> None:
    assert not set().union(*evidence.in_clips()) & spoken(REFUSED | UNSIGNED)


def test_no_file_holds_a_word_in_plaintext(evidence: Evidence) -> None:
    names = " ".join(name for name, _ in evidence.files)
    for wanted in ("catalogue.db", "-wal", "-shm", "serve.log", "clips/", "keystore", "config.toml"):
        assert wanted in names, f"{wanted} was not looked at"
    assert evidence.in_files() == {}


def test_the_ring_holds_those_who_are_recorded_and_nobody_else(evidence: Evidence) -> None:
    assert evidence.in_ring == spoken(KEPT)


def test_after_hang_up_and_horizon_the_ring_is_empty(evidence: Evidence) -> None:
    assert evidence.left_in_ring == b""


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "internal call"])
def test_with_its_rule_switched_off_the_same_call_is_found(control: Evidence, name: str) -> None:
    for speaker in spoken({name: REFUSED[name]}):
        assert speaker in control.in_ring
        assert any(
            windows(control.voices[speaker], TAP_SECONDS) <= it.get(speaker, set())
            for it in control.in_clips()
        )


def test_of_the_private_call_no_digit_is_left(evidence: Evidence) -> None:
    assert "private" in evidence.told, "the call was not even counted"
    assert not mentions(evidence.told.encode(), HOME)
    assert [name for name, data in evidence.files if mentions(data, HOME)] == []


def test_with_the_prefix_switched_off_the_number_is_where_it_belongs(control: Evidence) -> None:
    """In the sealed part of the clip, and nowhere else."""
    parties = [
        repr(record.outside)
        for clip in control.clips
        for record in clip.records
        if hasattr(record, "outside")
    ]
    assert any(mentions(it.encode(), HOME) for it in parties)


@pytest.mark.parametrize("form", forms(b""))
def test_the_search_finds_a_voice_in_every_form(form: str) -> None:
    mine, other = voice("mine", 0.5), voice("other", 0.5)
    search = Search({"mine": mine, "other": other})
    width = 2 if "linear" in form else 1
    piece = forms(mine)[form][100 * width : 196 * width]
    for before in range(9):
        assert set(search.found(bytes(before) + piece + bytes(7))) == {"mine"}
    assert search.found(bytes(100_000)) == {}


def test_the_search_for_a_number_finds_it() -> None:
    for data in (b"0687654321", b'"+31687654321"', "687654321".encode("utf-16-le"), b"...654321"):
        assert mentions(data, HOME)
    assert not mentions(b"a0f1" * 5 + b"654321" + b"a0f1" * 5, HOME)
