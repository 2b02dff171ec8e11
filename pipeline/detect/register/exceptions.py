"""Exceptions: Sigma filters that somebody owns, another approved, and a date ends.

    propose ──▶ approve (not the owner) ──▶ in force for what is received from then on ──▶ expires, or
                                                                                           is ended

In: an actor, a text that keeps the law (`exception_text.py`). Out: rows of `exception`; each approval and
end makes workers compile anew. What one hid is counted and listed, within the reader's agencies.
Invariants: no exception without owner, reason and date; nobody approves their own; who may see or
change one is who may see or change all agencies that it speaks of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import require, scope_for
from pipeline.detect.register.exception_text import Filter, read_filter
from pipeline.detect.register.hiding import MAX_SAMPLES, InForce, micros_or
from pipeline.detect.rulebook.reader import applies
from pipeline.detect.rulebook.rules import Rule, rules_from_texts
from pipeline.model.clock import to_micros
from pipeline.model.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ThapCanhError,
    UsageError,
)
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State, next_number
from pipeline.state.tables.detection import HiddenMatch
from pipeline.state.tables.rules import ExceptionRow, RuleRevision, RuleRow

log = logging.getLogger(__name__)
LONGEST: Final = timedelta(days=366)
REMEMBERED: Final = timedelta(days=366)
"""How long one that is over still speaks of what was received in its time, to late runs and backfills."""
_RULES: Final = "rules"  # the counter by which workers see that their compiled set is old


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `agencies` empty: all of them."""

    text: str
    owner: str
    reason: str
    expires: datetime
    agencies: tuple[str, ...] = ()


def propose(state: State, actor: Actor, wanted: Proposal, *, now: datetime) -> str:
    """Write an exception down; it hides nothing until it is approved. Its id."""
    read = check(state, actor, wanted, now=now)
    with state.begin() as session:
        if session.get(ExceptionRow, read.rule.id) is not None:
            raise ConflictError("there is an exception of this id already", got=read.rule.id)
        rules = rules_named(session, read)
        session.add(
            ExceptionRow(
                id=read.rule.id,
                title=read.rule.title,
                rules=[rule.id for rule in rules],
                text=wanted.text,
                owner=wanted.owner.strip(),
                reason=wanted.reason.strip(),
                agencies=sorted(set(wanted.agencies)),
                proposed=now,
                proposed_by=actor.name,
                expires=wanted.expires,
            )
        )
    return read.rule.id


def check(state: State, actor: Actor, wanted: Proposal, *, now: datetime) -> Filter:
    """Whether it could be proposed so; raises what `propose` would."""
    _allow(actor, "exception.write", wanted.agencies)
    for what, value in (("owner", wanted.owner), ("reason", wanted.reason)):
        if not value.strip():
            raise UsageError(f"an exception needs its {what}")
    if not now < wanted.expires <= now + LONGEST:
        raise UsageError(
            "an exception ends at a date", got=wanted.expires.isoformat(),
            expected=f"later than now, within {LONGEST.days} days",
        )  # fmt: skip
    read = read_filter(wanted.text)
    with state.read() as session:
        rules_named(session, read)
    return read


def drafted(state: State, actor: Actor, wanted: Proposal, *, now: datetime) -> ExceptionRow:
    """The row that it would become, kept nowhere: for a backtest before it is saved."""
    read = check(state, actor, wanted, now=now)
    with state.read() as session:
        rules = [rule.id for rule in rules_named(session, read)]
    return ExceptionRow(
        id=read.rule.id, title=read.rule.title, rules=rules, text=wanted.text,
        owner=wanted.owner, reason=wanted.reason, agencies=sorted(set(wanted.agencies)),
        proposed=now, proposed_by=actor.name, expires=wanted.expires, ended=None, approved=None,
    )  # fmt: skip


def approve(
    state: State,
    actor: Actor,
    exception: str,
    *,
    now: datetime,
    backtest: Mapping[str, Any] | None = None,
) -> None:
    """Put it in force from now on. ForbiddenError for its owner and for who proposed it; UsageError as long as
    nobody has seen, by a backtest, what it would have hidden."""
    with state.begin() as session:
        row = _row(session, exception, actor, "exception.approve")
        if row.approved is not None or row.ended is not None:
            raise ConflictError("the exception is approved or ended already", got=exception)
        if row.expires <= now:
            raise ConflictError("the exception has expired already", got=row.expires.isoformat())
        by_hand = actor.kind == "operator"  # who owns the home folder proposes for others
        if row.owner in (actor.name, actor.id) or (row.proposed_by == actor.name and not by_hand):
            raise ForbiddenError(
                "nobody approves their own exception", got=actor.name,
                remedy="another analyst reads it and approves",
            )  # fmt: skip
        seen = backtest or row.backtest
        if not seen:
            raise UsageError(
                "no exception is approved without a backtest", got=exception,
                remedy=f"thapcanh rules backtest {exception} --since 30d shows what it would hide",
            )  # fmt: skip
        _works_here(state, rules_named(session, read_filter(row.text)), row)
        row.approved, row.approved_by, row.backtest = now, actor.name, dict(seen)
        next_number(session, _RULES)


