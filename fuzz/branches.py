"""`make coverage`: of how many branches of the parser the tests of the parser go both ways.

Branches alone are counted: a line that is reached says little of a parser. It ends with 1 below `LEAST`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LEAST = 0.95
PARSER = (
    *("address", "body", "edits", "framing", "headers", "identity", "known", "message", "reading", "sdp"),
    *("sdp_lines", "uri", "validity"),
)
TESTS = (
    *(
        "ambiguity",
        "body",
        "edits",
        "framing",
        "headers",
        "identity",
        "ipv6",
        "leniency",
        "limits",
        "message",
    ),
    *("news", "reading", "sdp", "torture", "uri"),
)


@dataclass(frozen=True, slots=True)
class Branches:
    """Of one module. `missing`: from which line to which nobody went; to a line below 0 is out of it."""

    module: str
    taken: int
    all: int
    missing: tuple[tuple[int, int], ...]


def measure(tests: Iterable[Path | str], modules: Iterable[Path], folder: Path) -> list[Branches]:
    """Run tests and look. RuntimeError: they did not pass, with what they said."""
    data, report = folder / "coverage", folder / "coverage.json"
    run = (sys.executable, "-m", "coverage")
    include = ",".join(map(str, modules))
    pytest = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, tests))
    for command in (
        (*run, "run", "--rcfile=", "--branch", f"--include={include}", f"--data-file={data}", *pytest),
        (*run, "json", "--rcfile=", "-q", f"--data-file={data}", "-o", str(report)),
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    return branches(json.loads(report.read_text(encoding="utf-8")))


def branches(report: dict[str, Any]) -> list[Branches]:
    """What a report of coverage.py says of branches."""
    return [
        Branches(
            Path(name).stem,
            it["summary"]["covered_branches"],
            it["summary"]["num_branches"],
            tuple((start, end) for start, end in it["missing_branches"]),
        )
        for name, it in sorted(report["files"].items())
    ]


def share(found: Iterable[Branches]) -> float:
    """Of all branches those that were taken; 0 when there are none, since then nothing was measured."""
    taken, total = map(sum, zip((0, 0), *((it.taken, it.all) for it in found), strict=True))
    return taken / total if total else 0.0


def main() -> int:
    """Print a report as JSON."""
    tests = [ROOT / "tests" / "sip_hooks" / f"test_{name}.py" for name in TESTS]
    modules = [ROOT / "sip_hooks" / f"{name}.py" for name in PARSER]
    with tempfile.TemporaryDirectory(prefix="doelband-coverage-") as folder:
        found = measure(tests, modules, Path(folder))
    unseen = sorted(set(PARSER) - {it.module for it in found})
    summary = {
        "branches": sum(it.all for it in found),
        "taken": sum(it.taken for it in found),
        "share": round(share(found), 4),
        "least": LEAST,
        "missing": {it.module: it.missing for it in found if it.missing},
        "never loaded": unseen,
    }
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 1 if unseen or share(found) < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
