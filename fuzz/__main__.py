"""`make fuzz`: a report as JSON; the exit status is 0 when everything held."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from fuzz import readings
from fuzz.run import Report, run

TOLD_EVERY = 50_000  # messages


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episode", type=int, default=0, help="the first; to find again what one found")
    parser.add_argument(
        "--readings", action="store_true", help="compare our reading with that of Kamailio and libre instead"
    )
    wanted = parser.parse_args()
    if wanted.readings:
        return _compare(wanted.messages, wanted.seed)
    report = run(wanted.messages, wanted.seed, wanted.episode, tell=_Teller())
    sys.stdout.write(json.dumps(report.summary(), indent=2) + "\n")
    return 1 if report.faults else 0


def _compare(messages: int, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="doelband-fuzz-") as folder:
        report = readings.run(messages, seed, Path(folder))
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if report["faults"] else 0


class _Teller:
    """Says how far it is, and at once what was found."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, report: Report) -> None:
        new, self._told = report.faults[self._told :], len(report.faults)
        for fault in new:
            sys.stderr.write(json.dumps(fault) + "\n")
        if report.done % TOLD_EVERY == 0:
            sys.stderr.write(
                f"{report.done} messages in {report.seconds:.0f} s, slowest {report.slowest_ms:.1f} ms, "
                f"{report.memory[-1]} KiB, {len(report.faults)} faults\n"
            )
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
