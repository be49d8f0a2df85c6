"""Each transaction does what its RFC section says, and every input finds its transaction."""

from __future__ import annotations

from weakref import ref

import pytest

from sip_hooks.message import parse
from sip_hooks.settings import Listener
from sip_hooks.timer import Timed, Timer, TimerQueue, delay
from sip_hooks.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    REQUEST_CLIENT,
    REQUEST_SERVER,
    Act,
    ClientTransaction,
    Input,
    ServerTransaction,
    State,
    Table,
    Transaction,
    client_key,
    server_key,
    trying_key,
)
from tests.fakes.sip import PHONE, Bench, invite, only, reply, request

Story = list[tuple[Input | Timer, tuple[Act | Timer, ...], State]]
TABLES = [INVITE_SERVER, REQUEST_SERVER, INVITE_CLIENT, REQUEST_CLIENT]

ACCEPTED_CALL: Story = [
    (Input.REQUEST, (), State.TRYING),
    (Timer.TRYING, (Act.SEND_TRYING,), State.PROCEEDING),
    (Input.REQUEST, (Act.REPEAT,), State.PROCEEDING),
    (Input.PROVISIONAL, (Act.SEND,), State.PROCEEDING),
    (Timer.TRYING, (), State.PROCEEDING),
    (Input.SUCCESS, (Act.SEND, Timer.L), State.ACCEPTED),
    (Input.REQUEST, (), State.ACCEPTED),
    (Input.SUCCESS, (Act.SEND,), State.ACCEPTED),
    (Input.FAILURE, (), State.ACCEPTED),
    (Input.ACK, (Act.PASS,), State.ACCEPTED),
    (Timer.L, (), State.TERMINATED),
]
REFUSED_CALL: Story = [
    (Input.FAILURE, (Act.SEND, Timer.G, Timer.H), State.COMPLETED),
    (Timer.TRYING, (), State.COMPLETED),
    (Timer.G, (Act.REPEAT, Timer.G), State.COMPLETED),
    (Input.REQUEST, (Act.REPEAT,), State.COMPLETED),
    (Input.SUCCESS, (), State.COMPLETED),
    (Input.ACK, (Timer.I_,), State.CONFIRMED),
    (Timer.G, (), State.CONFIRMED),
    (Input.ACK, (), State.CONFIRMED),
    (Timer.I_, (), State.TERMINATED),
]
UNACKNOWLEDGED: Story = [
    (Input.PROVISIONAL, (Act.SEND,), State.PROCEEDING),
    (Input.FAILURE, (Act.SEND, Timer.G, Timer.H), State.COMPLETED),
    (Timer.H, (), State.TERMINATED),
]
OTHER_REQUEST: Story = [
    (Input.REQUEST, (), State.TRYING),
    (Input.PROVISIONAL, (Act.SEND,), State.PROCEEDING),
    (Input.REQUEST, (Act.REPEAT,), State.PROCEEDING),
    (Input.SUCCESS, (Act.SEND, Timer.J), State.COMPLETED),
    (Input.REQUEST, (Act.REPEAT,), State.COMPLETED),
    (Input.FAILURE, (), State.COMPLETED),
    (Timer.J, (), State.TERMINATED),
]
CALLING: Story = [
    (Timer.A, (Act.REPEAT, Timer.A), State.CALLING),
    (Input.TRYING, (Act.PASS, Timer.C), State.PROCEEDING),
    (Input.PROVISIONAL, (Act.PASS, Timer.C), State.PROCEEDING),
    (Input.TRYING, (), State.PROCEEDING),
    (Timer.A, (), State.PROCEEDING),
    (Timer.B, (), State.PROCEEDING),
    (Input.SUCCESS, (Act.PASS, Timer.M), State.ACCEPTED),
    (Input.SUCCESS, (Act.PASS,), State.ACCEPTED),
    (Timer.C, (), State.ACCEPTED),
    (Input.FAILURE, (), State.ACCEPTED),
    (Timer.M, (), State.TERMINATED),
]
NOBODY_THERE: Story = [
    (Timer.A, (Act.REPEAT, Timer.A), State.CALLING),
    (Timer.B, (Act.GIVE_UP,), State.TERMINATED),
]
CANCELLED_EARLY: Story = [
    (Input.CANCEL, (), State.CANCELLING),
    (Timer.A, (Act.REPEAT, Timer.A), State.CANCELLING),
    (Input.PROVISIONAL, (Act.SEND_CANCEL, Act.PASS, Timer.CANCELLED), State.PROCEEDING),
    (Input.FAILURE, (Act.SEND_ACK, Act.PASS, Timer.D), State.COMPLETED),
    (Input.FAILURE, (Act.SEND_ACK,), State.COMPLETED),
    (Timer.CANCELLED, (), State.COMPLETED),
    (Timer.D, (), State.TERMINATED),
]
CANCELLED_AND_FORGOTTEN: Story = [
    (Input.PROVISIONAL, (Act.PASS, Timer.C), State.PROCEEDING),
    (Timer.C, (Act.SEND_CANCEL, Timer.CANCELLED), State.PROCEEDING),
    (Timer.CANCELLED, (Act.GIVE_UP,), State.TERMINATED),
]
ANSWERED_DESPITE_CANCEL: Story = [
    (Input.CANCEL, (), State.CANCELLING),
    (Input.SUCCESS, (Act.PASS, Timer.M), State.ACCEPTED),
]
CANCELLED_BEFORE_TRYING: Story = [
    (Input.CANCEL, (), State.CANCELLING),
    (Input.TRYING, (Act.SEND_CANCEL, Act.PASS, Timer.CANCELLED), State.PROCEEDING),
]
ASKING: Story = [
    (Timer.E, (Act.REPEAT, Timer.E), State.TRYING),
    (Input.TRYING, (Act.PASS,), State.PROCEEDING),
    (Input.PROVISIONAL, (Act.PASS,), State.PROCEEDING),
    (Timer.E, (Act.REPEAT, Timer.E), State.PROCEEDING),
    (Input.FAILURE, (Act.PASS, Timer.K), State.COMPLETED),
    (Input.SUCCESS, (), State.COMPLETED),
    (Timer.E, (), State.COMPLETED),
    (Timer.F, (), State.COMPLETED),
    (Timer.K, (), State.TERMINATED),
]
UNANSWERED: Story = [(Timer.F, (Act.GIVE_UP,), State.TERMINATED)]


