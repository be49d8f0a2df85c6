"""The calls that run, so that one which a crash cuts off is not missing from the ledger.

One small file a call in the runtime directory, in memory where that is a tmpfs. It says since when the call
runs, on which line and by which agent, or of a call that is kept out only its kind and day; never a number.
It also says what is to be destroyed and may not be yet.
It goes when the call's end has been noted. What a former run of this process left behind was cut off.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import structlog

from recorder.effects import Destroy, Unfinished
from storage.catalog import Catalogue
from storage.errors import Conflict
from storage.model import Became, CallOutcome, Outcome, Withheld

log = structlog.get_logger()

LOST = "signalling-lost"
PART = ".part"


class UnfinishedCalls:
    """The directory of the calls that run. Its faults cost an entry, never a call; they are counted."""

    def __init__(self, directory: Path) -> None:
        """Read what a former run has left. Raises OSError when there can be no such directory."""
        self._directory = directory
        self.lost = 0
        self.is_new = not directory.exists()
        """Nothing is known of former runs: the machine was started since, or this is the first one."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._left = self._left_behind()

    def _left_behind(self) -> dict[str, Unfinished | None]:
        """An entry that was being written says the latest, and perhaps that the call is to be kept out."""
        left: dict[str, Unfinished | None] = {}
        for path in sorted(self._directory.iterdir()):  # "ab" before "ab.part"
            found = self._read(path)
            if path.suffix != PART or found is not None:
                left[path.stem] = found
            else:
                left.setdefault(path.stem, None)
        return left

    def keep(self, call: str, unfinished: Unfinished | None) -> None:
        """This call runs; None: nothing is to be said of it any more."""
        if unfinished is None:
            self.forget(call)
            return
        whole = self._directory / call
        part = whole.with_suffix(PART)
        try:
            part.write_text(_written(unfinished), encoding="utf-8")
            part.replace(whole)
        except OSError as error:
            self._failed(error)

    def forget(self, call: str) -> None:
        """The call's end has been noted."""
        try:
            for name in (call, call + PART):
                (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            self._failed(error)

    async def settle(self, catalogue: Catalogue) -> int:
        """Note the calls that were cut off, and return how many. Before any call is recorded by this run.

        Raises Unavailable while the catalogue cannot be written; call it again then.
        """
        noted = 0
        for call, unfinished in list(self._left.items()):
            if unfinished is not None and (order := unfinished.destroy) is not None:
                await catalogue.withdrawals.withdraw(order.calls, order.day, order.reason)
            if unfinished is None:
                self.lost += 1
            elif unfinished.kind is not None:
                await catalogue.calls.withhold(_day(unfinished.since), Withheld(unfinished.kind))
            elif isinstance(unfinished.since, datetime) and unfinished.line:
                noted += await _note(catalogue, call, unfinished.since, unfinished.line, unfinished.agent)
            self.forget(call)
            del self._left[call]
        if self.is_new:
            for it in await catalogue.calls.cut_off():
                noted += await _note(catalogue, it.call, it.started_at, it.line, it.agent)
        return noted

    def _read(self, path: Path) -> Unfinished | None:
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            destroy = _to_destroy(said.get("destroy"))
            if "kind" in said:
                return Unfinished(date.fromisoformat(said["day"]), kind=said["kind"], destroy=destroy)
            since = datetime.fromisoformat(said["since"])
            return Unfinished(since, said["line"], said["agent"], destroy=destroy)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _failed(self, error: OSError) -> None:
        self.lost += 1
        log.error("running call not kept in mind", why=error.strerror, lost=self.lost)


async def _note(catalogue: Catalogue, call: str, started_at: datetime, line: str, agent: str) -> int:
    purposes = await catalogue.calls.recorded(call)
    became = {purpose: Became(Outcome.FAILED, (LOST,)) for purpose in purposes}
    outcome = CallOutcome(call, started_at, line, agent, Outcome.FAILED, (LOST,), 0.0, purposes, became)
    try:
        await catalogue.calls.add(outcome)
    except Conflict:  # its end had been noted
        return 0
    return 1


def _written(unfinished: Unfinished) -> str:
    order, text = unfinished.destroy, dict[str, object]()
    if order is not None:
        text["destroy"] = {"calls": order.calls, "day": order.day.isoformat(), "reason": order.reason}
    if unfinished.kind is not None or not unfinished.line:
        return json.dumps({"kind": unfinished.kind, "day": _day(unfinished.since).isoformat(), **text})
    since = unfinished.since.isoformat()
    return json.dumps({"since": since, "line": unfinished.line, "agent": unfinished.agent, **text})


def _to_destroy(said: Any) -> Destroy | None:
    if said is None:
        return None
    return Destroy(tuple(said["calls"]), date.fromisoformat(said["day"]), said["reason"])


def _day(since: datetime | date) -> date:
    return since.date() if isinstance(since, datetime) else since
