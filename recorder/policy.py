"""What is in force: the rules, whether the works council has approved them, the terms of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from recorder.agent_keys import Wish
from recorder.decision import CallFacts, Rules, Vouching
from recorder.feature_codes import FeatureCodes
from sip_hooks.address import Family


class Announcement(NamedTuple):
    """What the outside party hears before it is recorded: the SHA-256 of the file, and whether our own party
    hears it too.
    """

    sha256: str
    to_agent: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """What is in force now. A new one may come while a call runs; the deadline of a recording stays."""

    rules: Rules
    approved: bool
    scheme_hash: str
    retention: Mapping[str, timedelta]
    horizon: timedelta
    media_addresses: Mapping[Family, str]
    """What is written into descriptions, for each IP version in which we relay."""
    trunk_horizon: timedelta = timedelta(seconds=5)
    is_trunk_witnessed: bool = False
    """Whether there is a source of evidence for calls on the trunk side."""
    do_phones_vouch: bool = False
    """Whether that source is our own: what is known of the same dialog between phone and PBX."""
    feature_codes: FeatureCodes | None = None
    """The PBX's codes; None: nobody has said which there are, so any key may be one."""
    longest_pause: timedelta = timedelta(minutes=3)
    """After that a pause that somebody asked for ends by itself."""
    codes: Mapping[str, Wish] = field(default_factory=dict)
    """What an agent may press during a call, and what that asks for."""
    objections: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By purpose, the keys by which the outside party objects."""
    announcements: Mapping[str, Announcement] = field(default_factory=dict)
    """By purpose; none of those for which an exemption says why the outside party knows already."""

    def proofs(self, purpose: str, facts: CallFacts) -> list[tuple[str, str, str]]:
        """What the present outside party has been told for this purpose, as capture reads it."""
        meant = self.announcements.get(purpose)
        return [
            (it.sha256, it.began.isoformat(), it.ended.isoformat())
            for it in sorted(facts.told)
            if meant is not None and it.sha256 == meant.sha256
        ]

    def hears_keys(self, facts: CallFacts) -> bool:
        """Whether a key that our side presses in an answered call may be a code, the PBX's or ours."""
        return self.heeds_keys(facts) or (facts.answered and bool(self.codes))

    def heeds_keys(self, facts: CallFacts) -> bool:
        """Whether a key that our side presses in an answered call may be a code of the PBX."""
        codes, is_seen = self.feature_codes, facts.vouching is Vouching.NOT_NEEDED
        return facts.answered and is_seen and (codes is None or bool(codes.pressed()))

    def horizon_of(self, facts: CallFacts) -> timedelta:
        """How long the audio of a call waits in memory."""
        return self.horizon if facts.vouching is Vouching.NOT_NEEDED else self.trunk_horizon
