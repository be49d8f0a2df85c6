"""The trunk side in the configuration file: the neighbour there, and who tells us who speaks inside."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from recorder.config.values import (
    Address,
    Network,
    Port,
    RequiredFile,
    Section,
    SomeTexts,
    Text,
    to_horizon,
    to_tuple,
)

Evidence = Literal["phones", "dialogs", "ami", "esl", "none"]


class Ami(Section):
    """Asterisk's manager interface: who is connected with whom.

    `trunk`: the endpoints of the trunk, as channels name them: "provider" of PJSIP/provider-00000001.
    """

    address: Address = Field(examples=['address = "192.0.2.20"'])
    port: Port = Field(default=5038, examples=["port = 5038"])
    user: Text = Field(examples=['user = "doelband"'])
    secret_file: RequiredFile = Field(examples=['secret_file = "ami.secret"'])
    trunk: SomeTexts = Field(examples=['trunk = ["provider"]'])


class Esl(Section):
    """FreeSWITCH's event socket: who is connected with whom. `trunk`: the sofia profiles of the trunk."""

    address: Address = Field(examples=['address = "192.0.2.20"'])
    port: Port = Field(default=8021, examples=["port = 8021"])
    password_file: RequiredFile = Field(examples=['password_file = "esl.password"'])
    trunk: SomeTexts = Field(examples=['trunk = ["external"]'])


class Dialogs(Section):
    """The PBX's dialog events (RFC 4235), over TCP: in which calls each agent's extension is.

    `domain`: of the extensions' addresses of record, sip:201@`domain`. `user` subscribes to them.
    """

    address: Address = Field(examples=['address = "192.0.2.20"'])
    port: Port = Field(default=5060, examples=["port = 5060"])
    domain: Text = Field(examples=['domain = "pbx.example.nl"'])
    user: Text = Field(examples=['user = "doelband"'])
    password_file: RequiredFile = Field(examples=['password_file = "dialogs.password"'])


class Trunk(Section):
    """The provider or the SBC before it, from where else it sends, and who tells us who speaks inside."""

    address: Address = Field(examples=['address = "198.51.100.5"'])
    port: Port = Field(default=5060, examples=["port = 5060"])
    transport: Literal["udp", "tcp"] = Field(default="udp", examples=['transport = "udp" or "tcp"'])
    sources: Annotated[tuple[Network, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=['sources = ["198.51.100.0/28"]']
    )
    evidence: Evidence = Field(
        examples=[
            'evidence = "phones", "dialogs", "ami", "esl", or "none": no call is recorded on the trunk side'
        ]
    )
    horizon: Annotated[timedelta, BeforeValidator(to_horizon)] = Field(
        default=timedelta(seconds=5), examples=['horizon = "5 s"']
    )
    dialogs: Dialogs | None = Field(
        default=None, examples=["a section [trunk.dialogs] with address, domain, user, password_file"]
    )
    ami: Ami | None = Field(default=None, examples=["a section [trunk.ami] with address, user, secret_file"])
    esl: Esl | None = Field(default=None, examples=["a section [trunk.esl] with address, password_file"])
