"""Words of a ticket's life. The labels for people are in the console's catalogues."""

from __future__ import annotations

from enum import StrEnum


class TicketStatus(StrEnum):
    NEW = "new"
    CLAIMED = "claimed"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    CLOSED = "closed"
    REOPENED = "reopened"


class ClosingReason(StrEnum):
    """The eight reasons of the city's procedure; `recovered` is the system's own."""

    TRUE_POSITIVE_IMPACT = "true_positive_impact"
    TRUE_POSITIVE_NO_IMPACT = "true_positive_no_impact"
    BENIGN_TRUE_POSITIVE = "benign_true_positive"
    FALSE_POSITIVE_LOGIC = "false_positive_logic"
    FALSE_POSITIVE_DATA = "false_positive_data"
    DUPLICATE = "duplicate"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"
    TEST_DRILL = "test_drill"
    RECOVERED = "recovered"


class Tlp(StrEnum):
    """The Traffic Light Protocol 2.0 (FIRST): how far what the ticket says may go."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"
