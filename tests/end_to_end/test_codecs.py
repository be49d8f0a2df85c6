"""Two telephones that speak something better, or narrower, than G.711: both legs are in the clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.installation import Recorder
from tests.end_to_end.peers import baresip, linphone
from tests.end_to_end.two_phones import likenesses, linphones_likenesses
from tests.fakes.likeness import WAVEFORM

CODECS = {  # in the words of baresip
    "G722": "G722/16000/1",
    "OPUS": "opus/48000/2",
    "GSM": "GSM/8000/1",
    "AMR": "AMR/8000/1",
    "AMR-WB": "AMR-WB/16000/1",
    "L16": "L16/16000/1",
}


@pytest.mark.parametrize("name", CODECS)
async def test_both_legs_are_heard(recorder: Recorder, tmp_path: Path, name: str) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    own = int(CODECS[name].split("/")[1])
    spoken = {"codec": CODECS[name]}
    alike = await likenesses(recorder, tmp_path, name, own, spoken, spoken)
    assert min(alike) >= (0.99 if name in WAVEFORM else 0.9)


async def test_both_legs_of_g729_are_heard(recorder: Recorder, tmp_path: Path) -> None:
    if reason := linphone.missing():
        pytest.skip(reason)
    assert min(await linphones_likenesses(recorder, tmp_path, "G729", "G729")) >= 0.9
