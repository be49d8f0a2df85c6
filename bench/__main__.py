"""`make bench ONLY=<name>`: run one benchmark and write its figures to bench/results/<name>.json."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import machine, measure, media, overload, relay, signalling
from bench.processes import BenchError

RESULTS = Path(__file__).parent / "results"

Report = tuple[Mapping[str, float], Mapping[str, object]]
"""The figures that a benchmark is run for, and everything that they were made from."""


def _relay(wanted: argparse.Namespace, tell: Callable[[str], None]) -> Report:
    loads = tuple(replace(it, seconds=wanted.seconds) for it in relay.LOADS)
    result = measure.measure(relay.PEERS, measure.Plan(loads, wanted.rounds, wanted.lock), tell)
    return relay.ratios(result), result.value()


def _media(wanted: argparse.Namespace, tell: Callable[[str], None]) -> Report:
    loads = tuple(replace(it, seconds=wanted.seconds) for it in media.LOADS)
    before = _before(wanted)
    result = measure.measure(media.PEERS, measure.Plan(loads, wanted.rounds, wanted.lock), tell)
    if before is not None:
        result = measure.Result.read(before).and_then(result)
    return media.ratios(result), result.value()


def _signalling(wanted: argparse.Namespace, tell: Callable[[str], None]) -> Report:
    plan = signalling.Plan(wanted.rounds, wanted.seconds, not wanted.behind, wanted.lock)
    before = _before(wanted)
    result = signalling.measure(plan, tell)
    if before is not None:
        result = signalling.Result.read(before).and_then(result)
    return result.figures(), result.value()


def _before(wanted: argparse.Namespace) -> Mapping[str, Any] | None:
    """The results to add to. Raises BenchError for those of another machine or another version."""
    if not wanted.add:
        return None
    found: Mapping[str, Any] = json.loads(_file(wanted.name).read_text(encoding="utf-8"))
    if found["machine"] != machine.describe():
        raise BenchError("the results that are there are of another machine or another version")
    return found


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _overload(_: argparse.Namespace, tell: Callable[[str], None]) -> Report:
    result = overload.measure(overload.Plan(), tell)
    return result.figures(), result.value()


BENCHMARKS: Mapping[str, Callable[[argparse.Namespace, Callable[[str], None]], Report]] = {
    "media": _media,
    "overload": _overload,
    "relay": _relay,
    "signalling": _signalling,
}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS), help="which benchmark")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer at each load (5)")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="measured in each run, after warm-up (10)"
    )
    parser.add_argument("--lock", type=Path, help="a file to lock during each round, on a shared machine")
    parser.add_argument(
        "--behind", action="store_true", help="signalling: do not go before other work of the machine"
    )
    parser.add_argument(
        "--add", action="store_true", help="media, signalling: add the rounds to those that were run before"
    )
    wanted = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    try:
        figures, everything = BENCHMARKS[wanted.name](wanted, lambda line: console.print(line, markup=False))
    except BenchError as error:
        console.print(f"Not measured: {error}", markup=False)
        return 1
    report = {
        "benchmark": wanted.name,
        **figures,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench {wanted.name} --rounds={wanted.rounds} --seconds={wanted.seconds:g}",
        "machine": machine.describe(),
        **everything,
    }
    file = _file(wanted.name)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    console.print(f"Written to {file}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
