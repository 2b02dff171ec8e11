"""The six stories by name, in the order of their day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random

from pipeline.rehearsal.lines import Draft
from pipeline.rehearsal.stories import (
    database_abuse,
    dns_tunnel,
    mailbox_takeover,
    ransomware,
    vpn_spray,
    web_shell,
)

Story = Callable[[datetime, Random], list[Draft]]

STORIES: dict[str, Story] = {
    "dns_tunnel": dns_tunnel.tell,
    "vpn_spray": vpn_spray.tell,
    "web_shell": web_shell.tell,
    "ransomware": ransomware.tell,
    "mailbox_takeover": mailbox_takeover.tell,
    "database_abuse": database_abuse.tell,
}
