"""Offer and answer wherever they may stand (RFC 6337): both parties are shown our ports, or neither is."""

from __future__ import annotations

import pytest

from sip_hooks.events import CallEnded, CallOffered, Disturbance, MediaNegotiated
from sip_hooks.message import parse
from sip_hooks.sdp import Obstacle
from tests.fakes.sip import (
    ANCHOR,
    DIALOG,
    PBX,
    TARGET,
    Bench,
    answered,
    causes,
    field_of,
    from_callee,
    invite,
    only,
    reinvite,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

ANSWER = sdp("10.0.0.8", 6000)
RELIABLE = ("Contact: <sip:202@10.0.0.8:5080>", "Require: 100rel", "RSeq: 1")
ICE = (
    "a=ice-ufrag:x",
    "a=ice-pwd:y",
    "a=candidate:1 1 UDP 1 10.0.0.9 4000 typ host",
    "a=end-of-candidates",
    "a=altc:1 IP6 2001:db8::9 4000",
)
DTLS = "a=fingerprint:sha-256 AA"
VIDEO = b"m=video 5000 RTP/AVP 96\r\n"
CALLER, CALLEE = b"m=audio 20000 ", b"m=audio 20002 "  # what each is shown


def body_of(data: bytes) -> bytes:
    return parse(data).body


def offered(bench: Bench, body: bytes) -> bytes:
    """An INVITE from PHONE; returns it as the PBX gets it."""
    bench.receive(invite(body=body))
    return only(bench.forward(media=ANCHOR)).data


def replied(bench: Bench, to: bytes, status: int, body: bytes, tag: str = "b") -> bytes:
    """A response of the PBX; returns it as the phone gets it."""
    headers = RELIABLE if status < 200 else RELIABLE[:1]
    return only(bench.receive(reply(to, status, tag=tag, headers=headers, body=body), PBX)).data


def acked(bench: Bench, answer: bytes, body: bytes, number: int = 1) -> bytes:
    """The ACK of the phone; returns it as the PBX gets it."""
    lines = routes_of(answer)
    ack = request(
        "ACK", TARGET, branch=f"z9hG4bKa{number}", callee=DIALOG, number=number, headers=lines, body=body
    )
    return only(bench.receive(ack)).data


def ports(bench: Bench) -> tuple[int | None, int | None]:
    """Where caller and callee want their media, as it was told last."""
    last = bench.of(MediaNegotiated)[-1]
    caller, callee = (None if end is None else end.rtp_port for end in (last.caller, last.callee))
    return caller, callee


# --- the offer comes late


def test_a_late_offer_in_a_reliable_18x_is_answered_in_the_prack() -> None:
    bench = Bench()
    forwarded = offered(bench, b"")
    early = replied(bench, forwarded, 183, ANSWER)
    assert CALLER in early and ports(bench) == (None, 6000)
    prack = only(bench.receive(within("PRACK", headers=tuple(routes_of(early)), body=sdp()))).data
    assert CALLEE in prack
    assert ports(bench) == (4000, 6000)
    replied(bench, prack, 200, b"")
    replied(bench, forwarded, 200, b"")
    assert bench.of(MediaNegotiated)[-1].answered and ports(bench) == (4000, 6000)
    assert causes(bench) == []


def test_a_late_offer_that_is_only_repeated_asks_for_no_second_answer() -> None:
    """The PRACK of a further 18x may carry an offer of its own (RFC 3262 §5)."""
    bench = Bench()
    forwarded = offered(bench, b"")
    early = replied(bench, forwarded, 183, ANSWER)
    routes = tuple(routes_of(early))
    bench.receive(within("PRACK", headers=routes, body=sdp()))
    replied(bench, forwarded, 183, ANSWER)
    data = within("PRACK", number=3, headers=routes, branch="z9hG4bKp3", body=sdp("10.0.0.9", 4010))
    prack = only(bench.receive(data)).data
    assert CALLEE in prack and ports(bench) == (4000, 6000)
    assert CALLER in replied(bench, prack, 200, sdp("10.0.0.8", 6010))
    assert ports(bench) == (4010, 6010)


def test_an_offer_that_was_never_answered_is_not_answered_by_who_made_it() -> None:
    bench = Bench()
    forwarded = offered(bench, b"")
    answer = replied(bench, forwarded, 200, ANSWER)
    acked(bench, answer, b"")
    routes = tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))
    sent = only(bench.receive(from_callee("INVITE", routes, body=sdp("10.0.0.8", 6010)), PBX)).data
    bench.receive(reply(sent, tag="", body=sdp()))
    bench.receive(from_callee("ACK", routes, body=sdp("10.0.0.8", 6010)), PBX)
    assert ports(bench) == (4000, 6010)


