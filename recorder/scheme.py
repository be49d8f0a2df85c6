"""The scheme: the part of the configuration that the works council approves (KSF 3.1, 3.11, WOR 27).

Everything that decides what is recorded, of whom, for which purpose, for how long and for whose ears. Plain
values; lists are sets, so their order in the file changes neither the hash nor any decision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, TypeVar

from recorder.agent_keys import NO_KEYS, AgentKeys
from recorder.feature_codes import FeatureCodes, has_all_of
from recorder.numbering import Numbering

PurposeKind = Literal["quality", "evidence"]
Mode = Literal["always", "sample", "on-demand"]

SAMPLE_SCALE = 10_000
"""Samples are written in hundredths of a per cent."""

_BY_DEFAULT: Mapping[str, Any] = {
    "mode": "always",
    "sample": 0,
    "feature_codes": None,
    "rooms": (),
    "agent_keys": asdict(NO_KEYS),
    "announcement_sha256": "",
    "announcement_to_agent": True,
    "objection_key": "",
}
"""Not written in the canonical form: what was signed before there were such fields stays signed."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why calls are recorded. `retention_days` is a maximum; texts are shown to staff as they are.

    `mode`: every call, a sample drawn by lot (`sample` of SAMPLE_SCALE calls), or the calls for which
    somebody asks while they run. `announcement`: a sound file, of which `announcement_sha256` says, in
    hexadecimal, which content it has: another sound is another scheme. `objection_key`: whoever is told may
    press it, and then the call is not recorded.
    """

    name: str
    kind: PurposeKind
    description: str
    legal_basis: str
    retention_days: int
    frequency: str = ""
    frequency_justification: str = ""
    announcement: str = ""
    announcement_exemption: str = ""
    listeners: tuple[str, ...] = ()
    mode: Mode = "always"
    sample: int = 0
    announcement_sha256: str = ""
    announcement_to_agent: bool = True
    objection_key: str = ""

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self.retention_days)


@dataclass(frozen=True, slots=True)
class Line:
    """A business connection that may be recorded: number patterns and purposes."""

    name: str
    description: str
    numbers: tuple[str, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody for whom the telephone is the job (KSF 3.2), known by pseudonymous id."""

    id: str
    extensions: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Somebody who is never recorded (KSF 2.1): number patterns and aliases, an absolute veto."""

    name: str
    reason: str
    numbers: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scheme:
    """All of it. `private_prefix` is what an agent dials before a private call (KSF 3.9).

    `feature_codes`: the PBX's; None if nobody has said which there are. `rooms`: patterns of the conference
    rooms in which everybody may be recorded. `agent_keys`: what an agent may press during a call.
    """

    numbering: Numbering
    private_prefix: str
    purposes: tuple[Purpose, ...] = ()
    lines: tuple[Line, ...] = ()
    agents: tuple[Agent, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    version: int = 1
    feature_codes: FeatureCodes | None = None
    rooms: tuple[str, ...] = ()
    agent_keys: AgentKeys = NO_KEYS

    def purpose(self, name: str) -> Purpose:
        """Raises KeyError for a name that the scheme does not have."""
        return {it.name: it for it in self.purposes}[name]


def canonical(scheme: Scheme) -> bytes:
    """Canonical JSON: sorted keys, sorted sets, no spaces, UTF-8. What is hashed, signed over and kept."""
    values = _without_defaults(asdict(scheme))
    values["purposes"] = tuple(_without_defaults(it) for it in values["purposes"])
    return json.dumps(
        _sorted_sets(values), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


@lru_cache(maxsize=8)  # the gate is judged every second, between SIP messages
def scheme_hash(scheme: Scheme) -> str:
    """SHA-256 over the canonical form, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(canonical(scheme)).hexdigest()


@lru_cache(maxsize=32)  # as many approvals as are kept of a few years
def parse(document: bytes) -> Scheme:
    """Read a canonical form back. Raises ValueError if this is not one, byte for byte."""
    try:
        raw = json.loads(document)
        codes, rooms = raw.pop("feature_codes", None), tuple(raw.pop("rooms", ()))
        agent_keys = _made(AgentKeys, raw.pop("agent_keys", {}))
        scheme = Scheme(
            numbering=_made(Numbering, raw.pop("numbering")),
            purposes=tuple(_made(Purpose, it) for it in raw.pop("purposes")),
            lines=tuple(_made(Line, it) for it in raw.pop("lines")),
            agents=tuple(_made(Agent, it) for it in raw.pop("agents")),
            exclusions=tuple(_made(Exclusion, it) for it in raw.pop("exclusions")),
            feature_codes=None if codes is None else _made(FeatureCodes, codes),
            rooms=rooms,
            agent_keys=agent_keys,
            **raw,
        )
        same = canonical(scheme) == document
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError("the document is not a scheme; have the current scheme signed again") from problem
    if not same:
        raise ValueError("the document is not in canonical form; have the current scheme signed again")
    return scheme


