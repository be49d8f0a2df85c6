"""The trunk side in the configuration file: the neighbour there, and who tells us who speaks inside."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from recorder.config.values import (
    Address,
    Network,
    Port,
    Section,
    to_horizon,
    to_tuple,
)

Evidence = Literal["none"]


class Trunk(Section):
    """The provider or the SBC before it, from where else it sends, and who tells us who speaks inside."""

    address: Address = Field(examples=['address = "198.51.100.5"'])
    port: Port = Field(default=5060, examples=["port = 5060"])
    transport: Literal["udp", "tcp"] = Field(default="udp", examples=['transport = "udp" or "tcp"'])
    sources: Annotated[tuple[Network, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=['sources = ["198.51.100.0/28"]']
    )
    evidence: Evidence = Field(examples=['evidence = "none": no call is recorded on the trunk side'])
    horizon: Annotated[timedelta, BeforeValidator(to_horizon)] = Field(
        default=timedelta(seconds=5), examples=['horizon = "5 s"']
    )
