"""The two locks of a clip, each with its own guard: the day-key service and one opener per purpose.

Each holds private material of its own, judges the request by itself from the book, writes its audit row,
and only then takes its layer off. Skipping one of them opens nothing: the other's key is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from portal.access import GRANT_LABEL, ClipFacts, Grant, Reason, Request, Verdict, may, parse_grant
from storage.errors import Forgery, Refused, StorageError
from storage.keyring import Keyring, PurposeKey
from storage.signing import verify

REFUSED = "clip.refused"
UNLOCKED = "key.unlock"


@dataclass(frozen=True, slots=True)
class SealedClip:
    """A clip as the book has it: what is judged, and the locked key."""

    facts: ClipFacts
    wrap: bytes
    header_hash: bytes


@dataclass(frozen=True, slots=True)
class SignedGrant:
    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit row. `reason` is a code, `text` the reason in the person's words, kept until `text_until`."""

    actor: str
    action: str
    object: str
    reason: str
    text: str = ""
    text_until: date | None = None


class Book(Protocol):
    """What the guards need to know, and where they write down what they do."""

    async def clip(self, clip_id: str) -> SealedClip:
        """Raises NotFound."""

    async def grants_for(self, person: str) -> Sequence[SignedGrant]:
        """Those that were not revoked."""

    async def read_at(self) -> datetime:
        """Now, by the later of the clock witnesses."""

    async def write(self, entry: Entry) -> None:
        """Durable on return; if it fails, nothing is opened."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Open this clip. `via`: the account that speaks for the acting person, "" if it is their own."""

    clip: str
    request: Request
    via: str = ""

    def reason(self, code: str) -> str:
        return f"{code}:via-{self.via}" if self.via else code


class DayKeyService:
    """Says until when: has the day keys, and no purpose key."""

    def __init__(self, keyring: Keyring, book: Book) -> None:
        self._keyring = keyring
        self._book = book

    async def open_layer(self, ask: Ask) -> bytes:
        """The inner layer. Raises Refused (in the audit log too), NotFound, Unavailable."""
        sealed = await _judged(self._book, self._keyring.store.management, ask)
        await self._book.write(_entry(ask, UNLOCKED, Reason.GRANTED, sealed))
        try:
            facts = sealed.facts
            return self._keyring.unwrap_day(
                facts.purpose, facts.deadline_day, sealed.wrap, sealed.header_hash, facts.clip
            )
        except StorageError as error:
            raise await _refusal(self._book, ask, sealed, error) from error


class Opener:
    """Says who: has one purpose's key, and no day key."""

    def __init__(self, purpose: str, key: PurposeKey, management: bytes | None, book: Book) -> None:
        self.purpose = purpose
        self._key = key
        self._management = management
        self._book = book

    async def open(self, ask: Ask, inner: bytes) -> bytes:
        """K2. Raises Refused (in the audit log too), NotFound, Unavailable."""
        sealed = await _judged(self._book, self._management, ask)
        if ask.request.purpose != self.purpose:
            await self._book.write(_entry(ask, REFUSED, Reason.OTHER_PURPOSE, sealed))
            raise _refused(ask, (Reason.OTHER_PURPOSE,))
        await self._book.write(_entry(ask, f"clip.{ask.request.action.value}", Reason.GRANTED, sealed))
        try:
            return self._key.unwrap(inner, sealed.header_hash)
        except StorageError as error:
            raise await _refusal(self._book, ask, sealed, error) from error


async def _judged(book: Book, management: bytes | None, ask: Ask) -> SealedClip:
    """The clip, if this may be done with it; else the audit row and Refused."""
    sealed = await book.clip(ask.clip)
    verdict = await _verdict(book, management, ask.request, sealed.facts)
    if not verdict.allowed:
        await book.write(_entry(ask, REFUSED, "+".join(verdict.reasons), sealed))
        raise _refused(ask, verdict.reasons)
    return sealed


async def _verdict(book: Book, management: bytes | None, request: Request, facts: ClipFacts) -> Verdict:
    if management is None:
        return Verdict(False, (Reason.NO_MANAGEMENT,))
    found = await book.grants_for(request.actor)
    signed = [grant for one in found if (grant := _signed(one, management))]
    if found and not signed:
        return Verdict(False, (Reason.NOT_SIGNED,))
    return may(request, facts, signed, await book.read_at())


def _signed(grant: SignedGrant, management: bytes) -> Grant | None:
    try:
        verify(management, GRANT_LABEL, grant.document, grant.signature)
        return parse_grant(grant.document)
    except (Forgery, ValueError):
        return None


def _entry(ask: Ask, action: str, code: str, sealed: SealedClip) -> Entry:
    return Entry(
        actor=ask.request.actor,
        action=action,
        object=ask.clip,
        reason=ask.reason(code),
        text=ask.request.reason,
        text_until=sealed.facts.deadline_day,
    )


async def _refusal(book: Book, ask: Ask, sealed: SealedClip, error: StorageError) -> Refused:
    """A lock that did not open, in the audit log and in words."""
    code = error.reason if isinstance(error, Refused) else "lock-does-not-open"
    await book.write(_entry(ask, REFUSED, code, sealed))
    return Refused(code, error.attempted, error.remedy)


def _refused(ask: Ask, reasons: Sequence[Reason]) -> Refused:
    what = f"{ask.request.action.value} clip {ask.clip}"
    return Refused("+".join(reasons), what, "; ".join(_WORDS[reason] for reason in reasons))


_WORDS = {
    Reason.NO_MANAGEMENT: "no key of management is enrolled, so nobody can be authorised",
    Reason.NOT_SIGNED: "no grant of this person carries management's signature",
    Reason.NO_GRANT: "management has not authorised this person",
    Reason.OTHER_PURPOSE: "it was recorded for another purpose",
    Reason.GRANTED_OTHERWISE: "management has authorised this person for another purpose only",
    Reason.OTHER_LINE: "the authorisation is for other lines",
    Reason.OTHER_ACTION: "the authorisation is for other actions",
    Reason.GRANT_ENDED: "the authorisation has ended",
    Reason.NO_REASON: "say why",
    Reason.PAST_DEADLINE: "its deadline has passed",
    Reason.NOT_SEALED: "it is not finished, or was destroyed",
}
