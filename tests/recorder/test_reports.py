"""RTCP as it passes: how much the far end lost, and how long the way there and back is."""

from __future__ import annotations

import os
import struct

import pytest

from recorder.relay.reports import Reports
from tests.fakes.relay import Tap, WorkerProcess
from tests.recorder.test_relay import Call

A, B = 0, 1
SECOND = 1_000_000_000


def block(loss: float = 0, last: int = 0, since: float = 0) -> bytes:
    return struct.pack("!IB3sIIII", 1, int(loss * 256), bytes(3), 0, 0, last, int(since * 65536))


def report(kind: int, *blocks: bytes, ntp: int = 0) -> bytes:
    sender = struct.pack("!QIII", ntp << 16, 0, 0, 0) if kind == 200 else b""
    body = struct.pack("!I", 7) + sender + b"".join(blocks)
    return struct.pack("!BBH", 128 | len(blocks), kind, len(body) // 4) + body


def take(reports: Reports, side: int, seconds: float, data: bytes) -> bool:
    return reports.take(1, side, int(seconds * SECOND), memoryview(data))


SOURCE = struct.pack("!BBHI", 129, 202, 3, 7) + b"\x01\x01x\0" + bytes(4)


def test_loss_and_round_trip_are_those_of_the_party_that_reports() -> None:
    reports = Reports()
    assert take(reports, A, 10, report(200, ntp=0x1234_5678) + SOURCE)
    assert take(reports, B, 12.08, report(201, block(0.25, 0x1234_5678, 2)) + SOURCE)
    assert reports.loss == [None, 0.25]
    assert reports.round_trip[A] is None
    assert reports.round_trip[B] == pytest.approx(0.08 * SECOND, rel=0.01)
    assert take(reports, B, 15, report(200, block(0.5), ntp=99))
    assert take(reports, A, 15.5, report(200, block(0, 99, 0.25)))
    assert (reports.loss, reports.round_trip[A]) == ([0, 0.5], SECOND // 4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        report(201, block(0.5))[:20],
        report(201, block(0.5))[:-4],
        b"\x9f" + report(201, block(0.5))[1:],  # 31 blocks, of which there is one
        report(201, block(0.5)) + os.urandom(14),  # SRTCP: index and tag behind it
        report(201, block(0.5)) + b"\x80\xc9\xff\xff",
    ],
)
def test_what_is_encrypted_or_damaged_says_nothing(data: bytes) -> None:
    reports = Reports()
    assert not take(reports, A, 1, data)
    assert reports.loss == [None, None]


def test_a_time_that_cannot_be_is_not_believed() -> None:
    reports = Reports()
    take(reports, A, 10, report(200, ntp=5))
    take(reports, B, 11, report(201, block(0, 5, since=2)))
    take(reports, B, 100, report(201, block(0, 5)))
    take(reports, B, 100, report(201, block(0, 6)))
    assert reports.round_trip == [None, None]


def test_reports_that_pass_a_relay_are_read_and_told() -> None:
    tap = Tap()
    worker = WorkerProcess(tap.fd)
    call = Call(worker)
    call.join()
    call.caller.rtcp.sendto(report(200, ntp=5), call.ports[1])
    assert call.callee.rtcp.recv(100) == report(200, ntp=5)
    heard = report(201, block(0.25, 5))
    call.callee.rtcp.sendto(heard, call.ports[3])
    assert call.caller.rtcp.recv(100) == heard
    told = worker.order({"op": "stats"})
    assert told["reported_loss"] == 0.25
    assert 0 < told["round_trip_ns"] < SECOND
    worker.stop()
    call.close()
    tap.close()
