"""What is deleted when: from the register, the settings and the law's floors, and a record of each deletion.

In: agencies, settings, now. Out: `Order`s, "delete what this agency's collectors received before then",
each carried out by the store (which spares what is under a legal hold) and recorded as a `Disposal`.
Invariant: no order reaches an event younger than its agency's floor; a drill's agency has none but an hour.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
import yaml

from pipeline.access.permissions import require
from pipeline.detect.register.hiding import empty_samples
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.settings.places import config_dir
from pipeline.settings.values import RetentionSettings
from pipeline.state.state import State
from pipeline.state.tables.operation import Disposal
from pipeline.state.tables.register import Agency
from pipeline.store.base import SearchableStore
from pipeline.tickets.attachments import expire

Reason = Literal["age", "drill", "disk"]
_STEP: Final = timedelta(days=30)
_FRESH: Final = timedelta(hours=1)
"""Even a drill's events stay so long: detection may not have seen them yet."""


@dataclass(frozen=True, slots=True)
class Order:
    """Delete the agency's events received before `before`, for this reason."""

    agency: str
    before: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Floors:
    """Months by system level, as the policy in force says."""

    source: str
    months: Mapping[int, int]

    @classmethod
    def in_force(cls, day: dt.date) -> Floors:
        """Of ``config/policies/retention.yml``."""
        text = (config_dir() / "policies" / "retention.yml").read_text(encoding="utf-8")
        entries = [one for one in yaml.safe_load(text) if one["from"] <= day]
        if not entries:
            return cls("retention.floor_days", {})
        newest: dict[str, Any] = max(entries, key=lambda one: one["from"])
        return cls(newest["source"], newest["months"])

    def moment(self, agency: Agency, settings: RetentionSettings, now: datetime) -> datetime:
        """Only what was received before it may be deleted early."""
        if agency.drill:
            return now - _FRESH
        months = self.months.get(agency.level)
        return now - timedelta(days=settings.floor_days) if months is None else _ago(now, months)


def due(
    agencies: Sequence[Agency], settings: RetentionSettings, floors: Floors, now: datetime
) -> list[Order]:
    """What has reached its age."""
    orders = []
    for one in agencies:
        days = settings.drill_days if one.drill else settings.days
        before = min(now - timedelta(days=days), floors.moment(one, settings, now))
        orders.append(Order(one.id, before, "drill" if one.drill else "age"))
    return orders


def under_pressure(
    agencies: Sequence[Agency], settings: RetentionSettings, floors: Floors, now: datetime
) -> Iterator[Order]:
    """What may go before its time, in the order in which it goes: the drill's, oldest days first, then
    what is older than its floor, oldest months first, an equal age of every agency."""
    drill = [one for one in agencies if one.drill]
    for before in [
        *(now - timedelta(days=n) for n in range(settings.drill_days, 0, -1)),
        now - _FRESH,
    ]:
        yield from (Order(one.id, before, "disk") for one in drill)
    floor_of = {one.id: floors.moment(one, settings, now) for one in agencies if not one.drill}
    youngest = max(floor_of.values(), default=now)
    moment = now - timedelta(days=settings.days)
    done = {agency: min(moment, floor) for agency, floor in floor_of.items()}  # is due anyway
    while moment < youngest:
        moment = min(moment + _STEP, youngest)
        for agency, floor in floor_of.items():
            before = min(moment, floor)
            if before > done[agency]:
                done[agency] = before
                yield Order(agency, before, "disk")


def agencies_of(state: State) -> list[Agency]:
    with state.read() as session:
        return list(session.scalars(sa.select(Agency).order_by(Agency.id)))


def dispose(
    state: State, store: SearchableStore, order: Order, actor: Actor, *, now: datetime
) -> int:
    """Carry out an order and record it; how many events went. What exceptions hid of them is counted still, but
    no value of it is kept. The record is begun first: one without a
    number is of a deletion that was cut off, and the next one goes on with it."""
    record = new_id()
    with state.begin() as session:
        session.add(
            Disposal(
                id=record, agency=order.agency, before=order.before, reason=order.reason,
                by=actor.name, at=now,
            )
        )  # fmt: skip
    gone = store.delete_before(order.agency, order.before, now=now)
    while empty_samples(state, order.agency, order.before):
        pass
    with state.begin() as session:
        row = session.get_one(Disposal, record)
        if gone:
            row.events = gone
        else:
            session.delete(row)
    return gone


def run_now(
    state: State,
    store: SearchableStore,
    actor: Actor,
    settings: RetentionSettings,
    *,
    now: datetime,
) -> list[tuple[Order, int]]:
    """Carry out all that is due; what went, by order."""
    require(actor, "retention.run", None)
    orders = due(agencies_of(state), settings, Floors.in_force(now.date()), now)
    done = [(one, dispose(state, store, one, actor, now=now)) for one in orders]
    for one in orders:
        while expire(state, one.agency, one.before, now=now):
            pass
    return [(one, gone) for one, gone in done if gone]


def _ago(now: datetime, months: int) -> datetime:
    years, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    day = min(now.day, calendar.monthrange(years, month + 1)[1])
    return now.replace(year=years, month=month + 1, day=day)