def end(state: State, actor: Actor, exception: str, *, reason: str, now: datetime) -> None:
    """Stop it before its date: what is received from now on is in sight."""
    if not reason.strip():
        raise UsageError("ending an exception needs a reason", where=exception)
    with state.begin() as session:
        row = _row(session, exception, actor, "exception.write")
        if row.ended is not None:
            return
        row.ended, row.ended_by, row.end_reason = now, actor.name, reason.strip()
        next_number(session, _RULES)


def keep_backtest(state: State, actor: Actor, exception: str, found: Mapping[str, Any]) -> None:
    """Store what it would have hidden with it, for who approves."""
    with state.begin() as session:
        row = _row(session, exception, actor, "exception.write")
        if row.approved is None:
            row.backtest = dict(found)


class Line(msgspec.Struct, frozen=True):
    """An exception as a list shows it. `hidden` counts within the reader's agencies; who does not see all
    that it speaks of sees that it is there, and not what was written."""

    id: str
    title: str
    standing: str
    rules: tuple[str, ...]
    agencies: tuple[str, ...]
    owner: str
    reason: str
    proposed_by: str
    approved_by: str
    expires: datetime
    hidden: int


def standing(row: ExceptionRow, now: datetime) -> str:
    """`proposed`, `in force`, `expired` or `ended`."""
    if row.ended is not None:
        return "ended"
    if row.expires <= now:
        return "expired"
    return "in force" if row.approved is not None else "proposed"


def list_exceptions(state: State, actor: Actor, *, now: datetime) -> list[Line]:
    """Those that speak of the reader's agencies, the newest first."""
    scope = scope_for(actor, "exception.read")
    with state.read() as session:
        rows = session.scalars(sa.select(ExceptionRow).order_by(ExceptionRow.proposed.desc()))
        seen = [r for r in rows if not r.agencies or any(scope.allows(a) for a in r.agencies)]
        return [_line(session, row, scope, now) for row in seen]


def _line(session: Session, row: ExceptionRow, scope: Scope, now: datetime) -> Line:
    whole = _whole(row, scope)
    return Line(
        id=row.id,
        title=row.title if whole else "",
        standing=standing(row, now),
        rules=tuple(row.rules),
        agencies=tuple(a for a in row.agencies if scope.allows(a)),
        owner=row.owner,
        reason=row.reason if whole else "",
        proposed_by=row.proposed_by,
        approved_by=row.approved_by,
        expires=row.expires,
        hidden=_hidden(session, row.id, scope.agencies),
    )


def _whole(row: ExceptionRow, scope: Scope) -> bool:
    """Whether what people wrote in it is of the reader's agencies alone: it may name others' machines."""
    if scope.agencies is None:
        return True
    return bool(row.agencies) and all(map(scope.allows, row.agencies))


def show_exception(state: State, actor: Actor, exception: str, *, now: datetime) -> dict[str, Any]:
    """One exception whole: its text, its life, what it hid by agency, and the newest of that as samples."""
    scope = scope_for(actor, "exception.read")
    line = next((e for e in list_exceptions(state, actor, now=now) if e.id == exception), None)
    if line is None:
        raise NotFoundError("no such exception", got=exception)
    with state.read() as session:
        row = session.get_one(ExceptionRow, exception)
        mine = HiddenMatch.exception == exception
        if scope.agencies is not None:
            mine = sa.and_(mine, HiddenMatch.agency.in_(sorted(scope.agencies)))
        by_agency = session.execute(
            sa.select(HiddenMatch.agency, sa.func.count()).where(mine).group_by(HiddenMatch.agency)
        )
        newest = session.scalars(
            sa.select(HiddenMatch)
            .where(mine)
            .order_by(HiddenMatch.time.desc(), HiddenMatch.event)
            .limit(10 * MAX_SAMPLES)
        ).all()
        samples = sorted(newest, key=lambda m: not m.fields)[
            :MAX_SAMPLES
        ]  # those that say why first
        return {
            **msgspec.to_builtins(line, builtin_types=(datetime,)),
            "proposed": row.proposed,
            "approved": row.approved,
            "ended": row.ended,
            "ended_by": row.ended_by,
            "end_reason": row.end_reason if _whole(row, scope) else "",
            "hidden_by_agency": {row[0]: row[1] for row in by_agency},
            "samples": [
                {
                    "event": m.event.hex(), "time": m.time, "rule": m.rule, "agency": m.agency,
                    "entity": m.entity, "fields": m.fields,
                }
                for m in samples
            ],
            # a backtest speaks of all agencies at once: for who sees all
            "backtest": row.backtest if scope.agencies is None else {},
            "text": row.text if _whole(row, scope) else "",
        }  # fmt: skip


