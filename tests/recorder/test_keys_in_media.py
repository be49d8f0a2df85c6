"""Keys in RTP (RFC 4733): each is heard once, from our own telephone alone, recorded or not."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.keys import MOST_KEYS, Keys
from recorder.capture.orders import OrderError
from recorder.dtmf import Events
from recorder.effects import OpenMedia, Remind, Tap, TellCapture
from recorder.feature_codes import FeatureCodes
from recorder.relay.protocol import OrderError as RelayError
from recorder.relay.protocol import tap_of
from recorder.relay.stream import AUDIO, CONTROL, REFUSED, kinds
from recorder.ring import SIDE_A, SIDE_B
from recorder.rtp import Header, parse
from sip_hooks.events import CallAnswered, CallEnded, KeysPressed, MediaNegotiated
from sip_hooks.sdp import describe
from tests.fakes.capture import AGENT, CaptureSite, said
from tests.fakes.orders import START as CLOCK
from tests.fakes.relay import soon
from tests.fakes.rtp import PCMA, TELEPHONE_EVENT, packet
from tests.recorder.test_feature_codes import CODES, in_force
from tests.recorder.test_never_record import PAUSED, WENT_ON, did, says
from tests.recorder.test_related_calls import CUSTOMER, SECOND, Site, contact
from tests.recorder.test_session import ANSWER, CALL, END, SDP, named, of_kind, offered

PAUSED_AND_LISTENING = ["events", "pause"]
HASH, STAR, TWO, FLASH = 11, 10, 2, 16


def event(number: int, timestamp: int, sequence: int, *, end: bool = False, duration: int = 160) -> bytes:
    payload = struct.pack("!BBH", number, 0x80 | 10 if end else 10, duration)
    return packet(sequence, timestamp, payload, ssrc=9, payload_type=TELEPHONE_EVENT)


def press(number: int, timestamp: int, first: int) -> list[bytes]:
    """A key as telephones send it: while it is held, and its end three times."""
    held = [event(number, timestamp, first + it, duration=160 * (it + 1)) for it in range(4)]
    return held + [event(number, timestamp, first + 4 + it, end=True, duration=800) for it in range(3)]


def heard(packets: list[bytes]) -> str:
    events = Events()
    return "".join(
        events.take(header, it[header.start : header.end]) for it in packets for header in [parse(it)]
    )


def test_a_key_is_told_once_however_often_it_is_sent() -> None:
    assert heard(press(HASH, 1000, 1)) == "#"
    assert heard(press(STAR, 1000, 1) + press(TWO, 2600, 8)) == "*2"
    assert heard(press(HASH, 1000, 1) + press(HASH, 2600, 8)) == "##"


def test_every_key_has_its_sign() -> None:
    every = [it for number in range(17) for it in press(number, 8000 * number, 10 * number)]
    assert heard(every) == "0123456789*#ABCD!"


@pytest.mark.parametrize("kept", [[0], [3], [4], [5], [6], [1, 6], [0, 4, 5]])
def test_one_packet_of_a_key_is_enough(kept: list[int]) -> None:
    assert heard([press(HASH, 1000, 1)[it] for it in kept]) == "#"


def test_packets_that_come_twice_or_late_are_no_further_key() -> None:
    first = press(HASH, 1000, 65533)  # the numbering wraps
    assert heard([*first, *first]) == "#"
    assert heard([first[4], first[0], first[5], first[1]]) == "#"
    assert heard([*first, *press(TWO, 2600, 65540), first[2]]) == "#2"


def test_two_presses_with_one_timestamp_are_two() -> None:
    assert heard(press(HASH, 1000, 1) + press(HASH, 1000, 8)) == "##"
    assert heard(press(STAR, 1000, 1) + press(TWO, 1000, 8)) == "*2"


def test_what_is_no_key_and_what_is_cut_off_tells_of_none() -> None:
    assert heard(press(64, 1000, 1)) == ""
    assert heard([packet(1, 1, b"\x0b\x0a", payload_type=TELEPHONE_EVENT)]) == ""


# --- the relay lets through the keys of one side and nothing else


def test_the_tap_lets_keys_through_and_no_audio_and_both_are_forwarded() -> None:
    table = kinds(frozenset({PCMA, TELEPHONE_EVENT}), True, frozenset({TELEPHONE_EVENT}))
    assert (table[TELEPHONE_EVENT], table[TELEPHONE_EVENT | 128]) == (AUDIO, AUDIO)
    assert (table[PCMA], table[PCMA | 128], table[0]) == (CONTROL, CONTROL, REFUSED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": {"a": []}},
        {"keys": {"c": [101]}},
        {"keys": {"a": [128]}},
        {"keys": {"a": [101], "b": []}},
        {"keys": [101]},
        {"keys": {}},
        {},
    ],
)
def test_a_tap_of_keys_that_does_not_say_which_opens_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(RelayError):
        tap_of({"level": "events", **wrong})
    assert tap_of({"level": "none", **wrong}) == {"level": "none"}


# --- capture tells them


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


def arrive(site: CaptureSite, side: int, packets: list[bytes], session: int = 7) -> None:
    for it in packets:
        site.writer.write(session, side, (5000 + site.ms) * 1_000_000, memoryview(it))
    site.capture.beat()


async def listen(site: CaptureSite, *types: int, side: str = "a") -> None:
    site.signalling.send(
        {"op": "listen", "session": 7, "side": side, "payload_types": list(types), "srtp": None}
    )
    site.signalling.send({"op": "unknown", "session": 7})
    before = len(site.told("refused"))
    await soon(lambda: len(site.told("refused")) > before)


async def test_keys_of_a_call_that_is_not_recorded_are_told_with_their_instant(site: CaptureSite) -> None:
    await listen(site, TELEPHONE_EVENT)
    arrive(site, SIDE_A, press(HASH, 1000, 1))
    await soon(lambda: bool(site.told("keys")))
    told = site.told("keys")
    assert [(it["session"], it["keys"]) for it in told] == [(7, "#")]
    assert told[0]["at"] == (CLOCK + timedelta(milliseconds=site.ms)).isoformat()
    assert site.tap.is_blank()


async def test_the_other_sides_keys_other_calls_and_other_packets_tell_nothing(site: CaptureSite) -> None:
    await listen(site, TELEPHONE_EVENT)
    arrive(site, SIDE_B, press(HASH, 1000, 1))
    arrive(site, SIDE_A, press(HASH, 1000, 1), session=8)
    arrive(site, SIDE_A, [packet(1, 1, b"\x0b\x0a\0\xa0")])
    await listen(site)
    arrive(site, SIDE_A, press(HASH, 1000, 1))
    arrive(site, SIDE_A, [])
    await listen(site, TELEPHONE_EVENT)
    assert site.told("keys") == []
    assert site.tap.is_blank()


async def test_a_key_from_before_an_order_to_listen_no_more_is_told(site: CaptureSite) -> None:
    await listen(site, TELEPHONE_EVENT)
    for it in press(HASH, 1000, 1):
        site.writer.write(7, SIDE_A, (5000 + site.ms) * 1_000_000, memoryview(it))
    await listen(site)
    assert [it["keys"] for it in site.told("keys")] == ["#"]


@pytest.mark.parametrize(("pressed_at", "kept"), [(1400, 71), (900, 100)])
async def test_a_call_ends_where_a_key_was_pressed_of_which_nobody_may_know_yet(
    pressed_at: int, kept: int, site: CaptureSite
) -> None:
    (clip,) = await site.begin()
    await listen(site, TELEPHONE_EVENT)
    site.talk(pressed_at)
    arrive(site, SIDE_A, press(HASH, 1000, 1))
    site.talk(2000)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, kept)
    assert clip.ended and clip.ended[0] == "complete"


async def test_a_telephone_that_sends_keys_without_end_counts_as_a_code_and_is_heard_no_more(
    site: CaptureSite,
) -> None:
    await listen(site, TELEPHONE_EVENT)
    every = [event(TWO, 1000 + 160 * it, it, end=True) for it in range(1100)]
    for first in range(0, 1100, 500):
        arrive(site, SIDE_A, every[first : first + 500])
    await listen(site, TELEPHONE_EVENT)
    arrive(site, SIDE_A, press(HASH, 1, 2000))
    await soon(lambda: len(site.told("keys")) > MOST_KEYS)
    await listen(site)
    assert [it["keys"] for it in site.told("keys")] == ["2"] * MOST_KEYS + ["!"]


@pytest.mark.parametrize("wrong", [{"side": "c", "payload_types": [101]}, {"side": "a"}])
def test_an_order_to_listen_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    keys = Keys(lambda: CLOCK, lambda: 0)
    owner: Any = object()
    with pytest.raises(OrderError):
        keys.listen(owner, {"session": 7, **wrong})
    assert not keys.hear(7, 0, 0, Header(101, 1, 1, 1, 12, 16), memoryview(bytes(16))).is_listened_to


# --- and what comes of them

OFFER = SDP.format(address="{address}", port="{port}", codec="8 101", name="PCMA").replace(
    "a=rtpmap:8 101 PCMA", "a=rtpmap:101 telephone-event"
)


class Keyed:
    """A call of the agent's whose telephone sends keys in RTP."""

    def __init__(self, codes: FeatureCodes | None = CODES, **changes: Any) -> None:
        self.site = Site(in_force(codes))
        self.site.offer(CALL, CUSTOMER, **changes)
        self.site.tell(self.media())
        effects = self.site.calls.on_event(CallAnswered(CALL, ANSWER, "t", named("callee", CUSTOMER)), ANSWER)
        self.begun: list[Any] = list(effects)

    def media(self) -> MediaNegotiated:
        ends = ("192.0.2.31", 4000), ("192.0.2.20", 6000)
        caller, callee = (describe(OFFER.format(address=host, port=port).encode()).end for host, port in ends)
        return MediaNegotiated(CALL, "t", caller, callee, True, frozenset())

    def press(self, keys: str, seconds: float = 10.0, late: float = 0.2) -> list[Any]:
        number = self.site.calls.numbers()[0]
        at = ANSWER + timedelta(seconds=seconds)
        return self.site.calls.on_keys(number, keys, at, at + timedelta(seconds=late))

    def told_in_info(self, keys: str, seconds: float) -> list[str]:
        at = ANSWER + timedelta(seconds=seconds)
        return did(self.site.calls.on_event(KeysPressed(CALL, "caller", keys), at))


