"""The rules by which calls are recorded or not, made from a scheme.

Each rule is a function from the facts of a call to opinions; `decision.decide` weighs them. A rule that looks
for a permit uses certain readings of an identity, a rule that forbids uses every possible reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from recorder.asking import of_who
from recorder.decision import CallFacts, Direction, Doubt, Opinion, Reason, Rule, Rules, Vouching
from recorder.names import Name, Names
from recorder.numbering import NumberSet, is_e164
from recorder.scheme import SAMPLE_SCALE, Purpose, Scheme

_UNVOUCHED = {
    Vouching.AWAITED: Reason.NO_EVIDENCE,
    Vouching.IMPOSSIBLE: Reason.NO_EVIDENCE_SOURCE,
}


@lru_cache(maxsize=8)  # the gate is judged every second, between SIP messages
def compile_rules(*schemes: Scheme) -> Rules:
    """All rules of these schemes together: a purpose is recorded only if each of the schemes permits it.

    Raises numbering.PatternError for a pattern that cannot be read.
    """
    return tuple(rule for scheme in schemes for rule in _rules_of(scheme)) + CALL_RULES


@lru_cache(maxsize=8)  # which takes long for thousands of agents, and may be done in another thread before
def _rules_of(scheme: Scheme) -> Rules:
    look = _Lookup(scheme)
    return (
        look.private_prefix,
        look.emergency,
        look.exclusions,
        look.internal,
        look.feature_codes,
        look.outside_evidence,
        look.newcomers,
        look.placement,
        look.nobody_else,
        look.certain,
        *(_untold(purpose) for purpose in scheme.purposes if not purpose.announcement_exemption),
        *(_chosen(purpose) for purpose in scheme.purposes if purpose.mode != "always"),
    )


class _Lookup:
    """A scheme made ready for looking up, and the rules that look into it."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.names = Names(scheme)
        self._name = self.names.of

    @of_who
    def private_prefix(self, facts: CallFacts) -> Iterator[Opinion]:
        """KSF 3.9: what is dialled begins with the prefix, or is the prefix. Only the prefix is ours."""
        prefix = self.scheme.private_prefix
        is_prefixed = facts.direction is Direction.OUTBOUND and facts.dialled.startswith(prefix)
        if is_prefixed and not self.is_emergency(facts.dialled):
            yield Opinion(Reason.PRIVATE_PREFIX, strip=len(prefix))

    @of_who
    def emergency(self, facts: CallFacts) -> Iterator[Opinion]:
        """Emergency calls are forwarded untouched, and so is the call back."""
        if any(map(self.is_emergency, _other_party(facts))):
            yield Opinion(Reason.EMERGENCY_NUMBER)

    @of_who
    def exclusions(self, facts: CallFacts) -> Iterator[Opinion]:
        """KSF 2.1: an excluded identity anywhere in the call, on either side, in any header."""
        everyone = facts.everyone | facts.inside | facts.outside | {facts.dialled}
        if any(self._name(it).is_excluded for it in everyone):
            yield Opinion(Reason.EXCLUDED)

    @of_who
    def internal(self, facts: CallFacts) -> Iterator[Opinion]:
        """The other party is one of us: an internal number, an agent, a business line; and so may be ours."""
        if self.is_ours(_other_party(facts) | facts.hearsay[1]):
            yield Opinion(Reason.INTERNAL_CALL)
            if self.is_ours(facts.inside):
                yield Opinion(Reason.BETWEEN_US)

    def feature_codes(self, facts: CallFacts) -> Iterator[Opinion]:
        """Who tells the PBX where calls go speaks with nobody. Any other code leaves open who answers."""
        codes = self.scheme.feature_codes
        is_out = facts.direction is Direction.OUTBOUND
        if is_out and codes is not None and codes.dialled_as(facts.dialled) == "forward":
            yield Opinion(Reason.FEATURE_CODE)

    def outside_evidence(self, facts: CallFacts) -> Iterator[Opinion]:
        """A party outside is a whole telephone number, a listed pattern, or a caller who withholds it."""
        if facts.direction is Direction.INBOUND and facts.anonymous:
            return
        if not self._is_outside(_other_party(facts)):
            yield Opinion(Reason.OUTSIDE_UNKNOWN)

    def certain(self, facts: CallFacts) -> Iterator[Opinion]:
        """A doubt about who speaks. At a conference that is anybody, but in a room where everybody may be
        recorded it does not matter.
        """
        permitted = {Doubt.CONFERENCE} if self._are_permitted(facts.rooms) else set()
        if doubts := facts.doubts - permitted:
            yield Opinion(Reason.DOUBTFUL, details=tuple(sorted(doubts)))

    def newcomers(self, facts: CallFacts) -> Iterator[Opinion]:
        """Whom a header names since the answer needs evidence of their own: that of before was another's."""
        for side, _, names in facts.newcomers:
            if not (self._is_outside(names) if side == "outside" else self.placed(names)[0]):
                yield Opinion(Reason.NEWCOMER)

    @of_who
    def placement(self, facts: CallFacts) -> Iterator[Opinion]:
        """KSF 1.3, 3.2: one enrolled agent, on flagged lines that are the agent's; permits what they do."""
        agents, lines = self.placed(facts.inside)
        if not agents:
            yield from self._nobody_yet(facts, lines)
        elif not self.placed(facts.inside - facts.claimed)[0]:
            yield Opinion(Reason.AGENT_ONLY_CLAIMED)
        if len(agents) > 1:
            yield Opinion(Reason.SEVERAL_AGENTS)
        if not lines:
            yield Opinion(Reason.NO_LINE)
        for agent, enrolled in agents:
            for line, purposes in lines:
                if line not in enrolled:
                    yield Opinion(Reason.AGENT_NOT_ON_LINE)
                yield Opinion(Reason.LINE_ALLOWS, purposes=purposes, line=line, agent=agent)

    def _nobody_yet(self, facts: CallFacts, lines: list[tuple[str, frozenset[str]]]) -> Iterator[Opinion]:
        """No agent is seen. On the trunk side one may still be vouched for; until then that is in the way."""
        if facts.vouching not in _UNVOUCHED:
            yield Opinion(Reason.NO_AGENT)
        else:
            yield from (Opinion(Reason.LINE_ALLOWS, purposes=it, line=line) for line, it in lines)

    @of_who
    def nobody_else(self, facts: CallFacts) -> Iterator[Opinion]:
        """Our side is the agent on the line and nobody else, whatever further header names an agent too."""
        agents, lines = self.names.having(facts.inside)
        extensions, business = [it[1] for it in agents], [it[1] for it in lines]
        if not all(
            _is_placed(self._name(it), extensions, business) for it in facts.inside | facts.hearsay[0]
        ):
            yield Opinion(Reason.ANOTHER_OF_US)

    def _is_outside(self, identities: Iterable[str]) -> bool:
        """Whether any of these is certainly a party outside, or a room where everybody may be recorded."""
        return any(self._name(it).is_outside for it in identities)

    def _are_permitted(self, rooms: frozenset[str]) -> bool:
        """Whether these are rooms of conferences, and everybody may be recorded in each of them."""
        return bool(rooms) and all(map(self.names.is_room, rooms))

    def is_ours(self, identities: Iterable[str]) -> bool:
        """Whether any of these may be an internal number, an agent's or a line's."""
        return any(self._name(it).is_ours for it in identities)

    def placed(
        self, identities: Iterable[str]
    ) -> tuple[list[tuple[str, frozenset[str]]], list[tuple[str, frozenset[str]]]]:
        """The agents among these with their lines, and the lines with their purposes."""
        agents, lines = self.names.having(identities)
        return [(id, enrolled) for id, _, enrolled in agents], [(name, names) for name, _, names in lines]

    def is_emergency(self, identity: str) -> bool:
        """Whether this may be an emergency number, or is a URN of one."""
        return self._name(identity).is_emergency


