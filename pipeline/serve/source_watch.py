"""The role *tickets* looks at the sources from time to time; a look that fails is an alarm, never the role's end."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from pipeline.model.errors import ServiceAwayError
from pipeline.settings.values import HealthSettings
from pipeline.sources.watch import watch_once
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State

ALARM: Final = "tickets:health"

log = logging.getLogger(__name__)


class SourceWatcher:
    """`look` may be called as often as one likes."""

    def __init__(self, state: State, limits: HealthSettings) -> None:
        self._state, self._limits = state, limits
        self._last: datetime | None = None
        self._troubled = False

    def look(self, now: datetime) -> None:
        every = timedelta(seconds=self._limits.every_seconds)
        if not every or (self._last is not None and timedelta() <= now - self._last < every):
            return
        self._last = now
        try:
            watch_once(self._state, self._limits, now=now)
            if self._troubled:
                close_alarm(self._state, ALARM, now=now)
            self._troubled = False
        except ServiceAwayError as error:
            log.warning("sources are not looked at: %s", error)
        except Exception as error:
            log.exception("sources are not looked at")
            self._troubled = True
            raise_alarm(self._state, ALARM, f"sources are not looked at: {error}", now=now)
