"""Sources that are being onboarded: kept in the state, so that a reload or a colleague goes on where it was left.

In: an actor, samples, what was chosen. Out: `Draft` values of the actor's own agencies. A change names the revision
that it was made on (StaleError if somebody else was first). A draft that nobody touches is deleted after a while
(`expire`): sample lines hold personal data.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
import sqlalchemy as sa

from pipeline.access import log
from pipeline.access.permissions import require, scope_for
from pipeline.access.scoping import within
from pipeline.model.errors import NotFoundError, StaleError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.sources.onboarding.samples import Samples
from pipeline.state.state import State
from pipeline.state.tables.register import Agency, SourceDraft

MOST: Final = 50  # drafts of one agency at a time
_TEXT: Final = 300  # characters of one thing that is chosen
_LAYOUT: Final = 4_000  # … and of a layout
_PERMISSION: Final = "source.write"


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said of the source so far; empty where nothing was. `door` is the listener's name, `address` the
    sender's (a range, or a certificate where the door asks for one)."""

    product: str = ""
    source: str = ""
    name: str = ""
    encoding: str = ""
    timezone: str = ""
    layout: str = ""
    sender: str = ""
    door: str = ""
    address: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One draft."""

    id: str
    agency: str
    by: str
    created: datetime
    changed: datetime
    revision: int
    samples: Samples
    chosen: Chosen


def begin(
    state: State, actor: Actor, agency: str, samples: Samples, chosen: Chosen, *, now: datetime
) -> str:
    """A new draft's id."""
    require(actor, _PERMISSION, agency)
    draft = new_id()
    with state.begin() as session:
        if session.get(Agency, agency) is None:
            raise NotFoundError("no such agency", got=agency, remedy="thapcanh agency list")
        held = session.scalar(
            sa.select(sa.func.count()).where(SourceDraft.agency == agency).select_from(SourceDraft)
        )
        if (held or 0) >= MOST:
            raise UsageError(
                "the agency has too many drafts",
                expected=f"{MOST}",
                remedy="publish or delete some",
            )
        session.add(
            SourceDraft(
                id=draft, agency=agency, by=actor.name[:128], created=now, changed=now, revision=1,
                samples=samples.packed(), chosen=_kept(chosen),
            )
        )  # fmt: skip
    return draft


def find(state: State, actor: Actor, draft: str) -> Draft:
    """NotFoundError for another agency's, as for none."""
    scope = scope_for(actor, _PERMISSION)
    with state.read() as session:
        row = session.get(SourceDraft, draft)
        if row is None or not scope.allows(row.agency):
            raise NotFoundError("nothing such")
        return _draft(row)


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """A draft in a list: without its samples, which may be large."""

    id: str
    agency: str
    changed: datetime
    chosen: Chosen


def of_actor(state: State, actor: Actor) -> list[DraftLine]:
    """Those of the actor's agencies, the newest first."""
    row = SourceDraft
    query = (
        sa.select(row.id, row.agency, row.changed, row.chosen)
        .where(within(row.agency, scope_for(actor, _PERMISSION)))
        .order_by(row.changed.desc(), row.id)
    )
    with state.read() as session:
        return [
            DraftLine(id=one.id, agency=one.agency, changed=one.changed, chosen=_read(one.chosen))
            for one in session.execute(query)
        ]


def change(
    state: State,
    actor: Actor,
    draft: str,
    given: Mapping[str, str],
    *,
    revision: int,
    now: datetime,
) -> None:
    """Choose what `given` names; everything else stays."""
    scope = scope_for(actor, _PERMISSION)
    long = [
        name for name, text in given.items() if len(text) > (_LAYOUT if name == "layout" else _TEXT)
    ]
    if long:
        raise UsageError("the text is too long", got=", ".join(long), expected=f"{_TEXT}")
    with state.begin() as session:
        row = session.get(SourceDraft, draft, with_for_update=True)
        if row is None or not scope.allows(row.agency):
            raise NotFoundError("nothing such")
        if row.revision != revision:
            raise StaleError("somebody has changed this draft meanwhile", remedy="look at it again")
        row.chosen = _kept(msgspec.structs.replace(_read(row.chosen), **given))
        row.revision, row.changed = row.revision + 1, now


def drop(state: State, actor: Actor, draft: str, *, now: datetime) -> None:
    """Delete it with its samples, at once and for good."""
    scope = scope_for(actor, _PERMISSION)
    with state.begin() as session:
        row = session.get(SourceDraft, draft)
        if row is None or not scope.allows(row.agency):
            raise NotFoundError("nothing such")
        session.delete(row)
        log.record(session, actor.name, "draft_dropped", f"{row.agency}: {draft}", now=now)


def expire(state: State, keep: timedelta, *, now: datetime) -> int:
    """Delete drafts that nobody touched for so long; how many went."""
    with state.begin() as session:
        gone = session.execute(sa.delete(SourceDraft).where(SourceDraft.changed < now - keep))
        return cast("sa.CursorResult[Any]", gone).rowcount


def _kept(chosen: Chosen) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(chosen))


def _read(kept: Mapping[str, Any]) -> Chosen:
    return msgspec.convert(dict(kept), Chosen)


def _draft(row: SourceDraft) -> Draft:
    return Draft(
        id=row.id, agency=row.agency, by=row.by, created=row.created, changed=row.changed, revision=row.revision,
        samples=Samples.unpacked(row.samples), chosen=_read(row.chosen),
    )  # fmt: skip
