"""The rule list, one rule with all that is known of it, and the deeds on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.names import person_names
from pipeline.console.days import days
from pipeline.console.forms import attempt
from pipeline.console.views.backtests import SPANS, span_days
from pipeline.console.visit import Visit
from pipeline.detect.jobs import jobs
from pipeline.detect.jobs.backtests import results_of
from pipeline.detect.reads import rules
from pipeline.detect.reads.rule_page import about, changes_between, evidence_of
from pipeline.detect.register.exceptions import list_exceptions
from pipeline.detect.register.rules import switch
from pipeline.detect.rulebook.feeding import Standing, products_of_agencies
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.state.tables.tickets import RulePrecision
from pipeline.tickets.priority import EVERYWHERE

SIZE = 100
PERIOD = timedelta(days=30)
STATUSES = ("stable", "test", "experimental", "deprecated", "unsupported")
STATES = ("on", "off", "runs", "unfit")
_ASKED = ("q", "level", "state", "status", "schedule", "product", "agency")


def list_page(visit: Visit) -> Response:
    asked = {name: visit.query(name)[:200] for name in _ASKED}
    filters = rules.Filters(
        asked["q"], asked["level"], {"runs": "on", "unfit": "on"}.get(asked["state"], asked["state"]),
        asked["status"], asked["schedule"],
    )  # fmt: skip
    judged = visit.console.rules()
    fed = products_of_agencies(visit.state, visit.actor)
    ids = rules.rule_ids(visit.state, visit.actor, filters)
    if asked["product"]:
        by = judged.fed_by(asked["product"])
        ids = [one for one in ids if one in by]
    at = {a: p for a, p in fed.items() if asked["agency"] in ("", a)}
    running = judged.running(at)
    if asked["state"] in ("runs", "unfit"):
        ids = [one for one in ids if (one in running) == (asked["state"] == "runs")]
    page = max(1, visit.number(visit.query("page", "1")))
    shown = ids[(page - 1) * SIZE : page * SIZE]
    lines = rules.lines_of(visit.state, visit.actor, shown)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    return visit.render(
        "rules.html", lines=lines, total=len(ids), page=page, pages=-(-len(ids) // SIZE), asked=asked,
        verdicts=_verdicts(visit, shown), running=running, names=names, products=judged.products,
        schedules=rules.schedules_of(visit.state, visit.actor), statuses=STATUSES, states=STATES,
        why={one: _first(judged.standing(one, at)) for one in shown if one not in running},
    )  # fmt: skip


def _first(found: Standing | None) -> str:
    if found is None:
        return ""
    return next(iter(found.cannot.values()), "no published source feeds it")


def _verdicts(visit: Visit, ids: list[str]) -> dict[str, tuple[int, int]]:
    """Per rule how often it was right and wrong at the agencies within the reader's reach."""
    scope = visit.actor.scope.agencies
    whose = (EVERYWHERE,) if scope is None else sorted(scope)
    right, wrong = func.sum(RulePrecision.hits), func.sum(RulePrecision.misses)
    query = (
        select(RulePrecision.rule, right, wrong)
        .where(RulePrecision.rule.in_(ids), RulePrecision.agency.in_(whose))
        .group_by(RulePrecision.rule)
    )
    with visit.state.read() as session:
        return {rule: (int(r), int(w)) for rule, r, w in session.execute(query) if r + w}


def rule_page(visit: Visit) -> Response:
    return _one(visit)


def _one(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    rule = visit.request.path_params["rule"]
    line, revisions, changes = rules.one_rule(visit.state, visit.actor, rule)
    asked = visit.query("revision") or line.revision
    shown = next((one for one in revisions if one.revision == asked), None)
    other = next((one for one in revisions if one.revision == visit.query("against")), None)
    standing = visit.console.rules().standing(rule, products_of_agencies(visit.state, visit.actor))
    since = visit.now - PERIOD
    counts = rules.findings_by_day(visit.state, visit.actor, rule, since=since)
    lines = []
    if visit.may("exception.read"):
        every = list_exceptions(visit.state, visit.actor, now=visit.now)
        lines = [one for one in every if rule in one.rules]
    work = jobs.list_jobs(visit.state, visit.actor, subject=rule, limit=10, now=visit.now)
    tests = results_of(visit.state, visit.actor, rule)[-10:]
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(
            db, {c.by for c in changes} | {t.by for t in tests} | {e.owner for e in lines}
        )
    return visit.render(
        "rule.html", status,
        verdicts=_verdicts(visit, [line.id]), line=line, revisions=revisions, shown=shown,
        changes=changes, error=error, spans=SPANS, names=names, unknown=unknown, people=people,
        standing=standing, reasons=_by_reason(standing), plot=days(counts, since, visit.now),
        exceptions=lines, work=work, tests=tests, about=about(shown) if shown else None,
        evidence=evidence_of(line), typed={"reason": visit.field("reason")},
        difference=changes_between(other, shown) if other and shown else None, other=other,
    )  # fmt: skip


def _by_reason(standing: Standing | None) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for agency, why in (standing.cannot if standing else {}).items():
        found.setdefault(why, []).append(agency)
    return found


def turn(visit: Visit) -> Response:
    """On or off, each with its reason."""
    rule = visit.request.path_params["rule"]

    def deed() -> str:
        reason = visit.field("reason").strip()[:2_000]
        if not reason:
            raise UsageError("this deed needs a note", remedy="say in a sentence why")
        on = visit.field("to") == "on"
        switch(visit.state, visit.actor, rule, on=on, reason=reason, now=visit.now)
        return f"/rules/{rule}?notice=saved"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))


def ask(visit: Visit) -> Response:
    """A backtest, or a backfill: what the rule finds in it is real."""
    rule = rules.full_id(visit.state, visit.actor, visit.request.path_params["rule"])
    backfill = visit.field("work") == "backfill"

    def deed() -> str:
        asked: dict[str, Any] = {"days": span_days(visit)}
        kind: jobs.Kind = "backfill" if backfill else "backtest_rule"
        job = jobs.ask(visit.state, visit.actor, kind, rule, asked, now=visit.now)
        return f"/jobs/{job}"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))
