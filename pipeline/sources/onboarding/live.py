"""Whether a new source really sends: the way of its first events, step by step.

In: an actor, a source, `now`. Out: `Live`: *received* (collectors took bytes), *read* (the normaliser made events of
them, and how many it could not), *looked at* (detection has passed them), and what they fed. Reads counters and the
newest events only, bounded in time and number, so that a page may ask every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import may, scope_for
from pipeline.access.scoping import within
from pipeline.detect.reads.rules import active_ids
from pipeline.detect.reads.standing import Judged
from pipeline.model.documents import flatten
from pipeline.model.errors import ServiceAwayError
from pipeline.model.events import TAG_ASSUMED_ZONE, TAG_PARSE_FAILURE
from pipeline.model.scope import Actor, Scope
from pipeline.sources.register import get_source
from pipeline.state.state import State
from pipeline.state.tables.detection import Cursor, FindingRow
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.register import Knock, SourceSeen
from pipeline.store.base import SearchableStore, TimeRange
from pipeline.store.seen import NODE

NEWEST: Final = 50  # events that are looked at
_BEFORE: Final = timedelta(hours=1)  # of the newest event: how far back they may have happened
_KNOCKS: Final = timedelta(minutes=15)


class First(msgspec.Struct, frozen=True):
    """One of the newest events."""

    id: str
    at: str
    dataset: str
    text: str
    failed: bool


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """`received` and `dropped` as collectors counted, since the source began. Of `seen` newest events `failed` could not
    be read. `looked_at`: detection has passed the oldest of them. `rules`: how many rules that are on read such events;
    `findings` of the agency with events of this source. `knocks`: unknown senders of the last minutes, for who may see
    them. `away`: the store does not answer now."""

    source: str
    agency: str
    product: str
    state: str
    received: int = 0
    last_received: datetime | None = None
    dropped: int = 0
    seen: int = 0
    failed: int = 0
    assumed_zone: int = 0
    datasets: tuple[str, ...] = ()
    events: tuple[First, ...] = ()
    looked_at: bool = False
    rules: int = 0
    findings: int = 0
    letters: int = 0
    why: str = ""
    knocks: tuple[tuple[str, str, int], ...] = ()
    away: bool = False

    @property
    def arrived(self) -> bool:
        return self.received > 0

    @property
    def read(self) -> bool:
        """Events are there, and most of them could be read."""
        return self.seen > 0 and self.failed * 2 < self.seen

    @property
    def green(self) -> bool:
        return self.arrived and self.read and self.looked_at


def live(
    state: State,
    store: SearchableStore,
    judged: Callable[[], Judged],
    actor: Actor,
    source: str,
    *,
    now: datetime,
) -> Live:
    """NotFoundError for another agency's source."""
    row = get_source(state, actor, source)
    with state.read() as session:
        seen = session.scalars(sa.select(SourceSeen).where(SourceSeen.source == source)).all()
        collected = [one for one in seen if one.node != NODE]
        settled = next((one for one in seen if one.node == NODE), None)
        letters, why = _letters(session, actor, source)
        knocks = _knocks(session, now) if may(actor, "operation.read") else ()
    base = Live(
        source=source, agency=row.agency, product=row.product, state=row.state,
        received=sum(int(one.counters.get("received", 0)) for one in collected),
        last_received=max((one.last_received for one in seen if one.last_received), default=None),
        dropped=sum(
            int(count) for one in collected for name, count in one.counters.items() if name.startswith("dropped.")
        ),
        letters=letters, why=why, knocks=knocks,
    )  # fmt: skip
    if settled is None or settled.last_event is None:
        return base
    when = TimeRange(settled.last_event - _BEFORE, settled.last_event + timedelta(seconds=1))
    try:
        page = store.search(
            f'thapcanh.source:"{source}"', scope=Scope.of(row.agency), when=when, limit=NEWEST
        )
    except ServiceAwayError:
        return msgspec.structs.replace(base, away=True)
    flats = [flatten(document) for document in page.documents]
    if not flats:
        return base
    datasets = {str(flat.get("event.dataset", "")) for flat in flats if not _failed(flat)} - {""}
    with state.read() as session:
        looked_at = _passed(session, flats)
        findings = _findings(
            session, actor, row.agency, {str(flat.get("event.id")) for flat in flats}
        )
        active = active_ids(session)
    return msgspec.structs.replace(
        base,
        received=max(base.received, len(flats)),
        seen=len(flats),
        failed=sum(map(_failed, flats)),
        assumed_zone=sum(TAG_ASSUMED_ZONE in (flat.get("tags") or []) for flat in flats),
        datasets=tuple(sorted(datasets)),
        events=tuple(_first(flat) for flat in flats[:5]),
        looked_at=looked_at,
        findings=findings,
        rules=len(judged().fed_by(row.product, frozenset(datasets)) & active),
    )


def _failed(flat: dict[str, Any]) -> bool:
    return TAG_PARSE_FAILURE in (flat.get("tags") or [])


def _first(flat: dict[str, Any]) -> First:
    return First(
        str(flat.get("event.id", "")), str(flat.get("@timestamp", "")), str(flat.get("event.dataset", "")),
        str(flat.get("event.original", ""))[:600], _failed(flat),
    )  # fmt: skip


def _letters(session: Session, actor: Actor, source: str) -> tuple[int, str]:
    """Open dead letters of the source, and the newest's reason."""
    where = (
        DeadLetterRow.source == source, DeadLetterRow.state == "open",
        within(DeadLetterRow.agency, scope_for(actor, "dead.read")),
    )  # fmt: skip
    count = session.scalar(sa.select(sa.func.count()).select_from(DeadLetterRow).where(*where)) or 0
    newest = session.scalar(
        sa.select(DeadLetterRow.message).where(*where).order_by(DeadLetterRow.id.desc()).limit(1)
    )
    return count, newest or ""


def _knocks(session: Session, now: datetime) -> tuple[tuple[str, str, int], ...]:
    query = sa.select(Knock).where(Knock.last >= now - _KNOCKS).order_by(Knock.last.desc()).limit(5)
    return tuple((one.listener, one.address, one.count) for one in session.scalars(query))


def _passed(session: Session, flats: Collection[dict[str, Any]]) -> bool:
    """Whether some schedule's cursor has passed one of the events: detection looks at what comes."""
    first: dict[str, int] = {}
    for flat in flats:
        node, sequence = str(flat.get("thapcanh.node", "")), int(flat.get("thapcanh.sequence", 0))
        first[node] = min(sequence, first.get(node, sequence))
    rows = session.execute(sa.select(Cursor.node, Cursor.position).where(Cursor.node.in_(first)))
    return any(row.position >= first[row.node] for row in rows)


def _findings(session: Session, actor: Actor, agency: str, events: Collection[str]) -> int:
    """Of the agency's newest findings, those with one of the events among their samples."""
    if not may(actor, "finding.read") or not scope_for(actor, "finding.read").allows(agency):
        return 0
    query = (
        sa.select(FindingRow.samples)
        .where(FindingRow.agency == agency, FindingRow.merged_into == "")
        .order_by(FindingRow.changed.desc())
        .limit(200)
    )
    return sum(
        any(sample.get("event") in events for sample in samples)
        for (samples,) in session.execute(query)
    )
