"""Which findings open tickets, and which files go on them, as the settings say."""

from __future__ import annotations

from datetime import timedelta

from pipeline.model.detections import Level
from pipeline.serve.installation import Installation
from pipeline.settings.values import Settings
from pipeline.tickets.attachments import FOLDER, Shelf
from pipeline.tickets.policy import Policy


def opens_tickets(here: Installation, level: str, status: str) -> bool:
    """Whether findings of such a rule open tickets."""
    settings = here.settings.tickets
    return Level(level).rank >= Level(settings.level).rank and status in settings.statuses


def ticket_policy(here: Installation) -> Policy:
    settings = here.settings.tickets
    return Policy(
        level=Level(settings.level),
        statuses=frozenset(settings.statuses),
        gap=timedelta(minutes=settings.gap_minutes),
        storm=settings.storm_per_hour,
    )


def shelf_of(settings: Settings) -> Shelf:
    return Shelf(
        folder=settings.home / FOLDER,
        max_bytes=settings.tickets.attachment_bytes,
        per_ticket=settings.tickets.attachments,
    )
