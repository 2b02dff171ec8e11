"""Who takes letters in a test: behind a real SMTP server on this machine."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any


class Box:
    """Takes mail, or refuses it while `refusing`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusing = False

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusing:
            return "451 try again later"
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)
        return "250 taken"

    def told(self) -> list[tuple[str, str]]:
        """(subject, the alarm's own words) of each mail."""
        return [
            (mail["subject"], mail.get_content().splitlines()[3].strip()) for mail in self.mails
        ]
