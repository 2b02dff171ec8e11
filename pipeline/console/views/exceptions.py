"""Exceptions: the list, one with what it hid, a draft from a rule or a ticket's finding, and its life.

A draft is backtested before it is saved: the form asks for a job, the job's page shows what would be
hidden, and only from there it is proposed; another analyst approves it, with that result in sight.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.names import person_names
from pipeline.console.forms import attempt
from pipeline.console.views.backtests import SPANS, plot_of, span_days
from pipeline.console.views.tickets import workers
from pipeline.console.visit import Visit
from pipeline.detect.jobs import drafts as draft_jobs
from pipeline.detect.jobs import jobs
from pipeline.detect.reads import rules
from pipeline.detect.reads.drafting import Candidate, draft_of, single_event_rule
from pipeline.detect.register import exceptions
from pipeline.detect.register.exception_text import write_filter
from pipeline.model.clock import CITY_ZONE
from pipeline.model.errors import NotFoundError, ThapCanhError, UsageError

STANDINGS: Final = ("in force", "proposed", "expired", "ended")
BLANKS: Final = 2
MOST: Final = 30
_TYPED: Final = (
    "rule",
    "reason",
    "expires",
    "agency",
    "owner",
    "ticket",
    "finding",
    "days",
    "text",
)


def list_page(visit: Visit) -> Response:
    every = exceptions.list_exceptions(visit.state, visit.actor, now=visit.now)
    wanted = visit.query("standing")
    lines = [one for one in every if not wanted or one.standing == wanted]
    with visit.state.read() as db:
        people = person_names(db, {name for one in lines for name in (one.owner, one.approved_by)})
        names = agencies(db, visit.actor)
    return visit.render(
        "exceptions.html",
        lines=lines, standings=STANDINGS, wanted=wanted, people=people, names=names, unknown=unknown,
        counts={key: sum(one.standing == key for one in every) for key in STANDINGS},
        titles=rules.titles(visit.state, visit.actor, {r for one in lines for r in one.rules}),
    )  # fmt: skip


def one(visit: Visit) -> Response:
    return _one(visit)


def _one(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    key = visit.request.path_params["exception"][:64]
    found = exceptions.show_exception(visit.state, visit.actor, key, now=visit.now)
    who = {found[name] for name in ("owner", "proposed_by", "approved_by", "ended_by")}
    with visit.state.read() as db:
        people, names = person_names(db, who), agencies(db, visit.actor)
    mine = visit.actor.name in (found["owner"], found["proposed_by"])
    return visit.render(
        "exception.html", status,
        one=found, people=people, names=names, unknown=unknown, error=error, spans=SPANS,
        titles=rules.titles(visit.state, visit.actor, found["rules"]), plot=plot_of(found["backtest"]),
        mine=mine, typed={"reason": visit.field("reason")}, work=_work(visit, key),
    )  # fmt: skip


def _work(visit: Visit, exception: str) -> jobs.Job | None:
    """A backtest of it that is under way."""
    found = jobs.list_jobs(visit.state, visit.actor, subject=exception, now=visit.now)
    return next((job for job in found if job.open), None)


def new(visit: Visit) -> Response:
    """A form, filled from a rule, or from a finding of a ticket."""
    rule, agency = visit.query("rule")[:64], ""
    candidates: tuple[Candidate, ...] = ()
    if finding := visit.query("finding")[:64]:
        store = visit.store if visit.may("event.search") else None
        draft = draft_of(visit.state, store, visit.actor, finding)
        rule, candidates, agency = draft.rule, draft.candidates, draft.agency
    if rule:
        rule = rules.full_id(visit.state, visit.actor, rule)
    ticket = visit.query("ticket")[:15]
    typed = dict.fromkeys(_TYPED, "") | {
        "rule": rule, "agency": agency, "owner": visit.actor.name, "ticket": ticket, "days": "30",
        "finding": finding, "reason": f"#{ticket}: " if ticket else "",
        "expires": (visit.now.astimezone(CITY_ZONE).date() + timedelta(days=30)).isoformat(),
    }  # fmt: skip
    return _form(visit, typed, [(c, c.suggested) for c in candidates])


def _form(
    visit: Visit,
    typed: dict[str, str],
    rows: list[tuple[Candidate, bool]],
    status: int = 200,
    error: ThapCanhError | None = None,
) -> Response:
    with visit.state.read() as db:
        names, others = agencies(db, visit.actor), workers(db, visit.actor)
    blank = [(Candidate("", "", False, False), False)] * BLANKS
    known = rules.titles(visit.state, visit.actor, [typed["rule"]]) if typed["rule"] else {}
    day = visit.now.astimezone(CITY_ZONE).date()
    return visit.render(
        "exception_new.html", status,
        typed=typed, rows=[*rows, *blank], names=names, others=others, error=error, spans=SPANS,
        title=known.get(typed["rule"], ""), whole=visit.actor.scope.agencies is None, me=visit.actor.name,
        first=day.isoformat(), last=(day + exceptions.LONGEST - timedelta(days=1)).isoformat(),
    )  # fmt: skip


def draft(visit: Visit) -> Response:
    """Check what was typed, and ask for its backtest; nothing is saved yet."""
    typed = {name: visit.field(name)[:20_000] for name in _TYPED}
    rows = _rows(visit)

    def deed() -> str:
        wanted = exceptions.Proposal(
            text=_text(visit, typed, rows), owner=typed["owner"].strip()[:200],
            reason=typed["reason"].strip()[:4_000], expires=_end_of(typed["expires"]),
            agencies=(typed["agency"],) if typed["agency"] else (),
        )  # fmt: skip
        days = span_days(visit)
        job = draft_jobs.ask_draft(visit.state, visit.actor, wanted, days=days, now=visit.now)
        return f"/jobs/{job}"

    try:
        return attempt(visit, deed, lambda status, error: _form(visit, typed, rows, status, error))
    except NotFoundError as error:
        return _form(visit, typed, rows, 422, error)


def _rows(visit: Visit) -> list[tuple[Candidate, bool]]:
    """What was typed, a field a row, and whether it is to be asked."""
    chosen = set(visit.form.getlist("use"))
    found = []
    for n in range(MOST):
        field, value = visit.field(f"field_{n}").strip(), visit.field(f"value_{n}")
        if field:
            row = Candidate(field[:200], value[:2_000], False, visit.field(f"asked_{n}") == "1")
            found.append((row, str(n) in chosen))
    return found


def _text(visit: Visit, typed: dict[str, str], rows: list[tuple[Candidate, bool]]) -> str:
    if typed["text"].strip():
        return typed["text"]
    if not typed["rule"]:
        raise UsageError("name the rule")
    where = {row.field: row.value for row, use in rows if use}
    if not where:
        raise UsageError("choose a field at least: without one everything would be hidden")
    rule = rules.full_id(visit.state, visit.actor, typed["rule"].strip())
    return write_filter(single_event_rule(visit.state, visit.actor, rule), where)


def _end_of(text: str) -> datetime:
    """The end of that day in the city."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day + timedelta(days=1), datetime.min.time(), CITY_ZONE)
    except (ValueError, OverflowError):
        raise UsageError("an exception needs its last day", got=repr(text[:40])) from None


def propose(visit: Visit) -> Response:
    """Save what a finished backtest has shown, with its result."""
    job = visit.field("job")[:32]
    exception = draft_jobs.save_draft(visit.state, visit.actor, job, now=visit.now)
    return visit.go(f"/exceptions/{exception}?notice=proposed")


def backtest(visit: Visit) -> Response:
    key = visit.request.path_params["exception"][:64]
    exceptions.find_exception(visit.state, visit.actor, key)
    asked = {"days": span_days(visit)}
    job = jobs.ask(visit.state, visit.actor, "backtest_exception", key, asked, now=visit.now)
    return visit.go(f"/jobs/{job}")


def approve(visit: Visit) -> Response:
    key = visit.request.path_params["exception"][:64]

    def deed() -> str:
        exceptions.approve(visit.state, visit.actor, key, now=visit.now)
        return f"/exceptions/{key}?notice=approved"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))


def end(visit: Visit) -> Response:
    key = visit.request.path_params["exception"][:64]

    def deed() -> str:
        reason = visit.field("reason")[:2_000]
        exceptions.end(visit.state, visit.actor, key, reason=reason, now=visit.now)
        return f"/exceptions/{key}?notice=ended"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))
