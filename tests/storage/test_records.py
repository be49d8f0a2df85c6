"""Records: bytes and back, in the order of a clip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records import (
    Announcement,
    Audio,
    Codec,
    End,
    Gap,
    Masked,
    Pad,
    Parties,
    Pause,
    Quality,
    Record,
    RecordDecoder,
    RecordError,
    Resume,
    canonical_json,
    encode,
    parse_canonical,
)

PARTIES = Parties("201", "+31201234567")
EVERY: list[Record] = [
    PARTIES,
    Codec(1, 96, "G722", 8000),
    Audio(0, 2**64 - 1, 2**32 - 1, 127, b"\xd5" * 160),
    Audio(1, 0, 0, 0, b""),
    Gap(1, 160, 320),
    Pause(480),
    Resume(960),
    Announcement(0, 16_000, bytes(range(32))),
    Announcement(-52_000, -2_400, bytes(32)),
    Masked(0, 960, 1600),
    Pad(0),
    Pad(5),
    Quality(0, 1500, 3, 1, 0),
    End("hangup", {"received": 1500}),
]
KNOWN = [
    (PARTIES, b'\x01\x00\x28{"agent":"201","outside":"+31201234567"}'),
    (Audio(1, 2, 3, 8, b"ab"), bytes.fromhex("03001001080000000000000002000000036162")),
    (Gap(1, 2, 3), bytes.fromhex("0400110100000000000000020000000000000003")),
    (
        Announcement(-2, 3, bytes(range(32))),
        bytes.fromhex("070030fffffffffffffffe0000000000000003") + bytes(range(32)),
    ),
    (Pad(2), bytes.fromhex("0900020000")),
    (End("bye", {}), b'\x0b\x00\x1c{"counts":{},"reason":"bye"}'),
]
UNWRITABLE: list[Record] = [
    Audio(2, 0, 0, 8, b""),
    Audio(0, 0, 0, 128, b""),
    Audio(0, -1, 0, 8, b""),
    Audio(0, 2**64, 0, 8, b""),
    Audio(0, 0, 0, 8, bytes(65_536)),
    Codec(0, 8, "", 8000),
    Codec(0, 8, "x" * 33, 8000),
    Codec(0, 8, "é", 8000),
    Announcement(0, 1, b"short"),
]
HEADED = encode(PARTIES)


def raw(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


UNREADABLE = [
    raw(0, b""),
    raw(12, b""),
    HEADED + HEADED,
    encode(Pad(1)),
    HEADED + raw(9, b"\1"),
    HEADED + raw(5, bytes(7)),
    HEADED + raw(5, bytes(9)),
    HEADED + raw(4, b"\2" + bytes(16)),
    HEADED + raw(2, bytes(6)),
    HEADED + raw(3, bytes(2)),
    HEADED + encode(End("x")) + encode(Pad(1)),
    raw(1, b"{}"),
    raw(1, b"[]"),
    raw(1, b'["agent","outside"]'),
    raw(1, b'{"agent":"","outside":1}'),
    HEADED + raw(11, b'{"counts":{}, "reason":"b"}'),
    HEADED + raw(11, b'{"counts":[],"reason":"b"}'),
    HEADED + raw(11, b'{"counts":{},"reason":1}'),
    HEADED + raw(11, b'{"counts":{"a":"b"},"reason":"b"}'),
    HEADED + raw(11, b'{"counts":{"a":true},"reason":"b"}'),
]


@pytest.mark.parametrize(("record", "data"), KNOWN)
def test_a_record_has_the_bytes_of_the_paper(record: Record, data: bytes) -> None:
    assert encode(record) == data


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_records_survive_any_cutting_of_the_stream(size: int) -> None:
    stream, decoder, found = b"".join(map(encode, EVERY)), RecordDecoder(), []
    for at in range(0, len(stream), size):
        found += decoder.feed(stream[at : at + size])
    assert (found, decoder.pending, decoder.has_ended) == (EVERY, 0, True)


@pytest.mark.parametrize("record", UNWRITABLE)
def test_what_does_not_fit_is_not_written(record: Record) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode(record)


@pytest.mark.parametrize("data", UNREADABLE)
def test_what_is_not_of_version_1_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        RecordDecoder().feed(data)


def test_an_unfinished_record_waits() -> None:
    decoder = RecordDecoder()
    assert decoder.feed(HEADED[:-1]) == []
    assert decoder.pending == len(HEADED) - 1
    assert decoder.feed(HEADED[-1:]) == [PARTIES]


def test_numbers_are_in_no_repr() -> None:
    assert "2012345" not in repr(PARTIES)


NOT_CANONICAL = [
    b'{"a": 1}',
    b'{"b":1,"a":2}',
    b'{"a":1,"a":1}',
    b"1.5",
    b"NaN",
    b"[" * 100_000,
    b'"\\u00e9"',
    b"\xff",
]


@pytest.mark.parametrize("data", NOT_CANONICAL)
def test_json_has_one_form(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_canonical(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON)
def test_canonical_json_comes_back(value: object) -> None:
    assert parse_canonical(canonical_json(value)) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        RecordDecoder().feed(HEADED + data)
    except RecordError:
        return
