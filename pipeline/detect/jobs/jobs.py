"""Long work that people ask for: a row says what, a worker does it, and every page can see how far it is.

    ask ──▶ waiting ──▶ running (signs of life) ──▶ done | failed
                 ▲            │ no sign for 30 s: taken again, three times at most
                 └────────────┘                    cancel ──▶ cancelled, at the next sign of life

Invariants: no row is *running* for good, whatever process dies; who was overtaken, or cancelled, writes
nothing more (`tries` is the fence); the work acts as who asked for it, within their agencies. A reader
sees their own jobs, and all of them if they see all agencies: a result counts what its asker could see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import require, scope_for
from pipeline.model.errors import ConflictError, NotFoundError, ThapCanhError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.detection import Run
from pipeline.state.tables.jobs import JobRow

Kind = Literal["backtest_rule", "backtest_exception", "backfill", "replay"]
DETECTION: Final = frozenset({"backtest_rule", "backtest_exception", "backfill"})
REPLAY: Final = frozenset({"replay"})
"""Which worker does which: what has the spool replays, what has the rules does the rest."""
SILENCE: Final = timedelta(seconds=30)
KEPT: Final = timedelta(days=180)
MOST_TRIES: Final = 3
MOST_WAITING: Final = 20
_OPEN: Final = ("waiting", "running")


class Job(msgspec.Struct, frozen=True):
    """A job as people see it. `stalled`: it runs, and its worker gives no sign."""

    id: str
    kind: str
    subject: str
    asked: dict[str, Any]
    by: str
    at: datetime
    status: str
    done: int
    total: int
    started: datetime | None
    ended: datetime | None
    result: dict[str, Any]
    error: dict[str, Any]
    stalled: bool

    @property
    def open(self) -> bool:
        return self.status in _OPEN


class Taken(msgspec.Struct, frozen=True):
    """A job as its worker holds it."""

    id: str
    kind: str
    subject: str
    asked: dict[str, Any]
    actor: Actor
    fence: int


def ask(
    state: State, actor: Actor, kind: Kind, subject: str, asked: Mapping[str, Any], *, now: datetime
) -> str:
    """Its id; the same work that waits or runs already is not asked for twice."""
    require(actor, "dead.replay" if kind in REPLAY else "rule.write", None)
    alike = REPLAY if kind in REPLAY else DETECTION
    with state.begin() as session:
        session.execute(sa.delete(JobRow).where(JobRow.ended < now - KEPT))
        waiting = list(
            session.scalars(
                sa.select(JobRow).where(JobRow.status.in_(_OPEN), JobRow.kind.in_(alike))
            )
        )
        for row in waiting:
            if (row.kind, row.subject, row.asked, row.by) == (kind, subject, asked, actor.name):
                return row.id
        if len(waiting) >= MOST_WAITING:
            raise UsageError("too much work waits already", expected=f"at most {MOST_WAITING}")
        row = JobRow(
            id=new_id(), kind=kind, subject=subject, asked=dict(asked), actor=_written(actor),
            by=actor.name, at=now, status="waiting", started=None, alive=None, ended=None,
        )  # fmt: skip
        session.add(row)
        return row.id


def cancel(state: State, actor: Actor, job: str, *, now: datetime) -> None:
    """Let it not be done, or not to its end. Runs of a backfill that are complete stay."""
    require(actor, "rule.write", None)
    with state.begin() as session:
        row = _seen(session, actor, job)
        if row.status in _OPEN:
            row.status, row.ended, row.tries = "cancelled", now, row.tries + 1


def find_job(state: State, actor: Actor, job: str, *, now: datetime) -> Job:
    require(actor, "rule.read", None)
    with state.read() as session:
        return _job(_seen(session, actor, job), now)


def list_jobs(
    state: State,
    actor: Actor,
    *,
    kinds: Collection[str] = DETECTION,
    subject: str = "",
    limit: int = 50,
    before: str = "",
    now: datetime,
) -> list[Job]:
    """The newest first (`before` a job: those older than it), within what the reader may see."""
    require(actor, "rule.read", None)
    query = sa.select(JobRow).where(JobRow.kind.in_(kinds)).order_by(JobRow.id.desc()).limit(limit)
    if before:
        query = query.where(JobRow.id < before)
    if subject:
        query = query.where(JobRow.subject == subject)
    if not _sees_all(actor):
        query = query.where(JobRow.by == actor.name)
    with state.read() as session:
        return [_job(row, now) for row in session.scalars(query)]


def waits(state: State, kinds: Collection[str] = DETECTION, *, now: datetime) -> bool:
    """Whether there is anything for a worker of these kinds."""
    with state.read() as session:
        return session.scalar(_to_take(kinds, now).with_only_columns(sa.func.count())) != 0


def take(state: State, kinds: Collection[str] = DETECTION, *, now: datetime) -> Taken | None:
    """The oldest job of these kinds that nobody works on; None where there is none."""
    with state.begin() as session:
        for row in session.scalars(_to_take(kinds, now).order_by(JobRow.id).with_for_update()):
            if row.kind == "backfill" and row.started is not None:
                _bury_runs(session, row.started, now)
            if row.tries >= MOST_TRIES:
                row.status, row.ended = "failed", now
                row.error = {"what": "its process went away before the end, each time"}
                continue
            row.status, row.tries, row.started, row.alive = "running", row.tries + 1, now, now
            row.done = row.total = 0
            return Taken(row.id, row.kind, row.subject, row.asked, _read(row.actor), row.tries)
    return None


def tell(state: State, taken: Taken, done: int, total: int, *, now: datetime) -> None:
    """A sign of life. ConflictError where the job was cancelled, or is another's meanwhile."""
    _write(state, taken, done=done, total=total, alive=now)