def orders(effects: list[Any]) -> list[dict[str, Any]]:
    return [it.message for it in of_kind(effects, TellCapture)]


def test_from_the_answer_on_the_keys_of_our_telephone_are_heard() -> None:
    listened, begin = orders(Keyed().begun)
    assert (listened["op"], listened["side"], listened["payload_types"]) == ("listen", "a", [101])
    assert begin["op"] == "begin"


def test_a_pbx_without_codes_is_not_listened_to() -> None:
    assert [it["op"] for it in orders(Keyed(FeatureCodes()).begun)] == ["begin"]


def test_a_code_takes_back_what_follows_its_first_key() -> None:
    call = Keyed()
    tap, pause, remind = call.press("#", seconds=10)
    assert tap == Tap(tap.session, "events", (("a", (101,)),)), "the next key has to be heard, too"
    assert pause.message["at"] == (ANSWER + timedelta(seconds=10)).isoformat()
    assert isinstance(remind, Remind)
    assert did(call.press("#", seconds=11)) == []
    assert did(call.site.calls.on_reminder(CALL, ANSWER + timedelta(seconds=60))) == []


def test_keys_that_are_no_code_cost_nothing_or_the_time_until_that_is_known() -> None:
    call = Keyed()
    assert did(call.press("123")) == []
    assert did(call.press("*", seconds=20)) == ["events", "pause"]
    assert did(call.press("1", seconds=21)) == ["resume", "all"]


