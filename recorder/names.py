"""What a scheme says of one number or name: everything that rules ask of it, answered at once.

A call names the same few people in every message, and each time every rule asks. So an answer is remembered
until no call is left (`sip_hooks.reading`). It depends on nothing but the scheme and the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from recorder.numbering import (
    NumberSet,
    extension_in,
    forms,
    is_e164,
    is_number,
    number_set,
    outward_forms,
    plain_forms,
    possible_forms,
)
from recorder.scheme import Scheme
from sip_hooks import reading

Entry: TypeAlias = tuple[str, NumberSet, frozenset[str]]
"""An agent and the lines, or a line and the purposes."""


class Name(NamedTuple):
    """What is known of a number or name. `agents`, `lines`: whose it certainly is, by their places.

    `is_emergency`, `is_excluded`, `is_ours`: that it may be so, in any reading. `is_outside`: that it is
    certainly a party outside, or a room where everybody may be recorded. `is_somebody`: it is a number or may
    be one of ours, so not just a name; `readings`: then, those by which an agent or a line has it.
    """

    agents: frozenset[int]
    lines: frozenset[int]
    is_emergency: bool
    is_excluded: bool
    is_ours: bool
    is_outside: bool
    is_somebody: bool
    readings: frozenset[str]

    def __repr__(self) -> str:
        """Without the readings: they are numbers."""
        return "Name()"


class Register:
    """Who or what has which numbers, found without asking everybody: there may be thousands."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        exact: dict[str, tuple[int, ...]] = {}
        for index, (_, numbers, _) in enumerate(self.entries):
            for form in numbers.exact:
                exact[form] = (*exact.get(form, ()), index)
        self._exact: Mapping[str, tuple[int, ...]] = exact  # which of them have this number or name
        self._patterned = tuple(  # which of them have more than such
            index
            for index, (_, numbers, _) in enumerate(self.entries)
            if numbers.ranges or numbers.beginnings
        )

    def having(self, found: frozenset[str]) -> frozenset[int]:
        """Those that have any of these forms."""
        hits = {index for form in found for index in self._exact.get(form, ())}
        hits |= {index for index in self._patterned if self.entries[index][1].holds(found)}
        return frozenset(hits)


class Names:
    """The numbers of a scheme, made ready for looking up. `of` says what is known of a number or name."""

    def __init__(self, scheme: Scheme) -> None:
        """Raises numbering.PatternError for a pattern that cannot be read."""
        numbering = scheme.numbering
        extensions = [number for agent in scheme.agents for number in agent.extensions]
        business = [number for line in scheme.lines for number in line.numbers]
        excluded = [text for it in scheme.exclusions for text in (*it.numbers, *it.aliases)]
        abroad = [f"+{numbering.country_code}{it}" for it in numbering.emergency]
        self._numbering = numbering
        self._codes = scheme.feature_codes
        self.emergency = number_set([*numbering.emergency, *abroad], numbering)
        self._excluded = number_set(excluded, numbering)
        self._ours = number_set([*numbering.internal, *extensions, *business], numbering)
        self._outside = number_set(numbering.outside, numbering)
        self._rooms = number_set(scheme.rooms, numbering)
        self._agents = Register(
            (it.id, number_set(it.extensions, numbering), frozenset(it.lines)) for it in scheme.agents
        )
        self._lines = Register(
            (it.name, number_set(it.numbers, numbering), frozenset(it.purposes)) for it in scheme.lines
        )
        self.of: Callable[[str], Name] = reading.remembered(self._read)

    def having(self, identities: Iterable[str]) -> tuple[list[Entry], list[Entry]]:
        """The agents that certainly have any of these, and the lines, each in the order of the scheme."""
        agents: frozenset[int] = frozenset()
        lines: frozenset[int] = frozenset()
        for name in map(self.of, identities):
            agents |= name.agents
            lines |= name.lines
        return (
            [self._agents.entries[it] for it in sorted(agents)],
            [self._lines.entries[it] for it in sorted(lines)],
        )

    def is_room(self, identity: str) -> bool:
        """Whether this is the room of a conference in which everybody may be recorded."""
        return self._rooms.holds(forms(identity, self._numbering))

    def _read(self, identity: str) -> Name:
        numbering = self._numbering
        plain = plain_forms(identity, numbering)  # of most telephones' Contacts, and quickly said
        certain = plain or forms(identity, numbering)
        possible = plain or possible_forms(identity, numbering)
        is_ours = self._ours.holds(possible)
        return Name(
            agents=self._agents.having(certain),
            lines=self._lines.having(certain),
            is_emergency=self.emergency.holds(possible) or "service:sos" in identity.lower(),
            is_excluded=self._excluded.holds(possible),
            is_ours=is_ours,
            is_outside=self._is_outside(identity, plain),
            is_somebody=is_ours or (not plain and is_number(identity)),
            readings=plain or certain | forms(extension_in(identity), numbering),
        )

    def _is_outside(self, identity: str, plain: frozenset[str]) -> bool:
        """What is dialled as a feature code is nobody outside, whatever it looks like."""
        if self._codes is not None and self._codes.dialled_as(identity) is not None:
            return False
        found = plain or outward_forms(identity, self._numbering)
        return any(map(is_e164, found)) or self._outside.holds(found) or self._rooms.holds(found)
