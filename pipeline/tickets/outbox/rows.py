"""The outbox's rows: which is next, who is at it, what became of it. Short transactions, no I/O within.

A row goes waiting → sending → sent; what fails goes back to waiting (certainly not done) or to unknown (perhaps
done), each with a time before which nobody tries. A row that is `sending` past its `due` was begun by a process
that died: it is unknown. Invariants: per ticket and mirror one row at a time, in the order of the deeds; a dead
or skipped row holds up none behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from pipeline.settings.values import MirrorSettings
from pipeline.state.state import State
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.tickets import MirrorLink, MirrorSeen, MirrorState, Outbox, Ticket
from pipeline.tickets.history import MIRRORS
from pipeline.tickets.mirrors.base import Answer
from pipeline.tickets.mirrors.kinds import proven

OPEN: Final = ("waiting", "sending", "unknown")


@dataclass(frozen=True, slots=True)
class Job:
    """A row that is ours until `until`. `unsure`: perhaps done before. `tlp` is the ticket's present one."""

    id: int
    ticket: str
    what: str
    key: str
    body: dict[str, Any]
    tries: int
    unsure: bool
    remote: str
    tlp: str


def know_mirrors(state: State, settings: MirrorSettings) -> None:
    """Write down whom deeds are told from now on."""
    value = {
        "names": [one.name for one in settings.systems],
        "drills": [one.name for one in settings.systems if one.drills],
        "kinds": {
            one.name: {"kind": one.kind, "proven": proven(one.kind)} for one in settings.systems
        },
    }
    with state.begin() as session:
        row = session.get(Meta, MIRRORS)
        if row is None:
            session.add(Meta(name=MIRRORS, value=value))
        else:
            row.value = value
        for one in settings.systems:
            if session.get(MirrorState, one.name) is None:
                session.add(MirrorState(mirror=one.name))


def known_mirrors(state: State) -> dict[str, dict[str, Any]]:
    """Kind of each mirror by name, as the role *tickets* last found them in the settings."""
    with state.read() as session:
        row = session.get(Meta, MIRRORS)
        return dict(row.value.get("kinds", {})) if row else {}


def next_job(state: State, mirror: str, now: datetime, *, hold: timedelta) -> Job | None:
    """Take the next row of the mirror that is due; nobody else gets it within `hold`."""
    earlier = aliased(Outbox)
    before = sa.exists().where(
        earlier.ticket == Outbox.ticket, earlier.mirror == mirror,
        earlier.id < Outbox.id, earlier.state.in_(OPEN),
    )  # fmt: skip
    query = (
        sa.select(Outbox)
        .where(Outbox.mirror == mirror, Outbox.state.in_(OPEN), Outbox.due <= now, ~before)
        .order_by(Outbox.due, Outbox.id)
        .limit(1)
    )
    with state.read() as session:
        if session.scalar(query) is None:
            return None
    with state.begin() as session:
        row = session.scalar(query)
        if row is None:
            return None
        unsure = row.state != "waiting"
        row.state, row.due = "sending", now + hold
        link = session.get(MirrorLink, (row.ticket, mirror))
        ticket = session.get_one(Ticket, row.ticket)
        return Job(
            row.id, row.ticket, row.what, row.key, row.body, row.tries, unsure,
            link.remote if link else "", ticket.tlp,
        )  # fmt: skip


def link(state: State, mirror: str, ticket: str, answer: Answer, now: datetime) -> None:
    """Remember what the ticket is called over there."""
    with state.begin() as session:
        if session.get(MirrorLink, (ticket, mirror)) is None:
            session.add(
                MirrorLink(
                    ticket=ticket, mirror=mirror, remote=answer.remote, url=answer.url, made=now
                )
            )


def settle(state: State, job: Job, became: str) -> None:
    """It is sent, or skipped."""
    with state.begin() as session:
        row = session.get(Outbox, job.id)
        if row is not None:
            row.state, row.error = became, ""