def test_without_a_list_any_key_ends_the_recording() -> None:
    assert did(Keyed(None).press("1")) == ["listen", "none", "taint"]


def test_who_missed_keys_does_not_go_on() -> None:
    """While capture or the media broker was out of reach nobody has heard what was pressed."""
    for back in ("on_capture_back", "on_media_back"):
        call = Keyed()
        arguments = (True, END) if back == "on_capture_back" else (END,)
        assert did(getattr(call.site.calls, back)(*arguments))[:3] == ["listen", "none", "taint"]


def test_nothing_is_listened_to_any_more_when_the_call_is_over() -> None:
    call = Keyed()
    effects = call.site.calls.on_event(CallEnded(CALL, END, "bye", 200), END)
    assert next((it["op"], it.get("payload_types")) for it in orders(effects)) == ("listen", [])


def test_keys_that_are_told_when_nobody_listens_any_more_count() -> None:
    call = Keyed()
    media, deaf = call.media(), call.site.media(CALL)
    assert media.caller and media.callee and deaf.caller
    codecs = deaf.caller.codecs
    ends = (replace(it, telephone_events=frozenset(), codecs=codecs) for it in (media.caller, media.callee))
    assert call.site.tell(replace(media, caller=next(ends), callee=next(ends))) == ["listen"]
    assert did(call.press("#")) == ["none", "pause"]


