"""Where an installation keeps its events is chosen before the first one, for settlements say what is in *that* store.

In: the state, and the kind that the settings name. Out: nothing, or a UsageError: events of another kind of store
are settled here, and would be missing from the one that is named, without anybody being told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from pipeline.model.errors import UsageError
from pipeline.state.state import State
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.lake import LakeFile
from pipeline.state.tables.operation import Meta

_NAME: Final = "store"


def claim(state: State, kind: str) -> None:
    """Note the kind for good once events are stored; until then the settings may change it."""
    with state.read() as session:
        noted = session.get(Meta, _NAME)
        begun = session.scalar(sa.select(Settlement.node).where(Settlement.stored > 0).limit(1))
        if noted is not None and noted.value["kind"] == kind:
            return
        is_lake = session.scalar(sa.select(LakeFile.id).limit(1)) is not None
    before = noted.value["kind"] if noted is not None else "lake" if is_lake else kind
    if begun is not None and before != kind:
        raise UsageError(
            "the events of this installation are in another kind of store", where="store.kind", got=kind,
            expected=before, remedy=f"set it back to {before}, or begin in a new home: events are not carried over",
        )  # fmt: skip
    with suppress(IntegrityError), state.begin() as session:  # another role notes the same
        session.merge(Meta(name=_NAME, value={"kind": kind}))
