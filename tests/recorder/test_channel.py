"""Messages between our processes keep their order, and one that is too large harms no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.channel import MESSAGE_BYTES, Channel, Dialler, Listener, Message, TooLarge, encode
from tests.fakes.relay import soon


class Far:
    """The other end: what it has received, and how many connections it has had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: list[object] = []
        self.channels: list[Channel] = []
        self.losses = 0
        self.listen()

    def listen(self) -> None:
        self.listener = Listener(
            self.path,
            lambda connection: self.channels.append(Channel(connection, self._take, self._lost)),
        )

    def _take(self, message: Message) -> None:
        self.received.append(message["n"])

    def _lost(self) -> None:
        self.losses += 1

    def close(self) -> None:
        self.listener.close()
        for channel in self.channels:
            channel.close()


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    far = Far(tmp_path / "far.sock")
    yield far
    far.close()


def sized(number: int, size: int) -> Message:
    """A message of exactly so many bytes."""
    message: Message = {"n": number, "x": ""}
    return message | {"x": "x" * (size - len(encode(message)))}


async def test_a_message_that_is_too_large_is_refused_and_the_connection_goes_on(far: Far) -> None:
    near = Dialler(far.path, lambda _: None)

    def refused() -> None:
        with pytest.raises(TooLarge):
            near.send(sized(2, MESSAGE_BYTES) | {"n": 20})

    near.send({"n": 0})
    refused()  # while it is down: else it would be refused on every connection
    await soon(lambda: near.is_up)
    near.send(sized(1, MESSAGE_BYTES))
    refused()
    near.send({"n": 3})
    await soon(lambda: len(far.received) == 3)
    assert (far.received, far.losses, len(far.channels)) == ([0, 1, 3], 0, 1)
    near.close()


async def test_what_waited_goes_out_before_what_is_sent_when_it_is_up(far: Far) -> None:
    def up() -> None:
        near.send({"n": "first"})
        near.send({"n": "second"})

    near = Dialler(far.path, lambda _: None, up)
    near.send({"n": "waited"})
    await soon(lambda: len(far.received) == 3)
    far.channels[-1].close()
    await soon(lambda: not near.is_up)
    near.send({"n": "waited again"})
    await soon(lambda: len(far.received) == 6)
    assert far.received == ["waited", "first", "second", "waited again", "first", "second"]
    near.close()


async def test_a_connection_that_is_lost_before_all_was_sent_was_never_up(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def broken(*_: object) -> None:
        monkeypatch.undo()
        raise BrokenPipeError

    monkeypatch.setattr(Channel, "_transmit", broken)
    near = Dialler(far.path, lambda _: None, lambda: said.append("up"), lambda: said.append("down"))
    near.send({"n": 1})
    await soon(lambda: near.is_up)
    assert said == ["down", "up"]
    near.close()
