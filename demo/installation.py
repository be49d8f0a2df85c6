"""The demo's recorder: a configuration file as a user would write it, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Address = tuple[str, int]
T = TypeVar("T")

PREFIX = "*31"
AGENT, DOCTOR = "201", "250"
BUSINESS_NUMBER = "+31201234567"
CUSTOMER, HOME = "+31612345678", "+31687654321"
RETENTION_DAYS = 30
START_SECONDS = 90
"""A first start on a busy machine compiles everything; an idle one needs two."""

CONFIGURATION = """\
# Everything on one machine and on loopback, for `make demo`. See config.example.toml for what each key means.
tenant = "demo"

[[listeners]]
address = "127.0.0.1"
port = {sip_port}
side = "both"

[pbx]
address = "127.0.0.1"
port = {pbx_port}

[media]
address = "127.0.0.1"
ports = "{media_low}-{media_high}"

[numbering]
internal = ["200-299"]

[private]
prefix = "{prefix}"

[feature_codes]

[purposes.coaching]
kind = "quality"
description = "Coaching and training of the agent who took the call."
legal_basis = "GDPR art. 6(1)(f): legitimate interest in the quality of customer service."
retention = "{retention} days"
frequency = "Every call on the line is recorded; a coach listens to at most four calls a month per agent."
frequency_justification = "Four calls a month are the fewest from which a pattern shows."
announcement_exemption = "Callers are told by the PBX's welcome message."
listeners = ["coach"]

[purposes.assessment]
kind = "quality"
description = "Individual assessment, against criteria published beforehand."
legal_basis = "GDPR art. 6(1)(f): legitimate interest in fair assessment on observed work."
retention = "{retention} days"
frequency = "At most three calls a quarter per agent are listened to."
frequency_justification = "Three calls a quarter are the least on which an assessment may partly rest."
announcement_exemption = "Callers are told by the PBX's welcome message."
listeners = ["assessor"]

[[lines]]
name = "service"
description = "Customer service"
numbers = ["{business_number}", "201-219"]
purposes = ["coaching"]

[[agents]]
id = "a-1041"
extensions = ["{agent}"]
lines = ["service"]

[[exclusions]]
name = "Company doctor"
reason = "Professional secrecy (KSF 2.1)"
numbers = ["{doctor}"]

[storage]
directory = "storage"

[keys]
directory = "keys"
epoch_key_directory = "epoch-keys"

[runtime]
directory = "run"

[clock]
offset_file = "clock-offset"
"""


class DemoError(Exception):
    """The demo could not go on: what was tried, and what came instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left: its exit status, its JSON where it printed any, its words of complaint."""

    status: int
    value: Any
    complaint: str


class Installation:
    """One installation in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "config.toml"
        self.log = directory / "serve.log"
        self._service: subprocess.Popen[bytes] | None = None

    def configure(self, sip_port: int, pbx_port: int, media_ports: tuple[int, int]) -> None:
        """Write the configuration file."""
        text = CONFIGURATION.format(
            sip_port=sip_port,
            pbx_port=pbx_port,
            media_low=media_ports[0],
            media_high=media_ports[1],
            prefix=PREFIX,
            retention=RETENTION_DAYS,
            business_number=BUSINESS_NUMBER,
            agent=AGENT,
            doctor=DOCTOR,
        )
        self.config.write_text(text, encoding="utf-8")

    def ask(self, *arguments: str) -> Answer:
        """Run `doelband …` and return what it left, whatever its exit status."""
        command = [str(Path(sys.executable).with_name("doelband")), *arguments]
        run = subprocess.run(
            [*command, "--config", str(self.config), "--json"], capture_output=True, text=True, check=False
        )
        value = json.loads(run.stdout) if run.stdout.strip() else None
        return Answer(run.returncode, value, run.stderr.strip())

    def tell(self, *arguments: str) -> Any:
        """Run a command that must succeed and return its JSON."""
        answer = self.ask(*arguments)
        if answer.status != 0:
            raise DemoError(f"doelband {' '.join(arguments)}: exit {answer.status}\n{answer.complaint}")
        return answer.value

    def keygen(self, name: str) -> Path:
        """Make a key pair with the command line; return the private key's file."""
        path = self.directory / f"{name}.key"
        command = [str(Path(sys.executable).with_name("doelband")), "keygen", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return path

    def start(self) -> None:
        """Start `doelband serve` and wait until everything runs."""
        command = [str(Path(sys.executable).with_name("doelband")), "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._service = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            until(lambda: self.ask("status").value, lambda it: bool(it) and it["ready"], START_SECONDS)
        except DemoError:
            said = self.log.read_text(encoding="utf-8")[-4000:]
            raise DemoError(
                f"the service did not get ready within {START_SECONDS} s; a busy machine may need longer, "
                f"so try again; its log:\n{said}"
            ) from None

    def stop(self) -> None:
        """End the service as an administrator would, with SIGTERM."""
        if self._service is not None:
            self._service.terminate()
            self._service.wait(30)
            self._service = None

    def days_pass(self, days: int) -> None:
        """Move every clock witness of this installation as if so many days had gone by."""
        (self.directory / "clock-offset").write_text(str(days * 86_400), encoding="ascii")


def until(look: Callable[[], T], is_it: Callable[[T], bool], seconds: float) -> T:
    """Look again and again until it is so, and return what was seen. Raises DemoError after `seconds`."""
    end = time.monotonic() + seconds
    while not is_it(seen := look()):
        if time.monotonic() > end:
            raise DemoError(f"not so within {seconds:.0f} s; last seen: {seen!r}")
        time.sleep(0.1)
    return seen