@pytest.mark.parametrize(
    ("table", "start", "story"),
    [
        (INVITE_SERVER, State.TRYING, ACCEPTED_CALL),
        (INVITE_SERVER, State.TRYING, REFUSED_CALL),
        (INVITE_SERVER, State.TRYING, UNACKNOWLEDGED),
        (REQUEST_SERVER, State.TRYING, OTHER_REQUEST),
        (INVITE_CLIENT, State.CALLING, CALLING),
        (INVITE_CLIENT, State.CALLING, NOBODY_THERE),
        (INVITE_CLIENT, State.CALLING, CANCELLED_EARLY),
        (INVITE_CLIENT, State.CALLING, CANCELLED_AND_FORGOTTEN),
        (INVITE_CLIENT, State.CALLING, ANSWERED_DESPITE_CANCEL),
        (INVITE_CLIENT, State.CALLING, CANCELLED_BEFORE_TRYING),
        (REQUEST_CLIENT, State.TRYING, ASKING),
        (REQUEST_CLIENT, State.TRYING, UNANSWERED),
    ],
)
def test_a_transaction_follows_its_table(table: Table, start: State, story: Story) -> None:
    transaction = Transaction(table, start)
    for happened, actions, state in story:
        assert (transaction.feed(happened), transaction.state) == (actions, state), happened


@pytest.mark.parametrize("table", TABLES)
def test_every_state_can_be_left_in_time(table: Table) -> None:
    """A state that only another's message can end would stay in memory for ever."""
    waiting_for_the_proxy = (
        {State.TRYING, State.PROCEEDING} if table in (INVITE_SERVER, REQUEST_SERVER) else set()
    )
    entered = {state for _, state in table.values()} - {State.TERMINATED} - waiting_for_the_proxy
    for state in entered:
        ways_out = [row for (start, why), row in table.items() if start is state and isinstance(why, Timer)]
        assert any(row[1] is not state or Act.SEND_CANCEL in row[0] for row in ways_out), state


@pytest.mark.parametrize("table", TABLES)
def test_a_timer_that_is_started_means_something_in_the_state_it_is_started_for(table: Table) -> None:
    for actions, state in table.values():
        for timer in actions:
            assert not isinstance(timer, Timer) or (state, timer) in table, (state, timer)


