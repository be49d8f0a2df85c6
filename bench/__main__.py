"""`make bench ONLY=<name>`: run one benchmark and write its figures to bench/results/<name>.json."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import machine, relay
from bench.load import Load
from bench.measure import Plan, Result, measure
from bench.peers import Peer
from bench.processes import BenchError

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, tuple[dict[str, Peer], tuple[Load, ...], Callable[[Result], dict[str, float]]]] = {
    "relay": (relay.PEERS, relay.LOADS, relay.ratios),
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
    wanted = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    peers, loads, ratios = BENCHMARKS[wanted.name]
    plan = Plan(tuple(replace(it, seconds=wanted.seconds) for it in loads), wanted.rounds, wanted.lock)
    try:
        result = measure(peers, plan, lambda line: console.print(line, markup=False))
    except BenchError as error:
        console.print(f"Not measured: {error}", markup=False)
        return 1
    found = ratios(result)
    file = RESULTS / f"{wanted.name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(_report(wanted.name, plan, found, result), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    console.print(f"Written to {file}", markup=False)
    return 0


def _report(name: str, plan: Plan, found: dict[str, float], result: Result) -> dict[str, object]:
    return {
        "benchmark": name,
        **found,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench {name} --rounds={plan.rounds} --seconds={plan.loads[0].seconds:g}",
        "machine": machine.describe(),
        **result.value(),
    }


if __name__ == "__main__":
    sys.exit(main())
