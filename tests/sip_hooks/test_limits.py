"""What is too much of a good thing: one message must not hold up all others while it is read.

Each limit is far above what any telephone sends, and each message here took longer than 50 ms to be read or
weighed before there was one.
"""

from __future__ import annotations

import time

import pytest

from sip_hooks.errors import MessageError
from sip_hooks.events import CallDisturbed, CallOffered, Disturbance
from sip_hooks.identity import MOST_CLAIMS, identities
from sip_hooks.known import MOST_NAMES, Known
from sip_hooks.message import MAXIMUM_HEAD, MAXIMUM_MEMBERS, parse
from sip_hooks.sdp import Obstacle, describe, rewrite
from sip_hooks.sdp_lines import MAXIMUM_LINES
from sip_hooks.uri import MAXIMUM_PARAMS, parse_uri
from sip_hooks.validity import validate
from tests.fakes.sip import ANCHOR, PBX, Bench, from_callee, invite, only, reply, routes_of, sdp


def test_a_head_that_no_stream_may_have_is_refused_in_a_datagram_too() -> None:
    padding = "X: " + "x" * 100
    with pytest.raises(MessageError):
        parse(invite(headers=[padding] * (MAXIMUM_HEAD // len(padding))))


@pytest.mark.parametrize("fields", [1, 5])
def test_more_hops_than_max_forwards_allows_are_refused(fields: int) -> None:
    via = ", ".join(["SIP/2.0/UDP a"] * (MAXIMUM_MEMBERS // fields + 1))
    problem = validate(parse(invite(headers=[f"Via: {via}"] * fields)))
    assert problem is not None
    assert problem.status == 400


def test_an_address_with_hundreds_of_parameters_is_unreadable_and_so_is_its_party() -> None:
    params = ";a" * (MAXIMUM_PARAMS + 2)
    with pytest.raises(MessageError):
        parse_uri(b"sip:201@pbx" + params.encode())
    message = parse(invite(caller=f"<sip:201@pbx.example>;tag=a{params}", callee=f"<sip:202@pbx{params}>"))
    assert {"from", "to"} <= set(identities(message).unreadable)


def test_who_names_hundreds_of_parties_names_nobody_for_certain() -> None:
    fields = [f"P-Asserted-Identity: <sip:{number}@pbx.example>" for number in range(100)]
    said = identities(parse(invite(headers=fields)))
    assert len(said.named) <= MOST_CLAIMS
    assert "too-many" in said.unreadable


def test_brackets_without_end_are_not_all_looked_into() -> None:
    said = identities(parse(invite(callee="<sip" * 5000)))
    assert "to" in said.unreadable
    assert len(said.named) <= MOST_CLAIMS


def test_thousands_of_folds_are_read_in_the_time_of_their_bytes() -> None:
    """Each fold was once the occasion to read the whole field again: 100 ms and more."""
    caller = "\r\n <sip:201@pbx.example>;tag=a" + "\r\n ;a" * (MAXIMUM_PARAMS - 2) + "\r\n \t" * 5000
    message = invite(caller=caller)

    def taken() -> float:
        before = time.thread_time()
        said = identities(parse(message))
        assert "from" in said.unreadable, "it is folded around empty lines"
        return time.thread_time() - before

    assert min(taken() for _ in range(5)) < 0.05


def test_a_call_with_hundreds_of_names_is_disturbed_for_good() -> None:
    known = Known()
    for number in range(MOST_NAMES):
        known.note(identities(parse(invite(caller=f"<sip:{number}@pbx.example>;tag=a"))).named)
    last = identities(parse(invite(caller="<sip:9999@pbx.example>;tag=a"))).named
    known.note(last)
    assert any(known.is_news(each) for each in last)


def test_a_description_of_thousands_of_lines_is_not_read() -> None:
    body = sdp("10.0.0.9", 4000, *["a=x"] * MAXIMUM_LINES)
    assert describe(body).obstacles == {Obstacle.UNREADABLE}
    with pytest.raises(MessageError):
        rewrite(body, "192.0.2.1", (20000, 20001))


def test_a_stream_of_more_formats_than_there_are_payload_types_is_not_read() -> None:
    body = sdp().replace(b"RTP/AVP 8 0", b"RTP/AVP" + b" 8" * 129)
    assert describe(body).obstacles == {Obstacle.UNREADABLE}


def test_an_empty_via_on_top_is_refused() -> None:
    problem = validate(parse(invite().replace(b"Via: ", b"Via:\r\nVia: ", 1)))
    assert problem is not None
    assert problem.status == 400


def test_a_response_with_an_empty_via_on_top_is_dropped() -> None:
    bench = Bench()
    bench.receive(invite())
    answer = reply(only(bench.forward()).data)
    assert bench.receive(answer.replace(b"Via: ", b"Via:\r\nVia: ", 1), PBX) == []
    assert len(bench.receive(answer, PBX)) == 1


@pytest.mark.parametrize(("method", "status"), [("INFO", 200), ("UPDATE", 200), ("INVITE", 488)])
def test_a_request_that_overtakes_the_first_response_is_answered_and_disturbs(
    method: str, status: int
) -> None:
    """The callee's, whose fork is not known yet; its description is nobody's, and ends nobody's call."""
    bench = Bench()
    bench.receive(invite())
    routes = tuple(routes_of(only(bench.forward(media=ANCHOR)).data))
    early = only(bench.receive(from_callee(method, routes, sdp("10.0.0.8", 6000)), PBX))
    assert early.data.endswith(sdp("10.0.0.8", 6000))
    back = bench.receive(reply(early.data, status, tag="z"), early.destination)[-1]
    assert back.data.startswith(b"SIP/2.0 %d" % status)
    (call,) = {event.call for event in bench.of(CallOffered)}
    assert CallDisturbed(call, Disturbance.UNANCHORED, ()) in bench.events
    assert bench.engine.calls == 1
