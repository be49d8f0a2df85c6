"""The command line as its users meet it, on an installation that is set up and not running."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from recorder.cli import _exit_of, _message
from recorder.cli.fsck import WORDS
from recorder.cli.options import person_name, whole_id
from recorder.cli.output import Exit, printable
from storage.errors import NotFound, StorageError, Unavailable
from storage.inspection import Kind
from tests.commands import Left, doelband
from tests.recorder.schemes import CONFIGURATION


@dataclass(frozen=True, slots=True)
class Shell:
    """Commands on one configuration file."""

    directory: Path

    def __call__(self, *arguments: str, answers: str = "") -> Left:
        config = str(self.directory / "config.toml")
        where = () if arguments[0] == "keygen" else ("--config", config)
        wide = {"TERMINAL_WIDTH": "300"}  # typer folds its usage errors at 80 columns else
        return doelband(*arguments, *where, answers=answers, environment=wide)

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


def test_health_is_not_ready_before_the_set_up(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIGURATION, encoding="utf-8")
    left = Shell(tmp_path)("status", "--health")
    assert (left.status, left.out, left.err) == (75, "not ready\n", "")


def test_with_nothing_to_watch_the_mistake_is_the_configuration_s(tmp_path: Path) -> None:
    """Which a service manager must not try again."""
    (tmp_path / "config.toml").write_text(CONFIGURATION, encoding="utf-8")
    left = Shell(tmp_path)("watch")
    assert left.status == 5
    assert "watch: this section is missing" in left.err


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("anna", "anna"),
        (" anna ", "anna"),
        ("x" * 64, "x" * 64),
        ("", None),
        ("x" * 65, None),
        ("a\x1bb", None),
    ],
)
def test_a_person_has_a_printable_name(given: str, name: str | None) -> None:
    if name is not None:
        assert person_name(given) == name
        return
    with pytest.raises(typer.BadParameter):
        person_name(given)


def test_the_beginning_of_an_identifier_is_enough_where_only_one_has_it() -> None:
    known = ["abcdef01" + "0" * 24, "abcdef02" + "0" * 24, "12345678a" + "0" * 23, "12345678b" + "0" * 23]
    assert whole_id("clip", "ABCDEF01", known) == known[0]
    for given in ("abcdef0", "12345678"):
        with pytest.raises(typer.BadParameter):
            whole_id("clip", given, known)
    with pytest.raises(NotFound):
        whole_id("clip", "99999999", known)


def _caused(cause: OSError) -> Unavailable:
    error = Unavailable("create x.key", "look at the disk")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (_caused(OSError(errno.ENOENT, "no", "x.key")), Exit.FAILED, "make it first"),
        (_caused(OSError(errno.EACCES, "no", "x.key")), Exit.FAILED, "run as the service's own user or root"),
        (_caused(OSError(errno.ENOSPC, "full", "x.key")), Exit.TEMPORARY, "create x.key: look at the disk"),
        (_caused(OSError(errno.ENOENT, "no")), Exit.TEMPORARY, "create x.key: look at the disk"),
        (
            OSError(errno.ENOTDIR, "no", "a/b"),
            Exit.FAILED,
            "use a/b: a file stands where a directory must be",
        ),
        (StorageError("do this", "do that"), Exit.FAILED, "do this: do that"),
    ],
)
def test_what_waiting_never_mends_is_not_called_temporary(error: Exception, status: Exit, words: str) -> None:
    assert _exit_of(error) is status
    assert words in _message(error) and "Errno" not in _message(error)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc") == "a[2Jbc"


def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    text = CONFIGURATION.replace('legal_basis = "GDPR art. 6(1)(f)"\n', "")
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    left = Shell(tmp_path)("config", "check")
    assert left.status == 5
    assert "legal_basis" in left.err and "config.toml:" in left.err
    left = Shell(tmp_path)("config", "check", "--json")
    assert left.status == 5 and "legal_basis" in left.value["errors"][0]["key"]


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
    left = shell("scheme", "sign", "--key", shell.key("council") + ".pub")
    assert left.status == 2 and "public half" in left.err
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
    assert revoked["revoked_at"] and revoked["actions"] == ["download", "export", "list", "play"]
    again = shell("grant", "revoke", grant["grant"][:8])
    assert again.status == 0 and "Revoked already" in again.out


def test_a_grant_names_a_purpose_and_a_line_that_exist(shell: Shell) -> None:
    wanted = ("grant", "add", "anna", "--until", "2099-01-01", "--key", shell.key("management"))
    for extra in (("--purpose", "marketing"), ("--purpose", "coaching", "--line", "orders")):
        left = shell(*wanted, *extra)
        assert left.status == 3
        assert "the scheme has" in left.err
    left = shell(*wanted, "--purpose", "coaching", "--until", "2001-01-01")
    assert left.status == 2 and "is past" in left.err
    left = shell("clips", "list", "--purpose", "marketing")
    assert left.status == 3 and "the scheme has coaching" in left.err


def test_a_clip_that_is_not_there_is_not_found(shell: Shell) -> None:
    assert shell("clips", "show", "0" * 32).status == 3
    left = shell("purge", "certificate", "0" * 32)
    assert left.status == 3 and "no such clip" in left.err


def test_what_is_missing_is_named_with_where_to_look(shell: Shell) -> None:
    left = shell("clips", "show", "deadbeef")
    assert left.status == 3 and "`doelband clips list` shows" in left.err
    left = shell("reconcile", "--cdr", str(shell.directory / "none.csv"))
    assert left.status == 3 and "name the PBX's call records" in left.err


@pytest.mark.parametrize(
    ("number", "says"),
    [("112", "an emergency number"), ("xyz", "not a number"), ("0687654321", "somebody outside")],
)
def test_explain_says_what_a_number_is_that_is_not_listed(shell: Shell, number: str, says: str) -> None:
    left = shell("explain", number)
    assert left.status == 0 and says in left.out.splitlines()[0]


@pytest.mark.parametrize(
    ("extra", "status", "says"),
    [
        (("--timezone", "Mars"), 2, "no time zone 'Mars'"),
        ((), 3, "holds no calls"),
        (("--from", "2026-11-25", "--until", "2026-11-24"), 2, "nothing is between"),
        (("--from", "2026-11-24", "--until", "2026-11-25"), 0, ""),
    ],
)
def test_reconcile_compares_with_something(
    shell: Shell, extra: tuple[str, ...], status: int, says: str
) -> None:
    empty = shell.directory / "empty.csv"
    empty.write_text("start,caller,callee,duration\n", encoding="ascii")
    left = shell("reconcile", "--cdr", str(empty), *extra)
    assert left.status == status and says in left.err and "Traceback" not in left.err


def test_an_argument_that_is_not_utf_8_is_refused(shell: Shell) -> None:
    left = shell("clips", "list", "--purpose", "\udcff")
    assert left.status == 2 and "not UTF-8" in left.err


def test_explain_needs_something_to_explain(shell: Shell) -> None:
    assert shell("explain", " ").status == 2


def test_export_writes_sound_files_only(shell: Shell) -> None:
    left = shell("clips", "export", "0" * 32, str(shell.directory / "out.mp3"))
    assert left.status == 2 and "ends in .wav or .flac" in left.err


def test_export_asks_for_purpose_and_reason(shell: Shell) -> None:
    target = str(shell.directory / "out.wav")
    left = shell("clips", "export", "0" * 32, target, answers="coaching\nto coach\n")
    assert "For which purpose" in left.err and "Why" in left.err and left.out == ""
    assert left.status == 75, "the service is not running, so nobody can open a clip"
    assert "Traceback" not in left.err
    left = shell("clips", "export", "0" * 32, target, "--json", answers="coaching\nto coach\n")
    assert (left.status, left.out) == (2, ""), "a machine is asked nothing"
    assert shell("clips", "export", "0" * 32, target, "--purpose", "coaching", "--reason", " ").status == 2


def test_council_and_management_have_keys_of_their_own(shell: Shell) -> None:
    public = shell.key("management") + ".pub"
    left = shell("setup", "--council", public, "--management", public)
    assert left.status == 2 and "keys of their own" in left.err
    assert shell("setup", "--management", public).status == 2
    left = shell("setup", "--council", shell.key("council"), "--management", public)
    assert left.status == 2 and "no public key" in left.err


def test_a_declaration_is_signed_by_management_and_stands(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIGURATION, encoding="utf-8")
    other = Shell(tmp_path)
    management = ("--management", shell.key("management") + ".pub")
    declared = ("setup", *management, "--no-council", "nine people", "--management-key")
    left = other(*declared, shell.key("council"))
    assert left.status == 2 and "is not the private half of" in left.err
    assert other(*declared, shell.key("management")).status == 0
    left = other("setup", *management, "--council", shell.key("council") + ".pub")
    assert left.status == 4 and "replaces nothing" in left.err
    assert "management, in the works council's place" in other("scheme", "status").out


def test_status_says_that_the_service_does_not_run(shell: Shell) -> None:
    left = shell("status", "--json")
    assert left.status == 75
    assert left.value["ready"] is False
    assert shell("status", "--health").out == "not ready\n"
    assert "the service is not running (" in shell("status").out


def test_a_clock_that_is_believed_needs_no_confirmation(shell: Shell) -> None:
    assert shell("purge", "run").status == 75  # the keys of days that are over are the key service's
    assert "Nothing is due. The clock is believed" in shell("purge", "run", "--dry-run").out
    left = shell("purge", "confirm-clock", "--person", "anna")
    assert left.status == 0 and "nothing to confirm" in left.out


def test_fsck_names_what_is_wrong_and_what_to_do(shell: Shell) -> None:
    assert shell("fsck").out == "Clean: 0 clips, 0 of them being recorded.\n"
    stray = shell.directory / "storage" / "clips" / f"{'ab' * 16}.clip"
    stray.write_bytes(b"whose is this?")
    left = shell("fsck", "--json")
    (finding,) = left.value["findings"]
    assert left.status == 6
    assert (finding["kind"], finding["subject"], finding["detail"]) == ("stray-file", stray.stem, stray.name)
    assert finding["remedy"] in shell("fsck").out
    assert stray.exists()
    stray.unlink()


def test_every_finding_has_words() -> None:
    assert set(WORDS) == set(Kind)


def test_fsck_needs_no_private_key(shell: Shell, tmp_path: Path) -> None:
    storage = shell.directory / "storage"
    (storage / "recorder.key").rename(storage / "away")
    assert shell("fsck").status == 0
    (storage / "away").rename(storage / "recorder.key")
    public = (storage / "recorder.key.pub").rename(tmp_path / "own-copy.pub")
    left = shell("fsck")
    assert left.status == 3 and "--recorder-key" in left.err
    assert shell("fsck", "--recorder-key", str(public)).status == 0
    public.rename(storage / "recorder.key.pub")


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
