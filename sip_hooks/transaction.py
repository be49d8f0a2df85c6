"""Transactions: which message belongs to which, and what each does next (RFC 3261 §17, RFC 6026).

Theory of operation. A request that arrives opens a *server* transaction towards whoever sent it; forwarding
it opens a *client* transaction towards the next hop. Each is a machine with a table: a row says what to do
on an input in a state, and the state after it. An input for which there is no row is ignored, so a timer
that has lost its meaning needs no stopping. In a row an `Act` is done by `transaction_layer`; a `Timer` is
started. For a server transaction PROVISIONAL, SUCCESS and FAILURE are responses that go *up* to the sender;
for a client transaction they are responses that *arrived*.
"""

from __future__ import annotations

import re
from enum import Enum, StrEnum, auto
from typing import TypeAlias

from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_via
from sip_hooks.message import Message, parse
from sip_hooks.settings import Address, Listener
from sip_hooks.timer import Timed, Timer


class State(StrEnum):
    """Where a transaction is. TERMINATED ones are forgotten."""

    TRYING = "trying"  # nothing heard from downstream; as a client of a non-INVITE: sent
    CALLING = "calling"  # INVITE sent, nothing heard
    CANCELLING = "cancelling"  # as CALLING, and a CANCEL waits for the first 1xx
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Input(Enum):
    """What happens to a transaction, besides its timers."""

    __hash__ = object.__hash__  # these are keys of the tables: Enum's own is written in Python

    REQUEST = auto()  # the request again
    ACK = auto()
    CANCEL = auto()
    TRYING = auto()  # 100, which nobody forwards
    PROVISIONAL = auto()  # 101 to 199
    SUCCESS = auto()  # 2xx
    FAILURE = auto()  # 3xx to 6xx
    LOST = auto()  # the connection to the next hop could not be made, or has gone


class Act(Enum):
    """What is to be done."""

    SEND = auto()  # the response that was handed down
    REPEAT = auto()  # what was sent last
    SEND_TRYING = auto()  # a 100 of our own
    SEND_ACK = auto()  # acknowledge a failure, hop by hop
    SEND_CANCEL = auto()
    PASS = auto()  # give the message to the proxy
    GIVE_UP = auto()  # tell the proxy that no final response will come
    UNREACHABLE = auto()  # tell the proxy that the request went nowhere


Row: TypeAlias = tuple[tuple[Act | Timer, ...], State]
Table: TypeAlias = dict[tuple[State, Input | Timer], Row]

