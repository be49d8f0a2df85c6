"""`make guided SECONDS=60`: coverage-guided fuzzing with atheris (libFuzzer), from the committed corpus.

What reaches new code is kept and changed further, by libFuzzer's own mutators and by ours. Each message goes
by itself through framing, parser, validator, identities, descriptions and editor, then into an engine of its
own with the recorder's calls above it; so what is found is found again by that one message. The exit status
is libFuzzer's: 0 when nothing was found, else the message lies in the folder that it names.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["sip_hooks"]):
    from fuzz.mutation import MUTATORS, TRICKS
    from fuzz.run import CORPUS, corpus
    from fuzz.target import PBX, PHONE, Target, WrongError, inspect

LONGEST = 8192  # bytes
MOST_SECONDS = (
    0.5  # of processor time for one message, whose code is watched; `make fuzz` holds it to a tenth
)
_HANGS_SECONDS = 120
_SEEDS = corpus()


def one(data: bytes) -> None:
    """One message. Whatever it raises is a fault. WrongError: it takes too long."""
    before = time.thread_time()
    inspect(data, is_thorough=True)
    target = Target()
    target.engine.receive_datagram(data, PHONE if data[:4] != b"SIP/" else PBX, "udp", target.now)
    target.settle()
    target.engine.connected("tcp", PHONE)
    target.engine.receive_stream(data, PHONE, "tcp", target.now)
    target.settle()
    if time.thread_time() - before > MOST_SECONDS:
        raise WrongError("a message takes too long")


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """Change a message as libFuzzer does, or as somebody does who knows SIP."""
    chance = Random(seed)
    if chance.random() < 0.5:
        guided: bytes = atheris.Mutate(data, most)
        return guided
    return chance.choice(MUTATORS)(chance, data, chance.choice(_SEEDS))[:most]


def dictionary() -> str:
    """Our tricks as libFuzzer reads them."""
    written = ("".join(rf"\x{it:02x}" for it in trick) for trick in TRICKS)
    return "".join(f'"{it}"\n' for it in written)


def main(arguments: list[str]) -> None:
    """Fuzz; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="make guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, help="where a message is left that breaks something")
    wanted = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="doelband-guided-"))
    grown, tricks = folder / "grown", folder / "tricks.dict"
    grown.mkdir()
    tricks.write_text(dictionary(), encoding="ascii")
    flags = {
        "max_total_time": wanted.seconds,
        "seed": wanted.seed,
        "max_len": LONGEST,
        "timeout": _HANGS_SECONDS,
        "report_slow_units": _HANGS_SECONDS,
        "dict": tricks,
        "artifact_prefix": f"{wanted.findings or folder}/",
        "print_final_stats": 1,
        "verbosity": 1,
    }
    options = [f"-{name}={value}" for name, value in flags.items()]
    atheris.Setup([sys.argv[0], *options, str(grown), str(CORPUS)], one, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
