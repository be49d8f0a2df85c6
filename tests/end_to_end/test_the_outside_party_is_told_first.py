"""The outside party is told before anything is recorded (KSF 6.6). Real telephones hear the announcement; of
what they say, nothing from before its end is in a clip, and the clip proves what was played.

Each telephone speaks without a pause, so every instant of a leg tells where in that voice it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from demo.installation import until
from demo.telephony import PASSWORD
from portal.decoding import Samples
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder, running
from tests.end_to_end.peers import baresip
from tests.end_to_end.test_keys_in_a_call import press
from tests.fakes.likeness import speech

ALIKE = 0.95
PIECE_SECONDS = 0.15
PURPOSES = ("coaching", "assessment")
SPOKEN_SECONDS, ANNOUNCED_SECONDS, RECORDED_SECONDS = 12.0, 1.2, 1.0
EXEMPTION = (
    'shows."\nannouncement_exemption = "Callers are told by the PBX\'s welcome message."\n'
    'listeners = ["coach"]'
)
ANNOUNCEMENT = (
    'shows."\nannouncement = "told.wav"\nannouncement_sha256 = "{}"\nobjection_key = "9"\n'
    'listeners = ["coach"]'
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Callers are told for coaching; for assessment they know already."""
    if reason := baresip.missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("told")
    sound = directory / "told.wav"
    soundfile.write(sound, speech(ANNOUNCED_SECONDS, 22050, 7), 22050)
    with running(directory, {EXEMPTION: ANNOUNCEMENT.format(digest(directory))}) as recorder:
        yield recorder


def digest(directory: Path) -> str:
    return hashlib.sha256((directory / "told.wav").read_bytes()).hexdigest()


class Place(NamedTuple):
    """Where a piece of sound is in another one, in seconds, and how much alike they are."""

    at: float
    alike: float


def place(piece: Samples, sound: Samples, rate: int) -> Place:
    one, other = piece.astype(float), sound.astype(float)
    size = 1 << (len(one) + len(other)).bit_length()
    products = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)), size)
    energy = np.concatenate(([0.0], np.cumsum(other**2)))
    norms = np.sqrt((energy[len(one) :] - energy[: -len(one)]) * (one**2).sum())
    alike: npt.NDArray[np.float64] = products[: len(norms)] / np.maximum(norms, 1.0)
    best = int(alike.argmax())
    return Place(best / rate, float(alike[best]))


def pieces(sound: Samples, rate: int) -> list[Samples]:
    """So short that most are whole where a telephone makes up for packets that were late."""
    size = int(PIECE_SECONDS * rate)
    return [sound[at : at + size] for at in range(0, len(sound) - size + 1, size)]


def end_of(announcement: Samples, heard: Samples, rate: int) -> float:
    """When it had been heard to its end, in seconds."""
    found = [place(it, heard, rate) for it in pieces(announcement, rate)]
    begins = [it.at - index * PIECE_SECONDS for index, it in enumerate(found) if it.alike >= ALIKE]
    assert len(begins) >= len(found) - 2
    assert max(begins) - min(begins) < 0.1
    return begins[-1] + ANNOUNCED_SECONDS


def begin_of(sound: Samples, voice: Samples, rate: int) -> float:
    """At which second of a voice this sound of it begins."""
    found = (place(it, voice, rate) for it in pieces(sound, rate))
    return next(it.at - index * PIECE_SECONDS for index, it in enumerate(found) if it.alike >= ALIKE)


def phones(
    recorder: Recorder, folder: Path, codec: str = "PCMA/8000/1", secured: Literal["", "srtp-mand"] = ""
) -> list[baresip.Baresip]:
    """The agent's and the customer's. Both speak without a pause."""
    rate = int(codec.split("/")[1])
    return [
        baresip.Baresip(
            folder / user,
            recorder.address,
            user,
            speech(SPOKEN_SECONDS, rate, seed),
            codec,
            PASSWORD,
            rate=rate,
            plays=rate,
            secured=secured,
        )
        for user, seed in ((COLLEAGUE, 1), (CUSTOMER, 2))
    ]


