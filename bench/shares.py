"""Which part of signalling takes how much: `bench.inside`, sampled every millisecond of its CPU time.

python -m bench.shares [CALLS]
"""

from __future__ import annotations

import gc
import signal
import sys
from collections import Counter
from types import FrameType

from bench.inside import Inside
from recorder.service.beginning import SIGNALLING_COLLECTS

EVERY_SECONDS = 0.001
WARM_UP = 400
_REST = "transactions, forwarding, the rest"
_PARTS = {
    "validate": "validation",
    "parse": "reading the head",
    "identities": "identities",
    "_named": "identities",
    "description_in": "descriptions",
    "anchored": "descriptions",
    "decide": "decision",
    "on_event": "sessions, relations, effects",
    "_edited": "edits, Via, Record-Route",
    "apply": "edits, Via, Record-Route",
    "plan": "planning, routes",
    "restore": "planning, routes",
    "routes": "planning, routes",
    "urgency": "waiting and urgency",
    "arrive": "waiting and urgency",
    "fork": "dialogs and passes",
    "response": "dialogs and passes",
    "request": "dialogs and passes",
    "offered": "dialogs and passes",
    "server_key": "timers and keys of transactions",
    "client_key": "timers and keys of transactions",
    "handle_timer": "timers and keys of transactions",
    "start": "timers and keys of transactions",
    "feed_server": "timers and keys of transactions",
}
"""What the innermost of these functions on the stack is counted as."""


def main(calls: int) -> None:
    """Print µs of each part per call."""
    shares: Counter[str] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if "_hear" in names:  # else it is the telephones' time
            shares[next((_PARTS[it] for it in names if it in _PARTS), _REST)] += 1

    inside = Inside("230")
    gc.freeze()
    gc.set_threshold(*SIGNALLING_COLLECTS)
    inside.run(WARM_UP)
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    used = 1e6 * inside.run(calls) / calls
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    sys.stdout.write(f"{used:6.0f} µs a call\n")
    for part, count in shares.most_common():
        sys.stdout.write(f"{used * count / shares.total():6.0f} µs  {part}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
