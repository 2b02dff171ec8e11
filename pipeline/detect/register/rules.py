"""The rule register: which rules the installation has, at which revision, switched on or off, and why.

In: rule files (shipped, or imported under a name). Out: rows of `rule` and `rule_revision`, a line in
`rule_change` for each change, and a `Diff`. One transaction an import; the counter `rules` grows with
every change, so that a worker sees by one small read that its compiled set is old.

Invariants: every text that was ever active stays readable; a rule that was switched off stays off
over imports; a file that is refused leaves the rules that came from it before as they were; a rule id
belongs to one origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline.access.permissions import require
from pipeline.detect.rulebook.rule_files import read_rule_files
from pipeline.detect.rulebook.rules import Rule, RuleBook, rules_from_texts
from pipeline.model.errors import NotFoundError, RefusedError, ThapCanhError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import SYSTEM, Actor
from pipeline.settings.places import rules_dir
from pipeline.state.state import State, next_number
from pipeline.state.tables.operation import Counter
from pipeline.state.tables.rules import RuleChange, RuleRevision, RuleRow

COUNTER: Final = "rules"
SHIPPED: Final = "shipped"


class Diff(msgspec.Struct, frozen=True):
    """What an import did, by rule id; `titles` of those that are new, changed or gone; `faults` is what
    was refused, by file."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    kept_off: tuple[str, ...] = ()
    faults: tuple[ThapCanhError, ...] = ()
    titles: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """What a person reads of it, one rule a line: `+` new, `~` changed, `-` gone."""
        for mark, ids in (("+", self.added), ("~", self.changed), ("-", self.removed)):
            for i in sorted(ids, key=lambda i: (self.titles.get(i, ""), i)):
                off = "  (switched off, and stays off)" if i in self.kept_off else ""
                yield f"{mark} {self.titles.get(i, '')}  {i}{off}"

    def refusal(self) -> RefusedError | None:
        """To be raised when all else is done and told; None where nothing was refused."""
        if not self.faults:
            return None
        shown = "".join(f"\n  {fault}" for fault in self.faults[:50])
        more = f"\n  and {len(self.faults) - 50} more" if len(self.faults) > 50 else ""
        return RefusedError(f"refused rule files: {len(self.faults)}{shown}{more}")


def sync_shipped(state: State, *, now: datetime, cache: Path | None = None) -> Diff:
    """Bring the rules that come with the program up to date; for the start of a role."""
    folder = rules_dir()
    if not folder.is_dir():
        return Diff()
    return import_rules(state, SYSTEM, [folder], origin=SHIPPED, now=now, cache=cache)


def import_rules(
    state: State,
    actor: Actor,
    paths: Sequence[Path],
    *,
    origin: str,
    now: datetime,
    cache: Path | None = None,
    preview: bool = False,
    report: Callable[[str], object] = str,
) -> Diff:
    """Make the origin's rules those of the paths (files, folders, archives). `preview` only tells. `report`
    hears what is being done.

    The origin `shipped` is the program's own; a rule of the origin that the paths lack is retired.
    """
    if actor != SYSTEM:
        require(actor, "rule.write", None)
        if origin == SHIPPED:
            raise UsageError("this name is the program's own", where="--name", got=origin)
    report("reading")
    texts, faults = read_rule_files(paths)
    report(f"parsing {len(texts):,} files")
    book = rules_from_texts(texts, cache=cache)
    faults += book.faults
    rules = {rule.id: rule for rule in every_rule(book)}
    if not rules and faults:
        return Diff(faults=tuple(faults))  # a broken archive must not retire a whole set
    report(f"comparing {len(rules):,} rules")
    with state.read() as session:
        plan = _Plan(session, rules, origin, faults)
    if preview or not plan.changes:
        return plan.diff
    with state.begin() as session:
        plan = _Plan(session, rules, origin, faults)
        plan.write(session, actor, now)
        next_number(session, COUNTER)
    return plan.diff


def every_rule(book: RuleBook) -> Iterable[Rule]:
    yield from book.rules
    yield from book.correlations
    yield from book.filters


