"""One subscription to the dialogs of one extension (RFC 6665, RFC 4235): SUBSCRIBE out, NOTIFY in.

None is refreshed within its dialog: before it ends another one takes its place. So every SUBSCRIBE opens a
dialog with a Call-ID and a tag that nobody else knows, and the first NOTIFY in it is younger than it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from sip_hooks.address import host
from sip_hooks.digest import Login, credentials
from sip_hooks.headers import parse_params
from sip_hooks.message import Message
from sip_hooks.settings import Address
from sip_hooks.uri import param_value, parse_uint

_ASKING = {401: (b"www-authenticate", "Authorization"), 407: (b"proxy-authenticate", "Proxy-Authorization")}
_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq")
_LONGEST = 86_400
_PLAIN = "-_.!~*'()&=+$,;?/"  # of a user, RFC 3261 §25.1


@dataclass(frozen=True, slots=True, repr=False)
class Watcher:
    """Who subscribes, at the PBX's `domain`, and `here`, our own end of the connection."""

    login: Login
    domain: str
    here: Address

    def uri(self, user: str) -> str:
        """Somebody's address of record."""
        return f"sip:{quote(user, safe=_PLAIN)}@{self.domain}"

    def request(
        self, method: str, target: str, ids: tuple[str, str, int], branch: str, more: Iterable[str] = ()
    ) -> bytes:
        """A request that opens a dialog, or none. `ids`: Call-ID, our tag, number."""
        address, port = host(self.here[0]), self.here[1]
        call_id, tag, number = ids
        lines = (
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/TCP {address}:{port};branch=z9hG4bK{branch}",
            "Max-Forwards: 70",
            f"From: <{self.uri(self.login.user)}>;tag={tag}",
            f"To: <{target}>",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{quote(self.login.user, safe=_PLAIN)}@{address}:{port};transport=tcp>",
            *more,
            "Content-Length: 0",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@dataclass(slots=True, repr=False)
class Subscription:
    """One of them. `expires`: for how many seconds; 0 asks once and leaves nothing behind (RFC 6665 §4.4.3).

    `asked_at`: what its first NOTIFY says is true as of then, or later.
    """

    extension: str
    call_id: str
    tag: str
    expires: int
    asked_at: datetime
    is_notified: bool = False
    version: int | None = None  # of the document that came last
    _number: int = 0
    _peer: bytes = b""
    _notified: int = -1
    _tried: set[int] = field(default_factory=set)

    def request(self, watcher: Watcher, branch: str, credentials: str = "") -> bytes:
        """The next SUBSCRIBE."""
        self._number += 1
        more = ["Event: dialog", "Accept: application/dialog-info+xml", f"Expires: {self.expires}"]
        more += [credentials] if credentials else []
        ids = self.call_id, self.tag, self._number
        return watcher.request("SUBSCRIBE", watcher.uri(self.extension), ids, branch, more)

    def is_answered_by(self, response: Message) -> bool:
        """Whether a response is to the last request."""
        return response.from_tag == self.tag.encode() and response.cseq == (self._number, b"SUBSCRIBE")

    def again(self, response: Message, watcher: Watcher, branch: str, cnonce: str) -> bytes | None:
        """The same once more, if that is what this refusal asks for; each thing is done once."""
        status = response.status
        if status in self._tried:
            return None
        self._tried.add(status)
        if status == 423:
            self.expires = parse_uint(response.first(b"min-expires") or b"", _LONGEST)
            self._tried -= _ASKING.keys()
            return self.request(watcher, branch)
        if status not in _ASKING:
            return None
        asking, giving = _ASKING[status]
        challenges = [it.value for it in response.fields(asking)]
        given = credentials(challenges, "SUBSCRIBE", watcher.uri(self.extension), watcher.login, cnonce)
        return None if given is None else self.request(watcher, branch, f"{giving}: {given}")

    def accept(self, response: Message) -> None:
        """It is granted: whose NOTIFYs will be its own is known from now on."""
        self._peer = self._peer or response.to_tag

    def is_of(self, notify: Message) -> bool:
        """Whether a NOTIFY belongs to it: both tags, Call-ID and event."""
        event = (notify.first(b"event") or b"").partition(b";")[0].strip(b" \t").lower()
        is_ours = notify.call_id == self.call_id.encode() and notify.to_tag == self.tag.encode()
        return (
            is_ours and event == b"dialog" and bool(notify.from_tag) and self._peer in (b"", notify.from_tag)
        )

    def take(self, notify: Message) -> bool:
        """Note a NOTIFY that belongs to it. False: another one has overtaken it."""
        number = notify.cseq[0]
        if number <= self._notified:
            return False
        self._peer, self._notified, self.is_notified = notify.from_tag, number, True
        return True


def state_of(notify: Message) -> tuple[bytes, int | None]:
    """What a NOTIFY says of its subscription: active, pending or terminated, and for how many seconds."""
    state, semicolon, rest = (notify.first(b"subscription-state") or b"").partition(b";")
    seconds = param_value(parse_params(semicolon + rest), b"expires")
    return state.strip(b" \t").lower(), None if seconds is None else parse_uint(seconds, 0xFFFFFFFF)


def reply(request: Message, status: str) -> bytes:
    """A response to a request of the PBX."""
    copied = (it for it in request.headers if it.name in _COPIED)
    lines = (b"SIP/2.0 " + status.encode(), *(it.name + b": " + it.value for it in copied))
    return b"\r\n".join((*lines, b"Content-Length: 0", b"", b""))
