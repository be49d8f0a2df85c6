"""The clip file, version 1, as docs/clip-format.md lays it down: writing, cutting, closing, reading.

Nothing here opens a wrap or knows a purpose key: the clip key K2 comes in as an argument.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage.errors import Forgery
from storage.header import (
    FRONT_BYTES,
    MAX_HEADER,
    VERSION,
    Header,
    HeaderFailure,
    front,
    header_hash,
    header_length,
    parse_header,
)
from storage.model import Ending
from storage.records import (
    HEAD,
    Pad,
    Record,
    RecordDecoder,
    RecordError,
    canonical_json,
    encode,
    parse_canonical,
)
from storage.signing import SIGNATURE_BYTES, key_id, sign, verify

CHUNK = 16_384
SEALED_CHUNK = CHUNK + 16
PROLOGUE_LABEL = "doelband/clip-prologue/1"
CLOSE_LABEL = "doelband/clip-close/1"

_SALT_AND_COMMITMENT = 56
_SEAL_BYTES = SIGNATURE_BYTES + _SALT_AND_COMMITMENT
LONGEST_PROLOGUE = FRONT_BYTES + MAX_HEADER + _SEAL_BYTES


class PayloadFailure(Forgery):
    """The audio is not what was sealed."""


class KeyFailure(Forgery):
    """This is not the key of this clip."""


class BadCloseRecord(Forgery):
    """The close record is missing, or not of this clip, or not by this recorder."""


class SealedWriter:
    """Turns records into the bytes of a clip file. Does no I/O; what it returns must be written in order."""

    def __init__(self, header: Header, key: bytes, recorder_key: Ed25519PrivateKey) -> None:
        start = front(header)
        self._header = header
        self._hash = header_hash(header)
        self._recorder_key = recorder_key
        self._encryptor = Cobblestone256Encryptor(key, self._hash)
        sealing = self._encryptor.update(b"")
        signature = sign(recorder_key, PROLOGUE_LABEL, start + sealing)
        self._prologue = start + signature + sealing
        self._digest = hashlib.sha256()
        self.size = 0
        self.chunks = 0
        self.buffered = 0

    @property
    def sha256(self) -> str:
        """Of everything returned so far, hex."""
        return self._digest.hexdigest()

    def prologue(self) -> bytes:
        """The first bytes of the file; to be called once, before all else."""
        return self._count(self._prologue)

    def append(self, records: bytes) -> bytes:
        """Encoded records in; whole chunks out, or nothing while a chunk is not full."""
        self.chunks += (self.buffered + len(records)) // CHUNK
        self.buffered = (self.buffered + len(records)) % CHUNK
        return self._count(self._encryptor.update(records))

    def pad(self) -> bytes:
        """Fill the unfinished chunk with padding and return it, so that it can be made durable."""
        if not self.buffered:
            return b""
        room = CHUNK - self.buffered
        return self.append(encode(Pad((room - HEAD.size) % CHUNK)))

    def close(self) -> bytes:
        """The final chunk. Nothing can be appended after it."""
        self.chunks += 1
        self.buffered = 0
        return self._count(self._encryptor.finalize())

    def close_record(self) -> bytes:
        """For a clip that was closed and is wholly on the disk."""
        record = CloseRecord(
            self._header.clip, self._hash.hex(), self.chunks, self.size, self.sha256, Ending.COMPLETE
        )
        return record.signed(self._recorder_key)

    def _count(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.size += len(data)
        return data


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """What a sealed file is: H and SHA-256 in hex, size in bytes."""

    clip: str
    header_hash: str
    chunks: int
    size: int
    sha256: str
    ending: Ending

    def signed(self, recorder_key: Ed25519PrivateKey) -> bytes:
        """Signature ‖ canonical JSON."""
        data = self._encode()
        return sign(recorder_key, CLOSE_LABEL, data) + data

    def _encode(self) -> bytes:
        return canonical_json(
            {
                "version": VERSION,
                "clip": self.clip,
                "header": self.header_hash,
                "chunks": self.chunks,
                "size": self.size,
                "sha256": self.sha256,
                "ending": self.ending.value,
            }
        )


def read_close_record(data: bytes, recorder_public: bytes) -> CloseRecord:
    """Raises BadCloseRecord."""
    signature, text = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    try:
        verify(recorder_public, CLOSE_LABEL, text, signature)
        value = parse_canonical(text)
        record = CloseRecord(
            value["clip"],
            value["header"],
            value["chunks"],
            value["size"],
            value["sha256"],
            Ending(value["ending"]),
        )
        is_exact = record._encode() == text
    except (Forgery, ValueError, TypeError, KeyError) as error:
        raise _bad_close("it was not signed by this recorder, or is not of version 1") from error
    if not is_exact:
        raise _bad_close("its members are not those of version 1")
    return record


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a file that was cut to whole chunks."""

    chunks: int
    size: int
    sha256: str


def prologue_bytes(front: bytes) -> int:
    """How long the prologue is of a file that begins so. Raises HeaderFailure."""
    return FRONT_BYTES + header_length(front[:FRONT_BYTES]) + _SEAL_BYTES


