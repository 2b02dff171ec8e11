"""Findings that share a ticket: one agency, one entity, within the gap, whatever the rule."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from support.findings import NOW, Given, group, put, take
from support.people import analyst
from support.states import empty_state

from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import claim, close
from pipeline.tickets.policy import Policy


def tickets(state: State) -> list[Ticket]:
    with state.read() as session:
        return list(session.scalars(sa.select(Ticket).order_by(Ticket.number)))


def shares(state: State) -> list[set[str]]:
    """The findings by ticket, in order of its number."""
    with state.read() as session:
        rows = session.execute(
            sa.select(Ticket.number, TicketFinding.finding)
            .join(TicketFinding, TicketFinding.ticket == Ticket.id)
            .order_by(Ticket.number)
        )
        found: dict[int, set[str]] = {}
        for number, finding in rows:
            found.setdefault(number, set()).add(finding)
        return list(found.values())


def history(state: State, number: int) -> list[str]:
    with state.read() as session:
        query = (
            sa.select(TicketHistory.what)
            .join(Ticket, Ticket.id == TicketHistory.ticket)
            .where(Ticket.number == number)
            .order_by(TicketHistory.place)
        )
        return list(session.scalars(query))


def test_findings_of_several_rules_on_one_host_are_one_ticket_named_by_the_severest(
    state: State,
) -> None:
    take(
        state,
        [
            Given("a", rule="r1", entity="PBN-PC07.x", first=600, level="medium", count=3),
            Given("b", rule="r2", entity="pbn-pc07.x ", first=655, level="critical"),
            Given("c", rule="r3", entity="pbn-pc07.x", first=700, level="high", count=2),
        ],
    )
    (ticket,) = tickets(state)
    assert (ticket.title, ticket.rule, ticket.severity) == ("Title of r2", "r2", "critical")
    assert (ticket.entity, ticket.findings, ticket.rules, ticket.events) == ("PBN-PC07.x", 3, 3, 6)
    assert (ticket.first, ticket.last) == (
        EPOCH + timedelta(minutes=600),
        EPOCH + timedelta(minutes=700),
    )


@pytest.mark.parametrize(
    "other",
    [
        Given("b", rule="r2", first=660.1),
        Given("b", rule="r2", first=655, agency="ward-2"),
        Given("b", rule="r2", first=655, entity="pc-2"),
        Given("b", rule="r2", first=655, entity=""),
    ],
)
def test_what_lies_further_apart_or_speaks_of_another_is_another_ticket(
    state: State, other: Given
) -> None:
    take(state, [Given("a", first=600), other])
    assert shares(state) == [{"a"}, {"b"}]


def test_findings_without_an_entity_share_with_their_own_rule_alone(state: State) -> None:
    take(
        state,
        [
            Given("a", entity=""),
            Given("b", entity=" ", first=610),
            Given("c", rule="r2", entity="", first=610),
        ],
    )
    assert shares(state) == [{"a", "b"}, {"c"}]


def test_a_finding_that_lies_between_two_tickets_joins_them_and_the_work_goes_on(
    state: State,
) -> None:
    take(state, [Given("a", first=600), Given("b", rule="r2", first=700)])
    claim(state, Request(actor=analyst("binh"), ticket="2"), now=NOW)
    take(state, [Given("c", rule="r3", first=650)])
    main, joined = tickets(state)
    assert (joined.status, joined.reason, joined.duplicate_of) == ("closed", "duplicate", main.id)
    assert (main.owner, main.status, main.findings) == ("person:binh", "claimed", 3)
    assert history(state, 2) == ["opened", "claimed", "closed"]
    assert history(state, 1) == ["opened", "linked", "assigned", "amended"]


def test_a_finding_of_the_judged_time_but_unseen_opens_a_ticket_that_follows(state: State) -> None:
    take(state, [Given("a", first=600)])
    close(
        state,
        Request(actor=analyst(), ticket="1"),
        reason="false_positive_logic",
        note="x",
        now=EPOCH + timedelta(minutes=800),
    )
    take(state, [Given("b", rule="r2", first=610, level="critical")])
    old, new = tickets(state)
    assert (new.follows, new.status, old.findings) == (old.id, "new", 1)


def test_the_gap_is_a_setting(state: State) -> None:
    take(state, [Given("a"), Given("b", rule="r2", first=605)], Policy(gap=timedelta(minutes=4)))
    assert len(tickets(state)) == 2


def test_a_finding_whose_events_were_all_taken_back_counts_no_more(state: State) -> None:
    take(state, [Given("a", level="critical", count=4), Given("b", rule="r2", first=610)])
    take(state, [Given("a", level="critical", count=0)])
    (ticket,) = tickets(state)
    assert (ticket.severity, ticket.events, ticket.findings, ticket.rules) == ("high", 1, 1, 1)
    take(state, [Given("b", rule="r2", first=610, count=0)])
    (ticket,) = tickets(state)
    assert (ticket.status, ticket.events, ticket.findings) == ("new", 0, 0)


def across(finding: str, *agencies: str) -> Given:
    """A finding of the centre over events of the agencies."""
    samples = tuple(
        {"event": f"{n:032x}", "time": 0, "fields": {"organization.id": agency} if agency else {}}
        for n, agency in enumerate(agencies)
    )
    return Given(finding, agency="soc", entity="203.0.113.9", samples=samples)


def test_a_ticket_of_the_centre_over_drill_agencies_is_a_drill_s(state: State) -> None:
    with state.begin() as session:
        for name, drill in (("soc", False), ("ward-1", False), ("d1", True), ("d2", True)):
            session.add(Agency(id=name, name_vi=name, name_en=name, drill=drill, valid_from=EPOCH))
    take(state, [across("real", "ward-1"), across("drill", "d1", "d2", "d1")])
    take(state, [across("mixed", "d1", "ward-1"), across("unknown", "d1", ""), across("bare")])
    assert [(t.drill, t.findings) for t in tickets(state)] == [(False, 4), (True, 1)]
    assert shares(state) == [{"real", "mixed", "unknown", "bare"}, {"drill"}]


# --- a storm

CALM = Policy(storm=3)


def test_beyond_a_rate_findings_hang_under_one_ticket_that_counts_them(state: State) -> None:
    storm = [Given(f"f{n:02}", entity=f"pc-{n}", made=n) for n in range(10)]
    calm = [Given("x", rule="r2", entity="pc-9", made=5), Given("y", agency="ward-2", made=5)]
    take(state, storm + calm, CALM)
    found = {t.number: t for t in tickets(state)}
    assert [(t.kind, t.entity, t.findings) for t in found.values()] == [
        ("detection", "pc-0", 1),
        ("detection", "pc-1", 1),
        ("detection", "pc-2", 1),
        ("storm", "", 7),
        ("detection", "pc-9", 1),
        ("detection", "pc-1", 1),
    ]
    assert (found[4].title, found[4].rules, found[4].events) == ("Title of r1", 1, 7)


def test_a_storm_blows_on_until_the_rate_has_fallen(state: State) -> None:
    # one finding every 15 minutes keeps three and more within an hour
    blowing = [Given(f"f{n:02}", entity=f"pc-{n}", made=15 * n) for n in range(12)]
    later = [Given("z", entity="pc-z", made=15 * 11 + 61)]
    take(state, blowing + later, CALM)
    kinds = [(t.kind, t.findings) for t in tickets(state)]
    assert kinds == [*[("detection", 1)] * 3, ("storm", 9), ("detection", 1)]


def test_a_storm_s_finding_on_an_entity_with_an_open_ticket_goes_there(state: State) -> None:
    take(state, [Given("a", rule="r9", entity="pc-7", made=0, level="critical")], CALM)
    take(state, [Given(f"f{n}", entity=f"pc-{n}", made=n) for n in range(9)], CALM)
    assert {"a", "f7"} in shares(state)


def test_a_storm_that_was_closed_and_goes_on_is_a_new_ticket_that_follows(state: State) -> None:
    take(state, [Given(f"f{n}", entity=f"pc-{n}", made=n) for n in range(5)], CALM)
    closing = EPOCH + timedelta(minutes=650)
    request = Request(actor=analyst(), ticket="4")
    close(state, request, reason="benign_true_positive", note="x", now=closing)
    take(state, [Given("f4", entity="pc-4", first=600, last=660, count=2, made=4)], CALM)
    old, new = tickets(state)[3:]
    assert (old.kind, old.findings, new.kind, new.findings) == ("storm", 1, "storm", 1)
    assert new.follows == old.id


# --- a function of the set

ENTITIES = st.sampled_from(["pc-1", "PC-1", " pc-1", "pc-2"])


@st.composite
def finding_sets(draw: st.DrawFn) -> list[Given]:
    made = []
    for n in range(draw(st.integers(1, 9))):
        first = draw(st.integers(0, 600))
        made.append(
            Given(
                f"f{n}",
                rule=draw(st.sampled_from(["r1", "r2", "r3"])),
                entity=draw(ENTITIES),
                first=first,
                last=first + draw(st.integers(0, 90)),
                level=draw(st.sampled_from(["medium", "high", "critical"])),
            )
        )
    return made


def parts(findings: Collection[Given]) -> list[set[str]]:
    """The oracle: findings of one entity, joined as long as any two lie within the hour."""
    found = [{f.id} for f in findings]
    by_id = {f.id: f for f in findings}

    def near(a: Given, b: Given) -> bool:
        apart = max(a.first, b.first) - min(a.last or 0, b.last or 0)
        return a.entity.strip().lower() == b.entity.strip().lower() and apart <= 60

    def joined(one: set[str], other: set[str]) -> bool:
        return any(near(by_id[a], by_id[b]) for a in one for b in other)

    while pair := next((p for p in combinations(found, 2) if joined(*p)), None):
        found = [part for part in found if part not in pair] + [pair[0] | pair[1]]
    return sorted(found, key=min)


@settings(max_examples=25, deadline=None)
@given(findings=finding_sets(), data=st.data())
def test_which_findings_share_a_ticket_is_a_function_of_their_set(
    findings: list[Given], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(findings))
    cuts = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    grown = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    policy = Policy(batch=data.draw(st.integers(1, 4)))
    with tempfile.TemporaryDirectory() as folder:
        state = empty_state(Path(folder) / "s.sqlite")
        for finding, cut, grows in zip(order, cuts, grown, strict=True):
            if grows:  # it was shorter first, as an episode is that has only begun
                begun = Given(finding.id, finding.rule, entity=finding.entity, first=finding.first)
                put(state, begun)
                if cut:
                    group(state, policy)
            put(state, finding)
            if cut:
                group(state, policy)
        group(state, policy)
        living = [t for t in tickets(state) if not t.duplicate_of]
        assert sorted(shares(state), key=min) == parts(findings)
        assert len(living) == len(parts(findings))
        by_id = {f.id: f for f in findings}
        with state.read() as session:
            held = {t.id: [] for t in living}
            for link in session.scalars(sa.select(TicketFinding)):
                held[link.ticket].append(by_id[link.finding])
        ranks = ["medium", "high", "critical"]
        for ticket in living:
            mine = held[ticket.id]
            severest = min(mine, key=lambda f: (-ranks.index(f.level), f.first, f.id))
            earliest = min(mine, key=lambda f: (f.first, f.id))
            assert (ticket.rule, ticket.severity) == (severest.rule, severest.level)
            assert (ticket.entity, ticket.findings) == (earliest.entity, len(mine))
            assert ticket.rules == len({f.rule for f in mine})
            assert ticket.last == EPOCH + timedelta(minutes=max(f.last or 0 for f in mine))
        state.close()