class _Plan:
    """What an import changes, worked out against the rows as they are."""

    def __init__(
        self,
        session: Session,
        rules: Mapping[str, Rule],
        origin: str,
        faults: Sequence[ThapCanhError],
    ) -> None:
        self._origin = origin
        rows = {row.id: row for row in session.scalars(sa.select(RuleRow))}
        foreign = {i for i in rules if i in rows and _living(rows[i]) and rows[i].origin != origin}
        self._rules = {i: rule for i, rule in rules.items() if i not in foreign}
        refused = [fault.where for fault in faults]
        faults = [
            *faults,
            *(
                UsageError(
                    f"the rule's id belongs to the rules of {rows[i].origin!r} already",
                    where=rules[i].path,
                    got=i,
                )
                for i in sorted(foreign)
            ),
        ]
        mine = {i: row for i, row in rows.items() if row.origin == origin and _living(row)}
        self._rows = rows
        added = [i for i in self._rules if i not in mine]
        texts = _texts(session, [row.revision for row in mine.values()])
        changed = [
            i for i, r in self._rules.items() if i in mine and texts.get(mine[i].revision) != r.text
        ]
        removed = [
            i
            for i, row in mine.items()
            if i not in self._rules and not any(_within(w, row.path) for w in refused)
        ]
        self.diff = Diff(
            added=tuple(sorted(added)),
            changed=tuple(sorted(changed)),
            removed=tuple(sorted(removed)),
            unchanged=len(self._rules) - len(added) - len(changed),
            kept_off=tuple(sorted(i for i in self._rules if i in rows and not rows[i].enabled)),
            faults=tuple(faults),
            titles={i: self._rules[i].title for i in (*added, *changed)}
            | _titles(session, {i: mine[i].revision for i in removed}),
        )

    @property
    def changes(self) -> bool:
        return bool(self.diff.added or self.diff.changed or self.diff.removed)

    def write(self, session: Session, actor: Actor, now: datetime) -> None:
        keep_revisions(
            session, [self._rules[i] for i in (*self.diff.added, *self.diff.changed)], now
        )
        changes: list[RuleChange] = []
        for what, ids in (("added", self.diff.added), ("changed", self.diff.changed)):
            for i in ids:
                rule, row = self._rules[i], self._rows.get(i)
                if row is None:
                    row = RuleRow(id=i, enabled=True, off_reason="")
                    session.add(row)
                old = row.revision or ""
                row.origin, row.path, row.revision = self._origin, rule.path, rule.revision
                row.changed, row.retired = now, None
                changes.append(_change(i, what, actor, now, old=old, new=rule.revision))
        for i in self.diff.removed:
            row = self._rows[i]
            row.retired = row.changed = now
            changes.append(_change(i, "removed", actor, now, old=row.revision))
        session.flush()  # the rules first: changes refer to them
        session.add_all(changes)
        session.flush()


def _texts(session: Session, revisions: Iterable[str]) -> dict[str, str]:
    return _of_revisions(session, RuleRevision.text, revisions)


def _titles(session: Session, revisions: Mapping[str, str]) -> dict[str, str]:
    known = _of_revisions(session, RuleRevision.title, revisions.values())
    return {rule: known.get(revision, "") for rule, revision in revisions.items()}


def _of_revisions(
    session: Session, column: InstrumentedAttribute[str], revisions: Iterable[str]
) -> dict[str, str]:
    """A column of these revisions, some hundred at a time: a history holds many more."""
    wanted, found = sorted(set(revisions)), dict[str, str]()
    for start in range(0, len(wanted), 500):
        part = RuleRevision.revision.in_(wanted[start : start + 500])
        found |= dict(session.execute(sa.select(RuleRevision.revision, column).where(part)).all())
    return found


def keep_revisions(session: Session, rules: Iterable[Rule], now: datetime) -> None:
    """Make the texts of these revisions readable for good."""
    wanted = {rule.revision: rule for rule in rules}
    known = _of_revisions(session, RuleRevision.revision, wanted)
    rows = [
        {
            "revision": revision,
            "rule": rule.id,
            "kind": rule.kind,
            "title": rule.title,
            "level": rule.level.value,
            "status": rule.status,
            "text": rule.text,
            "added": now,
        }
        for revision, rule in wanted.items()
        if revision not in known
    ]
    if rows:
        session.execute(sa.insert(RuleRevision), rows)


def switch(
    state: State, actor: Actor, rule: str, *, on: bool, reason: str = "", now: datetime
) -> None:
    """Switch a rule on or off. Off needs a reason; both are recorded."""
    require(actor, "rule.write", None)
    reason = reason.strip()
    if not on and not reason:
        raise UsageError("switching a rule off needs a reason", where=rule)
    with state.begin() as session:
        row = session.get(RuleRow, rule, with_for_update=True)
        if row is None or not _living(row):
            raise NotFoundError("no such rule", got=rule)
        if row.enabled == on:
            return
        row.enabled, row.off_reason, row.changed = on, "" if on else reason, now
        change = _change(
            rule, "on" if on else "off", actor, now, old=row.revision, new=row.revision
        )
        change.note = reason
        session.add(change)
        next_number(session, COUNTER)


def version(state: State) -> int:
    """Grows with every change of the register."""
    with state.read() as session:
        row = session.get(Counter, COUNTER)
        return row.value if row else 0


