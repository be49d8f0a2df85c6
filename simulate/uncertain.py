"""How a call begins of which it is not certain who speaks, or not at once."""

from __future__ import annotations

from simulate import naming
from simulate.dialogue import Agent
from simulate.openings import Talk, answer, inward, outward, ringing
from simulate.people import AGENTS, BUSINESS_NUMBER, CUSTOMERS, DOCTOR, KIM, NEVER
from simulate.text import read, uri_in
from simulate.world import World


def hidden_inside(world: World) -> Talk | None:
    """A telephone that does not say who uses it: an agent's, or nobody's."""
    agent, other = world.choose(DOCTOR, KIM), world.choose(*CUSTOMERS)
    phone = world.phone(agent, world.choose("x", *(it.users[0] for it in AGENTS)))
    caller = phone.call(
        f"sip:{other.dialled}@{naming.HOST}",
        "sip:anonymous@anonymous.invalid",
        shows=lambda leg: (world.word(leg, "named", (agent,)),),
    )
    called = world.finds(world.pbx, caller.leg)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, agent, other))


def guest(world: World) -> Talk | None:
    """Somebody of us who is not listed calls from an agent's telephone, and it says so."""
    agent, other, user = world.choose(*AGENTS), world.choose(*CUSTOMERS), world.choose(DOCTOR, KIM)
    header = naming.own(world, user, is_target=False)
    caller, called = outward(world, agent, other.dialled, "named", user, headers=[header])
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, user, other))


def keyed(world: World) -> Talk | None:
    """A call whose keys are agreed on where nobody between can know them: it passes, and is not kept."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    line = world.choose(
        "a=fingerprint:sha-256 AA:BB", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:eA", "a=zrtp-hash:1.10 ff"
    )
    world.phone(agent).extra = line
    caller, called = outward(world, agent, other.dialled, "barred")
    if called is None:
        return None
    called.agent.extra = line
    talk = answer(world, caller, called, Talk(world, caller, called, agent, other))
    caller.agent.extra = called.agent.extra = ""
    return talk


def unreadable(world: World) -> Talk | None:
    """The doctor calls, and the header that says so cannot be read."""
    agent = world.choose(*AGENTS)
    header = world.choose(
        'P-Asserted-Identity: "Dr <sip:250@pbx.example>',
        "Remote-Party-ID: <sip:250@pbx.example",
        "Diversion: <cid:250>",
    )
    caller, called = inward(
        world,
        world.phone(agent),
        f"sip:{world.choose(*CUSTOMERS[0].users)}@{naming.HOST}",
        f"sip:{agent.users[0]}@{naming.HOST}",
        [header],
        "named",
        DOCTOR,
    )
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, DOCTOR))


def feature_code(world: World) -> Talk | None:
    """Pickup, a parking slot, an intercom: until an answer says who it is, nobody knows."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS, *NEVER)
    dialled = world.choose("*8", "**201", "701", "700", "*80230", "0777201")
    word = "named" if dialled in ("700", "701") else "nameless"  # numbers of our own are never recorded
    caller, called = outward(world, agent, dialled, word, KIM)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, agent, other))


def forwards(world: World) -> Talk | None:
    """The agent tells the PBX where calls go, and the PBX says that number with the answer."""
    agent, other = world.choose(*AGENTS), CUSTOMERS[1]
    caller, called = outward(world, agent, f"*72{other.dialled}", "barred")
    if called is None:
        return None
    header = naming.own(world, other)
    return answer(world, caller, called, Talk(world, caller, called, agent, other), (header,), other)


def room(world: World) -> Talk | None:
    """A conference room in which everybody may be recorded."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    caller, called = outward(world, agent, "850")
    if called is None:
        return None
    called.focus = "850"
    return answer(world, caller, called, Talk(world, caller, called, agent, other), rings=ringing(world))


def queue(world: World) -> Talk | None:
    """A queue connects an agent with somebody whom it does not name, yet."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS, *NEVER)
    sender, to = world.choose("600", "queue", "250-queue"), f"sip:{agent.users[0]}@{naming.HOST}"
    word = "nameless" if sender == "queue" else "named"  # a number of our own, or the doctor's
    caller, called = inward(world, world.phone(agent), f"sip:{sender}@{naming.HOST}", to, [], word, KIM)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, other))


