"""Sources and how they are: what came last, how much, how surely we know the sender.

In: an actor and `now`. Out: `SourceLine` values, the worst first. Health is a function of the figures:
*off* (not published), *never*, *silent* (by its rhythm, `conditions.py`; nothing for an hour before it
was looked at), *ahead* (event times of the future),
*failing* (parse failures wait), *ok*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from pipeline.access.agencies import Agency, agencies, unknown
from pipeline.access.permissions import scope_for
from pipeline.access.scoping import within
from pipeline.model.errors import NotFoundError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.register import (
    Source,
    SourceAddress,
    SourceCertificate,
    SourceKey,
    SourceSeen,
    SourceWatch,
)
from pipeline.state.tables.tickets import Ticket

SILENT_AFTER: Final = timedelta(hours=1)
AHEAD_AFTER: Final = timedelta(minutes=5)
DELIVERIES: Final = ("acknowledged", "plain", "best_effort")
HEALTH: Final = ("failing", "silent", "ahead", "never", "ok", "off")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """`deliveries`: the classes by which its records have come, the surest first. `identity`: strong (a key
    or a certificate), weak (listener and address), none."""

    id: str
    name: str
    agency: Agency
    product: str
    state: str
    identity: str
    last_received: datetime | None
    last_event: datetime | None
    received: int
    bytes: int
    drops: Mapping[str, int]
    failures: int
    health: str
    deliveries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """An open dead letter of a source; `text` is what it holds, decoded for reading."""

    cause: str
    message: str
    received: datetime
    event: str
    text: str


def source_lines(state: State, actor: Actor, *, now: datetime) -> list[SourceLine]:
    with state.read() as db:
        lines = _lines(db, actor, sa.true(), now)
    return sorted(
        lines, key=lambda line: (HEALTH.index(line.health), line.agency.name_vi, line.name)
    )


def source_line(state: State, actor: Actor, source: str, *, now: datetime) -> SourceLine:
    with state.read() as db:
        lines = _lines(db, actor, Source.id == source, now)
    if not lines:
        raise NotFoundError("nothing such")
    return lines[0]


def open_conditions(state: State, actor: Actor, source: str) -> list[tuple[str, int | None]]:
    """What is wrong with the source by now (`conditions.py`), each with the number of its ticket."""
    scope = scope_for(actor, "source.read")
    with state.read() as db:
        row, watch = db.get(Source, source), db.get(SourceWatch, source)
        if row is None or watch is None or not scope.allows(row.agency):
            return []
        query = select(Ticket.id, Ticket.number).where(Ticket.id.in_(watch.open.values()))
        numbers = {one.id: one.number for one in db.execute(query)}
        return [(name, numbers.get(ticket)) for name, ticket in sorted(watch.open.items())]


def letters(state: State, actor: Actor, source: str, *, limit: int = 20) -> list[Letter]:
    """The source's newest open dead letters."""
    scope = scope_for(actor, "dead.read")
    with state.read() as db:
        rows = db.scalars(
            select(DeadLetterRow)
            .where(
                DeadLetterRow.source == source,
                DeadLetterRow.state == "open",
                within(DeadLetterRow.agency, scope),
            )
            .order_by(DeadLetterRow.id.desc())
            .limit(limit)
        )
        return [
            Letter(
                cause=row.cause,
                message=row.message,
                received=row.received,
                event=row.event,
                text=(row.body or b"")[:4096].decode("utf-8", "replace"),
            )
            for row in rows
        ]


def _lines(db: Db, actor: Actor, which: sa.ColumnElement[bool], now: datetime) -> list[SourceLine]:
    names = agencies(db, actor)
    rows = list(
        db.scalars(
            select(Source).where(within(Source.agency, scope_for(actor, "source.read")), which)
        )
    )
    ids = [row.id for row in rows]
    watched = {
        one.source: one.open
        for one in db.scalars(select(SourceWatch).where(SourceWatch.source.in_(ids)))
    }
    seen: dict[str, list[SourceSeen]] = {}
    for one in db.scalars(select(SourceSeen).where(SourceSeen.source.in_(ids))):
        seen.setdefault(one.source, []).append(one)
    keyed = set(
        db.scalars(
            select(SourceKey.source).where(
                SourceKey.source.in_(ids),
                SourceKey.revoked.is_(None),
                sa.or_(SourceKey.expires.is_(None), SourceKey.expires > now),
            )
        )
    )
    keyed |= set(
        db.scalars(
            select(SourceCertificate.source).where(
                SourceCertificate.source.in_(ids), SourceCertificate.revoked.is_(None)
            )
        )
    )
    addressed = set(db.scalars(select(SourceAddress.source).where(SourceAddress.source.in_(ids))))
    failures = {
        row[0]: row[1]
        for row in db.execute(
            select(DeadLetterRow.source, sa.func.count())
            .where(DeadLetterRow.source.in_(ids), DeadLetterRow.state == "open")
            .group_by(DeadLetterRow.source)
        )
    }
    return [
        _line(
            row,
            names.get(row.agency) or unknown(row.agency),
            identity="strong" if row.id in keyed else "weak" if row.id in addressed else "none",
            seen=seen.get(row.id, []),
            failures=failures.get(row.id, 0),
            silent="silent" in watched[row.id] if row.id in watched else None,
            now=now,
        )
        for row in rows
    ]


def _line(
    row: Source,
    agency: Agency,
    *,
    identity: str,
    seen: list[SourceSeen],
    failures: int,
    silent: bool | None,
    now: datetime,
) -> SourceLine:
    counters: dict[str, int] = {}
    for one in seen:
        for name, value in _flat(one.counters):
            counters[name] = counters.get(name, 0) + value
    last_received = max((one.last_received for one in seen if one.last_received), default=None)
    last_event = max((one.last_event for one in seen if one.last_event), default=None)
    return SourceLine(
        id=row.id,
        name=row.name,
        agency=agency,
        product=row.product,
        state=row.state,
        identity=identity,
        last_received=last_received,
        last_event=last_event,
        received=counters.get("received", 0),
        bytes=counters.get("bytes", 0),
        drops={
            k.removeprefix("dropped."): v for k, v in counters.items() if k.startswith("dropped")
        },
        failures=failures,
        deliveries=tuple(one for one in DELIVERIES if counters.get(f"delivery.{one}")),
        health=health(row.state, last_received, last_event, failures, now, silent=silent),
    )


def _flat(counters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, int]]:
    flat: list[tuple[str, int]] = []
    for name, value in counters.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int):
            flat.append((prefix + name, value))
    return flat


def health(
    state: str,
    last_received: datetime | None,
    last_event: datetime | None,
    failures: int,
    now: datetime,
    *,
    silent: bool | None = None,
) -> str:
    """`silent`: what the watch says by the source's rhythm; None where it has not looked yet."""
    if state != "published":
        return "off"
    if last_received is None:
        return "never"
    if now - last_received > SILENT_AFTER if silent is None else silent:
        return "silent"
    if last_event is not None and last_event - now > AHEAD_AFTER:
        return "ahead"
    return "failing" if failures else "ok"
