"""`make interop`: plays every scenario with the proxy and without it, and writes down what was seen.

`make interop ARGS="--only TLS"` plays some of them, and leaves the other rows as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.end_to_end.interop import run
from tests.end_to_end.interop.scenarios import SCENARIOS, Scenario

DOCUMENT = Path(__file__).parents[3] / "docs" / "interop.md"
PACKAGES = ("kamailio", "baresip-core", "linphone-cli", "sip-tester")
FAILED = "**failed**"

HEAD = """\
# Which telephones and PBXs have been seen to work

Written by `make interop`, not by hand. Debian's Kamailio is the PBX: it registers, checks digests of
registrations and calls, keeps transactions and stays in every dialog. Each scenario is played with the proxy
between phones and PBX and without it, phones straight at the PBX, and must show the same both ways. "Hear"
means that the noise that the other phone says is found in what a phone was given to play.

Seen on {date}, {machine}, Python {python}, with {versions}.
{count} scenarios; {good} as they should be with the proxy, {straight} of {comparable} without it.
What was not so at once was played once more: on a busy machine a telephone may miss a limit of real time.

| scenario | with the proxy | without it |
|---|---|---|
"""

TAIL = """
What these telephones cannot do, with the proxy and without it:

- *pyVoIP 1.6.8* holds, transfers, refuses and cancels nothing. It drops every message with an empty header
  field, as baresip's INVITE has one. After a 100 it does not answer a challenge, so the PBX must not
  challenge its calls. Its ACK has a To tag of its own making and no Route: who insists on the tag (baresip)
  ends such a call after 32 s, and a PBX that is a proxy, without Doelband before it, must find the way by
  itself. As the one called it hangs up with the caller's Vias in its BYE: without Doelband it gets no
  answer.
- *baresip 1.1.0* dies when a tone or early media is cut short before its player has begun
  (tests/end_to_end/peers/baresip.py). Attended transfers are linphone's here.
- *linphone 5.3* names itself by a GRUU in dialogs, which the PBX has to look up.
- *sipp 3.7* plays to where the other's description says, but cannot tell what it hears.
"""


Rows = dict[str, list[str]]
"""By scenario: what was seen with the proxy, and without it."""


def main() -> int:
    """Write docs/interop.md; returns how many scenarios were not as they should be."""
    parser = argparse.ArgumentParser(prog="make interop", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios with this in their name; the other rows stay")
    parser.add_argument("--goes", type=int, default=2, help="play again what was not as it should be")
    wanted = parser.parse_args()
    if reason := run.missing():
        sys.stderr.write(f"{reason}\n")
        return 1
    rows = read(DOCUMENT.read_text(encoding="utf-8")) if wanted.only else {}
    left = [it for it in SCENARIOS if wanted.only in it.name]
    for _ in range(wanted.goes):
        if left:
            with tempfile.TemporaryDirectory() as folder:
                left = play(Path(folder), left, rows)
    DOCUMENT.write_text(written(rows), encoding="utf-8")
    return len(left)


def play(folder: Path, scenarios: list[Scenario], rows: Rows) -> list[Scenario]:
    """Fill in the rows of these scenarios; returns those that were not as they should be."""
    straight = [it for it in scenarios if not it.only_through]
    through = run.all_through(folder / "through", scenarios)
    without = asyncio.run(run.without_proxy(folder / "without", straight))
    for it in scenarios:
        apart = "not played" if it.only_through else without.seen.get(it.name, FAILED)
        rows[it.name] = [through.seen.get(it.name, FAILED), apart]
    bad = [it for it in scenarios if through.is_wrong(it) or (it in straight and without.is_wrong(it))]
    for it in bad:
        recordings = through.recorded.get(it.name, 0)
        faults = [played.faults.get(it.name, "") for played in (through, without)]
        sys.stderr.write("\n".join([it.name, *rows[it.name], f"{recordings} recordings", *faults, ""]))
    sys.stderr.write(f"{len(scenarios) - len(bad)} of {len(scenarios)}\n")
    return bad


def read(text: str) -> Rows:
    """The rows of the document."""
    split = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in split}


def written(rows: Rows) -> str:
    """The document."""
    shown = {it.name: rows.get(it.name, [FAILED, FAILED]) for it in SCENARIOS}
    head = HEAD.format(
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=", ".join(version(package) for package in PACKAGES),
        count=len(SCENARIOS),
        good=sum(shown[it.name][0] == it.expected for it in SCENARIOS),
        straight=sum(shown[it.name][1] == it.expected for it in SCENARIOS),
        comparable=sum(not it.only_through for it in SCENARIOS),
    )
    return head + "".join(f"| {name} | {' | '.join(seen)} |\n" for name, seen in shown.items()) + TAIL


def version(package: str) -> str:
    """A Debian package and its version."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or package


if __name__ == "__main__":
    sys.exit(main())
