"""From a draft to an exception: its backtest is asked for first, and only what that has shown is saved.

In: a proposal; later the job that backtested it. Out: the job's id; the exception's. Invariants: nobody saves another's
draft, nor one whose backtest is not done; saving twice saves once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pipeline.detect.jobs import jobs
from pipeline.detect.register import exceptions
from pipeline.detect.register.exception_text import read_filter
from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor
from pipeline.state.state import State


def ask_draft(
    state: State, actor: Actor, wanted: exceptions.Proposal, *, days: int, now: datetime
) -> str:
    """The job that will show what it would have hidden in so many days."""
    exceptions.check(state, actor, wanted, now=now)
    asked: dict[str, Any] = {"days": days, "proposal": msgspec.to_builtins(wanted)}
    subject = read_filter(wanted.text).rule.id
    return jobs.ask(state, actor, "backtest_exception", subject, asked, now=now)


def save_draft(state: State, actor: Actor, job: str, *, now: datetime) -> str:
    """The exception, proposed with the result of its backtest."""
    done = jobs.find_job(state, actor, job, now=now)
    given = done.asked.get("proposal")
    if given is None or done.status != "done" or done.by != actor.name:
        raise ConflictError("only one's own draft whose backtest is done is proposed")
    wanted = msgspec.convert(given, exceptions.Proposal)
    try:
        exceptions.propose(state, actor, wanted, now=now)
        exceptions.keep_backtest(state, actor, done.subject, done.result)
    except ConflictError:  # it was sent twice: it is there
        exceptions.find_exception(state, actor, done.subject)
    return done.subject
