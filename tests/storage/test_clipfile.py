"""The clip file: what was sealed is read, and nothing else is."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor

from storage import keys, signing
from storage.clipfile import (
    CHUNK,
    SEALED_CHUNK,
    BadCloseRecord,
    CloseRecord,
    Cut,
    KeyFailure,
    PayloadFailure,
    SealedWriter,
    cut_to_whole_chunks,
    read,
    read_close_record,
    truncated_close_record,
)
from storage.errors import Forgery
from storage.header import FRONT_BYTES, MAGIC, Header, HeaderFailure, header_hash, parse_header
from storage.model import Ending
from storage.records import Audio, Codec, End, Gap, Pad, Parties, Record, canonical_json, encode
from tests.storage.clips import PARTIES, SMALL, Made, speech

FAILURES = (HeaderFailure, PayloadFailure, BadCloseRecord, KeyFailure)


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module")
def large() -> Made:
    return Made(records=[PARTIES, *speech(100), End("hangup")])


def reading(made: Made, file: bytes | None = None, **changes: bytes) -> Any:
    inputs = {"key": made.k2, "recorder_public": made.recorder_public, "close_record": made.close_record}
    return read(made.file if file is None else file, **{**inputs, **changes})


def closed_again(made: Made, file: bytes, chunks: int, ending: Ending = Ending.COMPLETE) -> bytes:
    """As by somebody who has Ks, so that only the layer below can tell."""
    sha256 = hashlib.sha256(file).hexdigest()
    return CloseRecord(made.header.clip, made.h.hex(), chunks, len(file), sha256, ending).signed(made.ks)


def body_of(made: Made) -> int:
    """Where the first chunk begins."""
    return FRONT_BYTES + len(made.header.encode()) + 64 + 56


def test_a_clip_comes_back_as_it_went_in(made: Made, large: Made) -> None:
    for one in (made, large):
        opened = reading(one)
        assert opened.header == one.header
        assert opened.ending is Ending.COMPLETE
        assert list(opened.records) == one.records


def test_the_file_is_laid_out_as_the_paper_says(made: Made) -> None:
    header = made.header.encode()
    assert made.file.startswith(MAGIC + struct.pack(">I", len(header)) + header)
    assert made.h == hashlib.sha512(made.file[: FRONT_BYTES + len(header)]).digest()
    sealing = made.file[body_of(made) - 56 :]
    library = Cobblestone256Decryptor(made.k2, made.h)
    assert library.update(sealing) + library.finalize() == b"".join(map(encode, SMALL))


def test_no_party_is_readable_in_the_file(made: Made) -> None:
    assert b"31201234567" not in made.file
    assert b"201" not in made.file[body_of(made) :]


def test_every_changed_byte_of_the_file_is_refused(made: Made) -> None:
    for at in range(len(made.file)):
        changed = made.file[:at] + bytes([made.file[at] ^ 1]) + made.file[at + 1 :]
        with pytest.raises(FAILURES):
            reading(made, changed)


def test_every_shortened_or_lengthened_file_is_refused(made: Made) -> None:
    for end in range(len(made.file)):
        with pytest.raises(FAILURES):
            reading(made, made.file[:end])
    with pytest.raises(PayloadFailure):
        reading(made, made.file + b"\0")


def test_every_change_of_the_close_record_is_refused(made: Made) -> None:
    record = made.close_record
    for at in range(len(record)):
        for changed in (record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :], record[:at]):
            with pytest.raises(BadCloseRecord):
                reading(made, close_record=changed)


def test_every_changed_byte_of_the_payload_is_refused_even_when_closed_again(made: Made) -> None:
    for at in range(body_of(made), len(made.file)):
        changed = made.file[:at] + bytes([made.file[at] ^ 1]) + made.file[at + 1 :]
        with pytest.raises(PayloadFailure):
            reading(made, changed, close_record=closed_again(made, changed, 1))


def test_another_key_opens_nothing(made: Made) -> None:
    with pytest.raises(KeyFailure):
        reading(made, key=keys.new_clip_key())


def test_another_recorder_is_not_believed(made: Made) -> None:
    with pytest.raises(HeaderFailure):
        reading(made, recorder_public=signing.public_bytes(signing.generate()))


def test_another_clip_under_the_same_key_is_no_substitute(made: Made) -> None:
    """The commitment binds the key only; the close record binds the audio."""
    other = Made(
        records=[PARTIES, *speech(1, b"\x2a" * 8), *SMALL[3:]],
        ks=made.ks,
        k2=made.k2,
        day_private=made.day_private,
        purpose_private=made.purpose_private,
    )
    assert len(other.file) == len(made.file)
    assert list(reading(other).records) == other.records
    assert other.h == made.h
    with pytest.raises(PayloadFailure):
        reading(made, other.file)


def test_the_close_record_of_another_header_is_refused(made: Made) -> None:
    closed = read_close_record(made.close_record, made.recorder_public)
    for record in (replace(closed, clip="00" * 16), replace(closed, header_hash="00" * 64)):
        with pytest.raises(BadCloseRecord):
            reading(made, close_record=record.signed(made.ks))


def test_a_signed_close_record_of_another_version_is_refused(made: Made) -> None:
    text = made.close_record[64:]
    for changed in (
        text.replace(b'"version":1', b'"version":2'),
        text.replace(b'"complete"', b'"whatever"'),
        text.replace(b'"version":1', b'"version":1,"x":1'),
        text.replace(b'"version":1', b'"version": 1'),
        b"[]",
    ):
        assert changed != text
        signature = signing.sign(made.ks, "doelband/clip-close/1", changed)
        with pytest.raises(BadCloseRecord):
            reading(made, close_record=signature + changed)


def test_a_signature_for_one_use_means_nothing_in_another(made: Made) -> None:
    text = made.close_record[64:]
    with pytest.raises(BadCloseRecord):
        reading(made, close_record=signing.sign(made.ks, "doelband/clip-prologue/1", text) + text)


def test_chunks_out_of_order_are_refused(large: Made) -> None:
    first, second = body_of(large), body_of(large) + SEALED_CHUNK
    file = large.file
    swapped = file[:first] + file[second : second + SEALED_CHUNK] + file[first:second]
    swapped += file[second + SEALED_CHUNK :]
    with pytest.raises(PayloadFailure):
        reading(large, swapped, close_record=closed_again(large, swapped, large.writer.chunks))


def test_a_missing_final_chunk_is_a_truncation_only_if_the_close_record_says_so(large: Made) -> None:
    cut = large.file[: body_of(large) + 2 * SEALED_CHUNK]
    with pytest.raises(PayloadFailure):
        reading(large, cut)
    with pytest.raises(PayloadFailure, match="final chunk is missing"):
        reading(large, cut, close_record=closed_again(large, cut, 2))
    opened = reading(large, cut, close_record=closed_again(large, cut, 2, Ending.TRUNCATED))
    assert opened.ending is Ending.TRUNCATED
    assert list(opened.records) == large.records[: len(opened.records)]
    assert len(opened.records) > 150


def test_a_whole_clip_cannot_be_called_truncated(large: Made) -> None:
    with pytest.raises(PayloadFailure, match="whole chunks"):
        reading(large, close_record=closed_again(large, large.file, 3, Ending.TRUNCATED))


@pytest.mark.parametrize("chunks", [0, 2])
def test_another_number_of_chunks_is_refused(made: Made, chunks: int) -> None:
    with pytest.raises(PayloadFailure, match="number of chunks"):
        reading(made, close_record=closed_again(made, made.file, chunks))


UNFINISHED: list[list[Any]] = [[], [PARTIES], [End("no parties")], [Pad(1), PARTIES, End("late parties")]]


@pytest.mark.parametrize("records", UNFINISHED)
def test_a_complete_clip_begins_with_its_parties_and_ends_with_its_end(records: list[Any]) -> None:
    with pytest.raises(PayloadFailure):
        reading(Made(records=records))


def test_a_complete_clip_does_not_end_in_the_middle_of_a_record(made: Made) -> None:
    writer = SealedWriter(made.header, made.k2, made.ks)
    file = writer.prologue() + writer.append(encode(PARTIES) + encode(End("x")) + b"\x09") + writer.close()
    with pytest.raises(PayloadFailure):
        reading(made, file, close_record=writer.close_record())


def test_chunks_come_out_as_soon_as_they_are_full(made: Made) -> None:
    writer = SealedWriter(made.header, made.k2, made.ks)
    assert writer.prologue() == writer._prologue
    assert writer.append(bytes(CHUNK - 1)) == b""
    assert writer.buffered == CHUNK - 1
    assert len(writer.append(b"\0")) == SEALED_CHUNK
    assert (writer.buffered, writer.chunks) == (0, 1)
    assert writer.pad() == b""


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5, CHUNK - 3000])
def test_padding_makes_what_was_written_durable(room: int) -> None:
    made = Made(records=[], close=False)
    writer = SealedWriter(made.header, made.k2, made.ks)
    head = encode(PARTIES)
    head += encode(Pad(CHUNK - room - len(head) - 3))
    file = writer.prologue() + writer.append(head)
    assert writer.buffered == CHUNK - room
    file += writer.pad()
    assert writer.buffered == 0
    file += writer.append(encode(End("x"))) + writer.close()
    opened = reading(made, file, close_record=writer.close_record())
    assert [type(record) for record in opened.records] == [Parties, Pad, Pad, End]


def test_recovery_keeps_every_whole_chunk_and_needs_no_key(tmp_path: Path, large: Made) -> None:
    path, start = tmp_path / "clip", body_of(large)
    for size in (start, start + 1, start + SEALED_CHUNK - 1, start + SEALED_CHUNK, len(large.file) - 1):
        path.write_bytes(large.file[:size])
        cut = cut_to_whole_chunks(path)
        left = path.read_bytes()
        whole = (size - start) // SEALED_CHUNK
        assert cut == Cut(whole, start + whole * SEALED_CHUNK, hashlib.sha256(left).hexdigest())
        record = truncated_close_record(large.header.clip, large.h, cut, large.ks)
        opened = reading(large, left, close_record=record)
        assert (opened.ending, bool(opened.records)) == (Ending.TRUNCATED, whole > 0)
        assert cut_to_whole_chunks(path) == cut


def test_a_file_without_a_whole_prologue_holds_nothing(tmp_path: Path, made: Made) -> None:
    path = tmp_path / "clip"
    for size in (0, 10, FRONT_BYTES, body_of(made) - 1):
        path.write_bytes(made.file[:size])
        with pytest.raises(HeaderFailure):
            cut_to_whole_chunks(path)


def test_what_is_no_clip_is_not_cut(tmp_path: Path, made: Made) -> None:
    path = tmp_path / "clip"
    lengths = (MAGIC + struct.pack(">I", length) for length in (0, 4097, 2**32 - 1))
    for start in (b"x" * FRONT_BYTES, made.file[:4].upper() + made.file[4:FRONT_BYTES], *lengths):
        content = start + bytes(10_000)
        path.write_bytes(content)
        with pytest.raises(HeaderFailure):
            cut_to_whole_chunks(path)
        assert path.read_bytes() == content


WRONG_HEADERS: list[dict[str, object]] = [
    {"clip": "C1" * 16},
    {"clip": "c1" * 15},
    {"recording": "zz" * 16},
    {"part": 0},
    {"part": 2},
    {"previous": "ab" * 16},
    {"previous": "", "part": 2},
    {"part": True},
    {"tenant": 7},
    {"scheme_hash": "5c" * 16},
    {"codecs": (Codec(2, 8, "PCMA", 8000),)},
    {"codecs": (Codec(0, 8, "", 8000),)},
    {"recorder": "short"},
]


@pytest.mark.parametrize("changes", WRONG_HEADERS)
def test_a_header_that_is_signed_but_wrong_is_refused(made: Made, changes: dict[str, Any]) -> None:
    with pytest.raises(HeaderFailure):
        parse_header(replace(made.header, **changes).encode())


def test_a_header_has_exactly_its_members(made: Made) -> None:
    plain = made.header.encode()
    for changed in (
        plain.replace(b'"rate":8000', b'"rate":8001'),
        plain.replace(b'"version":1', b'"version":2'),
        plain.replace(b'"rate":8000,', b""),
        plain.replace(b'"rate":8000', b'"rate":8000,"x":1'),
        plain.replace(b'"rate":8000', b'"rate": 8000'),
        canonical_json([]),
    ):
        assert changed != plain
        with pytest.raises(HeaderFailure):
            parse_header(changed)


def test_a_header_of_another_recorder_is_refused_although_signed(made: Made) -> None:
    header = replace(made.header, recorder="00" * 16)
    writer = SealedWriter(header, made.k2, made.ks)
    with pytest.raises(HeaderFailure, match="another recorder"):
        reading(made, writer.prologue() + writer.close(), close_record=writer.close_record())


def test_a_header_fits_in_four_kibibytes(made: Made) -> None:
    with pytest.raises(ValueError, match="4096"):
        replace(made.header, tenant="x" * 4096).encode()


@pytest.mark.parametrize(
    "changes", [{"purpose": "assessment"}, {"deadline_day": date(2031, 1, 1)}, {"clip": "00" * 16}]
)
def test_another_header_has_another_hash_and_opens_no_wrap(made: Made, changes: dict[str, Any]) -> None:
    other: Header = replace(made.header, **changes)
    assert header_hash(other) != made.h
    with pytest.raises(Forgery):
        keys.unwrap_day(made.wrap, made.day_private, header_hash(other))


def test_large_payloads_and_gaps_survive(made: Made) -> None:
    records: list[Record] = [PARTIES, Audio(0, 0, 0, 8, bytes(60_000)), Gap(1, 0, 2**40), End("x")]
    assert list(reading(Made(records=records)).records) == records
