"""What a configuration must not say although each of its values is well formed.

`contradictions` are refused; `doubts` are allowed and shown, for they usually mean that something is not
recorded that somebody expects to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, product

from recorder.config import codes, listening, trunk_side
from recorder.config.listening import ANY, overlap, versions, versions_of_pbx
from recorder.config.model import Config, Listener, Pbx
from recorder.config.numbers import check_alias, check_number
from recorder.config.places import Key
from recorder.config.problems import did_you_mean
from recorder.config.trunk import Trunk
from recorder.numbering import NumberSet, PatternError, number_set, possible_forms
from sip_hooks.address import family_of

Found = Iterator[tuple[Key, str]]

_LONGEST_SOCKET, _SOCKET_PATH = "capture-status.sock", 107
_PORTS_PER_CALL = 4  # RTP and RTCP towards both parties


def contradictions(config: Config) -> Found:
    """Everything that is refused: the key and what to write instead."""
    for check in _CHECKS:
        yield from check(config)


def doubts(config: Config) -> Found:
    """Everything that is probably not meant."""
    for name, purpose in config.purposes.items():
        key = ("purposes", name)
        if not purpose.announcement_exemption and not purpose.announcement:
            yield key, "nobody tells the other party, so nothing is recorded; write announcement_exemption"
        elif purpose.announcement and not purpose.announcement_sha256:
            text = "nobody says which content it has, so nothing is recorded; write announcement_sha256"
            yield (*key, "announcement"), text
        if not any(name in line.purposes for line in config.lines):
            yield key, "no line has this purpose, so nothing is recorded; add it to a line's purposes"
    for index, line in enumerate(config.lines):
        if not any(line.name in agent.lines for agent in config.agents):
            yield ("lines", index), "no agent is on this line, so nothing is recorded; add [[agents]]"
    yield from listening.doubts(config)
    yield from trunk_side.doubts(config)
    yield from codes.doubts(config)
    yield from _unbridged(config)
    yield from _without_media(config)
    yield from _excluded_agents(config)
    yield from _excluded_lines(config)
    yield from _shared_numbers(config)
    if config.clock.offset_file is not None:
        yield ("clock", "offset_file"), "moves every clock; for demonstrations and tests only"


def port_doubts(config: Config, given_away: tuple[int, int] | None) -> Found:
    """Media ports among those that the system gives to any program, if it said which these are."""
    if given_away is None:
        return
    low, high = given_away
    if config.media.port_low <= high and low <= config.media.port_high:
        text = f"any program may be given a port from {low} to {high} (ip_local_port_range)"
        yield ("media", "ports"), f"{text}; write a range outside"


def _media(config: Config) -> Found:
    media = config.media
    if not media.addresses():
        yield ("media",), "has no address; write address (IPv4), address6 (IPv6) or both"
    for name, end in (("address", ""), ("address6", "6")):
        bound, advertised = getattr(media, name), getattr(media, f"advertised{end}")
        if bound in ANY.values() and advertised is None:
            yield ("media", name), f"nobody can send to {bound}; write advertised{end} as well"
        if advertised and not bound:
            yield ("media", f"advertised{end}"), f"stands for no address; write {name} as well"


def _media_ports(config: Config) -> Found:
    media, key = config.media, ("media", "ports")
    if media.port_low % 2 or not media.port_high % 2:
        yield key, 'RTP has the even port, RTCP the next; write an even and an odd end, as "20000-29999"'
    if media.port_low < 1024:
        yield key, "ports below 1024 belong to the system; write a higher range"
    if media.port_high - media.port_low + 1 < _PORTS_PER_CALL:
        yield key, f"a call needs {_PORTS_PER_CALL} ports; write a wider range, the lower end first"
    sockets: list[Listener | Pbx | Trunk] = [*config.listeners, *([] if config.pbx.is_name else [config.pbx])]
    sockets += [config.trunk] if config.trunk else []
    for it in sockets:
        is_shared = any(overlap(it.address, own) for own in media.addresses().values())
        if is_shared and media.port_low <= it.port <= media.port_high:
            yield key, f"contains the SIP port {it.port}; write a range without it"


def _unbridged(config: Config) -> Found:
    """Calls that are never recorded are left alone, so nobody bridges IP versions in them."""
    if config.pbx.is_name:
        return
    pbx = family_of(config.pbx.address)
    for side in ("phones", "trunk"):
        for version in sorted(versions(config, side) - {pbx}):
            text = (
                f"{side} over IPv{version} and a PBX over IPv{pbx}: calls that are never recorded are left as"
            )
            yield ("pbx", "address"), f"{text} they are, so they have audio only if the PBX bridges the two"


def _without_media(config: Config) -> Found:
    """Who speaks an IP version in which nothing is relayed is not recorded."""
    spoken = versions(config, "phones") | versions(config, "trunk") | versions_of_pbx(config)
    for version in sorted(spoken - config.media.addresses().keys()):
        name = "address" if version == 4 else "address6"
        yield ("media",), f"calls with a party on IPv{version} are not recorded; write {name} as well"


def _patterns(config: Config) -> Found:
    for key, pattern in _all_patterns(config):
        if (fault := _fault(config, pattern, is_alias=key[-2] == "aliases")) is not None:
            yield key, fault
    for index, agent in enumerate(config.agents):
        for place, extension in enumerate(agent.extensions):
            if _fault(config, extension) is None and not _read(config, [extension]).exact:
                yield (
                    ("agents", index, "extensions", place),
                    "an agent has single extensions; list each of them",
                )


def _all_patterns(config: Config) -> Iterator[tuple[Key, str]]:
    lists: list[tuple[Key, Iterable[str]]] = [
        (("numbering", name), getattr(config.numbering, name))
        for name in ("internal", "emergency", "outside")
    ]
    lists.append((("conferences", "rooms"), config.conferences.rooms))
    lists += [(("lines", i, "numbers"), it.numbers) for i, it in enumerate(config.lines)]
    lists += [(("agents", i, "extensions"), it.extensions) for i, it in enumerate(config.agents)]
    lists += [(("exclusions", i, "numbers"), it.numbers) for i, it in enumerate(config.exclusions)]
    lists += [(("exclusions", i, "aliases"), it.aliases) for i, it in enumerate(config.exclusions)]
    for key, patterns in lists:
        yield from (((*key, place), pattern) for place, pattern in enumerate(patterns))


def _fault(config: Config, pattern: str, *, is_alias: bool = False) -> str | None:
    check = check_alias if is_alias else check_number
    try:
        check(pattern, config.numbering.values())
    except PatternError as error:
        return str(error)
    return None


def _read(config: Config, patterns: Iterable[str]) -> NumberSet:
    """The readable ones of these patterns; the others are reported by `_patterns`."""
    readable = [it for it in patterns if _fault(config, it) is None]
    return number_set(readable, config.numbering.values())


def _names(config: Config) -> Found:
    for section, names in (
        ("lines", [it.name for it in config.lines]),
        ("agents", [it.id for it in config.agents]),
        ("exclusions", [it.name for it in config.exclusions]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                yield (section, index), f'"{name}" is there already; write another name, or join the two'
    if "hold" in config.purposes:
        yield ("purposes", "hold"), "clips under a hold have a key of that name; write another name"


def _extensions(config: Config) -> Found:
    seen: dict[str, str] = {}
    for index, agent in enumerate(config.agents):
        for form in sorted(_read(config, agent.extensions).exact):
            if seen.setdefault(form, agent.id) != agent.id:
                text = f"{form} belongs to {seen[form]} already; write an extension of this agent alone"
                yield ("agents", index, "extensions"), text


def _references(config: Config) -> Found:
    for index, line in enumerate(config.lines):
        for place, name in enumerate(line.purposes):
            if name not in config.purposes:
                yield (
                    ("lines", index, "purposes", place),
                    f'no purpose "{name}"; {did_you_mean(name, config.purposes)}',
                )
    names = [line.name for line in config.lines]
    for index, agent in enumerate(config.agents):
        for place, name in enumerate(agent.lines):
            if name not in names:
                yield ("agents", index, "lines", place), f'no line "{name}"; {did_you_mean(name, names)}'


def _purposes(config: Config) -> Found:
    for name, purpose in config.purposes.items():
        key = ("purposes", name)
        if purpose.kind == "quality" and purpose.frequency is None:
            yield (
                key,
                "a quality purpose needs a frequency (KSF 3.6); write frequency = what the staff is told",
            )
        if purpose.kind == "quality" and purpose.frequency_justification is None:
            yield key, "a frequency needs its grounds (KSF 3.5, 3.7); write frequency_justification"
        if purpose.mode == "sample" and not purpose.sample:
            yield key, 'a sample needs its size; write sample = "5 %"'
        if purpose.mode != "sample" and purpose.sample:
            yield (*key, "sample"), 'only a sample has a size; write mode = "sample", or take this key away'


def _announcements(config: Config) -> Found:
    for name, purpose in config.purposes.items():
        key = ("purposes", name)
        if purpose.announcement_sha256 and not purpose.announcement:
            yield (*key, "announcement_sha256"), "is of no file; write announcement, or take this key away"
        if purpose.objection_key and not purpose.announcement:
            yield (*key, "objection_key"), "nobody tells the other party of it; write announcement"
        if purpose.announcement and purpose.announcement_exemption:
            yield key, "has both an announcement and an exemption from it; write the one that applies"


def _exclusions(config: Config) -> Found:
    for index, it in enumerate(config.exclusions):
        if not it.numbers and not it.aliases:
            yield ("exclusions", index), 'excludes nobody; write numbers = ["250"] or aliases = ["dr.jansen"]'


def _private(config: Config) -> Found:
    """The prefix is stripped from what is dialled: it must not be the beginning of anything else."""
    prefix, key, numbers = config.private.prefix, ("private", "prefix"), config.numbering
    for emergency in numbers.emergency:
        if emergency.startswith(prefix) or prefix.startswith(emergency):
            yield key, f'collides with the emergency number {emergency}; write for example "*31"'
    for dialled in (numbers.national_prefix, numbers.international_prefix, numbers.outside_line):
        if dialled and (dialled.startswith(prefix) or prefix.startswith(dialled)):
            yield key, f'collides with numbers that begin with {dialled}; write for example "*31"'
    for other, pattern in _all_patterns(config):
        if other[:2] != ("numbering", "emergency") and other[-2] != "aliases" and pattern.startswith(prefix):
            yield key, f'"{pattern}" begins with it; write a prefix that no number begins with'


def _directories(config: Config) -> Found:
    keys = config.keys
    apart = (
        (("keys", "epoch_key_directory"), keys.epoch_key_directory),
        (("keys", "directory"), keys.directory),
        (("storage", "directory"), config.storage.directory),
        (("runtime", "directory"), config.runtime.directory),
    )
    for (key, one), (other, two) in combinations(apart, 2):
        if one == two or one in two.parents or two in one.parents:
            place = ".".join(str(part) for part in other)
            yield key, f"must lie apart from {place}; write a directory that neither contains the other"


def _sockets(config: Config) -> Found:
    """unix(7): the path of a socket has room for 107 bytes."""
    directory = config.runtime.directory
    if (length := len(bytes(directory / _LONGEST_SOCKET))) > _SOCKET_PATH:
        text = f"a socket in it has a path of {length} bytes, {_SOCKET_PATH} are possible"
        yield ("runtime", "directory"), f"{text}; write a shorter path"


def _excluded_agents(config: Config) -> Found:
    numbering = config.numbering.values()
    for (index, agent), exclusion in product(enumerate(config.agents), config.exclusions):
        excluded = number_set((*exclusion.numbers, *exclusion.aliases), numbering)
        for extension in agent.extensions:
            if excluded.holds(possible_forms(extension, numbering)):
                text = f'{extension} is excluded as "{exclusion.name}", and the exclusion wins: not recorded'
                yield ("agents", index, "extensions"), text


def _excluded_lines(config: Config) -> Found:
    """One entry that excludes a line's own number, or a whole range of the line."""
    numbering = config.numbering.values()
    for key, pattern in _all_patterns(config):
        excluded = number_set([pattern], numbering)
        for line, entry in ((it, entry) for it in config.lines for entry in it.numbers):
            own = number_set([entry], numbering)
            ends = [*own.exact, *own.beginnings, *(end for ends in own.ranges for end in ends)]
            if key[0] == "exclusions" and all(excluded.holds({end}) for end in ends):
                yield key, f'"{pattern}" excludes {entry} of line {line.name}: no call with it is recorded'


def _shared_numbers(config: Config) -> Found:
    for (_, one), (index, two) in combinations(enumerate(config.lines), 2):
        if shared := sorted(set(one.numbers) & set(two.numbers)):
            are = "is" if len(shared) == 1 else "are"
            text = f"{', '.join(shared)} {are} on line {one.name} too: only purposes of both are recorded"
            yield ("lines", index, "numbers"), text


_CHECKS: tuple[Callable[[Config], Found], ...] = (
    listening.contradictions,
    trunk_side.contradictions,
    codes.contradictions,
    _media,
    _media_ports,
    _patterns,
    _names,
    _extensions,
    _references,
    _purposes,
    _announcements,
    _exclusions,
    _private,
    _directories,
    _sockets,
)
