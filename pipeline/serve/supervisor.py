"""All roles as child processes: started, watched, started again when they fall, stopped together.

Each child's standard input is a pipe that only the supervisor holds: when the supervisor dies, even
by SIGKILL, the children read its end and stop. A role that is stuck is killed and started again;
what it was doing is done again, since every stage is idempotent. One that falls again and again raises an
alarm, which its first long life closes. An *errand* (the rehearsal) is a child
that comes to an end by itself; it is started again only when it fell. While the state itself cannot be
written no role can show its life, and none is killed for that.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collectors.groups import part, roles, with_groups
from pipeline.model.clock import to_iso, utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.serve.disk import trouble
from pipeline.serve.installation import Installation
from pipeline.serve.mail.alarms import AlarmPost
from pipeline.serve.pulse import RoleHealth, read_pulses
from pipeline.state.alarms import close_alarm, open_alarms, raise_alarm
from pipeline.state.tables.operation import Meta

ROLES = ("collect", "normalise", "detect", "tickets", "console")
BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 30)
ENDED = frozenset({0, 1, 2, 3})  # exit codes of an errand that has said its last word
MANY_FALLS = 3
SURE_AFTER = 10.0  # seconds that the state must have been writable before a silent role is killed
SETTLED_AFTER = 30.0  # a child that lived so long starts from the first back-off again

log = logging.getLogger(__name__)


@dataclass
class _Child:
    role: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    falls: int = 0
    due: float = 0.0
    last_exit: int | None = None
    errand: bool = False
    ended: bool = False
    alarms: set[str] = field(default_factory=set)
    told: int | None = (
        None  # how many falls the alarm speaks of; None: one of an earlier life may stand
    )


class Supervisor:
    """Keeps `roles` of one home running until `stop` is set: without them all, each listener group in its process."""

    def __init__(
        self,
        installation: Installation,
        roles: Sequence[str] | None = None,
        *,
        errands: Sequence[str] = (),
        command: Callable[[str], list[str]] | None = None,
    ) -> None:
        self._installation = installation
        self._settings = installation.settings.serve
        if roles is None:
            roles = with_groups(ROLES, installation.settings.collect)
        self._children = {role: _Child(role) for role in roles}
        self._children |= {name: _Child(name, errand=True) for name in errands}
        self._command = command or self._default_command
        self._lock = threading.Lock()
        self._state_trouble, self._believe_pulses = "", 0.0
        self._post = AlarmPost(installation.state, installation.settings.alarms.mail)
        self._suspected: float | None = None

    def _default_command(self, name: str) -> list[str]:
        words = [name] if self._children[name].errand else ["serve", name]
        home = ["--home", str(self._installation.settings.home), "--supervised"]
        return [sys.executable, "-m", "pipeline.cli.main", *words, *home]

    def run(self, stop: threading.Event) -> None:
        """Blocks until `stop`; then ends every child within `serve.stop_within` seconds."""
        self._recall()
        try:
            next_look = 0.0
            while not stop.is_set():
                with self._lock:
                    for child in self._children.values():
                        self._keep(child)
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + min(2.0, self._settings.stuck_after / 4)
                    self._look_after()
                    self._post.look(utc_now())
                stop.wait(0.1)
        finally:
            self._end()

    def troubles(self) -> list[RoleHealth]:
        """The roles that are down or stuck, with the reason."""
        now = utc_now()
        down = [
            RoleHealth(child.role, "", f"not running (exit {child.last_exit})", 0, now)
            for child in self._children.values()
            if child.falls >= MANY_FALLS
            and (child.process is None or child.process.poll() is not None)
        ]
        full = trouble(self._installation.settings)
        disk = [RoleHealth("disk", "", full, 0, now)] if full else []
        away = [RoleHealth("state", "", self._state_trouble, 0, now)] if self._state_trouble else []
        return [*down, *disk, *away, *(health for health in self._pulses() if health.reason)]

    def pids(self) -> dict[str, int]:
        return {c.role: c.process.pid for c in self._children.values() if c.process is not None}

    def _keep(self, child: _Child) -> None:
        if child.ended:
            return
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            if child.errand and code in ENDED:
                child.ended = True
                log.info("an errand ended", extra={"errand": child.role, "exit": code})
                return
            self._fell(child, code)
        if time.monotonic() >= child.due:
            child.started = time.monotonic()
            try:
                child.process = subprocess.Popen(self._command(child.role), stdin=subprocess.PIPE)
            except OSError as error:  # no memory or no process left: the others must go on
                self._fell(child, error.errno or 1)
                return
            log.info("a role starts", extra={"started": child.role, "pid": child.process.pid})

    @staticmethod
    def _fell(child: _Child, code: int) -> None:
        lived = time.monotonic() - child.started
        child.falls = 1 if lived > SETTLED_AFTER else child.falls + 1
        child.last_exit = code
        wait = BACKOFF_SECONDS[min(child.falls, len(BACKOFF_SECONDS)) - 1]
        child.due = time.monotonic() + wait
        child.process = None
        log.warning("a role fell", extra={"fallen": child.role, "exit": code, "again_in": wait})

    def _pulses(self) -> list[RoleHealth]:
        try:
            healths = read_pulses(
                self._installation.state, now=utc_now(), stuck_after=self._settings.stuck_after
            )
        except ServiceAwayError as error:
            return [RoleHealth("state", "", str(error), 0, utc_now())]
        grown = time.monotonic() - self._settings.stuck_after
        collect = self._installation.settings.collect
        nodes = {role: part(collect, role).node for role in roles(collect)}
        return [
            health
            for health in healths
            if nodes.get(health.role, health.node)
            == health.node  # another machine's is not ours to kill
            and (child := self._children.get(health.role)) is not None
            and child.process is not None
            and child.started < grown  # a pulse from before this start says nothing of it
        ]

    def _try_state(self) -> bool:
        """Whether the state can be written, and has been for as long as a pulse may take."""
        try:
            with self._installation.state.begin() as session:
                session.merge(Meta(name="supervisor", value={"alive": to_iso(utc_now())}))
        except ServiceAwayError as error:
            if not self._state_trouble:
                log.error("ALARM the state cannot be written", extra={"why": str(error)})  # noqa: TRY400
            self._state_trouble = str(error)
            self._believe_pulses = time.monotonic() + self._settings.stuck_after
            return False
        self._state_trouble = ""
        return time.monotonic() >= self._believe_pulses

    def _sure(self) -> bool:
        """Whether a missing pulse is the role's own doing: the state has taken ours for a while. One write
        that has just fitted on a nearly full disk says nothing of theirs."""
        if not self._try_state():
            self._suspected = None
            return False
        if self._suspected is None:
            self._suspected = time.monotonic()
        patience = min(self._settings.stuck_after / 2, SURE_AFTER)
        return time.monotonic() - self._suspected >= patience

    def _tell_falls(self) -> None:
        """A role that does not stay up has an alarm, from its third fall until it has run for a while."""
        for child in self._children.values():
            key, falls = f"start:{child.role}", child.falls
            alive = child.process is not None and child.process.poll() is None
            if alive and time.monotonic() - child.started > SETTLED_AFTER:
                if child.told != 0 and self._alarm(
                    lambda k=key: close_alarm(  # type: ignore[misc]
                        self._installation.state, k, now=utc_now()
                    )
                ):
                    child.told = 0
            elif falls >= MANY_FALLS and child.told != falls:
                said = f"{child.role} does not stay up: {falls} times, the last exit code is {child.last_exit}"
                if self._alarm(
                    lambda k=key, s=said: raise_alarm(  # type: ignore[misc]
                        self._installation.state, k, s, now=utc_now()
                    )
                ):
                    child.told = falls

    def _recall(self) -> None:
        """Alarms that an earlier supervisor of this home left open are this one's to close."""
        try:
            for alarm in open_alarms(self._installation.state):
                kind, _, rest = alarm.key.partition(":")
                child = self._children.get(rest.partition(":")[0]) if kind == "role" else None
                if child is not None:
                    child.alarms.add(alarm.key)
        except ServiceAwayError as error:
            log.warning("alarms of before are not known", extra={"why": str(error)})

    def _look_after(self) -> None:
        self._tell_falls()
        pulses = self._pulses()
        if (self._state_trouble or any(one.reason for one in pulses)) and not self._sure():
            why = trouble(self._installation.settings)  # a full disk is why, mostly
            if self._state_trouble:
                told = "; ".join(filter(None, (self._state_trouble, why)))
                self._post.tell("state", f"the state cannot be written: {told}", now=utc_now())
            return
        self._post.tell("state", "", now=utc_now())
        if not any(one.reason for one in pulses):
            self._suspected = None
        for health in pulses:
            child = self._children.get(health.role)
            if child is None:
                continue
            key = f"role:{health.role}:{health.node}"
            if health.reason:
                log.error(
                    "ALARM a role is stuck", extra={"stuck": health.role, "why": health.reason}
                )
                self._raise(child, key, f"{health.role}: {health.reason}")
                with self._lock:
                    if child.process is not None:
                        child.process.kill()
            else:
                self._lift(child, key)

    def _raise(self, child: _Child, key: str, message: str) -> None:
        child.alarms.add(key)
        self._alarm(lambda: raise_alarm(self._installation.state, key, message, now=utc_now()))

    def _lift(self, child: _Child, key: str) -> None:
        if key in child.alarms and self._alarm(
            lambda: close_alarm(self._installation.state, key, now=utc_now())
        ):
            child.alarms.discard(key)

    @staticmethod
    def _alarm(write: Callable[[], None]) -> bool:
        """Whether the state took it."""
        try:
            write()
        except ServiceAwayError as error:
            log.error("ALARM the state cannot be written", extra={"why": str(error)})  # noqa: TRY400
            return False
        return True

    def _end(self) -> None:
        living = [
            c.process for c in self._children.values() if c.process and c.process.poll() is None
        ]
        for process in living:
            process.terminate()
        limit = time.monotonic() + self._settings.stop_within
        for process in living:
            try:
                process.wait(max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("a role did not stop in time", extra={"pid": process.pid})
                process.kill()
                process.wait()
