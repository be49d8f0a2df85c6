"""The table of ways on which somebody privileged gets into a conversation, with real packets at a B2BUA.

Each way is gone twice: with somebody who must not be heard, of whom no packet may be in any clip, and with
somebody who may be and of whom a clip must have something, else the first proves nothing. On
some ways (`CAUTIOUS`) it is what was said before that must be there.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.installation import until
from demo.registrar import Registrar
from demo.telephony import PASSWORD
from tests.end_to_end.installation import Recorder, serving
from tests.end_to_end.paths import CAUTIOUS, PATHS, Play
from tests.end_to_end.peers.b2bua import B2bua
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.speech import Search, voice

AT_ONCE = 6
HARMLESS, NEVER = 0, 50
"""Where the numbers of the two kinds of people begin."""

SEALING_SECONDS = 60.0
CALLS = [(name, kind) for name in PATHS for kind in (HARMLESS, NEVER)]


def index(name: str, kind: int) -> int:
    return kind + list(PATHS).index(name)


def numbers(name: str, kind: int, last: int) -> tuple[str, str]:
    """An extension and a number outside of one play."""
    return f"1{index(name, kind):02}{last}", f"+31610{index(name, kind):03}00{last}"


def scheme() -> dict[str, str]:
    """Agents and colleagues are agents on the line; whoever ends in 9 is excluded."""
    agents = [numbers(name, kind, last)[0] for name, kind in CALLS for last in (1, 2)]
    excluded = [number for name, kind in CALLS for number in numbers(name, kind, 9)]
    return {
        'internal = ["200-299"]': 'internal = ["200-299", "1000-1999"]',
        '"201-219"]': f'"201-219", {quoted(agents)}]',
        'extensions = ["201", "203"]': f'extensions = ["201", "203", {quoted(agents)}]',
        'numbers = ["250", "+31201112233"]': f'numbers = ["250", {quoted(excluded)}]',
    }


def quoted(texts: list[str]) -> str:
    return ", ".join(f'"{it}"' for it in texts)


def exchange(port: int) -> B2bua:
    """A PBX whose dial plan has what each path needs."""
    accounts = [number for name, kind in CALLS for last in (1, 2, 9) for number in numbers(name, kind, last)]
    made = B2bua(("127.0.0.1", port), Registrar(dict.fromkeys(accounts, PASSWORD)), music=voice("music", 3))
    for name, kind in CALLS:
        third = numbers(name, kind, 2 if kind == HARMLESS else 9)
        agent, at = numbers(name, kind, 1)[0], [numbers(name, kind, last) for last in range(9)]
        made.queues[at[5][0]] = third[0]
        made.groups[at[6][0]] = agent, third[0]
        made.forwards |= {
            at[7][0]: (third[0], f"Diversion: <sip:{agent}@pbx.example>;reason=unconditional"),
            at[7][1]: (third[1], f"Diversion: <sip:{at[7][1]}@pbx.example>;reason=unconditional"),
            at[8][0]: (agent, f"P-Called-Party-ID: <sip:{third[0]}@pbx.example>"),
        }
        made.rooms[at[8][1]] = ";isfocus" if kind == NEVER else ""
    return made


@dataclass(slots=True)
class Heard:
    """By play: the voices in it, by who says them to whom, and of which of them windows are in a clip."""

    said: dict[int, dict[str, bytes]] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)
    faults: dict[int, BaseException] = field(default_factory=dict)


async def play_all(recorder: Recorder, heard: Heard) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    async with exchange(recorder.pbx_port) as pbx:

        async def one(name: str, kind: int) -> None:
            async with room, contextlib.AsyncExitStack() as exits:
                play = Play(pbx, recorder.address, index(name, kind), kind == HARMLESS, exits)
                try:
                    await PATHS[name](play)
                    await play.over()
                except Exception as error:
                    heard.faults[play.index] = error
                heard.said[play.index] = play.voices

        await asyncio.gather(*(one(name, kind) for name, kind in CALLS))
        for fault in pbx.faults:
            raise fault


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    return listen(tmp_path_factory.mktemp("paths"))


def listen(directory: Path) -> Heard:
    """Play everything, and search every clip for every voice."""
    heard = Heard()
    with serving(Recorder(directory, scheme()), exchange=False) as recorder:
        asyncio.run(play_all(recorder, heard))
        until(recorder.clips, lambda clips: all(it["state"] == "sealed" for it in clips), SEALING_SECONDS)
        clips = asyncio.run(open_all(recorder))
    voices = {name: said for voices in heard.said.values() for name, said in voices.items()}
    search = Search(voices)
    for clip in clips:
        payloads = [record.payload for record in clip.records if hasattr(record, "payload")]
        heard.found |= set(search.found(b"".join(payloads)))
    return heard


@pytest.mark.parametrize("name", PATHS)
def test_who_must_not_be_heard_is_in_no_clip(heard: Heard, name: str) -> None:
    at = index(name, NEVER)
    assert not heard.faults.get(at), heard.faults[at]
    apart = [it for it in heard.said[at] if not it.endswith("to business")]
    assert apart and not heard.found & set(apart)


@pytest.mark.parametrize("name", PATHS)
def test_who_may_be_heard_on_the_same_way_is(heard: Heard, name: str) -> None:
    at = index(name, HARMLESS)
    assert not heard.faults.get(at), heard.faults[at]
    kept = "to business" if name in CAUTIOUS else "to third"
    assert heard.found & {it for it in heard.said[at] if it.endswith(kept)}


@pytest.mark.parametrize("kind", [HARMLESS, NEVER])
@pytest.mark.parametrize("name", PATHS)
def test_what_was_said_before_is_kept(heard: Heard, name: str, kind: int) -> None:
    before = {it for it in heard.said[index(name, kind)] if it.endswith("to business")}
    assert not before or heard.found & before
