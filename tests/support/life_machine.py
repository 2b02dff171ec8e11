"""Many actors do what they like with three tickets; a small model says what must come of each deed (Hypothesis)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from support.findings import NOW, Given, take
from support.people import analyst, officer
from support.states import empty_state

from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError, ThapCanhError, UsageError
from pipeline.model.scope import Actor
from pipeline.model.tickets import ClosingReason
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import Ticket, TicketFinding, TicketHistory
from pipeline.tickets import facts, life
from pipeline.tickets.deeds import Outcome, Request
from pipeline.tickets.leases import lapse_once

EIGHT = [r.value for r in ClosingReason if r is not ClosingReason.RECOVERED]
NAMES = ("an", "binh", "chi")
ACTORS = st.sampled_from([analyst(name) for name in NAMES])
NUMBERS = st.sampled_from([1, 2, 3])
STALE = st.sampled_from([None, None, None, 0, -1])


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # hundreds of small commits


@cache
def three_tickets() -> bytes:
    """A state with three people and a ticket each, made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        state = empty_state(path)
        with state.begin() as session:
            session.add_all(Person(id=n, name=n, role="analyst", created=EPOCH) for n in NAMES)
        take(state, [Given(f"f{n}", entity=f"pc-{n}") for n in (1, 2, 3)])
        state.close()
        return path.read_bytes()


@dataclass
class Model:
    """A ticket as it must be. `until` is when its claim lapses."""

    status: str = "new"
    owner: str = ""
    until: object = None
    waiting: str = ""
    duplicate_of: int = 0
    revision: int = 1

    @property
    def open(self) -> bool:
        return self.status != "closed"


