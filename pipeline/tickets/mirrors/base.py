"""The contract of a mirror: an outside system that is told of a ticket, and may be asked what it knows.

In: a `Letter`, all values, rendered for people. Out: an `Answer`, whose verdict is one of

    done      it stands there now
    known     it stood there already: nothing was doubled
    refused   it will never be taken as it is: for the dead letters
    unknown   perhaps done, perhaps not: it is looked up by its key before it is sent again
    later     certainly not done; come again after `after` seconds
    absent    (of a look-up) certainly not there

Invariants: `create` and `comment` leave our key over there, by which `look_up` and `look_up_comment` find
them; `update`, `close` and `reopen` set absolute values, so that sending them again changes nothing. A method
raises `Trouble` where the transport has decided the answer. A mirror that cannot look up (mail, webhook) sends
a repeat under the same key, and its receiver drops it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Verdict(StrEnum):
    DONE = "done"
    KNOWN = "known"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    LATER = "later"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Answer:
    """`whole`: the trouble is the mirror's as such (away, credentials, another system), not this deed's.
    `begun`: another deed of the same row stands already, so the row may not be sent as if it were new. `doubt`: a
    refusal that may be of all deeds and not of this one (403, 404): the mirror's `check` says which."""

    verdict: Verdict
    remote: str = ""
    url: str = ""
    why: str = ""
    after: float = 0.0
    whole: bool = False
    begun: bool = False
    doubt: bool = False

    @property
    def stands(self) -> bool:
        return self.verdict in (Verdict.DONE, Verdict.KNOWN)


class Trouble(Exception):  # noqa: N818 - it carries an answer, which need not be an error
    """The transport has decided what the answer is."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.why)
        self.answer = answer


def attempt(deed: Callable[[], Answer]) -> Answer:
    """The answer of a deed, however it comes."""
    try:
        return deed()
    except Trouble as trouble:
        return trouble.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a mirror is told. `ticket` is the ticket's id and key, `deed` the key of this deed; `tag` is the short
    key that people see and a search finds. `body` tells of the ticket, `note` of the deed. `facts` are the raw
    values: for fields, never for texts."""

    ticket: str
    deed: str
    tag: str
    number: int
    subject: str
    body: str
    note: str
    severity: str
    status: str
    reason: str
    link: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that people did over there. `id` is unique at the mirror; `at` as it says itself."""

    id: str
    remote: str
    actor: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """`cursor` is where the next reading begins; what was read before may come again."""

    items: tuple[Change, ...] = ()
    cursor: str = ""


class Mirror(Protocol):
    """`proven`: run against the real system, not only built to its description. `form` is how its texts are
    written: plain, markdown, wiki. `lag`: seconds until a look-up finds what was made; sooner, absent says
    nothing."""

    looks_up: bool
    proven: bool
    lag: float
    form: str

    def check(self) -> str:
        """What it is and that we may use it, in a line. Trouble where not."""
        ...

    def create(self, letter: Letter) -> Answer: ...

    def update(self, remote: str, letter: Letter) -> Answer: ...

    def comment(self, remote: str, letter: Letter) -> Answer: ...

    def close(self, remote: str, letter: Letter) -> Answer: ...

    def reopen(self, remote: str, letter: Letter) -> Answer: ...

    def look_up(self, letter: Letter) -> Answer:
        """Known, with the name over there; absent; or unknown."""
        ...

    def look_up_comment(self, remote: str, letter: Letter) -> Answer: ...

    def changes(self, cursor: str, remotes: Sequence[str]) -> Changes:
        """What others did since the cursor (empty: from now on). `remotes` are open tickets that we know of."""
        ...
