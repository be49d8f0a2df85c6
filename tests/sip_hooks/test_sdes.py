"""Which keys in descriptions are read, and that whatever else is there makes them useless (RFC 4568)."""

from __future__ import annotations

from base64 import b64encode

import pytest

from sip_hooks.sdes import SUITES, Crypto, crypto

KEY = bytes(range(30))
INLINE = b"inline:" + b64encode(KEY)
SUITE = b"AES_CM_128_HMAC_SHA1_80"


def line(rest: bytes = b"", suite: bytes = SUITE, inline: bytes = INLINE) -> bytes:
    return b"crypto:1 " + suite + b" " + inline + rest


@pytest.mark.parametrize("suite", SUITES)
def test_a_key_of_every_suite_is_read(suite: bytes) -> None:
    key = bytes(range(SUITES[suite]))
    assert crypto(line(b"", suite, b"inline:" + b64encode(key))) == Crypto(1, suite.decode(), key)


@pytest.mark.parametrize(
    ("rest", "mki"),
    [
        (b"|2^20", b""),
        (b"|1048576", b""),
        (b"|2^20|1:4", b"\0\0\0\1"),
        (b"|66:1", b"\x42"),
        (b" WSH=128", b""),
        (b"|2^31 UNENCRYPTED_SRTCP WSH=64 ", b""),
    ],
)
def test_lifetime_name_and_what_does_not_matter_are_understood(rest: bytes, mki: bytes) -> None:
    assert crypto(line(rest)) == Crypto(1, SUITE.decode(), KEY, mki)


def test_suites_of_256_bits_are_also_spelt_as_telephones_do() -> None:
    inline = b"inline:" + b64encode(bytes(46))
    found = crypto(line(b"", b"AES_CM_256_HMAC_SHA1_80", inline))
    assert found == crypto(line(b"", b"AES_256_CM_HMAC_SHA1_80", inline)) is not None


def test_a_key_is_also_read_where_its_padding_is_left_out() -> None:
    inline = b"inline:" + b64encode(bytes(46)).rstrip(b"=")
    assert crypto(line(b"", b"AES_256_CM_HMAC_SHA1_80", inline)) is not None


@pytest.mark.parametrize(
    "value",
    [
        line(b"", b"F8_128_HMAC_SHA1_80"),  # another cipher
        line(b"", b"AES_CM_128_HMAC_SHA1_96"),
        line(b" KDR=1"),  # keys are derived anew on the way
        line(b" UNENCRYPTED_SRTP"),
        line(b" UNAUTHENTICATED_SRTP"),
        line(b" FEC_ORDER=SRTP_FEC"),
        line(b" -X"),
        line(b";" + INLINE),  # two keys
        line(b"|2^20|1:0"),
        line(b"|2^20|1:129"),
        line(b"|2^20|256:1"),  # a name that does not fit
        line(b"|2^20|1"),
        line(b"", SUITE, b"inline:" + b64encode(KEY[:-1])),
        line(b"", SUITE, b"inline:" + b64encode(KEY + b"x")),
        line(b"", SUITE, b"inline:"),
        line(b"", SUITE, b"inline:" + b64encode(KEY) + b"==="),
        line(b"", SUITE, b"inline:" + b64encode(KEY)[:-3]),
        line(b"", SUITE, b"uri:" + b64encode(KEY)),
        b"crypto:x " + SUITE + b" " + INLINE,
        b"crypto: " + SUITE + b" " + INLINE,
        b"crypto:1 " + SUITE,
        b"crypto:1",
        b"crypto",
    ],
)
def test_what_is_not_understood_to_the_last_word_is_no_key(value: bytes) -> None:
    assert crypto(value) is None


def test_a_key_does_not_show() -> None:
    found = crypto(line())
    assert found is not None
    assert "key" not in repr(found)
