"""The simulator's model of relay and capture beside the real thing: ring, capture, timeline and their orders.

Both are given the same orders, as the session's taping gives them. Of every packet it is asked where it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random

import pytest

from recorder.decision import CallFacts, Direction, Kind, Outcome, Verdict
from recorder.effects import Effect, Tap, TellCapture
from recorder.ends import Ends
from recorder.policy import Policy
from recorder.ring import SIDE_A
from recorder.taping import Taping
from simulate.recording import Media
from tests.fakes.capture import AGENT, CaptureSite
from tests.fakes.orders import START
from tests.fakes.relay import soon
from tests.fakes.rtp import SAMPLES
from tests.recorder.test_session import negotiated, policy

SESSION, PACKET_MS, BEAT_MS = 7, 20, 100
PURPOSES = ("coaching", "evidence")
FACTS = CallFacts(Direction.OUTBOUND)
VERDICT = Verdict(Kind.BUSINESS, 0, True, "sales", "anna", {}, (), (), Outcome.RECORDING)


class Both:
    """One call: what taping orders goes to the model and to capture."""

    def __init__(self, site: CaptureSite, in_force: Policy) -> None:
        self.site, self.policy = site, in_force
        self.media = Media(START)
        drawn, ends = count(1), Ends()
        ends.learn(negotiated())
        self.taping = Taping("c" * 32, START, ends, lambda size: next(drawn).to_bytes(size))
        self.taping.number = SESSION
        self.began: dict[str, int] = {}  # by recording, in milliseconds
        self._is_open = False

    async def act(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Tap):
                self.media.tap(effect, self.site.ms / 1000)
                self._is_open = effect.level == "all"
            elif isinstance(effect, TellCapture):
                self.media.tell(effect.message, self.site.ms / 1000)
                await self._tell(effect)

    async def _tell(self, effect: TellCapture) -> None:
        """Send it, and wait until it is carried out: what comes behind it cannot be, and is told."""
        told, refused = self.site.told, len(self.site.told("refused"))
        self.site.signalling.send(effect.message)
        self.site.signalling.send({"op": "codecs", "session": 99, "codecs": None})
        await soon(lambda: len(told("refused")) > refused)
        if effect.message["op"] == "begin":
            ids = {row["recording"] for row in effect.message["recordings"]}
            self.began |= dict.fromkeys(ids, self.site.ms)
            await soon(lambda: ids <= {it["recording"] for it in told("opened")})

    async def wait(self, milliseconds: int) -> None:
        """Somebody speaks, and the relay lets it into the ring while the tap is open."""
        for _ in range(0, milliseconds, PACKET_MS):
            index = self.site.ms // PACKET_MS
            if self._is_open:
                self.site.hear(SIDE_A, index, AGENT[index])
            self.site.ms += PACKET_MS
            if self.site.ms % BEAT_MS == 0:
                self.site.capture.beat()

    def modelled(self, recording: str, edge: float = 0.0) -> list[int]:
        """When the packets arrived that are in the model's clip; `edge`: so long after its end as well."""
        kept = self.media.clips[recording].kept
        instants = range(0, self.site.ms, PACKET_MS)
        return [ms for ms in instants if any(start <= ms / 1000 + 1e-9 < end + edge for start, end in kept)]

    def real(self, recording: str) -> list[int]:
        """When those arrived that are in the real one."""
        (clip,) = (it for it in self.site.vault.clips if it.plan.recording_id == recording)
        return [self.began[recording] + position // SAMPLES * PACKET_MS for position, _ in clip.audio(0)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def live(both: Both, chance: Random) -> str:
    """Pauses and recordings by chance; returns how it ended."""
    is_paused, wanted = False, list(PURPOSES)
    now = both.site.now
    await both.act(both.taping.begin((wanted.pop(),), VERDICT, FACTS, both.policy, now()))
    while both.site.ms < 4500:
        await both.wait(chance.choice((60, 380, 900, 1500)))
        if is_paused:
            await both.act(both.taping.resume(FACTS, both.policy, now()))
        elif wanted and chance.random() < 0.3:
            await both.act(both.taping.begin((wanted.pop(),), VERDICT, FACTS, both.policy, now()))
            continue
        else:
            await both.act(both.taping.pause(FACTS, both.policy, now()))
        is_paused = not is_paused
    await both.wait(chance.choice((40, 300, 1900)))
    end = chance.choice(("finish", "taint", "stop"))
    if end == "finish":
        await both.act(both.taping.finish(now()))
    elif end == "taint":
        await both.act(both.taping.taint("excluded", now()))
    else:
        await both.act(both.taping.stop(both.taping.recordings.running(), now()))
    return end


@pytest.mark.parametrize("seed", range(16))
async def test_capture_keeps_what_the_model_says(seed: int, site: CaptureSite) -> None:
    both = Both(site, policy(retention=dict.fromkeys(PURPOSES, timedelta(days=30))))
    end = await live(both, Random(seed))
    await soon(lambda: len(site.told("sealed") + site.told("failed")) == len(both.began))
    for recording in both.began:
        modelled, real = both.modelled(recording), both.real(recording)
        assert set(real) <= set(both.modelled(recording, edge=1e-6)), "it keeps more than is judged"
        lacking = [ms for ms in modelled if ms not in real]
        # A taint drops what the last beat has not committed: less than a beat more than a horizon.
        assert not lacking or (end != "finish" and len(lacking) <= BEAT_MS // PACKET_MS)
        assert lacking == modelled[len(modelled) - len(lacking) :]
