"""A packet of a soak call says whose it is, and nothing else passes for one."""

from __future__ import annotations

from soak.voice import AGENT, OUTSIDE, Voice

VOICE = Voice(1)


def test_every_packet_is_known_again_and_like_no_other() -> None:
    said = {
        VOICE.payload(call, speaker, index): (call, speaker, index)
        for call in (1, 2, 77)
        for speaker in (AGENT, OUTSIDE)
        for index in range(200)
    }
    assert len(said) == 3 * 2 * 200
    assert {VOICE.known(payload): told for payload, told in said.items()} == {it: it for it in said.values()}


def test_a_payload_with_another_byte_or_of_another_run_is_not_known() -> None:
    payload = VOICE.payload(1, AGENT, 5)
    assert VOICE.known(payload[:-1] + bytes([payload[-1] ^ 1])) is None
    assert VOICE.known(payload[:-1]) is None
    assert Voice(2).known(payload) is None
