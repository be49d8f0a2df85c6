"""Asking the key service, through its Unix socket: one line of JSON there, one back.

Who holds no private key asks here: portal, purge, command line. Peers are known by the kernel's word
(SO_PEERCRED), not by what they say.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from storage.errors import Corrupt, Forgery, NotFound, Refused, StorageError, Unavailable
from storage.model import DestroyedDay

LINE_LIMIT = 8 * 1024 * 1024
OPEN_SECONDS = 10.0
ANSWER_SECONDS = 30.0

_KINDS: Mapping[str, type[StorageError]] = {
    "not-found": NotFound,
    "unavailable": Unavailable,
    "forgery": Forgery,  # before what it is a kind of
    "corrupt": Corrupt,
}


def describe(error: StorageError) -> dict[str, Any]:
    """An error as it goes over the socket; `KeyDoor` raises it again on the other side."""
    if isinstance(error, Refused):
        kind = "refused"
    else:
        kind = next((word for word, known in _KINDS.items() if isinstance(error, known)), "unavailable")
    reason = error.reason if isinstance(error, Refused) else ""
    return {"error": kind, "reason": reason, "attempted": error.attempted, "remedy": error.remedy}


class KeyDoor:
    """A client of the key service. Every call raises Unavailable when the service does not answer."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    async def open_clip(
        self, clip_id: str, purpose: str, action: str, reason: str, actor: str | None = None
    ) -> bytes:
        """K2. `actor`: the acting person, if not the account that asks; believed of root and the service's
        own account only. Raises Refused, NotFound.
        """
        answer = await self._ask(
            {
                "op": "open",
                "clip": clip_id,
                "purpose": purpose,
                "action": action,
                "reason": reason,
                "as": actor,
            },
            OPEN_SECONDS,
        )
        return base64.b64decode(answer["key"])

    async def past_days(self, today: date) -> list[tuple[str, date]]:
        """The (purpose, deadline day)s before `today` that still have a key. Raises Refused for other
        accounts.
        """
        answer = await self._ask({"op": "past-days", "today": today.isoformat()})
        return [(purpose, date.fromisoformat(day)) for purpose, day in answer["days"]]

    async def destroy_days(self, days: Sequence[tuple[str, date]]) -> list[DestroyedDay]:
        """Destroy day keys; evidence in the same order. Idempotent. Raises Refused for other accounts."""
        asked = [[purpose, day.isoformat()] for purpose, day in days]
        answer = await self._ask({"op": "destroy-days", "days": asked})
        return [DestroyedDay(**{**one, "day": date.fromisoformat(one["day"])}) for one in answer["days"]]

    async def refuse_clip(self, clip_id: str) -> None:
        """Never open this clip again, whatever is restored. Idempotent. Raises Refused for other accounts."""
        await self._ask({"op": "refuse-clip", "clip": clip_id})

    async def status(self) -> dict[str, Any]:
        """`epoch`, `purposes` (with first, last and number of live days), `refused`, `enrolled`, and
        `openings`: rows of purpose, result and how many since the start.
        """
        return dict(await self._ask({"op": "status"}))

    async def refresh(self) -> dict[str, Any]:
        """Make the days ahead now, and publish the bundle. Raises Refused for other accounts."""
        return dict(await self._ask({"op": "refresh"}))

    async def _ask(self, question: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> Mapping[str, Any]:
        attempted = f"ask the key service ({question['op']})"
        try:
            async with asyncio.timeout(seconds):
                line = await self._exchange(json.dumps(question).encode() + b"\n")
            answer = json.loads(line)
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise Unavailable(
                attempted, f"is the recorder running, and may this account use {self._path}?"
            ) from error
        if "error" in answer:
            raise _error(answer)
        return dict(answer)

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil(b"\n")
        finally:
            writer.close()


def _error(answer: Mapping[str, Any]) -> StorageError:
    if answer["error"] == "refused":
        return Refused(answer["reason"], answer["attempted"], answer["remedy"])
    return _KINDS.get(answer["error"], Unavailable)(answer["attempted"], answer["remedy"])
