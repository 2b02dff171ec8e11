"""Words of the stores' contract: events put, found and held by their sequences and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from support.event_tables import NOW, event_commit, event_id

from pipeline.model.ids import new_id
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.state.tables.lake import Hold
from pipeline.store.base import ALL_TIME, SearchableStore, TimeRange

ALL = Scope.everything()


def at(second: int) -> datetime:
    return NOW + timedelta(seconds=second)


def put(store: SearchableStore, first: int, *rows: Mapping[str, Any], **more: Any) -> Settled:
    return store.append(event_commit(rows, first, **more), now=NOW)


def hex_of(*sequences: int) -> list[str]:
    return [event_id(sequence).hex() for sequence in sequences]


def found(
    store: SearchableStore, query: str, scope: Scope = ALL, when: TimeRange = ALL_TIME
) -> list[int]:
    """The sequences of what is found, in the order of the page."""
    page = store.search(query, scope=scope, when=when)
    assert page.next is None
    return [document["thapcanh"]["sequence"] for document in page.documents]


def hold(
    state: State, agency: str, first: int, last: int, released: datetime | None = None
) -> None:
    with state.begin() as session:
        session.add(
            Hold(
                id=new_id(), agency=agency, first_time=at(first), last_time=at(last), reason="a case",
                by="person:kiem", at=NOW, released=released,
            )
        )  # fmt: skip


def received(agency: str, *seconds: int) -> list[dict[str, Any]]:
    return [{"organization.id": agency, "event.created": at(second)} for second in seconds]
