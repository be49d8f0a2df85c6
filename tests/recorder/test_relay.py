"""The relay worker as a real process: what it forwards, what it refuses, what it lets into the ring."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.relay.protocol import LABELS
from recorder.relay.stream import AUDIO, CONTROL, REFUSED, kinds
from tests.fakes.relay import Tap, WorkerProcess, eventually
from tests.fakes.rtp import PCMA, PCMU, TELEPHONE_EVENT, Phone, packet, sender_report, silent, speech, stream


class Call:
    """Four sockets as the broker binds them, between two phones."""

    def __init__(self, worker: WorkerProcess, session: int = 1) -> None:
        self.session = session
        self.caller, self.callee, self.stranger = Phone(), Phone(), Phone()
        self.sockets = [_bind() for _ in LABELS]
        self.ports = [each.getsockname() for each in self.sockets]
        self.attach(worker)

    def attach(self, worker: WorkerProcess) -> None:
        self.worker = worker
        answer = worker.order({"op": "open", "session": self.session, "labels": list(LABELS)}, self.sockets)
        assert answer["ok"], answer

    def order(self, op: str, **rest: Any) -> dict[str, Any]:
        answer = self.worker.order({"op": op, "session": self.session, **rest})
        assert answer["ok"], answer
        return answer

    def join(self, final: bool = True, types: tuple[int, ...] = ()) -> None:
        for side, phone in (("a", self.caller), ("b", self.callee)):
            self.order("remote", side=side, remotes=[phone.remote], payload_types=list(types), final=final)

    def counted(self) -> dict[str, int]:
        """From the worker's table; a and b are packets from these sides."""
        row = self.worker.order({"op": "table"})["calls"][0]
        names = ("a", "b", "foreign", "malformed", "refused", "errors", "excess", "rtcp")
        return dict(zip(names, row[2:], strict=True))

    def close(self) -> None:
        for phone in (self.caller, self.callee, self.stranger):
            phone.__exit__(None, None, None)
        for each in self.sockets:
            each.close()


def _bind() -> socket.socket:
    """By number, as the broker does: a port that the kernel chose would be lost when a socket disconnects."""
    while True:
        endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            endpoint.bind(("127.0.0.1", random.randrange(20000, 30000)))
        except OSError:
            endpoint.close()
        else:
            return endpoint


@pytest.fixture
def tap() -> Iterator[Tap]:
    tap = Tap(slots=256)
    yield tap
    tap.close()


@pytest.fixture
def worker(tap: Tap) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(tap.fd)
    yield worker
    if worker.process.returncode is None:
        worker.stop()


@pytest.fixture
def call(worker: WorkerProcess) -> Iterator[Call]:
    call = Call(worker)
    yield call
    call.close()


@pytest.mark.parametrize("final", [False, True])
def test_rtp_and_rtcp_go_both_ways_unchanged(call: Call, final: bool) -> None:
    call.join(final)

    def check(
        sender: socket.socket, through: int, receiver: socket.socket, seen_from: int, data: bytes
    ) -> None:
        sender.sendto(data, call.ports[through])
        assert receiver.recvfrom(4096) == (data, call.ports[seen_from])

    caller, callee = call.caller, call.callee
    check(caller.rtp, 0, callee.rtp, 2, packet(1, 2, b"from the caller"))
    check(caller.rtcp, 1, callee.rtcp, 3, sender_report())
    check(callee.rtp, 2, caller.rtp, 0, packet(3, 4, b"from the callee"))
    check(callee.rtcp, 3, caller.rtcp, 1, sender_report(5))
    check(callee.rtp, 2, caller.rtp, 0, sender_report(6))  # RTCP on the RTP port, RFC 5761


def test_only_announced_sources_are_heard_before_the_answer(call: Call) -> None:
    with Phone() as other_fork:
        call.order("remote", side="a", remotes=[call.caller.remote])
        call.order("remote", side="b", remotes=[other_fork.remote, call.callee.remote])
        call.stranger.rtp.sendto(packet(9, 9, b"foreign"), call.ports[2])
        other_fork.rtp.sendto(packet(1, 1, b"fork"), call.ports[2])
        call.callee.rtp.sendto(packet(2, 2, b"callee"), call.ports[2])
        heard = {call.caller.rtp.recv(4096)[12:], call.caller.rtp.recv(4096)[12:]}
        assert heard == {b"fork", b"callee"}
        assert call.counted()["foreign"] == 1
        assert silent(call.caller.rtp)
        assert silent(call.stranger.rtp)


