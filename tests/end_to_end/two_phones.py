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
from tests.end_to_end.peers.linphone import Linphone
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
    return _in_clip(recorder, folder, codec, rate, said)


async def linphones_likenesses(
    recorder: Recorder, folder: Path, codec: str, name: str = "PCMA", suite: str = ""
) -> list[float]:
    """The same of two linphones, which speak what they call `name`, and SRTP under `suite` alone."""
    pauses = np.zeros(4000, np.int16), np.zeros(40_000, np.int16)  # it begins again when it has said all
    said = [np.concatenate((pauses[0], speech(SECONDS, 8000, seed), pauses[1])) for seed in (1, 2)]
    both: dict[str, Any] = {
        "server": recorder.address,
        "password": PASSWORD,
        "domain": f"{recorder.address[0]}:{recorder.address[1]}",
        "codecs": (name,),
        "suite": suite,
    }
    async with (
        Linphone(folder / "agent", user=COLLEAGUE, speech=said[0], **both) as called,
        Linphone(folder / "customer", user=CUSTOMER, speech=said[1], **both) as caller,
    ):
        await caller.dial(COLLEAGUE)
        await called.sees("incoming")
        await called.tell("answer")
        await called.has_heard(SECONDS + 1)
        await caller.has_heard(SECONDS + 1)
        await caller.tell("terminate")
    return _in_clip(recorder, folder, codec, 8000, said)


def _in_clip(recorder: Recorder, folder: Path, codec: str, rate: int, said: Sequence[Samples]) -> list[float]:
    """What the next clip makes of it."""
    file = folder / "clip.wav"
    recorder.tell("clips", "export", recorder.next_clip(), str(file), *recorder.listener("coaching"))
    samples, exported = soundfile.read(file, dtype="int16")
    assert exported == rate
    return [likeness(codec, voice, leg, rate) for leg, voice in zip(samples.T, said, strict=True)]
