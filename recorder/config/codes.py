"""Checks of the codes, the PBX's and ours, and of the conference rooms against all else in the file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from recorder.config.model import Config
from recorder.config.places import Key
from recorder.feature_codes import BEFORE_A_NUMBER, DIALLED
from recorder.numbering import PatternError, number_set, possible_forms

Found = Iterator[tuple[Key, str]]

_SHORTEST_HORIZON = timedelta(seconds=1)


def contradictions(config: Config) -> Found:
    """What is refused of both sections."""
    if config.feature_codes is not None:
        yield from _codes(config)
    yield from _horizon(config)
    yield from _pause(config)
    yield from _ours(config)
    yield from _rooms(config)


def doubts(config: Config) -> Found:
    """What is allowed and probably not meant."""
    yield from _without_purpose(config)
    if config.feature_codes is None:
        yield (
            ("feature_codes",),
            "is not there: nothing of a call is recorded after a key that its agent presses; list the codes "
            "of the PBX, or leave the section empty if it has none",
        )


def _without_purpose(config: Config) -> Found:
    if config.on_demand.code and not any(it.mode == "on-demand" for it in config.purposes.values()):
        yield ("on_demand", "code"), 'no purpose has mode = "on-demand", so pressing it does nothing'


def _codes(config: Config) -> Found:
    section = config.feature_codes
    for kind in DIALLED:
        for place, code in enumerate(getattr(section, kind)):
            key = ("feature_codes", kind, place)
            if fault := _fault(config, code, kind in BEFORE_A_NUMBER):
                yield key, fault


def _fault(config: Config, code: str, is_beginning: bool) -> str | None:
    """What makes a code that is dialled ambiguous, with the remedy."""
    low, hyphen, high = code.partition("-")
    if hyphen and (len(low) != len(high) or low >= high):
        return f'"{code}" is no range; write the lower number first, both of one length, as "701-720"'
    prefix = config.private.prefix
    if code.startswith(prefix) or (is_beginning and prefix.startswith(code)):
        return f"collides with the private prefix {prefix}; one of the two has to be another"
    for number in config.numbering.emergency:
        if code == number or (is_beginning and number.startswith(code)):
            return f"collides with the emergency number {number}; write the PBX's code"
    leads = (config.numbering.national_prefix, config.numbering.international_prefix)
    for lead in (*leads, config.numbering.outside_line):
        if is_beginning and lead and lead.startswith(code):
            return f"all numbers that begin with {lead} would be codes; write the PBX's code"
    return _of_somebody(config, code)


def _of_somebody(config: Config, code: str) -> str | None:
    for agent in config.agents:
        if code in agent.extensions:
            return f"is an extension of agent {agent.id}; a code belongs to nobody"
    for line in config.lines:
        if code in line.numbers:
            return f"is a number of line {line.name}; a code belongs to nobody"
    return None


def _pause(config: Config) -> Found:
    """Two codes and not one that does both: who is not sure which it was does not begin it anew."""
    if bool(config.pause.code) != bool(config.pause.resume_code):
        missing = "resume_code" if config.pause.code else "code"
        yield ("pause",), f'has one code of two; write {missing} = "*79", other keys than the first'


def _ours(config: Config) -> Found:
    """What an agent presses is ours alone: whatever contains it, or is in it, would be pressed with it."""
    ours = [(key, code) for key, code in _of_ours(config) if code]
    pressed = sorted(config.feature_codes.values().pressed()) if config.feature_codes else []
    for index, (key, code) in enumerate(ours):
        known = [(".".join(other), theirs) for other, theirs in ours[:index]]
        for name, theirs in (*known, *(("the PBX's code", it) for it in pressed)):
            if code in theirs or theirs in code:
                yield key, f"{code} and {name} {theirs} are pressed together; write other keys"
        if key[0] != "private":
            yield from _beside_the_rest(config, key, code)


def _beside_the_rest(config: Config, key: Key, code: str) -> Found:
    if config.private.prefix in code:
        yield key, f"contains the private prefix {config.private.prefix}; write other keys"
    if config.feature_codes is None:
        text = "any key ends the recording, for nobody has said which are codes of the PBX"
        yield key, f"{text}; write a section [feature_codes], empty if it has none"


def _of_ours(config: Config) -> Iterator[tuple[tuple[str, str], str | None]]:
    yield ("private", "in_call_code"), config.private.in_call_code
    yield ("pause", "code"), config.pause.code
    yield ("pause", "resume_code"), config.pause.resume_code
    yield ("on_demand", "code"), config.on_demand.code


def _horizon(config: Config) -> Found:
    """A key in RTP is told of a moment after it was pressed."""
    codes = config.feature_codes
    is_pressed = codes is not None and bool(codes.values().pressed())
    is_pressed = is_pressed or any(code for _, code in _of_ours(config))
    if is_pressed and config.media.horizon < _SHORTEST_HORIZON:
        yield (
            ("media", "horizon"),
            'is too short to take back what follows a code that is pressed; write "1 s" or more',
        )


def _rooms(config: Config) -> Found:
    """A room is no number of ours: calls among those are never recorded."""
    numbering = config.numbering.values()
    for place, room in enumerate(config.conferences.rooms):
        key = ("conferences", "rooms", place)
        try:
            rooms = number_set([room], numbering)
            ours = number_set(config.numbering.internal, numbering)
        except PatternError:
            continue  # reported with all other patterns
        ends = [*rooms.exact, *rooms.beginnings, *(end for ends in rooms.ranges for end in ends)]
        if any(ours.holds(possible_forms(it, numbering)) for it in ends):
            yield (
                key,
                "lies among numbering.internal, and calls there are never recorded; take it out of there",
            )
