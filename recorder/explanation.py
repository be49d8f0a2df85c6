"""What would become of a call with a number, and why: the rules asked about calls that nobody has made."""

from __future__ import annotations

from recorder.numbering import number_set, possible_forms
from recorder.scheme import Exclusion, Scheme


def excluded_by(scheme: Scheme, identity: str) -> list[tuple[Exclusion, str]]:
    """Every exclusion that this identity falls under, with the pattern that says so."""
    found = possible_forms(identity, scheme.numbering)
    return [
        (it, pattern)
        for it in scheme.exclusions
        for pattern in (*it.numbers, *it.aliases)
        if number_set([pattern], scheme.numbering).holds(found)
    ]