def test_a_doubt_that_reaches_back_to_before_a_pause_is_told() -> None:
    """The same key is told twice: in an INFO, and of the RTP before it, later."""
    call = Keyed()
    assert call.told_in_info("#", 10) == PAUSED_AND_LISTENING
    assert did(call.press("#", seconds=9.9)) == PAUSED_AND_LISTENING
    assert did(call.press("1", seconds=11)) == []


# --- a telephone that speaks in two calls


def beside(codes: FeatureCodes | None = CODES) -> Keyed:
    """Two calls of one telephone, neither on hold."""
    call = Keyed(codes)
    call.site.offer(SECOND, "+31687654321")
    assert call.site.answer(SECOND, "+31687654321") == ["begin", "all"]
    return call


def test_keys_in_one_call_of_a_telephone_hold_the_other_one_from_the_same_instant() -> None:
    call = beside()
    effects = call.press("#", seconds=10)
    assert did(effects) == ["events", "pause", "none", "pause"]
    assert {it["at"] for it in orders(effects)} == {(ANSWER + timedelta(seconds=10)).isoformat()}
    call.press("1", seconds=10.2)
    assert call.told_in_info("#", 20) == [*PAUSED_AND_LISTENING, *PAUSED]
    earlier = orders(call.press("#", seconds=19.9))
    assert [it["at"] for it in earlier] == 2 * [(ANSWER + timedelta(seconds=19.9)).isoformat()]


def test_keys_that_turn_out_to_be_none_let_both_calls_go_on() -> None:
    call = beside()
    call.press("*", seconds=10)
    assert did(call.press("1", seconds=11)) == ["resume", "all", "resume", "all"]
    (remind,) = of_kind(call.press("*", seconds=20), Remind)
    late = ANSWER + timedelta(seconds=20 + remind.seconds)
    assert did(call.site.calls.on_reminder(CALL, late)) == ["resume", "all", "resume", "all"]


def test_keys_in_a_call_that_was_stopped_hold_the_one_beside_it() -> None:
    """Nothing is kept of the first any more, and its telephone is still listened to."""
    call = beside()
    first = call.site.calls.summaries()[0]["call"]
    assert did(call.site.calls.stop(first, (), ANSWER) or []) == ["events", "taint"]
    assert did(call.press("#")) == PAUSED


def test_of_a_call_that_is_kept_out_no_key_is_heard() -> None:
    call = Keyed()
    assert did(call.site.calls.on_event(says("diversion", "250"), ANSWER)) == ["listen", "none", "taint"]
    call = Keyed()
    assert did(call.site.calls.abandon(CALL, ANSWER)) == ["listen", "none", "taint"]


def test_a_reminder_comes_when_the_time_of_a_key_is_over_for_certain() -> None:
    call = Keyed()
    (remind,) = of_kind(call.press("*", seconds=20, late=0.0), Remind)
    assert did(call.site.calls.on_reminder(CALL, ANSWER + timedelta(seconds=20 + remind.seconds))) == WENT_ON


def test_without_a_list_any_key_holds_the_call_beside_it() -> None:
    call = beside(None)
    assert did(call.press("1"))[-2:] == PAUSED


def test_who_missed_keys_in_one_call_does_not_go_on_in_the_other() -> None:
    call = beside()
    assert did(call.site.calls.on_media_back(END))[:5] == ["listen", "none", "taint", "none", "taint"]


def test_a_call_whose_keys_nobody_can_hear_holds_the_one_beside_it() -> None:
    """No ports were left for it: what is pressed there passes us by."""
    call = Keyed()
    event = offered("201", "+31687654321", call=SECOND, conversation=SECOND)
    event = replace(event, identities=(*event.identities, contact("caller", "201")))
    (asked,) = of_kind(call.site.calls.on_event(event, ANSWER), OpenMedia)
    call.site.calls.media_opened(SECOND, asked.session, None)
    assert did(answer_of(call)) == ["events", "pause"]
    call = Keyed(FeatureCodes())
    (asked,) = of_kind(call.site.calls.on_event(event, ANSWER), OpenMedia)
    call.site.calls.media_opened(SECOND, asked.session, None)
    assert did(answer_of(call)) == [], "no key is an order to this PBX"


def answer_of(call: Keyed) -> list[Any]:
    answer = CallAnswered(SECOND, ANSWER, "t", named("callee", "+31687654321"))
    return call.site.calls.on_event(answer, ANSWER)


def test_keys_of_a_call_that_nobody_listens_to_are_nothing() -> None:
    call = Keyed(FeatureCodes())
    assert call.press("#") == []
