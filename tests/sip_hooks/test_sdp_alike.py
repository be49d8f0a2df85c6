"""Descriptions of one telephone are alike: what is remembered of one gives what reading the next would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.sdp import _described, describe
from tests.sip_hooks.test_sdp import LINES, end_of

MORE_LINES = [
    *LINES,
    b"o=- 7 1 IN IP4 10.0.0.9\r\n",
    b"o=\0\r\n",
    b"m=audio 65535 RTP/AVP 8\r\n",
    b"m=audio 9 RTP/SAVP 8\r\n",
    b"m=video 4000 RTP/AVP 97\r\n",
    b"a=inactive\r\n",
    b"a=RTCP:9\r\n",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n",
    b"a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n",
    b"\r\n",
]
PLAIN = [b"v=0\r\n", b"o=- 1 1 IN IP4 10.0.0.2\r\n", b"c=IN IP4 10.0.0.2\r\n", b"m=audio 4000 RTP/AVP 8\r\n"]


@settings(max_examples=300, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(MORE_LINES)), max_size=4),
    st.sampled_from((None, 0, 1)),
)
def test_what_a_telephone_says_anew_in_each_call_is_read_as_if_it_was_never_heard_before(
    more: list[tuple[int, bytes]], stream: int | None
) -> None:
    lines = list(PLAIN)
    for at, line in more:
        lines.insert(at, line)
    body = b"".join(lines)
    found, expected = describe(body, stream), _described(body, stream)
    assert (found, found.stream) == (expected, expected.stream)


@pytest.mark.parametrize("port", [1, 9, 10, 4000, 65534])
def test_the_same_description_at_another_port_and_of_another_origin(port: int) -> None:
    body = b"".join(PLAIN).replace(b"4000", b"%d" % port).replace(b"- 1 1", b"- 7 %d" % port)
    found = describe(body)
    assert (found, found.origin) == (_described(body, None), b"- 7 %d IN IP4 10.0.0.2" % port)
    assert end_of(found).rtcp_port == port + 1
