"""Sources are looked at: their hours are counted, and what is wrong with one is a ticket until it is well.

In: counters and dead letters of the register, `now`, once a minute. Out: rows of `source_hour` (what each sent) and
of `source_watch`, tickets of the kind *health* (`tickets/health.py`). A condition must have held for `settle_minutes`
before it opens a ticket, and be gone as long before it closes it. A ticket that people closed stays closed while its
condition lasts. What silence opened closes when something comes. Counters, hours, conditions and tickets of a source
are one transaction: kill it anywhere, nothing is counted twice and no condition has two tickets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.clock import to_iso
from pipeline.settings.values import HealthSettings
from pipeline.sources.conditions import HOUR, LEARNED, Hour, Sight, conditions
from pipeline.sources.limits import limits_of
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.register import Agency, Source, SourceHour, SourceSeen, SourceWatch
from pipeline.store.seen import LEAST, NODE
from pipeline.store.steps import step
from pipeline.tickets.health import open_ticket, recover

_CHUNK: Final = 20
_COUNTED: Final = ("received", "repeated")


def watch_once(state: State, limits: HealthSettings, *, now: datetime) -> int:
    """Look at every source but a drill's, which sends what never happened; how many are not well."""
    with state.read() as session:
        real = sa.select(Agency.id).where(Agency.drill.is_(False))
        query = sa.select(Source.id).where(Source.agency.in_(real)).order_by(Source.id)
        sources = list(session.scalars(query))
    ill = 0
    for start in range(0, len(sources), _CHUNK):
        chunk = sources[start : start + _CHUNK]
        with state.read() as session:  # the long part, while nobody waits for us
            hours = _hours(session, chunk, limits, now)
        with state.begin() as session:
            ill += sum(_look(session, chunk, hours, limits, now))
            session.flush()
            step("health.before_commit")
        step("health.committed")
    with state.begin() as session:
        session.execute(
            sa.delete(SourceHour).where(SourceHour.hour < now - LEARNED - 7 * 24 * HOUR)
        )
    return ill


def _look(
    session: Session, sources: list[str], hours: dict[str, dict[datetime, Hour]],
    limits: HealthSettings, now: datetime,
) -> Iterable[bool]:  # fmt: skip
    rows = session.scalars(sa.select(Source).where(Source.id.in_(sources))).all()
    watches = {
        one.source: one
        for one in session.scalars(
            sa.select(SourceWatch).where(SourceWatch.source.in_(sources)).with_for_update()
        )
    }
    seen: dict[str, list[SourceSeen]] = {}
    for one in session.scalars(sa.select(SourceSeen).where(SourceSeen.source.in_(sources))):
        seen.setdefault(one.source, []).append(one)
    newest = session.scalar(sa.select(sa.func.max(DeadLetterRow.id))) or 0
    letters = _letters(session, sources, watches, newest)
    for source in rows:
        watch = watches.get(source.id)
        if watch is None:
            watch = SourceWatch(source=source.id, at=now, counted={}, open={}, since={})
            session.add(watch)
        _count(
            session, watch, seen.get(source.id, []), letters.get(source.id, 0), newest, hours, now
        )
        sight = _sight(seen.get(source.id, []), hours.get(source.id, {}))
        well = source.state != "published"
        own = limits_of(source.options, limits)
        found = {} if well else conditions(sight, own, now)
        if "silent" in watch.open and "silent" not in found and not well:
            since = datetime.fromisoformat(watch.since.get("silent", to_iso(now)))
            if sight.last_received is not None and sight.last_received <= since:
                found["silent"] = {}  # its rhythm has faded, but nothing has come
        _settle(session, source, watch, found, own, now)
        watch.at = now
        step("health.looked")
        yield bool(watch.open)


