"""How the values of the configuration file are written: durations, sizes, ports, addresses, names, paths."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from os.path import normpath
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from recorder import scheme
from sip_hooks.address import Family, canonical, family_of

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|days?|weeks?)")
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "day": "days",
    "days": "days",
    "week": "weeks",
    "weeks": "weeks",
}
_SAMPLE = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,2}))? *%")
_SIZE = re.compile(r"([0-9]{1,6}) *(MB|GB)")
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_PORTS = re.compile(r"([0-9]{1,5}) *- *([0-9]{1,5})")


def on_loopback(value: str) -> str:
    if not ip_address(value).is_loopback:
        raise ValueError("only programs of this machine may ask; write 127.0.0.1 or ::1")
    return value


def to_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def to_retention(value: object) -> object:
    """Whole days: 30, "30 days" or "4 weeks"."""
    days = timedelta(days=value) if type(value) is int else _duration(value, ("day", "days", "week", "weeks"))
    if days < timedelta(days=1) or days % timedelta(days=1):
        raise ValueError("a retention is at least one whole day")
    return days


def to_sample(value: object) -> object:
    """Hundredths of a per cent, from "5 %"."""
    match = _SAMPLE.fullmatch(value.strip()) if isinstance(value, str) else None
    hundredths = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else 0
    if not 0 < hundredths < scheme.SAMPLE_SCALE:
        raise ValueError("a sample lies between 0.01 % and 99.99 % of the calls, in hundredths of a per cent")
    return hundredths


def to_bytes(value: object) -> object:
    """A size of whole megabytes or gigabytes (powers of 1000): "64 MB", "1 GB"; in bytes."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("this is not a size")
    return int(match[1]) * (10**6 if match[2] == "MB" else 10**9)


def to_horizon(value: object) -> object:
    seconds = _duration(value, ("ms", "s"))
    if not timedelta(milliseconds=200) <= seconds <= timedelta(seconds=30):
        raise ValueError("the horizon lies between 200 ms and 30 s")
    return seconds


def to_pause(value: object) -> object:
    """Whole seconds."""
    seconds = _duration(value, ("s",))
    if not timedelta(seconds=10) <= seconds <= timedelta(minutes=30) or seconds % timedelta(seconds=1):
        raise ValueError("a pause ends after 10 s to 1800 s")
    return seconds


def _duration(value: object, units: tuple[str, ...]) -> timedelta:
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError("this is not a duration")
    try:
        return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        raise ValueError("this duration is too long") from None


def to_ports(value: object) -> object:
    match = _PORTS.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("this is not a range of ports")
    return int(match[1]), int(match[2])


def to_path(value: object, info: ValidationInfo) -> object:
    """A relative path starts at the configuration file's directory."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("this is not a path")
    return Path(normpath(Path((info.context or {}).get("base", "")) / value))


def _address(text: str) -> str:
    """IPv4 or IPv6, as RFC 5952 writes it, so that two spellings are one address."""
    if text[:4].lower() == "fe80" or "%" in text:
        raise ValueError("a link-local address reaches nobody on another link")
    try:
        address = canonical(text)
    except ValueError:
        raise ValueError("this is not an IP address") from None
    if family_of(address) == 4 and ":" in text:
        raise ValueError("this is an IPv4 address in an IPv6 one")
    return address


def _network(text: str) -> str:
    """An address, or a network "198.51.100.0/28"."""
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("this is neither an IP address nor a network without host bits") from None


def _server(text: str) -> str:
    """An IP address, or a host name in small letters (RFC 1123 §2.1), whose last label is no number."""
    if _NAME.fullmatch(text) is None or text.rpartition(".")[2].isdigit():
        return _address(text)
    return text.lower()


def _of_family(family: Family) -> AfterValidator:
    def checked(text: str) -> str:
        if family_of(address := _address(text)) != family:
            raise ValueError(f"this is not an IPv{family} address")
        return address

    return AfterValidator(checked)


def like(pattern: str, words: str) -> AfterValidator:
    """A text of this pattern; a message shows the words in place of the pattern."""
    expression = re.compile(pattern)

    def checked(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError(f"this is not {words}")
        return text

    return AfterValidator(checked)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(to_tuple)]
SomeTexts = Annotated[tuple[Text, ...], BeforeValidator(to_tuple), Field(min_length=1)]
Name = Annotated[str, like(r"[a-z0-9][a-z0-9-]{0,39}", "a name of small letters, digits and hyphens")]
Prefix = Annotated[str, like(r"[0-9]{0,6}", "at most 6 digits")]
Address = Annotated[str, AfterValidator(_address)]
Server = Annotated[str, AfterValidator(_server)]
Address4 = Annotated[str, _of_family(4)]
Address6 = Annotated[str, _of_family(6)]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[str, AfterValidator(_network)]
Directory = Annotated[Path, BeforeValidator(to_path)]
RequiredFile = Annotated[Path, BeforeValidator(to_path)]
File = Annotated[Path | None, BeforeValidator(to_path)]


class Section(BaseModel):
    """A part of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
