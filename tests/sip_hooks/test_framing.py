"""A stream is cut into the same messages however it is split, and a stream that cannot be cut is given up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.framing import PING, Broken, Deframer, measured
from sip_hooks.message import MAXIMUM_HEAD, MAXIMUM_SIZE, parse
from tests.fakes.sip import invite, request

FOLDED = b"OPTIONS sip:a SIP/2.0\r\nL :\r\n  3\r\n\r\nabc"
CRLF = b"\r\n"


def cut(*pieces: bytes) -> list[bytes | Broken]:
    stream = Deframer()
    return [found for piece in pieces for found in stream.feed(piece)]


def broken(data: bytes) -> Broken:
    (found,) = cut(data)
    assert isinstance(found, Broken)
    return found


@pytest.mark.parametrize("name", [b"Content-Length", b"l", b"L "])
def test_a_length_that_is_there_is_not_said_again(name: bytes) -> None:
    message = b"OPTIONS sip:a SIP/2.0\r\n" + name + b": 3\r\n\r\nabc"
    assert measured(message) == message


def test_a_length_that_is_missing_is_that_of_the_body() -> None:
    (found,) = cut(measured(b"OPTIONS sip:a SIP/2.0\r\nX: content-length: 9\r\n\r\nabc"))
    assert isinstance(found, bytes)
    assert parse(found).body == b"abc"
    assert measured(b"no message") == b"no message"


def test_pipelined_messages_come_out_one_by_one() -> None:
    messages = [invite(), request("OPTIONS"), FOLDED]
    assert cut(b"".join(messages)) == messages


def test_a_message_waits_for_its_last_byte() -> None:
    stream = Deframer()
    assert list(stream.feed(invite()[:-1])) == []
    assert stream.is_within_message
    assert list(stream.feed(invite()[-1:])) == [invite()]
    assert not stream.is_within_message


@pytest.mark.parametrize(
    ("before", "pings"), [(b"", 0), (CRLF, 0), (PING, 1), (PING + CRLF, 1), (PING + PING, 2)]
)
def test_two_empty_lines_between_messages_are_a_ping_and_one_is_nothing(before: bytes, pings: int) -> None:
    assert cut(before + FOLDED) == [PING] * pings + [FOLDED]
    assert cut(FOLDED + CRLF + FOLDED + CRLF + FOLDED) == [FOLDED] * 3


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (b"", b"missing"),
        (b"X-Content-Length: 3\r\n", b"missing"),
        (b"Content-Length: 3\r\nl: 3\r\n", b"twice"),
        (b"Content-Length: 3\r\nCONTENT-LENGTH : 4\r\n", b"twice"),
        (b"Content-Length: three\r\n", b"no number"),
        (b"Content-Length: -3\r\n", b"no number"),
        (b"Content-Length: 3, 3\r\n", b"no number"),
        (b"Content-Length:\r\n", b"no number"),
        (b"Content-Length: 99999999999\r\n", b"no number"),
        (b"Content-Length: \xb2\r\n", b"no number"),
    ],
)
def test_without_one_readable_content_length_the_stream_is_over(length: bytes, reason: bytes) -> None:
    head = b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n" + length + CRLF
    found = broken(head + b"abc")
    assert (found.status, found.head) == (400, head)
    assert reason in found.reason


def test_nothing_comes_after_a_broken_message() -> None:
    stream = Deframer()
    assert [type(found) for found in stream.feed(FOLDED + b"junk\r\n\r\n" + FOLDED)] == [bytes, Broken]
    assert list(stream.feed(FOLDED)) == []


def head_of(size: int, length: int = 0) -> bytes:
    """Start line and header fields without their end, `size` bytes together."""
    lines = b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\nX: " % length
    return lines + b"x" * (size - len(lines))


def test_header_fields_have_a_limit() -> None:
    assert cut(head_of(MAXIMUM_HEAD) + PING) == [head_of(MAXIMUM_HEAD) + PING]
    assert broken(head_of(MAXIMUM_HEAD + 1) + PING) == Broken(513, b"Message Too Large", b"")
    assert broken(b"x" * (MAXIMUM_HEAD + 4)).status == 513


def test_a_message_has_the_limit_of_a_datagram() -> None:
    room = MAXIMUM_SIZE - 104
    largest = head_of(100, room) + PING + b"b" * room
    assert cut(largest) == [largest]
    parse(largest)
    found = broken(head_of(100, room + 1) + PING)
    assert (found.status, len(found.head)) == (513, 104)


def test_a_message_that_arrives_byte_by_byte_is_searched_once() -> None:
    """Every byte is looked at a few times, not as often as there are bytes."""
    stream = Deframer()
    looked_at = 0

    class Watched(bytearray):
        def find(self, sub: object, *limits: object) -> int:
            nonlocal looked_at
            assert isinstance(limits[0], int) and isinstance(sub, bytes)
            looked_at += len(self) - limits[0]
            return super().find(sub, limits[0])

    stream._buffer = Watched()
    data = head_of(8000) + PING
    assert [found for at in range(len(data)) for found in stream.feed(data[at : at + 1])] == [data]
    assert looked_at <= 5 * len(data)


ITEMS = st.sampled_from(
    [invite(), FOLDED, request("OPTIONS"), CRLF, PING, b"\r", b"X\r\n\r\n", b"SIP/2.0 200 OK\r\nl:0\r\n\r\n"]
)


@settings(max_examples=300, derandomize=True)
@given(st.lists(ITEMS, max_size=8), st.data())
def test_any_split_gives_the_same_messages(items: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(items)
    marks = data.draw(st.lists(st.integers(0, len(whole)), max_size=12).map(sorted))
    pieces = [whole[start:end] for start, end in pairwise([0, *marks, len(whole)])]
    assert cut(*pieces) == cut(whole)


@settings(max_examples=200, derandomize=True)
@given(st.binary(max_size=300).map(lambda noise: noise.replace(b"\0", CRLF)))
def test_noise_never_raises_and_splits_alike(noise: bytes) -> None:
    assert cut(*(noise[at : at + 1] for at in range(len(noise)))) == cut(noise)
