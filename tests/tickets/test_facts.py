"""Merging and parting, tags, TLP, the checklist, severity by hand, and the end of a shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from support.findings import NOW, Given, take
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError, ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory, TicketTag
from pipeline.tickets import facts, life
from pipeline.tickets.deeds import Outcome, Request
from pipeline.tickets.playbook import steps_of
from pipeline.tickets.queue import get_ticket
from pipeline.tickets.shift import hand_over, hand_overs

AN, BINH = analyst("an"), analyst("binh")


@pytest.fixture(autouse=True)
def tickets(state: State) -> None:
    """#1, #2 and #3 of one agency, #4 of another."""
    entities = [Given(f"f{n}", entity=f"pc-{n}", count=n) for n in (1, 2, 3)]
    take(state, [*entities, Given("f4", agency="ward-2")])


def by(actor: Actor, number: int = 1, **more: Any) -> Request:
    return Request(actor=actor, ticket=str(number), **more)


def row(state: State, number: int) -> Ticket:
    with state.read() as session:
        return session.scalars(sa.select(Ticket).where(Ticket.number == number)).one()


def told(state: State, number: int) -> list[str]:
    with state.read() as session:
        query = (
            sa.select(TicketHistory.what)
            .join(Ticket, Ticket.id == TicketHistory.ticket)
            .where(Ticket.number == number)
            .order_by(TicketHistory.place)
        )
        return list(session.scalars(query))


def held(state: State) -> dict[int, list[str]]:
    with state.read() as session:
        rows = session.execute(
            sa.select(Ticket.number, TicketFinding.finding)
            .join(TicketFinding, TicketFinding.ticket == Ticket.id)
            .order_by(TicketFinding.finding)
        )
        found: dict[int, list[str]] = {}
        for number, finding in rows:
            found.setdefault(number, []).append(finding)
        return found


def merge(state: State, number: int, into: int, actor: Actor = AN, **more: Any) -> Outcome:
    request = by(actor, number, **more)
    return facts.merge(state, request, into=str(into), note="cùng một vụ", now=NOW)


def test_merging_and_parting_again_are_links_that_leave_no_trace_but_history(state: State) -> None:
    merge(state, 2, 1)
    assert merge(state, 2, 1).status == "closed"  # again: nothing more
    main, gone = row(state, 1), row(state, 2)
    assert (main.events, main.findings, gone.duplicate_of) == (3, 2, main.id)
    assert held(state) == {1: ["f1", "f2"], 3: ["f3"], 4: ["f4"]}
    assert [f.id for f in get_ticket(state, None, AN, "2").findings] == ["f2"]
    facts.unmerge(state, by(AN, 2), note="không phải", now=NOW)
    facts.unmerge(state, by(AN, 2), note="không phải", now=NOW)
    main, back = row(state, 1), row(state, 2)
    assert (main.events, main.findings, back.events, back.status) == (1, 1, 2, "reopened")
    assert held(state) == {n: [f"f{n}"] for n in (1, 2, 3, 4)}
    assert told(state, 2) == ["opened", "closed", "unlinked"]
    assert told(state, 1) == ["opened", "linked", "amended", "unlinked", "amended"]


def test_a_chain_of_merges_is_undone_link_by_link(state: State) -> None:
    merge(state, 1, 2)
    merge(state, 2, 3)
    assert held(state) == {3: ["f1", "f2", "f3"], 4: ["f4"]}
    facts.unmerge(state, by(AN, 2), note="x", now=NOW)
    assert held(state) == {2: ["f1", "f2"], 3: ["f3"], 4: ["f4"]}
    facts.unmerge(state, by(AN, 1), note="x", now=NOW)
    assert held(state) == {n: [f"f{n}"] for n in (1, 2, 3, 4)}


def test_what_no_merge_can_mean_is_refused(state: State) -> None:
    for wrong in (lambda: merge(state, 1, 1), lambda: merge(state, 1, 4)):
        with pytest.raises(UsageError):
            wrong()
    merge(state, 1, 2)
    with pytest.raises(UsageError, match="no duplicate of itself"):
        merge(state, 2, 1)  # round in a circle
    with pytest.raises(ConflictError, match="duplicate of another already"):
        merge(state, 1, 3)
    life.claim(state, by(AN, 3), now=NOW)
    with pytest.raises(ConflictError, match="held by person:an"):
        merge(state, 3, 2, BINH)
    with pytest.raises(ForbiddenError):
        merge(state, 3, 2, AUDITOR)


def test_what_was_parted_by_hand_grouping_leaves_apart(state: State) -> None:
    take(state, [Given("g1", entity="pc-9"), Given("g2", rule="r2", entity="pc-9", first=700)])
    take(state, [Given("g3", rule="r3", entity="pc-9", first=650)])
    assert held(state)[5] == ["g1", "g2", "g3"]
    facts.unmerge(state, by(AN, 6), note="hai việc", now=NOW)
    take(state, [Given("g2", rule="r2", entity="pc-9", first=690, last=700, count=2)])
    assert (held(state)[5], held(state)[6]) == (["g1", "g3"], ["g2"])


def test_a_duplicate_closed_or_reopened_by_hand_is_the_same_link(state: State) -> None:
    life.close(state, by(AN, 2), reason="duplicate", note="x", duplicate_of="#1", now=NOW)
    assert held(state)[1] == ["f1", "f2"]
    life.reopen(state, by(AN, 2), note="nhầm", now=NOW)
    assert held(state)[2] == ["f2"]
    assert row(state, 2).duplicate_of == ""


