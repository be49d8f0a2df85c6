"""`doelband serve` and the single processes that it starts.

Each loads only what it needs: a relay has no business with keys or catalogue.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from recorder.cli.options import DEFAULT, ConfigPath
from recorder.service.children import follow_supervisor
from recorder.service.journal import Format, start_logging

LogFormat = Annotated[
    Format | None,
    typer.Option(
        "--log-format",
        envvar="DOELBAND_LOG_FORMAT",
        help="How lines on stderr are written; auto: text on a terminal, JSON elsewhere.",
    ),
]
RingFds = Annotated[list[int], typer.Option("--ring-fd", help="Descriptor of a relay worker's ring.")]


def serve(config: ConfigPath = DEFAULT, log_format: LogFormat = None) -> None:
    """Run the recorder in the foreground: every process, supervised, until SIGTERM or Ctrl-C.

    It stands between phones and PBX: phones register and call through its listeners, and what they send
    goes on to the PBX. Calls that the scheme certainly excludes pass with their media untouched; every
    other call's media passes through the relay. Nothing is recorded until the works council has signed
    the scheme.

    Before the first start: `doelband setup`. While it runs: `doelband status`, `doelband calls`.
    """
    from recorder.config import load
    from recorder.service import supervisor

    start_logging("supervisor", log_format)
    loaded, path = load(config), config.absolute()
    supervisor.prepare(loaded, path)
    asyncio.run(supervisor.serve(loaded, path))


def signalling(config: ConfigPath = DEFAULT) -> None:
    """SIP in and out, the decision, and the book of calls."""
    from recorder.config import load
    from recorder.service.signalling import run

    _child("signalling")
    asyncio.run(run(load(config)))


def relay(
    control_fd: Annotated[int, typer.Option(help="Descriptor of the control socket.")],
    ring_fd: Annotated[int, typer.Option(help="Descriptor of the ring.")],
) -> None:
    """Media in and out; no keys, no disk, no configuration."""
    from recorder.relay.worker import run_worker

    _child("relay")
    run_worker(control_fd, ring_fd)


def capture(ring_fd: RingFds, config: ConfigPath = DEFAULT) -> None:
    """From the rings to sealed clips; public keys only."""
    from recorder.config import load
    from recorder.service.capturing import run

    _child("capture")
    asyncio.run(run(load(config), ring_fd))


def keys(config: ConfigPath = DEFAULT) -> None:
    """The day-key service and one opener per purpose."""
    from recorder.config import load
    from recorder.service.keeping import run

    _child("keys")
    asyncio.run(run(load(config)))


def _child(name: str) -> None:
    follow_supervisor()
    start_logging(name)