def test_after_the_answer_a_foreign_source_is_not_heard_nor_what_it_sent_before(call: Call) -> None:
    foreign, own = packet(9, 9, b"foreign"), packet(1, 1, b"own")
    os.kill(call.worker.process.pid, 19)  # SIGSTOP: both wait in the socket while it is connected
    call.stranger.rtp.sendto(foreign, call.ports[2])
    call.callee.rtp.sendto(own, call.ports[2])
    for side, phone in (("a", call.caller), ("b", call.callee)):
        message = {"op": "remote", "session": 1, "side": side, "remotes": [phone.remote], "final": True}
        call.worker.control.send(json.dumps(message).encode())
    os.kill(call.worker.process.pid, 18)
    assert [json.loads(call.worker.control.recv(4096))["ok"] for _ in "ab"] == [True, True]
    assert call.caller.rtp.recv(4096) == own
    assert call.counted()["foreign"] == 1
    call.stranger.rtp.sendto(foreign, call.ports[2])
    call.callee.rtp.sendto(own, call.ports[2])
    assert call.caller.rtp.recv(4096) == own
    assert silent(call.caller.rtp)


def test_a_remote_may_become_uncertain_again_and_move(call: Call) -> None:
    call.join(final=True)
    with Phone() as moved:
        call.order("remote", side="b", remotes=[call.callee.remote, moved.remote], final=False)
        moved.rtp.sendto(packet(1, 1, b"new"), call.ports[2])
        assert call.caller.rtp.recv(4096)[12:] == b"new"
        call.callee.rtp.sendto(packet(2, 2, b"old"), call.ports[2])
        assert call.caller.rtp.recv(4096)[12:] == b"old"
        call.order("remote", side="b", remotes=[moved.remote], final=True)
        call.caller.rtp.sendto(packet(3, 3, b"back"), call.ports[0])
        assert moved.rtp.recvfrom(4096) == (packet(3, 3, b"back"), call.ports[2])


def test_what_is_no_rtp_of_the_negotiated_kind_is_dropped(call: Call) -> None:
    call.join(types=(PCMA, 101))

    def check(data: bytes, counter: str, through: int = 0) -> None:
        before = call.counted()[counter]
        sender = call.caller.rtp if through == 0 else call.caller.rtcp
        sender.sendto(data, call.ports[through])
        eventually(lambda: call.counted()[counter] == before + 1)

    check(b"\x40" + packet(1, 1, b"version 1")[1:], "malformed")
    check(packet(1, 1, b"")[:11], "malformed")
    check(packet(1, 1, bytes(5000)), "malformed")
    check(sender_report()[:7], "malformed", through=1)
    check(packet(1, 1, b"other codec", payload_type=PCMU), "refused")
    check(packet(1, 1, b"RTP on the RTCP port"), "refused", through=1)
    call.caller.rtp.sendto(packet(7, 7, b"good", marker=True), call.ports[0])
    assert call.callee.rtp.recv(4096) == packet(7, 7, b"good", marker=True)
    assert silent(call.callee.rtp)


def test_a_phone_that_is_gone_is_counted_and_the_call_goes_on(call: Call) -> None:
    call.join()
    call.callee.rtp.close()
    for number in range(2):
        call.caller.rtp.sendto(packet(number, 0, b"x"), call.ports[0])
    eventually(lambda: call.counted()["errors"] > 0)
    call.callee.rtcp.sendto(sender_report(), call.ports[3])
    assert call.caller.rtcp.recv(4096) == sender_report()


def test_a_shut_tap_leaves_the_ring_blank(call: Call, tap: Tap) -> None:
    call.join()
    for data in stream(speech(1, 10)):
        call.caller.rtp.sendto(data, call.ports[0])
        assert call.callee.rtp.recv(4096) == data
    assert tap.is_blank()
    assert os.pread(tap.fd, 4096, 0).count(0) > 4080
    assert tap.read() == 0


def test_an_open_tap_copies_both_sides_audio_and_nothing_else_until_it_shuts(call: Call, tap: Tap) -> None:
    call.join()
    call.order("tap", level="all")
    said = packet(1, 1, b"caller"), packet(2, 2, b"callee")
    call.caller.rtp.sendto(said[0], call.ports[0])
    call.caller.rtcp.sendto(sender_report(), call.ports[1])
    assert call.callee.rtp.recv(4096) == said[0]
    call.caller.rtp.sendto(sender_report(), call.ports[0])  # RTCP on the port of RTP (RFC 5761)
    assert call.callee.rtp.recv(4096) == sender_report()
    call.callee.rtp.sendto(said[1], call.ports[2])
    eventually(lambda: tap.read() >= 2)
    assert tap.packets == [(1, 0, said[0]), (1, 1, said[1])]
    call.order("tap", level="none")
    call.caller.rtp.sendto(packet(3, 3, b"private"), call.ports[0])
    assert call.callee.rtp.recv(4096)[12:] == b"private"
    assert tap.is_blank()


