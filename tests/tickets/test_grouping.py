"""Findings into tickets: opened, amended, merged, recurring; never doubled, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, event
from support.findings import Given, put
from support.people import analyst
from support.states import empty_state

from pipeline.detect.running.runs import Limits, run_once
from pipeline.model.clock import EPOCH
from pipeline.state.state import State, next_number
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Outbox, Ticket, TicketFinding, TicketHistory
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.life import claim, close, reopen
from pipeline.tickets.queue import get_ticket

NOW = EPOCH + timedelta(days=1)
HOUR = 3600
Flow = Callable[..., MemoryStore]


def tickets(state: State) -> list[Ticket]:
    with state.read() as session:
        return list(session.scalars(sa.select(Ticket).order_by(Ticket.number)))


def history(state: State, ticket: Ticket) -> list[str]:
    with state.read() as session:
        return list(
            session.scalars(
                sa.select(TicketHistory.what)
                .where(TicketHistory.ticket == ticket.id)
                .order_by(TicketHistory.place)
            )
        )


def owners(state: State) -> dict[str, int]:
    """finding → number of the ticket that holds it."""
    with state.read() as session:
        found = session.execute(
            sa.select(TicketFinding.finding, Ticket.number).join(
                Ticket, Ticket.id == TicketFinding.ticket
            )
        )
        return {row.finding: row.number for row in found}


def shut(
    state: State, number: int, *, hours: int = 24, reason: str = "benign_true_positive"
) -> None:
    request = Request(actor=analyst(), ticket=str(number))
    close(state, request, reason=reason, note="đã xem", now=EPOCH + timedelta(hours=hours))


def test_a_finding_of_a_rule_that_matters_opens_a_ticket(state: State, detect: Flow) -> None:
    detect(event(1, time=10), event(2, time=20))
    (ticket,) = tickets(state)
    assert (ticket.number, ticket.agency, ticket.entity, ticket.title) == (
        1,
        "ward-1",
        "pc-1",
        "Mimikatz",
    )
    assert (ticket.severity, ticket.status, ticket.events, ticket.revision) == ("high", "new", 2, 1)
    assert (ticket.first, ticket.last) == (
        EPOCH + timedelta(seconds=10),
        EPOCH + timedelta(seconds=20),
    )
    assert history(state, ticket) == ["opened"]
    assert tickets_once(state, now=NOW) is None


@pytest.mark.parametrize(
    ("level", "status"), [("low", "test"), ("informational", "stable"), ("high", "experimental")]
)
def test_other_findings_stay_findings(state: State, detect: Flow, level: str, status: str) -> None:
    detect(event(1), level=level, status=status)
    assert tickets(state) == []
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(FindingRow)) == 1


def _take_all_back(state: State) -> None:
    """As a late event does to what a correlation had found."""
    with state.begin() as session:
        row = session.scalars(sa.select(FindingRow)).one()
        row.count, row.samples, row.number = 0, [], next_number(session, "finding")


def test_a_ticket_whose_events_were_all_taken_back_stays_and_says_so(
    state: State, detect: Flow
) -> None:
    detect(event(1), event(2))
    _take_all_back(state)
    tickets_once(state, now=NOW)
    (ticket,) = tickets(state)
    assert (ticket.events, ticket.status, history(state, ticket)) == (
        0,
        "new",
        ["opened", "amended"],
    )


def test_a_finding_whose_events_were_all_taken_back_opens_no_ticket(
    state: State, detect: Flow
) -> None:
    detect(event(1), group=False)
    _take_all_back(state)
    tickets_once(state, now=NOW)
    assert tickets(state) == []


def test_more_matches_amend_the_ticket_and_nobodys_revision_becomes_stale(
    state: State, detect: Flow
) -> None:
    detect(event(1, time=100))
    claim(state, Request(actor=analyst(), ticket="1"), now=NOW)
    for sequence in range(2, 41):
        detect(event(sequence, time=100 + sequence))
    (ticket,) = tickets(state)
    assert (ticket.events, ticket.status, ticket.revision) == (40, "claimed", 2)
    assert ticket.last == EPOCH + timedelta(seconds=140)
    # 2, 4, 8, 16, 32: the history tells doublings, the ticket tells the exact count
    assert history(state, ticket) == ["opened", "claimed", *["amended"] * 5]


def test_a_late_match_that_joins_two_findings_closes_the_younger_ticket_as_duplicate(
    state: State, detect: Flow
) -> None:
    detect(event(1, time=10 * HOUR))
    detect(event(2, time=12 * HOUR - 60))
    detect(event(3, time=11 * HOUR - 30))
    older, younger = tickets(state)
    assert (older.status, older.events) == ("new", 3)
    assert (younger.status, younger.reason, younger.duplicate_of) == (
        "closed",
        "duplicate",
        older.id,
    )
    assert history(state, younger) == ["opened", "closed"]
    assert sorted(history(state, older)) == ["amended", "linked", "opened"]


def test_a_join_seen_all_at_once_by_a_role_that_was_away_opens_one_ticket(
    state: State, detect: Flow
) -> None:
    detect(event(1, time=10 * HOUR), group=False)
    detect(event(2, time=12 * HOUR - 60), group=False)
    detect(event(3, time=11 * HOUR - 30))
    assert [(t.status, t.events) for t in tickets(state)] == [("new", 3)]


def test_when_the_older_ticket_is_closed_the_younger_goes_on_with_the_joined_episode(
    state: State, detect: Flow
) -> None:
    detect(event(1, time=10 * HOUR))
    shut(state, 1, hours=11)
    detect(event(2, time=12 * HOUR - 60))
    detect(event(3, time=11 * HOUR - 30))
    old, living = tickets(state)
    assert (old.status, old.events, living.status, living.events) == ("closed", 1, "new", 3)
    assert living.follows == old.id
    with state.read() as session:
        (finding,) = session.scalars(sa.select(FindingRow.id).where(FindingRow.merged_into == ""))
    assert owners(state)[finding] == 2


def test_events_after_the_closing_open_a_new_ticket_that_follows_the_old(
    state: State, detect: Flow
) -> None:
    detect(event(1, time=10 * HOUR))
    shut(state, 1, hours=11)
    detect(event(2, time=10 * HOUR + 60))  # late, but of the time that the analyst judged
    assert [(t.status, t.events) for t in tickets(state)] == [("closed", 2)]
    detect(event(3, time=11 * HOUR + 30))  # the same episode goes on
    detect(event(4, time=20 * HOUR))  # another episode of the same rule and entity
    old, same_episode, next_episode = tickets(state)
    assert (same_episode.follows, next_episode.follows) == (old.id, old.id)
    view = get_ticket(state, None, analyst(), "1")
    assert [f.count for f in view.findings] == [3]  # still shown where it was judged
    assert (same_episode.status, same_episode.events, next_episode.events) == ("new", 3, 1)
    assert sorted(owners(state).values()) == [2, 3]


def test_a_ticket_reopened_by_hand_takes_the_amendments(state: State, detect: Flow) -> None:
    detect(event(1, time=10 * HOUR))
    shut(state, 1, hours=11)
    reopen(state, Request(actor=analyst(), ticket="1"), note="chưa xong", now=NOW)
    detect(event(2, time=11 * HOUR))
    assert [(t.status, t.events) for t in tickets(state)] == [("reopened", 2)]


def test_mirrors_are_told_of_the_city_and_never_of_a_drill(state: State, detect: Flow) -> None:
    with state.begin() as session:
        session.add(Meta(name="mirrors", value={"names": ["rt", "mail"]}))
        for name, drill in (("ward-1", False), ("ward-2", True)):
            session.add(
                Agency(id=name, name_vi="Phường", name_en="Ward", drill=drill, valid_from=EPOCH)
            )
    detect(event(1), event(2, agency="ward-2"))
    assert [t.drill for t in tickets(state)] == [False, True]
    with state.read() as session:
        told = [(o.mirror, o.what, o.body["agency"]) for o in session.scalars(sa.select(Outbox))]
    assert told == [("rt", "opened", "ward-1"), ("mail", "opened", "ward-1")]


KILLED = """
    import os, signal, sys
    from datetime import timedelta
    from pipeline.model.clock import EPOCH
    from pipeline.state.state import State
    from pipeline.store import steps
    from pipeline.tickets.grouping import Policy, tickets_once

    passed = 0
    def die(name):
        global passed
        passed += name == {point!r}
        if passed == {nth}:
            os.kill(os.getpid(), signal.SIGKILL)
    steps.on_step = die
    while tickets_once(State.open({url!r}), now=EPOCH + timedelta(days=1), policy=Policy(batch=3)):
        pass