def test_the_ack_of_a_late_offer_is_anchored_whatever_digest_it_carries() -> None:
    """Nobody may challenge an ACK (RFC 3261 §22.1), so phones repeat the credentials of the INVITE in it."""
    bench = Bench()
    answer = replied(bench, offered(bench, b""), 200, ANSWER)
    headers = [*routes_of(answer), 'Authorization: Digest username="201", qop=auth-int']
    ack = request("ACK", TARGET, branch="z9hG4bKa", callee=DIALOG, headers=headers, body=sdp())
    assert CALLEE in only(bench.receive(ack)).data
    assert causes(bench) == []


def test_a_late_offer_that_keeps_to_ice_goes_on_untouched_and_so_does_its_answer() -> None:
    bench = Bench()
    offer = sdp("10.0.0.8", 6000, *ICE, DTLS)
    answer = replied(bench, offered(bench, b""), 200, offer)
    assert body_of(answer) == offer
    assert body_of(acked(bench, answer, sdp())) == sdp()
    assert causes(bench) == [Disturbance.UNANCHORED]
    assert any(event.obstacles == {Obstacle.DTLS, Obstacle.ICE} for event in bench.of(MediaNegotiated))


def test_a_re_invite_without_an_offer_counts_when_its_ack_answers() -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(reinvite(answer, b""))).data
    again = replied(bench, sent, 200, sdp("10.0.0.8", 6010))
    assert CALLER in again and ports(bench) == (4000, 6000)
    assert CALLEE in acked(bench, answer, sdp("10.0.0.9", 4010), 2)
    assert ports(bench) == (4010, 6010)


def test_a_late_offer_of_the_same_media_is_a_refresh() -> None:
    bench = Bench()
    forwarded, answer = answered(bench)
    told = len(bench.events)
    sent = only(bench.receive(reinvite(answer, b""))).data
    assert body_of(replied(bench, sent, 200, ANSWER)) == body_of(answer)
    assert body_of(acked(bench, answer, sdp(), 2)) == body_of(forwarded)
    assert bench.events[told:] == []


# --- what is not answered does not count


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("status", [401, 408, 415, 481, 488, 491, 500, 603])
def test_a_refused_offer_leaves_media_as_it_was(method: str, status: int) -> None:
    bench = Bench()
    _, answer = answered(bench)
    told = bench.of(MediaNegotiated)
    data = within(method, headers=tuple(routes_of(answer)), body=sdp("10.0.0.9", 4010))
    sent = only(bench.receive(data)).data
    bench.receive(reply(sent, status), PBX)
    assert bench.of(MediaNegotiated) == told


def test_a_cancelled_re_invite_leaves_media_as_it_was() -> None:
    bench = Bench()
    _, answer = answered(bench)
    told = bench.of(MediaNegotiated)
    data = reinvite(answer, sdp("10.0.0.9", 4010))
    sent = only(bench.receive(data)).data
    bench.receive(reply(sent, 180), PBX)
    cancel = data.replace(b"INVITE sip", b"CANCEL sip").replace(b"2 INVITE", b"2 CANCEL")
    bench.receive(cancel)
    bench.receive(reply(sent, 487), PBX)
    assert bench.of(MediaNegotiated) == told
    assert bench.of(CallEnded) == []


def test_offers_that_cross_each_other_are_both_refused_and_neither_counts() -> None:
    """Glare (RFC 3261 §14.2): each party answers 491 to the other's re-INVITE."""
    bench = Bench()
    forwarded, answer = answered(bench)
    told = bench.of(MediaNegotiated)
    mine = only(bench.receive(reinvite(answer, sdp("10.0.0.9", 4010)))).data
    routes = tuple(f"Route: {value}" for value in field_of(forwarded, "record-route"))
    theirs = only(bench.receive(from_callee("INVITE", routes, body=sdp("10.0.0.8", 6010)), PBX)).data
    bench.receive(reply(mine, 491), PBX)
    bench.receive(reply(theirs, 491))
    assert bench.of(MediaNegotiated) == told
    sent = only(bench.receive(reinvite(answer, sdp("10.0.0.9", 4020), 3))).data
    replied(bench, sent, 200, ANSWER)
    assert ports(bench) == (4020, 6000)