def test_a_full_ring_does_not_stop_the_audio() -> None:
    """Nobody reads: the case of a dead capture process too."""
    tap = Tap(slots=3)
    worker = WorkerProcess(tap.fd)
    call = Call(worker)
    call.join()
    call.order("tap", level="all")
    for data in stream(speech(1, 10)):
        call.caller.rtp.sendto(data, call.ports[0])
        assert call.callee.rtp.recv(4096) == data
    eventually(lambda: worker.order({"op": "stats"})["dropped"] == 7)
    assert tap.read() == 3
    worker.stop()
    call.close()
    tap.close()


def test_a_reader_killed_while_it_reads_does_not_interrupt_the_audio(call: Call, tap: Tap) -> None:
    program = (
        f"import time\nfrom recorder.ring import RingReader\nreader = RingReader({tap.fd})\n"
        "def consume(records):\n    print(len(records), flush=True)\n    time.sleep(60)\n"
        "while True:\n    reader.drain(lambda records: consume(records) if len(records) else None)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", program], pass_fds=(tap.fd,), stdout=subprocess.PIPE)
    assert reader.stdout is not None
    call.join()
    call.order("tap", level="all")
    said = list(stream(speech(1, 20)))
    for index, data in enumerate(said):
        call.caller.rtp.sendto(data, call.ports[0])
        assert call.callee.rtp.recv(4096) == data
        if index == 10:
            assert reader.stdout.readline()
            reader.kill()
            reader.wait()
    reader.stdout.close()
    eventually(lambda: tap.read() >= 10 and tap.packets[-1] == (1, 0, said[-1]))


def test_a_killed_worker_s_successor_goes_on_with_the_same_ports_and_ring(call: Call, tap: Tap) -> None:
    call.join()
    call.order("tap", level="all")
    call.caller.rtp.sendto(packet(1, 1, b"before"), call.ports[0])
    assert call.callee.rtp.recv(4096)[12:] == b"before"
    eventually(lambda: tap.read() == 1)
    first = call.worker
    first.kill()
    first.control.close()
    call.caller.rtp.sendto(packet(2, 2, b"meanwhile"), call.ports[0])
    successor = WorkerProcess(tap.fd)
    call.attach(successor)
    call.order("tap", level="all")
    call.join()
    call.caller.rtp.sendto(packet(3, 3, b"after"), call.ports[0])
    heard = call.callee.rtp.recvfrom(4096), call.callee.rtp.recvfrom(4096)
    assert [data[12:] for data, _ in heard] == [b"meanwhile", b"after"]
    assert {source for _, source in heard} == {call.ports[2]}
    eventually(lambda: tap.read() >= 3)
    assert [data[12:] for _, _, data in tap.packets] == [b"before", b"meanwhile", b"after"]
    successor.stop()


def test_a_closed_call_s_sockets_are_closed_in_the_worker(call: Call, worker: WorkerProcess) -> None:
    call.join()
    call.order("close")
    assert worker.order({"op": "table"}) == {"seq": 1, "ok": True, "calls": [], "more": False}
    held = {str(each.readlink()) for each in Path(f"/proc/{worker.process.pid}/fd").iterdir()}
    assert not {f"socket:[{os.fstat(each.fileno()).st_ino}]" for each in call.sockets} & held


@pytest.mark.parametrize("address", ["0.0.0.1", "255.0.0.1"])
def test_a_remote_that_the_kernel_refuses_can_be_corrected(
    call: Call, worker: WorkerProcess, address: str
) -> None:
    held = _open_sockets(worker)
    call.order("remote", side="a", remotes=[call.caller.remote], final=True)
    call.order("remote", side="b", remotes=[(address, 4000, 4001)], final=True)
    assert call.counted()["errors"] == 2
    call.order("remote", side="b", remotes=[call.callee.remote], final=True)
    call.callee.rtp.sendto(packet(1, 1, b"there"), call.ports[2])
    assert call.caller.rtp.recv(4096)[12:] == b"there"
    call.caller.rtp.sendto(packet(1, 1, b"back"), call.ports[0])
    assert call.callee.rtp.recv(4096)[12:] == b"back"
    call.order("remote", side="b", remotes=[(address, 4000, 4001)], final=True)
    call.callee.rtp.sendto(packet(2, 2, b"from where it was"), call.ports[2])
    call.stranger.rtp.sendto(packet(3, 3, b"from anywhere"), call.ports[2])
    eventually(lambda: call.counted()["foreign"] == 2)
    call.order("close")
    assert len(held - _open_sockets(worker)) == len(LABELS)


