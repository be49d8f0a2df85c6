"""Exclusions are edited in the file's own text: everything else stays byte for byte."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
import typer

from recorder.cli.exclude import sorted_out
from recorder.config import Config, ConfigError, load, parse
from recorder.config.exclusions import EditError, Entry, add, remove
from recorder.service.amending import amend
from tests.recorder.schemes import CONFIGURATION

BEFORE, AFTER = CONFIGURATION.split("[[exclusions]]")[0], "\n[storage]" + CONFIGURATION.split("[storage]")[1]
SECTION = """\
# --- never recorded: ask the works council first ---

[[exclusions]]
name = "Company doctor"   # Ms Jansen
reason = "Professional secrecy"
numbers = [
    "250",       # her desk
    "0612345678",  # and mobile
]

# the council
[[exclusions]]
reason = "WOR 20"
name = 'Works council'
aliases = ["or@example.nl"]   # only this one

# --- files ---
"""
TEXT = BEFORE + SECTION + AFTER
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_a_new_entry_stands_behind_the_last_one_and_before_what_follows() -> None:
    entry = Entry("Counsellor", 'Bound to "secrecy"', ("251", "+31612340000"), ("c.smit",))
    section = """\

[[exclusions]]
name = "Counsellor"
reason = "Bound to \\"secrecy\\""
numbers = ["251", "+31612340000"]
aliases = ["c.smit"]
"""
    assert add(TEXT, entry) == TEXT.replace("   # only this one\n", f"   # only this one\n{section}")


def test_a_number_joins_its_entry_and_every_comment_stays() -> None:
    changed = add(TEXT, Entry("Company doctor", "Professional secrecy", ("252", "250")))
    assert changed == TEXT.replace("# and mobile\n", '# and mobile\n    "252",\n')


def test_an_entry_gets_the_list_that_it_lacks() -> None:
    changed = add(TEXT, Entry("Works council", "WOR 20", ("260-264",)))
    assert _exclusions(changed)[1]["numbers"] == ["260-264"]
    assert changed.startswith(TEXT[: TEXT.index("# the council")]) and changed.endswith(AFTER)


def test_what_is_there_already_changes_nothing() -> None:
    assert add(TEXT, Entry("Company doctor", "Professional secrecy", ("250",))) == TEXT


def test_the_first_exclusion_of_a_file_stands_at_its_end() -> None:
    text = (BEFORE + AFTER).rstrip("\n")
    changed = add(text, Entry("Doctor", "secret", ("250",)))
    assert changed.startswith(text + "\n\n[[exclusions]]\n")


def test_a_number_leaves_its_entry_and_the_entry_goes_with_its_last() -> None:
    changed = remove(TEXT, lambda name, pattern: pattern == "250")
    assert _exclusions(changed)[0]["numbers"] == ["0612345678"] and "# and mobile" in changed
    assert changed.startswith(TEXT[: TEXT.index('    "250"')])
    gone = remove(TEXT, lambda name, pattern: name == "Works council")
    assert gone.startswith(TEXT[: TEXT.index("# the council")])
    assert gone.endswith("# --- files ---\n" + AFTER) and "or@example.nl" not in gone


def test_lines_that_end_as_in_windows_stay_so() -> None:
    changed = add(TEXT.replace("\n", "\r\n"), Entry("Doctor", "secret", ("253",)))
    assert "\n" not in changed.replace("\r\n", "")


def test_the_example_file_keeps_every_line() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    changed = add(text, Entry("Doctor", "secret", ("253",)))
    assert remove(changed, lambda name, _: name == "Doctor") == text


@pytest.mark.parametrize(
    "text",
    [
        BEFORE.replace(
            "[[listeners]]", 'exclusions = [{name = "D", reason = "r", numbers = ["250"]}]\n[[listeners]]', 1
        )
        + AFTER,
        BEFORE + '[[exclusions]]\nname = "D"\nreason = """\n[[exclusions]]\n"""\nnumbers = ["250"]\n' + AFTER,
    ],
)
def test_what_only_people_can_edit_is_refused(text: str) -> None:
    tomllib.loads(text)
    with pytest.raises(EditError):
        add(text, Entry("E", "r", ("251",)) if "{" in text else Entry("D", "r", ("251",)))


def _exclusions(text: str) -> list[dict[str, list[str]]]:
    return list(tomllib.loads(text)["exclusions"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0o640)
    return path


def test_the_file_keeps_its_mode_and_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("link.toml")
    link.symlink_to(file)
    amended = amend(link, lambda text, before: add(text, Entry("Company doctor", "", ("252",))))
    assert amended.is_changed and link.is_symlink()
    assert load(file).exclusions[0].numbers == ("250", "0612345678", "252")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_file_keeps_its_owner(file: Path) -> None:
    os.chown(file, 1234, 1234)
    amend(file, lambda text, before: add(text, Entry("Company doctor", "", ("252",))))
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)


@pytest.mark.parametrize("number", ["no number", "*3112", "25x"])
def test_a_change_that_the_configuration_refuses_changes_nothing(file: Path, number: str) -> None:
    with pytest.raises(ConfigError):
        amend(file, lambda text, before: add(text, Entry("Company doctor", "", (number,))))
    assert file.read_text(encoding="utf-8") == TEXT
    assert [it.name for it in file.parent.iterdir()] == [file.name]


def test_a_file_that_cannot_be_used_is_not_edited(file: Path) -> None:
    file.write_text(TEXT.replace('prefix = "*31"', 'prefix = "112"'), encoding="utf-8")
    with pytest.raises(ConfigError):
        amend(file, lambda text, before: pytest.fail("edited"))


def test_an_agent_who_is_excluded_is_pointed_out(file: Path) -> None:
    amended = amend(file, lambda text, before: add(text, Entry("Company doctor", "", ("201",))))
    (doubt,) = amended.doubts
    assert '201 is excluded as "Company doctor"' in doubt


def test_two_administrators_at_once_lose_no_change(file: Path) -> None:
    """Each waits inside its edit until the other has begun, or would have, were it not kept waiting."""
    together = threading.Barrier(2)

    def edit(number: str) -> None:
        def change(text: str, before: Config) -> str:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.3)
            return add(text, Entry("Company doctor", "", (number,)))

        amend(file, change)

    threads = [threading.Thread(target=edit, args=(number,)) for number in ("252", "253")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"252", "253"} <= set(load(file).exclusions[0].numbers)


def test_numbers_and_names_are_told_apart() -> None:
    given = ["250", "+31 6 12345678", "dr.jansen", "250@example.nl", "06*", "250"]
    numbers, aliases = sorted_out(given, parse(TEXT, "c.toml", Path("/")))
    assert numbers == ("250", "+31 6 12345678", "06*")
    assert aliases == ("dr.jansen", "250@example.nl")


@pytest.mark.parametrize("typing_error", ["25x", "25O", "06-1234567B", "", "250,251"])
def test_a_typing_error_in_a_number_does_not_become_a_name(typing_error: str) -> None:
    with pytest.raises(typer.BadParameter):
        sorted_out([typing_error], parse(TEXT, "c.toml", Path("/")))
