"""One mirror's courier: takes its rows one by one, tells the mirror, and records what came of it.

    row not yet begun    create (if the ticket is not over there), then the deed
    row perhaps done     look up by key first: what stands there is recorded, not sent again
    refused              dead letter; where it may be that all are refused, the mirror itself is asked first
    unknown              looked up after a back-off with jitter; dead after so many tries
    later, or the mirror's own trouble    back to waiting, no try counted

Five failures in a row open the circuit: then one row at a time is tried, at the back-off's pace, and no try is
counted, until one goes through. TLP holds twice: as the ticket was at the deed, and as it is now.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from jinja2 import TemplateError

from pipeline.model.detections import Level
from pipeline.model.tickets import Tlp
from pipeline.settings.values import MirrorSettings, MirrorSystem
from pipeline.state.state import State
from pipeline.state.tables.tickets import MirrorState
from pipeline.store.steps import step
from pipeline.tickets.mirrors.base import Answer, Letter, Mirror, Trouble, Verdict, attempt
from pipeline.tickets.mirrors.letters import write
from pipeline.tickets.outbox import rows as outbox
from pipeline.tickets.outbox.rows import Job

OPENS: Final = 5  # failures in a row
LONGEST: Final = 300.0  # seconds between tries
_TLP: Final = {tlp.value: rank for rank, tlp in enumerate(Tlp)}
_SAID: Final = frozenset(
    {
        "amended",
        "answered",
        "assigned",
        "claimed",
        "closed",
        "commented",
        "lease_expired",
        "linked",
        "released",
    }
    | {"in_progress", "reopened", "severity", "taken_over", "unlinked", "waiting"}
)
log = logging.getLogger(__name__)


class Courier:
    """`console` is the address that links begin with. `dice` gives the jitter, 0 to 1."""

    def __init__(
        self,
        state: State,
        one: MirrorSystem,
        settings: MirrorSettings,
        mirror: Mirror,
        *,
        console: str = "",
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name, self.mirror = one.name, mirror
        self._state, self._one, self._settings = state, one, settings
        self._console, self._dice = console, dice
        self._failures = 0
        self._until: datetime | None = None
        self._hold = timedelta(seconds=30 + 6 * one.timeout)
        self._seen: list[datetime] = []

    @property
    def open_circuit(self) -> bool:
        return self._failures >= OPENS

    def turn(self, now: datetime) -> bool:
        """Take one row as far as it goes. False: none is due, or the mirror has to be left alone."""
        if (self._until is not None and now < self._until) or not self._may(now):
            return False
        job = outbox.next_job(self._state, self.name, now, hold=self._hold)
        if job is None:
            return False
        step("outbox.taken")
        if not self._wanted(job):
            outbox.settle(self._state, job, "skipped")
            return True
        self._seen.append(now)
        answer = self._written(job, now)
        step("outbox.answered")
        self._record(job, answer, now)
        step("outbox.recorded")
        return True

    def _written(self, job: Job, now: datetime) -> Answer:
        try:
            letter = write(
                job.body, key=job.key, language=self._one.language, form=self.mirror.form,
                console=self._console,
            )  # fmt: skip
        except (TemplateError, KeyError, ValueError) as error:
            return Answer(Verdict.REFUSED, why=f"its template cannot be filled: {error!r}"[:300])
        return self._whose(self._carry(job, letter, now))

    def _whose(self, answer: Answer) -> Answer:
        """A refusal in doubt is the mirror's trouble if the mirror as such does not let us in, else the deed's."""
        if answer.verdict is not Verdict.REFUSED or not answer.doubt:
            return answer
        try:
            self.mirror.check()
        except Trouble as trouble:
            why, after = trouble.answer.why, trouble.answer.after
            return replace(answer, verdict=Verdict.LATER, whole=True, why=why, after=after)
        return answer

    def _may(self, now: datetime) -> bool:
        """The rate: so many rows a minute at the most."""
        self._seen = [at for at in self._seen if now - at < timedelta(minutes=1)]
        return len(self._seen) < self._one.per_minute

    def _wanted(self, job: Job) -> bool:
        one = self._one
        severity = Level(job.body["severity"])
        most = _TLP[one.tlp]
        return (
            (not one.agencies or job.body["agency"] in one.agencies)
            and (severity.rank >= Level(one.level).rank or bool(job.remote))
            and max(_TLP[job.body["tlp"]], _TLP[job.tlp]) <= most
        )

    def _carry(self, job: Job, letter: Letter, now: datetime) -> Answer:
        """Every deed of the row, until one does not stand."""
        remote = job.remote
        if not remote:
            answer = self._create(letter)
            if not answer.stands:
                return answer
            step("outbox.created")
            outbox.link(self._state, self.name, job.ticket, answer, now)
            remote = answer.remote
        answer, begun = Answer(Verdict.DONE, remote), False
        for deed in self._deeds(job, letter, remote):
            answer = attempt(deed)
            if not answer.stands:
                return replace(answer, begun=True) if begun else answer
            begun = True
            step("outbox.done")
        return answer

    def _create(self, letter: Letter) -> Answer:
        """Also before a first try it is looked up where that can be: an earlier row may have been begun."""
        if self.mirror.looks_up:
            found = attempt(lambda: self.mirror.look_up(letter))
            if found.verdict is not Verdict.ABSENT:
                return _not_found(found)
        return attempt(lambda: self.mirror.create(letter))

    def _deeds(self, job: Job, letter: Letter, remote: str) -> Iterator[Callable[[], Answer]]:
        mirror = self.mirror
        if job.what == "opened":
            return
        if job.what in _SAID or job.body["text"]:
            yield lambda: self._comment(job, letter, remote)
        if job.what == "closed":
            yield lambda: mirror.close(remote, letter)
        elif job.what in ("reopened", "unlinked") and letter.status != "closed":
            yield lambda: mirror.reopen(remote, letter)
        elif job.what in ("amended", "severity"):
            yield lambda: mirror.update(remote, letter)

    def _comment(self, job: Job, letter: Letter, remote: str) -> Answer:
        if job.unsure and self.mirror.looks_up:
            found = attempt(lambda: self.mirror.look_up_comment(remote, letter))
            if found.verdict is not Verdict.ABSENT:
                return _not_found(found)
        return self.mirror.comment(remote, letter)

    def _record(self, job: Job, answer: Answer, now: datetime) -> None:
        if answer.stands:
            outbox.settle(self._state, job, "sent")
            self._worked(now)
            return
        if answer.verdict is Verdict.REFUSED:
            outbox.put_back(self._state, job, "dead", due=now, why=answer.why, counts=True)
            self._worked(now)  # it answers, and speaks our language
            log.error("a mirror refuses a deed", extra={"mirror": self.name, "why": answer.why})
            return
        broken = answer.whole or self.open_circuit
        counts = answer.verdict is Verdict.UNKNOWN and not broken
        wait = max(answer.after, self._wait(job.tries if counts else self._failures))
        if answer.verdict is Verdict.UNKNOWN:
            wait = max(wait, self.mirror.lag)
        unsure = job.unsure or answer.begun or answer.verdict is Verdict.UNKNOWN
        given_up = counts and job.tries + 1 >= self._settings.tries
        became = "dead" if given_up else "unknown" if unsure else "waiting"
        due = now + timedelta(seconds=wait)
        outbox.put_back(self._state, job, became, due=due, why=answer.why, counts=counts)
        if answer.verdict is Verdict.LATER and answer.after and not answer.whole:
            self._until = due  # it asks us to slow down: it is not broken
            return
        self._failed(answer, now)

    def _wait(self, tries: int) -> float:
        """Seconds: 2, 4, 8 … and up to half as many more."""
        return float(min(LONGEST, 2.0 * 2 ** min(tries, 12)) * (1 + self._dice() / 2))

    def _failed(self, answer: Answer, now: datetime) -> None:
        self._failures = max(self._failures + 1, OPENS if answer.whole else 0)
        if self.open_circuit:
            self._until = now + timedelta(seconds=self._wait(self._failures - OPENS + 1))
        with self._state.begin() as session:
            row = session.get_one(MirrorState, self.name)
            row.failing, row.error = row.failing or now, answer.why
        log.warning("a mirror fails", extra={"mirror": self.name, "why": answer.why})

    def _worked(self, now: datetime) -> None:
        was, self._failures, self._until = self._failures, 0, None
        with self._state.begin() as session:
            row = session.get_one(MirrorState, self.name)
            row.failing, row.error, row.reached = None, "", now
        if was >= OPENS:
            log.info("a mirror is back", extra={"mirror": self.name})


def _not_found(answer: Answer) -> Answer:
    """Of a look-up that did not say absent: known, or its trouble. Refused, it may be of this ticket alone."""
    if answer.verdict is Verdict.REFUSED:
        return replace(answer, why=f"cannot be looked up: {answer.why}", doubt=True)
    return answer
