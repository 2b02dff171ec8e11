"""Dead letters as people read them: grouped by cause and source, one by one, or a single one with its bytes.

In: an actor and filters. Out: `Group`, `LetterLine` and `LetterView` values. A letter either points at the
event that carries its text, or carries the record's bytes itself; both come out as text to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.register import Source
from pipeline.store.base import Store

STATES: Final = ("open", "replayed", "dismissed")
SAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Empty means any."""

    cause: str = ""
    source: str = ""
    product: str = ""
    agency: str = ""
    state: str = "open"


OPEN: Final = Filters()


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one cause and source; `samples` are ids of the newest, `message` is the newest's. `product` is what
    the source runs now; empty where no source is known."""

    cause: str
    source: str
    product: str
    agency: str
    count: int
    first: datetime
    last: datetime
    samples: tuple[int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class LetterLine:
    """One letter. `event` is the hex id of the event that carries its text, empty where it has bytes."""

    id: int
    cause: str
    source: str
    agency: str
    state: str
    received: datetime
    event: str
    message: str


@dataclass(frozen=True, slots=True)
class LetterView:
    """One letter and what it holds. `text` is decoded for reading; `body` None where an event carries it;
    `document` None where it has no event, or the event is no longer in the store."""

    line: LetterLine
    node: str
    sequence: int
    text: str
    body: bytes | None
    document: dict[str, Any] | None


def letter_groups(
    state: State, actor: Actor, filters: Filters = OPEN, *, limit: int | None = None
) -> list[Group]:
    """By cause and source, the most first."""
    row = DeadLetterRow
    query = (
        sa.select(
            row.cause,
            row.source,
            row.agency,
            sa.func.count().label("letters"),
            sa.func.min(row.received).label("first"),
            sa.func.max(row.received).label("last"),
        )
        .where(*_conditions(filters, scope_for(actor, "dead.read")))
        .group_by(row.cause, row.source, row.agency)
        .order_by(sa.desc("letters"), row.cause, row.source)
        .limit(limit)
    )
    groups = []
    with state.read() as db:
        found = db.execute(query).all()
        runs = sa.select(Source.id, Source.product).where(Source.id.in_({g.source for g in found}))
        products = {one.id: one.product for one in db.execute(runs)}
        for one in found:
            newest = list(
                db.execute(
                    sa.select(row.id, row.message)
                    .where(
                        *_conditions(filters, scope_for(actor, "dead.read")),
                        row.cause == one.cause,
                        row.source == one.source,
                        row.agency == one.agency,
                    )
                    .order_by(row.id.desc())
                    .limit(SAMPLES)
                )
            )
            groups.append(
                Group(
                    one.cause, one.source, products.get(one.source, ""), one.agency, one.letters, one.first, one.last,
                    tuple(n.id for n in newest), newest[0].message,
                )
            )  # fmt: skip
    return groups


def count_letters(state: State, actor: Actor, filters: Filters = OPEN) -> int:
    where = _conditions(filters, scope_for(actor, "dead.read"))
    with state.read() as db:
        return db.scalar(sa.select(sa.func.count()).select_from(DeadLetterRow).where(*where)) or 0


def list_letters(
    state: State,
    actor: Actor,
    filters: Filters = OPEN,
    *,
    limit: int = 50,
    after: int | None = None,
) -> list[LetterLine]:
    """One by one, the newest first; `after` is the id of the last one of the page before."""
    where = _conditions(filters, scope_for(actor, "dead.read"))
    if after is not None:
        where.append(DeadLetterRow.id < after)
    query = sa.select(DeadLetterRow).where(*where).order_by(DeadLetterRow.id.desc()).limit(limit)
    with state.read() as db:
        return [_line(row) for row in db.scalars(query)]


def get_letter(
    state: State,
    store: Store | None,
    actor: Actor,
    letter: int,
    *,
    permission: str = "dead.read",
) -> LetterView:
    """One letter within the actor's reach, with its bytes or its event."""
    scope = scope_for(actor, permission)
    with state.read() as db:
        row = db.get(DeadLetterRow, letter)
        if row is None or not scope.allows(row.agency):
            raise NotFoundError(
                "no such dead letter", got=str(letter), remedy="thapcanh deadletter list"
            )
    document = None
    if row.event and store is not None:
        found = store.get([row.event], scope=Scope.of(row.agency))
        document = found[0] if found else None
    return _view(row, document)


def letters_with_events(
    state: State,
    store: Store,
    actor: Actor,
    filters: Filters,
    *,
    letter: int | None = None,
    batch: int = 500,
) -> Iterator[list[LetterView]]:
    """The open letters that the actor may replay, in order, a bounded batch at a time: the one, or all of
    the filters as they are now (letters that come meanwhile are left out)."""
    scope = scope_for(actor, "dead.replay")
    if letter is not None:
        view = get_letter(state, store, actor, letter, permission="dead.replay")
        if view.line.state != "open":
            raise UsageError("the letter is not open", got=f"{letter}: {view.line.state}")
        yield [view]
        return
    where = _conditions(filters, scope)
    with state.read() as db:
        newest = db.scalar(sa.select(sa.func.max(DeadLetterRow.id)).where(*where)) or 0
    after = 0
    while after < newest:
        query = (
            sa.select(DeadLetterRow)
            .where(*where, DeadLetterRow.id > after, DeadLetterRow.id <= newest)
            .order_by(DeadLetterRow.id)
            .limit(batch)
        )
        with state.read() as db:
            rows = list(db.scalars(query))
        if not rows:
            return
        after = rows[-1].id
        ids = sorted({row.event for row in rows if row.event})
        documents = {d["event"]["id"]: d for d in store.get(ids, scope=scope)} if ids else {}
        yield [_view(row, documents.get(row.event)) for row in rows]


def _view(row: DeadLetterRow, document: dict[str, Any] | None) -> LetterView:
    text = (row.body or b"").decode("utf-8", "replace")
    if document is not None:
        text = str(document.get("event", {}).get("original", ""))
    return LetterView(_line(row), row.node, row.sequence, text, row.body, document)


def _line(row: DeadLetterRow) -> LetterLine:
    return LetterLine(
        row.id, row.cause, row.source, row.agency, row.state, row.received, row.event, row.message
    )


def _conditions(filters: Filters, scope: Scope) -> list[sa.ColumnElement[bool]]:
    where = [within(DeadLetterRow.agency, scope)]
    if filters.state and filters.state not in STATES:
        raise UsageError("no such state", got=filters.state, expected=", ".join(STATES))
    for column, value in (
        (DeadLetterRow.cause, filters.cause),
        (DeadLetterRow.source, filters.source),
        (DeadLetterRow.agency, filters.agency),
        (DeadLetterRow.state, filters.state),
    ):
        if value:
            where.append(column == value)
    if filters.product:
        runs = sa.select(Source.id).where(Source.product == filters.product)
        where.append(DeadLetterRow.source.in_(runs))
    return where
