"""How long a payload lasts is told from it, as the RFC of its codec says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.codecs import ALIGNED, RATES, amr_frames, is_kept, name_in_clip, ticks

MS = 8
"""Ticks."""


@pytest.mark.parametrize(
    ("name", "rate", "payload", "milliseconds"),
    [
        ("PCMU", 8000, bytes(160), 20),
        ("PCMA", 8000, bytes(240), 30),
        ("G722", 8000, bytes(160), 20),  # 64 kbit/s (RFC 3551 §4.5.2)
        ("L16", 8000, bytes(320), 20),
        ("L16", 16000, bytes(640), 20),
        ("L16", 8000, bytes(321), 0),
        ("GSM", 8000, bytes(33), 20),
        ("GSM", 8000, bytes(66), 40),
        ("GSM", 8000, bytes(32), 0),
        ("G729", 8000, bytes(20), 20),
        ("G729", 8000, bytes(10), 10),
        ("G729", 8000, bytes(2), 10),  # comfort noise alone (annex B)
        ("G729", 8000, bytes(22), 30),
        ("G729", 8000, bytes(13), 0),
        ("ILBC", 8000, bytes(38), 20),
        ("ILBC", 8000, bytes(50), 30),
        ("ILBC", 8000, bytes(100), 60),
        ("ILBC", 8000, bytes(40), 0),
        ("OPUS", 48000, bytes([0x08 | 0]), 20),  # configuration 1, one frame (RFC 6716 §3.1)
        ("OPUS", 48000, bytes([0x18 | 1, 0]), 120),  # SILK of 60 ms, two frames
        ("OPUS", 48000, bytes([0x60, 0]), 10),  # hybrid
        ("OPUS", 48000, bytes([0xF8 | 3, 6]), 120),  # CELT of 20 ms, six frames
        ("OPUS", 48000, bytes([0x80, 0]), 2.5),
        ("OPUS", 48000, bytes([0xF8 | 3, 7]), 0),  # longer than a packet may be
        ("OPUS", 48000, bytes([0xF8 | 3]), 0),
        # RFC 4867 §4.3.5: bandwidth-efficient, one frame of 7.4 kbit/s after CMR and one entry
        ("AMR", 8000, bytes([0xF2, 0x40]) + bytes(18), 20),
        ("AMR", 8000, bytes([0xF2, 0x40]) + bytes(16), 0),
        ("AMR" + ALIGNED, 8000, bytes([0xF0, 0x3C]) + bytes(31), 20),  # 12.2 kbit/s (§4.4.5)
        ("AMR" + ALIGNED, 8000, bytes([0xF0, 0xBC, 0x3C]) + bytes(62), 40),
        ("AMR" + ALIGNED, 8000, bytes([0xF0, 0x44]) + bytes(5), 20),  # comfort noise
        ("AMR" + ALIGNED, 8000, bytes([0xF0, 0x7C]), 20),  # nothing said
        ("AMR" + ALIGNED, 8000, bytes([0xF0, 0x6C]), 0),  # type 13 is not used
        ("AMR" + ALIGNED, 8000, bytes([0xF0, *[0xFC] * 49, 0x7C]), 1000),
        ("AMR" + ALIGNED, 8000, bytes([0xF0, *[0xFC] * 50, 0x7C]), 0),  # longer than any packet
        ("AMR-WB" + ALIGNED, 16000, bytes([0xF0, 0x14]) + bytes(32), 20),
        ("AMR-WB", 16000, bytes([0xF1, 0x40]) + bytes(32), 20),
    ],
)
def test_how_long_a_payload_lasts(name: str, rate: int, payload: bytes, milliseconds: float) -> None:
    assert ticks(name, rate, payload) == milliseconds * MS


@given(st.sampled_from(sorted(RATES)), st.binary(max_size=200))
def test_whatever_comes_has_a_length_that_a_packet_can_have(name: str, payload: bytes) -> None:
    length = ticks(name, RATES[name][0], payload)
    assert 0 <= length <= 8 * len(payload) * 20 * MS


def test_frames_of_amr_are_the_same_in_both_formats() -> None:
    """Two frames: 4.75 kbit/s all ones, and comfort noise all ones."""
    ones = (1 << 95) - 1
    aligned = (
        bytes([0xF0, 0x84, 0x44])
        + (ones << 1).to_bytes(12, "big")
        + (((1 << 39) - 1) << 1).to_bytes(5, "big")
    )
    packed = 0xF << 12 | 0b100001 << 6 | 0b010001
    bits = (packed << 95 | ones) << 39 | (1 << 39) - 1
    efficient = (bits << 2).to_bytes((16 + 95 + 39 + 2) // 8, "big")
    assert amr_frames("AMR", efficient) == amr_frames("AMR" + ALIGNED, aligned)
    assert [kind for kind, _ in amr_frames("AMR", efficient)] == [0, 8]


@pytest.mark.parametrize(
    ("name", "channels", "parameters", "called", "kept"),
    [
        ("PCMU", 1, "", "PCMU", True),
        ("L16", 2, "", "L16/2", False),
        ("OPUS", 2, "useinbandfec=1", "OPUS", True),
        ("AMR", 1, "mode-set=0,2; Octet-Align=1", "AMR;OCTET-ALIGN=1", True),
        ("AMR", 1, "octet-align=0", "AMR", True),
        ("AMR-WB", 1, "", "AMR-WB", True),
        ("AMR", 1, "octet-align=1; crc=1", "AMR;CRC", False),
        ("AMR", 1, "octet-align=1;interleaving=5", "AMR;INTERLEAVING", False),
        ("AMR", 2, "", "AMR;CHANNELS", False),
        ("G723", 1, "", "G723", False),
    ],
)
def test_what_a_clip_calls_it(name: str, channels: int, parameters: str, called: str, kept: bool) -> None:
    rate = {"OPUS": 48000, "AMR-WB": 16000}.get(name, 8000)
    assert name_in_clip(name, channels, parameters) == called
    assert is_kept(called, rate) is kept


def test_a_clock_that_a_codec_does_not_have_is_not_kept() -> None:
    assert not is_kept("OPUS", 8000)
    assert not is_kept("L16", 48000)
