"""What alarms and notices share on their way out: the server, a letter's head, and a thread of their own.

In: the settings under ``alarms.mail``. Out: plain text, handed to an SMTP server. Invariants: a slow server
stops no role; a letter's Message-ID is its sender's, the same whenever it is sent.
"""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from pipeline.settings.secrets import read_secret
from pipeline.settings.values import AlarmMail

EVERY_SECONDS: Final = 2.0


def headed(mail: AlarmMail, *, subject: str, to: str, at: datetime, id_: str) -> EmailMessage:
    """A letter without its text; nobody's holiday answers it."""
    message = EmailMessage()
    message["Subject"] = f"[Tháp Canh] {subject}"
    message["From"], message["To"] = mail.sender, to
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{id_}@thapcanh>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def send(mail: AlarmMail, message: EmailMessage) -> None:
    """Hand it to the server. Raises OSError (smtplib's errors are such) or UsageError for the password."""
    with smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout) as server:
        if mail.starttls:
            server.starttls(context=ssl.create_default_context(cafile=mail.ca or None))
        if mail.user:
            server.login(mail.user, read_secret(mail.password, "alarms.mail.password"))
        server.send_message(message)


def hold(mail: AlarmMail) -> timedelta:
    """How long a claimed letter is its claimer's: longer than one sending may take."""
    return timedelta(seconds=60 + 12 * mail.timeout)


def pause(tries: int, longest: int) -> timedelta:
    """Before the next try: 5 s, 10 s, 20 s … up to `longest` seconds."""
    return timedelta(seconds=min(longest, 5 << min(tries, 10)))


class Rounds:
    """`look` may be called as often as one likes and never waits: it begins a round in a thread of its own,
    at most every two seconds, unless the last one still sends."""

    def __init__(self, mail: AlarmMail, name: str, round_: Callable[[datetime], None]) -> None:
        self._host, self._name, self._round = mail.host, name, round_
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def look(self, now: datetime) -> None:
        busy = self._thread is not None and self._thread.is_alive()
        if not self._host or busy or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        self._thread = threading.Thread(
            target=self._round, args=(now,), name=self._name, daemon=True
        )
        self._thread.start()
