"""The fuzz run finds what it is there to find, and finds it again by its episode alone."""

from __future__ import annotations

import time
from random import Random

import pytest

from fuzz import run as running
from fuzz.mutation import LONGEST, MUTATORS, damaged
from fuzz.run import EPISODE, Report, corpus, inputs, run, slope
from fuzz.target import Target
from sip_hooks.message import parse
from sip_hooks.settings import Packet
from sip_hooks.validity import validate


class Broken(Target):
    """Signalling with a fault at its 70th message."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def take(self, chance: Random, data: bytes, packet: Packet | None = None) -> None:
        super().take(chance, data, packet)
        self.taken += 1
        if self.taken == 70:
            self.fail()

    def fail(self) -> None:
        raise KeyError("planted")


class Slow(Broken):
    def fail(self) -> None:
        end = time.thread_time() + running.MOST_SECONDS + 0.01
        while time.thread_time() < end:
            pass


class Forgetful(Target):
    """Signalling in which a call never ends."""

    def rest(self) -> dict[str, int]:
        return super().rest() | {"calls": 1}


def faults(report: Report) -> list[str]:
    return [it["fault"] for it in report.faults]


def test_a_thousand_damaged_messages_break_nothing() -> None:
    report = run(1000, seed=7)
    assert report.faults == []
    assert report.seen["malformed requests"] and report.seen["broken streams"]


@pytest.mark.parametrize(
    ("planted", "named"), [(Broken, "KeyError"), (Slow, "slow"), (Forgetful, "WrongError")]
)
def test_a_planted_fault_is_found(planted: type[Target], named: str) -> None:
    found = faults(run(100, seed=7, make=planted))
    assert named in found


class Hoarding(Target):
    """Signalling that keeps an object of every fourth message."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[object] = []

    def take(self, chance: Random, data: bytes, packet: Packet | None = None) -> None:
        super().take(chance, data, packet)
        if chance.random() < 0.25:
            self.kept.append([len(data)])


def test_objects_that_pile_up_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "EPISODE", 100)
    monkeypatch.setattr(
        running, "MOST_PILED", 20_000.0
    )  # so few messages leave some of the interpreter's own
    assert "objects pile up" in faults(run(4000, seed=7, make=Hoarding))
    assert "objects pile up" not in faults(run(4000, seed=7))


def test_memory_that_grows_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(running, "resident", lambda: next(grown))
    monkeypatch.setattr(running, "EPISODE", 5)
    assert "memory grows" in faults(run(100, seed=7))


def test_an_episode_gives_the_same_messages_by_itself() -> None:
    def episode(before: int) -> list[bytes]:
        target = Target()
        for number in range(before, 4):
            chance = Random(f"1/{number}")
            target.begin()
            taken = []
            for data, packet in inputs(chance, target, 150):
                taken.append(data)
                target.take(chance, data, packet)
                target.wait(running.INSTANT)
            target.rest()
        return taken

    assert episode(3) == episode(2)


def test_calls_come_about_and_are_recorded_between_the_damage() -> None:
    assert run(EPISODE, seed=7).recordings > 0


def test_the_corpus_is_valid_but_for_what_nobody_here_supports() -> None:
    owed = [problem.status for it in corpus() if (problem := validate(parse(it))) is not None]
    assert owed == [420]


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda it: it.__name__)
def test_every_kind_of_damage_does_some(mutator: object) -> None:
    assert callable(mutator)
    chance, seeds = Random(1), corpus()
    assert any(mutator(chance, seed, seeds[0]) != seed for seed in seeds)


def test_damage_keeps_within_its_limit() -> None:
    chance, seeds = Random(1), corpus()
    made = [damaged(chance, seed, seeds[3]) for seed in seeds * 20]
    assert max(len(it) for it in made) <= LONGEST


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([5], 0), ([1, 3, 5], 2), ([4, 4, 4], 0)])
def test_the_slope_of_a_series(values: list[int], expected: float) -> None:
    assert slope(values) == expected
