"""What the role *normalise* does besides settling: retention once a day, and an eye on the disk.

`turn` is called from the role's loop and does one thing at most: one agency's deletion, a measurement, a
sweep, a merge of an hour's small files. Past the settings' share of the disk what may go early goes, in the
order of `under_pressure`, until what is on its way out suffices; if nothing more may go, the receivers push
back and the alarm goes out; with room again it is lifted.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from pipeline.model.clock import CITY_ZONE
from pipeline.model.errors import ServiceAwayError
from pipeline.model.scope import SYSTEM
from pipeline.serve import disk
from pipeline.serve.installation import Installation
from pipeline.serve.keeping.retention import (
    Floors,
    Order,
    agencies_of,
    dispose,
    due,
    under_pressure,
)
from pipeline.serve.policy import shelf_of
from pipeline.sources.onboarding.drafts import expire as expire_drafts
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.tables.lake import LakeFile
from pipeline.store.base import Upkeep
from pipeline.tickets.attachments import expire, sweep

DISK_ALARM: Final = "disk"
RETENTION_ALARM: Final = "retention"
LOOK: Final = timedelta(seconds=5)
_SWEEP: Final = timedelta(minutes=10)
_MERGE: Final = timedelta(minutes=1)
_HYSTERESIS: Final = 0.01
_NOTHING_LEFT: Final = 0.97  # past this share receivers wait even for what is on its way out

log = logging.getLogger(__name__)


class Keeper:
    """`usage` and the clock are arguments, so that a test can fill a disk."""

    def __init__(
        self, here: Installation, now: datetime, *, usage: Callable[[Path], disk.Usage] = disk.usage
    ) -> None:
        self._here, self._usage = here, usage
        self._settings = here.settings.retention
        self._while = timedelta(minutes=self._settings.every_minutes)
        self._ballast = disk.Ballast(here.settings.run)
        self._orders: deque[Order] = deque()
        self._early: deque[Order] | None = None
        self._retention_due = now  # on start
        self._look_due = self._sweep_due = self._sample_due = self._early_due = now
        self._merge_due = now
        self._pushing = bool(disk.pushed_back(here.settings.spool))
        self._failed = False

    def turn(self, now: datetime) -> bool:
        """One step; whether more is to be done at once."""
        try:
            return self._step(now)
        except (ServiceAwayError, OSError) as error:
            # A disk that is full to the last byte: without room in the state nothing can be deleted.
            if not self._ballast.drop():
                log.warning("the disk cannot be looked after: %s", error)
                self._look_due = now + LOOK
            return False

    def _step(self, now: datetime) -> bool:
        if now >= self._retention_due:
            self._retention_due = next_run(now, self._settings.at)
            self._orders.extend(self._plan(due, now))
        if now >= self._look_due:
            self._look_due = now + LOOK
            self._look(now)
        if self._orders:
            self._carry_out(self._orders.popleft(), now)
        elif now >= self._sweep_due:
            self._sweep_due = now + _SWEEP
            sweep(self._here.state, shelf_of(self._here.settings), now=now)
            expire_drafts(
                self._here.state,
                timedelta(days=self._here.settings.onboarding.keep_days),
                now=now,
            )
            if isinstance(self._here.store, Upkeep):
                self._here.store.sweep(now)
        elif now >= self._merge_due:
            # One turn of a merge, so that a batch waits a few seconds at the most; at once again while there is more.
            store = self._here.store
            merged = store.compact(now, most=1) if isinstance(store, Upkeep) else 0
            self._merge_due = now if merged else now + _MERGE
        return bool(self._orders)

    def _look(self, now: datetime) -> None:
        seen = self._usage(self._here.settings.lake)
        if now >= self._sample_due:
            self._sample_due = now + self._while
            places = self._here.settings
            share = self._settings.disk_share
            disk.sample(self._here.state, seen, now, share=share)
            if places.spool.stat().st_dev != places.lake.stat().st_dev:
                spool = self._usage(places.spool)
                disk.sample(self._here.state, spool, now, which="spool", share=share)
        share = (seen.used - self._leaving()) / seen.total if seen.total else 1.0
        if share > self._settings.disk_share:
            self._go_on(seen, now)
            return
        self._early, self._early_due = None, now
        if seen.share > max(self._settings.disk_share, _NOTHING_LEFT):
            self._push(
                f"{seen.share:.0%} of the disk is used; deleted data go within the hour", now
            )
        elif share <= self._settings.disk_share - _HYSTERESIS:
            self._lift(now)
        self._ballast.take(seen)

    def _go_on(self, seen: disk.Usage, now: datetime) -> None:
        """The next early deletion, after which it is measured again. When none is left the receivers push
        back, and all are tried again after a while: data grow older, holds are released."""
        if self._early is None and now >= self._early_due:
            self._early = deque(self._plan(under_pressure, now))
        if self._early:
            self._orders.append(self._early.popleft())
            self._look_due = now
        elif self._early is not None:
            self._early, self._early_due = None, now + self._while
            self._push(
                f"{seen.share:.0%} of the disk is used, and nothing more may be deleted", now
            )

    def _plan(
        self, plan: Callable[..., Iterator[Order] | list[Order]], now: datetime
    ) -> list[Order]:
        floors = Floors.in_force(now.astimezone(CITY_ZONE).date())
        return list(plan(agencies_of(self._here.state), self._settings, floors, now))

    def _carry_out(self, order: Order, now: datetime) -> None:
        try:
            gone = dispose(self._here.state, self._here.store, order, SYSTEM, now=now)
            while expire(self._here.state, order.agency, order.before, now=now):
                pass
        except ServiceAwayError:
            self._orders.appendleft(order)
            raise
        except Exception as error:  # noqa: BLE001 - a damaged file, say: settling and the others go on
            self._failed = True
            raise_alarm(
                self._here.state,
                RETENTION_ALARM,
                f"{order.agency}: nothing deleted: {error}",
                now=now,
            )
            return
        if gone:
            log.info(
                "events deleted",
                extra={"agency": order.agency, "events": gone, "reason": order.reason},
            )
        if not self._orders:
            if not self._failed:
                close_alarm(self._here.state, RETENTION_ALARM, now=now)
            self._failed = False

    def _leaving(self) -> int:
        """Bytes of files that are deleted and stay only until no reader can hold them."""
        leaving = sa.select(sa.func.sum(LakeFile.bytes)).where(
            LakeFile.state.in_(("expired", "replaced"))
        )
        with self._here.state.read() as session:
            return int(session.scalar(leaving) or 0)

    def _push(self, reason: str, now: datetime) -> None:
        if not self._pushing:
            self._pushing = True
            try:
                disk.push_back(self._here.settings.spool, reason)
            except (
                OSError
            ):  # not even room for that: collectors leave some to others, and stop by themselves
                log.exception("the sign to push back cannot be written")
        remedy = "free space, add a disk, or lower retention.days; receivers refuse until then"
        raise_alarm(self._here.state, DISK_ALARM, f"{reason}. {remedy}", now=now)

    def _lift(self, now: datetime) -> None:
        if not self._pushing:
            return
        disk.lift(self._here.settings.spool)
        self._pushing = False
        log.info("there is room on the disk again: receivers accept")
        close_alarm(self._here.state, DISK_ALARM, now=now)


def next_run(now: datetime, at: str) -> datetime:
    """The next time that the city's clocks show `at` (HH:MM)."""
    here = now.astimezone(CITY_ZONE)
    today = datetime.combine(here.date(), time.fromisoformat(at), CITY_ZONE)
    return today if today > here else today + timedelta(days=1)
