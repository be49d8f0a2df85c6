"""`make simulate N=10000 SEED=1`: figures as JSON; the exit status is 0 when nothing leaked or is missing.

`make simulate SEED=1 ONLY=694` tells one history of a run, message by message.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator

from simulate.history import happen, seeded
from simulate.run import report_of, run


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="tell this one history")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="none begins later")
    wanted = parser.parse_args()
    if wanted.only is not None:
        return _tell(wanted.seed, wanted.only)
    began = time.perf_counter()
    found = run(wanted.seed, wanted.histories, wanted.processes, 60 * wanted.minutes)
    report = report_of(found, wanted.seed, time.perf_counter() - began)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if found.faults else 0


def _tell(seed: int, index: int) -> int:
    outcome = happen(seeded(seed, index), is_told=True)
    sys.stdout.writelines(f"{line}\n" for line in _told(outcome.told))
    sys.stdout.write(
        f"{' → '.join(outcome.steps)}\nleaked {outcome.leaked}\nmissing {outcome.missing}\n{outcome.wrong}\n"
    )
    return 0 if outcome.holds else 1


def _told(lines: list[str]) -> Iterator[str]:
    yield from (line if len(line) < 500 else line[:500] + " …" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