def test_a_new_end_counts_from_the_answer_on() -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(reinvite(answer, sdp("10.0.0.9", 4010)))).data
    assert ports(bench) == (4000, 6000)
    replied(bench, sent, 200, sdp("10.0.0.8", 6010))
    assert ports(bench) == (4010, 6010)


def test_what_the_answer_to_the_call_repeats_undoes_no_update() -> None:
    """RFC 6337 §2.2: answered in a reliable 183, moved by an UPDATE, and the 200 says the old answer."""
    bench = Bench()
    forwarded = offered(bench, sdp())
    early = replied(bench, forwarded, 183, ANSWER)
    data = within("UPDATE", headers=tuple(routes_of(early)), body=sdp("10.0.0.9", 4010))
    sent = only(bench.receive(data)).data
    replied(bench, sent, 200, sdp("10.0.0.8", 6010))
    assert ports(bench) == (4010, 6010)
    assert CALLER in replied(bench, forwarded, 200, ANSWER)
    assert ports(bench) == (4010, 6010)


def test_another_answer_in_the_200_is_taken_at_its_word() -> None:
    """Some PBXs describe an announcement in a reliable 183 and the callee in the 200."""
    bench = Bench()
    forwarded = offered(bench, sdp())
    replied(bench, forwarded, 183, sdp("10.0.0.7", 7000))
    replied(bench, forwarded, 200, ANSWER)
    assert ports(bench) == (4000, 6000)


# --- forks


def test_each_fork_has_an_answer_of_its_own_and_an_update_moves_only_its_own() -> None:
    bench = Bench()
    forwarded = offered(bench, sdp())
    first = replied(bench, forwarded, 183, ANSWER, "b")
    replied(bench, forwarded, 183, sdp("10.0.0.7", 7000), "c")
    data = within("UPDATE", headers=tuple(routes_of(first)), body=sdp("10.0.0.9", 4010))
    replied(bench, only(bench.receive(data)).data, 200, sdp("10.0.0.8", 6010))
    assert ports(bench) == (4010, 6010)
    replied(bench, forwarded, 200, sdp("10.0.0.7", 7000), "c")
    assert ports(bench) == (4000, 7000)


# --- several media


def test_video_beside_the_audio_keeps_its_own_way() -> None:
    bench = Bench()
    sent = offered(bench, sdp() + VIDEO)
    assert CALLEE in sent and VIDEO in sent
    assert b"c=IN IP4 10.0.0.9\r\n" in sent, "video has no address of its own"
    answer = replied(bench, sent, 200, ANSWER + VIDEO)
    assert CALLER in answer and VIDEO in answer
    assert bench.of(MediaNegotiated)[-1].obstacles == set()


@pytest.mark.parametrize(
    "offer",
    [
        sdp() + b"m=audio 4010 RTP/AVP 0\r\n",
        sdp().replace(b"t=0 0\r\n", b"t=0 0\r\na=group:BUNDLE 0 1\r\n") + VIDEO,
        sdp().replace(b"4000", b"4000/2"),
    ],
)
def test_several_audio_streams_go_on_untouched_and_so_does_the_answer(offer: bytes) -> None:
    bench = Bench()
    _, answer = answered(bench)
    sent = only(bench.receive(reinvite(answer, offer))).data
    assert body_of(sent) == offer
    assert body_of(replied(bench, sent, 200, ANSWER)) == ANSWER
    assert causes(bench) == [Disturbance.UNANCHORED]
    assert any(Obstacle.SEVERAL_MEDIA in event.obstacles for event in bench.of(MediaNegotiated))
    assert CALLEE in only(bench.receive(reinvite(answer, sdp(), 3))).data, (
        "one stream again, and it stays out"
    )


def test_an_answer_is_about_the_stream_that_was_offered() -> None:
    """The first audio was given up before; the answer's first audio is not the one that is led through us."""
    bench = Bench()
    offer = sdp(port=0) + b"m=audio 4010 RTP/AVP 0\r\n"
    answer = sdp("10.0.0.8", 0) + b"m=audio 6010 RTP/AVP 0\r\n"
    sent = offered(bench, offer)
    assert b"m=audio 0 " in sent and b"m=audio 20002 RTP/AVP 0\r\n" in sent
    back = replied(bench, sent, 200, answer)
    assert b"m=audio 0 " in back and b"m=audio 20000 RTP/AVP 0\r\n" in back
    assert ports(bench) == (4010, 6010)


def test_an_answer_that_gives_another_stream_than_was_offered_is_not_half_anchored() -> None:
    bench = Bench()
    sent = offered(bench, sdp() + b"m=audio 0 RTP/AVP 0\r\n")
    answer = sdp("10.0.0.8", 0) + b"m=audio 6010 RTP/AVP 0\r\n"
    assert body_of(replied(bench, sent, 200, answer)) == answer
    assert ports(bench) == (4000, 0)


