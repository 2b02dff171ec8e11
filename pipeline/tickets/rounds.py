"""What the role *tickets* does from time to time: lapsed claims, clocks that speak, notices, priorities, the
calendar, answers of deeds that are old.

In: `now`, as often as one likes. Each errand is a few short transactions, safe to be done twice or by two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from pipeline.model.clock import CITY_ZONE
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.tickets.clocks.clocks import clocks_once
from pipeline.tickets.clocks.packs import standing
from pipeline.tickets.deeds import forget_deeds
from pipeline.tickets.leases import lapse_once
from pipeline.tickets.notices import forget_notices, notices_once
from pipeline.tickets.priority import reckon_once

OFTEN: Final = timedelta(seconds=5)
SELDOM: Final = timedelta(seconds=60)
RARELY: Final = timedelta(hours=1)
MOST: Final = 20  # batches of an errand in one round: findings wait meanwhile
ALARM: Final = "tickets:calendar"
PEOPLE: Final = "tickets:escalate_to"


class Rounds:
    """Remembers when it last went; a new process begins with a round."""

    def __init__(self, state: State, escalate_to: Sequence[str] = ()) -> None:
        self._state, self._escalate_to = state, tuple(escalate_to)
        self._often: datetime | None = None
        self._seldom: datetime | None = None
        self._rarely: datetime | None = None

    def walk(self, now: datetime) -> None:
        if self._often is None or not timedelta() <= now - self._often < OFTEN:
            self._often = now
            for errand in (lapse_once, clocks_once):
                for _ in range(MOST):
                    if not errand(self._state, now=now):
                        break
        for _ in range(MOST):  # at once: whoever is on duty waits for them
            if not notices_once(self._state, now=now, escalate_to=self._escalate_to):
                break
        if self._seldom is None or not timedelta() <= now - self._seldom < SELDOM:
            self._seldom = now
            reckon_once(self._state, now=now)
            check_calendar(self._state, now=now)
            check_people(self._state, self._escalate_to, now=now)
        if self._rarely is None or not timedelta() <= now - self._rarely < RARELY:
            self._rarely = now
            forget_deeds(self._state, now=now)
            forget_notices(self._state, now=now)


def check_calendar(state: State, *, now: datetime) -> None:
    """Alarm when a year has no list of holidays, from a month before it begins."""
    calendar = standing().calendar
    year = (now + timedelta(days=31)).astimezone(CITY_ZONE).year
    if calendar.listed(year):
        close_alarm(state, ALARM, now=now)
    else:
        raise_alarm(
            state, ALARM, f"calendar-vn.yml lists no holidays for {year}: service levels count them as work",
            now=now,
        )  # fmt: skip


def check_people(state: State, escalate_to: Sequence[str], *, now: datetime) -> None:
    """Alarm when the settings name somebody who will hear nothing."""
    with state.read() as session:
        there = sa.select(Person.id).where(Person.id.in_(escalate_to), Person.disabled.is_(None))
        missing = sorted({*escalate_to} - {*session.scalars(there)})
    if missing:
        names = ", ".join(missing)
        raise_alarm(
            state, PEOPLE, f"tickets.escalate_to names nobody who can sign in: {names}", now=now
        )
    else:
        close_alarm(state, PEOPLE, now=now)
