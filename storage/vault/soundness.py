"""Whether row, file and wraps of one clip agree. Needs the recorder's public key and no private one.

Signatures are checked against what is on the disk, so that a row and a file that were changed together are
found as well as one of them. What can be opened is not checked here: that takes the keys of its purpose.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from storage.blobs import Blobs
from storage.clipfile import (
    LONGEST_PROLOGUE,
    BadCloseRecord,
    CloseRecord,
    PayloadFailure,
    check_extent,
    read_close_record,
    read_header,
)
from storage.errors import Unavailable
from storage.header import Header, HeaderFailure, header_hash
from storage.model import Clip
from storage.records import canonical_json


class Kind(StrEnum):
    """What an inspection may find."""

    FILE_MISSING = "file-missing"
    FILE_CHANGED = "file-changed"
    FILE_OF_ANOTHER = "file-of-another-clip"
    PROLOGUE_FORGED = "prologue-forged"
    CLOSE_RECORD_FORGED = "close-record-forged"
    ROW_INCOMPLETE = "row-incomplete"
    ROW_DIFFERS = "row-differs"
    WRAPS_MISSING = "wraps-missing"
    WRAPS_DIFFER = "wraps-differ"
    CLOSE_DIFFERS = "close-record-differs"
    UNFINISHED_FILE = "unfinished-file"
    DAY_KEY_MISSING = "day-key-missing"
    PART_MISSING = "part-missing"
    LEFT_OPEN = "left-open"
    LEFT_ERASING = "left-erasing"
    ERASED_WITH_FILE = "erased-with-file"
    TOMBSTONE_MISSING = "tombstone-missing"
    TOMBSTONE_EARLY = "tombstone-early"
    CERTIFICATE_MISSING = "certificate-missing"
    STRAY_FILE = "stray-file"
    UNKNOWN_FILE = "unknown-file"
    ROW_MISSING = "row-missing"
    ACT_MISSING = "act-missing"
    AUDIT_BROKEN = "audit-broken"
    CATALOGUE_DAMAGED = "catalogue-damaged"
    BUNDLE_UNUSABLE = "bundle-unusable"
    BUNDLE_OLD = "bundle-old"
    KEYSTORE_MISSING = "keystore-missing"
    KEYSTORE_OLD = "keystore-old"
    EPOCH_KEY_MISSING = "epoch-key-missing"
    EPOCH_LEFT = "epoch-left"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject`: a clip's id, or what else it is about; `detail`: what was seen, without numbers of
    parties.
    """

    kind: Kind
    subject: str
    detail: str = ""


def check_sealed(clip: Clip, blobs: Blobs, recorder_public: bytes) -> Iterator[Finding]:
    """What is wrong with a SEALED clip. Reads the whole file, a piece at a time. Raises Unavailable."""
    if clip.close_record is None or clip.wrap is None:
        yield Finding(Kind.ROW_INCOMPLETE, clip.id, "close record" if clip.wrap else "wrap")
        return
    try:
        closed = read_close_record(clip.close_record, recorder_public)
    except BadCloseRecord:
        yield Finding(Kind.CLOSE_RECORD_FORGED, clip.id)
        return
    if differing := _differing(clip, closed):
        yield Finding(Kind.ROW_DIFFERS, clip.id, f"{differing}: row and close record")
    if closed.size:  # one that was sealed before its first byte has no file, and nothing to wrap
        yield from _check_file(clip, closed, blobs.path_for(clip.id), recorder_public)
        yield from _check_wraps(clip, clip.wrap, blobs.wraps_for(clip.id))
        yield from _check_close(clip, blobs.close_for(clip.id))


def _check_file(clip: Clip, closed: CloseRecord, path: Path, recorder_public: bytes) -> Iterator[Finding]:
    try:
        with path.open("rb") as file:
            header = read_header(file.read(LONGEST_PROLOGUE), recorder_public)
            if header.clip != clip.id:
                yield Finding(Kind.FILE_OF_ANOTHER, clip.id, f"of clip {header.clip}")
                return
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            check_extent(header, closed, file.tell(), digest)
    except FileNotFoundError:
        yield Finding(Kind.FILE_MISSING, clip.id)
    except OSError as error:
        raise Unavailable(
            f"read the file of clip {clip.id}", f"look at the disk ({error.strerror})"
        ) from error
    except HeaderFailure:
        yield Finding(Kind.PROLOGUE_FORGED, clip.id)
    except PayloadFailure:
        found = path.stat().st_size
        detail = "same size, other content" if found == closed.size else f"{found} bytes, not {closed.size}"
        yield Finding(Kind.FILE_CHANGED, clip.id, detail)
    else:
        if differing := _differing_header(clip, header):
            yield Finding(Kind.ROW_DIFFERS, clip.id, f"{differing}: row and file")


def _check_wraps(clip: Clip, wrap: bytes, path: Path) -> Iterator[Finding]:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        yield Finding(Kind.WRAPS_MISSING, clip.id)
        return
    except OSError as error:
        raise Unavailable(
            f"read the wraps of clip {clip.id}", f"look at the disk ({error.strerror})"
        ) from error
    if found != wraps_content(clip.id, wrap):
        yield Finding(Kind.WRAPS_DIFFER, clip.id)


def _check_close(clip: Clip, path: Path) -> Iterator[Finding]:
    """It is there for recovery, and need not be once the row has it."""
    if path.exists() and path.read_bytes() != clip.close_record:
        yield Finding(Kind.CLOSE_DIFFERS, clip.id)


def wraps_content(clip_id: str, wrap: bytes) -> bytes:
    """What stands in `<id>.wraps`."""
    return canonical_json({"clip": clip_id, "version": 1, "wraps": [base64.b64encode(wrap).decode()]})


def _differing(clip: Clip, closed: CloseRecord) -> str:
    pairs = {
        "id": (clip.id, closed.clip),
        "header hash": (clip.header_hash.hex(), closed.header_hash),
        "ending": (clip.ending, closed.ending),
        "size": (clip.size, closed.size),
        "chunks": (clip.chunks, closed.chunks),
        "SHA-256": (clip.sha256, closed.sha256),
    }
    return ", ".join(name for name, (row, told) in pairs.items() if row != told)


def _differing_header(clip: Clip, header: Header) -> str:
    pairs = {
        "recording": (clip.recording, header.recording),
        "part": (clip.part, header.part),
        "part before": (clip.previous, header.previous),
        "purpose": (clip.purpose, header.purpose),
        "deadline": (clip.deadline_day, header.deadline_day),
        "day key": (clip.day_key_id, header.day_key_id),
        "scheme": (clip.scheme_hash, header.scheme_hash),
        "start": (clip.started_at, header.started_at),
        "header hash": (clip.header_hash, header_hash(header)),
    }
    return ", ".join(name for name, (row, told) in pairs.items() if row != told)