def is_stricter(approved: Scheme, current: Scheme) -> bool:
    """Whether the current scheme only takes away from the approved one, and so may act before it is ratified.

    Allowed: more exclusions, numbers or aliases of them; shorter retention; fewer lines, agents, numbers,
    purposes, conference rooms; more feature codes; a code by which an agent makes a call private, or pauses
    it; a sample in place of every call, or a smaller one.
    Anything else, a changed word included, needs a new signature. A removed line may have stood in the way of
    something; therefore both schemes are asked until the change is ratified (GateStatus.in_force).
    """
    return (
        (approved.version, approved.private_prefix) == (current.version, current.private_prefix)
        and _same_numbering(approved.numbering, current.numbering)
        and _only_fewer(approved.purposes, current.purposes, "name", _narrower_purpose)
        and _only_fewer(approved.lines, current.lines, "name", _narrower_line)
        and _only_fewer(approved.agents, current.agents, "id", _narrower_agent)
        and _only_fewer(current.exclusions, approved.exclusions, "name", _narrower_exclusion)
        and has_all_of(current.feature_codes, approved.feature_codes)
        and set(current.rooms) <= set(approved.rooms)
        and current.agent_keys.only_adds_to(approved.agent_keys)
    )


def _without_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: it for key, it in values.items() if key not in _BY_DEFAULT or it != _BY_DEFAULT[key]}


def _sorted_sets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted_sets(it) for key, it in value.items()}
    if isinstance(value, tuple | list):
        return sorted((_sorted_sets(it) for it in value), key=lambda it: json.dumps(it, sort_keys=True))
    return value


_Part = TypeVar("_Part")


def _made(part: type[_Part], raw: Mapping[str, Any]) -> _Part:
    return part(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


def _same_numbering(approved: Numbering, current: Numbering) -> bool:
    return bool(_sorted_sets(asdict(approved)) == _sorted_sets(asdict(current)))


def _only_fewer(
    more: Iterable[_Part], fewer: Iterable[_Part], key: str, narrower: Callable[[_Part, _Part], bool]
) -> bool:
    """Whether every one of `fewer` has its narrower likeness, of the same name, among `more`."""
    known = {getattr(it, key): it for it in more}
    return all(getattr(it, key) in known and narrower(known[getattr(it, key)], it) for it in fewer)


def _narrower_purpose(approved: Purpose, current: Purpose) -> bool:
    alike = replace(
        current,
        retention_days=approved.retention_days,
        listeners=tuple(sorted(current.listeners)),
        mode=approved.mode,
        sample=approved.sample,
        objection_key=approved.objection_key,
    ) == replace(approved, listeners=tuple(sorted(approved.listeners)))
    may_object = approved.objection_key in ("", current.objection_key)
    is_shorter = current.retention_days <= approved.retention_days
    return alike and may_object and is_shorter and _more_seldom(approved, current)


def _more_seldom(approved: Purpose, current: Purpose) -> bool:
    """Asking picks other calls than every call or a lot does: neither more nor fewer."""
    if current.mode == approved.mode:
        return current.sample <= approved.sample
    return (approved.mode, current.mode) == ("always", "sample")


def _narrower_line(approved: Line, current: Line) -> bool:
    return (
        current.description == approved.description
        and set(current.numbers) <= set(approved.numbers)
        and set(current.purposes) <= set(approved.purposes)
    )


def _narrower_agent(approved: Agent, current: Agent) -> bool:
    return set(current.extensions) <= set(approved.extensions) and set(current.lines) <= set(approved.lines)


def _narrower_exclusion(current: Exclusion, approved: Exclusion) -> bool:
    """The wider exclusion comes first: the current one may only have grown."""
    return (
        current.reason == approved.reason
        and set(approved.numbers) <= set(current.numbers)
        and set(approved.aliases) <= set(current.aliases)
    )
