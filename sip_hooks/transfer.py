"""The REFERs of one dialog that are under way, and what is said of how they ended (RFC 3515)."""

from __future__ import annotations

from sip_hooks.identity import Role
from sip_hooks.message import Message

_CHALLENGES = (401, 407)
_FRAGMENT = b"message/sipfrag"


class Transfers:
    """Feed it the REFERs, the responses to them and the NOTIFYs. Each of the last two may settle it.

    `True`: one party is another now. `False`: nothing came of any. `None`: that is not known (yet).
    """

    __slots__ = ("_challenged", "_senders")

    def __init__(self) -> None:
        self._senders: list[Role] = []
        self._challenged = False

    def sent(self, sender: Role) -> None:
        """A REFER is about to go on; one that was challenged comes again with credentials."""
        if self._challenged:
            self._senders.pop()
        self._challenged = False
        self._senders.append(sender)

    def answered(self, status: int) -> bool | None:
        """A final response to a REFER is about to go back."""
        if status < 300 or not self._senders:
            return None
        if status in _CHALLENGES:
            self._challenged = True
            return None
        self._senders.pop()
        self._challenged = False
        return None if self._senders else False

    def notified(self, notify: Message, sender: Role) -> bool | None:
        """A NOTIFY: whoever was referred tells what became of it. Of several nobody knows which is meant."""
        event = (notify.first(b"event") or b"").partition(b";")[0].strip(b" \t").lower()
        if event != b"refer" or notify.content_type != _FRAGMENT or not self._senders:
            return None
        status = _status(notify.body)
        if 200 <= status < 300:
            return True
        if status < 300 or self._senders != [_other(sender)]:
            return None
        self._senders.clear()
        return False


def _status(fragment: bytes) -> int:
    """The status that a fragment begins with, 0 for anything else."""
    line = fragment.partition(b"\r\n")[0]
    code = line[8:11]
    is_status = line[:8].upper() == b"SIP/2.0 " and code.isascii() and code.isdigit()
    return int(code) if is_status and line[11:12] in (b"", b" ") else 0


def _other(role: Role) -> Role:
    return "callee" if role == "caller" else "caller"
