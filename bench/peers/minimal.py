"""The floor: `c/relay.c`, an epoll loop with one recv and one send per packet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers import Peer, Running, Site
from bench.processes import build, pinned


def minimal(gather_us: int = 0) -> Peer:
    """It, sleeping so long after each round of packets."""

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        program = build("relay", site.directory)
        with pinned(site.core, [str(program), str(gather_us)]) as process:
            assert process.stdin is not None and process.stdout is not None
            a, b = site.ends
            process.stdin.write(f"{site.calls}\n" + f"{a} {b}\n" * site.calls)
            process.stdin.flush()
            ports = [process.stdout.readline().split() for _ in range(site.calls)]
            yield Running((process.pid,), [(int(one), int(other)) for one, other in ports])

    return start
