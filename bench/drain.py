"""Empties a ring and forgets what was in it: `python -m bench.drain FD`."""

from __future__ import annotations

import sys
import time

from recorder.ring import Records, RingReader

_BEAT_SECONDS = 0.1


def _forget(_records: Records) -> None:
    pass


def main() -> None:
    """Run until killed."""
    reader = RingReader(int(sys.argv[1]))
    while True:
        reader.drain(_forget)
        time.sleep(_BEAT_SECONDS)


if __name__ == "__main__":
    main()
