"""A run: so many damaged messages from one seed, and what was seen.

It goes in episodes. Each begins with chance of its own and ends in silence, after which signalling must have
forgotten everything; so what an episode found is found again by that episode alone.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzz import partner
from fuzz.mutation import damaged
from fuzz.target import Target, WrongError
from sip_hooks.settings import Packet

CORPUS = Path(__file__).parent / "corpus"
EPISODE = 2000  # messages
DAMAGED = 0.7  # of all messages; the rest are whole
INSTANT = 1 / 64  # seconds between two messages; times add up without rounding, whenever an episode begins
MOST_SECONDS = 0.050
_EACH_SECONDS = 0.000_1  # more for each message that a piece of a stream holds: some hold two thousand
MOST_GROWTH = (
    4096.0  # KiB in 100,000 messages, by the slope of the resident memory after the first third: it steps
)
MOST_PILED = 5000.0  # blocks of memory that live objects take, the same
_MOST_FAULTS = 10
_PAGE_KIB = 4
_PHONE, _AUDIO = b"192.0.2.31", b"m=audio 40000 "


def corpus() -> list[bytes]:
    """The messages that are damaged, all of our own making, in the order of their names."""
    return [file.read_bytes() for file in sorted(CORPUS.glob("*.sip"))]


@dataclass
class Report:
    """What was seen. It held when `faults` is empty."""

    messages: int
    seed: int
    done: int = 0
    seconds: float = 0.0
    slowest_ms: float = 0.0
    recordings: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    """KiB resident, after each episode."""
    blocks: list[int] = field(default_factory=list)
    """Of memory, taken by live objects, after each episode."""
    faults: list[dict[str, Any]] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """KiB per 100,000 messages."""
        return _growth(self.memory)

    @property
    def piled(self) -> float:
        """Blocks per 100,000 messages."""
        return _growth(self.blocks)

    def summary(self) -> dict[str, Any]:
        """As it is printed."""
        return {
            "messages": self.done,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "messages_per_second": round(self.done / self.seconds) if self.seconds else 0,
            "slowest_ms": round(self.slowest_ms, 2),
            "memory_kib": self.memory[-1] if self.memory else 0,
            "growth_kib_per_100000": round(self.growth, 1),
            "growth_blocks_per_100000": round(self.piled),
            "recordings_begun": self.recordings,
            "seen": dict(sorted(self.seen.items())),
            "faults": self.faults,
        }


def run(
    messages: int,
    seed: int,
    first: int = 0,
    make: Callable[[], Target] = Target,
    tell: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Throw `messages` at one target, from episode `first` on. `tell` hears of every episode."""
    report = Report(messages, seed)
    started, target, left, episode = time.monotonic(), make(), messages, first
    gc.disable()  # what garbage collection takes is no one message's fault
    while left > 0 and len(report.faults) < _MOST_FAULTS:
        size = min(EPISODE, left)
        if not _episode(target, make, episode, size, report):
            target = make()
        left, episode = left - size, episode + 1
        gc.collect()
        report.memory.append(resident())
        report.blocks.append(sys.getallocatedblocks())
        report.done = messages - left
        report.seconds = time.monotonic() - started
        tell(report)
    gc.enable()
    if len(report.memory) >= 20 and report.growth > MOST_GROWTH:
        report.faults.append({"fault": "memory grows", "kib_per_100000": round(report.growth, 1)})
    if len(report.blocks) >= 20 and report.piled > MOST_PILED:
        report.faults.append({"fault": "objects pile up", "blocks_per_100000": round(report.piled)})
    return report


