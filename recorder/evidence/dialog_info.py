"""application/dialog-info+xml (RFC 4235 §4): in which dialogs somebody is. Bytes in, values out.

Expat without documents of its own: a DOCTYPE is refused, so there are no entities but XML's five, and nothing
is fetched. Elements of other namespaces are ignored, as the RFC demands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from sip_hooks.errors import MessageError
from sip_hooks.uri import parse_uint, parse_uri

_NAMESPACE = "urn:ietf:params:xml:ns:dialog-info"
_MOST_ELEMENTS = 4096
_DEEPEST = 16
_LONGEST = 1024  # characters of one text
_STATES = frozenset({"trying", "proceeding", "early", "confirmed", "terminated"})
_RENDERING, _FOCUS = ("+sip.rendering", "sip.rendering"), ("+sip.isfocus", "isfocus")


class Unreadable(Exception):
    """This is no such document, or one of which nobody can be certain."""


@dataclass(slots=True)
class Dialog:
    """One dialog. `names`: what its own end is called. `is_plain`: nobody is on hold, it is no conference."""

    id: str
    call_id: str = field(repr=False)
    state: str = ""
    names: frozenset[str] = field(default=frozenset(), repr=False)
    is_plain: bool = True


@dataclass(frozen=True, slots=True)
class DialogInfo:
    """The dialogs of one entity: all of them if it is full, else those that have changed. `version`: None if
    there was no document.
    """

    version: int | None
    is_full: bool
    dialogs: tuple[Dialog, ...]


def read(document: bytes) -> DialogInfo:
    """Raises Unreadable."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, MessageError, LookupError, ValueError) as error:
        raise Unreadable("it cannot be read") from error
    return reader.result()


class _Reader:
    """What Expat calls. `_path`: the names of all open elements, "" for one of another namespace."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._elements = 0
        self._text = ""
        self._head: tuple[int, bool] | None = None
        self._dialogs: dict[str, Dialog] = {}
        self._dialog = Dialog("", "")

    def refuse(self, *_: object) -> None:
        raise Unreadable("it has a DOCTYPE")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._path.append(local if space == _NAMESPACE else "")
        self._elements += 1
        self._text = ""
        if len(self._path) > _DEEPEST or self._elements > _MOST_ELEMENTS:
            raise Unreadable("it is too large")
        if self._path[-2:-1] in (["state"], ["identity"]):
            raise Unreadable("a text has elements in it")
        match self._path:
            case ["dialog-info"]:
                self._begin(attributes)
            case ["dialog-info", "dialog"]:
                self._open(attributes)
            case ["dialog-info", "dialog", "local" | "remote", "target", "param"]:
                self._qualify(attributes)

    def text(self, text: str) -> None:
        self._text += text
        if len(self._text) > _LONGEST:
            raise Unreadable("a text is too long")

    def end(self, _: str) -> None:
        match self._path:
            case ["dialog-info", "dialog", "state"]:
                self._set_state(self._text.strip())
            case ["dialog-info", "dialog", "local", "identity"]:
                identity = parse_uri(self._text.strip().encode()).identity()
                self._dialog.names |= {identity}
        self._path.pop()
        self._text = ""

    def result(self) -> DialogInfo:
        if self._head is None:
            raise Unreadable("it is no dialog-info")
        if not all(it.state for it in self._dialogs.values()):
            raise Unreadable("a dialog has no state")
        return DialogInfo(*self._head, tuple(self._dialogs.values()))

    def _begin(self, attributes: dict[str, str]) -> None:
        state = attributes.get("state", "")
        if state not in ("full", "partial"):
            raise Unreadable("it is neither full nor partial")
        self._head = parse_uint(attributes.get("version", "").encode(), 0xFFFFFFFF), state == "full"

    def _open(self, attributes: dict[str, str]) -> None:
        id = attributes.get("id", "")
        if not id or id in self._dialogs:
            raise Unreadable("a dialog has no name of its own")
        self._dialog = self._dialogs[id] = Dialog(id, attributes.get("call-id", ""))

    def _set_state(self, state: str) -> None:
        if state not in _STATES or self._dialog.state:
            raise Unreadable("a dialog is in no state, or in two")
        self._dialog.state = state

    def _qualify(self, attributes: dict[str, str]) -> None:
        """RFC 4235 §4.1.6: what a Contact says of whoever is behind it."""
        name, value = attributes.get("pname", "").lower(), attributes.get("pval", "").lower()
        if (name in _RENDERING and value != "yes") or (name in _FOCUS and value not in ("no", "false")):
            self._dialog.is_plain = False
