"""A small scheme for tests: one agent, one line, one purpose, a doctor."""

from __future__ import annotations

CONFIGURATION = """\
[[listeners]]
address = "192.0.2.10"
port = 5060
side = "both"

[pbx]
address = "192.0.2.20"

[media]
address = "192.0.2.10"
ports = "20000-20999"

[numbering]
internal = ["200-299"]

[private]
prefix = "*31"

[feature_codes]

[purposes.coaching]
kind = "quality"
description = "Coaching"
legal_basis = "GDPR art. 6(1)(f)"
retention = "30 days"
frequency = "four calls a month"
frequency_justification = "fewer show no pattern"
announcement_exemption = "told by the welcome message"
listeners = ["coach"]

[[lines]]
name = "service"
description = "Customer service"
numbers = ["+31201234567", "201-219"]
purposes = ["coaching"]

[[agents]]
id = "a-1041"
extensions = ["201"]
lines = ["service"]

[[exclusions]]
name = "Company doctor"
reason = "Professional secrecy"
numbers = ["250"]

[storage]
directory = "storage"

[keys]
directory = "keys"
epoch_key_directory = "epoch"

[runtime]
directory = "run"
"""