@pytest.mark.parametrize(
    ("timer", "expected"),
    [
        (Timer.A, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
        (Timer.E, [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]),
        (Timer.G, [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]),
        (Timer.B, [32.0, 32.0]),
        (Timer.TRYING, [0.2]),
    ],
)
def test_timers_have_the_lengths_of_the_rfc(timer: Timer, expected: list[float]) -> None:
    assert [delay(timer, repeats) for repeats in range(len(expected))] == expected


def test_ringing_may_take_longer_than_three_minutes() -> None:
    assert delay(Timer.C, 0) > 180


def test_a_timer_started_again_fires_once_and_later() -> None:
    queue, owner = TimerQueue(), Timed()
    queue.start(owner, Timer.C, 10.0)
    queue.start(owner, Timer.C, 20.0)
    assert queue.next() == 20.0
    assert list(queue.fired(15.0)) == []
    assert list(queue.fired(25.0)) == [(owner, Timer.C)]
    assert queue.next() is None


def test_a_timer_that_was_dropped_does_not_fire() -> None:
    queue, owner = TimerQueue(), Timed()
    queue.start(owner, Timer.C, 10.0)
    owner.due.clear()
    assert list(queue.fired(25.0)) == []


def key(data: bytes, method: bytes | None = None) -> tuple[bytes | int, ...]:
    message = parse(data)
    return server_key(message, method or message.method)


INVITE_KEY = key(invite())


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (invite(), True),
        (request("ACK", callee="<sip:202@pbx.example>;tag=b"), True),
        (request("CANCEL"), True),
        (invite(number=2), False),  # pyVoIP: the same branch again after a 401
        (invite(caller="<sip:201@pbx.example>;tag=z"), False),  # pyVoIP: everything again after a restart
        (invite(sender=("10.0.0.9", 5071)), False),
        (invite(call_id="other"), False),
        (invite(branch="z9hG4bKphone2"), False),
    ],
)
def test_a_request_finds_its_transaction_and_no_other(other: bytes, is_same: bool) -> None:
    assert (key(other, b"INVITE") == INVITE_KEY) is is_same


def test_a_bye_with_the_branch_of_the_invite_is_another_transaction() -> None:
    assert key(request("BYE")) != INVITE_KEY


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (invite(branch="1"), True),
        (request("ACK", branch="1"), True),
        (invite("sip:203@pbx.example", branch="1"), False),
    ],
)
def test_without_the_magic_cookie_the_rules_of_rfc_2543_hold(other: bytes, is_same: bool) -> None:
    assert (key(other, b"INVITE") == key(invite(branch="1"))) is is_same


def test_the_kind_of_a_transaction_follows_from_its_method() -> None:
    listener = Listener("a", "both", "10.0.0.1", 5060)
    for method, server, client in (
        (b"INVITE", INVITE_SERVER, INVITE_CLIENT),
        (b"OPTIONS", REQUEST_SERVER, REQUEST_CLIENT),
    ):
        message = parse(request(method.decode()))
        assert ServerTransaction((), message, PHONE, listener).table is server
        assert ClientTransaction((b"", method), b"", PHONE, listener, None).table is client


def test_a_callee_who_says_nothing_but_100_rings_no_longer_than_timer_c() -> None:
    """§16.7 step 2: only 101 to 199 set Timer C again."""
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward())
    bench.receive(reply(sent.data, 180), sent.destination, sent.listener)
    bench.wait(200)
    bench.receive(reply(sent.data, 100), sent.destination, sent.listener)
    assert {it.data[:7] for it in bench.wait(101)} == {b"CANCEL "}


def test_the_longest_timer_of_a_call_does_not_keep_what_is_over() -> None:
    queue, owner = TimerQueue(), Timed()
    queue.start(owner, Timer.SILENCE, 12 * 3600.0)
    gone = ref(owner)
    owner.due.clear()
    del owner
    assert gone() is None
    assert queue.next() is None
    assert list(queue.fired(13 * 3600.0)) == []


TRYING = (
    b"SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
    b"From: <sip:1@a>\r\nCSeq: 1 INVITE\r\n\r\n"
)


def test_a_100_is_recognised_without_the_rest_of_it() -> None:
    assert trying_key(TRYING) == client_key(parse(TRYING)) == (b"z9hG4bKa", b"INVITE")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"100", b"180"),  # of which others are told
        (b"Via", b"v"),
        (b"Via: ", b"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKb, "),
        (b"z9hG4bKa", b"z9hG4bKa\r\n ;received=192.0.2.3"),
        (b"SIP/2.0/UDP", b"SIP"),
        (b"<sip:1@a>", b"<sip:1@a>\r\n CSeq: 2 BYE"),
        (b"CSeq", b"cseq"),
    ],
)
def test_what_takes_more_reading_is_read_as_a_whole(old: bytes, new: bytes) -> None:
    assert trying_key(TRYING.replace(old, new, 1)) is None


def test_a_100_ends_the_repetition_of_the_invite_and_goes_no_further() -> None:
    bench = Bench()
    bench.receive(invite())
    sent = only(bench.forward())
    trying = reply(sent.data, 100)
    assert trying_key(trying) is not None
    assert bench.receive(trying, sent.destination, sent.listener) == []
    assert sent.data not in [it.data for it in bench.wait(20)]
    assert bench.engine.received["response"] == 1
