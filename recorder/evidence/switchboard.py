"""Which channels of a PBX are connected with which, as its events tell one by one.

A channel is the PBX's half of one leg. Channels that are in one bridge hear each other; two channels may also
be two ends of one thing (Asterisk's Local channels). Everything that is connected is looked at as one: with a
call on the trunk there is certainly one person inside if there is exactly one other channel that is nobody's
mere end, nobody listens in, and nobody is on hold.

Channels that were there before the events began are not known, and neither is who is connected with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

NOBODY = frozenset({"", "<unknown>", "unknown", "anonymous", "s", "asterisk"})
"""What stands where a name would, and names nobody."""


@dataclass(slots=True, repr=False)
class _Channel:
    names: set[str] = field(default_factory=set)
    conversation: str | None = None
    is_trunk: bool = False
    is_end: bool = False  # of something inside the PBX, and nobody's
    bridge: str | None = None
    other_end: str | None = None
    spies: set[str] = field(default_factory=set)
    is_held: bool = False


class Switchboard:
    """All channels since the events began. `changed()` says whose connection may be another one now."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._bridges: dict[str, set[str]] = {}
        self._closed_bridges: set[str] = set()
        self._calls: dict[str, str] = {}
        self._touched: set[str] = set()

    def open(self, channel: str, *, is_trunk: bool = False, is_end: bool = False) -> None:
        """A channel was made. `is_end`: it is one end of something inside the PBX."""
        self._channels.setdefault(channel, _Channel(is_trunk=is_trunk, is_end=is_end))

    def name(self, channel: str, names: Iterable[str]) -> None:
        """A channel is somebody's, under these names and numbers. What it was called before stays."""
        found = self._channels.get(channel)
        new = {name for name in names if name.lower() not in NOBODY}
        if found is not None and not new <= found.names:
            self._touch(channel)
            found.names |= new

    def identify(self, channel: str, conversation: str) -> None:
        """A channel is this call on the trunk."""
        if (found := self._channels.get(channel)) is not None and found.conversation != conversation:
            found.conversation, found.is_trunk = conversation, True
            self._calls[conversation] = channel
            self._touch(channel)

    def is_identified(self, channel: str) -> bool:
        """Whether it is known which call on the trunk a channel is, or it is none."""
        found = self._channels.get(channel)
        return found is None or not found.is_trunk or found.conversation is not None

    def enter(self, channel: str, bridge: str) -> None:
        """A channel came into a bridge, out of any other."""
        self.leave(channel)
        self._bridges.setdefault(bridge, set()).add(channel)
        self._channels.setdefault(channel, _Channel()).bridge = bridge
        self._touch(channel)

    def count(self, bridge: str, channels: int) -> None:
        """So many channels are in a bridge now. If these are not those that are known, nothing is certain
        there.
        """
        if len(self._bridges.get(bridge, ())) != channels:
            self.close_bridge(bridge)

    def leave(self, channel: str) -> None:
        """A channel left its bridge."""
        found = self._channels.get(channel)
        if found is None or found.bridge is None:
            return
        self._touch(channel)
        inside = self._bridges[found.bridge]
        inside.discard(channel)
        if not inside:
            del self._bridges[found.bridge]
            self._closed_bridges.discard(found.bridge)
        found.bridge = None

    def close_bridge(self, bridge: str) -> None:
        """A bridge in which it is never certain who speaks: a conference."""
        self._closed_bridges.add(bridge)
        for channel in self._bridges.get(bridge, ()):
            self._touch(channel)

    def pair(self, one: str, two: str) -> None:
        """Two channels are the two ends of one thing."""
        for channel, other in ((one, two), (two, one)):
            found = self._channels.setdefault(channel, _Channel())
            found.other_end, found.is_end = other, True
            self._touch(channel)

    def hold(self, channel: str, is_held: bool) -> None:
        """A channel is put on hold, or taken back."""
        if (found := self._channels.get(channel)) is not None and found.is_held != is_held:
            found.is_held = is_held
            self._touch(channel)

    def spy(self, channel: str, spy: str, is_there: bool) -> None:
        """Somebody begins to listen in at a channel, perhaps to speak, or ends it."""
        if (found := self._channels.get(channel)) is not None:
            (found.spies.add if is_there else found.spies.discard)(spy)
            self._touch(channel)

    def disturb(self, channel: str) -> None:
        """Something happened to a channel: whoever is connected with it has to be vouched for anew."""
        self._touch(channel)

    def close(self, channel: str) -> None:
        """A channel is gone."""
        self.leave(channel)
        found = self._channels.pop(channel, None)
        if found is None:
            return
        if found.conversation is not None and self._calls.get(found.conversation) == channel:
            del self._calls[found.conversation]
            self._touched.add(found.conversation)
        if (other := self._channels.get(found.other_end or "")) is not None:
            other.other_end = None
            self._touch(found.other_end or "")

    def changed(self) -> list[str]:
        """The calls on the trunk whose connection may have changed since this was asked last."""
        touched, self._touched = self._touched, set()
        return sorted(touched)

    def calls(self) -> list[str]:
        """All calls on the trunk that are known."""
        return sorted(self._calls)

    def inside_of(self, conversation: str) -> frozenset[str] | None:
        """Every name of the one channel that is connected with this call; None unless there is just one."""
        own = self._calls.get(conversation)
        if own is None:
            return None
        connected = self._connected(own)
        parts = {channel: self._channels.get(channel) for channel in connected}
        if any(
            it is None or it.spies or it.is_held or it.bridge in self._closed_bridges for it in parts.values()
        ):
            return None
        people = [it for channel, it in parts.items() if it is not None and channel != own and not it.is_end]
        if len(people) != 1 or people[0].is_trunk or not people[0].names:
            return None
        return frozenset(people[0].names)

    def _touch(self, channel: str) -> None:
        """Note the calls that are connected with a channel; to be done before a tie is cut, and after one is
        made.
        """
        for each in self._connected(channel):
            if (found := self._channels.get(each)) is not None and found.conversation is not None:
                self._touched.add(found.conversation)

    def _connected(self, channel: str) -> set[str]:
        """This channel and all that are connected with it."""
        seen, left = {channel}, [channel]
        while left:
            new = set(self._beside(left.pop())) - seen
            seen |= new
            left += new
        return seen

    def _beside(self, channel: str) -> Iterator[str]:
        found = self._channels.get(channel)
        if found is None:
            return
        if found.bridge is not None:
            yield from self._bridges[found.bridge]
        if found.other_end is not None:
            yield found.other_end
