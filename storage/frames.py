"""Many audio records at once (docs/clip-format.md, section 5), as the bytes that they are in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from storage.records import AUDIO, HEAD, Audio, Gap

_COLUMNS = np.dtype(
    {
        "names": ["type", "length", "channel", "payload_type", "position", "timestamp"],
        "formats": ["u1", ">u2", "u1", "u1", ">u8", ">u4"],
    }
)
"""A record's head, and its body up to the payload."""
_WIDTH = _COLUMNS.itemsize


@dataclass(frozen=True, slots=True)
class Frames:
    """Audio records of one length, in order of position, shape (n,); `rows` (n, octets)."""

    positions: NDArray[np.int64]
    rows: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def position(self) -> int:
        """Of the first."""
        return int(self.positions[0])

    def part(self, first: int, last: int) -> Frames:
        """Those from one index up to another."""
        return Frames(self.positions[first:last], self.rows[first:last])

    def encoded(self) -> bytes:
        """As they stand in a clip."""
        return self.rows.tobytes()

    def records(self) -> list[Audio]:
        """One by one."""
        heads = np.ascontiguousarray(self.rows[:, :_WIDTH]).view(_COLUMNS)[:, 0]
        columns = (heads[name].tolist() for name in ("channel", "position", "timestamp", "payload_type"))
        return [
            Audio(channel, position, timestamp, number, payload.tobytes())
            for channel, position, timestamp, number, payload in zip(
                *columns, self.rows[:, _WIDTH:], strict=True
            )
        ]


def frames(
    channel: int,
    payload_type: int,
    positions: NDArray[np.int64],
    timestamps: NDArray[np.int64],
    payloads: NDArray[np.uint8],
) -> Frames:
    """Records of audio as it came, payloads (n, octets); of the timestamps the lowest 32 bits count."""
    count, octets = payloads.shape
    rows = np.empty((count, _WIDTH + octets), np.uint8)
    heads = np.empty(count, _COLUMNS)
    heads["type"], heads["length"] = AUDIO, _WIDTH - HEAD.size + octets
    heads["channel"], heads["payload_type"] = channel, payload_type
    heads["position"], heads["timestamp"] = positions, timestamps & 0xFFFFFFFF
    rows[:, :_WIDTH] = heads.view(np.uint8).reshape(count, _WIDTH)
    rows[:, _WIDTH:] = payloads
    return Frames(positions, rows)


def in_order(
    one: Sequence[Audio | Gap | Frames], other: Sequence[Audio | Gap | Frames]
) -> list[Audio | Gap | Frames]:
    """What two legs have, in order of position; of two at one position that of the first goes first."""
    if not one or not other:
        return [*one, *other]
    match one, other:
        case [Frames() as first], [Frames() as second] if first.rows.shape[1] == second.rows.shape[1]:
            positions = np.concatenate((first.positions, second.positions))
            order = np.argsort(positions, kind="stable")
            return [Frames(positions[order], np.concatenate((first.rows, second.rows))[order])]
    records = [
        it for part in (*one, *other) for it in (part.records() if isinstance(part, Frames) else [part])
    ]
    return sorted(records, key=lambda record: record.position)
