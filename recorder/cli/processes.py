"""`doelband serve`, and the single processes: started by it, by a systemd unit each, or by hand.

Each loads only what it needs: a relay has no business with keys, catalogue or configuration.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import DEFAULT, ConfigPath
from recorder.service.beginning import begin
from recorder.service.journal import Format

LogFormat = Annotated[
    Format | None,
    typer.Option(
        "--log-format",
        envvar="DOELBAND_LOG_FORMAT",
        help="How lines on stderr are written; auto: text on a terminal, JSON elsewhere.",
    ),
]
HUNG_SECONDS = 20.0
HungAfter = Annotated[
    float,
    typer.Option(
        "--hung-after",
        envvar="DOELBAND_HUNG_AFTER",
        min=1.0,
        help="Seconds without a heartbeat after which a process is killed and started again.",
    ),
]


def serve(
    config: ConfigPath = DEFAULT, log_format: LogFormat = None, hung_after: HungAfter = HUNG_SECONDS
) -> None:
    """Run the recorder in the foreground: every process, supervised, until SIGTERM or Ctrl-C.

    It stands between phones and PBX: phones register and call through its listeners, and what they send
    goes on to the PBX. Calls that the scheme certainly excludes pass with their media untouched; every
    other call's media passes through the relay. Nothing is recorded until the works council has signed
    the scheme.

    Before the first start: `doelband setup`. While it runs: `doelband status`, `doelband calls`.
    """
    from recorder.config import load
    from recorder.service import supervisor

    notifier = begin("supervisor", log_format)
    loaded, path = load(config), config.absolute()
    supervisor.prepare(loaded, path)
    asyncio.run(supervisor.serve(loaded, path, notifier, hung_after))


def media(config: ConfigPath = DEFAULT) -> None:
    """Media ports, the rings, and what every relay must know; needs no file but the configuration.

    Under `serve` the supervisor does this. Run it alone, with `relay`, `capture`, `signalling`, `keys` and
    `purge work` beside it, in any order: each waits for what it needs of the others.
    """
    from recorder.config import load
    from recorder.service import beginning
    from recorder.service.media import run

    notifier = begin("media")
    loaded = load(config)
    beginning.claim_name(loaded, "media")
    beginning.check_descriptors(loaded)
    asyncio.run(run(loaded, notifier))


def signalling(config: ConfigPath = DEFAULT) -> None:
    """SIP in and out, the decision, and the book of calls."""
    from recorder.config import load
    from recorder.service import beginning
    from recorder.service.signalling import run

    notifier = begin("signalling")
    loaded = load(config)
    beginning.check_founded(loaded, config)
    beginning.claim_name(loaded, "signalling")
    asyncio.run(run(loaded, config.absolute(), notifier))


def relay(
    socket: Annotated[Path, typer.Option(help="Where the media process hands out rings and orders.")] = Path(
        "/run/doelband/relays.sock"
    ),
) -> None:
    """Media in and out; no keys, no disk, no configuration. It ends with the media process."""
    from recorder.service.relaying import run

    run(socket, begin("relay"))


def capture(config: ConfigPath = DEFAULT) -> None:
    """From the rings to sealed clips; public keys only."""
    from recorder.config import load
    from recorder.service import beginning
    from recorder.service.capturing import run
    from recorder.service.children import is_supervised

    notifier = begin("capture")
    loaded = load(config)
    beginning.check_founded(loaded, config)
    if not is_supervised():
        beginning.claim_storage(loaded)
    beginning.claim_name(loaded, "capture")
    asyncio.run(run(loaded, notifier))


def keys(config: ConfigPath = DEFAULT) -> None:
    """The day-key service and one opener per purpose."""
    from recorder.config import load
    from recorder.service import beginning
    from recorder.service.keeping import run

    notifier = begin("keys")
    loaded = load(config)
    beginning.check_founded(loaded, config)
    beginning.claim_name(loaded, "keys")
    asyncio.run(run(loaded, config.absolute(), notifier))


def watch(config: ConfigPath = DEFAULT) -> None:
    """Metrics, liveness and readiness over HTTP, at the address of [watch]."""
    from recorder.config import ConfigError, Problem, load
    from recorder.service import beginning
    from recorder.service.watching import run

    notifier = begin("watch")
    loaded = load(config)
    if loaded.watch is None:
        missing = "this section is missing; write it, or do without this process"
        raise ConfigError([Problem(str(config), None, "watch", missing)])
    beginning.claim_name(loaded, "watch")
    asyncio.run(run(loaded, (loaded.watch.address, loaded.watch.port), notifier))


def crm(config: ConfigPath = DEFAULT) -> None:
    """Running calls for a CRM system over HTTP, at the address of [crm]."""
    from recorder.config import ConfigError, Problem, load
    from recorder.service import beginning
    from recorder.service.crm import run

    notifier = begin("crm")
    loaded = load(config)
    if loaded.crm is None:
        missing = "this section is missing; write it, or do without this process"
        raise ConfigError([Problem(str(config), None, "crm", missing)])
    beginning.check_founded(loaded, config)
    beginning.claim_name(loaded, "crm")
    asyncio.run(run(loaded, notifier))
