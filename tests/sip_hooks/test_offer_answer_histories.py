"""Drawn histories of offers and answers: both parties are shown our ports or neither is, and what is told of
their ends is what they agreed upon last. The oracle knows nothing but RFC 3264.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from sip_hooks.events import MediaNegotiated
from sip_hooks.message import parse
from sip_hooks.sdp import describe
from tests.fakes.sip import (
    ANCHOR,
    DIALOG,
    OTHER,
    PBX,
    PHONE,
    Bench,
    field_of,
    from_callee,
    invite,
    only,
    reply,
    request,
    routes_of,
    sdp,
    within,
)

OURS = {20000, 20002}
DTLS = ("a=candidate:1 1 UDP 1 10.0.0.9 4000 typ host", "a=fingerprint:sha-256 AA")
HISTORIES = 60


@dataclass
class History:
    """One call, its two parties and what they agreed upon."""

    draw: random.Random
    bench: Bench = field(default_factory=Bench)
    number: int = 1
    port: int = 4000
    ends: tuple[int, int] = (0, 0)
    answer: bytes = b""  # the first 200 as the caller got it
    invite: bytes = b""  # the first INVITE as the callee got it

    def description(self, *, may_be_direct: bool = True) -> bytes:
        """A party describes itself: anew, with lines of ICE, or with DTLS, for which we step aside."""
        self.port += 2
        lines = self.draw.choice([(), (), DTLS[:1], DTLS if may_be_direct else ()])
        return sdp("10.0.0.9" if self.draw.random() < 0.5 else "10.0.0.8", self.port, *lines)

    def settle(self, offer: tuple[str, bytes, bytes], answer: tuple[bytes, bytes]) -> None:
        """An offer and its answer as they were sent and as they arrived."""
        speaker, *proposed = offer
        said = [end_of(proposed[0]), end_of(answer[0])]
        seen = [end_of(proposed[1]), end_of(answer[1])]
        assert {port in OURS for port in seen} in ({True}, {False}), "half anchored"
        assert seen[0] not in OURS or len(set(seen)) == 2
        assert seen[0] in OURS or seen == said, "what goes on untouched is untouched"
        self.ends = (said[0], said[1]) if speaker == "caller" else (said[1], said[0])
        self.check()

    def check(self) -> None:
        told = self.bench.of(MediaNegotiated)[-1]
        assert told.caller and told.callee
        assert (told.caller.rtp_port, told.callee.rtp_port) == self.ends

    def again(self, data: bytes, source: tuple[str, int]) -> bytes:
        """Let a response arrive, perhaps twice; returns what leaves towards the other party, last."""
        sent = []
        for _ in range(self.draw.choice((1, 1, 2))):
            sent += [it.data for it in self.bench.receive(data, source) if it.data[:4] != b"ACK "]
        return sent[-1]

    def ask(self, who: str, method: str, body: bytes) -> tuple[bytes, tuple[str, int]]:
        """A request within the dialog; returns it as the other party gets it, and from where that answers."""
        self.number += 1
        if who == "caller":
            headers = (*routes_of(self.answer), "Contact: <sip:201@10.0.0.9:5070>")
            data = within(
                method, number=self.number, headers=headers, branch=f"z9hG4bK{self.number}", body=body
            )
            return only(self.bench.receive(data)).data, OTHER
        routes = tuple(f"Route: {it}" for it in field_of(self.invite, "record-route"))
        data = from_callee(method, (*routes, f"Contact: <sip:202@{OTHER[0]}:{OTHER[1]}>"), body)
        data = data.replace(b"z9hG4bKpbx", b"z9hG4bKpbx%d" % self.number)
        data = data.replace(b"CSeq: 1 ", b"CSeq: %d " % self.number)
        return only(self.bench.receive(data, PBX)).data, PHONE

    def acknowledge(self, who: str, body: bytes) -> bytes:
        """The ACK of a re-INVITE; returns it as the other party gets it."""
        number, self.number = self.number, self.number - 1
        sent, _ = self.ask(who, "ACK", body)
        assert self.number == number
        return sent

    # --- what may happen

    def begin(self) -> None:
        is_late, is_early = self.draw.random() < 0.4, self.draw.random() < 0.5
        mine = b"" if is_late else self.description()
        self.bench.receive(invite(body=mine))
        self.invite = only(self.bench.forward(media=ANCHOR)).data
        theirs = self.description()
        reliable = ("Contact: <sip:202@10.0.0.8:5080>", "Require: 100rel", "RSeq: 1")
        status, headers = (183, reliable) if is_early else (200, reliable[:1])
        self.answer = self.again(reply(self.invite, status, headers=headers, body=theirs), PBX)
        if is_late:
            mine = self.description()
            method, number = ("PRACK", 2) if is_early else ("ACK", 1)
            routes = routes_of(self.answer)
            ack = request(method, branch="z9hG4bKa", callee=DIALOG, number=number, headers=routes, body=mine)
            seen = only(self.bench.receive(ack)).data
            self.number = number
            self.settle(("callee", theirs, self.answer), (mine, seen))
        else:
            self.settle(("caller", mine, self.invite), (theirs, self.answer))
        if is_early:
            repeated = theirs if self.draw.random() < 0.5 and not is_late else b""
            self.answer = self.again(reply(self.invite, headers=reliable[:1], body=repeated), PBX)
            self.check()

    def agree(self) -> None:
        who, method = self.draw.choice(("caller", "callee")), self.draw.choice(("INVITE", "UPDATE"))
        offer, answer = self.description(), self.description()
        sent, source = self.ask(who, method, offer)
        self.check()
        if (
            method == "INVITE" and self.draw.random() < 0.3
        ):  # a preview that may be lost, and counts for nothing
            self.again(reply(sent, 183, tag="", body=self.description()), source)
            self.check()
        back = self.again(reply(sent, tag="", body=answer), source)
        self.settle((who, offer, sent), (answer, back))

    def agree_late(self) -> None:
        who = self.draw.choice(("caller", "callee"))
        other = "callee" if who == "caller" else "caller"
        sent, source = self.ask(who, "INVITE", b"")
        offer, answer = self.description(), self.description()
        back = self.again(reply(sent, tag="", body=offer), source)
        self.check()
        self.settle((other, offer, back), (answer, self.acknowledge(who, answer)))

    def refuse(self) -> None:
        who, method = self.draw.choice(("caller", "callee")), self.draw.choice(("INVITE", "UPDATE"))
        sent, source = self.ask(who, method, self.description())
        self.again(reply(sent, self.draw.choice((401, 488, 491, 500)), tag=""), source)
        self.check()

    def cross(self) -> None:
        first = self.ask("caller", "INVITE", self.description())
        second = self.ask("callee", "INVITE", self.description())
        for sent, source in self.draw.sample((first, second), 2):
            self.again(reply(sent, 491, tag=""), source)
            self.check()


def end_of(data: bytes) -> int:
    body = parse(data).body if b"SIP/2.0" in data else data
    end = describe(body).end
    assert end is not None
    return end.rtp_port


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_nobody_is_half_anchored_and_what_is_told_was_agreed(seed: int) -> None:
    history = History(random.Random(seed))
    history.begin()
    for _ in range(8):
        history.draw.choice((history.agree, history.agree_late, history.refuse, history.cross))()
