"""What makes histories quick: what pure functions returned is remembered, for agents repeat themselves.

It changes no result. The product itself remembers nothing that names a party.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from recorder import decision, judgement, numbering
from sip_hooks import headers, sdp, uri

PURE: tuple[Callable[..., Any], ...] = (
    numbering.normalise,
    numbering.forms,
    numbering.outward_forms,
    numbering.possible_forms,
    numbering.is_number,
    numbering.extension_in,
    headers.parse_name_addr,
    headers.parse_via,
    sdp.describe,
    uri.parse_uri,
)
_PACKAGES = ("recorder", "sip_hooks")


def places() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Where each of them is called by name: module, name, function."""
    modules = [it for name, it in sys.modules.items() if name.partition(".")[0] in _PACKAGES]
    return [
        (module, function.__name__, function)
        for module in modules
        for function in PURE
        if vars(module).get(function.__name__) is function
    ]


def remember() -> None:
    """From now on, in this process."""
    remembering: dict[Callable[..., Any], Callable[..., Any]] = {
        function: lru_cache(maxsize=20_000)(function) for function in PURE
    }
    for module, name, function in places():
        setattr(module, name, remembering[function])


def remember_decisions() -> None:
    """What was decided about the same facts by the same rules, too: for runs in which no rule is out."""
    decided: dict[tuple[Any, ...], decision.Verdict] = {}
    fields = [it for it in decision.CallFacts._fields if it != "draws"]
    facts_of = operator.attrgetter(*fields)
    decide = decision.decide

    def remembered(
        facts: decision.CallFacts, rules: decision.Rules, before: decision.Verdict | None = None
    ) -> decision.Verdict:
        key = (facts_of(facts), tuple(facts.draws.items()), id(rules))
        found = decided.get(key)
        if found is None:
            if len(decided) > 200_000:
                decided.clear()
            found = decided[key] = decide(facts, rules)
        return found

    setattr(judgement, decide.__name__, remembered)