class Directory:
    """Who is who in a scheme, for readers of other records than signalling."""

    def __init__(self, scheme: Scheme) -> None:
        self._look = _Lookup(scheme)
        numbers = self._look.names.emergency
        ends = tuple(it.removeprefix("+") for it in numbers.exact)
        is_plain = all(map(str.isdigit, ends)) and not (numbers.ranges or numbers.beginnings)
        self._emergency_ends = ends if is_plain else ()

    def is_emergency(self, identity: str) -> bool:
        """Whether an emergency service is dialled or calls, with whatever prefix, also the private one."""
        if self._emergency_ends and not "".join(filter(str.isdigit, identity)).endswith(self._emergency_ends):
            return False  # the usual case, and quickly said: a prefix changes no end
        return self._look.is_emergency(identity) or self._look.is_emergency(
            identity.removeprefix(self._look.scheme.private_prefix)
        )

    def are_ours(self, identities: Iterable[str]) -> bool:
        """Whether any may be an internal number, an agent's or a line's."""
        return self._look.is_ours(identities)

    def placed(self, identities: frozenset[str]) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        """The agents among these with their lines, and the lines."""
        agents, lines = self._look.placed(identities)
        return dict(agents), frozenset(name for name, _ in lines)


def _is_placed(name: Name, extensions: list[NumberSet], business: list[NumberSet]) -> bool:
    """Whether this is the agent or the line, or a name that is nobody's.

    An extension in a line's range says which calls are the line's, not who speaks: only a whole number, or
    one that the line lists by itself, is the line's own.
    """
    if not name.is_somebody:
        return True
    return any(numbers.holds(name.readings) for numbers in extensions) or any(
        numbers.exact & name.readings or numbers.holds(filter(is_e164, name.readings)) for numbers in business
    )


