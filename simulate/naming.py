"""The many ways in which a message says who somebody is."""

from __future__ import annotations

from simulate.people import Person
from simulate.world import World

HOST = "pbx.example"


def uri(world: World, person: Person) -> str:
    """One of the URIs by which this person is known."""
    user = world.choose(*person.users)
    if user.startswith("+") and world.chances(0.2):
        return f"tel:{user}"
    return f"sip:{user}@{world.choose(HOST, HOST, '10.0.0.2')}"


OWN = {
    "P-Asserted-Identity": "P-Asserted-Identity: <{0}>",
    "several": "P-Asserted-Identity: <sip:+31880001122@pbx.example>, <{0}>",
    "P-Preferred-Identity": "P-Preferred-Identity: <{0}>",
    "Remote-Party-ID": "Remote-Party-ID: <{0}>;screen=yes;privacy=off",
    "mixed case": "p-asserted-IDENTITY:<{0}>",
    "Contact": "Contact: <{0}>",
}
OTHERS = {
    "Diversion": "Diversion: <{0}>;reason=unconditional",
    "several": "Diversion: <sip:+31880001122@pbx.example>;reason=no-answer, <{0}>;reason=unconditional",
    "History-Info": "History-Info: <sip:+31880001122@pbx.example>;index=1, <{0}>;index=1.1",
    "Referred-By": "Referred-By: <{0}>",
    "compact": "b: <{0}>",
}


def own(world: World, person: Person, is_target: bool = True) -> str:
    """A header in which the sender says who is on its side. `is_target`: Contact may say it too."""
    among = [it for name, it in OWN.items() if is_target or name != "Contact"]
    form = world.choose(*among)
    if person.kind == "privileged" and world.chances(0.1):
        return f"X-FS-Display-Number: {person.dialled}"
    if "Contact" in form:
        return form.format(f"sip:{world.choose(*person.users)}@10.0.0.2:5060")
    return form.format(uri(world, person))


def others(world: World, person: Person) -> str:
    """A header in which somebody else is named who has to do with the call."""
    return world.choose(*OTHERS.values()).format(uri(world, person))


def any_of(world: World, person: Person) -> str:
    """Either of these. That somebody who is merely unlisted has forwarded it says nothing of who speaks."""
    is_hop = person.kind == "privileged" and world.chances(0.4)
    return others(world, person) if is_hop else own(world, person)


def fragment(status: int, person: Person | None = None) -> str:
    """The body of a NOTIFY about a transfer (RFC 3515 §2.4.5)."""
    names = [f"From: <sip:{person.users[0]}@{HOST}>;tag=x"] if person is not None else []
    return "\r\n".join([f"SIP/2.0 {status} Whatever", *names, ""])
