"""Settlement: what became of each receipt, the same for every store, in the state's transaction.

In: a commit, and its counts. Out: the `Settlement` row of the node's hour, begun or extended in place (the
table grows by a row an hour, not by one a commit), the dead letters and the file ranges. Invariant: the
settled ranges of a node are contiguous from 1, so that the watermark is the greatest `last`, and each row's
counts add up to its range; two processes that settle the same range cannot both succeed.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.clock import from_micros
from pipeline.model.errors import ConflictError
from pipeline.model.records import Settled
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow, FileRange, Node, Settlement
from pipeline.store.base import Commit


def watermark(state: State) -> dict[str, int]:
    """See `base.Store`."""
    with state.read() as session:
        rows = session.execute(
            sa.select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
        )
        return {node: last for node, last in rows}  # noqa: C416 - a result of rows is no mapping


def check_next(state: State, commit: Commit) -> None:
    """ConflictError when the commit does not begin where the node's last one ended."""
    with state.read() as session:
        _check(session, commit)


def begin(session: Session, commit: Commit, now: datetime) -> None:
    """The same within the transaction that will settle it; the node is made when it is new."""
    node = session.get(Node, commit.node, with_for_update=True)  # one settles a node at a time
    _check(session, commit)
    if node is None:
        session.add(Node(id=commit.node, kind="collect", created=now))
        session.flush()


def settle(session: Session, commit: Commit, settled: Settled, now: datetime) -> None:
    """Write down what became of the commit's receipts."""
    row = session.scalar(
        sa.select(Settlement).where(
            Settlement.node == settled.node, Settlement.last == settled.first - 1
        )
    )
    if row is not None and _hour(row.at) == _hour(now):
        row.last, row.at = settled.last, now
        row.stored += settled.stored
        row.known += settled.known
        row.refused += settled.refused
        row.dropped += settled.dropped
    else:
        session.add(
            Settlement(
                node=settled.node, first=settled.first, last=settled.last, stored=settled.stored,
                known=settled.known, refused=settled.refused, dropped=settled.dropped, at=now,
            )
        )  # fmt: skip
    session.add_all(
        DeadLetterRow(
            node=commit.node, sequence=letter.sequence, source=letter.source, agency=letter.agency,
            cause=letter.cause, message=letter.message, received=from_micros(letter.received),
            event=letter.event, body=letter.body or None,
        )
        for letter in commit.dead
    )  # fmt: skip
    session.add_all(
        FileRange(
            source=source, fingerprint=fingerprint, start=start, stop=stop, node=commit.node, at=now
        )
        for source, fingerprint, start, stop in commit.files
    )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _check(session: Session, commit: Commit) -> None:
    last = session.scalar(
        sa.select(sa.func.max(Settlement.last)).where(Settlement.node == commit.node)
    )
    if (last or 0) + 1 != commit.first:
        raise ConflictError(
            "these receipts are settled already, or others before them are not",
            where=f"node {commit.node}", got=f"{commit.first} to {commit.last}",
        )  # fmt: skip
