"""Who is who in the simulated company, how a PBX may write each of them, and the scheme that says so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from recorder.config import parse
from recorder.policy import Announcement, Policy
from recorder.rules import compile_rules

Kind = Literal["agent", "customer", "privileged", "unlisted"]
HORIZON_SECONDS, TRUNK_HORIZON_SECONDS, KEY_SECONDS, PAUSE_SECONDS = 2.0, 5.0, 30.0, 60.0

SCHEME = """\
[[listeners]]
address = "10.0.0.1"
port = 5060
side = "both"

[pbx]
address = "10.0.0.2"

[media]
address = "10.0.0.1"
ports = "20000-20999"

[numbering]
internal = ["200-299", "600-609", "700-709", "+31201234230"]

[private]
prefix = "*31"
in_call_code = "*77"

[pause]
code = "*78"
resume_code = "*79"
limit = "60 s"

[feature_codes]
pickup = ["*8"]
directed_pickup = ["**", "0777"]
park = ["700"]
retrieve = ["701-720"]
intercom = ["*80"]
forward = ["*72"]
transfer = ["##"]
attended_transfer = ["*2"]
key_seconds = 30

[conferences]
rooms = ["850"]

[purposes.coaching]
kind = "quality"
description = "Coaching"
legal_basis = "GDPR art. 6(1)(f)"
retention = "30 days"
frequency = "four calls a month"
frequency_justification = "fewer show no pattern"
announcement_exemption = "told by the welcome message"
listeners = ["coach"]

[purposes.training]
kind = "quality"
description = "Training, when somebody asks"
legal_basis = "GDPR art. 6(1)(f)"
retention = "30 days"
mode = "on-demand"
frequency = "one call a month"
frequency_justification = "fewer show no pattern"
announcement_exemption = "told by the welcome message"
listeners = ["coach"]

[purposes.evidence]
kind = "evidence"
description = "Evidence, of which nobody has told the outside party"
legal_basis = "GDPR art. 6(1)(b)"
retention = "30 days"
frequency = "every call"
frequency_justification = "orders are disputed"
listeners = ["officer"]

[[lines]]
name = "service"
description = "Customer service"
numbers = ["+31201234567", "201-219"]
purposes = ["coaching", "training", "evidence"]

[[agents]]
id = "anna"
extensions = ["201"]
lines = ["service"]

[[agents]]
id = "bert"
extensions = ["202"]
lines = ["service"]

[[exclusions]]
name = "Company doctor"
reason = "Professional secrecy"
numbers = ["250", "+31687654321", "+31201234250"]
aliases = ["dr.jansen"]

[[exclusions]]
name = "Confidential counsellor"
reason = "Professional secrecy"
numbers = ["251"]

[storage]
directory = "storage"

[keys]
directory = "keys"
epoch_key_directory = "epoch"

[runtime]
directory = "run"
"""


@dataclass(frozen=True, slots=True)
class Person:
    """`dialled`: what others dial. `users`: what may stand in a URI instead. `never`: not to be recorded."""

    name: str
    kind: Kind
    dialled: str
    users: tuple[str, ...] = field(default=())

    @property
    def is_never(self) -> bool:
        """Whether no frame of a conversation with this person may be kept."""
        return self.kind in ("privileged", "unlisted")


ANNA = Person("anna", "agent", "201", ("201",))
BERT = Person("bert", "agent", "202", ("202",))
JAN = Person("jan", "customer", "0612345678", ("+31612345678", "0612345678", "0031612345678"))
ELS = Person("els", "customer", "0207654321", ("+31207654321", "0207654321"))
DOCTOR = Person(
    "doctor",
    "privileged",
    "250",
    ("250", "dr.jansen", "+31687654321", "0687654321", "0031687654321", "+31201234250", "Dr.Jansen"),
)
COUNSELLOR = Person("counsellor", "privileged", "251", ("251",))
KIM = Person("kim", "unlisted", "230", ("230", "+31201234230", "0201234230"))

AGENTS = (ANNA, BERT)
CUSTOMERS = (JAN, ELS)
NEVER = (DOCTOR, DOCTOR, COUNSELLOR, KIM)
BUSINESS_NUMBER = "+31201234567"
PREFIX = "*31"


ANNOUNCEMENT = "ab" * 32


@lru_cache(maxsize=1)
def announcing() -> Policy:
    """The same, but that for coaching the outside party has to be told first."""
    exemption = 'announcement_exemption = "told by the welcome message"'
    told = f'announcement = "told.wav"\nannouncement_sha256 = "{ANNOUNCEMENT}"'
    announcements = {"coaching": Announcement(ANNOUNCEMENT, True)}
    return replace(_policy(SCHEME.replace(exemption, told, 1)), announcements=announcements)


@lru_cache(maxsize=1)
def policy() -> Policy:
    """The scheme, approved."""
    return _policy(SCHEME)


def _policy(text: str) -> Policy:
    scheme = parse(text, "simulated.toml", Path("/")).scheme()
    retention = {it.name: it.retention for it in scheme.purposes}
    horizon = timedelta(seconds=HORIZON_SECONDS)
    return Policy(
        compile_rules(scheme),
        True,
        "ab" * 32,
        retention,
        horizon,
        {4: "10.0.0.1"},
        feature_codes=scheme.feature_codes,
        codes=scheme.agent_keys.wishes(),
        longest_pause=timedelta(seconds=PAUSE_SECONDS),
        is_trunk_witnessed=True,
    )