def test_a_call_that_ends_before_both_sides_are_known_leaves_nothing(
    call: Call, worker: WorkerProcess
) -> None:
    held = _open_sockets(worker)
    call.order("remote", side="a", remotes=[call.caller.remote])
    call.order("close")
    assert len(held - _open_sockets(worker)) == len(LABELS)


def _open_sockets(worker: WorkerProcess) -> set[str]:
    descriptors = Path(f"/proc/{worker.process.pid}/fd")
    return {str(each.readlink()) for each in descriptors.iterdir()}


def test_a_worker_that_loses_its_control_socket_ends(worker: WorkerProcess) -> None:
    worker.control.close()
    assert worker.process.wait(5) == 0


def test_a_tap_of_keys_copies_one_sides_keys_and_no_audio(call: Call, tap: Tap) -> None:
    call.join(types=(PCMA, TELEPHONE_EVENT))
    call.order("tap", level="events", keys={"a": [TELEPHONE_EVENT]})
    key = packet(1, 1, b"\x0b\x0a\0\xa0", payload_type=TELEPHONE_EVENT)
    for sender, receiver, port in ((call.caller, call.callee, 0), (call.callee, call.caller, 2)):
        for said in (packet(1, 1, b"audio"), key):
            sender.rtp.sendto(said, call.ports[port])
            assert receiver.rtp.recv(4096) == said
    eventually(lambda: tap.read() >= 1)
    assert tap.packets == [(1, 0, key)]
    call.join(types=(PCMA, TELEPHONE_EVENT))  # negotiated anew: the tap stays as it was
    call.caller.rtp.sendto(packet(2, 2, b"audio"), call.ports[0])
    assert call.callee.rtp.recv(4096)[12:] == b"audio"
    assert tap.read() == 1


def test_an_order_that_cannot_be_carried_out_is_answered_and_harms_nobody(call: Call) -> None:
    def check(order: dict[str, Any], sockets: list[socket.socket] | None = None) -> None:
        answer = call.worker.order(order, sockets)
        assert answer["ok"] is False
        assert answer["seq"] == 1
        assert answer["error"]

    check({"op": "dance"})
    check({"op": "close", "session": 99})
    check({"op": "tap", "session": 1, "level": "some"})
    check({"op": "open", "session": 1, "labels": list(LABELS)}, call.sockets)
    check({"op": "open", "session": 2, "labels": list(LABELS)}, call.sockets[:3])
    check({"op": "open", "session": 2, "labels": ["a.rtp"]}, call.sockets)
    call.worker.control.send(b"no JSON")
    assert json.loads(call.worker.control.recv(4096))["ok"] is False
    call.worker.control.send(b"[]")
    assert json.loads(call.worker.control.recv(4096))["ok"] is False
    call.join()
    call.caller.rtp.sendto(packet(1, 1, b"on"), call.ports[0])
    assert call.callee.rtp.recv(4096)[12:] == b"on"


def test_the_table_comes_in_pages() -> None:
    tap = Tap(slots=4)
    worker = WorkerProcess(tap.fd)
    sockets = [_bind() for _ in LABELS]
    for session in range(401):
        assert worker.order({"op": "open", "session": session, "labels": list(LABELS)}, sockets)["ok"]
    first = worker.order({"op": "table"})
    assert (len(first["calls"]), first["more"]) == (400, True)
    second = worker.order({"op": "table", "after": first["calls"][-1][0]})
    assert ([row[0] for row in second["calls"]], second["more"]) == ([400], False)
    worker.stop()
    for each in sockets:
        each.close()
    tap.close()


def test_a_packet_is_told_by_its_second_byte() -> None:
    def check(table: bytes, second: int, expected: int) -> None:
        assert table[second] == expected

    negotiated = kinds(frozenset({0, 101}), is_rtp=True)
    check(negotiated, 0, AUDIO)
    check(negotiated, 128 | 101, AUDIO)
    check(negotiated, 8, REFUSED)
    check(negotiated, 200, CONTROL)
    anything = kinds(None, is_rtp=True)
    check(anything, 127, AUDIO)
    check(anything, 72, AUDIO)
    check(anything, 200, CONTROL)
    rtcp = kinds(None, is_rtp=False)
    check(rtcp, 200, CONTROL)
    check(rtcp, 223, CONTROL)
    check(rtcp, 224, REFUSED)
    check(rtcp, 0, REFUSED)
