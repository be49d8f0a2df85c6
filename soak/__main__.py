"""`make soak kill`, `calls`, `announce`, `private`: a report as JSON; exit status 0 when all held."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from soak import announce, beside, calls, kill, private


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    runs = parser.add_subparsers(dest="run", required=True)
    killing = runs.add_parser("kill", help="kill -9 at random instants of running calls")
    killing.add_argument("--kills", type=int, default=1000)
    killing.add_argument("--seed", type=int, default=1)
    killing.add_argument("--calls", type=int, default=10, help="at once, in each installation")
    killing.add_argument("--installations", type=int, default=4, help="that run beside each other")
    killing.add_argument(
        "--every", type=float, default=12.0, help="seconds at most, from all well to the next"
    )
    killing.add_argument("--horizon", type=float, default=2.0, help="seconds")
    killing.set_defaults(work=_kill)
    calling = runs.add_parser("calls", help="many calls at once, every one recorded whole")
    calling.add_argument("--calls", type=int, default=50, help="at once")
    calling.add_argument("--seconds", type=float, default=600.0)
    calling.add_argument("--seed", type=int, default=1)
    calling.set_defaults(work=_calls)
    telling = runs.add_parser(
        "announce", help="calls whose outside party is told first, nothing of before it"
    )
    telling.add_argument("--calls", type=int, default=1000)
    telling.add_argument("--beside", type=int, default=40, help="each other, at once")
    telling.add_argument("--seed", type=int, default=1)
    telling.set_defaults(work=_announce)
    hushing = runs.add_parser("private", help="calls become private at random instants")
    hushing.add_argument("--calls", type=int, default=1000)
    hushing.add_argument("--agents", type=int, default=8, help="that call at once")
    hushing.add_argument("--seed", type=int, default=1)
    hushing.set_defaults(work=_private)
    wanted = parser.parse_args()
    work: Callable[[Path, argparse.Namespace], dict[str, Any]] = wanted.work
    with tempfile.TemporaryDirectory(prefix="doelband-soak-") as directory:
        report = work(Path(directory), wanted)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if report["faults"] else 0


def _kill(directory: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    plan = kill.Plan(wanted.kills, wanted.seed, wanted.calls, every=wanted.every, horizon=wanted.horizon)
    return beside.run(directory, plan, wanted.installations)


def _calls(directory: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    return calls.run(directory, calls.Plan(wanted.calls, wanted.seconds, wanted.seed))


def _announce(directory: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    return announce.run(directory, announce.Plan(wanted.calls, wanted.beside, wanted.seed))


def _private(directory: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    return private.run(directory, private.Plan(wanted.calls, wanted.seed, wanted.agents))


if __name__ == "__main__":
    sys.exit(main())
