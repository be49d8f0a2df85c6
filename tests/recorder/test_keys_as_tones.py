"""Keys as tones in the agent's audio, where no events for them were agreed on: told, and never kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.hearing import Hearing
from recorder.effects import Tap
from recorder.ring import SIDE_A, SIDE_B
from recorder.rtp import parse
from recorder.srtp import MasterKey, sealed
from sip_hooks.events import CallAnswered, MediaNegotiated
from tests.fakes.capture import AGENT, MS, OUTSIDE, CaptureSite, said
from tests.fakes.orders import START as CLOCK
from tests.fakes.relay import soon
from tests.fakes.rtp import PCMA, TELEPHONE_EVENT, packet
from tests.recorder import test_keys_in_media as in_media
from tests.recorder.test_keys_in_media import Keyed, orders
from tests.recorder.test_never_record import did
from tests.recorder.test_related_calls import CUSTOMER, Site
from tests.recorder.test_session import ANSWER, CALL, named, negotiated
from tests.recorder.test_tones import in_alaw, pressed

SILENT = b"\xd5" * 160
PRESSED = in_alaw(pressed("5", seconds=0.1))
FIRST, LAST = 40, 40 + len(PRESSED)
ONSET = 40 * 20
"""The tone begins in the first packet of what is pressed, and ends in the sixth."""
TONES = [[8, "PCMA", 8000]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def listen(site: CaptureSite, srtp: Any = None) -> None:
    order = {"op": "listen", "session": 7, "side": "a", "payload_types": [], "tones": TONES, "srtp": srtp}
    site.signalling.send(order)
    site.signalling.send({"op": "unknown", "session": 7})
    before = len(site.told("refused"))
    await soon(lambda: len(site.told("refused")) > before)


def arrive(site: CaptureSite, side: int, index: int, payload: bytes, master: MasterKey | None = None) -> None:
    data = packet(index, index * 160, payload, ssrc=side + 1, payload_type=PCMA)
    if master is not None:
        (data,) = sealed(master, [data])
    assert site.writer.write(7, side, (5000 + site.ms) * MS, memoryview(data))


def speak(site: CaptureSite, pressed_by: int, masters: tuple[MasterKey, MasterKey] | None = None) -> None:
    """Both sides speak for two seconds; one of them presses a key, and does not speak meanwhile."""
    for index in range(100):
        for side, voice in ((SIDE_A, AGENT), (SIDE_B, OUTSIDE)):
            is_key = side == pressed_by and FIRST <= index < LAST
            said_now = PRESSED[index - FIRST] if is_key else voice[index]
            arrive(site, side, index, said_now, masters[side] if masters else None)
        site.ms += 20
        if site.ms % 100 == 0:
            site.capture.beat()


async def test_a_key_is_told_as_of_when_its_tone_began_and_its_tone_is_in_no_clip(site: CaptureSite) -> None:
    clips = await site.begin("coaching", "training")
    await listen(site)
    speak(site, SIDE_A)
    await soon(lambda: bool(site.told("keys")))
    (told,) = site.told("keys")
    assert (told["keys"], told["heard_in"]) == ("5", "tones")
    assert told["at"] == (CLOCK + timedelta(milliseconds=ONSET)).isoformat()
    site.ms += 1000  # else the clips end at the key, which nobody has heeded yet
    await site.end("finish")
    await soon(lambda: len(site.told("sealed")) == 2)
    for clip in clips:
        kept = clip.audio(0)
        assert kept[:FIRST] == said(AGENT, 0, FIRST)
        assert kept[-20:] == said(AGENT, 80, 100), "what is said behind it is kept"
        assert not {payload for _, payload in kept} & set(PRESSED[:6])
        assert clip.audio(1) == said(OUTSIDE, 0, 100)


async def test_the_other_side_s_tones_are_its_own_affair(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    await listen(site)
    speak(site, SIDE_B)
    await site.end("finish")
    assert site.told("keys") == []
    assert len(clip.audio(0)) == len(clip.audio(1)) == 100


async def test_a_key_in_a_call_that_is_not_recorded_is_told_and_nothing_is_left_of_it(
    site: CaptureSite,
) -> None:
    await listen(site)
    speak(site, SIDE_A)
    await soon(lambda: bool(site.told("keys")))
    assert [it["keys"] for it in site.told("keys")] == ["5"]
    assert site.tap.is_blank()
    assert site.vault.clips == []


async def test_keys_of_an_encrypted_call_are_heard(site: CaptureSite) -> None:
    masters = MasterKey("AES_CM_128_HMAC_SHA1_80", b"a" * 30), MasterKey("AES_CM_128_HMAC_SHA1_80", b"b" * 30)
    rows = {
        side: {"suite": it.suite, "key": it.key.hex(), "mki": ""}
        for side, it in zip("ab", masters, strict=True)
    }
    await listen(site, rows)
    speak(site, SIDE_A, masters)
    await soon(lambda: bool(site.told("keys")))
    assert [it["keys"] for it in site.told("keys")] == ["5"]


async def test_two_parties_of_one_call_are_listened_to_each_by_itself(site: CaptureSite) -> None:
    await in_media.listen(site, TELEPHONE_EVENT)
    await in_media.listen(site, TELEPHONE_EVENT, side="b")
    in_media.arrive(site, SIDE_A, in_media.press(in_media.HASH, 1000, 1))
    in_media.arrive(site, SIDE_B, in_media.press(in_media.TWO, 1000, 1))
    await in_media.listen(site)
    in_media.arrive(site, SIDE_A, in_media.press(in_media.STAR, 9000, 20))
    in_media.arrive(site, SIDE_B, in_media.press(in_media.STAR, 9000, 20))
    await soon(lambda: len(site.told("keys")) == 3)
    assert [(it["side"], it["keys"]) for it in site.told("keys")] == [("a", "#"), ("b", "2"), ("b", "*")]


# --- packets as networks bring them


def heard(order: list[int], sounds: list[bytes]) -> tuple[str, set[int]]:
    """The keys, and which packets are silent, when packets come in this order."""
    hearing, keys, silent = Hearing({PCMA: ("PCMA", 8000)}), "", set[int]()
    for arrival, index in enumerate(order):
        data = packet(index, index * 160 & 0xFFFFFFFF, sounds[index], ssrc=3, payload_type=PCMA)
        header = parse(data)
        keys += "".join(it.key for it in hearing.take(header, sounds[index], arrival))
        if hearing.silence is not None:
            silent |= {it for it in order[: arrival + 1] if hearing.silence.holds(3, it * 160)}
    return keys, silent


def test_a_packet_that_is_lost_late_or_doubled_neither_parts_a_key_nor_is_kept_of_it() -> None:
    sounds = [SILENT] * 5 + PRESSED[:6] + [SILENT] * 15
    tone, order = set(range(5, 11)), list(range(len(sounds)))
    assert heard(order, sounds)[0] == "5"
    assert heard(order, sounds)[1] >= tone
    assert heard([it for it in order if it != 8], sounds)[0] == "5"
    late = [it for it in order if it != 7]
    late.insert(15, 7)
    assert heard(late, sounds)[0] == "5"
    assert 7 in heard(late, sounds)[1]
    assert heard([it for each in order for it in (each, each)], sounds)[0] == "5"


def test_after_a_silence_in_which_nothing_was_sent_a_key_is_another_one() -> None:
    sounds = PRESSED[:6] + [SILENT] * 30 + PRESSED[:6] + [SILENT] * 5
    sent = [it for it in range(len(sounds)) if not 5 < it < 36]
    assert heard(sent, sounds)[0] == "55"


# --- and when they are listened for


def media(*, caller: bool, callee: bool) -> MediaNegotiated:
    """Who of the two offers events for keys."""
    made = negotiated()
    assert made.caller and made.callee
    events = frozenset({101})
    return replace(
        made,
        caller=replace(made.caller, telephone_events=events if caller else frozenset()),
        callee=replace(made.callee, telephone_events=events if callee else frozenset()),
    )


def begun(caller: bool, callee: bool) -> list[Any]:
    site = Site(Keyed().site.calls._policy)
    site.offer(CALL, CUSTOMER)
    site.tell(media(caller=caller, callee=callee))
    return list(site.calls.on_event(CallAnswered(CALL, ANSWER, "t", named("callee", CUSTOMER)), ANSWER))


@pytest.mark.parametrize(("caller", "callee"), [(True, False), (False, True), (False, False)])
def test_tones_are_listened_for_where_not_both_have_agreed_on_events(caller: bool, callee: bool) -> None:
    effects = begun(caller, callee)
    listened = orders(effects)[0]
    events = [101] if caller or callee else []
    assert (listened["op"], listened["payload_types"], listened["tones"]) == ("listen", events, TONES)
    tap = next(it for it in effects if isinstance(it, Tap))
    ((side, types),) = tap.keys
    assert (tap.level, side, sorted(types)) == ("events", "a", [8, *events])


def test_where_both_have_agreed_on_events_audio_is_not_listened_to() -> None:
    effects = begun(caller=True, callee=True)
    assert orders(effects)[0]["tones"] == []
    assert next(it.keys for it in effects if isinstance(it, Tap)) == (("a", (101,)),)


def test_a_key_that_is_heard_in_two_ways_is_pressed_once() -> None:
    call = Keyed()
    number, at = call.site.calls.numbers()[0], ANSWER + timedelta(seconds=10)
    assert did(call.site.calls.on_keys(number, "#", at, at)) == ["events", "pause"]
    assert did(call.site.calls.on_keys(number, "#", at, at, "tones")) == []
    one = at + timedelta(seconds=1)
    assert did(call.site.calls.on_keys(number, "5", one, one)) == []
    assert did(call.site.calls.on_keys(number, "5", one, one, "tones")) == ["resume", "all"]
