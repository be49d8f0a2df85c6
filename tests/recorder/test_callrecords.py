"""Call records as Asterisk, FreeSWITCH and people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recorder.callrecords import Format, Malformed, Row, UnknownFormat, read

ASTERISK = (
    '"","+31612345678","+31201234567","from-trunk","""Jan"" <+31612345678>","PJSIP/trunk-0000001c",'
    '"PJSIP/201-0000001d","Dial","PJSIP/201,30","2026-03-01 10:00:00","2026-03-01 10:00:08",'
    '"2026-03-01 10:01:08",68,60,"ANSWERED","DOCUMENTATION","1772355600.28",""\n'
)
FREESWITCH = (
    '"Anne","201","0612345678","default","2026-03-01 10:00:00","2026-03-01 10:00:08","2026-03-01 10:01:08",'
    '"68","60","NORMAL_CLEARING","uuid-a","uuid-b","","PCMA","PCMA"\n'
)
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def amsterdam(local: datetime) -> datetime:
    return local.replace(tzinfo=ZoneInfo("Europe/Amsterdam"))


def one(text: str, format: Format | None = None) -> Any:
    (row,) = read(text.splitlines(keepends=True), amsterdam, format)
    return row


def test_asterisks_records_name_the_agent_by_the_channel() -> None:
    row = one(ASTERISK)
    assert row == Row(
        number=1,
        starts=(START,),
        seconds=60.0,
        is_answered=True,
        caller=frozenset({"+31612345678", "trunk"}),
        callee=frozenset({"+31201234567", "201"}),
        dialled="+31201234567",
        lasts=68.0,
        ids=frozenset({"1772355600.28"}),
    )


@pytest.mark.parametrize(
    ("channel", "peer"),
    [
        ("SIP/201-00000a1b", "201"),
        ("Local/201@agents-00000003;1", "201"),
        ("PJSIP/dr.jansen-0000001d", "dr.jansen"),
        ("PJSIP/desk-2-0000001d", "desk-2"),
        ("", None),
        ("Message/ast_msg_queue", None),
    ],
)
def test_a_channels_name_holds_its_peer(channel: str, peer: str | None) -> None:
    row = one(ASTERISK.replace("PJSIP/201-0000001d", channel))
    assert row.callee == {"+31201234567"} | ({peer} if peer else set())


def test_an_unanswered_record_of_asterisk_has_an_empty_answer() -> None:
    row = one(
        ASTERISK.replace('"2026-03-01 10:00:08"', "").replace("ANSWERED", "NO ANSWER").replace("60", "0")
    )
    assert not row.is_answered


def test_freeswitchs_records_are_those_of_the_template_example() -> None:
    row = one(FREESWITCH)
    assert (row.starts, row.seconds, row.lasts, row.is_answered) == ((START,), 60.0, 68.0, True)
    assert (row.caller, row.callee, row.dialled) == ({"201"}, {"0612345678"}, "0612345678")
    assert row.ids == {"uuid-a", "uuid-b"}
    assert not one(FREESWITCH.replace('"2026-03-01 10:00:08"', '""')).is_answered


@pytest.mark.parametrize(
    "start", ["2026-03-01T10:00:00+01:00", "2026-03-01 10:00:00", "2026-03-01T09:00:00Z"]
)
def test_a_file_with_headings_may_order_its_columns(start: str) -> None:
    row = one(f"callee,Start,duration,caller,answered\n0612345678,{start},60,201,yes\n")
    assert (row.number, row.starts, row.seconds, row.is_answered) == (2, (START,), 60.0, True)
    assert (row.caller, row.dialled) == ({"201"}, "0612345678")


def test_an_hour_that_came_twice_means_two_instants() -> None:
    row = one("start,caller,callee,duration\n2026-10-25 02:30:00,201,0612345678,60\n")
    assert row.starts == (
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("yesterday,201,0612345678,60", "the start is no date"),
        ("2026-03-01,201,0612345678,60", "the start is no date"),
        ("2026-03-01 10:00:00,201,0612345678,long", "a duration is no number"),
        ("2026-03-01 10:00:00,201,0612345678,-1", "a duration is negative"),
        ("2026-03-01 10:00:00,201,0612345678,nan", "a duration is no number"),
        ("2026-03-01 10:00:00,201,0612345678", "it has 3 columns where the headings are 4"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_line_and_quoted_nowhere(cells: str, why: str) -> None:
    text = f'start,caller,callee,duration\n\n{cells}\n2026-03-01 10:00:00,201,"06\n12345678",60\n'
    broken, row = read(text.splitlines(keepends=True), amsterdam)
    assert isinstance(broken, Malformed) and isinstance(row, Row)
    assert (broken.number, row.number) == (3, 4)
    assert broken.why.startswith(why) and "0612345678" not in broken.why


def test_a_row_that_was_cut_off_does_not_spoil_the_others() -> None:
    rows = list(read([ASTERISK, ASTERISK[:100] + "\n", ASTERISK], amsterdam))
    assert isinstance(rows[0], Row) and any(isinstance(it, Malformed) for it in rows)


@pytest.mark.parametrize("text", ["a,b,c\n", "start,caller\n", "{}\n"])
def test_what_is_no_known_format_is_refused(text: str) -> None:
    with pytest.raises(UnknownFormat):
        list(read([text], amsterdam))
    with pytest.raises(UnknownFormat, match="lacks the headings"):
        list(read([text], amsterdam, "generic"))


def test_an_empty_file_has_no_records() -> None:
    assert list(read([], amsterdam)) == []