def _letters(
    session: Session, sources: list[str], watches: Mapping[str, SourceWatch], newest: int
) -> dict[str, int]:
    """New dead letters of each source since it was looked at."""
    marks = {one: watches[one].counted.get("letter", newest) for one in sources if one in watches}
    if not marks or min(marks.values()) >= newest:
        return {}
    query = (
        sa.select(DeadLetterRow.source, sa.func.count())
        .where(DeadLetterRow.id > min(marks.values()), DeadLetterRow.id <= newest)
        .where(DeadLetterRow.source.in_(marks))
        .group_by(DeadLetterRow.source)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _hours(
    session: Session, sources: list[str], limits: HealthSettings, now: datetime
) -> dict[str, dict[datetime, Hour]]:
    """The last two hours of each source; all that is known of those whose rhythm is asked for: the quiet ones, and each
    once an hour."""
    this = now.replace(minute=0, second=0, microsecond=0)
    options = session.scalars(sa.select(Source.options).where(Source.id.in_(sources)))
    shortest = min(
        [limits.silence_minutes, *(limits_of(one, limits).silence_minutes for one in options)]
    )
    quiet = now - timedelta(minutes=shortest)
    last = sa.func.max(SourceSeen.last_received)
    deep = set(
        session.scalars(
            sa.select(SourceSeen.source)
            .where(SourceSeen.source.in_(sources))
            .group_by(SourceSeen.source)
            .having(last <= quiet)
        )
    )
    looked = session.scalars(sa.select(SourceWatch).where(SourceWatch.source.in_(sources)))
    deep |= {one.source for one in looked if one.at < this or "volume" in one.since}
    begun = now - LEARNED - 7 * 24 * HOUR
    wanted = sa.or_(SourceHour.source.in_(deep), SourceHour.hour >= this - HOUR)
    found: dict[str, dict[datetime, Hour]] = {}
    for row in session.execute(
        sa.select(
            SourceHour.source, SourceHour.hour, SourceHour.received, SourceHour.repeated, SourceHour.failures
        ).where(SourceHour.source.in_(sources), SourceHour.hour >= begun, wanted)
    ):  # fmt: skip
        found.setdefault(row.source, {})[row.hour] = Hour(row.received, row.repeated, row.failures)
    return found


def _count(
    session: Session, watch: SourceWatch, seen: list[SourceSeen], failures: int, newest: int,
    hours: dict[str, dict[datetime, Hour]], now: datetime,
) -> None:  # fmt: skip
    """What has grown since the last look goes to the hour of now."""
    totals = {name: sum(int(one.counters.get(name, 0)) for one in seen) for name in _COUNTED}
    first = not watch.counted
    grown = {name: 0 if first else max(0, totals[name] - watch.counted.get(name, 0)) for name in _COUNTED}  # fmt: skip
    watch.counted = totals | {"letter": newest}
    if not any(grown.values()) and not failures:
        return
    hour = now.replace(minute=0, second=0, microsecond=0)
    row = session.get(SourceHour, (watch.source, hour))
    if row is None:
        row = SourceHour(source=watch.source, hour=hour, received=0, repeated=0, failures=0, late=0)
        session.add(row)
    row.received += grown["received"]
    row.repeated += grown["repeated"]
    row.failures += failures
    hours.setdefault(watch.source, {})[hour] = Hour(row.received, row.repeated, row.failures)


def _sight(seen: list[SourceSeen], hours: Mapping[datetime, Hour]) -> Sight:
    settled = next((one for one in seen if one.node == NODE), None)
    return Sight(
        last_received=max((one.last_received for one in seen if one.last_received), default=None),
        newest=settled.last_event if settled else None,
        newest_received=settled.last_received if settled else None,
        hours=hours,
        least=tuple(lag for _, lag in sorted(settled.counters.get(LEAST, {}).items()))
        if settled
        else (),
    )


def _settle(
    session: Session, source: Source, watch: SourceWatch, found: Mapping[str, dict[str, Any]],
    limits: HealthSettings, now: datetime,
) -> None:  # fmt: skip
    """`since` keeps when a condition began, and (as ``well:…``) when an open one was first gone."""
    wait = timedelta(minutes=limits.settle_minutes)
    since, opened = dict(watch.since), dict(watch.open)
    for name, figures in found.items():
        since.pop(f"well:{name}", None)
        began = datetime.fromisoformat(since.setdefault(name, to_iso(now)))
        if name not in opened and now - began >= wait:
            opened[name] = open_ticket(session, source, name, figures, began=began, now=now)
    for name in [one for one in since if ":" not in one and one not in found]:
        if name not in opened:
            del since[name]
            continue
        gone = datetime.fromisoformat(since.setdefault(f"well:{name}", to_iso(now)))
        if now - gone >= wait:
            recover(session, opened.pop(name), now=now)
            del since[name], since[f"well:{name}"]
    watch.since, watch.open = since, opened
