"""The outbox at work: a thread a mirror, so that one that is slow or dead delays no other.

Each thread sends what is due, reads what changed over there, and raises an alarm while its mirror keeps failing,
has dead letters, or leaves rows waiting for long. An error in one thread is logged and alarmed; it goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from pipeline.model.clock import utc_now
from pipeline.model.errors import FaultsError, ThapCanhError
from pipeline.settings.values import MirrorSettings
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.tickets import MirrorLink, MirrorSeen, MirrorState, Ticket
from pipeline.tickets.history import record
from pipeline.tickets.mirrors.base import Change, Trouble
from pipeline.tickets.mirrors.make import check_settings, make
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.rows import forget, know_mirrors, standings

SETTINGS_ALARM: Final = "mirrors"
LATE: Final = timedelta(minutes=15)
MANY: Final = 10_000
LOOKED_AT: Final = timedelta(seconds=30)
POLLED: Final = 5_000  # open tickets of one reading
WORDS: Final = 20_000
log = logging.getLogger(__name__)


class MirrorThread:
    """One mirror: `turn` is a round of all that is due; it never raises."""

    def __init__(self, state: State, courier: Courier, settings: MirrorSettings) -> None:
        self._state, self._courier, self._settings = state, courier, settings
        self._read: datetime | None = None
        self._judged: datetime | None = None
        self._kept: datetime | None = None

    @property
    def name(self) -> str:
        return self._courier.name

    def run(self, stop: threading.Event, clock: Callable[[], datetime] = utc_now) -> None:
        while not stop.is_set():
            if not self.turn(clock()):
                stop.wait(self._settings.interval)

    def turn(self, now: datetime) -> bool:
        try:
            moved = self._courier.turn(now)
            self._read_changes(now)
            self._judge(now)
        except Exception as error:  # one bad row must not end the mirror
            name = self._courier.name
            log.exception("a mirror's round broke", extra={"mirror": name})
            try:
                raise_alarm(self._state, f"mirror:{name}", f"the mirror {name}: {error!r}", now=now)
            except ThapCanhError:
                log.error("ALARM of a mirror cannot be written", extra={"mirror": name})  # noqa: TRY400
            return False
        return moved

    def _read_changes(self, now: datetime) -> None:
        due = self._read is None or not (
            timedelta() <= now - self._read < timedelta(seconds=self._settings.changes_every)
        )
        if due and not self._courier.open_circuit:
            self._read = now
            try:
                take_changes(self._state, self._courier, now)
            except Trouble as trouble:
                log.warning(
                    "a mirror's changes cannot be read",
                    extra={"mirror": self._courier.name, "why": trouble.answer.why},
                )

    def _judge(self, now: datetime) -> None:
        if self._judged is not None and timedelta() <= now - self._judged < LOOKED_AT:
            return
        self._judged = now
        judge(self._state, self._courier.name, now)
        if self._kept is None or now - self._kept > timedelta(hours=1):
            self._kept = now
            forget(self._state, now, days=self._settings.keep_days)


def judge(state: State, name: str, now: datetime) -> str:
    """Raise the mirror's alarm, or close it; the reason, or nothing."""
    found = standings(state, [name])[0]
    waiting = found.waiting + found.unknown
    reasons = [
        f"fails since {found.failing:%H:%M} UTC: {found.error}"
        if found.failing and now - found.failing > timedelta(minutes=2)
        else "",
        f"{found.dead} deeds are given up (thapcanh mirrors dead)" if found.dead else "",
        f"{waiting} deeds wait, the oldest since {found.oldest:%d/%m %H:%M} UTC"
        if found.oldest and (now - found.oldest > LATE or waiting > MANY)
        else "",
    ]
    why = "; ".join(reason for reason in reasons if reason)
    if why:
        raise_alarm(state, f"mirror:{name}", f"the mirror {name}: {why}", now=now)
    else:
        close_alarm(state, f"mirror:{name}", now=now)
    return why


def take_changes(state: State, courier: Courier, now: datetime) -> int:
    """What people did over there comes back as comments of a named outside actor; how many came."""
    name = courier.name
    with state.read() as session:
        row = session.get(MirrorState, name)
        cursor = row.cursor if row else ""
        open_ones = (
            sa.select(MirrorLink.remote, MirrorLink.ticket)
            .join(Ticket, Ticket.id == MirrorLink.ticket)
            .where(MirrorLink.mirror == name)
            .order_by(Ticket.closed.is_not(None), Ticket.changed.desc())
            .limit(POLLED)
        )
        tickets: dict[str, str] = dict(session.execute(open_ones).all())
    found = courier.mirror.changes(cursor, list(tickets))
    taken = 0
    with state.begin() as session:
        for change in found.items:
            if session.get(MirrorSeen, (name, change.id)) is not None:
                continue
            session.add(MirrorSeen(mirror=name, change=change.id, at=now))
            ticket = session.get(Ticket, tickets.get(change.remote, ""), with_for_update=True)
            if ticket is not None:
                record(
                    session, ticket, "commented", by=actor(name, change), at=now,
                    text=change.text[:WORDS], detail={"mirror": name, "change": change.id}, origin=name,
                )  # fmt: skip
                taken += 1
        session.get_one(MirrorState, name).cursor = found.cursor
    return taken


def actor(mirror: str, change: Change) -> str:
    """``rt: root``: no name of ours can look like that."""
    return f"{mirror}: {' '.join(change.actor.split())[:60]}"


class Post:
    """The threads of all mirrors. One that its settings do not let be made raises an alarm and waits for the
    next start, its rows with it: tickets are grouped, and the other mirrors go on."""

    def __init__(
        self, state: State, settings: MirrorSettings, *, console: str, now: datetime
    ) -> None:
        self.threads: list[MirrorThread] = []
        try:
            check_settings(settings)
        except FaultsError as faults:
            raise_alarm(state, SETTINGS_ALARM, f"no mirror is sent to: {faults}", now=now)
            return
        close_alarm(state, SETTINGS_ALARM, now=now)
        know_mirrors(state, settings)
        for one in settings.systems:
            try:
                mirror = make(one, settings)
            except ThapCanhError as fault:
                why = f"the mirror {one.name} is not sent to: {fault}; then start the role again"
                raise_alarm(state, f"mirror:{one.name}", why, now=now)
                continue
            courier = Courier(state, one, settings, mirror, console=console)
            self.threads.append(MirrorThread(state, courier, settings))

    def start(self, stop: threading.Event) -> None:
        for number, one in enumerate(self.threads):
            threading.Thread(
                target=one.run, args=(stop,), name=f"mirror {number}", daemon=True
            ).start()