def _other_party(facts: CallFacts) -> frozenset[str]:
    """What an outbound call dials is the other party too, also where no header repeats it."""
    return facts.outside | ({facts.dialled} if facts.direction is Direction.OUTBOUND else set())


def _untold(purpose: Purpose) -> Rule:
    """KSF 6.6: no exemption says why the outside party knows already, so it has to be told first."""
    file, named = purpose.announcement_sha256, frozenset({purpose.name})
    if not purpose.announcement or not file:
        reason = Reason.ANNOUNCEMENT_UNAVAILABLE if purpose.announcement else Reason.NOBODY_TOLD
        return lambda facts: (Opinion(reason, purposes=named),)

    def not_heard(facts: CallFacts) -> Iterator[Opinion]:
        if why := dict(facts.untold).get(file):
            yield Opinion(Reason.ANNOUNCEMENT_BLOCKED, purposes=named, details=(why,))
        elif file not in {it.sha256 for it in facts.told}:
            yield Opinion(Reason.NOT_TOLD_YET, purposes=named)

    return not_heard


def _chosen(purpose: Purpose) -> Rule:
    """KSF p. 3, 3.5: a sample is what its lot makes it; on demand is what somebody asked for."""

    def not_sampled(facts: CallFacts) -> Iterator[Opinion]:
        if facts.draws.get(purpose.name, SAMPLE_SCALE) >= purpose.sample:
            yield Opinion(Reason.NOT_SAMPLED, purposes=frozenset({purpose.name}))

    def not_requested(facts: CallFacts) -> Iterator[Opinion]:
        if purpose.name not in facts.requested:
            yield Opinion(Reason.NOT_REQUESTED, purposes=frozenset({purpose.name}))

    return not_requested if purpose.mode == "on-demand" else not_sampled


def _approval(facts: CallFacts) -> Iterator[Opinion]:
    """KSF 3.11, WOR 27: the gate."""
    if not facts.approved:
        yield Opinion(Reason.UNAPPROVED)


def _inside_known(facts: CallFacts) -> Iterator[Opinion]:
    if facts.direction is Direction.OUTBOUND and facts.anonymous:
        yield Opinion(Reason.INSIDE_ANONYMOUS)


def _inside_vouched_for(facts: CallFacts) -> Iterator[Opinion]:
    """On the trunk side headers never suffice: somebody has to say who speaks inside, now."""
    if facts.vouching in _UNVOUCHED:
        yield Opinion(_UNVOUCHED[facts.vouching])


def _answered(facts: CallFacts) -> Iterator[Opinion]:
    if not facts.answered:
        yield Opinion(Reason.NOT_ANSWERED)


def _anchored_once(facts: CallFacts) -> Iterator[Opinion]:
    """One conversation makes one recording, however often it crosses us."""
    if facts.already_anchored:
        yield Opinion(Reason.ALREADY_ANCHORED)


@of_who
def _withheld_elsewhere(facts: CallFacts) -> Iterator[Opinion]:
    """What one pass of a conversation shows of who speaks counts for all of them."""
    if facts.withheld_elsewhere:
        yield Opinion(Reason.WITHHELD_ELSEWHERE)


def _not_stopped(facts: CallFacts) -> Iterator[Opinion]:
    """Whoever may stop a recording stops it for good."""
    if facts.stopped is None or facts.stopped:
        yield Opinion(Reason.STOPPED, purposes=facts.stopped)


@of_who
def _not_withdrawn(facts: CallFacts) -> Iterator[Opinion]:
    """KSF 3.9: the agent has said that it is private. The other party has objected."""
    if facts.withdrawn is not None:
        yield Opinion(Reason(facts.withdrawn))


def _not_paused(facts: CallFacts) -> Iterator[Opinion]:
    if facts.paused:
        yield Opinion(Reason.PAUSED)


def _undisturbed(facts: CallFacts) -> Iterator[Opinion]:
    if facts.disturbances:
        yield Opinion(Reason.DISTURBED, details=tuple(sorted(facts.disturbances)))


def _possible(facts: CallFacts) -> Iterator[Opinion]:
    if facts.obstacles:
        yield Opinion(Reason.OBSTACLE, details=tuple(sorted(facts.obstacles)))
    if facts.failures:
        yield Opinion(Reason.FAILURE, details=tuple(sorted(facts.failures)))


CALL_RULES: Rules = (
    _withheld_elsewhere,
    _approval,
    _inside_known,
    _inside_vouched_for,
    _answered,
    _anchored_once,
    _not_withdrawn,
    _not_stopped,
    _not_paused,
    _undisturbed,
    _possible,
)
"""The rules that no scheme can change."""
