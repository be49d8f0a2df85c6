"""Which keys may be a code of the PBX, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recorder.feature_codes import FeatureCodes
from recorder.keypad import FLASH, Keypad, Press

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CODES = FeatureCodes(transfer=("##",), attended_transfer=("*2",), park_call=("#72",), key_seconds=3)
NOTHING, PERHAPS, CODE = Press.NOTHING, Press.PERHAPS, Press.CODE


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def pressed(keys: str, apart: float = 0.5, codes: FeatureCodes = CODES) -> tuple[Press, datetime | None]:
    """What keys come to that are pressed one after the other, and since when."""
    pad, found = Keypad(), NOTHING
    for place, key in enumerate(keys):
        found = pad.press("rtp", key, at(place * apart), codes)
    return found, pad.since


@pytest.mark.parametrize("keys", ["##", "*2", "#72", "1##", "12*2", "#*2", "##5", "*2250#", FLASH, "1!"])
def test_a_code_is_one_whatever_was_pressed_before_or_is_pressed_after_it(keys: str) -> None:
    assert pressed(keys)[0] is CODE


@pytest.mark.parametrize("keys", ["#", "*", "5#", "*#", "#7", "1*"])
def test_the_beginning_of_a_code_is_doubtful(keys: str) -> None:
    assert pressed(keys)[0] is PERHAPS


@pytest.mark.parametrize("keys", ["1", "123456789", "*1", "#5", "#71", "2*A"])
def test_keys_for_a_menu_are_no_code(keys: str) -> None:
    assert pressed(keys) == (NOTHING, None)


def test_the_doubt_reaches_back_to_the_first_key_of_the_code() -> None:
    assert pressed("1#7") == (PERHAPS, at(0.5))
    assert pressed("1#72") == (CODE, at(0.5))


def test_keys_far_apart_are_no_code_and_keys_just_within_the_time_are() -> None:
    assert pressed("*2", apart=3.0)[0] is CODE
    assert pressed("*2", apart=3.1)[0] is NOTHING


def test_the_beginning_of_a_code_is_over_when_no_key_can_follow_any_more() -> None:
    pad = Keypad()
    pad.press("rtp", "#", at(0), CODES)
    assert pad.expire(at(3.9), CODES) is PERHAPS, "the next key may be on its way"
    assert pad.expire(at(4.1), CODES) is NOTHING


def test_a_key_that_the_pbx_has_not_had_yet_is_not_over() -> None:
    """Its INFO is sent again and again over UDP, and the next key comes close behind it."""
    pad = Keypad()
    pad.press("info", "*", at(0), CODES, on_the_way=True)
    assert pad.expire(at(20), CODES) is PERHAPS
    assert pad.taken("info", at(20)) is PERHAPS
    assert pad.press("info", "2", at(22), CODES, on_the_way=True) is CODE


def test_a_code_stays_one() -> None:
    pad = Keypad()
    pad.press("rtp", "##", at(0), CODES)
    assert pad.expire(at(100), CODES) is CODE
    assert pad.press("rtp", "1", at(101), CODES) is CODE


def test_a_key_that_is_told_twice_in_two_ways_is_one() -> None:
    """Telephones that send an INFO and RFC 4733 both: one way's keys do not stand between the other's."""
    pad = Keypad()
    found = [pad.press(way, key, at(0.1), CODES) for key in "*2" for way in ("rtp", "info")]
    assert found[-1] is CODE
    assert Keypad().press("rtp", "#", at(0), CODES) is PERHAPS


def test_one_hash_told_in_two_ways_is_not_two() -> None:
    pad = Keypad()
    assert [pad.press(way, "#", at(0), CODES) for way in ("rtp", "info")] == [PERHAPS, PERHAPS]


def test_a_pbx_without_codes_knows_none_but_the_hook() -> None:
    none = FeatureCodes()
    assert pressed("##*2", codes=none) == (NOTHING, None)
    assert pressed(FLASH, codes=none)[0] is CODE


def test_nothing_of_what_was_pressed_is_shown() -> None:
    pad = Keypad()
    pad.press("rtp", "#7", at(0), CODES)
    assert "#7" not in repr(pad) + repr(pad._heard)
