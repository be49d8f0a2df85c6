"""What rtpengine has recorded: pcap files, read to count the load's packets in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from bench.processes import BenchError
from bench.tags import Tags

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAGIC = 0xA1B2C3D4
_UDP = 8


def packets(directory: Path) -> int:
    """How many different packets of the load lie below a directory, each of them whole."""
    tags = Tags()
    for file in directory.rglob("*.pcap"):
        for data in _frames(file.read_bytes()):
            tags.add(data[4 * (data[0] & 0x0F) + _UDP :])
    return tags.count


def _frames(data: bytes) -> Iterator[bytes]:
    """The IP packets in a file of format `raw`."""
    if len(data) < _FILE.size or _FILE.unpack_from(data)[0] != _MAGIC:
        raise BenchError("a file of rtpengine is no pcap file")
    at = _FILE.size
    while at < len(data):
        _, _, kept, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + kept
        if kept != length or at > len(data):
            raise BenchError("a file of rtpengine ends in the middle of a packet")
        yield data[at - kept : at]