# --- other ways for media


def test_no_line_of_ice_is_left_in_what_we_anchor() -> None:
    bench, plain = Bench(), Bench()
    sent = offered(bench, sdp("10.0.0.9", 4000, *ICE))
    assert body_of(sent) == body_of(offered(plain, sdp()))
    back = replied(bench, sent, 200, sdp("10.0.0.8", 6000, *ICE))
    assert body_of(back) == body_of(replied(plain, sent, 200, ANSWER))
    assert bench.of(MediaNegotiated)[-1].obstacles == set()


def test_the_lines_of_ice_that_a_session_and_a_rejected_stream_have_go_too() -> None:
    offer = sdp().replace(b"t=0 0\r\n", b"a=ice-lite\r\nt=0 0\r\n") + VIDEO.replace(b"5000", b"0")
    sent = offered(Bench(), offer + b"a=candidate:1 1 UDP 1 10.0.0.9 5000 typ host")
    assert body_of(sent) == body_of(offered(Bench(), sdp() + VIDEO.replace(b"5000", b"0")))


def test_ice_with_dtls_is_left_whole_and_so_is_its_answer() -> None:
    bench = Bench()
    _, answer = answered(bench)
    offer = sdp("10.0.0.9", 4000, *ICE, DTLS)
    sent = only(bench.receive(reinvite(answer, offer))).data
    assert body_of(sent) == offer
    assert body_of(replied(bench, sent, 200, ANSWER)) == ANSWER
    assert causes(bench) == [Disturbance.UNANCHORED]
    assert any(event.obstacles == {Obstacle.DTLS, Obstacle.ICE} for event in bench.of(MediaNegotiated))


def test_keys_in_an_offer_are_told_before_it_is_answered() -> None:
    bench = Bench()
    _, answer = answered(bench)
    offer = sdp("10.0.0.9", 4000, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x").replace(
        b"RTP/AVP", b"RTP/SAVP"
    )
    assert CALLEE in only(bench.receive(reinvite(answer, offer))).data, "it is relayed all the same"
    assert bench.of(MediaNegotiated)[-1].obstacles == {Obstacle.SRTP}
    assert ports(bench) == (4000, 6000)


# --- what is no offer


def test_what_somebody_is_able_to_is_no_offer() -> None:
    """Some PBXs ask with OPTIONS whether a call is still there; the answer describes no session."""
    bench = Bench()
    _, answer = answered(bench)
    told = len(bench.events)
    sent = only(bench.receive(within("OPTIONS", headers=tuple(routes_of(answer))))).data
    able = sdp("10.0.0.8", 0)
    assert body_of(replied(bench, sent, 200, able)) == able
    assert bench.events[told:] == []


def test_an_ack_that_repeats_the_offer_changes_nothing() -> None:
    bench = Bench()
    forwarded, answer = answered(bench)
    told = len(bench.events)
    assert body_of(acked(bench, answer, sdp())) == body_of(forwarded)
    assert bench.events[told:] == []


def test_an_answer_that_a_digest_protects_is_not_rewritten() -> None:
    bench = Bench()
    early = replied(bench, offered(bench, b""), 183, ANSWER)
    headers = (*routes_of(early), 'Proxy-Authorization: Digest username="201", qop=auth-int')
    prack = only(bench.receive(within("PRACK", headers=headers, body=sdp()))).data
    assert body_of(prack) == sdp()
    assert causes(bench) == [Disturbance.AUTH_INT]


# --- multipart


def test_a_description_among_other_parts_is_anchored_where_it_stands() -> None:
    part = b"--x\r\nContent-Type: application/sdp\r\n\r\n%s\r\n--x\r\n\r\nhe\xe9\r\n--x--\r\n"
    bench = Bench()
    data = invite(body=part % sdp()).replace(
        b"application/sdp\r\nContent-Length", b'multipart/mixed;boundary="x"\r\nContent-Length'
    )
    bench.receive(data)
    assert bench.of(CallOffered)[0].description is not None
    sent = only(bench.forward(media=ANCHOR)).data
    assert body_of(sent) == part % sdp("10.0.0.1", 20002).replace(
        b"- 1 1 IN IP4 10.0.0.1", b"- 1 1 IN IP4 10.0.0.9"
    )
    assert field_of(sent, "content-length") == [str(len(body_of(sent)))]
