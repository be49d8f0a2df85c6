"""The trunk side in a configuration: who tells who speaks inside is chosen, and everything fits together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recorder.config import parse, questionable
from recorder.service.listening import _trunk
from tests.recorder.test_config import BASE, refused, small

LISTENERS = """
[[listeners]]
address = "10.2.0.1"
side = "trunk"

[[listeners]]
address = "10.1.0.1"
port = 5090
side = "pbx"
leads_to = "trunk"

[pbx]"""
SECTION = '[trunk]\naddress = "198.51.100.5"\nevidence = "none"\n'
AMI = '[trunk.ami]\naddress = "192.0.2.20"\nuser = "doelband"\nsecret_file = "s"\ntrunk = ["provider"]\n'
MEDIA = ("[media]", f"{SECTION}\n[media]")


def beside(*changes: tuple[str, str]) -> str:
    """A configuration with phones and trunk, changed."""
    text = small(("[pbx]", LISTENERS), MEDIA)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    return text


def test_a_trunk_has_a_longer_horizon_and_says_from_where_it_sends() -> None:
    more = 'evidence = "none"\nsources = ["198.51.100.0/28", "2001:db8::1"]\n'
    config = parse(beside(('evidence = "none"\n', more)), "c.toml", BASE)
    assert config.trunk is not None
    assert config.trunk.horizon == timedelta(seconds=5) > config.media.horizon
    trunk = _trunk(config)
    assert trunk is not None
    admitted = [trunk.admits((host, 1)) for host in ("198.51.100.15", "2001:db8::1", "198.51.100.16")]
    assert admitted == [True, True, False]


def test_without_a_source_of_evidence_it_has_to_be_said() -> None:
    (said,) = refused(beside(('evidence = "none"\n', "")))
    assert said.startswith("c.toml:")
    assert 'trunk.evidence: is missing; write evidence = "phones", "dialogs", "ami", "esl", or "none"' in said


def test_a_trunk_without_evidence_is_questioned() -> None:
    said = questionable(parse(beside(), "c.toml", BASE))
    assert any("no call is recorded on the trunk side" in it for it in said)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([('side = "trunk"', 'side = "phones"')], "trunk: no listener faces it"),
        ([('leads_to = "trunk"', "")], "listeners: none leads from the PBX to the trunk"),
        ([('side = "trunk"', 'side = "trunk"\nleads_to = "trunk"')], "leads_to: only a listener with side"),
        ([(SECTION, "")], "listeners: a trunk is meant that is not there"),
        ([("198.51.100.5", "2001:db8::5")], "trunk.address: no listener that faces the trunk is of"),
        (
            [(SECTION, SECTION + 'transport = "tcp"\n')],
            "trunk.transport: no listener that faces the trunk speaks",
        ),
        ([("198.51.100.5", "10.2.0.1")], "trunk: this is our own listeners[1]"),
        ([('evidence = "none"', 'evidence = "ami"')], 'trunk.evidence: "ami" needs to know where'),
        ([(SECTION, SECTION + AMI)], "trunk.ami: is not asked"),
        (
            [(SECTION, SECTION.replace('"none"', '"ami"') + 'horizon = "4 s"\n' + AMI)],
            "trunk.horizon: a source that has fallen silent is noticed after four seconds",
        ),
        ([(SECTION, SECTION + 'sources = ["198.51.100.1/28"]\n')], "sources[0]: this is neither"),
    ],
)
def test_what_does_not_fit_is_refused(changes: list[tuple[str, str]], expected: str) -> None:
    said = refused(beside(*changes))
    assert any(expected in it for it in said), said


def test_a_trunk_needs_no_phones() -> None:
    alone = beside(('side = "both"', 'side = "pbx"\nleads_to = "trunk"'))
    assert parse(alone, "c.toml", BASE).trunk is not None


def test_the_named_source_is_the_one_that_is_asked() -> None:
    config = parse(beside((SECTION, SECTION.replace('"none"', '"ami"') + AMI)), "c.toml", BASE)
    assert config.trunk is not None
    assert config.trunk.ami is not None
    assert (config.trunk.ami.port, config.trunk.ami.trunk) == (5038, ("provider",))
