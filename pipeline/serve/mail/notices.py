"""Notices by mail, in the reader's language, by the mail server that alarms go out by.

In: rows of `notice` whose mail waits. Out: plain text, from a thread of its own; a row is claimed in the state
before it is sent, and tried again with longer and longer pauses for three days. Invariants: one mail per notice, but
for a process that dies between sending and noting it, and that mail has the same Message-ID. What a log wrote comes
into no header, and of a ticket under TLP:RED or AMBER+STRICT the number alone goes out.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Final

import msgspec
import sqlalchemy as sa

from pipeline.model.clock import for_people
from pipeline.model.errors import ServiceAwayError, ThapCanhError
from pipeline.serve.mail.letter import Rounds, headed, hold, pause, send
from pipeline.settings.values import AlarmMail
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.desk import Notice, NoticeWish
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket
from pipeline.store.steps import step

GIVE_UP: Final = timedelta(days=3)
AT_ONCE: Final = 50
_LONGEST_WAIT: Final = 1_800
_QUIET: Final = ("red", "amber+strict")
_KINDS: Final = {
    "critical": ("Phiếu nghiêm trọng mới", "A new critical ticket"),
    "assigned": ("Bạn được giao một phiếu", "A ticket was given to you"),
    "asked": ("Trung tâm hỏi đơn vị của bạn", "The centre asks your agency"),
    "answered": ("Một đơn vị đã trả lời", "An agency has answered"),
    "warned": ("Sắp hết thời hạn", "Time is running out"),
    "breached": ("Đã quá thời hạn", "The time is over"),
    "health": ("Một nguồn nhật ký có sự cố", "A source is not well"),
}
_WORDS: Final = {
    "vi": ("Phiếu", "Đơn vị", "Mức độ", "Hạn", "Xem", "Mức TLP của phiếu không cho gửi thêm qua thư."),
    "en": ("Ticket", "Agency", "Severity", "Due", "See", "The ticket's TLP lets no more go out by mail."),
}  # fmt: skip
_LEVELS: Final = {
    "critical": "Nghiêm trọng", "high": "Cao", "medium": "Trung bình", "low": "Thấp",
    "informational": "Thông tin",
}  # fmt: skip

log = logging.getLogger(__name__)


class Letter(msgspec.Struct, frozen=True):
    """What one mail says."""

    id: int
    to: str
    language: str
    kind: str
    number: int
    title: str
    severity: str
    agency: str
    tlp: str
    due: str
    at: datetime


def letter(mail: AlarmMail, one: Letter, address: str) -> EmailMessage:
    """`address` is where the console is."""
    vietnamese = one.language == "vi"
    ticket, agency, severity, due, see, quiet = _WORDS["vi" if vietnamese else "en"]
    kind = _KINDS[one.kind][0 if vietnamese else 1]
    message = headed(
        mail, subject=f"{kind}: #{one.number}", to=one.to, at=one.at,
        id_=f"notice-{one.id}.{one.at:%Y%m%d%H%M%S}",
    )  # fmt: skip
    lines = [f"{kind}.", "", f"{ticket}: #{one.number}"]
    if one.tlp in _QUIET:
        lines += [quiet]
    else:
        level = _LEVELS.get(one.severity, one.severity) if vietnamese else one.severity
        lines += [_plain(one.title), f"{agency}: {_plain(one.agency)}", f"{severity}: {level}"]
    if one.due:
        lines.append(f"{due}: {for_people(datetime.fromisoformat(one.due))}")
    lines += ["", f"{see}: {address}/tickets/{one.number}", f"TLP:{one.tlp.upper()}"]
    message.set_content("\n".join(lines) + "\n")
    return message


def _plain(text: str) -> str:
    """One line of what can be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


class NoticePost:
    """`look` may be called as often as one likes and never waits."""

    def __init__(self, state: State, mail: AlarmMail, address: str) -> None:
        self._state, self._mail, self._address = state, mail, address
        self._rounds = Rounds(mail, "notice mail", self.send_all)

    def look(self, now: datetime) -> None:
        self._rounds.look(now)

    def send_all(self, now: datetime) -> None:
        """One round, in this thread. Never raises: the next round tries again."""
        try:
            for _ in range(AT_ONCE):
                one = claim(self._state, now, hold=hold(self._mail))
                if one is None:
                    return
                step("notice_mail.claimed")
                sent = self._try(one)
                step("notice_mail.sent")
                note(self._state, one, now, sent=sent)
                step("notice_mail.noted")
                if not sent:
                    return
        except ServiceAwayError as error:
            log.warning("the state does not say what notices there are", extra={"why": str(error)})

    def _try(self, one: Letter) -> bool:
        try:
            send(self._mail, letter(self._mail, one, self._address))
        except (OSError, ValueError, ThapCanhError) as error:
            log.warning(
                "a notice was not sent by mail", extra={"ticket": one.number, "why": str(error)}
            )
            return False
        return True


def claim(state: State, now: datetime, *, hold: timedelta) -> Letter | None:
    """A notice whose mail waits, for the caller alone to send within `hold`. One without an address needs none."""
    query = (
        sa.select(Notice, Person, Ticket, Agency)
        .join(Person, Person.id == Notice.person)
        .join(Ticket, Ticket.id == Notice.ticket)
        .join(Agency, Agency.id == Ticket.agency)
        .where(Notice.mail == "waiting", Notice.mail_due <= now)
        .order_by(Notice.mail_due, Notice.id)
    )
    with state.read() as session:
        if session.execute(query.limit(1)).first() is None:
            return None
    with state.begin() as session:
        for notice, person, ticket, agency in session.execute(query.limit(AT_ONCE)):
            wish = session.get(NoticeWish, person.id)
            if wish is None or not wish.mail or person.disabled is not None:
                notice.mail, notice.mail_due = "none", None
                continue
            notice.mail_due = now + hold
            name = agency.name_vi if person.language == "vi" else agency.name_en
            return Letter(
                notice.id, wish.mail, person.language, notice.kind, ticket.number, ticket.title,
                ticket.severity, name, ticket.tlp, notice.detail.get("due", ""),
                notice.at,
            )  # fmt: skip
    return None


def note(state: State, one: Letter, now: datetime, *, sent: bool) -> None:
    """Record that it was sent, or when to try again, or that it never will be."""
    with state.begin() as session:
        row = session.get(Notice, one.id)
        if row is None:
            return
        if sent or now - row.at > GIVE_UP:
            row.mail, row.mail_due = "sent" if sent else "dead", None
        else:
            row.mail_due = now + pause(row.mail_tries, _LONGEST_WAIT)
            row.mail_tries += 1
