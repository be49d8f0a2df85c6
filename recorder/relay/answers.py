"""The broker's answers, by the number of the question."""

from __future__ import annotations

import errno

from recorder.channel import Message


def answer(question: Message, told: Message) -> Message:
    """It was done."""
    return {**told, "seq": question.get("seq"), "ok": True}


def refusal(question: Message, error: Exception) -> Message:
    """It was not."""
    return {"seq": question.get("seq"), "ok": False, "error": _why(error)}


def _why(error: Exception) -> str:
    """What stands in the way, and what to do."""
    if not isinstance(error, OSError):
        return str(error) or "the relay did not answer in time"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too few file descriptors; raise LimitNOFILE in the unit, or `ulimit -n`"
    return f"no media socket ({(error.strerror or str(error)).lower()}); look at address in [media]"