"""
KILLS = int(os.environ.get("KILLS", "10"))
POINTS = ("tickets.taken", "tickets.before_commit", "tickets.committed")


@pytest.mark.faults
@pytest.mark.parametrize("kill", range(KILLS))
def test_grouping_killed_anywhere_and_continued_gives_the_tickets_of_an_undisturbed_one(
    state: State, detect: Flow, kill: int
) -> None:
    rows = [event(s, time=s, host=f"pc-{s % 11}") for s in range(1, 60)]
    detect(*rows, group=False)
    # a second rule on the same hosts, and a third that lies between two tickets of one
    rules = [Given(f"r2-{n}", rule="r2", entity=f"PC-{n}", first=0.5) for n in range(4)]
    rules += [Given(f"far-{n}", rule="r2", entity=f"pc-{n}", first=100) for n in range(4)]
    put(state, *rules, *(Given(f"r3-{n}", rule="r3", entity=f"pc-{n}", first=50) for n in range(4)))
    point = POINTS[kill % len(POINTS)]
    # of 23 findings in batches of three: any finding, any batch
    nth = 1 + (kill * 7919) % (23 if point == "tickets.taken" else 8)
    url = state.engine.url.render_as_string(hide_password=False)
    code = textwrap.dedent(KILLED).format(point=point, nth=nth, url=url)
    died = subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ))
    assert died.returncode == -signal.SIGKILL
    while tickets_once(state, now=NOW):
        pass
    living = [t for t in tickets(state) if not t.duplicate_of]
    assert {(t.entity, t.findings, t.rules) for t in living} == {
        (f"pc-{n}", 4 if n < 4 else 1, 3 if n < 4 else 1) for n in range(11)
    }
    assert [t.number for t in tickets(state)] == list(range(1, 16))
    assert sorted(owners(state).values()) == sorted(
        t.number for t in living for _ in range(t.findings)
    )
    joined = [t for t in tickets(state) if t.duplicate_of]
    assert [history(state, t) for t in joined] == [["opened", "closed"]] * 4


def test_any_batching_of_detection_and_grouping_gives_the_same_tickets(
    state: State, tmp_path: Path, detect: Flow
) -> None:
    rows = [event(s, time=(s * 7919) % 50_000, host=f"pc-{s % 2}") for s in range(1, 120)]
    detect(*rows)

    def living(of: State) -> list[tuple[str, object, object, int]]:
        return sorted((t.entity, t.first, t.last, t.events) for t in tickets(of) if not t.closed)

    other = empty_state(tmp_path / "other.sqlite")
    store = MemoryStore(rows)
    from support.detecting import PlainEvaluator

    while run_once(
        other,
        store,
        PlainEvaluator(),
        holder="w",
        limits=Limits(window=9),
        clock=lambda: NOW,  # type: ignore[arg-type]
    ):
        tickets_once(other, now=NOW)
    while tickets_once(other, now=NOW):
        pass
    assert living(other) == living(state)
    assert any(t.duplicate_of for t in tickets(other))
    other.close()
