"""Which calls belong together, and that what is known of one is known of all, for good."""

from __future__ import annotations

from recorder.graph import Graph, Taint

W, U = Taint.WITHHELD, Taint.UNREADABLE


def graph(*calls: str) -> Graph:
    made = Graph()
    for call in calls:
        made.add(call)
    return made


def test_a_taint_reaches_every_call_of_the_component_and_no_other() -> None:
    made = graph("a", "b", "c", "d")
    made.join("a", "b")
    made.join("b", "c")
    made.taint("c", W)
    assert [made.taints(it) for it in "abcd"] == [{W}, {W}, {W}, set()]
    assert made.untold("a") == ["a", "b", "c"] and made.untold("a") == []


def test_joining_a_tainted_call_taints_and_whoever_knew_is_not_told_again() -> None:
    made = graph("a", "b")
    made.taint("a", W)
    made.untold("a")
    made.join("b", "a")
    assert made.untold("b") == ["b"] and made.taints("b") == {W}


def test_two_components_with_two_taints_have_both() -> None:
    made = graph("a", "b")
    for call, taint in (("a", W), ("b", U)):
        made.taint(call, taint)
        made.untold(call)
    made.join("a", "b")
    assert made.untold("b") == ["a", "b"] and made.taints("a") == {W, U}


def test_what_is_in_common_joins() -> None:
    made = Graph()
    made.add("a", ["x"])
    made.add("b", ["y"])
    made.add("c", ["x", "y"])
    made.taint("a", W)
    assert made.taints("b") == {W}


def test_a_taint_outlives_the_call_that_brought_it() -> None:
    made = graph("a", "b", "c")
    made.join("a", "b")
    made.taint("a", W)
    made.forget("a")
    made.join("c", "b")
    assert made.taints("c") == {W}


def test_a_chain_holds_when_its_middle_is_over() -> None:
    made = graph("a", "b", "c")
    made.join("a", "b")
    made.join("b", "c")
    made.forget("b")
    made.taint("a", W)
    assert made.taints("c") == {W}


def test_a_new_call_is_free_of_what_was() -> None:
    made = Graph()
    made.add("a", ["x"])
    made.taint("a", W)
    made.forget("a")
    made.add("b", ["x"])
    assert made.taints("b") == set()


def test_what_an_ended_call_had_in_common_may_be_anothers() -> None:
    made = Graph()
    made.add("a", ["port"])
    made.taint("a", W)
    made.release("a")
    made.add("b", ["port"])
    assert made.taints("b") == set()


def test_who_is_not_known_is_ignored() -> None:
    made = graph("a")
    made.join("a", "b")
    made.join("b", "a")
    assert made.taints("a") == set()
