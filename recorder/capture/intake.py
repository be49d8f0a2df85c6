"""From the ring to the recordings: a call's packets wait here together until many can be handed over at once.

What has to be looked at one by one is handed over at once, behind what waited of its call: packets that are
encrypted, or have more than a fixed header, or may be part of a key. A key is heard when it is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.capture.keys import Keys
from recorder.capture.ongoing import Ongoing
from recorder.capture.protection import Protections
from recorder.ring import PACKET_AT, SLOT_BYTES, Records
from recorder.rtp import FIXED_BYTES, PLAIN, Header, Many, RtpError, parse

_PAYLOAD_TYPES = 128


@dataclass(frozen=True, slots=True)
class _Batch:
    """Packets as they were read, shape (n,); those that were taken out have no length."""

    sessions: NDArray[np.uint64]
    sides: NDArray[np.uint8]
    arrivals: NDArray[np.int64]
    lengths: NDArray[np.int64]
    packets: NDArray[np.uint8] = field(repr=False)

    def take_out(self, chosen: NDArray[Any]) -> _Batch:
        """Some of them, by a mask or in a new order; here they are overwritten."""
        taken = _Batch(*(it[chosen] for it in self._columns()))
        self.packets[chosen] = 0
        self.lengths[chosen] = 0
        return taken

    def of(self, session: int) -> NDArray[np.bool_]:
        return np.asarray((self.sessions == session) & (self.lengths > 0))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.sessions, self.sides, self.arrivals, self.lengths, self.packets


class Intake:
    """Hands packets to the recordings of `running`, by call and by recording. `break_off`: what to do with
    one that cannot take them.
    """

    def __init__(
        self,
        running: Mapping[int, Mapping[str, Ongoing]],
        keys: Keys,
        protections: Protections,
        break_off: Callable[[Ongoing, Exception], None],
    ) -> None:
        self._running = running
        self._keys = keys
        self._protections = protections
        self._break_off = break_off
        self._waiting: list[_Batch] = []
        self.discarded = 0
        """Records of calls that nobody ordered."""

    def read(self, records: Records) -> None:
        """Copy what is to wait out of a run of the ring; the ring is overwritten after this."""
        apart = self._one_by_one(records)
        rest = ~apart
        lengths = records["length"][rest].astype(np.int64)
        self._waiting.append(
            _Batch(
                records["session"][rest],
                records["side"][rest],
                records["arrival_ns"][rest].astype(np.int64),
                lengths,
                records["packet"][:, : lengths.max(initial=0)][rest],
            )
        )
        if apart.any():
            for session in set(records["session"][apart].tolist()):
                self.deliver(session)
            self._take_each(records, np.flatnonzero(apart).tolist())

    def _one_by_one(self, records: Records) -> NDArray[np.bool_]:
        """Which records belong to calls of which there is one here that cannot wait, or is not plain."""
        packets, sessions = records["packet"], records["session"]
        is_wanted = np.zeros(_PAYLOAD_TYPES, np.bool_)
        is_wanted[list(self._keys.payload_types())] = True
        apart = (packets[:, 0] != PLAIN) | (records["length"] <= FIXED_BYTES)
        apart |= is_wanted[packets[:, 1] & 0x7F]
        calls = self._protections.sessions() | self._keys.tones() | set(sessions[apart].tolist())
        return np.isin(sessions, np.array(list(calls), np.uint64)) if calls else apart

    def _take_each(self, records: Records, indices: list[int]) -> None:
        octets: Any = records.view(np.uint8)  # numpy's arrays are buffers; their stubs do not say so
        columns = (records[name].tolist() for name in ("session", "side", "arrival_ns", "length"))
        rows = list(zip(*columns, strict=True))
        with memoryview(octets) as raw:
            for index in indices:
                session, side, arrival_ns, length = rows[index]
                start = index * SLOT_BYTES + PACKET_AT
                self._take(session, side, arrival_ns, raw[start : start + length])

    def _take(self, session: int, side: int, arrival_ns: int, packet: memoryview) -> None:
        header: Header | None
        if (protection := self._protections.get(session)) is not None:
            header, packet = protection.open(side, packet)
        else:
            header = _parsed(packet)
        is_heard, silence = self._keys.hear(session, side, arrival_ns, header, packet)
        found = self._running.get(session)
        if found is None or header is None or side > 1:
            self.discarded += not is_heard
            return
        for it in list(found.values()):
            payload = bytearray(packet[header.start : header.end])
            try:
                it.recording.take(side, arrival_ns, header, payload, silence)
            except Exception as error:
                payload[:] = bytes(len(payload))
                self._break_off(it, error)

    def deliver(self, session: int | None = None) -> None:
        """Hand over what waits, of one call or of all."""
        waiting = self._waiting
        if session is None:
            self._waiting = []
            chosen = [it.take_out(it.lengths > 0) for it in waiting]
        else:
            masks = [it.of(session) for it in waiting]
            chosen = [it.take_out(mask) for it, mask in zip(waiting, masks, strict=True) if mask.any()]
        if any(len(it.lengths) for it in chosen):
            self._hand_over(_sorted(chosen))

    def _hand_over(self, batch: _Batch) -> None:
        for session, side, arrivals, many in _alike(batch):
            found = self._running.get(session)
            if found is None or side > 1:
                self.discarded += 0 if session in self._keys.listened() else len(arrivals)
                many.payloads[:] = 0
                continue
            *others, last = found.values()
            copies = [(it, many._replace(payloads=many.payloads.copy())) for it in others]
            for it, own in (*copies, (last, many)):
                try:
                    it.recording.take_many(side, arrivals, own)
                except Exception as error:
                    own.payloads[:] = 0
                    self._break_off(it, error)


def _parsed(packet: memoryview) -> Header | None:
    try:
        return parse(packet)
    except RtpError:
        return None


def _sorted(batches: list[_Batch]) -> _Batch:
    """All as one, by call and side, of each in the order in which they came."""
    width = max(it.packets.shape[1] for it in batches)
    packets = np.zeros((sum(len(it.lengths) for it in batches), width), np.uint8)
    at = 0
    for it in batches:
        count, octets = it.packets.shape
        packets[at : at + count, :octets] = it.packets
        it.packets[:] = 0
        at += count
    whole = _Batch(
        np.concatenate([it.sessions for it in batches]),
        np.concatenate([it.sides for it in batches]),
        np.concatenate([it.arrivals for it in batches]),
        np.concatenate([it.lengths for it in batches]),
        packets,
    )
    return whole.take_out(np.argsort(whole.sessions * np.uint64(2) + whole.sides, kind="stable"))


def _alike(batch: _Batch) -> Iterator[tuple[int, int, NDArray[np.int64], Many]]:
    """Call, side and arrivals of packets that stand together and are of one source, type and length."""
    fixed = np.ascontiguousarray(batch.packets[:, :FIXED_BYTES])
    words = fixed.view(">u4").astype(np.int64)
    sequences, timestamps, sources = words[:, 0] & 0xFFFF, words[:, 1], words[:, 2]
    columns = (batch.sessions, batch.sides, fixed[:, 1] & 0x7F, sources, batch.lengths)
    differs = np.logical_or.reduce([it[1:] != it[:-1] for it in columns])
    starts = np.concatenate(([0], np.flatnonzero(differs) + 1))
    advances = _advances(starts, sequences, timestamps)
    rows = zip(*(it[starts].tolist() for it in columns), advances, strict=True)
    edges = itertools.pairwise([*starts.tolist(), len(sources)])
    for (session, side, kind, ssrc, length, advance), (first, last) in zip(rows, edges, strict=True):
        payloads = batch.packets[first:last, FIXED_BYTES:length]
        part = slice(first, last)
        many = Many(kind, ssrc, sequences[part], timestamps[part], payloads, advance)
        yield session, side, batch.arrivals[part], many


def _advances(
    starts: NDArray[np.int64], sequences: NDArray[np.int64], timestamps: NDArray[np.int64]
) -> list[int]:
    """Of the packets from each start to the next, as `Many.advance`."""
    steps, advances = np.diff(sequences, append=0), np.diff(timestamps, append=0)
    lasts = np.append(starts[1:], len(steps)) - 1
    steps[lasts] = 1
    advances[lasts] = advances[starts]  # of the last packet there is none
    is_even = (steps == 1) & (advances == np.repeat(advances[starts], lasts - starts + 1))
    found: list[int] = np.where(
        np.logical_and.reduceat(is_even, starts) & (lasts > starts), advances[starts], 0
    ).tolist()
    return found