def find_exception(state: State, actor: Actor, exception: str) -> ExceptionRow:
    """The row, for who may see all agencies that it speaks of."""
    with state.read() as session:
        row = session.get(ExceptionRow, exception)
        if row is None:
            raise NotFoundError("no such exception", got=exception)
        _allow(actor, "exception.read", row.agencies)
        return row


def in_force(state: State, now: datetime) -> list[InForce]:
    """Every approved exception that can still speak of an event: of this time, or of a late run's."""
    with state.read() as session:
        rows = session.scalars(
            sa.select(ExceptionRow)
            .where(ExceptionRow.approved.is_not(None), ExceptionRow.expires > now - REMEMBERED)
            .order_by(ExceptionRow.id)
        ).all()
    found: list[InForce] = []
    for row in rows:
        try:
            found.append(as_in_force(row))
        except ThapCanhError as error:  # what cannot be read hides nothing; detection goes on
            log.exception(
                "ALARM an exception cannot be read", extra={"exception": row.id, "why": str(error)}
            )
    return found


def as_in_force(row: ExceptionRow, *, always: bool = False) -> InForce:
    """The row as runs ask it; `always` leaves out when it holds (for a backtest)."""
    read = read_filter(row.text)
    assert read.rule.body is not None
    until = to_micros(min(row.expires, row.ended or row.expires))
    return InForce(
        row.id,
        frozenset(row.rules),
        read.rule.body,
        row.text,
        -(2**62) if always else micros_or(row.approved, 2**62),
        2**62 if always else until,
        frozenset(row.agencies),
    )


def rules_named(session: Session, read: Filter) -> list[Rule]:
    """The rules that a filter names, by id or name, which must be there, single-event and of its source."""
    rows = session.execute(
        sa.select(RuleRow.id, RuleRow.path, RuleRevision.text, RuleRevision.kind)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.retired.is_(None))
    ).all()
    by_id = {row.id: row for row in rows}
    found: list[Rule] = []
    for name in read.named:
        row = by_id.get(name) or next((r for r in rows if f"\nname: {name}\n" in r.text), None)
        if row is None:
            raise NotFoundError("no such rule", got=name)
        if row.kind != "rule":
            raise UsageError(
                f"an exception of a {row.kind}", got=name,
                remedy="name the rules that it counts: what they do not match is not counted",
            )  # fmt: skip
        book = rules_from_texts([(row.path, row.text)])
        rule = book.get(row.id)
        if rule is None or not applies(read.rule, read.given, rule):
            raise UsageError(
                "the exception is of another log source than the rule", got=str(read.rule.logsource),
                expected=str(rule.logsource) if rule else name,
            )  # fmt: skip
        found.append(rule)
    return found


def _works_here(state: State, rules: Sequence[Rule], row: ExceptionRow) -> None:
    """Refuse what asks for fields that nothing fills here: it would hide nothing, in silence."""
    from pipeline.detect.matching.compile import compile_rules
    from pipeline.detect.rulebook.taxonomy import Taxonomy

    taxonomy = Taxonomy.here(state.additions)
    body = as_in_force(row).body
    made = [msgspec.structs.replace(rule, body=body) for rule in rules]
    if unfit := compile_rules(made, taxonomy).unfit:
        raise UsageError(
            "the exception cannot work here", got="; ".join(sorted(set(unfit.values())))
        )


def _allow(actor: Actor, permission: str, agencies: Iterable[str]) -> None:
    agencies = list(agencies)
    for agency in agencies:
        require(actor, permission, agency)
    if not agencies and scope_for(actor, permission).agencies is not None:
        raise ForbiddenError(
            "an exception for all agencies is made by who sees all", got=actor.name,
            remedy="name the agencies",
        )  # fmt: skip


def _row(session: Session, exception: str, actor: Actor, permission: str) -> ExceptionRow:
    require(actor, permission, None)
    row = session.get(ExceptionRow, exception, with_for_update=True)
    if row is None:
        raise NotFoundError("no such exception", got=exception)
    _allow(actor, permission, row.agencies)
    return row


def _hidden(session: Session, exception: str, agencies: frozenset[str] | None) -> int:
    query = sa.select(sa.func.count()).where(HiddenMatch.exception == exception)
    if agencies is not None:
        query = query.where(HiddenMatch.agency.in_(sorted(agencies)))
    return session.scalar(query) or 0
