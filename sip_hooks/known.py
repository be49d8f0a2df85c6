"""What has been said of the two parties of a pass, so that news can be told from repetition.

Three things are told apart. What a header says that names a party is known of that party only: that the
other one has that name, or that some hop or a ringing fork had it, does not make it old. What a header
says of others (Diversion, History-Info, …) can only forbid; it is old once it has been reported at all.
And where a message is sent (Contact and Request-URI) repeats what was learned from either side.

A header that has brought news is followed from then on: that it names again whom it named before is a change.
So is then what another header says of the same party, if it says who that is (P-Asserted-Identity).
"""

from __future__ import annotations

from collections.abc import Iterable

from sip_hooks.identity import NAMES_OTHERS, SAYS_ANEW, Identity, Role

MOST_NAMES = 256
"""Of one pass. What goes beyond is not kept, and so is news for ever."""

_NUMBER = frozenset("+0123456789*#")


class Known:
    """The names of one pass so far. `_changed`: what a header that has brought news said of a party last."""

    __slots__ = ("_changed", "_of", "_said")

    def __init__(self) -> None:
        self._of: dict[Role, set[str]] = {"caller": set(), "callee": set()}
        self._said: set[str] = set()
        self._changed: dict[tuple[Role, str], set[str]] = {}

    def note(self, named: Iterable[Identity], *, is_certain: bool = True) -> None:
        """These have been reported. What a ringing fork says (not `is_certain`) is not yet the callee."""
        for each in named:
            if len(self._said) >= MOST_NAMES:
                return
            names = each.value, each.address
            self._said.update(names)
            if is_certain and each.header not in NAMES_OTHERS:
                self._of[each.role].update(names)

    def tells(self, named: tuple[Identity, ...]) -> bool:
        """Whether this message says of anybody what was not known, or was not so any more."""
        now: dict[tuple[Role, str], set[str]] = {}
        for each in named:
            if each.header not in NAMES_OTHERS:
                now.setdefault((each.role, each.header), set()).add(each.value)
        news = {(each.role, each.header) for each in named if self.is_news(each)}
        back = {key for key, names in now.items() if self._says_otherwise(key, names)}
        told = {role for role, _ in news}
        beside = {(role, header) for role, header in now if role in told and header in SAYS_ANEW}
        self._changed |= {key: now[key] for key in (news | back | beside) & now.keys()}
        return bool(news | back)

    def _says_otherwise(self, key: tuple[Role, str], names: set[str]) -> bool:
        role, header = key
        is_followed = header in SAYS_ANEW and any(role == changed for changed, _ in self._changed)
        return self._changed.get(key, set() if is_followed else names) != names

    def is_news(self, identity: Identity) -> bool:
        """Whether this says something that was not known. A number is the same at every host."""
        if identity.header == "request-uri":
            return identity.value not in self._said
        if identity.header == "contact":
            return not any(identity.value in names for names in self._of.values())
        is_number = _NUMBER.issuperset(identity.value)
        names = {identity.value, "" if is_number else identity.address} - {""}
        return not names <= (self._said if identity.header in NAMES_OTHERS else self._of[identity.role])
