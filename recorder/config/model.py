"""The configuration file as values: one class a section, unknown keys refused.

The example of a field is what an error message tells the administrator to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo, model_validator

from recorder import numbering, scheme, sounds
from recorder.agent_keys import AgentKeys
from recorder.config.features import Conferences, FeatureCodesSection, OnDemand, Pause, Private
from recorder.config.trunk import Trunk
from recorder.config.values import (
    Address,
    Address4,
    Address6,
    Directory,
    File,
    Name,
    Port,
    Prefix,
    RequiredFile,
    Section,
    Server,
    SomeTexts,
    Text,
    Texts,
    like,
    on_loopback,
    to_bytes,
    to_horizon,
    to_ports,
    to_retention,
    to_sample,
    to_tuple,
)
from sip_hooks.address import Family
from sip_hooks.settings import Transport


class Certificate(Section):
    """One more certificate of a listener, for the names that it holds (RFC 6066 §3)."""

    certificate: Directory = Field(examples=['certificate = "other.pem"'])
    private_key: Directory = Field(examples=['private_key = "other.key"'])


class Listener(Section):
    """A socket for SIP, and whom it faces. `advertised` is the address that the neighbours are told.
    `leads_to`: where what the PBX sends here goes. `nat`: telephones that use it may be behind one.

    `certificate` (with its chain) and `private_key` are PEM files; `client_ca` says whose certificates others
    may show, and `client_certificate` whether they must. `certificates` are shown to whoever asks for a name
    in one of them, `certificate` to all others.
    """

    address: Address = Field(examples=['address = "192.0.2.10"'])
    port: Port = Field(default=5060, examples=["port = 5060"])
    side: Literal["phones", "pbx", "both", "trunk"] = Field(
        examples=['side = "phones", "pbx", "both" or "trunk"']
    )
    leads_to: Literal["phones", "trunk"] = Field(default="phones", examples=['leads_to = "trunk"'])
    advertised: Address | None = Field(default=None, examples=['advertised = "192.0.2.10"'])
    nat: bool = Field(default=False, examples=["nat = true"])
    transport: Transport = Field(default="udp", examples=['transport = "udp", "tcp" or "tls"'])
    certificate: File = Field(default=None, examples=['certificate = "sip.pem"'])
    private_key: File = Field(default=None, examples=['private_key = "sip.key"'])
    certificates: Annotated[tuple[Certificate, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=["sections [[listeners.certificates]]"]
    )
    client_ca: File = Field(default=None, examples=['client_ca = "phones-ca.pem"'])
    client_certificate: Literal["required", "optional"] = Field(
        default="required", examples=['client_certificate = "required" or "optional"']
    )

    @property
    def name(self) -> str:
        over = "" if self.transport == "udp" else f"-{self.transport}"
        return f"{self.side}-{self.address}-{self.port}{over}"

    @property
    def advertised_address(self) -> str:
        return self.advertised or self.address


class Pbx(Section):
    """The next hop of everything that comes from the phones. `address` may be a name, with SRV records and,
    where neither `port` nor `transport` is written, NAPTR records.
    """

    address: Server = Field(examples=['address = "192.0.2.20"'])
    port: Port = Field(default=5060, examples=["port = 5060"])
    transport: Transport = Field(default="udp", examples=['transport = "udp", "tcp" or "tls"'])
    ca: File = Field(default=None, examples=['ca = "pbx-ca.pem"'])
    server_name: Text | None = Field(default=None, examples=['server_name = "pbx.example.nl"'])
    verify: bool = Field(default=True, examples=["verify = true"])
    registration: Literal["contact", "path"] = Field(
        default="contact", examples=['registration = "contact" or "path"']
    )

    @property
    def is_name(self) -> bool:
        return ":" not in self.address and not self.address.rpartition(".")[2].isdigit()

    @property
    def is_any_transport(self) -> bool:
        """Whether the DNS says over what the PBX is spoken to (RFC 3263 §4.1)."""
        return self.is_name and not {"port", "transport"} & self.model_fields_set

    def usual_port(self, transport: Transport) -> int:
        """The port of a name over a transport where no other is written (RFC 3261 §19.1.2)."""
        return 5061 if transport == "tls" and "port" not in self.model_fields_set else self.port


class Limits(Section):
    """What one address on the phones' side may send; 0 is no limit. Running calls are not held to it."""

    requests_per_second: int = Field(default=50, ge=0, examples=["requests_per_second = 50"])
    messages_per_second: int = Field(default=500, ge=0, examples=["messages_per_second = 500"])
    connections: int = Field(default=512, ge=0, examples=["connections = 512"])


