"""From verdicts to learning: backtests, exceptions, and the jobs that do such work.

POST /api/v1/exceptions/drafts  {"rule": "6f2b…", "where": {"user.name": "svc-backup"}, …}  →  {"job": "…"}
GET  /api/v1/jobs/…             until `status` is `done`: `result` says what would have been hidden
POST /api/v1/exceptions         {"job": "…"}  →  {"exception": "…"}; another analyst approves it
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipeline.api.door import Entered, Key
from pipeline.api.keyed import keyed
from pipeline.api.paging import Asked, page_of, read_cursor
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.detect.jobs import drafts as draft_jobs
from pipeline.detect.jobs import jobs
from pipeline.detect.reads import rules
from pipeline.detect.reads.drafting import single_event_rule
from pipeline.detect.register import exceptions
from pipeline.detect.register.exception_text import write_filter
from pipeline.model.errors import UsageError

router = APIRouter(tags=["learning"])
Exception_ = shape_of(exceptions.Line, name="Exception")
Job = shape_of(jobs.Job, name="Job")
Ref = Annotated[str, Path(max_length=64)]
Short = Annotated[str, Field(max_length=200)]
Days = Annotated[int, Field(ge=1, le=365, description="How far back.")]
_WRITES = (404, 409, 413, 415)


class Exceptions(BaseModel):
    items: list[Exception_]  # type: ignore[valid-type]
    next: str | None


class OneException(BaseModel):
    """`found`: its text and life, what it hid by agency with samples, and its backtest."""

    found: dict[str, Any]


class Drafting(BaseModel):
    """Either `text` (a Sigma filter), or a `rule` with the fields and values that must all be so."""

    model_config = ConfigDict(extra="forbid")

    rule: Annotated[str, Field(max_length=64)] = ""
    where: Annotated[
        dict[Short, Annotated[str, Field(max_length=2_000)]], Field(max_length=30)
    ] = {}
    text: Annotated[str, Field(max_length=40_000)] = ""
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=1, max_length=4_000)]
    expires: AwareDatetime
    agencies: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=500)] = []
    days: Days = 30


class Saving(BaseModel):
    """The job of one's own draft, when it is done."""

    model_config = ConfigDict(extra="forbid")

    job: Annotated[str, Field(min_length=1, max_length=32)]


class Ending(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=2_000)]


class Backtesting(BaseModel):
    """A registered `rule`, or the text of a `draft`."""

    model_config = ConfigDict(extra="forbid")

    rule: Annotated[str, Field(max_length=64)] = ""
    draft: Annotated[str, Field(max_length=40_000)] = ""
    days: Days = 30


class Asking(BaseModel):
    """Where to look: `/jobs/{job}`."""

    job: str


class Named(BaseModel):
    exception: str


class Jobs(BaseModel):
    items: list[Job]  # type: ignore[valid-type]
    next: str | None


class ExceptionsAsked(Asked):
    standing: Annotated[
        Literal["", "in force", "proposed", "expired", "ended"], Query(description="All without.")
    ] = ""


@route(router, "GET", "/exceptions", "exception.read", response_model=Exceptions)
def list_of_exceptions(caller: Entered, asked: Annotated[ExceptionsAsked, Query()]) -> Any:
    """Those that speak of your agencies, the newest first."""
    every = exceptions.list_exceptions(caller.state, caller.actor, now=caller.now)
    lines = [one for one in every if asked.standing in ("", one.standing)]
    return page_of(lines, asked, lambda one: one.id)


@route(
    router, "GET", "/exceptions/{exception}", "exception.read", errors=(404,), response_model=OneException
)  # fmt: skip
def one_exception(caller: Entered, exception: Ref) -> Any:
    """One exception whole."""
    return {
        "found": exceptions.show_exception(caller.state, caller.actor, exception, now=caller.now)
    }


@route(
    router, "POST", "/exceptions/drafts", "exception.write", errors=_WRITES, response_model=Asking
)
def draft(caller: Entered, key: Key, said: Drafting) -> Any:
    """Check a draft and ask for its backtest (takes `rule.write`, too); nothing is saved yet."""
    state, actor = caller.state, caller.actor

    def work() -> dict[str, str]:
        wanted = exceptions.Proposal(
            text=_text(caller, said), owner=said.owner, reason=said.reason, expires=said.expires,
            agencies=tuple(said.agencies),
        )  # fmt: skip
        return {"job": draft_jobs.ask_draft(state, actor, wanted, days=said.days, now=caller.now)}

    return keyed(caller, key, ("exception_draft", said.model_dump_json()), work)


