"""A phone that leaves it to the other to describe its media first: both are heard and recorded, once."""

from __future__ import annotations

from demo.listening import correlation
from demo.telephony import PASSWORD
from tests.end_to_end.installation import AGENT, BUSINESS_NUMBER, CUSTOMER, Recorder
from tests.end_to_end.peers.scripted import Phone, converse
from tests.end_to_end.test_a_call_is_recorded import ALIKE, noise, sound


async def test_a_call_described_in_the_answer_and_the_acknowledgement(recorder: Recorder) -> None:
    said = noise(11, "PCMA"), noise(12, "PCMA")
    before = len(recorder.clips())
    async with (
        Phone(CUSTOMER, PASSWORD, recorder.address) as customer,
        Phone(AGENT, PASSWORD, recorder.address) as agent,
    ):
        call, taken = await converse(customer, agent, BUSINESS_NUMBER, said, offers_late=True)
    assert (call.heard(), taken.heard()) == (said[1], said[0])
    assert {port for _, port in (call.towards, taken.towards)} != {
        it.media.get_extra_info("sockname")[1] for it in (call, taken)
    }
    agent_leg, outside = recorder.export(recorder.next_clip())
    assert correlation(sound(said[1], "PCMA").astype(float), agent_leg) >= ALIKE
    assert correlation(sound(said[0], "PCMA").astype(float), outside) >= ALIKE
    assert len(recorder.clips()) == before + 1
