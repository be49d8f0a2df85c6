"""Debian's Kamailio as a stateful, record-routing proxy with one worker (`kamailio.cfg`)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import Proxying, Stand
from bench.processes import BenchError, pinned
from bench.telephones import Ends
from demo.phone import free_port

_CONFIGURATION = Path(__file__).with_name("kamailio.cfg")
_MEGABYTES = ("-m", "2048", "-M", "16")
"""For what lingers after calls at full load: of several thousand a second."""
_START_SECONDS = 10.0


@contextmanager
def kamailio(stand: Stand) -> Iterator[Proxying]:
    """Its worker, and the processes beside it, on one core."""
    port, caller, callee = (free_port() for _ in range(3))
    text = _CONFIGURATION.read_text(encoding="utf-8")
    file = stand.directory / "kamailio.cfg"
    file.write_text(text.replace("PROXY_PORT", str(port)).replace("CALLEE_PORT", str(callee)))
    command = ["kamailio", "-DD", "-E", "-f", str(file), "-Y", str(stand.directory), *_MEGABYTES]
    log = stand.directory / "kamailio.log"
    with pinned(stand.core, command, log=log, first=stand.first) as process:
        deadline = time.monotonic() + _START_SECONDS
        while _is_free(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise BenchError(f"kamailio did not start: {log.read_text()[-400:]}")
            time.sleep(0.1)
        yield Proxying((process.pid, *_children(process.pid)), (), Ends(port, caller, callee))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _children(pid: int) -> list[int]:
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