class Media(Section):
    """Where anchored media passes: bound addresses, even-odd port pairs, relay processes, commit horizon.

    A party has its media at our address of its own IP version, so at least one of the two is there.
    """

    address: Address4 | None = Field(default=None, examples=['address = "192.0.2.10"'])
    advertised: Address4 | None = Field(default=None, examples=['advertised = "192.0.2.10"'])
    address6: Address6 | None = Field(default=None, examples=['address6 = "2001:db8::10"'])
    advertised6: Address6 | None = Field(default=None, examples=['advertised6 = "2001:db8::10"'])
    ports: Annotated[tuple[Port, Port], BeforeValidator(to_ports)] = Field(examples=['ports = "20000-29999"'])
    workers: int = Field(default=1, ge=1, le=64, examples=["workers = 1"])
    horizon: Annotated[timedelta, BeforeValidator(to_horizon)] = Field(
        default=timedelta(seconds=2), examples=['horizon = "2 s"']
    )

    def addresses(self) -> dict[Family, str]:
        """What is bound, by IP version."""
        found: dict[Family, str | None] = {4: self.address, 6: self.address6}
        return {family: address for family, address in found.items() if address}

    def advertised_addresses(self) -> dict[Family, str]:
        """What the parties are told, by IP version."""
        told: dict[Family, str | None] = {4: self.advertised, 6: self.advertised6}
        return {family: told[family] or address for family, address in self.addresses().items()}

    @property
    def port_low(self) -> int:
        return self.ports[0]

    @property
    def port_high(self) -> int:
        return self.ports[1]


class NumberingSection(Section):
    country_code: Annotated[str, like(r"[1-9][0-9]{0,2}", "a country code of 1 to 3 digits")] = Field(
        default="31", examples=['country_code = "31"']
    )
    national_prefix: Prefix = Field(default="0", examples=['national_prefix = "0"'])
    international_prefix: Prefix = Field(default="00", examples=['international_prefix = "00"'])
    outside_line: Prefix = Field(default="", examples=['outside_line = "0"'])
    internal: Texts = Field(default=(), examples=['internal = ["200-299"]'])
    emergency: SomeTexts = Field(default=("112",), examples=['emergency = ["112"]'])
    outside: Texts = Field(default=(), examples=['outside = ["0900*"]'])

    def values(self) -> numbering.Numbering:
        return numbering.Numbering(**self.model_dump())


class Line(Section):
    name: Name = Field(examples=['name = "service"'])
    description: Text = Field(examples=['description = "Customer service"'])
    numbers: SomeTexts = Field(examples=['numbers = ["+31201234567", "200-219"]'])
    purposes: SomeTexts = Field(examples=['purposes = ["coaching"]'])


class Agent(Section):
    id: Annotated[
        str, like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", "an id of letters, digits, dots, hyphens")
    ] = Field(examples=['id = "a-1041"'])
    extensions: SomeTexts = Field(examples=['extensions = ["201"]'])
    lines: SomeTexts = Field(examples=['lines = ["service"]'])


class Purpose(Section):
    kind: Literal["quality", "evidence"] = Field(examples=['kind = "quality" or "evidence"'])
    description: Text = Field(examples=['description = "what these recordings are for"'])
    legal_basis: Text = Field(examples=['legal_basis = "GDPR art. 6(1)(f): …"'])
    mode: scheme.Mode = Field(default="always", examples=['mode = "always", "sample" or "on-demand"'])
    sample: Annotated[int, BeforeValidator(to_sample)] = Field(default=0, examples=['sample = "5 %"'])
    retention: Annotated[timedelta, BeforeValidator(to_retention)] = Field(examples=['retention = "30 days"'])
    frequency: Text | None = Field(default=None, examples=['frequency = "how often, as the staff is told"'])
    frequency_justification: Text | None = Field(
        default=None, examples=['frequency_justification = "why not less often, and why no other means"']
    )
    announcement: Text | None = Field(default=None, examples=['announcement = "coaching.wav"'])
    announcement_exemption: Text | None = Field(
        default=None, examples=['announcement_exemption = "why the other party knows already"']
    )
    announcement_sha256: Annotated[str, like(r"[0-9a-f]{64}", "a SHA-256: 64 digits, 0-9 and a-f")] | None = (
        Field(default=None, examples=["announcement_sha256 = what `sha256sum` says of the file"])
    )
    announcement_to_agent: bool = Field(default=True, examples=["announcement_to_agent = false"])
    objection_key: Annotated[str, like(r"[0-9*#]", "one key: a digit, * or #")] | None = Field(
        default=None, examples=['objection_key = "9"']
    )
    listeners: SomeTexts = Field(examples=['listeners = ["coach"]'])
    _base: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _note_base(self, info: ValidationInfo) -> Purpose:
        self._base = Path((info.context or {}).get("base", ""))
        return self

    @property
    def file(self) -> Path:
        """Where the announcement is."""
        return sounds.place(self.announcement or "", self._base)


class Exclusion(Section):
    name: Text = Field(examples=['name = "Company doctor"'])
    reason: Text = Field(examples=['reason = "professional secrecy"'])
    numbers: Texts = Field(default=(), examples=['numbers = ["250", "0612345678"]'])
    aliases: Texts = Field(default=(), examples=['aliases = ["dr.jansen", "doctor@example.nl"]'])


