"""The doctor's look at the flow: roles, spool, watermark, detection, letters, outbox, alarms, store, backup."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from collectors.spool import segments
from collectors.spool.reader import SpoolReader
from pipeline.model.clock import for_people
from pipeline.serve.doctor.symptoms import Symptom, judged
from pipeline.serve.installation import Installation
from pipeline.serve.locks import is_held
from pipeline.serve.pulse import read_pulses
from pipeline.state.alarms import open_alarms
from pipeline.state.tables.detection import Cursor, Run
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.operation import Disposal, Meta
from pipeline.state.tables.register import Knock
from pipeline.state.tables.tickets import Outbox
from pipeline.tickets.outbox.rows import OPEN

_MANY: Final = 100_000
_BACKUP_DAYS: Final = 8


def roles(here: Installation, now: datetime) -> Iterator[Symptom]:
    pulses = read_pulses(here.state, now=now, stuck_after=here.settings.serve.stuck_after)
    if not pulses:
        yield Symptom("roles", "warn", "none has run in this home yet", "thapcanh serve")
    for pulse in pulses:
        name = f"role {pulse.role}"
        if pulse.reason and not is_held(here.settings.run, pulse.role):
            yield Symptom(name, "warn", f"not running; {pulse.reason}", "thapcanh serve")
        else:
            remedy = f"see log/{pulse.role}.log in the home; the supervisor starts it again"
            yield judged(name, pulse.reason or "alive", fail=remedy if pulse.reason else "")


def spool(here: Installation) -> Iterator[Symptom]:
    """What is on disk and not settled, and what is settled and not evaluated."""
    marks = here.store.watermark()
    with here.state.read() as session:
        cursors = dict(
            session.execute(
                sa.select(Cursor.node, Cursor.position).where(Cursor.schedule == "main")
            ).all()
        )
    waiting = used = 0  # the limit is each node's
    for node in segments.nodes(here.settings.spool):
        with SpoolReader(here.settings.spool, node) as reader:
            waiting += max(0, reader.durable() - marks.get(node, 0))
        used = max(used, segments.used_bytes(here.settings.spool / node))
    most = here.settings.collect.spool_max_bytes
    full = used > 0.8 * most
    remedy = "thapcanh serve; if it runs, see log/normalise.log"
    yield judged(
        "spool", f"{waiting:,} records wait, {used >> 20} of {most >> 20} MiB",
        fail=remedy if full else "", warn=remedy if waiting > _MANY else "",
    )  # fmt: skip
    behind = sum(max(0, last - cursors.get(node, 0)) for node, last in marks.items())
    yield judged(
        "detection", f"{behind:,} settled receipts are not evaluated",
        warn="thapcanh serve; if it runs, see log/detect.log" if behind > _MANY else "",
    )  # fmt: skip


def runs(here: Installation) -> Iterator[Symptom]:
    with here.state.read() as session:
        last = session.scalar(sa.select(Run).order_by(Run.started.desc(), Run.id.desc()).limit(1))
    if last is not None:
        failed = last.status == "failed"
        found = f"{last.status} {for_people(last.started)}{f': {last.error}' if failed else ''}"
        yield judged("last run", found, fail="thapcanh run show " + last.id if failed else "")


def letters(here: Installation) -> Iterator[Symptom]:
    counted = (
        sa.select(DeadLetterRow.cause, sa.func.count())
        .where(DeadLetterRow.state == "open")
        .group_by(DeadLetterRow.cause)
        .order_by(DeadLetterRow.cause)
    )
    with here.state.read() as session:
        causes = [f"{count:,} {cause}" for cause, count in session.execute(counted)]
        knocks = session.scalar(sa.select(sa.func.count()).where(Knock.ignored.is_(None))) or 0
    yield judged(
        "dead letters", ", ".join(causes) or "none open",
        warn="mend the source's product or settings, then replay them" if causes else "",
    )  # fmt: skip
    yield judged(
        "unknown senders", f"{knocks:,}",
        warn="thapcanh source knocks, then source admit or source ignore" if knocks else "",
    )  # fmt: skip


def outbox(here: Installation) -> Iterator[Symptom]:
    counted = sa.select(Outbox.state, sa.func.count()).group_by(Outbox.state)
    with here.state.read() as session:
        found = {state: count for state, count in session.execute(counted)}  # noqa: C416 - rows
    names = {
        "waiting": "waiting",
        "sending": "being sent",
        "unknown": "to be looked up",
        "dead": "given up",
    }
    said = ", ".join(f"{found.get(state, 0):,} {word}" for state, word in names.items())
    waiting, dead = sum(found.get(state, 0) for state in OPEN), found.get("dead", 0)
    yield judged(
        "outbox", said,
        fail="see the mirror's settings and log/tickets.log" if dead else "",
        warn="see whether the mirror answers: log/tickets.log" if waiting > _MANY else "",
    )  # fmt: skip


def alarms(here: Installation) -> Iterator[Symptom]:
    found = open_alarms(here.state)
    if not found:
        yield Symptom("alarms", "ok", "none open")
    for alarm in found:
        yield Symptom(
            f"alarm {alarm.key}", "fail", f"{alarm.message} (since {for_people(alarm.opened)})",
            "it closes by itself when its cause is gone",
        )  # fmt: skip


_STORE_REMEDY: Final = {
    "lake": "restore what is named from a backup",
    "elasticsearch": "mend the cluster as the line says; what is accepted waits in the spool",
}


def store(here: Installation) -> Iterator[Symptom]:
    health = here.store.health()
    what = "; ".join(health.notes) or ", ".join(f"{k} {v:,}" for k, v in health.figures.items())
    yield judged(
        "store", what or health.status,
        fail="" if health.status == "ok" else _STORE_REMEDY[here.settings.store.kind],
    )  # fmt: skip


def keeping(here: Installation, now: datetime) -> Iterator[Symptom]:
    """When the last backup was made, and whether a deletion was cut off."""
    with here.state.read() as session:
        row = session.get(Meta, "backup")
        cut = session.scalar(
            sa.select(sa.func.count())
            .select_from(Disposal)
            .where(Disposal.events.is_(None), Disposal.at < now - timedelta(days=2))
        )
    made = datetime.fromisoformat(row.value["at"]) if row else None
    old = made is None or now - made > timedelta(days=_BACKUP_DAYS)
    yield judged(
        "backup", f"{for_people(made)}, {row.value['path']}" if made and row else "never made",
        warn="thapcanh backup FOLDER, on another disk, every night" if old else "",
    )  # fmt: skip
    if cut:
        yield Symptom(
            "retention", "warn", f"{cut} deletions were begun and not recorded as ended",
            "thapcanh retention run",
        )  # fmt: skip
