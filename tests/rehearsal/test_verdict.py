"""The verdict says what differs, and nothing where nothing does."""

from __future__ import annotations

from pipeline.rehearsal.lines import ExpectedTicket
from pipeline.rehearsal.verdict import Seen, differences

ONE = Seen("r1", "a", "e", ("x", "x", "y"))
WANT = ExpectedTicket("r1", "a", "e", ("x", "x", "y"), story="s")


def test_equal_tickets_are_no_difference() -> None:
    assert differences([ONE, ONE], [WANT, WANT]) == []


def test_a_missing_ticket_is_named() -> None:
    assert differences([], [WANT]) == ["missing: rule r1, agency a, entity e, 3 events (x)"]


def test_an_unexpected_ticket_is_named() -> None:
    assert differences([ONE, ONE], [WANT]) == [
        "unexpected: rule r1, agency a, entity e, 3 events (x)"
    ]


def test_a_repeated_line_counts_as_often_as_it_came() -> None:
    assert differences([Seen("r1", "a", "e", ("x", "y"))], [WANT]) == [
        "other events: rule r1, agency a, entity e, 3 events (x); 1 missing, 0 too many"
    ]


def test_another_agency_or_entity_is_another_ticket() -> None:
    assert differences([Seen("r1", "b", "e", ONE.originals)], [WANT]) == [
        "missing: rule r1, agency a, entity e, 3 events (x)",
        "unexpected: rule r1, agency b, entity e, 3 events (x)",
    ]
