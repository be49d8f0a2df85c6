"""`make demo`: a business call recorded for its purpose, end to end, on real SIP and RTP.

--json prints everything for machines; --keep leaves service and PBX running until Ctrl-C. The exit status is
0 when everything held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.installation import DemoError, Installation
from demo.phone import free_port
from demo.story import Call, Story
from demo.telephony import pbx, phones

MEDIA_PORTS = 160
INTERRUPTED = 130
WIDE = 120


def main() -> int:
    """Run the demo and print what was seen."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    wanted = parser.parse_args()
    console = Console(stderr=wanted.json, highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="doelband-demo-") as directory:
        try:
            story = play(Installation(Path(directory)), console, wanted.keep)
        except KeyboardInterrupt:
            console.print("Interrupted.")
            return INTERRUPTED
        except DemoError as error:
            console.print(f"The demo could not go on: {error}", markup=False)
            return 1
    if wanted.json:
        sys.stdout.write(json.dumps(story.value(), ensure_ascii=False, indent=2) + "\n")
    else:
        console.print("Everything held." if story.holds else "[bold red]Not everything held.[/]")
    return 0 if story.holds else 1


def play(installation: Installation, console: Console, keep: bool) -> Story:
    """The whole story on a fresh installation."""
    sip_port, pbx_port = free_port(), free_port()
    installation.configure(sip_port, pbx_port, media_range(sip_port, pbx_port))
    keys = {name: installation.keygen(name) for name in ("council", "management")}
    installation.tell(
        "setup", "--council", f"{keys['council']}.pub", "--management", f"{keys['management']}.pub"
    )
    console.print(f"Configuration: {installation.config}. Starting service, PBX and four phones …")
    with pbx(pbx_port):
        try:
            installation.start()
            with phones(("127.0.0.1", sip_port)) as connected:
                story = Story(installation, connected)
                unfold(story, console, str(keys["council"]))
                if keep:
                    linger(story, console)
        finally:
            installation.stop()
    return story


def linger(story: Story, console: Console) -> None:
    """Leave everything running until Ctrl-C."""
    story.look_around()
    command = f"{Path(sys.executable).with_name('doelband')} status --config {story.installation.config}"
    console.print("Still running, its clock after the deadline. Look around, for example with", markup=False)
    console.print(command, soft_wrap=True)
    console.print("Ctrl-C ends it.")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def unfold(story: Story, console: Console, council_key: str) -> None:
    """The story's chapters, printed as they are done."""
    console.print("1  A call before the works council has signed …")
    story.before_approval()
    story.installation.tell("scheme", "sign", "--key", council_key)
    story.wait_until_recording()
    console.print("2  The council has signed. A customer calls the business line …")
    said = story.business()
    console.print("3  The agent calls the company doctor …")
    story.doctor()
    console.print("4  The agent calls home with the private prefix …")
    story.private()
    console.print(calls_table(story, console.width))
    console.print("Listening, and being refused …")
    story.listen(said)
    console.print("The deadline passes …")
    story.deadline()
    console.print(checks_table(story))


def calls_table(story: Story, width: int) -> Table | str:
    """The four calls: a table where there is room for one, else a line each."""
    if width < WIDE:
        return "\n".join(_in_a_line(number, it) for number, it in enumerate(story.calls, 1))
    table = Table(title="Calls", title_justify="left")
    for column in ("call", "decision", "reason", "purpose", "deadline", "seconds", "bytes", "sealed"):
        table.add_column(column)
    for it in story.calls:
        cells = (it.call, it.decision, it.reason, it.purpose, it.deadline, f"{it.seconds:.1f}", str(it.bytes))
        table.add_row(*cells, it.sealed)
    return table


def _in_a_line(number: int, call: Call) -> str:
    said = f"{number}  {call.call}: {call.decision} ({call.reason})"
    if not call.bytes:
        return f"{said}, {call.sealed}"
    kept = f"{call.purpose} until {call.deadline}, {call.seconds:.1f} s, {call.bytes} bytes, {call.sealed}"
    return f"{said}\n   {kept}"


def checks_table(story: Story) -> Table:
    """What must hold, and whether it does."""
    table = Table(title="What must hold", title_justify="left")
    for column in ("", "what", "seen"):
        table.add_column(column)
    for it in story.checks:
        table.add_row("[green]✓[/]" if it.holds else "[bold red]✗[/]", it.what, it.seen.replace("[", r"\["))
    return table


def media_range(*taken: int) -> tuple[int, int]:
    """A range of UDP ports that is free now, without those that will be `taken`."""
    while True:
        low = free_port()
        ports = range(low, low + MEDIA_PORTS)
        if ports.stop <= 65_536 and not set(taken).intersection(ports) and all(map(_is_free, ports)):
            return low, ports.stop - 1


def _is_free(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
