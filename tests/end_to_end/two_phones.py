"""A customer's telephone calls an agent's, and both say something: what is then in the clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from demo.telephony import PASSWORD
from portal.decoding import Samples
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder
from tests.end_to_end.peers.baresip import Baresip
from tests.fakes.likeness import likeness, speech

SECONDS = 2.5


async def likenesses(
    recorder: Recorder,
    folder: Path,
    codec: str,
    rate: int,
    agent: dict[str, Any] | None = None,
    customer: dict[str, Any] | None = None,
) -> list[float]:
    """How much each leg of the clip is like what was said, the agent's and the customer's, compared as what
    `codec` makes of `rate` samples a second. `agent` and `customer`: more of their telephones.
    """
    silence = np.zeros(rate // 2, dtype=np.int16)  # until both have been told of the answer
    said = [np.append(silence, speech(SECONDS, rate, seed)) for seed in (1, 2)]
    both: dict[str, Any] = {"password": PASSWORD, "rate": rate}
    async with (
        Baresip(folder / "agent", recorder.address, COLLEAGUE, said[0], **both | (agent or {})) as called,
        Baresip(
            folder / "customer", recorder.address, CUSTOMER, said[1], **both | (customer or {})
        ) as caller,
    ):
        await caller.dial(COLLEAGUE)
        await called.has_heard(SECONDS + 1)
        await caller.has_heard(SECONDS + 1)
        await caller.hang_up()
    return likenesses_in_clip(recorder, folder, codec, rate, said)


def likenesses_in_clip(
    recorder: Recorder, folder: Path, codec: str, rate: int, said: Sequence[Samples]
) -> list[float]:
    """As above, of the next clip."""
    file = folder / "clip.wav"
    recorder.tell("clips", "export", recorder.next_clip(), str(file), *recorder.listener("coaching"))
    samples, exported = soundfile.read(file, dtype="int16")
    assert exported == rate
    return [likeness(codec, voice, leg, rate) for leg, voice in zip(samples.T, said, strict=True)]