def cut_to_whole_chunks(path: Path) -> Cut:
    """Shorten an unfinished file to its prologue and whole chunks, durably; needs no key.

    Raises HeaderFailure when there is no whole prologue: then nothing was recorded, and the file may go.
    """
    with path.open("r+b") as file:
        prologue = prologue_bytes(file.read(FRONT_BYTES))
        found = file.seek(0, os.SEEK_END)
        if found < prologue:
            raise HeaderFailure(f"cut {path.name}", "it holds no whole prologue, so no audio; remove it")
        chunks = (found - prologue) // SEALED_CHUNK
        size = prologue + chunks * SEALED_CHUNK
        file.truncate(size)
        os.fsync(file.fileno())
        file.seek(0)
        return Cut(chunks, size, hashlib.file_digest(file, "sha256").hexdigest())


def truncated_close_record(clip: str, hash_: bytes, cut: Cut, recorder_key: Ed25519PrivateKey) -> bytes:
    """For a clip whose writer died: says that the final chunk is missing and nothing else."""
    record = CloseRecord(clip, hash_.hex(), cut.chunks, cut.size, cut.sha256, Ending.TRUNCATED)
    return record.signed(recorder_key)


@dataclass(frozen=True, slots=True)
class Opened:
    """A clip in which every check held."""

    header: Header
    ending: Ending
    records: tuple[Record, ...]


def read_header(data: bytes, recorder_public: bytes) -> Header:
    """The header of a file whose prologue Ks signed. Raises HeaderFailure."""
    return _read_prologue(memoryview(data), recorder_public)[0]


def read(data: bytes, key: bytes, recorder_public: bytes, close_record: bytes) -> Opened:
    """Check and open a whole clip (docs/clip-format.md, section 8).

    `data`: the file's bytes, or anything with a buffer, such as a map of the file; `key`: K2. Raises
    HeaderFailure, BadCloseRecord, PayloadFailure or KeyFailure, in the order of that section.
    """
    view = memoryview(data)
    header, start = _read_prologue(view, recorder_public)
    closed = read_close_record(close_record, recorder_public)
    h = header_hash(header)
    if (closed.clip, closed.header_hash) != (header.clip, h.hex()):
        raise _bad_close("it belongs to another clip")
    check_extent(header, closed, len(view), hashlib.sha256(view).hexdigest())
    decoder = RecordDecoder()
    records: list[Record] = []
    try:
        for piece in _decrypt(view, start, key, h, closed.ending):
            records += decoder.feed(piece)
    except RecordError as error:
        raise _payload(str(error)) from error
    if closed.ending is Ending.COMPLETE and (decoder.pending or not decoder.has_ended):
        raise _payload("a complete clip ends with its end record")
    return Opened(header, closed.ending, tuple(records))


def _read_prologue(view: memoryview, recorder_public: bytes) -> tuple[Header, int]:
    """The header, and where the encryption's salt begins."""
    end = FRONT_BYTES + header_length(bytes(view[:FRONT_BYTES]))
    start = end + SIGNATURE_BYTES
    signature, sealing = bytes(view[end:start]), bytes(view[start : start + _SALT_AND_COMMITMENT])
    try:
        verify(recorder_public, PROLOGUE_LABEL, bytes(view[:end]) + sealing, signature)
    except Forgery as error:
        raise HeaderFailure("read a clip", "its prologue was not signed by this recorder") from error
    header = parse_header(bytes(view[FRONT_BYTES:end]))
    if header.recorder != key_id(recorder_public):
        raise HeaderFailure("read a clip", "it names another recorder")
    return header, start


def check_extent(header: Header, closed: CloseRecord, size: int, sha256: str) -> None:
    """A file of this size and digest is the one that was closed, and its size is one that its ending can
    have. Raises PayloadFailure.
    """
    if (size, sha256) != (closed.size, closed.sha256):
        raise _payload("it is not the file that was closed")
    prologue = FRONT_BYTES + len(header.encode()) + _SEAL_BYTES
    whole, rest = divmod(size - prologue, SEALED_CHUNK)
    is_final = rest >= SEALED_CHUNK - CHUNK
    if closed.ending is Ending.TRUNCATED and rest:
        raise _payload("a truncated clip consists of whole chunks")
    if closed.ending is Ending.COMPLETE and not is_final:
        raise _payload("the final chunk is missing, and the close record does not say so")
    if closed.chunks != whole + is_final:
        raise _payload("it has another number of chunks")


def _decrypt(view: memoryview, start: int, key: bytes, h: bytes, ending: Ending) -> Iterator[bytes]:
    """Plaintext, chunk by chunk, each authenticated before it is yielded."""
    decryptor = Cobblestone256Decryptor(key, h)
    offset = start + _SALT_AND_COMMITMENT
    try:
        decryptor.update(bytes(view[start:offset]))
    except InvalidTag as error:
        raise KeyFailure("open a clip", "the key is not the key of this clip") from error
    try:
        for at in range(offset, len(view), SEALED_CHUNK):
            yield decryptor.update(bytes(view[at : at + SEALED_CHUNK]))
        if ending is Ending.COMPLETE:
            yield decryptor.finalize()
    except InvalidTag as error:
        raise _payload("a chunk does not authenticate") from error


def _payload(what: str) -> PayloadFailure:
    return PayloadFailure("read a clip", f"{what}; restore the file")


def _bad_close(what: str) -> BadCloseRecord:
    return BadCloseRecord("read a clip's close record", f"{what}; restore the catalogue")
