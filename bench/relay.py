"""Forwarding: our relay against the floor and against rtpengine, G.711 with 20 ms, 200 and 500 calls.

c_relay_cpu_ratio               ours without a tap / the minimal C relay, at 500 calls
c_relay_cpu_ratio_200           the same at 200 calls
c_relay_cpu_ratio_tapped        ours with every call tapped into the ring / the minimal C relay, at 500
c_gathering_relay_cpu_ratio     ours / a C relay that lets packets gather as long as ours does, at 500
rtpengine_cpu_ratio             ours / rtpengine relaying, at 500
rtpengine_iouring_cpu_ratio     ours / rtpengine with io_uring, at 500
"""

from __future__ import annotations

from bench.load import Load
from bench.measure import Result
from bench.peers import Peer
from bench.peers.doelband import doelband
from bench.peers.minimal import minimal
from bench.peers.rtpengine import rtpengine
from recorder.relay.worker import GATHER_SECONDS

LOADS = (Load(calls=200), Load(calls=500))
PEERS: dict[str, Peer] = {
    "c": minimal(),
    "doelband": doelband("none"),
    "c-gathering": minimal(round(GATHER_SECONDS * 1e6)),
    "doelband-tapped": doelband("all"),
    "rtpengine": rtpengine(),
    "rtpengine-iouring": rtpengine("--io-uring"),
}


def ratios(result: Result) -> dict[str, float]:
    """The figures that the benchmark is run for."""
    return {
        "c_relay_cpu_ratio": result.ratio("doelband", "c", 500),
        "c_relay_cpu_ratio_200": result.ratio("doelband", "c", 200),
        "c_relay_cpu_ratio_tapped": result.ratio("doelband-tapped", "c", 500),
        "c_gathering_relay_cpu_ratio": result.ratio("doelband", "c-gathering", 500),
        "rtpengine_cpu_ratio": result.ratio("doelband", "rtpengine", 500),
        "rtpengine_iouring_cpu_ratio": result.ratio("doelband", "rtpengine-iouring", 500),
    }