def test_tags_are_words_put_on_and_taken_off_once(state: State) -> None:
    for word in ("Ransomware", " ransomware ", "apt.x"):
        facts.tag(state, by(AN), tag=word, now=NOW)
    facts.tag(state, by(BINH), tag="apt.x", on=False, now=NOW)
    with state.read() as session:
        assert list(session.scalars(sa.select(TicketTag.tag))) == ["ransomware"]
    assert told(state, 1) == ["opened", "tagged", "tagged", "untagged"]
    assert row(state, 1).revision == 1
    for wrong in ("", "hai từ", "<b>", "x" * 41):
        with pytest.raises(UsageError, match="one word"):
            facts.tag(state, by(AN), tag=wrong, now=NOW)
    for n in range(19):
        facts.tag(state, by(AN), tag=f"t{n}", now=NOW)
    with pytest.raises(ConflictError, match="as many tags"):
        facts.tag(state, by(AN), tag="one-more", now=NOW)


def test_tlp_is_one_of_version_two(state: State) -> None:
    assert row(state, 1).tlp == "amber"
    facts.set_tlp(state, by(AN), tlp="amber+strict", now=NOW)
    assert (row(state, 1).tlp, row(state, 1).revision) == ("amber+strict", 2)
    with pytest.raises(UsageError, match="clear, green"):
        facts.set_tlp(state, by(AN), tlp="white", now=NOW)


PLAYBOOK = """
title: x
thapcanh:
  playbook:
    - vi: Hỏi người dùng
      en: Ask the user
    - Khóa phiên
"""


def test_the_checklist_is_what_the_rules_say_each_step_once(state: State) -> None:
    first, second = steps_of([PLAYBOOK, PLAYBOOK.replace("title: x", "title: y"), "no: playbook"])
    assert (first.vi, first.en, second.en) == ("Hỏi người dùng", "Ask the user", "Khóa phiên")
    assert steps_of(["playbook: [", "thapcanh: {playbook: 7}", "- playbook"]) == []
    facts.check(state, by(AN), step=first.key, done=True, now=NOW)
    facts.check(state, by(BINH), step=second.key, done=True, now=NOW)
    facts.check(state, by(BINH), step=first.key, done=True, now=NOW)
    assert row(state, 1).checks == {first.key: "person:an", second.key: "person:binh"}
    facts.check(state, by(AN), step=second.key, done=False, now=NOW)
    assert row(state, 1).checks == {first.key: "person:an"}
    assert told(state, 1) == ["opened", "checked", "checked", "unchecked"]


def test_severity_by_hand_stands_until_it_is_given_back(state: State) -> None:
    facts.set_severity(state, by(AN), severity="low", reason="máy thử nghiệm", now=NOW)
    take(state, [Given("g", rule="r2", entity="pc-1", first=610, level="critical")])
    now = row(state, 1)
    assert (now.severity, now.severity_by, now.title) == ("low", "person:an", "Title of r2")
    facts.set_severity(state, by(BINH), severity="", reason="nhầm máy", now=NOW)
    now = row(state, 1)
    assert (now.severity, now.severity_by) == ("critical", "")
    for severity, reason in (("huge", "x"), ("low", " ")):
        with pytest.raises(UsageError):
            facts.set_severity(state, by(AN), severity=severity, reason=reason, now=NOW)


@pytest.mark.parametrize(
    "deed",
    [
        lambda state, who: facts.tag(state, by(who), tag="x", now=NOW),
        lambda state, who: facts.set_tlp(state, by(who), tlp="red", now=NOW),
        lambda state, who: facts.check(state, by(who), step="0" * 16, done=True, now=NOW),
        lambda state, who: facts.set_severity(state, by(who), severity="low", reason="x", now=NOW),
        lambda state, who: hand_over(state, who, text="x", now=NOW),
    ],
)
def test_readers_and_agencies_change_nothing(
    state: State, deed: Callable[[State, Actor], Any]
) -> None:
    for who in (AUDITOR, officer("chi", "ward-1")):
        with pytest.raises(ForbiddenError):
            deed(state, who)


def test_a_shift_hands_its_tickets_over_with_a_note_once(state: State) -> None:
    with state.begin() as session:
        session.add(Person(id="binh", name="Bình", role="analyst", created=EPOCH))
    for number in (1, 2):
        life.claim(state, by(AN, number), now=NOW)
    life.claim(state, by(BINH, 3), now=NOW)
    ask = {"text": "ca đêm yên", "to": "binh", "numbers": (1, 3, 99), "key": "k", "now": NOW}
    assert hand_over(state, AN, **ask) == hand_over(state, AN, **ask) == (1,)  # type: ignore[arg-type]
    assert hand_over(state, AN, text="nốt", numbers=(1, 2), now=NOW) == (2,)
    assert [(row(state, n).owner, row(state, n).status) for n in (1, 2, 3)] == [
        ("person:binh", "claimed"),
        ("", "new"),
        ("person:binh", "claimed"),
    ]
    assert told(state, 1) == ["opened", "claimed", "handed_over"]
    assert [(n.text, n.tickets) for n in hand_overs(state, BINH)] == [
        ("nốt", (2,)),
        ("ca đêm yên", (1,)),
    ]
    assert hand_overs(state, officer("chi", "ward-1")) == []
    with pytest.raises(NotFoundError, match="no such person"):
        hand_over(state, AN, text="x", to="nobody", now=NOW)
