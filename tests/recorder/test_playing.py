"""Sounds that a relay plays to the parties of a call: who hears what, who does not, what is told of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.channel import Descriptor
from recorder.relay.client import MediaUnavailable
from recorder.relay.player import LATEST_NS, MOST_PACKETS, STEP_NS, TAIL_NS, Play, unpacked
from recorder.relay.protocol import OrderError
from recorder.relay.stream import Stream
from tests.fakes.media import join
from tests.fakes.relay import Tap, WorkerProcess, eventually, soon
from tests.fakes.rtp import Phone, packet, sender_report, silent
from tests.recorder.test_broker import HERE, Site
from tests.recorder.test_relay import Call

SOUND = [packet(100 + at, at * 160, b"told", ssrc=77) for at in range(10)]


@pytest.fixture
def tap() -> Iterator[Tap]:
    made = Tap(slots=256)
    yield made
    made.close()


@pytest.fixture
def call(tap: Tap) -> Iterator[Call]:
    worker = WorkerProcess(tap.fd)
    made = Call(worker)
    yield made
    made.close()
    worker.stop()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path, 8, 30.0, 5.0)
    made.start_worker(0)
    await made.ready()
    yield made
    made.close()


def file_of(packets: list[bytes]) -> Descriptor:
    descriptor = os.memfd_create("sound")
    os.write(descriptor, b"".join(len(it).to_bytes(2) + it for it in packets))
    return Descriptor(descriptor)


class Playing:
    """A sound in a call; its answer comes when it is over."""

    def __init__(self, call: Call, sides: dict[str, list[bytes]]) -> None:
        self.call = call
        order = {"seq": 9, "op": "play", "session": call.session, "sides": list(sides)}
        files = [file_of(it) for it in sides.values()]
        socket.send_fds(call.worker.control, [json.dumps(order).encode()], [it.fileno() for it in files])

    def answer(self) -> dict[str, Any]:
        self.call.worker.control.settimeout(5)
        told: dict[str, Any] = json.loads(self.call.worker.control.recv(65536))
        assert told["seq"] == 9
        return told


def heard(phone: Phone, count: int) -> list[bytes]:
    return [phone.rtp.recv(4096) for _ in range(count)]


def test_one_party_hears_it_in_place_of_the_other_and_then_the_other_again(call: Call) -> None:
    call.join()
    playing = Playing(call, {"b": SOUND})
    caller, callee = call.caller, call.callee
    assert heard(callee, 1) == SOUND[:1]
    caller.rtp.sendto(packet(1, 0, b"first"), call.ports[0])
    caller.rtp.sendto(packet(2, 160, b"muted"), call.ports[0])
    callee.rtp.sendto(packet(1, 0, b"the other way"), call.ports[2])
    assert heard(caller, 1) == [packet(1, 0, b"the other way")]
    assert sorted(heard(callee, len(SOUND))) == sorted([packet(1, 0, b"first"), *SOUND[1:]])
    told = playing.answer()
    assert (told["ok"], told["packets"]) == (True, len(SOUND))
    assert told["ended"] - told["began"] >= (len(SOUND) - 1) * STEP_NS
    caller.rtp.sendto(packet(3, 320, b"again"), call.ports[0])
    assert heard(callee, 1) == [packet(3, 320, b"again")]


def test_both_hear_it_and_neither_the_other(call: Call) -> None:
    call.join()
    playing = Playing(call, {"b": SOUND, "a": SOUND[::-1]})
    both = ((call.caller, call.ports[0], SOUND[::-1]), (call.callee, call.ports[2], SOUND))
    for phone, _, sound in both:
        assert heard(phone, 1) == sound[:1]
    for phone, port, _ in both:
        phone.rtp.sendto(packet(1, 0, b"first"), port)
        phone.rtp.sendto(packet(2, 160, b"muted"), port)
    for phone, _, sound in both:
        assert sorted(heard(phone, 10)) == sorted([packet(1, 0, b"first"), *sound[1:]])
    assert playing.answer()["ok"]


def test_what_a_receiver_needs_to_open_what_follows_passes_and_so_does_rtcp(call: Call) -> None:
    """RFC 3711: the first packet of a source, and those around where its numbers begin anew."""
    call.join()
    Playing(call, {"b": SOUND[:2]})
    assert heard(call.callee, 1) == SOUND[:1]
    numbers = (65532, 65533, 65534, 65535, 0, 1, 2, 3)
    for number in numbers:
        call.caller.rtp.sendto(packet(number, 0, b"x"), call.ports[0])
    call.caller.rtp.sendto(packet(500, 0, b"x", ssrc=5), call.ports[0])
    call.caller.rtp.sendto(sender_report(), call.ports[0])
    passed = [packet(number, 0, b"x") for number in (65532, 65534, 65535, 0, 1)]
    expected = [*passed, packet(500, 0, b"x", ssrc=5), sender_report(), SOUND[1]]
    assert sorted(heard(call.callee, 8)) == sorted(expected)


def test_what_a_muted_party_says_still_reaches_an_open_tap(call: Call, tap: Tap) -> None:
    call.join()
    call.order("tap", level="all")
    playing = Playing(call, {"b": SOUND})
    for number in (1, 2, 3):
        call.caller.rtp.sendto(packet(number, 0, b"x"), call.ports[0])
    eventually(lambda: tap.read() == 3)
    assert playing.answer()["ok"]


@pytest.mark.parametrize("how", ["stop-play", "close"])
def test_whoever_stops_it_or_ends_the_call_is_believed_and_the_sound_was_not_heard(
    call: Call, how: str
) -> None:
    call.join()
    playing = Playing(call, {"b": SOUND})
    call.worker.control.send(json.dumps({"seq": 10, "op": how, "session": call.session}).encode())
    told = playing.answer()
    assert (told["ok"], told["error"]) == (False, "stopped")
    if how == "stop-play":
        assert json.loads(call.worker.control.recv(65536))["ok"]
        for number in (1, 2):
            call.caller.rtp.sendto(packet(number, 0, b"x"), call.ports[0])
        assert heard(call.callee, 2) == [packet(1, 0, b"x"), packet(2, 0, b"x")]
        assert silent(call.callee.rtp)


def test_a_party_that_refuses_it_has_not_heard_it(call: Call) -> None:
    call.join()
    call.callee.rtp.close()
    told = Playing(call, {"b": SOUND}).answer()
    assert (told["ok"], told["error"]) == (False, "refused")


@pytest.mark.parametrize(
    "sides",
    [
        {},
        {"c": SOUND},
        {"b": []},
        {"b": [b"no RTP at all"]},
        {"b": SOUND, "a": SOUND[1:]},
        {"b": [SOUND[0]] * (MOST_PACKETS + 1)},
    ],
)
def test_an_order_that_makes_no_sense_mutes_nobody(call: Call, sides: dict[str, list[bytes]]) -> None:
    call.join()
    assert not Playing(call, sides).answer()["ok"]
    for number in (1, 2):
        call.caller.rtp.sendto(packet(number, 0, b"x"), call.ports[0])
    assert heard(call.callee, 2) == [packet(1, 0, b"x"), packet(2, 0, b"x")]


def test_nothing_is_played_in_a_call_without_two_ends_or_while_something_is(call: Call) -> None:
    assert not Playing(call, {"b": SOUND}).answer()["ok"]
    call.join()
    Playing(call, {"b": SOUND})
    second = Playing(call, {"b": SOUND})
    assert not second.answer()["ok"]
    assert second.answer()["ok"]  # of the first, which goes on


def test_packets_that_are_cut_off_are_no_sound() -> None:
    whole = len(SOUND[0]).to_bytes(2) + SOUND[0]
    assert unpacked(whole * 2) == [SOUND[0]] * 2
    with pytest.raises(OrderError):
        unpacked(whole + whole[:-1])


@pytest.fixture
def streams() -> Iterator[tuple[Stream, Phone]]:
    """A stream whose opposite sends to a telephone."""
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    with Phone() as phone:
        for it in ends:
            it.bind(("127.0.0.1", 0))
        one, other = (Stream(it, 1, side, is_rtp=True) for side, it in enumerate(ends))
        one.opposite, other.opposite = other, one
        other.aim((phone.rtp.getsockname(),), True, None)
        yield one, phone
    for it in ends:
        it.close()


@pytest.mark.parametrize(("late", "error"), [(LATEST_NS, ""), (LATEST_NS + 1, "late")])
def test_a_sound_that_falters_is_not_heard(streams: tuple[Stream, Phone], late: int, error: str) -> None:
    stream, phone = streams
    play = Play(1000, 1, 9, [(stream, [memoryview(it) for it in SOUND])])
    play.turn(1000)
    assert phone.rtp.recv(4096) == SOUND[0]
    play.turn(1000 + STEP_NS + late)
    assert play.error == error
    assert play.is_heard != bool(error)
    end = 1000 + len(SOUND) * STEP_NS
    play.turn(end)
    assert (play.is_over, play.is_heard) == (bool(error), False)
    play.turn(end + TAIL_NS)
    assert play.is_over
    expected = {"seq": 9, "ok": False, "error": error}
    assert play.answer() == (
        expected if error else {"seq": 9, "ok": True, "began": 1000, "ended": end, "packets": 10}
    )


async def test_signalling_is_told_when_it_was_heard_whole(here: Site) -> None:
    with Phone() as caller, Phone() as callee:
        await here.client.open(7, HERE)
        join(here.client, 7, caller, callee)
        played = await here.client.play(7, {"b": SOUND, "a": SOUND})
        assert played.packets == len(SOUND)
        for phone in (caller, callee):
            assert heard(phone, len(SOUND)) == SOUND


@pytest.mark.parametrize("what", ["no such call", "stopped", "worker killed", "broker gone"])
async def test_what_was_not_heard_whole_is_told_as_such(here: Site, what: str) -> None:
    with Phone() as caller, Phone() as callee:
        await here.client.open(7, HERE)
        join(here.client, 7, caller, callee)
        playing = asyncio.ensure_future(
            here.client.play(8 if what == "no such call" else 7, {"b": SOUND * 9})
        )
        callee.rtp.setblocking(False)
        if what != "no such call":
            await soon(lambda: bool(_arrived(callee)))
        happens: dict[str, Callable[[], None]] = {
            "no such call": lambda: None,
            "stopped": lambda: here.client.stop_play(7),
            "worker killed": here.workers[0].kill,
            "broker gone": lambda: next(iter(here.broker._clients)).close(),
        }
        happens[what]()
        with pytest.raises(MediaUnavailable):
            await playing


def _arrived(phone: Phone) -> bytes:
    try:
        return phone.rtp.recv(4096)
    except BlockingIOError:
        return b""


def test_descriptors_are_closed_when_nobody_holds_them() -> None:
    descriptor = Descriptor(os.memfd_create("sound"))
    number = descriptor.fileno()
    del descriptor
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)
