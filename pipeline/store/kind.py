"""Where an installation keeps its events is chosen before the first one, for settlements say what is in *that* store.

In: the state, and the kind that the settings name. Out: nothing, or a UsageError: events of another kind of store
are settled here, and would be missing from the one that is named, without anybody being told. Later only a copy of all
events changes it (`copying`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.model.errors import UsageError
from pipeline.state.state import State
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.lake import LakeFile
from pipeline.state.tables.operation import Meta

KINDS: Final = ("lake", "elasticsearch")
_NAME: Final = "store"


def claim(state: State, kind: str) -> None:
    """Note the kind for good once events are stored; until then the settings may change it."""
    with state.read() as session:
        row = session.get(Meta, _NAME)
        if row is not None and row.value["kind"] == kind:
            return
    before = noted(state) or kind
    if before != kind:
        raise UsageError(
            "the events of this installation are in another kind of store", where="store.kind", got=kind,
            expected=before, remedy=f"set it back to {before}; thapcanh store copy carries the events over to {kind}",
        )  # fmt: skip
    with suppress(IntegrityError), state.begin() as session:  # another role notes the same
        note(session, kind)


def noted(state: State) -> str:
    """The kind of store that holds the events of this installation; empty while there are none."""
    with state.read() as session:
        if session.scalar(sa.select(Settlement.node).where(Settlement.stored > 0).limit(1)) is None:
            return ""
        row = session.get(Meta, _NAME)
        if row is not None:
            return str(row.value["kind"])
        is_lake = session.scalar(sa.select(LakeFile.id).limit(1)) is not None
        return "lake" if is_lake else ""


def note(session: Session, kind: str) -> None:
    session.merge(Meta(name=_NAME, value={"kind": kind}))
