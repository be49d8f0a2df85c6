"""SIP messages as agents read them: by a reader of their own, so that a fault of ours is not theirs too."""

from __future__ import annotations

from dataclasses import dataclass

from sip_hooks.settings import Address

COMPACT = {
    "Via": "v",
    "From": "f",
    "To": "t",
    "Call-ID": "i",
    "Contact": "m",
    "Content-Type": "c",
    "Content-Length": "l",
    "Refer-To": "r",
    "Referred-By": "b",
}
LONG = {short: name.lower() for name, short in COMPACT.items()}


@dataclass(slots=True)
class Message:
    """One message as an agent reads it: names in lower case, values as they came."""

    first: str
    headers: list[tuple[str, str]]
    body: str

    @property
    def is_request(self) -> bool:
        return not self.first.startswith("SIP/2.0")

    @property
    def method(self) -> str:
        return self.first.partition(" ")[0] if self.is_request else self.get("cseq").partition(" ")[2]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    @property
    def number(self) -> int:
        return int(self.get("cseq").partition(" ")[0])

    def get(self, name: str) -> str:
        """The first value."""
        return next((value for found, value in self.headers if found == name), "")

    def all(self, name: str) -> list[str]:
        """Every value."""
        return [value for found, value in self.headers if found == name]

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        return self.get(name).partition(";tag=")[2].partition(";")[0]


def read(data: bytes) -> Message:
    """Read what the proxy forwards of what agents write."""
    head, _, body = data.decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    rows = (line.partition(":") for line in lines)
    named = ((name.strip().lower(), value.strip()) for name, _, value in rows)
    return Message(first, [(LONG.get(name, name), value) for name, value in named], body)


def describe(address: str, port: int, direction: str = "sendrecv", extra: str = "", keys: int = 0) -> str:
    """A description of one audio stream; `direction` also `0.0.0.0` and `port 0`, two old ways to hold.
    `keys`: the payload type of keys (RFC 4733), 0 for none.
    """
    where = "0.0.0.0" if direction == "0.0.0.0" else address
    to = 0 if direction == "port 0" else port
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 " + address,
        "s=-",
        f"c=IN IP4 {where}",
        "t=0 0",
        f"m=audio {to} RTP/AVP 8 {keys}" if keys else f"m=audio {to} RTP/AVP 8",
    ]
    lines += [f"a=rtpmap:{keys} telephone-event/8000"] if keys else []
    lines += [f"a={direction}"] if direction in ("sendonly", "inactive", "recvonly") else []
    return "\r\n".join([*lines, *([extra] if extra else []), ""])


def place_in(description: str) -> Address:
    """Where a description wants audio."""
    address = description.partition("c=IN IP4 ")[2].partition("\r\n")[0]
    return address, int(description.partition("m=audio ")[2].partition(" ")[0] or 0)


def keys_in(description: str) -> int:
    """The payload type of keys in a description, 0 if there is none."""
    before, found, _ = description.partition(" telephone-event/8000")
    return int(before.rpartition("a=rtpmap:")[2]) if found else 0


def uri_in(value: str) -> str:
    """The URI of a name-addr."""
    return value.partition("<")[2].partition(">")[0]


def is_contact(line: str) -> bool:
    """Whether a line is a Contact."""
    return line.lower().startswith(("contact:", "m:"))
