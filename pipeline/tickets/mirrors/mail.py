"""Mail by SMTP, one thread a ticket: the first letter opens it, each deed answers it.

    Message-ID: <0194….opened@thapcanh>
    Message-ID: <0194….3@thapcanh>   In-Reply-To, References: <0194….opened@thapcanh>

The ids come from our keys, so a repeat after an unknown outcome has the same one, by which mail systems drop it;
SMTP itself cannot be asked what it has taken. Headers are set by Python's `EmailMessage`, which refuses line breaks;
texts are plain, in UTF-8.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from urllib.parse import urlsplit

from pipeline.model.clock import utc_now
from pipeline.model.odd_text import pictured
from pipeline.settings.values import MirrorSystem
from pipeline.tickets.mirrors.base import Answer, Changes, Letter, Trouble, Verdict

_DOMAIN: Final = "thapcanh"


class Mail:
    looks_up = False
    proven = True
    lag = 0.0
    form = "plain"

    def __init__(self, one: MirrorSystem, password: str) -> None:
        parts = urlsplit(one.url)
        self._host, self._port = parts.hostname or "", parts.port or 25
        self._one, self._password = one, password

    def check(self) -> str:
        with self._server() as server:
            server.noop()
        return f"a mail server, letters to {', '.join(self._one.to)}"

    def create(self, letter: Letter) -> Answer:
        return self._send(letter, "opened", letter.body)

    def update(self, remote: str, letter: Letter) -> Answer:
        return Answer(Verdict.DONE, remote)  # the note of the deed says it

    def comment(self, remote: str, letter: Letter) -> Answer:
        return self._send(letter, letter.deed.rpartition(".")[2], letter.note)

    def close(self, remote: str, letter: Letter) -> Answer:
        return Answer(Verdict.DONE, remote)

    def reopen(self, remote: str, letter: Letter) -> Answer:
        return Answer(Verdict.DONE, remote)

    def look_up(self, letter: Letter) -> Answer:
        return Answer(Verdict.ABSENT, why="mail cannot be asked: a repeat has the same Message-ID")

    def look_up_comment(self, remote: str, letter: Letter) -> Answer:
        return self.look_up(letter)

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        return Changes()

    def message(self, letter: Letter, deed: str, text: str) -> EmailMessage:
        """The letter as it goes out."""
        first = f"<{letter.ticket}.opened@{_DOMAIN}>"
        made = EmailMessage()
        made["Subject"] = letter.subject if deed == "opened" else f"Re: {letter.subject}"
        made["From"], made["To"] = self._one.sender, ", ".join(self._one.to)
        made["Date"] = format_datetime(utc_now())
        made["Message-ID"] = f"<{letter.ticket}.{deed}@{_DOMAIN}>"
        made["Auto-Submitted"] = "auto-generated"
        if deed != "opened":
            made["In-Reply-To"] = made["References"] = first
        made.set_content(text)
        return made

    def _server(self) -> smtplib.SMTP:
        try:
            server = smtplib.SMTP(self._host, self._port, timeout=self._one.timeout)
        except (OSError, smtplib.SMTPException) as error:
            raise self._later(f"not reached: {error}") from error
        try:
            if self._one.starttls:
                server.starttls(context=ssl.create_default_context(cafile=self._one.ca or None))
            if self._one.user:
                server.login(self._one.user, self._password)
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise self._later(f"it does not let us in: {error}") from error
        return server

    def _send(self, letter: Letter, deed: str, text: str) -> Answer:
        message = self.message(letter, deed, text)
        server = self._server()
        try:
            server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            return self._refused_or_later(
                min(code for code, _ in error.recipients.values()), str(error)
            )
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            return self._refused_or_later(error.smtp_code, str(error))
        except (OSError, smtplib.SMTPException) as error:
            return Answer(Verdict.UNKNOWN, why=self._why(f"cut off: {error}"))
        finally:
            server.close()
        return Answer(Verdict.DONE, letter.ticket)

    def _refused_or_later(self, code: int, why: str) -> Answer:
        if 400 <= code < 500:  # the server says so itself: not now
            return Answer(Verdict.LATER, why=self._why(why), after=60.0)
        return Answer(Verdict.REFUSED, why=self._why(why))

    def _later(self, why: str) -> Trouble:
        return Trouble(Answer(Verdict.LATER, why=self._why(why), whole=True))

    def _why(self, why: str) -> str:
        told = why.replace(self._password, "***") if self._password else why
        return pictured(" ".join(told.split()))[:300]
