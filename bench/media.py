"""Recording: our relay with capture and a real vault against rtpengine that records, G.711 with 20 ms.

All on one core. CPU time per call of all processes of a peer, at 500 calls or, with _200, at 200; what a
peer cannot have because it lost packets is left out:

rtpengine_recording_cpu_ratio            ours, recording and sealing / rtpengine, recording to pcap
rtpengine_iouring_recording_cpu_ratio    the same, against rtpengine with io_uring
c_relay_cpu_ratio                        ours, relaying / the minimal C relay
c_relay_recording_cpu_ratio              ours, recording and sealing / the minimal C relay
"""

from __future__ import annotations

import contextlib

from bench.load import Load
from bench.measure import Result
from bench.peers import Peer
from bench.peers.doelband import doelband
from bench.peers.minimal import minimal
from bench.peers.recording import recording
from bench.peers.rtpengine import rtpengine
from bench.processes import BenchError

LOADS = (Load(calls=200, warm_up=5.0), Load(calls=500, warm_up=5.0))
"""Long enough for the first audio to be older than the commit horizon and on the disk."""
PEERS: dict[str, Peer] = {
    "c": minimal(),
    "doelband": doelband("none"),
    "doelband-recording": recording,
    "rtpengine": rtpengine(),
    "rtpengine-iouring": rtpengine("--io-uring"),
    "rtpengine-recording": rtpengine(is_recording=True),
    "rtpengine-iouring-recording": rtpengine("--io-uring", is_recording=True),
}


def ratios(result: Result) -> dict[str, float]:
    """The figures that the benchmark is run for."""
    ours, ratios = "doelband-recording", dict[str, float]()
    for name, one, other, calls in (
        ("rtpengine_recording_cpu_ratio", ours, "rtpengine-recording", 500),
        ("rtpengine_recording_cpu_ratio_200", ours, "rtpengine-recording", 200),
        ("rtpengine_iouring_recording_cpu_ratio", ours, "rtpengine-iouring-recording", 500),
        ("rtpengine_iouring_recording_cpu_ratio_200", ours, "rtpengine-iouring-recording", 200),
        ("c_relay_cpu_ratio", "doelband", "c", 500),
        ("c_relay_recording_cpu_ratio", ours, "c", 500),
    ):
        with contextlib.suppress(BenchError):  # a peer that loses its packets has no figure
            ratios[name] = result.ratio(one, other, calls)
    return ratios
