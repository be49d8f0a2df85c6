"""Which policy is in force: the configured scheme, and whether the works council's signature covers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from recorder import agent_keys
from recorder.config import Config
from recorder.feature_codes import joined
from recorder.gate import Approval, GateReason, GateStatus, authority, judge_approvals
from recorder.policy import Announcement, Policy
from recorder.rules import compile_rules
from recorder.scheme import Scheme, scheme_hash
from storage import bundle
from storage.catalog import Catalogue

log = structlog.get_logger()

UNREADABLE = "approvals-unreadable"
RELOADED = "reloaded"


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate as it stands: open or shut, why, and what may be recorded by which rules."""

    approved: bool
    reason: str
    policy: Policy
    in_force: tuple[str, ...]  # hashes of the schemes that must all permit
    declared: bool = False  # no works council is required: management approves in its place

    def stands_like(self, other: Gate) -> bool:
        """Whether nothing has changed since."""
        return self._standing() == other._standing()

    def reloaded(self, config: Config) -> Gate:
        """The gate until it has been judged by a changed configuration: what both configurations allow."""
        before, changed = self.policy, _policy(config, config.scheme(), (config.scheme(),), self.approved)
        both = before.retention.keys() & changed.retention.keys()
        policy = replace(
            changed,
            rules=(*before.rules, *changed.rules),
            scheme_hash=before.scheme_hash,
            retention={name: min(before.retention[name], changed.retention[name]) for name in both},
            horizon=max(before.horizon, changed.horizon),
            trunk_horizon=max(before.trunk_horizon, changed.trunk_horizon),
            feature_codes=joined((before.feature_codes, changed.feature_codes)),
            codes=agent_keys.joined((before.codes, changed.codes)),
            longest_pause=max(before.longest_pause, changed.longest_pause),
            objections=_either(before.objections, changed.objections),
        )
        return replace(self, reason=RELOADED, policy=policy)

    def _standing(self) -> tuple[object, ...]:
        policy = self.policy
        return self.approved, self.reason, self.in_force, policy.scheme_hash, policy.horizon


async def look(config: Config, catalogue: Catalogue) -> Gate:
    """Read the enrolled keys and the approvals and judge them. What cannot be read keeps the gate shut."""
    try:
        keys = bundle.load(config.storage.directory)
        status = await status_of(config, catalogue, keys)
    except Exception as error:  # a spoiled row must shut the gate, whatever it raises
        log.error("approvals or enrolled keys cannot be read", error=type(error).__name__)
        return shut(config)
    scheme = config.scheme()
    policy = _policy(config, scheme, status.in_force, status.approved)
    hashes = tuple(scheme_hash(it) for it in status.in_force)
    return Gate(status.approved, status.reason.value, policy, hashes, keys.council is None)


def shut(config: Config) -> Gate:
    """The gate as it stands while nothing can be read."""
    scheme = config.scheme()
    return Gate(False, UNREADABLE, _policy(config, scheme, (scheme,), approved=False), ())


async def status_of(config: Config, catalogue: Catalogue, keys: bundle.Bundle) -> GateStatus:
    """The verdict over all approvals. Raises StorageError when they cannot be read."""
    declaration = keys.declaration.text if keys.declaration else None
    rows = [
        Approval(row.kind.value, row.scheme_hash, row.at, row.signature, row.scheme.encode())
        for row in await catalogue.approvals.all()
    ]
    return judge_approvals(config.scheme(), rows, authority(keys.council, keys.management, declaration))


def _policy(config: Config, scheme: Scheme, in_force: tuple[Scheme, ...], approved: bool) -> Policy:
    trunk = config.trunk
    return Policy(
        rules=compile_rules(*in_force),
        approved=approved,
        scheme_hash=scheme_hash(scheme),
        retention={it.name: it.retention for it in scheme.purposes},
        horizon=config.media.horizon,
        media_addresses=config.media.advertised_addresses(),
        trunk_horizon=trunk.horizon if trunk else config.media.horizon,
        is_trunk_witnessed=trunk is not None and trunk.evidence != "none",
        do_phones_vouch=trunk is not None and trunk.evidence == "phones",
        feature_codes=joined(it.feature_codes for it in in_force),
        codes=agent_keys.joined(it.agent_keys.wishes() for it in in_force),
        longest_pause=max(timedelta(seconds=it.agent_keys.pause_seconds) for it in in_force),
        objections=_either(*(_objections(it) for it in in_force)),
        announcements={
            it.name: Announcement(it.announcement_sha256, it.announcement_to_agent)
            for it in scheme.purposes
            if it.announcement_sha256
        },
    )


def _objections(scheme: Scheme) -> dict[str, frozenset[str]]:
    return {it.name: frozenset({it.objection_key}) for it in scheme.purposes if it.objection_key}


def _either(*several: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """By purpose, the keys of any of them."""
    names = {name for one in several for name in one}
    return {name: frozenset().union(*(one.get(name, ()) for one in several)) for name in names}


def explain(reason: str, declared: bool = False) -> str:
    """The reason in words, with what to do. `declared`: management approves in the council's place."""
    who = "management, in the works council's place," if declared else "the works council"
    return _WORDS.get(reason, reason).format(who=who)


def tell(gate: Gate) -> None:
    """Log how the gate stands."""
    why = explain(gate.reason, gate.declared)
    if gate.approved:
        log.info("recording is allowed", why=why)
    else:
        log.warning("nothing is recorded", why=why)


_WORDS = {
    GateReason.APPROVED.value: "{who} has approved this scheme",
    GateReason.AWAITING_RATIFICATION.value: "stricter than the scheme that {who} has approved; "
    "acts at once and awaits ratification: sign it with `doelband scheme sign`",
    GateReason.NO_AUTHORITY.value: "no works-council key is enrolled; enrol it with `doelband setup`",
    GateReason.NEVER_APPROVED.value: "{who} has not signed this scheme; sign it with `doelband scheme sign`",
    GateReason.CHANGED.value: "the scheme was changed after {who} has signed it; "
    "sign it again with `doelband scheme sign`",
    GateReason.WITHDRAWN.value: "{who} has withdrawn the approval",
    RELOADED: "the configuration was reloaded just now and has not been judged yet",
    UNREADABLE: "the approvals or the enrolled keys cannot be read; see the log",
}