def active_texts(state: State, schedule: str) -> list[tuple[str, str]]:
    """`(path, text)` of every rule of the schedule that is switched on, and of all such filters."""
    query = (
        sa.select(RuleRow.path, RuleRevision.text)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(
            RuleRow.enabled,
            RuleRow.retired.is_(None),
            sa.or_(RuleRow.schedule == schedule, RuleRevision.kind == "filter"),
        )
        .order_by(RuleRow.path, RuleRow.id)
    )
    with state.read() as session:
        return [(row.path, row.text) for row in session.execute(query)]


def keep_effective(state: State, book: RuleBook, now: datetime) -> None:
    """Bring the rows to the revisions that the whole set gives its rules: a filter of another origin
    is part of the revision of the rules that it narrows."""
    rules = {rule.id: rule for rule in every_rule(book)}
    with state.read() as session:
        rows = session.execute(sa.select(RuleRow.id, RuleRow.revision))
        stale = {r.id for r in rows if r.id in rules and rules[r.id].revision != r.revision}
    if not stale:
        return
    with state.begin() as session:
        keep_revisions(session, [rules[i] for i in stale], now)
        for i in sorted(stale):
            row = session.get_one(RuleRow, i)
            session.add(
                _change(i, "filtered", SYSTEM, now, old=row.revision, new=rules[i].revision)
            )
            row.revision, row.changed = rules[i].revision, now


class RuleLine(msgspec.Struct, frozen=True):
    """A rule as a list shows it. `why` says why it cannot fire here, empty where it runs or is off."""

    id: str
    title: str
    kind: str
    level: str
    status: str
    origin: str
    path: str
    revision: str
    schedule: str
    enabled: bool
    off_reason: str
    why: str = ""

    @property
    def standing(self) -> str:
        """`runs`, `off` or `cannot fire here`."""
        return "off" if not self.enabled else "cannot fire here" if self.why else "runs"


def list_rules(
    state: State, actor: Actor, *, unfit: Mapping[str, str] | None = None
) -> list[RuleLine]:
    """Every living rule, in order of path. `unfit` maps revisions to why they cannot fire here (of the
    compiled set: `ActiveRules(…)(schedule).unfit`)."""
    require(actor, "rule.read", None)
    with state.read() as session:
        rows = session.execute(_lines().where(RuleRow.retired.is_(None)))
        return [_line(row.RuleRow, row.RuleRevision, unfit or {}) for row in rows]


def show_rule(state: State, actor: Actor, rule: str) -> dict[str, Any]:
    """One rule: its line, its text, its revisions and changes. A retired one too."""
    require(actor, "rule.read", None)
    with state.read() as session:
        found = session.execute(_lines().where(RuleRow.id == rule)).first()
        if found is None:
            raise NotFoundError("no such rule", got=rule)
        revisions = session.scalars(
            sa.select(RuleRevision).where(RuleRevision.rule == rule).order_by(RuleRevision.added)
        )
        changes = session.scalars(
            sa.select(RuleChange)
            .where(RuleChange.rule == rule)
            .order_by(RuleChange.at, RuleChange.id)
        )
        return {
            **msgspec.to_builtins(_line(found.RuleRow, found.RuleRevision, {})),
            "text": found.RuleRevision.text,
            "retired": found.RuleRow.retired,
            "revisions": [{"revision": r.revision, "added": r.added} for r in revisions],
            "changes": [
                {"what": c.what, "old": c.old, "new": c.new, "by": c.by, "note": c.note, "at": c.at}
                for c in changes
            ],
        }


def _lines() -> sa.Select[RuleRow, RuleRevision]:
    return (
        sa.select(RuleRow, RuleRevision)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .order_by(RuleRow.path, RuleRow.id)
    )


def _line(row: RuleRow, revision: RuleRevision, unfit: Mapping[str, str]) -> RuleLine:
    return RuleLine(
        row.id, revision.title, revision.kind, revision.level, revision.status, row.origin, row.path,
        row.revision, row.schedule, row.enabled, row.off_reason, unfit.get(row.revision, ""),
    )  # fmt: skip


def _change(
    rule: str, what: str, actor: Actor, now: datetime, *, old: str = "", new: str = ""
) -> RuleChange:
    return RuleChange(
        id=new_id(), rule=rule, what=what, old=old, new=new, by=actor.name, note="", at=now
    )


def _living(row: RuleRow) -> bool:
    return row.retired is None


def _within(where: str, path: str) -> bool:
    """Whether a fault's place is in the file: the file itself, or `file, line 3`, `file:3`."""
    rest = where.removeprefix(path)
    return rest != where and (not rest or rest[0] in ":, ")
