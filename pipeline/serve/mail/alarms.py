"""Alarms by mail: once when one opens, once when it closes, tried again until the server takes it.

In: the alarms of the state, whoever raised them, and what its owner says itself while the state is away.
Out: plain-text mail, Vietnamese first, sent from a thread of its own so that a slow mail server stops no
role. The supervisor and the role *tickets* both look; a row is claimed in the state before it is sent, so
one of them sends. Invariant: never silent. One that dies between sending and noting it is the only case of a
second mail, and that has the same Message-ID. An alarm that was over before its first mail went out is told once, with
both times; what was over for a day is news no more.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Final

import sqlalchemy as sa

from pipeline.model.clock import for_people
from pipeline.model.errors import ServiceAwayError, ThapCanhError, UsageError
from pipeline.model.ids import new_id
from pipeline.serve.mail.letter import Rounds, headed, hold, pause, send
from pipeline.settings.values import AlarmMail
from pipeline.state.state import State
from pipeline.state.tables.operation import Alarm

AT_ONCE: Final = 20
OLD_NEWS: Final = timedelta(days=1)
_LONGEST_WAIT: Final = 300
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: an alarm that opened, or (`closed`) is over."""

    id: str
    key: str
    message: str
    opened: datetime
    closed: datetime | None = None

    @property
    def what(self) -> str:
        return "closed" if self.closed else "opened"


def check(mail: AlarmMail) -> None:
    """Refuse settings with which no alarm can go out, before one has to."""
    if not mail.host:
        return
    for name, value in (("sender", mail.sender), ("to", mail.to)):
        if not value:
            raise UsageError(
                f"alarms have no {name}", where=f"alarms.mail.{name}", expected="an address"
            )
    for address in (mail.sender, *mail.to):
        if "@" not in address or any(c.isspace() or c in "<>,;" for c in address):
            raise UsageError("this is no address", where="alarms.mail", got=address)
    if mail.user and not mail.starttls and mail.host not in _HERE:
        raise UsageError(
            "a password would go over the network in clear", where="alarms.mail.starttls",
            got="false", expected="true, where alarms.mail.user is set",
        )  # fmt: skip


def letter(mail: AlarmMail, news: News) -> EmailMessage:
    """The mail of one alarm. Its Message-ID is the same whenever it is sent."""
    ended = news.closed is not None
    key = " ".join(news.key.split())
    message = headed(
        mail, subject=f"{'Đã hết · Over' if ended else 'BÁO ĐỘNG · ALARM'}: {key}", to=", ".join(mail.to),
        at=news.closed or news.opened, id_=f"{news.id}.{news.what}",
    )  # fmt: skip
    lines = [
        "Cảnh báo đã hết." if ended else "Hệ thống Tháp Canh có sự cố.",
        "This alarm is over." if ended else "Something is wrong with Tháp Canh itself.",
        "", news.message, "",
        f"Mã · Key: {news.key}",
        f"Bắt đầu · Began: {for_people(news.opened)}",
    ]  # fmt: skip
    if news.closed:
        lines.append(f"Kết thúc · Ended: {for_people(news.closed)}")
    else:
        lines += ["", "Xem nguyên nhân và cách xử lý · Cause and remedy: thapcanh doctor"]
    message.set_content("\n".join(lines) + "\n")
    return message


class AlarmPost:
    """Sends what is news. `look` may be called as often as one likes and never waits."""

    def __init__(self, state: State, mail: AlarmMail) -> None:
        check(mail)
        self._state, self._mail = state, mail
        self._rounds = Rounds(mail, "alarm mail", self.send_all)
        self._lock = threading.Lock()
        self._own: dict[str, News] = {}  # what the state could not be told
        self._unsent: dict[str, tuple[News, int, float]] = {}

    def look(self, now: datetime) -> None:
        """Send what is news, in a thread of its own, unless the last one still sends."""
        self._rounds.look(now)

    def tell(self, key: str, message: str, *, now: datetime) -> None:
        """Tell of `key` without the state: that it is so, or with an empty message that it is over."""
        held = self._own.get(key)
        if message and held is None:
            news = self._own[key] = News(new_id(), key, message, now)
        elif not message and held is not None:
            del self._own[key]
            news = News(held.id, key, held.message, held.opened, now)
        else:
            return
        with self._lock:
            self._unsent[key] = (news, 0, 0.0)

    def send_all(self, now: datetime) -> None:
        """One round, in this thread. Never raises: the next round tries again."""
        with self._lock:
            own = [v for v in self._unsent.items() if v[1][2] <= time.monotonic()]
        for key, (news, tries, _) in own:
            sent = self._try(news)
            with self._lock:
                if self._unsent.get(key, (None,))[0] is not news:
                    continue  # told anew meanwhile
                if sent:
                    del self._unsent[key]
                else:
                    self._unsent[key] = (
                        news,
                        tries + 1,
                        time.monotonic() + _wait(tries).total_seconds(),
                    )
        try:
            for _ in range(AT_ONCE):
                news_ = claim(self._state, now, hold=hold(self._mail))
                if news_ is None:
                    return
                sent = self._try(news_)
                note(self._state, news_, now, sent=sent)
                if not sent:
                    return  # the others would wait as long for the same server
        except ServiceAwayError as error:
            log.warning("the state does not say what alarms there are", extra={"why": str(error)})

    def _try(self, news: News) -> bool:
        try:
            send(self._mail, letter(self._mail, news))
        except (OSError, ValueError, ThapCanhError) as error:
            log.error("ALARM not sent by mail", extra={"alarm": news.key, "why": str(error)})  # noqa: TRY400
            return False
        log.info("an alarm went out by mail", extra={"alarm": news.key, "told": news.what})
        return True


def _wait(tries: int) -> timedelta:
    return pause(tries, _LONGEST_WAIT)


def claim(state: State, now: datetime, *, hold: timedelta) -> News | None:
    """An alarm that nobody has told of yet, for the caller alone to send within `hold`."""
    opened = sa.and_(Alarm.closed.is_(None), Alarm.mailed == "")
    ended = sa.and_(Alarm.closed > now - OLD_NEWS, Alarm.mailed != "closed")
    untaken = sa.or_(Alarm.mail_due.is_(None), Alarm.mail_due <= now)
    query = sa.select(Alarm).where(sa.or_(opened, ended), untaken).order_by(Alarm.opened, Alarm.id)
    with state.read() as session:
        if session.scalar(query.limit(1)) is None:
            return None  # mostly so: nobody waits for a lock then
    with state.begin() as session:
        row = session.scalar(query.limit(1))
        if row is None:
            return None
        row.mail_due = now + hold
        return News(row.id, row.key, row.message, row.opened, row.closed)


def note(state: State, news: News, now: datetime, *, sent: bool) -> None:
    """Record that it was sent, or when to try again."""
    with state.begin() as session:
        row = session.get(Alarm, news.id)
        if row is None:
            return
        if sent:
            row.mailed, row.mail_due, row.mail_tries = news.what, None, 0
        else:
            row.mail_due = now + _wait(row.mail_tries)
            row.mail_tries += 1