def finish(state: State, taken: Taken, result: Mapping[str, Any], *, now: datetime) -> None:
    _write(state, taken, status="done", ended=now, result=dict(result))


def fail(state: State, taken: Taken, error: Exception, *, now: datetime) -> None:
    told = {"what": f"{type(error).__name__}: {error}"[:2_000]}
    if isinstance(error, ThapCanhError):
        told = {
            "what": error.what, "got": error.got[:2_000], "expected": error.expected,
            "remedy": error.remedy,
        }  # fmt: skip
    _write(state, taken, status="failed", ended=now, error=told)


def give_back(state: State, taken: Taken) -> None:
    """The worker is told to stop: another begins it anew, and this try does not count."""
    _write(state, taken, status="waiting", tries=taken.fence - 1, done=0, alive=None)


def _write(state: State, taken: Taken, **values: Any) -> None:
    with state.begin() as session:
        kept = session.execute(
            sa.update(JobRow)
            .where(JobRow.id == taken.id, JobRow.tries == taken.fence, JobRow.status == "running")
            .values(**values)
        )
        if kept.rowcount != 1:  # type: ignore[attr-defined]
            raise ConflictError("the job was cancelled, or another works on it", got=taken.id)


def _to_take(kinds: Collection[str], now: datetime) -> sa.Select[JobRow]:
    dead = sa.and_(JobRow.status == "running", JobRow.alive < now - SILENCE)
    return sa.select(JobRow).where(JobRow.kind.in_(kinds), sa.or_(JobRow.status == "waiting", dead))


def _bury_runs(session: Session, since: datetime, now: datetime) -> None:
    """Backfills that a dead worker left open. One that lives sets its row right at its end."""
    session.execute(
        sa.update(Run)
        .where(Run.kind == "backfill", Run.status == "running", Run.started >= since)
        .values(status="failed", ended=now, error="its process went away before the end")
    )


def _seen(session: Session, actor: Actor, job: str) -> JobRow:
    row = session.get(JobRow, job)
    if row is None or not (_sees_all(actor) or row.by == actor.name):
        raise NotFoundError("no such job", got=job)
    return row


def _sees_all(actor: Actor) -> bool:
    return scope_for(actor, "event.search").agencies is None


def _job(row: JobRow, now: datetime) -> Job:
    silent = row.status == "running" and row.alive is not None and row.alive < now - SILENCE
    return Job(
        row.id, row.kind, row.subject, row.asked, row.by, row.at, row.status, row.done, row.total,
        row.started, row.ended, row.result, row.error, silent,
    )  # fmt: skip


def _written(actor: Actor) -> dict[str, Any]:
    agencies, permissions = actor.scope.agencies, actor.permissions
    return {
        "kind": actor.kind, "id": actor.id, "role": actor.role,
        "agencies": None if agencies is None else sorted(agencies),
        "permissions": None if permissions is None else sorted(permissions),
    }  # fmt: skip


def _read(given: Mapping[str, Any]) -> Actor:
    agencies, permissions = given["agencies"], given["permissions"]
    return Actor(
        given["kind"], given["id"], given["role"],
        Scope.everything() if agencies is None else Scope.of(*agencies),
        None if permissions is None else frozenset(permissions),
    )  # fmt: skip