def conference(world: World) -> Talk | None:
    """A room at the server: its focus says so, its number may look like anybody's."""
    agent, other = world.choose(*AGENTS), world.choose(*NEVER)
    caller, called = outward(world, agent, world.choose("0207654321", "800"), "doubt")
    if called is None:
        return None
    talk = Talk(world, caller, called, agent, other)
    header = f"Contact: <sip:{world.choose('room', '0207654321')}@10.0.0.2:5060>;isfocus"
    return answer(world, caller, called, talk, (header,), rings=ringing(world))


def rung_by_unlisted(world: World) -> Talk | None:
    """While it rings, the PBX says at whom it rings, one of us who is not listed; the answer does not."""
    agent = world.choose(*AGENTS)
    caller, called = outward(world, agent, CUSTOMERS[0].dialled)
    if called is None:
        return None
    talk = Talk(world, caller, called, agent, KIM)
    return answer(world, caller, called, talk, rings=((180, (naming.own(world, KIM),), (KIM,)),))


def rung_late(world: World) -> Talk | None:
    """The network brings the answer first, then that it was ringing at the doctor's."""
    agent = world.choose(*AGENTS)
    caller, called = outward(world, agent, CUSTOMERS[0].dialled)
    if called is None or called.invite is None:
        return None
    talk = answer(world, caller, called, Talk(world, caller, called, agent, DOCTOR))
    called.respond(
        called.invite, 180, [naming.own(world, DOCTOR)], shows=talk.shows("named", DOCTOR) if talk else ()
    )
    world.wait(3.0)
    return talk


def displayed_unlisted(world: World) -> Talk | None:
    """FreeSWITCH says on the agent's display that one of us who is not listed is calling."""
    agent = world.choose(*AGENTS)
    sender, to = f"sip:{CUSTOMERS[0].users[0]}@{naming.HOST}", f"sip:{agent.users[0]}@{naming.HOST}"
    header = f"X-FS-Display-Number: {KIM.dialled}"
    caller, called = inward(world, world.phone(agent), sender, to, [header], "named", KIM)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, KIM))


def _registered(world: World, phone: Agent, account: str) -> str:
    """The Contact by which the PBX knows a telephone that has registered there."""
    found: list[str] = []

    def register(data: bytes) -> None:
        message = read(data)
        named = message.get("from"), message.get("to"), message.get("call-id"), message.get("cseq")
        contact = message.get("contact")
        vias = [f"Via: {it}" for it in message.all("via")]
        world.send(world.pbx.write("SIP/2.0 200 OK", vias, named, [f"Contact: {contact}"]), world.pbx.address)
        found.append(uri_in(contact))

    world.node(world.pbx.address, register)
    aor, branch = f"<sip:{account}@{naming.HOST}>", world.draw("z9hG4bK")
    asked = phone.write(
        f"REGISTER sip:{naming.HOST} SIP/2.0",
        [f"Via: SIP/2.0/UDP {phone.place};branch={branch}", "Max-Forwards: 70"],
        (f"{aor};tag={world.draw('t')}", aor, world.draw("registration"), "1 REGISTER"),
        [f"Contact: <sip:{phone.user}@{phone.place}>"],
    )
    while not found:
        world.send(asked, phone.address)
        world.until(lambda: bool(found), 0.5)
    world.node(world.pbx.address, world.pbx.deliver)
    return found[0]


def claimed(world: World) -> Talk | None:
    """A customer calls, and writes an agent's number into To. The PBX is a proxy, and the Contact of the
    telephone says nothing: only what it has registered tells whose it is, if that is known at all.
    """
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    person = world.choose(agent, agent, DOCTOR, KIM)
    phone, is_known = world.phone(person, "x7ab9k"), world.chances(0.7)
    uri = f"sip:{phone.user}@{phone.place}"
    if is_known:
        uri = _registered(world, phone, world.choose(*person.users[:2]))
    word = "barred" if not is_known else "named"
    to = f"sip:{world.choose(agent.users[0], agent.users[0], BUSINESS_NUMBER)}@{naming.HOST}"
    headers = [f"P-Called-Party-ID: <sip:{agent.users[0]}@{naming.HOST}>"] if world.chances(0.3) else []
    caller = world.pbx.call(
        uri,
        f"sip:{world.choose(*other.users)}@{naming.HOST}",
        headers,
        lambda leg: (world.word(leg, word, (person,)),),
        to=to,
    )
    called = world.finds(phone, caller.leg)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, person, other), rings=ringing(world))
