"""Real telephones at Kamailio, with the proxy before it: some of what `make interop` plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.interop import run
from tests.end_to_end.interop.scenarios import SCENARIOS

if reason := run.missing():
    pytest.skip(reason, allow_module_level=True)

DOCUMENT = Path(__file__).parents[2] / "docs" / "interop.md"
SLICE = (
    "baresip over UDP calls baresip over TCP; the callee hangs up",
    "baresip over TLS calls baresip over UDP; the caller hangs up",
    "linphone over TCP calls baresip over TLS; the callee hangs up",
    "baresip over TCP calls linphone over TLS; the caller hangs up",
    "linphone over TCP calls pyVoIP over UDP; the caller hangs up",
    "pyVoIP over UDP calls linphone over UDP; the callee hangs up",
    "pyVoIP over UDP calls sipp over UDP and hangs up",
    "sipp over TCP calls baresip over TCP and hangs up",
    "linphone over UDP refuses baresip over TCP",
    "baresip over TLS gives up while linphone over TCP rings",
    "a caller gives up at the moment of the answer, five times",
    "baresip over UDP calls baresip over TCP; the caller holds and resumes",
    "a call rings two phones of one account",
    "an emergency call over TLS",
    "an agent calls somebody privileged",
    "an agent calls privately, with the prefix",
    "baresip registers over TLS with a wrong password",
    "a phone registers again from another port",
    "the PBX qualifies baresip over TCP with OPTIONS",
    "baresip over TLS transfers baresip over TCP blindly to linphone over UDP",
    "linphone over UDP asks linphone over UDP first and then transfers linphone over UDP",
)
PLAYED = {it.name: it for it in SCENARIOS if it.name in SLICE}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> run.Played:
    return run.all_through(tmp_path_factory.mktemp("interop"), PLAYED.values())


@pytest.mark.parametrize("name", PLAYED)
def test_telephones_do_not_notice_the_proxy(played: run.Played, name: str) -> None:
    assert played.seen.get(name) == PLAYED[name].expected, played.faults.get(name)


@pytest.mark.parametrize("name", PLAYED)
def test_a_call_leaves_as_many_recordings_as_it_should(played: run.Played, name: str) -> None:
    """One although it crosses us twice; none of what is privileged, private, an emergency or not answered."""
    expected = PLAYED[name].recorded
    assert expected is None or played.recorded.get(name, 0) == expected


def test_the_document_tells_of_every_scenario_the_same_with_the_proxy_and_without_it() -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCUMENT.read_text(encoding="utf-8").splitlines()]
    seen = {row[0]: row[1:] for row in rows if len(row) == 3}
    assert len(PLAYED) == len(SLICE)
    for it in SCENARIOS:
        assert seen[it.name] == [it.expected, "not played" if it.only_through else it.expected]
    assert len(SCENARIOS) >= 30
