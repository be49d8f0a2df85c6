"""The torture messages of RFC 4475: valid ones are understood, broken ones get what they are owed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.edits import Edits
from sip_hooks.engine import Listener
from sip_hooks.errors import MessageError
from sip_hooks.framing import Deframer
from sip_hooks.identity import identities
from sip_hooks.message import Message, parse
from sip_hooks.sdp import describe, rewrite
from sip_hooks.validity import validate
from tests.fakes.sip import OTHER, PHONE, US, Bench, only, request

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "rfc4475"
FILES = {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.dat"))}

pytestmark = pytest.mark.skipif(
    not FILES, reason="the RFC 4475 messages (../shared/corpora/rfc4475) are not here"
)

# §3.1.1, 3.2 and 3.3: a proxy understands and forwards these. Some mean trouble for others: a Date in a wrong
# zone, an unknown Require or body, a branch that is only its cookie.
VALID = {
    "badbranch": (b"OPTIONS", b"badbranch.sadonfo23i420jv0as0derf3j3n"),
    "baddate": (b"INVITE", b"baddate.239423mnsadf3j23lj42--sedfnm234"),
    "bcast": (200, b"bcast.0384840201234ksdfak3j2erwedfsASdf"),
    "cparam01": (b"REGISTER", b"cparam01.70710@saturn.example.com"),
    "cparam02": (b"REGISTER", b"cparam02.70710@saturn.example.com"),
    "dblreq": (b"REGISTER", b"dblreq.0ha0isndaksdj99sdfafnl3lk233412"),
    "esc01": (b"INVITE", b"esc01.239409asdfakjkn23onasd0-3234"),
    "esc02": (b"RE%47IST%45R", b"esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf"),
    "escnull": (b"REGISTER", b"escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd"),
    "intmeth": (
        b"!interesting-Method0123456789_*+`.%indeed'~",
        b"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
    ),
    "inv2543": (b"INVITE", b"inv2543.1717@ift.client.example.com"),
    "invut": (b"INVITE", b"invut.0ha0isndaksdjadsfij34n23d"),
    "longreq": (b"INVITE", b"longreq.one" + b"really" * 20 + b"longcallid"),
    "lwsdisp": (b"OPTIONS", b"lwsdisp.1234abcd@funky.example.com"),
    "mpart01": (b"MESSAGE", b"3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA.."),
    "noreason": (100, b"noreason.asndj203insdf99223ndf"),
    "regaut01": (b"REGISTER", b"regaut01.0ha0isndaksdj"),
    "regescrt": (b"REGISTER", b"regescrt.k345asrl3fdbv@192.0.2.1"),
    "sdp01": (b"INVITE", b"sdp01.ndaksdj9342dasdd"),
    "semiuri": (b"OPTIONS", b"semiuri.0ha0isndaksdj"),
    "transports": (b"OPTIONS", b"transports.kijh4akdnaqjkwendsasfdj"),
    "unksm2": (b"REGISTER", b"unksm2.daksdj@hyphenated-host.example.com"),
    "unreason": (200, b"unreason.1234ksdfak3j2erwedfsASdf"),
    "wsinv": (b"INVITE", b"wsinv.ndaksdj@192.0.2.1"),
}
OWED = {
    "badinv01": 400,
    "badvers": 505,
    "bext01": 420,
    "clerr": 400,
    "escruri": 400,
    "insuf": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "mcl01": 400,
    "mismatch01": 400,
    "mismatch02": 400,
    "multi01": 400,
    "ncl": 400,
    "novelsc": 416,
    "regbadct": 400,
    "scalar02": 400,
    "scalarlg": 400,  # a response: dropped
    "test": 400,
    "trws": 400,
    "unkscm": 416,
    "zeromf": 483,
}
UNREADABLE = {"bigcode"}
# What is broken in these is no business of a proxy (§16.3); who the party is remains unknown.
OF_OTHERS = {"badaspec": "to", "baddn": "from", "quotbal": "to"}


def test_all_messages_are_here_and_each_has_its_verdict() -> None:
    assert sorted(FILES) == sorted({*VALID, *OWED, *UNREADABLE, *OF_OTHERS})


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_only_the_ends_can_judge_goes_on_and_names_nobody(name: str) -> None:
    message = parse(FILES[name])
    assert validate(message) is None
    assert OF_OTHERS[name] in identities(message).unreadable


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_is_understood(name: str) -> None:
    message = parse(FILES[name])
    start, call_id = VALID[name]
    assert validate(message) is None
    assert (message.method or message.status, message.call_id) == (start, call_id)
    assert message.vias


@pytest.mark.parametrize("name", OWED)
def test_a_broken_message_gets_what_it_is_owed(name: str) -> None:
    problem = validate(parse(FILES[name]))
    assert problem is not None
    assert problem.status == OWED[name]


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_an_unreadable_message_is_refused(name: str) -> None:
    with pytest.raises(MessageError):
        parse(FILES[name])


@pytest.mark.parametrize("name", sorted({*VALID, *OWED, *OF_OTHERS}))
def test_without_edits_the_bytes_are_the_same(name: str) -> None:
    assert Edits(parse(FILES[name])).apply() == FILES[name]


def test_the_short_tortuous_invite_is_read_in_detail() -> None:
    message = parse(FILES["wsinv"])
    assert (message.from_tag, message.to_tag, message.cseq) == (b"98asjd8", b"1918181833n", (9, b"INVITE"))
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        (b"UDP", b"192.0.2.2", b"390skdjuw"),
        (b"TCP", b"spindle.example.com", b"z9hG4bK9ikj8"),
        (b"UDP", b"192.168.255.111", b"z9hG4bK30239"),
    ]
    assert message.first(b"newfangledheader") == b"newfangled value   continued newfangled value"


def test_a_long_request_keeps_all_its_vias() -> None:
    assert len(parse(FILES["longreq"]).vias) == 34


def test_the_second_request_in_a_datagram_is_no_part_of_the_first() -> None:
    assert parse(FILES["dblreq"]).body == b""


@pytest.mark.parametrize("name", sorted(FILES))
def test_over_a_connection_each_is_handled_and_the_next_connection_is_served(name: str) -> None:
    """Forwarded, answered with what it is owed or dropped; if it cannot be cut out, the stream is over."""
    bench = Bench((Listener("a", "both", *US, transport="tcp"),))
    bench.connect(PHONE, "a")
    sent = bench.stream(FILES[name], PHONE, "a")
    if FILES[name] == b"".join(found for found in Deframer().feed(FILES[name]) if isinstance(found, bytes)):
        assert bench.engine.connections_to_close() == []
        if name in OWED and parse(FILES[name]).is_request:
            assert [packet.data.split(b" ")[1] for packet in sent] == [b"%d" % OWED[name]]
    bench.connect(OTHER, "a")
    ours = request("OPTIONS", f"sip:{US[0]}:{US[1]}", sender=OTHER, branch="z9hG4bKafter", call_id="after")
    assert only(bench.stream(ours, OTHER, "a")).data.startswith(b"SIP/2.0 200 ")


def touch_everything(message: Message) -> None:
    identities(message)
    try:
        rewrite(message.body, "192.0.2.1", (20000, 20001))
    except MessageError:
        assert describe(message.body).end is None
    if validate(message) is not None:
        return
    edits = Edits(message)
    edits.remove_first_via()
    edits.insert_top(b"Via", b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx")
    edits.set_body(b"v=0\r\n")
    again = parse(edits.apply())
    assert again.vias[1:] == message.vias[1:]
    assert (again.call_id, again.from_tag, again.cseq) == (message.call_id, message.from_tag, message.cseq)


@pytest.mark.parametrize("name", sorted({*VALID, *OWED, *OF_OTHERS}))
def test_nothing_but_a_message_error_comes_out(name: str) -> None:
    touch_everything(parse(FILES[name]))


@settings(max_examples=400, derandomize=True)
@given(st.data())
def test_nothing_but_a_message_error_comes_out_of_a_damaged_message(data: st.DataObject) -> None:
    raw = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    at = data.draw(st.integers(0, len(raw)))
    length = data.draw(st.integers(0, 20))
    new = data.draw(
        st.binary(max_size=4) | st.sampled_from([b"\r\n", b"\r\n ", b'"', b"<", b",", b"\x85", b"\xb2"])
    )
    try:
        message = parse(raw[:at] + new + raw[at + length :])
    except MessageError:
        return
    assert Edits(message).apply() == message.raw
    touch_everything(message)
