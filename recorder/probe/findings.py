"""What was seen of a PBX, what it means, and which settings follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias

How: TypeAlias = Literal["path", "contact"]


class Came(StrEnum):
    """By which way a call came to the telephone."""

    THROUGH_US = "through us"
    PAST_US = "past us"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Registration:
    """The last answer to REGISTER; status 0 is none."""

    status: int
    has_path: bool = False  # the answer says the Path (RFC 3327 §5.3)
    has_contact: bool = False  # the answer names the telephone's own Contact

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Called:
    """One call: where it came, what the caller was answered (0: nothing), whether it names the caller."""

    came: Came
    status: int
    names_caller: bool = False

    @property
    def is_through(self) -> bool:
        return self.came is Came.THROUGH_US and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Way:
    """One way of registering, as far as it was tried."""

    registered: Registration
    called: Called | None = None
    private: Called | None = None  # dialled with the private prefix
    back: Called | None = None  # from the first account to the second
    second: Registration | None = None  # of the second account, when it was refused

    @property
    def works(self) -> bool:
        return self.called is not None and self.called.is_through


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was seen. `configured`: the way that the configuration has."""

    configured: How
    is_shared: bool  # two accounts were tried
    status: int = 0
    software: str = ""
    says_path: bool = False
    ways: tuple[tuple[How, Way], ...] = ()
    is_banned: bool | None = None  # None: not tried

    def with_way(self, how: How, way: Way) -> Seen:
        """The same, and what was seen of one way."""
        return replace(self, ways=(*self.ways, (how, way)))

    @property
    def best(self) -> How | None:
        """The way to configure: Path where a call comes back along it (RFC 3327), else our own Contact."""
        return next((how for how, way in self.ways if way.works), None)


@dataclass(frozen=True, slots=True)
class Row:
    """One question, and what was seen."""

    question: str
    answer: str
    is_good: bool | None = None  # None: neither, or not tried


def rows(seen: Seen) -> tuple[Row, ...]:
    """All that was asked, in the order in which it was asked."""
    return tuple(_rows(seen))


def _rows(seen: Seen) -> Iterator[Row]:
    yield Row("Does it answer?", f"yes ({seen.status}{', ' + seen.software if seen.software else ''})", True)
    yield Row("Does it say that it knows Path?", "yes" if seen.says_path else "no")
    for how, way in seen.ways:
        said = "Path" if how == "path" else "our Contact"
        yield Row(f"Does it take REGISTER with {said}?", _taken(how, way), way.registered.is_accepted)
        if way.called is not None:
            yield Row(f"Does a call come back, with {said}?", _came(way.called), way.works)
    best = dict(seen.ways).get(seen.best) if seen.best else None
    private, back = (best.private, best.back) if best else (None, None)
    yield Row("May the private prefix be stripped under way?", _came(private), _is_through(private))
    yield Row("May two phones come from one address?", _came(back), _is_through(back))
    named = best.called.names_caller if best and best.called else None
    yield Row("Is the phone told who calls?", {True: "yes", False: "no", None: _UNTRIED}[named], named)
    ban = {True: "it bans our address", False: "it goes on", None: _UNTRIED}[seen.is_banned]
    yield Row(
        "What does it do after wrong passwords?", ban, None if seen.is_banned is None else not seen.is_banned
    )


_UNTRIED = "not tried"


def _is_through(call: Called | None) -> bool | None:
    return None if call is None else call.is_through


def _taken(how: How, way: Way) -> str:
    it = way.registered
    if not it.is_accepted:
        return f"no ({it.status})" if it.status else "no (no answer)"
    if way.second is not None:
        return f"yes, and the second account not ({way.second.status or 'no answer'})"
    if how == "path":
        return "yes, and repeats it" if it.has_path else "yes, and does not repeat it"
    return "yes" if it.has_contact else "yes, and does not name it in its answer"


def _came(call: Called | None) -> str:
    if call is None:
        return _UNTRIED
    status = str(call.status) if call.status else "no answer"
    if call.came is Came.NOT:
        return f"no: the PBX took it itself ({status})" if 200 <= call.status < 300 else f"no ({status})"
    if call.came is Came.PAST_US:
        return "no: it goes past us, to the phone's own Contact"
    return "yes" if call.is_through else f"it comes, and is not answered ({status})"


def findings(seen: Seen) -> tuple[str, ...]:
    """What somebody has to do, in words; nothing when all is as it should be."""
    return tuple(_findings(seen))


def _findings(seen: Seen) -> Iterator[str]:
    if seen.best is None:
        yield _why_not(seen)
        return
    best = dict(seen.ways)[seen.best]
    if seen.best != seen.configured:
        yield f'write registration = "{seen.best}" into [pbx]'
    if best.private is not None and not best.private.is_through:
        yield (
            "the private prefix cannot be stripped under way: let the PBX's dial plan know numbers with it, "
            "or compare the digest's uri with nothing"
        )
    if best.back is not None and not best.back.is_through:
        yield "the second phone is not reached: let the PBX take several accounts from one address"
    if best.called is not None and not best.called.names_caller:
        yield "the phone is not told who calls: let the PBX send P-Asserted-Identity, or nobody is recognised"
    if seen.is_banned:
        yield "our address is banned after wrong passwords: exempt it (docs/install.md), and lift the ban"


def _why_not(seen: Seen) -> str:
    way = dict(seen.ways)["contact"]
    if way.registered.status in (401, 403, 404, 407):
        return "the PBX does not know the account or its password: nothing could be tried"
    if not way.registered.is_accepted:
        return "the PBX takes no registration from here: see its log"
    if way.second is not None:
        return (
            "the second account was not taken: see its password, or whether one address may have two accounts"
        )
    if way.called is not None and way.called.came is Came.NOT and not seen.is_shared:
        return "no call came back to the account that made it: give a second account with --caller"
    return "no call comes back through us in either way: see the PBX's log"