class Storage(Section):
    """`reserve`: bytes kept free for sealing and destroying when the disk is full; 0 for none."""

    directory: Directory = Field(examples=['directory = "/var/lib/doelband/storage"'])
    reserve: Annotated[int, BeforeValidator(to_bytes)] = Field(
        default=64_000_000, examples=['reserve = "256 MB"']
    )


class Keys(Section):
    directory: Directory = Field(examples=['directory = "/var/lib/doelband/keys"'])
    epoch_key_directory: Directory = Field(examples=['epoch_key_directory = "/var/lib/doelband/epoch"'])


class Runtime(Section):
    directory: Directory = Field(examples=['directory = "/run/doelband"'])


class Watch(Section):
    """Where metrics and readiness are answered over HTTP. There is no password: keep it on loopback."""

    address: Address = Field(default="127.0.0.1", examples=['address = "127.0.0.1"'])
    port: Port = Field(default=9464, examples=["port = 9464"])


class Crm(Section):
    """Where a CRM system on this machine may ask over HTTP; `token_file`: what it has to show."""

    address: Annotated[Address, AfterValidator(on_loopback)] = Field(
        default="127.0.0.1", examples=['address = "127.0.0.1"']
    )
    port: Port = Field(default=9465, examples=["port = 9465"])
    token_file: RequiredFile = Field(examples=['token_file = "/etc/doelband/crm.token"'])


class Clock(Section):
    """For demonstrations and tests: a file with the seconds that are added to every clock."""

    offset_file: File = Field(default=None, examples=['offset_file = "clock-offset"'])


class Config(Section):
    """The whole file. `config.load` makes one; `scheme()` is the part that the works council approves."""

    tenant: Name = Field(default="default", examples=['tenant = "example"'])
    listeners: Annotated[tuple[Listener, ...], BeforeValidator(to_tuple), Field(min_length=1)] = Field(
        examples=["a section [[listeners]] with address, port and side"]
    )
    pbx: Pbx = Field(examples=["a section [pbx] with address and port"])
    trunk: Trunk | None = Field(default=None, examples=["a section [trunk] with address and evidence"])
    limits: Limits = Field(default=Limits(), examples=["a section [limits]"])
    media: Media = Field(examples=["a section [media] with address and ports"])
    numbering: NumberingSection = Field(default=NumberingSection(), examples=["a section [numbering]"])
    private: Private = Field(examples=["a section [private] with prefix"])
    pause: Pause = Field(default=Pause(), examples=["a section [pause] with code and resume_code"])
    on_demand: OnDemand = Field(default=OnDemand(), examples=["a section [on_demand] with code"])
    feature_codes: FeatureCodesSection | None = Field(default=None, examples=["a section [feature_codes]"])
    conferences: Conferences = Field(default=Conferences(), examples=["a section [conferences] with rooms"])
    purposes: dict[Name, Purpose] = Field(default={}, examples=["a section [purposes.coaching]"])
    lines: Annotated[tuple[Line, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=["sections [[lines]]"]
    )
    agents: Annotated[tuple[Agent, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=["sections [[agents]]"]
    )
    exclusions: Annotated[tuple[Exclusion, ...], BeforeValidator(to_tuple)] = Field(
        default=(), examples=["sections [[exclusions]]"]
    )
    storage: Storage = Field(examples=["a section [storage] with directory"])
    keys: Keys = Field(examples=["a section [keys] with directory and epoch_key_directory"])
    runtime: Runtime = Field(examples=["a section [runtime] with directory"])
    watch: Watch | None = Field(default=None, examples=["a section [watch] with port"])
    crm: Crm | None = Field(default=None, examples=["a section [crm] with token_file"])
    clock: Clock = Field(default=Clock(), examples=["a section [clock]"])

    def scheme(self) -> scheme.Scheme:
        """What the works council approves: everything that decides, nothing of sockets and directories."""
        return scheme.Scheme(
            numbering=self.numbering.values(),
            private_prefix=self.private.prefix,
            purposes=tuple(_purpose(name, it) for name, it in self.purposes.items()),
            lines=tuple(scheme.Line(**it.model_dump()) for it in self.lines),
            agents=tuple(scheme.Agent(**it.model_dump()) for it in self.agents),
            exclusions=tuple(scheme.Exclusion(**it.model_dump()) for it in self.exclusions),
            feature_codes=self.feature_codes.values() if self.feature_codes else None,
            rooms=self.conferences.rooms,
            agent_keys=self.agent_keys(),
        )

    def agent_keys(self) -> AgentKeys:
        """What an agent may press during a call."""
        return AgentKeys(
            private=self.private.in_call_code or "",
            pause=self.pause.code or "",
            resume=self.pause.resume_code or "",
            record=self.on_demand.code or "",
            pause_seconds=int(self.pause.limit.total_seconds()),
        )


def _purpose(name: str, purpose: Purpose) -> scheme.Purpose:
    values: Mapping[str, Any] = purpose.model_dump(exclude={"retention"}, exclude_none=True)
    return scheme.Purpose(name=name, retention_days=purpose.retention.days, **values)