def _growth(values: list[int]) -> float:
    """In 100,000 messages, after the first third."""
    return slope(values[len(values) // 3 :]) * 100_000 / EPISODE


def _episode(target: Target, make: Callable[[], Target], episode: int, size: int, report: Report) -> bool:
    """Whether the target is still good for the next."""
    seed = report.seed
    chance = Random(f"{seed}/{episode}")
    place: dict[str, Any] = {"episode": episode}
    recordings = target.recordings
    target.begin()
    try:
        for index, (data, packet) in enumerate(inputs(chance, target, size)):
            place = {"episode": episode, "index": index, "message": data[:600].hex()}
            before = time.thread_time()
            target.take(chance, data, packet)
            taken = time.thread_time() - before
            most = MOST_SECONDS + _EACH_SECONDS * data.count(b"\r\n\r\n")
            if taken > most:
                report.seen["looked at again"] += 1
                taken = min(taken, *(_again(make, seed, episode, size, index) for _ in range(2)))
            if taken > most:
                report.faults.append({"fault": "slow", "ms": round(taken * 1000, 1), **place})
            report.slowest_ms = max(report.slowest_ms, taken * 1000)
            _let_time_pass(chance, target)
        place = {"episode": episode}
        left = target.rest()
        if left:
            raise WrongError(f"not forgotten in the end: {left}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(where.filename).name}:{where.lineno}"
        report.faults.append({"fault": type(error).__name__, "what": str(error), "at": at, **place})
        return False
    report.recordings += target.recordings - recordings
    report.seen += target.engine.counters + target.engine.received
    target.engine.counters.clear()
    target.engine.received.clear()
    return True


def _again(make: Callable[[], Target], seed: int, episode: int, size: int, wanted: int) -> float:
    """How long one message takes when all is done again. Processor time is counted in jumps where others run,
    so what is slow once may not be the message.
    """
    chance, target = Random(f"{seed}/{episode}"), make()
    target.begin()
    for index, (data, packet) in enumerate(inputs(chance, target, size)):
        before = time.thread_time()
        target.take(chance, data, packet)
        if index == wanted:
            return time.thread_time() - before
        _let_time_pass(chance, target)
    raise WrongError("an episode was another one when it was done again")


def inputs(chance: Random, target: Target, size: int) -> Iterator[tuple[bytes, Packet | None]]:
    """So many damaged messages, out of the corpus and out of what the target has just sent, and whole ones
    between them, without which no call would ever come about.
    """
    seeds, number, done = corpus(), 0, 0
    while done < size:
        number += 1
        message, packet = _whole(chance, target, chance.choice(seeds), number)
        if chance.random() < DAMAGED:
            message = damaged(chance, message, chance.choice(seeds))
            done += 1
        yield message, packet


def _whole(chance: Random, target: Target, seed: bytes, number: int) -> tuple[bytes, Packet | None]:
    """A message of the corpus, mostly with a transaction and call of its own, or one within a call."""
    if not target.sent or chance.random() < 0.6:
        if chance.random() < 0.1:
            return seed, None
        return _another(seed, number), None
    sent = target.sent[-1] if chance.random() < 0.5 else chance.choice(target.sent)
    if partner.is_request(sent.data):
        return partner.answer(chance, sent.data), sent
    return partner.within(chance, sent.data, number + 2), None


def _another(seed: bytes, number: int) -> bytes:
    """The same in a call, a transaction and a telephone of its own: what keeps one of a telephone's calls out
    keeps all of them out.
    """
    message = seed.replace(b"z9hG4bK", b"z9hG4bK%d." % number).replace(b": c-", b": c%d-" % number)
    message = message.replace(_PHONE, b"192.0.2.%d" % (31 + number % 40))
    return message.replace(_AUDIO, b"m=audio %d " % (40000 + 2 * (number % 4000)))


def _let_time_pass(chance: Random, target: Target) -> None:
    drawn = chance.random()
    if drawn < 0.001:
        target.wait(40.0)
    elif drawn < 0.01:
        target.wait(3.0)
    else:
        target.wait(INSTANT)


def resident() -> int:
    """KiB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB


def slope(values: list[int]) -> float:
    """How much they grow from one to the next, by least squares; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return above / sum((at - middle) ** 2 for at in range(len(values)))
