"""What cannot be read in a response holds nobody up: it goes on, and its transaction comes to its end."""

from __future__ import annotations

from sip_hooks.events import CallAnswered, CallProgressed
from tests.fakes.sip import ANCHOR, PBX, PHONE, Bench, invite, only, reply, request, sdp


def test_a_registrar_whose_list_of_contacts_is_broken_is_passed_on_and_forgotten() -> None:
    bench = Bench()
    contact = "Contact: <sip:201@10.0.0.9:5070>"
    asked = only(bench.receive(request("REGISTER", "sip:pbx.example", headers=[contact]), PHONE))
    answer = reply(asked.data, headers=["Contact: <sip:201@10.0.0.9:5070>, , <sip:x"])
    back = only(bench.receive(answer, PBX))
    assert back.data.startswith(b"SIP/2.0 200 ")
    assert b"Contact: <sip:201@10.0.0.9:5070>, , <sip:x\r\n" in back.data
    bench.wait(64.0)
    assert bench.engine.transactions == 0


def test_whoever_answers_after_sixty_four_others_have_rung_is_heard() -> None:
    bench = Bench()
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    for number in range(80):
        bench.receive(reply(forwarded, 180, tag=f"fork{number}"), PBX)
    assert len(bench.of(CallProgressed)) == 80
    answer = only(bench.receive(reply(forwarded, tag="last", body=sdp("10.0.0.8", 6000)), PBX))
    assert b"c=IN IP4 10.0.0.1\r\n" in answer.data
    assert bench.of(CallAnswered)[0].to_tag == "last"
