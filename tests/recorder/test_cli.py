"""The command line as its users meet it, on an installation that is set up and not running."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.recorder.schemes import CONFIGURATION


@dataclass(frozen=True, slots=True)
class Left:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """Commands on one configuration file."""

    directory: Path

    def __call__(self, *arguments: str, answers: str = "") -> Left:
        config = str(self.directory / "config.toml")
        command = [sys.executable, "-m", "recorder", *arguments]
        if arguments[0] != "keygen":
            command += ["--config", config]
        run = subprocess.run(command, capture_output=True, text=True, input=answers, check=False)
        return Left(run.returncode, run.stdout, run.stderr)

    def key(self, name: str) -> str:
        return str(self.directory / f"{name}.key")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(tmp_path_factory.mktemp("installation"))
    (made.directory / "config.toml").write_text(CONFIGURATION, encoding="utf-8")
    for name in ("council", "management"):
        assert made("keygen", made.key(name)).status == 0
    left = made(
        "setup", "--council", made.key("council") + ".pub", "--management", made.key("management") + ".pub"
    )
    assert left.status == 0, left.err
    return made


def test_before_the_set_up_every_command_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIGURATION, encoding="utf-8")
    shell = Shell(tmp_path)
    for command in (("serve",), ("status",), ("clips", "list")):
        left = shell(*command)
        assert left.status == 3
        assert "doelband setup" in left.err and "Traceback" not in left.err


def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    text = CONFIGURATION.replace('legal_basis = "GDPR art. 6(1)(f)"\n', "")
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    left = Shell(tmp_path)("config", "check")
    assert left.status == 5
    assert "legal_basis" in left.err and "config.toml:" in left.err


def test_setup_again_replaces_nothing(shell: Shell) -> None:
    arguments = ("--council", shell.key("council") + ".pub", "--management", shell.key("management") + ".pub")
    before = sorted(path.name for path in (shell.directory / "keys").rglob("*"))
    assert shell("setup", *arguments).status == 0
    assert sorted(path.name for path in (shell.directory / "keys").rglob("*")) == before


def test_another_council_cannot_be_enrolled_later(shell: Shell) -> None:
    assert shell("keygen", shell.key("other")).status == 0
    other, management = shell.key("other") + ".pub", shell.key("management") + ".pub"
    left = shell("setup", "--council", other, "--management", management)
    assert left.status == 4
    assert "Traceback" not in left.err


def test_only_the_enrolled_council_can_sign_the_scheme(shell: Shell) -> None:
    assert shell("scheme", "sign", "--key", shell.key("management")).status == 4
    assert shell("scheme", "status").status == 6
    assert shell("scheme", "sign", "--key", shell.key("council"), "--json").value["recording_allowed"] is True
    assert shell("scheme", "status").status == 0
    assert (
        shell("scheme", "withdraw", "--key", shell.key("council"), "--json").value["recording_allowed"]
        is False
    )
    assert shell("scheme", "status", "--json").value["reason"] == "withdrawn"


def test_the_administrator_cannot_grant(shell: Shell) -> None:
    wanted = ("grant", "add", "anna", "--purpose", "coaching", "--until", "2099-01-01")
    assert shell(*wanted, "--key", shell.key("council")).status == 4
    grant = shell(*wanted, "--key", shell.key("management"), "--json").value
    assert (grant["person"], grant["purpose"]) == ("anna", "coaching")
    revoked = shell("grant", "revoke", grant["grant"], "--json").value
    assert revoked["revoked_at"]


def test_a_grant_names_a_purpose_and_a_line_that_exist(shell: Shell) -> None:
    wanted = ("grant", "add", "anna", "--until", "2099-01-01", "--key", shell.key("management"))
    for extra in (("--purpose", "marketing"), ("--purpose", "coaching", "--line", "orders")):
        left = shell(*wanted, *extra)
        assert left.status == 3
        assert "the scheme has" in left.err


def test_a_clip_that_is_not_there_is_not_found(shell: Shell) -> None:
    assert shell("clips", "show", "0" * 32).status == 3
    assert shell("purge", "certificate", "0" * 32).status == 3


def test_export_asks_for_purpose_and_reason(shell: Shell) -> None:
    target = str(shell.directory / "out.wav")
    left = shell("clips", "export", "0" * 32, target, answers="coaching\nto coach\n")
    assert "For which purpose" in left.out and "Why" in left.out
    assert left.status == 75, "the service is not running, so nobody can open a clip"
    assert "Traceback" not in left.err


def test_status_says_that_the_service_does_not_run(shell: Shell) -> None:
    left = shell("status", "--json")
    assert left.status == 75
    assert left.value["ready"] is False
    assert shell("status", "--health").out == "not ready\n"


@pytest.mark.parametrize(
    "command",
    [
        ("calls",),
        ("clips", "list"),
        ("grant", "list"),
        ("purge", "status"),
        ("scheme", "show"),
        ("config", "check"),
    ],
)
def test_every_listing_prints_json_for_machines_and_text_for_people(
    shell: Shell, command: tuple[str, ...]
) -> None:
    assert isinstance(shell(*command, "--json").value, (dict, list))
    assert shell(*command).out.strip()


def test_help_names_every_command_and_hides_the_inner_ones(shell: Shell) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "recorder", "--help"], capture_output=True, text=True, check=True
    )
    for name in (
        "setup",
        "keygen",
        "config",
        "scheme",
        "serve",
        "status",
        "calls",
        "clips",
        "grant",
        "purge",
    ):
        assert f" {name} " in run.stdout
    assert " relay " not in run.stdout
