"""Who may work on what now: a lease with an end, and a fence that makes a late holder harmless.

A worker takes the lease `detect:main`, works without any transaction, and commits under `hold`: if
another took the lease meanwhile (this one was stopped, or slow), the fence has grown and the commit
is refused with ConflictError, so that no window counts twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.errors import ConflictError
from pipeline.state.tables.detection import Lease


class Held(msgspec.Struct, frozen=True):
    """A lease as its holder knows it."""

    name: str
    holder: str
    fence: int


def take(session: Session, name: str, holder: str, *, now: datetime, seconds: float) -> Held | None:
    """The lease, newly fenced, or None while another holds it."""
    row = session.get(Lease, name, with_for_update=True)
    ends = now + timedelta(seconds=seconds)
    if row is None:
        session.add(Lease(name=name, holder=holder, fence=1, expires=ends))
        session.flush()
        return Held(name, holder, 1)
    if row.holder not in ("", holder) and row.expires > now:
        return None
    row.holder, row.fence, row.expires = holder, row.fence + 1, ends
    session.flush()
    return Held(name, holder, row.fence)


def hold(session: Session, lease: Held, *, now: datetime, seconds: float) -> None:
    """Keep the lease for this transaction and `seconds` more, or raise ConflictError."""
    kept = session.execute(
        sa.update(Lease)
        .where(Lease.name == lease.name, Lease.holder == lease.holder, Lease.fence == lease.fence)
        .values(expires=now + timedelta(seconds=seconds))
    )
    if kept.rowcount != 1:  # type: ignore[attr-defined]
        raise ConflictError(
            "another worker has taken the lease over",
            where=lease.name,
            got=f"fence {lease.fence} of {lease.holder}",
            remedy="nothing is lost: the other evaluates the same window",
        )


def give_back(session: Session, lease: Held) -> None:
    """Let the next worker in at once. Harmless when the lease is another's already."""
    session.execute(
        sa.update(Lease)
        .where(Lease.name == lease.name, Lease.holder == lease.holder, Lease.fence == lease.fence)
        .values(holder="")
    )
