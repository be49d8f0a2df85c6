"""What libre, the SIP stack of baresip, reads in a message: a program of its own, since damage may crash it.

    python libre.py < messages > readings

Each message is its length (4 bytes, big endian) and its bytes; each reading one line of JSON: null when libre
refuses it, else the bytes of what it read, in hexadecimal, and under "count" how often a header is there. The
offsets are those of struct pl, mbuf, sip_hdr and sip_addr of libre 1.x to 3.x.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from ctypes.util import find_library

HEADERS = (
    "From",
    "To",
    "Call-ID",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Diversion",
    "History-Info",
    "Contact",
)
_ADDRESSES = frozenset(HEADERS) - {"Call-ID"}
_NAME, _VALUE = 64, 80  # in struct sip_hdr, behind two struct le
_HEAD = 512  # bytes of struct sip_msg among which the start line is: see `_start_line`


class Libre:
    """The library. Raises OSError when it is not there."""

    def __init__(self) -> None:
        name = find_library("re")
        if name is None:
            raise OSError("libre is not installed (Debian: baresip-core)")
        self.re = ctypes.CDLL(name)
        self.re.libre_init()
        self.re.mbuf_alloc.restype = self.re.mem_deref.restype = self.re.sip_msg_hdr.restype = c_void_p
        self.re.mbuf_alloc.argtypes = [c_size_t]
        self.re.mbuf_write_mem.argtypes = [c_void_p, c_char_p, c_size_t]
        self.re.mem_deref.argtypes = [c_void_p]
        self.re.sip_msg_decode.argtypes = [POINTER(c_void_p), c_void_p]
        self.re.sip_msg_hdr.argtypes = [c_void_p, c_int]
        self.re.sip_msg_hdr_count.argtypes = [c_void_p, c_int]
        self.re.sip_msg_hdr_count.restype = c_uint32
        self.re.sip_addr_decode.argtypes = [c_char_p, c_void_p]
        self.re.hash_joaat_ci.argtypes = [c_char_p, c_size_t]
        self.re.hash_joaat_ci.restype = c_uint32
        self.ids = {it: self.re.hash_joaat_ci(it.encode(), len(it)) & 0xFFF for it in HEADERS}

    def read(self, data: bytes) -> dict[str, object] | None:
        """One message; None when libre refuses it."""
        buffer, message = self.re.mbuf_alloc(len(data) or 1), c_void_p()
        try:
            self.re.mbuf_write_mem(buffer, data, len(data))
            ctypes.memset(buffer + 16, 0, 8)  # position
            if self.re.sip_msg_decode(byref(message), buffer):
                return None
            return self._reading(message, buffer)
        finally:
            self.re.mem_deref(message)
            self.re.mem_deref(buffer)

    def _reading(self, message: c_void_p, buffer: int) -> dict[str, object] | None:
        found: dict[str, object] = {**self._start_line(message, buffer)}
        counts = {}
        for name, id in self.ids.items():
            counts[name.lower()] = self.re.sip_msg_hdr_count(message, id)
            header = self.re.sip_msg_hdr(message, id)
            if header:
                found[name.lower()] = self._value(name, header + _VALUE)
        return {**found, "count": counts}

    def _value(self, name: str, value: int) -> str | None:
        if name not in _ADDRESSES:
            return _text(value)
        address = ctypes.create_string_buffer(512)
        if self.re.sip_addr_decode(address, value):
            return None
        return _text(ctypes.addressof(address) + 16)  # behind the display name

    def _start_line(self, message: c_void_p, buffer: int) -> dict[str, str]:
        """A request has version, method and Request-URI, a response version and, behind zeros, its status."""
        start, size = struct.unpack("QQ", ctypes.string_at(buffer, 16))
        words = struct.unpack(f"{_HEAD // 8}Q", ctypes.string_at(message.value or 0, _HEAD))
        version = next(at for at, word in enumerate(words) if start <= word < start + size)
        method, uri, length = words[version + 2], *words[version + 4 : version + 6]
        if method:
            return {"request-uri": ctypes.string_at(uri, length).hex()}
        status = next(word for word in words[version + 2 :] if word) & 0xFFFF
        return {"status": str(status).encode().hex()}


def _text(pl: int) -> str:
    at, size = struct.unpack("QQ", ctypes.string_at(pl, 16))
    return ctypes.string_at(at, size).hex() if at else ""


def main() -> None:
    """Read until there is no more."""
    libre = Libre()
    while len(length := sys.stdin.buffer.read(4)) == 4:
        data = sys.stdin.buffer.read(int.from_bytes(length))
        sys.stdout.write(json.dumps(libre.read(data)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