def _text(caller: Entered, said: Drafting) -> str:
    if said.text.strip():
        return said.text
    if not said.rule:
        raise UsageError("name the rule")
    if not said.where:
        raise UsageError("choose a field at least: without one everything would be hidden")
    rule = rules.full_id(caller.state, caller.actor, said.rule)
    return write_filter(single_event_rule(caller.state, caller.actor, rule), said.where)


@route(router, "POST", "/exceptions", "exception.write", errors=_WRITES, response_model=Named)
def save(caller: Entered, key: Key, said: Saving) -> Any:
    """Propose your draft with what its backtest has shown; it hides nothing until another approves it."""

    def work() -> dict[str, str]:
        made = draft_jobs.save_draft(caller.state, caller.actor, said.job, now=caller.now)
        return {"exception": made}

    return keyed(caller, key, ("exception_save", said.job), work)


@route(
    router, "POST", "/exceptions/{exception}/approve", "exception.approve", errors=_WRITES,
    response_model=Named,
)  # fmt: skip
def approve(caller: Entered, exception: Ref, key: Key) -> Any:
    """Put it in force. Nobody approves their own, nor one that was not backtested."""

    def work() -> dict[str, str]:
        exceptions.approve(caller.state, caller.actor, exception, now=caller.now)
        return {"exception": exception}

    return keyed(caller, key, ("exception_approve", exception), work)


@route(
    router, "POST", "/exceptions/{exception}/end", "exception.write", errors=_WRITES, response_model=Named
)  # fmt: skip
def end(caller: Entered, exception: Ref, key: Key, said: Ending) -> Any:
    """End it before its date, with a reason."""

    def work() -> dict[str, str]:
        exceptions.end(caller.state, caller.actor, exception, reason=said.reason, now=caller.now)
        return {"exception": exception}

    return keyed(caller, key, ("exception_end", exception, said.reason), work)


@route(router, "POST", "/backtests", "rule.write", errors=_WRITES, response_model=Asking)
def backtest(caller: Entered, key: Key, said: Backtesting) -> Any:
    """Ask what a rule, or a draft of one, would have found."""
    if bool(said.rule) == bool(said.draft.strip()):
        raise UsageError("name a rule, or write the text of a draft")

    def work() -> dict[str, str]:
        subject = rules.full_id(caller.state, caller.actor, said.rule) if said.rule else ""
        asked: dict[str, Any] = {"days": said.days} | ({"draft": said.draft} if said.draft else {})
        made = jobs.ask(caller.state, caller.actor, "backtest_rule", subject, asked, now=caller.now)
        return {"job": made}

    return keyed(caller, key, ("backtest", said.model_dump_json()), work)


@route(router, "GET", "/jobs", "rule.read", response_model=Jobs)
def list_of_jobs(caller: Entered, asked: Annotated[Asked, Query()]) -> Any:
    """Backtests and backfills, the newest first; your own, for who is held to some agencies."""
    lines = jobs.list_jobs(
        caller.state, caller.actor, limit=asked.limit + 1, before=read_cursor(asked.cursor) or "",
        now=caller.now,
    )  # fmt: skip
    return page_of(lines, asked, lambda one: one.id, begun=True)


@route(router, "GET", "/jobs/{job}", "rule.read", errors=(404,), response_model=Job)
def one_job(caller: Entered, job: Ref) -> Any:
    """How far it is, and in the end its result or its error."""
    return jobs.find_job(caller.state, caller.actor, job, now=caller.now)


@route(router, "POST", "/jobs/{job}/cancel", "rule.write", errors=_WRITES, response_model=Asking)
def cancel(caller: Entered, job: Ref, key: Key) -> Any:
    """Let it not be done, or not to its end."""

    def work() -> dict[str, str]:
        jobs.cancel(caller.state, caller.actor, job, now=caller.now)
        return {"job": job}

    return keyed(caller, key, ("job_cancel", job), work)
