"""Who is compared. Each peer is a context manager that starts a relay on one core with calls open on it, or
a proxy.

doelband    our relay worker, ordered by our broker and client as in production
recording   the same with our capture process over a real vault
minimal     a C relay that does the least that can be done: the floor
rtpengine   Debian's rtpengine in user space
signalling  our signalling process in a whole installation; and no proxy at all
kamailio    Debian's Kamailio as a stateful, record-routing proxy
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Ports
from bench.telephones import Ends


@dataclass(frozen=True, slots=True)
class Site:
    """What a peer gets: its core and the other one, how many calls to open, from which two ports on 127.0.0.1
    their media comes, and an empty directory.
    """

    core: int
    other_core: int
    calls: int
    ends: Ports
    directory: Path


def nothing() -> None:
    """Of a peer that does not record."""


@dataclass(frozen=True, slots=True)
class Running:
    """A peer with its calls open: the processes to account for, and per call the ports that it shows.

    `end_calls`: hang up, and wait until everything that is recorded is on the disk. `recorded`: how many
    different packets of the load are there then, each of them whole and in its place.
    """

    pids: tuple[int, ...]
    ports: list[Ports]
    end_calls: Callable[[], object] = nothing
    recorded: Callable[[], int | None] = nothing


Peer = Callable[[Site], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Stand:
    """What a proxy gets: its core and the other one, whether it goes before all other work of the machine,
    and an empty directory.
    """

    core: int
    other_core: int
    first: bool
    directory: Path


@dataclass(frozen=True, slots=True)
class Proxying:
    """A proxy that runs: the processes to account for, those that work for it, who meets whom."""

    pids: tuple[int, ...]
    beside: tuple[int, ...]
    ends: Ends


Proxy = Callable[[Stand], AbstractContextManager[Proxying]]