def put_back(state: State, job: Job, became: str, *, due: datetime, why: str, counts: bool) -> None:
    """It is to be tried again, or (dead) not. `counts`: this try was the row's own failure."""
    with state.begin() as session:
        row = session.get(Outbox, job.id)
        if row is not None:
            row.state, row.due, row.error = became, due, why
            row.tries += counts


def replay(
    state: State,
    *,
    mirror: str = "",
    row: int | None = None,
    agencies: frozenset[str] | None,
    now: datetime,
) -> int:
    """Put dead rows back into the outbox; each is looked up before it is sent. How many."""
    with state.begin() as session:
        return replay_in(session, mirror=mirror, row=row, agencies=agencies, now=now)


def replay_in(
    session: Session, *, mirror: str, row: int | None, agencies: frozenset[str] | None, now: datetime
) -> int:  # fmt: skip
    """The same within a transaction of the caller's."""
    where = [Outbox.state == "dead"]
    if mirror:
        where.append(Outbox.mirror == mirror)
    if row is not None:
        where.append(Outbox.id == row)
    if agencies is not None:
        where.append(Outbox.ticket.in_(sa.select(Ticket.id).where(Ticket.agency.in_(agencies))))
    done = session.execute(
        sa.update(Outbox).where(*where).values(state="unknown", tries=0, due=now, error="")
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def forget(state: State, now: datetime, *, days: int) -> int:
    """Drop what was sent or skipped long ago, and the marks of changes that will not come again."""
    old = now - timedelta(days=days)
    with state.begin() as session:
        session.execute(sa.delete(MirrorSeen).where(MirrorSeen.at < old))
        done = session.execute(
            sa.delete(Outbox).where(Outbox.state.in_(("sent", "skipped")), Outbox.made < old)
        )
        return int(done.rowcount)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a mirror is, in figures. `oldest` is when the oldest row that waits was made."""

    mirror: str
    waiting: int
    unknown: int
    dead: int
    sent: int
    skipped: int
    links: int
    oldest: datetime | None
    failing: datetime | None
    error: str
    reached: datetime | None


def standings(state: State, names: Sequence[str]) -> list[Standing]:
    with state.read() as session:
        return [_standing(session, name) for name in names]


def _standing(session: Session, name: str) -> Standing:
    counted = (
        sa.select(Outbox.state, sa.func.count()).where(Outbox.mirror == name).group_by(Outbox.state)
    )
    found: dict[str, int] = dict(session.execute(counted).all())
    oldest = session.scalar(
        sa.select(sa.func.min(Outbox.made)).where(Outbox.mirror == name, Outbox.state.in_(OPEN))
    )
    links = session.scalar(
        sa.select(sa.func.count()).select_from(MirrorLink).where(MirrorLink.mirror == name)
    )
    row = session.get(MirrorState, name) or MirrorState(
        mirror=name, failing=None, error="", reached=None
    )
    return Standing(
        name, found.get("waiting", 0) + found.get("sending", 0), found.get("unknown", 0),
        found.get("dead", 0), found.get("sent", 0), found.get("skipped", 0), links or 0,
        oldest, row.failing, row.error, row.reached,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dead:
    """A deed that a mirror will not take."""

    id: int
    mirror: str
    ticket: int
    agency: str
    what: str
    made: datetime
    tries: int
    error: str


def dead_rows(
    state: State,
    *,
    mirror: str = "",
    limit: int = 50,
    after: int = 0,
    agencies: frozenset[str] | None,
) -> list[Dead]:
    where = [Outbox.state == "dead", Outbox.id > after]
    if mirror:
        where.append(Outbox.mirror == mirror)
    if agencies is not None:
        where.append(Ticket.agency.in_(agencies))
    query = (
        sa.select(Outbox, Ticket.number, Ticket.agency)
        .join(Ticket, Ticket.id == Outbox.ticket)
        .where(*where)
        .order_by(Outbox.id)
        .limit(limit)
    )
    with state.read() as session:
        return [
            Dead(row.id, row.mirror, number, agency, row.what, row.made, row.tries, row.error)
            for row, number, agency in session.execute(query)
        ]
