"""``GET /metrics`` of the supervisor, as Prometheus reads it: alarms, lag, schedules, pulses.

It reads the state and asks nothing of the roles, so it answers when they do not; while the state is away it
says that. Only counts and names of nodes, agencies, sources, schedules, roles and alarms, nothing that was logged::

    thapcanh_source_received_total{agency="q1",source="q1-web",node="collect-1"} 4012
    thapcanh_alarm_open{key="flow:watermark"} 1
    thapcanh_detection_lag_records{schedule="main",node="collect-1"} 12
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from pipeline.model.errors import ServiceAwayError
from pipeline.serve import collecting, disk
from pipeline.state.state import State
from pipeline.state.tables.detection import Cursor, ScheduleRow
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.operation import Alarm, Pulse

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], float]


def metrics(state: State, *, now: datetime) -> str:
    """All of them as text."""
    try:
        up = _metric("state_up", "Whether the state answers.", [({}, 1)])
        lines = [*up, *_read(state, now), *_disks(state), *_collecting(state, now)]
    except ServiceAwayError:
        lines = list(_metric("state_up", "Whether the state answers.", [({}, 0)]))
    return "\n".join(lines) + "\n"


def _read(state: State, now: datetime) -> Iterator[str]:
    with state.read() as session:
        alarms = session.scalars(
            sa.select(Alarm).where(Alarm.closed.is_(None)).order_by(Alarm.key)
        ).all()
        settled = sa.select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
        marks = dict(sorted((node, last) for node, last in session.execute(settled)))
        schedules = session.scalars(sa.select(ScheduleRow).order_by(ScheduleRow.name)).all()
        at = {(row.schedule, row.node): row.position for row in session.scalars(sa.select(Cursor))}
        pulses = session.scalars(sa.select(Pulse).order_by(Pulse.role, Pulse.node)).all()
    yield from _metric("alarms_open", "Alarms that are open.", [({}, len(alarms))])
    yield from _metric("alarm_open", "An open alarm.", [({"key": a.key}, 1) for a in alarms])
    yield from _metric(
        "alarm_age_seconds", "How long it has been open.",
        [({"key": a.key}, (now - a.opened).total_seconds()) for a in alarms],
    )  # fmt: skip
    yield from _metric(
        "settled_sequence", "Up to where receipts are settled.",
        [({"node": node}, last) for node, last in marks.items()],
    )  # fmt: skip
    yield from _metric(
        "detection_lag_records", "Settled receipts that the schedule has not evaluated.",
        [
            ({"schedule": one.name, "node": node}, max(0, last - at.get((one.name, node), 0)))
            for one in schedules
            for node, last in marks.items()
        ],
    )  # fmt: skip
    yield from _metric(
        "schedule_paused", "Whether the schedule is paused.",
        [({"schedule": one.name}, int(bool(one.paused))) for one in schedules],
    )  # fmt: skip
    roles = [({"role": p.role, "node": p.node}, p) for p in pulses]
    yield from _metric(
        "role_beat_age_seconds", "Since the role's last sign of life.",
        [(labels, (now - p.beat).total_seconds()) for labels, p in roles],
    )  # fmt: skip
    yield from _metric(
        "role_progress_age_seconds", "Since the role last did work, or had none.",
        [(labels, (now - p.progress).total_seconds()) for labels, p in roles],
    )  # fmt: skip
    yield from _metric(
        "role_waiting", "How much waits for the role.", [(lb, p.waiting) for lb, p in roles]
    )


def _disks(state: State) -> Iterator[str]:
    """As last measured by the role *normalise*, every few minutes."""
    found = [({"folder": name}, *each) for name, each in disk.remembered(state).items()]
    yield from _metric(
        "disk_total_bytes", "What may be filled of the disk.", [(lb, u.total) for lb, u, _ in found]
    )
    yield from _metric(
        "disk_used_bytes", "What is filled of the disk.", [(lb, u.used) for lb, u, _ in found]
    )
    yield from _metric(
        "disk_full_seconds", "Until its share is full at the present rate; none where it does not fill.",
        [(lb, f.days * 86_400) for lb, _, f in found if f is not None and f.days is not None],
    )  # fmt: skip


def _collecting(state: State, now: datetime) -> Iterator[str]:
    nodes, counts = collecting.nodes(state), collecting.sources(state)
    at = [({"node": one.node}, one) for one in nodes]
    yield from _metric(
        "spool_lag_records",
        "Records in the spool that are not settled.",
        [(lb, one.lag) for lb, one in at],
    )
    yield from _metric(
        "spool_bytes",
        "What the node's spool takes of the disk.",
        [(lb, one.spool_bytes) for lb, one in at],
    )
    yield from _metric(
        "push_back", "Whether the node takes nothing at present.",
        [(lb, int(bool(one.push_back))) for lb, one in at],
    )  # fmt: skip
    yield from _metric(
        "receiver_dropped_total", "Dropped, of no source that could be told.",
        [
            ({"node": one.node, "receiver": entry["receiver"], "reason": reason}, count)
            for one in nodes
            for entry in one.unattributed
            for reason, count in entry["dropped"].items()
        ],
    )  # fmt: skip
    yield from _metric(
        "receiver_notes_total", "Refused, closed or cut, of no source that could be told, by what it was.",
        [
            ({"node": one.node, "receiver": entry["receiver"], "what": what}, count)
            for one in nodes
            for entry in one.unattributed
            for what, count in entry.get("notes", {}).items()
        ],
    )  # fmt: skip
    of = [({"agency": one.agency, "source": one.source, "node": one.node}, one) for one in counts]
    for name in ("received", "acknowledged", "spooled", "repeated", "bytes"):
        yield from _metric(
            f"source_{name}_total", _SOURCE[name], [(lb, getattr(one, name)) for lb, one in of]
        )
    yield from _metric(
        "source_dropped_total", "Records that are not stored, by reason.",
        [({**lb, "reason": why}, n) for lb, one in of for why, n in one.dropped.items()],
    )  # fmt: skip
    yield from _metric(
        "source_notes_total", "What was refused, closed, cut or pushed back, by what it was.",
        [({**lb, "what": what}, n) for lb, one in of for what, n in one.notes.items()],
    )  # fmt: skip
    yield from _metric(
        "source_connections",
        "Connections that are open.",
        [(lb, one.connections) for lb, one in of],
    )
    yield from _metric(
        "source_outages_total", "Times in which records of the source may have been lost before they came.",
        [({"agency": a, "source": s, "cause": c}, n) for a, s, c, n in collecting.outage_counts(state)],
    )  # fmt: skip
    yield from _metric(
        "source_silent_seconds", "Since the newest record.",
        [(lb, (now - one.last_received).total_seconds()) for lb, one in of if one.last_received],
    )  # fmt: skip


_SOURCE: Final = {
    "received": "Records taken in.",
    "acknowledged": "Records that a sender was told are stored.",
    "spooled": "Records on disk.",
    "repeated": "Records that came again and were not stored again.",
    "bytes": "Bytes taken in.",
}


def _metric(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP thapcanh_{name} {text}"
    yield f"# TYPE thapcanh_{name} {'counter' if name.endswith('_total') else 'gauge'}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
        yield f"thapcanh_{name}{'{' + inside + '}' if inside else ''} {value:.15g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