# RFC 3261 §17.2.1 with RFC 6026 §7.1. TRYING is its Proceeding before anything was sent.
INVITE_SERVER: Table = {
    (State.TRYING, Timer.TRYING): ((Act.SEND_TRYING,), State.PROCEEDING),  # §17.2.1: within 200 ms
    (State.TRYING, Input.PROVISIONAL): ((Act.SEND,), State.PROCEEDING),
    (State.TRYING, Input.SUCCESS): ((Act.SEND, Timer.L), State.ACCEPTED),
    (State.TRYING, Input.FAILURE): ((Act.SEND, Timer.G, Timer.H), State.COMPLETED),
    (State.PROCEEDING, Input.REQUEST): ((Act.REPEAT,), State.PROCEEDING),
    (State.PROCEEDING, Input.PROVISIONAL): ((Act.SEND,), State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ((Act.SEND, Timer.L), State.ACCEPTED),
    (State.PROCEEDING, Input.FAILURE): ((Act.SEND, Timer.G, Timer.H), State.COMPLETED),
    (State.COMPLETED, Input.REQUEST): ((Act.REPEAT,), State.COMPLETED),
    (State.COMPLETED, Timer.G): ((Act.REPEAT, Timer.G), State.COMPLETED),
    (State.COMPLETED, Input.ACK): ((Timer.I_,), State.CONFIRMED),
    (State.COMPLETED, Timer.H): ((), State.TERMINATED),
    (State.CONFIRMED, Timer.I_): ((), State.TERMINATED),
    (State.ACCEPTED, Input.SUCCESS): ((Act.SEND,), State.ACCEPTED),  # RFC 6026: every 2xx goes up
    (State.ACCEPTED, Input.ACK): ((Act.PASS,), State.ACCEPTED),  # ACK with the INVITE's branch: end to end
    (State.ACCEPTED, Timer.L): ((), State.TERMINATED),
}

# RFC 3261 §17.2.2
REQUEST_SERVER: Table = {
    (State.TRYING, Input.PROVISIONAL): ((Act.SEND,), State.PROCEEDING),
    (State.TRYING, Input.SUCCESS): ((Act.SEND, Timer.J), State.COMPLETED),
    (State.TRYING, Input.FAILURE): ((Act.SEND, Timer.J), State.COMPLETED),
    (State.PROCEEDING, Input.REQUEST): ((Act.REPEAT,), State.PROCEEDING),
    (State.PROCEEDING, Input.PROVISIONAL): ((Act.SEND,), State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ((Act.SEND, Timer.J), State.COMPLETED),
    (State.PROCEEDING, Input.FAILURE): ((Act.SEND, Timer.J), State.COMPLETED),
    (State.COMPLETED, Input.REQUEST): ((Act.REPEAT,), State.COMPLETED),
    (State.COMPLETED, Timer.J): ((), State.TERMINATED),
}

# RFC 3261 §17.1.1, §9.1, §16.8 with RFC 6026 §7.2
INVITE_CLIENT: Table = {
    (State.CALLING, Timer.A): ((Act.REPEAT, Timer.A), State.CALLING),
    (State.CALLING, Timer.B): ((Act.GIVE_UP,), State.TERMINATED),
    (State.CALLING, Input.LOST): ((Act.UNREACHABLE,), State.TERMINATED),  # §17.1.4
    (State.CALLING, Input.CANCEL): ((), State.CANCELLING),  # §9.1: only after a 1xx
    (State.CALLING, Input.TRYING): ((Act.PASS, Timer.C), State.PROCEEDING),
    (State.CALLING, Input.PROVISIONAL): ((Act.PASS, Timer.C), State.PROCEEDING),
    (State.CALLING, Input.SUCCESS): ((Act.PASS, Timer.M), State.ACCEPTED),
    (State.CALLING, Input.FAILURE): ((Act.SEND_ACK, Act.PASS, Timer.D), State.COMPLETED),
    (State.CANCELLING, Timer.A): ((Act.REPEAT, Timer.A), State.CANCELLING),
    (State.CANCELLING, Timer.B): ((Act.GIVE_UP,), State.TERMINATED),
    (State.CANCELLING, Input.LOST): ((Act.UNREACHABLE,), State.TERMINATED),
    (State.CANCELLING, Input.TRYING): ((Act.SEND_CANCEL, Act.PASS, Timer.CANCELLED), State.PROCEEDING),
    (State.CANCELLING, Input.PROVISIONAL): (
        (Act.SEND_CANCEL, Act.PASS, Timer.CANCELLED),
        State.PROCEEDING,
    ),
    (State.CANCELLING, Input.SUCCESS): ((Act.PASS, Timer.M), State.ACCEPTED),  # the 200 was faster
    (State.CANCELLING, Input.FAILURE): ((Act.SEND_ACK, Act.PASS, Timer.D), State.COMPLETED),
    (State.PROCEEDING, Input.CANCEL): ((Act.SEND_CANCEL, Timer.CANCELLED), State.PROCEEDING),
    (State.PROCEEDING, Timer.C): ((Act.SEND_CANCEL, Timer.CANCELLED), State.PROCEEDING),  # §16.8
    (State.PROCEEDING, Timer.CANCELLED): ((Act.GIVE_UP,), State.TERMINATED),  # the 487 is missing
    (State.PROCEEDING, Input.TRYING): ((), State.PROCEEDING),  # §16.7 step 2: Timer C goes on
    (State.PROCEEDING, Input.PROVISIONAL): ((Act.PASS, Timer.C), State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ((Act.PASS, Timer.M), State.ACCEPTED),
    (State.PROCEEDING, Input.FAILURE): ((Act.SEND_ACK, Act.PASS, Timer.D), State.COMPLETED),
    (State.COMPLETED, Input.FAILURE): ((Act.SEND_ACK,), State.COMPLETED),
    (State.COMPLETED, Timer.D): ((), State.TERMINATED),
    (State.ACCEPTED, Input.SUCCESS): ((Act.PASS,), State.ACCEPTED),  # RFC 6026: forks and repetitions
    (State.ACCEPTED, Input.PROVISIONAL): ((Act.PASS,), State.ACCEPTED),  # overtaken: it goes up no more
    (State.ACCEPTED, Timer.M): ((), State.TERMINATED),
}

# RFC 3261 §17.1.2; RFC 4320: whoever gives up says nothing, a 408 would come too late
REQUEST_CLIENT: Table = {
    (State.TRYING, Timer.E): ((Act.REPEAT, Timer.E), State.TRYING),
    (State.TRYING, Timer.F): ((Act.GIVE_UP,), State.TERMINATED),
    (State.TRYING, Input.LOST): ((Act.UNREACHABLE,), State.TERMINATED),  # §17.1.4
    (State.TRYING, Input.TRYING): ((Act.PASS,), State.PROCEEDING),
    (State.TRYING, Input.PROVISIONAL): ((Act.PASS,), State.PROCEEDING),
    (State.TRYING, Input.SUCCESS): ((Act.PASS, Timer.K), State.COMPLETED),
    (State.TRYING, Input.FAILURE): ((Act.PASS, Timer.K), State.COMPLETED),
    (State.PROCEEDING, Timer.E): ((Act.REPEAT, Timer.E), State.PROCEEDING),
    (State.PROCEEDING, Timer.F): ((Act.GIVE_UP,), State.TERMINATED),
    (State.PROCEEDING, Input.TRYING): ((), State.PROCEEDING),
    (State.PROCEEDING, Input.PROVISIONAL): ((Act.PASS,), State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): ((Act.PASS, Timer.K), State.COMPLETED),
    (State.PROCEEDING, Input.FAILURE): ((Act.PASS, Timer.K), State.COMPLETED),
    (State.COMPLETED, Timer.K): ((), State.TERMINATED),
}

_PLAIN_TRYING = re.compile(
    rb"SIP/2\.0 100 [^\r\n]*\r\nVia: ([^\r\n,]{1,512})\r\n"
    rb"(?:(?!CSeq)[A-Za-z-]+: [^\r\n]*\r\n){1,16}?CSeq: [0-9]{1,10} ([A-Z]{1,16})\r\n"
)
ServerKey: TypeAlias = tuple[bytes | int, ...]
ClientKey: TypeAlias = tuple[bytes, bytes]


class Transaction(Timed):
    """One machine: its table, its state, and how often its retransmission timer fired."""

    __slots__ = ("repeats", "state", "table")

    def __init__(self, table: Table, state: State) -> None:
        super().__init__()
        self.table = table
        self.state = state
        self.repeats = 0

    def feed(self, happened: Input | Timer) -> tuple[Act | Timer, ...]:
        """Take one step and return what is to be done; nothing when the table has no row for it."""
        row = self.table.get((self.state, happened))
        if row is None:
            return ()
        actions, self.state = row
        return actions


class ServerTransaction(Transaction):
    """Towards whoever sent a request; every response goes back to the address it came from."""

    __slots__ = (
        "_request",
        "cancel_reasons",
        "client",
        "context",
        "is_cancelled",
        "key",
        "listener",
        "mark",
        "raw",
        "response",
        "source",
    )

    def __init__(self, key: ServerKey, request: Message, source: Address, listener: Listener) -> None:
        super().__init__(INVITE_SERVER if request.method == b"INVITE" else REQUEST_SERVER, State.TRYING)
        self.key = key
        self.raw = request.raw
        self._request: Message | None = request
        self.source = source
        self.listener = listener
        self.mark = b""  # how our branches for it begin (`forwarding.loop_mark`)
        self.response = b""  # what was sent last
        self.client: ClientTransaction | None = None
        self.is_cancelled = False
        self.cancel_reasons: list[bytes] = []  # Reason values of the CANCEL (RFC 3326)
        self.context: object = None  # what the proxy knows of it

    @property
    def request(self) -> Message:
        """The request that opened it."""
        if self._request is None:
            self._request = parse(self.raw)
        return self._request

    def rest(self) -> None:
        """It is answered, and kept for 32 s for the sake of repetitions: its bytes are enough for that."""
        self._request = None
        if self.state is State.ACCEPTED:
            self.response = b""  # whoever sent a 2xx to an INVITE repeats it (RFC 6026)


class ClientTransaction(Transaction):
    """Towards the next hop. `server` is None for a request of our own (CANCEL)."""

    __slots__ = ("destination", "has_rung", "key", "listener", "packet", "server")

    def __init__(
        self,
        key: ClientKey,
        packet: bytes,
        destination: Address,
        listener: Listener,
        server: ServerTransaction | None,
    ) -> None:
        is_invite = key[1] == b"INVITE"
        super().__init__(
            INVITE_CLIENT if is_invite else REQUEST_CLIENT, State.CALLING if is_invite else State.TRYING
        )
        self.key = key
        self.packet = packet
        self.destination = destination
        self.listener = listener
        self.server = server
        self.has_rung = False  # a 1xx other than 100 came


def server_key(message: Message, method: bytes) -> ServerKey:
    """Return what a request of `method` is recognised by (RFC 3261 §17.2.3, stricter).

    `method` is INVITE when asking for the transaction that an ACK or CANCEL belongs to. Branch and sent-by
    alone do not suffice: pyVoIP uses its branch again after a 401 (hence the CSeq number) and repeats
    branch and Call-ID after a restart (hence the From tag). Without the magic cookie the Request-URI and
    the whole top Via count as well, the rules of RFC 2543.
    """
    via = message.top_via
    key = (
        via.branch or b"",
        via.host.lower(),
        via.port or 5060,
        method,
        message.call_id,
        message.cseq[0],
        message.from_tag,
    )
    return key if via.has_magic else (*key, message.request_uri, via.raw)


def client_key(response: Message) -> ClientKey:
    """Return what the request that `response` answers is recognised by (§17.1.3)."""
    return response.top_via.branch or b"", response.cseq[1]


def trying_key(data: bytes) -> ClientKey | None:
    """Return what the request is recognised by that a 100 answers, read without the rest of it: nobody else
    is told of a 100. None when that takes more reading, or it is none.
    """
    found = _PLAIN_TRYING.match(data)
    if found is None:
        return None
    try:
        return parse_via(found[1]).branch or b"", found[2]
    except MessageError:
        return None


def input_of(status: int) -> Input:
    """Return which input a response of `status` is."""
    if status == 100:
        return Input.TRYING
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.FAILURE
