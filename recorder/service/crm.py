"""Running calls for a CRM system, over HTTP on loopback: what may be shown, and what may be asked.

    GET  /calls                    the running calls that may be shown
    GET  /calls/CALL               one of them, its reasons in words too
    POST /calls/CALL/record        begin, for purposes on demand   {"purposes": […], "person": …}
    POST /calls/CALL/stop          end for good, for these or all  the same
    POST /calls/CALL/pause         silence for a while             {"person": …}
    POST /calls/CALL/resume        and no more                     {"person": …}
    POST /calls/CALL/private       private, for good               {}

Whoever asks shows the token: `Authorization: Bearer …`. An answer says how the call stands once it is done,
as `state`. What is refused is a 409 with reason codes; without signalling everything is a 503. It is a
process of its own, so that nobody waits for it; signalling is asked over its socket, as by `doelband ctl`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from recorder import control
from recorder.config import Config
from recorder.notify import Notifier, keep_telling
from recorder.service import places
from recorder.service.http import Application, serving
from recorder.words import in_words
from sip_hooks.address import host
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import StorageError, Unavailable
from storage.model import By

log = structlog.get_logger()

SHORTEST_TOKEN = 20
MOST_OCTETS = 16_384
"""Of what is asked."""
_ANSWER_SECONDS = 10.0
_PATH = re.compile(r"/calls/([0-9a-f]{32})(?:/([a-z]+))?")
_ORDERS = ("record", "stop", "pause", "resume", "private")
_LONGEST_NAME = 64
Message = dict[str, Any]


class Refused(Exception):
    """What is asked is not done. `code` and `reasons`: why, as codes."""

    def __init__(self, status: str, code: str, why: str, reasons: Any = ()) -> None:
        super().__init__(why)
        self.status = status
        self.body = {"error": code, "explanation": why, "reasons": reasons}


class Crm:
    """Answers what is asked. `audit`: notes who asked for what of which call."""

    def __init__(self, signalling: Path, purposes: frozenset[str], audit: Callable[..., Any]) -> None:
        self._signalling = signalling
        self._purposes = purposes
        self._audit = audit

    async def answer(self, method: str, path: str, body: bytes) -> tuple[str, Message]:
        """HTTP status and what is said. Raises Refused, NotRunning."""
        if path == "/calls" and method == "GET":
            return "200 OK", {"calls": await self._running()}
        found = _PATH.fullmatch(path)
        order = found[2] if found else None
        if found is None or order not in (None, *_ORDERS):
            raise Refused("404 Not Found", "no-such-path", "there are /calls, /calls/CALL and its orders")
        if (method == "POST") is not bool(order) or method not in ("GET", "POST"):
            raise Refused("405 Method Not Allowed", "no-such-method", "GET what there is, POST an order")
        if order is None:
            call = await self._one(found[1])
            return "200 OK", {**call, "explanation": [in_words(it) for it in call["reasons"]]}
        return await self._do(order, await self._one(found[1]), _read(body))

    async def _do(self, order: str, call: Message, asked: Message) -> tuple[str, Message]:
        """The audit row of what begins to record comes first, that of what protects somebody later; a call
        that is made private has none.
        """
        purposes, person = self._named(asked), _person(asked)
        id, named = call["call"], ",".join(purposes) or "every-purpose"
        if order == "record":
            await self._audit("call.record", person, named, id)
        told = await control.ask(self._signalling, {"op": order, "call": id, "purposes": purposes})
        if not told.get("ok"):
            raise Refused("501 Not Implemented", "unknown-order", "signalling does not know it: one version?")
        if not told.get("found"):
            raise _missing()
        refused = told.get("refused") or {}
        became = named if order == "stop" else "refused" if refused else "done"
        is_logged = order in ("record", "private") or await self._note(order, person, became, id)
        now = next((it for it in await self._running() if it["call"] == id), None)
        state = now["state"] if now else "private" if order == "private" else "over"
        known: Message = {key: told[key] for key in ("recorded", "stopped") if key in told}
        if refused or (order == "record" and not told["recorded"]):
            raise Refused("409 Conflict", "refused", f"it is {state}", refused or ["nothing-on-demand"])
        return "200 OK", {"call": id, "state": state, **known, "is_logged": is_logged}

    async def _note(self, order: str, person: str, became: str, call: str) -> bool:
        try:
            await self._audit(f"call.{order}", person, became, call)
        except StorageError:
            return False
        return True

    def _named(self, asked: Message) -> list[str]:
        purposes = asked.get("purposes", [])
        if not isinstance(purposes, list) or not all(isinstance(it, str) for it in purposes):
            raise Refused("400 Bad Request", "purposes", "purposes is a list of names")
        if unknown := sorted(set(purposes) - self._purposes):
            raise Refused("422 Unprocessable Content", "unknown-purpose", f"{unknown[0]} is no purpose")
        return purposes

    async def _one(self, call: str) -> Message:
        found = next((it for it in await self._running() if it["call"] == call), None)
        if found is None:
            raise _missing()
        return found

    async def _running(self) -> list[Message]:
        return list((await control.ask(self._signalling, {"op": "calls"}))["calls"])


def _missing() -> Refused:
    return Refused("404 Not Found", "no-such-call", "it does not run, or may not be shown")


def _read(body: bytes) -> Message:
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused("400 Bad Request", "no-json", "write a JSON object, or nothing")
    return asked


def _person(asked: Message) -> str:
    """For whom the CRM asks: 1 to 64 printable characters, or nobody whom it names."""
    person = asked.get("person", "")
    if not isinstance(person, str) or len(person) > _LONGEST_NAME or not person.isprintable():
        raise Refused("400 Bad Request", "person", "person is a name of at most 64 printable characters")
    return person.strip()


def token(path: Path) -> bytes:
    """The token in its file, which is nobody's but its owner's. Raises Unavailable."""
    attempted = f"use the token in {path}"
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise Unavailable(attempted, f"others than its owner may read it; chmod 600 {path}")
            found = file.read(1024).strip()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unavailable(attempted, f"{why}; write one: openssl rand -hex 32 > {path}") from error
    if len(found) < SHORTEST_TOKEN:
        raise Unavailable(attempted, f"it is shorter than {SHORTEST_TOKEN} characters: openssl rand -hex 32")
    return found


def application(answer: Callable[[str, str, bytes], tuple[str, Message]], secret: Path) -> Application:
    """The WSGI application, whose threads may wait. The token's file is read each time: another token counts
    at once.
    """

    def respond(
        environ: Mapping[str, Any], start: Callable[[str, list[tuple[str, str]]], object]
    ) -> list[bytes]:
        try:
            _check_token(environ, token(secret))
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length > MOST_OCTETS:
                raise Refused("413 Content Too Large", "too-large", f"at most {MOST_OCTETS} octets")
            body = environ["wsgi.input"].read(length) if length else b""
            status, said = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        except Refused as error:
            status, said = error.status, error.body
        except (control.NotRunning, StorageError, TimeoutError) as error:
            said = {"error": "unavailable", "explanation": str(error) or "no answer in time", "reasons": []}
            status = "503 Service Unavailable"
        except Exception as error:
            log.error("a question of the CRM was not answered", error=type(error).__name__)
            said = {"error": "internal", "explanation": "see the log", "reasons": []}
            status = "500 Internal Server Error"
        text = json.dumps(said, indent=2).encode() + b"\n"
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    return respond


def _check_token(environ: Mapping[str, Any], secret: bytes) -> None:
    shown = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
    if not hmac.compare_digest(shown, b"Bearer " + secret):
        raise Refused("401 Unauthorized", "token", "show the token: Authorization: Bearer …")


async def run(config: Config, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT. Raises Unavailable."""
    section = config.crm
    assert section is not None, "the command has looked"
    token(section.token_file)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    catalogue = await Catalogue.open(places.catalogue(config))
    clock = SystemClock(config.clock.offset_file)

    async def audit(action: str, person: str, reason: str, call: str) -> None:
        by = By(f"{person} (crm)" if person else "crm", clock.now(), reason, call)
        await catalogue.audit.append(by, action, "running-call")  # which one goes when it is withdrawn

    crm = Crm(places.signalling(config), frozenset(config.purposes), audit)

    def answer(method: str, path: str, body: bytes) -> tuple[str, Message]:
        asked = asyncio.run_coroutine_threadsafe(crm.answer(method, path, body), loop)
        return asked.result(_ANSWER_SECONDS)

    place = f"{host(section.address)}:{section.port}"
    with serving(section.address, section.port, application(answer, section.token_file), "[crm]"):
        log.info("a CRM may ask", address=place)
        notifier.ready(f"answers at {place}")
        telling = asyncio.create_task(keep_telling(notifier, lambda: f"answers at {place}"))
        await stop.wait()
        telling.cancel()
        notifier.stopping()
    await catalogue.close()
