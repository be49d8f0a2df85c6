"""What people ask of running calls, over the control socket: record, stop, pause, resume, private.

    record, stop     call, purposes   → found, recorded and refused, or stopped
    pause, resume    call             → found, done, refused, state
    private          call             → the same; from then on there is no such call to be asked about

`found`: whether there is such a call. `refused`: why nothing was done, in reason codes (`recorder.words`), of
`record` by purpose. `state`: where the call stands once it is carried out, as in the list of running calls:
"recording", "paused", "announcing", "not recorded"; or "private".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from recorder import control
from recorder.calls import Calls
from recorder.effects import Done, Effect


class Asked:
    """`carry_out`: does what the calls' sessions want done."""

    def __init__(
        self, calls: Calls, carry_out: Callable[[Iterable[Effect]], None], now: Callable[[], datetime]
    ) -> None:
        self._calls = calls
        self._carry_out = carry_out
        self._now = now

    def answer(self, message: control.Message) -> control.Message:
        """Answer one order."""
        call, purposes = str(message.get("call")), message.get("purposes")
        match message.get("op"):
            case "record":
                return self._record(call, purposes)
            case "stop":
                return self._stop(call, purposes)
            case "pause":
                return self._done(call, self._calls.pause(call, self._now()))
            case "resume":
                return self._done(call, self._calls.resume(call, self._now()))
            case "private":
                return self._done(call, self._calls.make_private(call, self._now()))
        return {"ok": False, "error": "unknown question"}

    def _record(self, call: str, purposes: Any) -> control.Message:
        answer = self._calls.request(call, _names(purposes), self._now())
        if answer is None:
            return {"ok": True, "found": False}
        self._carry_out(answer.effects)
        refused = {purpose: list(reasons) for purpose, reasons in answer.refused.items()}
        return {"ok": True, "found": True, "recorded": list(answer.recorded), "refused": refused}

    def _stop(self, call: str, purposes: Any) -> control.Message:
        """`stopped`: the purposes that were being recorded, and are no more."""
        before = self._purposes(call)
        effects = self._calls.stop(call, _names(purposes), self._now())
        if effects is None:
            return {"ok": True, "found": False}
        self._carry_out(effects)
        return {"ok": True, "found": True, "stopped": sorted(before - self._purposes(call))}

    def _done(self, call: str, done: Done | None) -> control.Message:
        if done is None:
            return {"ok": True, "found": False}
        self._carry_out(done.effects)
        state = next((it["state"] for it in self._calls.summaries() if it["call"] == call), "private")
        is_done = not done.refused
        return {"ok": True, "found": True, "done": is_done, "refused": list(done.refused), "state": state}

    def _purposes(self, call: str) -> set[str]:
        """The purposes for which a call is being recorded."""
        return {name for row in self._calls.summaries() if row["call"] == call for name in row["purposes"]}


def _names(purposes: Any) -> list[str]:
    return [str(it) for it in purposes] if isinstance(purposes, list) else []
