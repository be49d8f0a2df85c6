"""Our copies of SRTP packets open as libsrtp would open them (RFC 3711, RFC 6188, RFC 7714)."""

from __future__ import annotations

import os
import struct

import pylibsrtp
import pytest

from recorder.rtp import FIXED_BYTES
from recorder.srtp import MOST_SEARCHES, MasterKey, Opener, _derived
from sip_hooks.sdes import SUITES

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
every_profile = pytest.mark.parametrize("suite", PROFILES)
SUITE = "AES_CM_128_HMAC_SHA1_80"
SSRC = 0xDECAFBAD


def key_of(suite: str) -> bytes:
    return bytes(range(1, 1 + SUITES[suite.encode()]))


def sender(suite: str) -> pylibsrtp.Session:
    outbound = pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    return pylibsrtp.Session(
        pylibsrtp.Policy(key=key_of(suite), ssrc_type=outbound, srtp_profile=PROFILES[suite])
    )


def opener(suite: str, mki: bytes = b"") -> Opener:
    return Opener(MasterKey(suite, key_of(suite), mki))


def plain(sequence: int, payload: bytes = b"words", *, first: int = 0x80, ssrc: int = SSRC) -> bytes:
    return struct.pack("!BBHII", first, 8, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc) + payload


def opened(tool: Opener, packet: bytes) -> bytes | None:
    found = tool.open(packet)
    return None if found is None else bytes(found[1])


@every_profile
def test_packets_of_libsrtp_open(suite: str) -> None:
    source, tool = sender(suite), opener(suite)
    for sequence, payload in ((7, b""), (8, b"x"), (9, os.urandom(160)), (12, os.urandom(1000))):
        assert opened(tool, source.protect(plain(sequence, payload))) == plain(sequence, payload)


@every_profile
def test_extension_contributors_and_padding_are_read_after_opening(suite: str) -> None:
    extended = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 8, 5, 800, SSRC) + bytes(8)
    packet = extended + struct.pack("!HHI", 0xBEDE, 1, 0) + b"words" + b"\0\0\3"
    header, whole = opener(suite).open(sender(suite).protect(packet)) or pytest.fail("it did not open")
    assert whole[header.start : header.end] == b"words"


@every_profile
def test_a_packet_that_was_touched_does_not_open(suite: str) -> None:
    good = sender(suite).protect(plain(1, bytes(20)))
    for at in (1, 3, 7, 11, FIXED_BYTES, len(good) - 1):
        spoilt = bytearray(good)
        spoilt[at] ^= 1
        assert opened(opener(suite), bytes(spoilt)) is None
    for length in range(len(good)):
        assert opened(opener(suite), good[:length]) is None


@every_profile
def test_another_key_opens_nothing(suite: str) -> None:
    other = Opener(MasterKey(suite, bytes(SUITES[suite.encode()])))
    assert opened(other, sender(suite).protect(plain(1))) is None


@every_profile
def test_the_sequence_number_begins_anew_and_packets_come_in_disorder(suite: str) -> None:
    source, tool = sender(suite), opener(suite)
    packets = {number: source.protect(plain(number)) for number in range(65_500, 65_600)}
    order = sorted(packets, key=lambda number: number ^ 0x1F)
    assert all(opened(tool, packets[number]) == plain(number) for number in order)


def test_who_comes_late_finds_out_how_often_it_began_anew() -> None:
    source = sender(SUITE)
    for number in range(0, 3 * 65536, 16_000):  # libsrtp counts along
        source.protect(plain(number))
    tool = opener(SUITE)
    assert opened(tool, source.protect(plain(3 * 65536 + 5))) == plain(3 * 65536 + 5)


def test_who_was_away_for_more_than_half_a_turn_finds_the_way_back() -> None:
    source, tool = sender(SUITE), opener(SUITE)
    assert opened(tool, source.protect(plain(10)))
    for number in range(16_000, 65_000, 16_000):
        source.protect(plain(number))
    assert opened(tool, source.protect(plain(65_000))) == plain(65_000)
    assert opened(tool, source.protect(plain(65_001))) == plain(65_001)


def test_a_flood_of_what_does_not_open_is_not_searched_for_ever() -> None:
    source, tool = sender(SUITE), opener(SUITE)
    for number in range(16_000, 100_000, 16_000):
        source.protect(plain(number))
    far = source.protect(plain(100_000))
    for number in range(MOST_SEARCHES):
        assert opened(tool, plain(number, bytes(30))) is None
    assert opened(tool, far) is None
    near = sender(SUITE).protect(plain(5))
    assert opened(tool, near) == plain(5)


@every_profile
def test_a_packet_opens_once(suite: str) -> None:
    source, tool = sender(suite), opener(suite)
    packets = [source.protect(plain(number)) for number in range(100, 1300)]
    assert all(opened(tool, it) for it in packets)
    assert not any(opened(tool, it) for it in packets)


def test_what_was_said_while_nobody_listened_opens_no_more() -> None:
    """A pause: who sits between may not put it into a silence that comes after."""
    source, tool = sender(SUITE), opener(SUITE)
    packets = [source.protect(plain(number)) for number in range(300)]
    assert opened(tool, packets[0])
    assert opened(tool, packets[200])
    assert not any(opened(tool, it) for it in packets[1:150])
    assert opened(tool, packets[199]), "a packet may be belated"


def test_sources_have_indices_of_their_own() -> None:
    source, tool = sender(SUITE), opener(SUITE)
    for ssrc in range(1, 30):
        for number in (65_535, 65_536):
            packet = plain(number, ssrc=ssrc)
            assert opened(tool, source.protect(packet)) == packet


@pytest.mark.parametrize("suite", [SUITE, "AEAD_AES_128_GCM"])
def test_the_name_of_the_key_is_taken_out(suite: str) -> None:
    sealed = sender(suite).protect(plain(1))
    at = len(sealed) if "GCM" in suite else len(sealed) - 10
    tool = opener(suite, b"\0\7")
    assert opened(tool, sealed[:at] + b"\0\7" + sealed[at:]) == plain(1)
    assert opened(tool, sealed[:at] + b"\0\6" + sealed[at:]) is None
    assert opened(tool, sealed) is None


def test_session_keys_of_aes_128_are_those_of_rfc_3711_b3() -> None:
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert _derived(master, salt, 0, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert _derived(master, salt, 1, 20).hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"
    assert _derived(master, salt, 2, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"


def test_session_keys_of_aes_256_are_those_of_rfc_6188_7_4() -> None:
    master = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    assert _derived(master, salt, 0, 32).hex() == (
        "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    )
    assert _derived(master, salt, 1, 20).hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"
    assert _derived(master, salt, 2, 14).hex() == "fa31791685ca444a9e07c6c64e93"
