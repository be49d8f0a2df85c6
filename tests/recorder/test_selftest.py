"""What a test transfer proves: that nothing was kept, that something was, or nothing."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.registrar import Registrar
from recorder.cli.selftest import check_accounts, check_line
from recorder.config import parse
from recorder.probe.telephone import Account
from recorder.rules import compile_rules
from recorder.selftest.handset import Call, Handset, NotDone
from recorder.selftest.speech import Speech
from recorder.selftest.transfer import Wanted, try_out
from recorder.selftest.verdict import Opened, Seen, kept, missing, rows
from recorder.selftest.witness import Witness
from sip_hooks.digest import Login
from sip_hooks.message import Message
from storage.errors import NotFound, Refused
from storage.lifecycle import State
from storage.model import CallOutcome, Clip, Ending, Outcome
from tests.recorder.schemes import CONFIGURATION

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
AGENT = "a-1041"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def clip(**otherwise: Any) -> Clip:
    """One of the call before the transfer, which ends two seconds before it and is sealed at once."""
    made = Clip(
        id="c1" * 16,
        recording="b1" * 16,
        call="a1" * 16,
        purpose="coaching",
        line="service",
        agent=AGENT,
        scheme_hash="5c" * 32,
        started_at=at(0.5),
        part=1,
        previous=None,
        state=State.SEALED,
        deadline_day=date(2026, 3, 31),
        day_key_id="da" * 16,
        header_hash=b"",
        wrap=b"",
        opened_at=at(0.5),
        sealed_at=at(4.3),
        ending=Ending.COMPLETE,
        size=49_000,
        chunks=3,
        sha256="",
        seconds=1.5,
        close_record=b"",
    )
    return replace(made, **otherwise)


def row(**otherwise: Any) -> CallOutcome:
    made = CallOutcome(
        "a1" * 16, at(0.1), "service", AGENT, Outcome.RECORDED, ("excluded",), 4.1, ("coaching",)
    )
    return replace(made, **otherwise)


SEEN = Seen(
    kind="blind",
    agents=frozenset({AGENT}),
    began=START,
    certain_until=at(4),
    transferred_at=at(4),
    spoke_at=at(4.5),
    ended_at=at(6),
    purposes=("coaching",),
    is_heard_before=True,
    is_heard_after=True,
    clips=(clip(),),
    counted=2,
)
LATER = {"id": "c2" * 16, "call": "a2" * 16, "started_at": at(4.4), "seconds": 1.6, "sealed_at": at(6.2)}


def test_a_transfer_of_which_nothing_is_kept_is_proved() -> None:
    assert (kept(SEEN), missing(SEEN)) == ((), ())
    assert all(it.is_good is not False for it in rows(SEEN))


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [
        ({"clips": (clip(seconds=3.6),)}, "goes on for 0.1 s beyond the transfer"),
        ({"clips": (clip(), clip(**LATER))}, "begun after the transfer"),
        ({"clips": (clip(), clip(**LATER, agent="somebody else"))}, "begun after the transfer"),
        ({"grown": {"c1" * 16: 16_400}}, "grew by 16400 octets"),
        ({"strays": frozenset({"c3" * 16})}, "the catalogue does not know"),
        ({"during": ("coaching",)}, "while the privileged telephone spoke"),
        ({"rows": (row(call="a2" * 16, started_at=at(4.1), seconds=1.9),)}, "row of the conversation"),
        ({"opened": Opened(before=70, after=1)}, "1 words of the privileged conversation"),
    ],
)
def test_what_is_kept_is_said_to_be(otherwise: dict[str, Any], words: str) -> None:
    seen = replace(SEEN, **otherwise)
    assert any(words in it for it in kept(seen)), kept(seen)


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [
        ({"failure": "201 called 250: 486"}, "nothing is proved: 201 called 250: 486"),
        ({"is_heard_before": False}, "did not hear each other before"),
        ({"is_heard_after": False}, "customer and privileged telephone did not hear each other"),
        ({"counted": 0}, "the ledger knows nothing of the call"),
        ({"clips": (clip(sealed_at=at(4.6)),)}, "sealed only after the privileged telephone spoke"),
        ({"clips": (clip(seconds=None, ending=Ending.TRUNCATED),)}, "is not known"),
        ({"clips": (clip(state=State.OPEN, sealed_at=None, seconds=None),)}, "is not known: it is open"),
        ({"opened": Opened(refused="no grant")}, "the clips were not opened: no grant"),
        ({"opened": Opened(before=0)}, "hold nothing of what was said before either"),
    ],
)
def test_what_is_not_proved_is_said_not_to_be(otherwise: dict[str, Any], words: str) -> None:
    seen = replace(SEEN, **otherwise)
    assert kept(seen) == ()
    assert any(words in it for it in missing(seen)), missing(seen)


def test_a_call_of_somebody_else_meanwhile_is_not_taken_for_the_test_s() -> None:
    other = {"agent": "a-2002", "call": "a3" * 16}
    before = clip(**other, id="c3" * 16, started_at=at(2), seconds=30.0, sealed_at=at(33))
    after = clip(**other, id="c4" * 16, started_at=at(4.4), seconds=30.0, sealed_at=at(35))
    seen = replace(
        SEEN, clips=(clip(), before, after), rows=(row(), row(**other, started_at=at(4.2), seconds=30.0))
    )
    assert (kept(seen), missing(seen)) == ((), ())


def test_words_are_found_however_their_packets_were_cut() -> None:
    said = Speech(bytes(it * it // 7 % 251 for it in range(1280)))
    assert said.found(b"\xd5" * 37 + said.alaw) == len(said.words)
    assert said.found(said.alaw[:320]) == 2
    assert not said.is_heard(said.alaw[:320])


USERS = {"customer": "299", "agent": "201", "privileged": "250"}
LINE = "+31201234567"


def test_accounts_that_are_what_they_must_be_are_taken() -> None:
    scheme = parse(CONFIGURATION, "config.toml", Path("/")).scheme()
    assert check_accounts(scheme, USERS, LINE) == {AGENT}


@pytest.mark.parametrize(
    ("otherwise", "line", "words"),
    [
        ({"privileged": "251"}, LINE, "no exclusion lists it; `doelband exclude add 251` would"),
        ({}, "+31207654321", "+31207654321 is on no flagged line"),
        ({"agent": "202"}, LINE, "202 is no extension of an agent on the line"),
        ({"customer": "250"}, LINE, "250 is excluded itself"),
    ],
)
def test_accounts_with_which_nothing_can_be_shown_are_refused(
    otherwise: dict[str, str], line: str, words: str
) -> None:
    scheme = parse(CONFIGURATION, "config.toml", Path("/")).scheme()
    with pytest.raises(Refused, match=re.escape(words)):
        check_accounts(scheme, USERS | otherwise, line)


TOLD = 'announcement = "a.wav"\nannouncement_sha256 = "%s"' % ("ab" * 32)
PROOF = """
[purposes.proof]
kind = "evidence"
description = "Proof of orders"
legal_basis = "GDPR art. 6(1)(b)"
retention = "30 days"
frequency = "every call"
frequency_justification = "orders are disputed"
announcement = "a.wav"
announcement_sha256 = "%s"
listeners = ["coach"]

