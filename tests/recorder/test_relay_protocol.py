"""Orders to the relay are read strictly, and what a description says can always be ordered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.relay.protocol import OrderError, addresses_of, level_of, remotes_of, session_of, sessions_of
from sip_hooks.sdp import describe

PORTS = st.sampled_from((0, 1, 4000, 65534, 65535, 65536)) | st.integers(0, 70000)
ADDRESSES = st.sampled_from(("0.0.0.0", "0.0.0.1", "10.0.0.2", "223.255.255.255", "224.0.0.1", "010.0.0.1"))


def test_orders_are_read_strictly() -> None:
    def check(expected: str, **order: Any) -> None:
        with pytest.raises(OrderError, match=expected):
            session_of(order), sessions_of(order), level_of(order), remotes_of(order), addresses_of(order)

    good: dict[str, Any] = {
        "session": 1,
        "sessions": [1],
        "level": "all",
        "side": "a",
        "remotes": [["127.0.0.1", 4000, 4001]],
        "addresses": ["127.0.0.1", "::1"],
    }
    remotes_of(good)
    assert addresses_of(good) == ("127.0.0.1", "::1")
    assert remotes_of({**good, "remotes": [["2001:DB8:0::1", 4000, 4001]]}).ends[0].address == "2001:db8::1"
    check("session", **{**good, "session": -1})
    check("session", **{**good, "session": True})
    check("session", **{**good, "session": 2**64})
    check("sessions", **{**good, "sessions": 1})
    check("session", **{**good, "sessions": [1, 2**64]})
    check("level", **{**good, "level": "ALL"})
    check("level", **{**good, "level": None})
    check("side", **{**good, "side": "c"})
    check("remotes", **{**good, "remotes": None})
    check("remote is", **{**good, "remotes": [["127.0.0.1", 4000]]})
    check("IPv4 or IPv6", **{**good, "remotes": [["pbx.example", 4000, 4001]]})
    check("IPv4 or IPv6", **{**good, "remotes": [["fe80::1%lo", 4000, 4001]]})
    check("addresses", **{**good, "addresses": ["127.0.0.1"]})
    check("IPv4 or IPv6", **{**good, "addresses": ["127.0.0.1", None]})
    check("RTP port", **{**good, "remotes": [["127.0.0.1", 0, 4001]]})
    check("RTCP port", **{**good, "remotes": [["127.0.0.1", 4000, 65536]]})
    check("exactly one", **{**good, "final": True, "remotes": []})
    check("payload_types", **{**good, "payload_types": {"0": 1}})
    check("payload type", **{**good, "payload_types": [128]})


@given(PORTS, st.none() | PORTS, ADDRESSES, st.none() | ADDRESSES, st.lists(st.integers(0, 130), min_size=1))
def test_what_a_description_asks_for_can_be_ordered(
    port: int, rtcp_port: int | None, address: str, rtcp_address: str | None, formats: list[int]
) -> None:
    rtcp = "" if rtcp_port is None else f"a=rtcp:{rtcp_port}"
    if rtcp and rtcp_address:
        rtcp += f" IN IP4 {rtcp_address}"
    named = " ".join(str(each) for each in formats)
    lines = ("v=0", f"c=IN IP4 {address}", f"m=audio {port} RTP/AVP {named}", *filter(None, [rtcp]))
    end = describe("\r\n".join(lines).encode()).end
    if end is None or not end.rtp_port:
        return
    ends = [[end.address, end.rtp_port, end.rtcp_port]]
    types = sorted(end.payload_types)
    remotes_of({"side": "a", "remotes": ends, "payload_types": types, "final": True})