class Life(RuleBasedStateMachine):
    life: Any = life
    """How deeds are done: by the use cases, or (`test_life_by_http.py`) over the API."""
    facts: Any = facts

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        path = Path(self.folder.name) / "s.sqlite"
        path.write_bytes(three_tickets())
        self.state = State.at(path)
        self.tickets = {n: Model() for n in (1, 2, 3)}
        self.now, self.keys = NOW, 0
        self.prepare()

    def prepare(self) -> None:
        """What the way of doing deeds needs besides."""

    def ask(self, actor: Actor, number: int, stale: int | None) -> Request:
        self.keys += 1
        seen = None if stale is None else self.tickets[number].revision + stale
        return Request(actor=actor, ticket=str(number), revision=seen, key=f"k{self.keys}")

    def attempt(
        self, deed: Callable[[Request], Outcome], request: Request, *, allowed: bool
    ) -> bool:
        """Do it, and once more under its key: the same answer or the same refusal."""
        model = self.tickets[int(request.ticket)]
        allowed = allowed and request.revision in (None, model.revision)
        try:
            outcome = deed(request)
        except (ConflictError, UsageError):
            assert not allowed
            return False
        assert allowed
        assert deed(request) == outcome
        model.revision = outcome.revision
        return True

    def free_for(self, model: Model, actor: Actor) -> bool:
        lapsed = model.until is not None and model.until <= self.now  # type: ignore[operator]
        return lapsed or model.owner in ("", actor.name)

    def own(
        self, model: Model, owner: str, status: str, holds: timedelta = life.CLAIM_HOLDS
    ) -> None:
        model.owner, model.status, model.waiting = owner, status, ""
        model.until = self.now + holds if owner else None

    def root(self, number: int) -> int:
        while self.tickets[number].duplicate_of:
            number = self.tickets[number].duplicate_of
        return number

    @rule(actor=ACTORS, number=NUMBERS, stale=STALE)
    def claim(self, actor: Actor, number: int, stale: int | None) -> None:
        m = self.tickets[number]
        allowed = m.open and self.free_for(m, actor)
        request = self.ask(actor, number, stale)
        if self.attempt(
            lambda r: self.life.claim(self.state, r, now=self.now), request, allowed=allowed
        ):
            if m.owner != actor.name:
                self.own(m, actor.name, "claimed")
            m.until = max(m.until or self.now, self.now + life.CLAIM_HOLDS)  # type: ignore[type-var]

    @rule(actor=ACTORS, number=NUMBERS, stale=STALE)
    def take_over(self, actor: Actor, number: int, stale: int | None) -> None:
        m = self.tickets[number]
        allowed = m.open and m.owner != actor.name
        request = self.ask(actor, number, stale)
        if self.attempt(
            lambda r: self.life.take_over(self.state, r, reason="ca", now=self.now),
            request,
            allowed=allowed,
        ):
            waiting = m.waiting
            status = "claimed" if m.status in ("new", "reopened") else m.status
            self.own(m, actor.name, status)
            m.waiting = waiting if status == "waiting" else ""

    @rule(actor=ACTORS, number=NUMBERS, stale=STALE)
    def release(self, actor: Actor, number: int, stale: int | None) -> None:
        m = self.tickets[number]
        allowed = m.open and m.owner == actor.name
        request = self.ask(actor, number, stale)
        if self.attempt(
            lambda r: self.life.release(self.state, r, now=self.now), request, allowed=allowed
        ):
            self.own(m, "", "new")

    @rule(actor=ACTORS, number=NUMBERS, to=st.sampled_from(NAMES))
    def assign(self, actor: Actor, number: int, to: str) -> None:
        m = self.tickets[number]
        request = self.ask(actor, number, None)
        if self.attempt(
            lambda r: self.life.assign(self.state, r, to=to, now=self.now), request, allowed=m.open
        ):
            waiting = m.waiting
            status = "claimed" if m.status in ("new", "reopened") else m.status
            self.own(m, f"person:{to}", status)
            m.waiting = waiting if status == "waiting" else ""

    @rule(actor=ACTORS, number=NUMBERS)
    def start(self, actor: Actor, number: int) -> None:
        m = self.tickets[number]
        allowed = m.open and m.owner == actor.name
        request = self.ask(actor, number, None)
        if self.attempt(
            lambda r: self.life.start(self.state, r, now=self.now), request, allowed=allowed
        ):
            self.own(m, m.owner, "in_progress")

    @rule(actor=ACTORS, number=NUMBERS, whom=st.sampled_from(["agency", "supplier"]))
    def wait(self, actor: Actor, number: int, whom: str) -> None:
        m = self.tickets[number]
        allowed = m.open and m.owner == actor.name
        request = self.ask(actor, number, None)
        if self.attempt(
            lambda r: self.life.wait_for(self.state, r, whom=whom, note="?", now=self.now),
            request,
            allowed=allowed,
        ):
            self.own(m, m.owner, "waiting", life.WAITING_HOLDS)
            m.waiting = whom

    @rule(number=NUMBERS)
    def answer(self, number: int) -> None:
        m = self.tickets[number]
        request = self.ask(officer("dung", "ward-1"), number, None)
        self.attempt(
            lambda r: self.life.comment(self.state, r, text="đây", now=self.now),
            request,
            allowed=True,
        )
        if m.status == "waiting" and m.waiting == "agency":
            self.own(m, m.owner, "in_progress" if m.owner else "new")

    @rule(actor=ACTORS, number=NUMBERS, reason=st.sampled_from(EIGHT), stale=STALE)
    def close(self, actor: Actor, number: int, reason: str, stale: int | None) -> None:
        m = self.tickets[number]
        allowed = m.open and self.free_for(m, actor)
        request = self.ask(actor, number, stale)
        if self.attempt(
            lambda r: self.life.close(self.state, r, reason=reason, note="x", now=self.now),
            request,
            allowed=allowed,
        ):
            m.status, m.until, m.waiting = "closed", None, ""

    @rule(actor=ACTORS, number=NUMBERS)
    def reopen(self, actor: Actor, number: int) -> None:
        m = self.tickets[number]
        request = self.ask(actor, number, None)
        if self.attempt(
            lambda r: self.life.reopen(self.state, r, note="x", now=self.now),
            request,
            allowed=not m.open,
        ):
            self.own(m, "", "reopened")
            m.duplicate_of = 0

    @rule(actor=ACTORS, number=NUMBERS, into=NUMBERS)
    def merge(self, actor: Actor, number: int, into: int) -> None:
        m, main = self.tickets[number], self.root(into)
        same = bool(m.duplicate_of) and self.root(number) == main
        allowed = self.free_for(m, actor) and (same or (not m.duplicate_of and main != number))
        request = self.ask(actor, number, None)
        if (
            self.attempt(
                lambda r: self.facts.merge(self.state, r, into=str(into), note="", now=self.now),
                request,
                allowed=allowed,
            )
            and not same
        ):
            m.duplicate_of = main
            self.inherit(m, self.tickets[main])
            m.status, m.until, m.waiting = "closed", None, ""

    def inherit(self, gone: Model, main: Model) -> None:
        """Work goes on: the owner of an open duplicate gets a main ticket that nobody has."""
        if gone.owner and gone.open and not main.owner and main.open:
            self.own(main, gone.owner, "claimed")
            main.revision += 1

    @rule(actor=ACTORS, number=NUMBERS)
    def unmerge(self, actor: Actor, number: int) -> None:
        m = self.tickets[number]
        request = self.ask(actor, number, None)
        if (
            self.attempt(
                lambda r: self.facts.unmerge(self.state, r, note="x", now=self.now),
                request,
                allowed=True,
            )
            and m.duplicate_of
        ):
            self.own(m, "", "reopened")
            m.duplicate_of = 0

    @rule(hours=st.sampled_from([1, 11, 13, 170]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        lapsed = [
            m for m in self.tickets.values()
            if m.open and m.owner and m.until is not None and m.until <= self.now  # type: ignore[operator]
        ]  # fmt: skip
        assert lapse_once(self.state, now=self.now) == len(lapsed)
        for m in lapsed:
            self.own(m, "", "new")
            m.revision += 1

    @rule(actor=ACTORS, number=NUMBERS)
    def a_key_used_for_another_deed_is_refused(self, actor: Actor, number: int) -> None:
        request = self.ask(actor, number, None)
        self.life.comment(self.state, request, text="một", now=self.now)
        with pytest.raises(ThapCanhError, match="idempotency key"):
            self.life.comment(self.state, request, text="hai", now=self.now)

    @invariant()
    def rows_and_histories_agree_with_the_model(self) -> None:
        if not hasattr(self, "state"):
            return
        with self.state.read() as session:
            rows = {t.number: t for t in session.scalars(sa.select(Ticket))}
            by_id = {t.id: t.number for t in rows.values()}
            places = list(
                session.execute(
                    sa.select(TicketHistory.ticket, TicketHistory.place).order_by(TicketHistory.id)
                )
            )
            links = {
                link.finding: by_id[link.ticket]
                for link in session.scalars(sa.select(TicketFinding))
            }
        for number, m in self.tickets.items():
            t = rows[number]
            assert (t.status, t.owner, t.owner_until, t.revision) == (
                m.status, m.owner, m.until, m.revision,
            )  # fmt: skip
            assert (t.closed is None, t.waiting_for) == (m.open, m.waiting)
            assert by_id.get(t.duplicate_of, 0) == m.duplicate_of
            assert links[f"f{number}"] == self.root(number)
            mine = [place for ticket, place in places if ticket == t.id]
            assert mine == list(range(1, len(mine) + 1))

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.close()
            self.folder.cleanup()