[[lines]]""" % ("ab" * 32)
EXEMPT = 'announcement_exemption = "told by the welcome message"'


BOTH = CONFIGURATION.replace("[[lines]]", PROOF).replace('["coaching"]', '["coaching", "proof"]')


@pytest.mark.parametrize(
    ("text", "is_approved", "words"),
    [
        (CONFIGURATION, True, ""),
        (CONFIGURATION, False, "the works council's signature does not cover the scheme"),
        (CONFIGURATION.replace(EXEMPT, TOLD), True, "the other party has to hear the announcement"),
        (CONFIGURATION.replace(EXEMPT, f'{EXEMPT}\nmode = "on-demand"'), True, "nobody has asked for it"),
        (CONFIGURATION.replace(EXEMPT, f'{EXEMPT}\nmode = "sample"\nsample = "90 %"'), True, "not always"),
        (BOTH, True, "the other party has to hear the announcement"),  # nothing is kept before that
    ],
)
def test_a_line_whose_calls_are_not_recorded_from_their_answer_on_is_refused(
    text: str, is_approved: bool, words: str
) -> None:
    scheme = parse(text, "config.toml", Path("/")).scheme()
    with pytest.raises(Refused, match=words) if words else nullcontext():
        check_line(scheme, compile_rules(scheme), is_approved, LINE)


def beside(listener: str, port: int = 5060) -> Witness:
    """Somebody who looks at an installation with this listener, whose service does not run."""
    text = CONFIGURATION.replace('side = "both"', listener).replace("192.0.2.10", "127.0.0.1")
    config = parse(text.replace("port = 5060", f"port = {port}"), "config.toml", Path("/"))
    nobody: Any = None
    return Witness(config, nobody, nobody)


def wanted(password: str) -> Wanted:
    accounts = {name: Account(it, "pbx.example", Login(it, password)) for name, it in USERS.items()}
    return Wanted(**accounts, line=LINE, agents=frozenset({AGENT}))


async def test_a_telephone_that_the_pbx_refuses_is_said_to_be_refused() -> None:
    async with Registrar(dict.fromkeys(USERS.values(), "right")) as pbx:
        with pytest.raises(NotDone, match="299 registered: it was answered 401"):
            await try_out(
                beside('side = "both"', pbx.address[1]), wanted("wrong"), ("blind",), lambda text: None
            )


async def test_without_a_listener_for_our_telephones_the_remedy_is_said() -> None:
    listeners = 'side = "phones"\ntransport = "tcp"\n\n[[listeners]]\naddress = "127.0.0.1"\nside = "pbx"'
    with pytest.raises(NotFound, match="add one to"):
        await try_out(beside(listeners), wanted("right"), ("blind",), lambda text: None)


class Peer(Handset):
    """The other telephone, without a PBX between. What it says to a REFER, and then of it."""

    accepts, outcome = "202 Accepted", "200 OK"

    def _reply(self, request: Message, *rest: Any, **more: Any) -> None:
        if request.method == b"REFER":
            more["status"] = self.accepts
        super()._reply(request, *rest, **more)

    async def _follow(self, call: Call, refer: Message) -> None:
        await self._tell(call, f"SIP/2.0 {self.outcome}", "terminated;reason=noresource")


@pytest.mark.parametrize(
    ("accepts", "outcome", "words"),
    [
        ("603 Decline", "200 OK", "201 transferred to 250 (REFER): 603"),
        ("202 Accepted", "486 Busy Here", "the transfer to 250 failed: 486"),
        ("202 Accepted", "200 OK", ""),
    ],
)
async def test_a_transfer_that_is_refused_or_fails_is_said_to_be(
    accepts: str, outcome: str, words: str
) -> None:
    def account(user: str) -> Account:
        return Account(user, "pbx.example", Login(user, ""))

    here, media = ("127.0.0.1", 0), ("127.0.0.1", "127.0.0.1")
    async with Handset(account("201"), here, media) as agent, Peer(account("299"), here, media) as customer:
        agent.server, customer.server = (
            ("127.0.0.1", int(it.contact.rpartition(":")[2])) for it in (customer, agent)
        )
        customer.accepts, customer.outcome = accepts, outcome
        call = await agent.dial(customer.contact)
        with pytest.raises(NotDone, match=re.escape(words)) if words else nullcontext():
            await agent.transfer(call, agent.uri("250"))