@pytest.mark.parametrize(
    ("codec", "secured"), [("PCMA/8000/1", ""), ("G722/16000/1", ""), ("PCMA/8000/1", "srtp-mand")]
)
async def test_nothing_from_before_the_announcements_end_is_in_a_clip(
    told: Recorder, tmp_path: Path, codec: str, secured: Literal["", "srtp-mand"]
) -> None:
    before, seconds = clips(told), ANNOUNCED_SECONDS + RECORDED_SECONDS + 1.2
    agent, customer = phones(told, tmp_path, codec, secured)
    async with agent, customer:
        await customer.dial(COLLEAGUE)
        await customer.has_heard(seconds)
        await agent.has_heard(seconds)
        await customer.hang_up()
    rate, sound = agent.rate, soundfile.read(told.directory / "told.wav")
    announcement = np.asarray(soxr.resample(sound[0], sound[1], agent.rate) * 32768, dtype=np.int16)
    exported = {purpose: export(told, fresh(told, purpose, before), purpose) for purpose in PURPOSES}
    for listener, other, leg in ((customer, agent, 0), (agent, customer, 1)):
        heard = listener.heard()
        end = end_of(announcement, heard, rate)
        said_at_end = begin_of(heard[int(end * rate) :], other.speech, rate)
        for legs, _ in exported.values():
            assert begin_of(legs[:, leg], other.speech, rate) > said_at_end
            assert len(legs) >= RECORDED_SECONDS * 0.8 * rate
    (proof,) = exported["coaching"][1]
    assert proof["sha256"] == digest(told.directory)
    began, ended = (datetime.fromisoformat(proof[it]) for it in ("from", "to"))
    assert abs((ended - began).total_seconds() - ANNOUNCED_SECONDS) < 0.1
    assert exported["assessment"][1] == []


@pytest.mark.parametrize("how", ["hold", "hangup"])
async def test_who_has_not_heard_it_to_its_end_is_not_recorded(
    told: Recorder, tmp_path: Path, how: Literal["hold", "hangup"]
) -> None:
    before, ended = clips(told), len(told.tell("calls")["ended"])
    agent, customer = phones(told, tmp_path)
    async with agent, customer:
        await customer.dial(COLLEAGUE)
        await customer.has_heard(0.7)
        if how == "hold":
            await shows(told, "announcing")
            agent.tell("hold")
            await shows(told, "not recorded")
            agent.tell("resume")
            await shows(told, "recording")
            await customer.has_heard(heard_seconds(customer) + 1.0)
        await customer.hang_up()
    rows = until(lambda: told.tell("calls")["ended"], lambda it: len(it) == ended + 1, 20.0)
    became = rows[0]["by_purpose"]
    assert became["coaching"]["outcome"] == "suppressed"
    if how == "hold":
        assert {"announcement-blocked", "announcement-interrupted"} <= set(became["coaching"]["reasons"])
        fresh(told, "assessment", before)  # of whom the callers know already
    else:
        assert became["coaching"]["reasons"] == ["outside-party-not-told-yet"]
    new = {it["clip"] for it in told.clips("coaching")} - before
    assert not new


async def test_of_who_objects_nothing_is_left(told: Recorder, tmp_path: Path) -> None:
    before, ended = clips(told), len(told.tell("calls")["ended"])
    agent, customer = phones(told, tmp_path)
    async with agent, customer:
        await customer.dial(COLLEAGUE)
        await shows(told, "recording")
        await press(agent, "9", customer)  # which is not the agent's key
        await customer.has_heard(heard_seconds(customer) + 1.0)
        await shows(told, "recording")
        await press(customer, "9", agent)
        await shows(told, "not recorded")
        await customer.hang_up()
    rows = until(lambda: told.tell("calls")["ended"], lambda it: len(it) == ended + 1, 20.0)
    became = rows[0]["by_purpose"].values()
    assert [(it["outcome"], it["reasons"]) for it in became] == [("suppressed", ["objection"])] * len(
        PURPOSES
    )
    until(lambda: clips(told), lambda it: it == before, 20.0)


def heard_seconds(phone: baresip.Baresip) -> float:
    """By the size of its file, which has no length while it is written."""
    return (phone.folder / "heard.wav").stat().st_size / 2 / phone.plays


async def shows(recorder: Recorder, state: str) -> None:
    """Wait until `doelband ctl calls show` would say that the one call is in this state."""

    def states() -> list[str]:
        return [it["state"] for it in recorder.answer("signalling", "calls").get("calls", [])]

    await asyncio.to_thread(until, states, lambda it: it == [state], 20.0)


def clips(recorder: Recorder) -> set[str]:
    return {it["clip"] for purpose in PURPOSES for it in recorder.clips(purpose)}


def fresh(recorder: Recorder, purpose: str, before: set[str]) -> str:
    """The clip of this purpose that was not there before, sealed."""

    def sealed() -> set[str]:
        return {it["clip"] for it in recorder.clips(purpose) if it["state"] == "sealed"} - before

    (clip,) = until(sealed, bool, 20.0)
    return str(clip)


def export(recorder: Recorder, clip: str, purpose: str) -> tuple[Samples, list[dict[str, str]]]:
    """Both legs, shape (n, 2), and what is proved to have been announced."""
    file = recorder.directory / f"{clip}.wav"
    value = recorder.tell("clips", "export", clip, str(file), *recorder.listener(purpose))
    samples: Samples = soundfile.read(file, dtype="int16")[0]
    return samples, value["announced"]
