"""SRTP with keys in the descriptions (RFC 4568): what was agreed on opens our copy, else nothing is kept."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest

from recorder.capture.protection import MOST_REFUSED
from recorder.effects import TellCapture
from recorder.ends import Ends
from recorder.ring import SIDE_A, SIDE_B
from sip_hooks.events import MediaNegotiated
from sip_hooks.sdp import describe
from tests.fakes.capture import AGENT, OUTSIDE, CaptureSite, said
from tests.fakes.orders import begin
from tests.fakes.relay import soon
from tests.fakes.rtp import PCMA, SAMPLES, TELEPHONE_EVENT, packet
from tests.recorder.test_keys_in_media import HASH, press
from tests.recorder.test_session import ANSWER, CALL, SDP, anchored, answered, of_kind

PLAIN = SDP.replace("{codec}", "8").replace("{name}", "PCMA")
SUITE = "AES_CM_128_HMAC_SHA1_80"


def key(number: int) -> bytes:
    return bytes([number]) * 30


def line(number: int, tag: int = 1, suite: str = SUITE) -> str:
    size = 28 if "GCM" in suite else 30
    return f"a=crypto:{tag} {suite} inline:{b64encode(key(number)[:size]).decode()}\r\n"


def ends(caller: str, callee: str, *, caller_is: str = "SAVP", callee_is: str = "SAVP") -> MediaNegotiated:
    caller_end, callee_end = (
        describe((PLAIN.format(address=host, port=port).replace("/AVP", f"/{profile}") + lines).encode())
        for host, port, profile, lines in (
            ("192.0.2.31", 4000, caller_is, caller),
            ("192.0.2.20", 6000, callee_is, callee),
        )
    )
    obstacles = caller_end.obstacles | callee_end.obstacles
    return MediaNegotiated(CALL, "t", caller_end.end, callee_end.end, True, obstacles)


def begun(event: MediaNegotiated) -> tuple[Any, list[dict[str, Any]]]:
    """A call with this media, and what capture is told at its answer."""
    call = anchored()
    call.on_event(event, ANSWER)
    return call, told(call.on_event(answered(), ANSWER))


def told(effects: list[Any]) -> list[dict[str, Any]]:
    return [it.message for it in of_kind(effects, TellCapture)]


def keys_in(message: dict[str, Any]) -> Any:
    found = message["srtp"]
    return found and {side: (it["suite"], bytes.fromhex(it["key"])) for side, it in found.items()}


AGREED = {"a": (SUITE, key(1)), "b": (SUITE, key(2))}


# --- what was agreed upon


def test_each_side_is_opened_with_the_key_that_it_named_itself() -> None:
    _, (message,) = begun(ends(line(1), line(2)))
    assert message["op"] == "begin"
    assert keys_in(message) == AGREED


def test_of_several_keys_in_an_offer_the_one_counts_that_the_answer_chose() -> None:
    offer = line(9, 1, "AEAD_AES_128_GCM") + line(1, 2) + line(8, 3, "AES_CM_128_HMAC_SHA1_32")
    _, (message,) = begun(ends(offer, line(2, 2)))
    assert keys_in(message) == AGREED
    _, (message,) = begun(ends(line(1, 2), line(7, 1, "AEAD_AES_128_GCM") + line(2, 2)))  # the callee offered
    assert keys_in(message) == AGREED


def test_keys_beside_rtp_avp_count_if_both_name_them() -> None:
    """RFC 8643: a telephone that would like to be secure."""
    _, (message,) = begun(ends(line(1), line(2), caller_is="AVP", callee_is="AVP"))
    assert keys_in(message) == AGREED
    _, (message,) = begun(ends(line(1), "", caller_is="AVP", callee_is="AVP"))
    assert keys_in(message) is None


@pytest.mark.parametrize(
    "event",
    [
        ends(line(1), line(2, 2)),  # another tag
        ends(line(1), line(2, 1, "AEAD_AES_128_GCM")),  # another suite
        ends(line(1) + line(3, 2), line(2) + line(4, 2)),  # no choice was made
        ends(line(1), "", callee_is="AVP"),  # it must be secure, and is not
        ends(line(1) + "a=crypto:2 NEW_SUITE inline:x\r\n", "a=crypto:2 NEW_SUITE inline:y\r\n"),
        ends(line(1, 1) + line(3, 2), line(2, 3), caller_is="AVP", callee_is="AVP"),
    ],
)
def test_what_was_not_agreed_upon_for_certain_is_not_recorded(event: MediaNegotiated) -> None:
    call, messages = begun(event)
    assert messages == []
    assert "srtp" in call.facts.obstacles


def test_keys_that_change_are_told_and_keys_that_are_not_known_end_the_recording() -> None:
    call, _ = begun(ends(line(1), line(2)))
    (message,) = told(call.on_event(ends(line(3), line(4)), ANSWER))
    assert (message["op"], keys_in(message)) == ("codecs", {"a": (SUITE, key(3)), "b": (SUITE, key(4))})
    (codecs, taint) = told(call.on_event(ends(line(3), line(4, 2)), ANSWER))
    assert (codecs["op"], taint["op"]) == ("codecs", "taint")


def test_where_neither_chose_among_many_keys_nobody_looks_through_all_pairs() -> None:
    class Many(tuple[Any, ...]):
        def __iter__(self) -> Any:
            raise AssertionError("looked through")

    ends_of = Ends()
    event = ends(line(1) + line(2, 2), line(3) + line(4, 2))
    assert event.caller and event.callee
    caller, callee = (replace(it, cryptos=Many(it.cryptos)) for it in (event.caller, event.callee))
    ends_of.learn(replace(event, caller=caller, callee=callee))
    assert ends_of.srtp() is None


def test_no_key_shows_in_what_is_to_be_done() -> None:
    call = anchored()
    effects = call.on_event(ends(line(1), line(2)), ANSWER) + call.on_event(answered(), ANSWER)
    assert key(1).hex() not in repr(effects)
    assert "inline" not in repr(effects)


# --- what capture opens with it


class Speaker:
    """A telephone that sends SRTP."""

    def __init__(self, number: int) -> None:
        profile = pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        outbound = pylibsrtp.Policy.SSRC_ANY_OUTBOUND
        self.key = key(number)
        self.session = pylibsrtp.Session(
            pylibsrtp.Policy(key=self.key, ssrc_type=outbound, srtp_profile=profile)
        )

    def says(self, index: int, payload: bytes, side: int) -> bytes:
        return self.session.protect(packet(index, index * SAMPLES, payload, ssrc=side + 1))


def srtp(a: Speaker, b: Speaker) -> dict[str, dict[str, str]]:
    return {side: {"suite": SUITE, "key": it.key.hex(), "mki": ""} for side, it in (("a", a), ("b", b))}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


def arrive(site: CaptureSite, side: int, data: bytes) -> None:
    assert site.writer.write(7, side, (5000 + site.ms) * 1_000_000, memoryview(data))


def talk(site: CaptureSite, first: int, last: int, a: Speaker, b: Speaker) -> None:
    for index in range(first, last):
        arrive(site, SIDE_A, a.says(index, AGENT[index], 0))
        arrive(site, SIDE_B, b.says(index, OUTSIDE[index], 1))
        site.ms += 20
    site.capture.beat()


async def tell(site: CaptureSite, op: str, **rest: Any) -> None:
    """Give an order, and wait until it was carried out."""
    site.signalling.send({"op": op, "session": 7, **rest})
    before = len(site.told("refused"))
    site.signalling.send({"op": "unknown", "session": 7})
    await soon(lambda: len(site.told("refused")) > before)


CODECS = {"a": [[PCMA, "PCMA", 8000]], "b": [[PCMA, "PCMA", 8000]]}


async def test_what_both_say_is_in_the_clip_in_plain(site: CaptureSite) -> None:
    a, b = Speaker(1), Speaker(2)
    (clip,) = await site.begin(srtp=srtp(a, b))
    talk(site, 0, 50, a, b)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 50)
    assert clip.audio(1) == said(OUTSIDE, 0, 50)
    assert site.tap.is_blank()


async def test_a_packet_that_nobody_with_the_key_sent_is_in_no_clip(site: CaptureSite) -> None:
    a, b, stranger = Speaker(1), Speaker(2), Speaker(3)
    (clip,) = await site.begin(srtp=srtp(a, b))
    talk(site, 0, 10, a, b)
    arrive(site, SIDE_A, stranger.says(10, AGENT[99], 0))
    arrive(site, SIDE_A, packet(11, 11 * SAMPLES, AGENT[98]))  # in plain
    arrive(site, SIDE_A, b.says(12, AGENT[97], 0))  # the other side's key
    talk(site, 13, 20, a, b)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 10) + said(AGENT, 13, 20)


async def test_other_keys_take_over_and_what_is_on_its_way_still_opens(site: CaptureSite) -> None:
    old, new = (Speaker(1), Speaker(2)), (Speaker(3), Speaker(4))
    (clip,) = await site.begin(srtp=srtp(*old))
    talk(site, 0, 10, *old)
    await tell(site, "codecs", codecs=CODECS, srtp=srtp(*new))
    talk(site, 10, 12, *old)
    talk(site, 12, 20, *new)
    await tell(site, "codecs", codecs=CODECS, srtp=None)
    talk(site, 20, 22, *new)
    for index in range(22, 30):
        site.hear(SIDE_A, index, AGENT[index])
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 30)
    assert clip.audio(1) == said(OUTSIDE, 0, 22)


async def test_a_recording_whose_keys_do_not_fit_fails_and_says_so(site: CaptureSite) -> None:
    a, b = Speaker(1), Speaker(2)
    (clip,) = await site.begin(srtp=srtp(a, b))
    talk(site, 0, MOST_REFUSED + 1, Speaker(3), b)
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "srtp"
    assert clip.audio(0) == []


@pytest.mark.parametrize("spoilt", [{"a": {}}, {"a": {"suite": SUITE, "key": "zz", "mki": ""}}, "keys", 7])
async def test_an_order_whose_keys_cannot_be_read_records_nothing(site: CaptureSite, spoilt: Any) -> None:
    site.signalling.send(begin(srtp=spoilt))
    await soon(lambda: bool(site.told("failed")))
    assert not site.capture.is_recording(7)


async def test_an_order_that_does_not_say_whether_it_is_encrypted_records_nothing(site: CaptureSite) -> None:
    message = begin()
    del message["srtp"]
    site.signalling.send(message)
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "order-refused"


async def test_keys_that_an_agent_presses_are_heard_in_srtp(site: CaptureSite) -> None:
    a, b = Speaker(1), Speaker(2)
    await tell(site, "listen", side="a", payload_types=[TELEPHONE_EVENT], srtp=srtp(a, b))
    for it in press(HASH, 1000, 1):
        arrive(site, SIDE_A, a.session.protect(it))
    site.capture.beat()
    await soon(lambda: bool(site.told("keys")))
    assert site.told("keys")[0]["keys"] == "#"
    for it in press(HASH, 9000, 20):
        arrive(site, SIDE_A, it)
    site.capture.beat()
    await tell(site, "finish", ended_at=site.now().isoformat())
    assert len(site.told("keys")) == 1


async def test_the_keys_of_a_call_that_is_over_are_forgotten(site: CaptureSite) -> None:
    a, b = Speaker(1), Speaker(2)
    await site.begin(srtp=srtp(a, b))
    talk(site, 0, 10, a, b)
    await site.end("finish")
    for _ in range(60):
        site.capture.beat()
    assert site.capture._protections.get(7) is None


async def test_two_purposes_of_one_call_have_the_same_in_plain(site: CaptureSite) -> None:
    a, b = Speaker(1), Speaker(2)
    clips = await site.begin("coaching", "disputes", srtp=srtp(a, b))
    talk(site, 0, 10, a, b)
    await site.end("finish")
    await soon(lambda: len(site.told("sealed")) == 2)
    assert [it.audio(0) for it in clips] == [said(AGENT, 0, 10)] * 2
