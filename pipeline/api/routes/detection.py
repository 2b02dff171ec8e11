"""Findings, rules, and the coverage question."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel

from pipeline.access.agencies import check_agency
from pipeline.access.permissions import may
from pipeline.api.door import Entered
from pipeline.api.paging import Asked, place_in, read_cursor, write_cursor
from pipeline.api.route import route
from pipeline.api.shapes import shape_of
from pipeline.detect.reads import coverage, findings, rules
from pipeline.detect.running.coverage import Answer

router = APIRouter(tags=["detection"])
Ref = Annotated[str, Path(max_length=64)]
Finding = shape_of(findings.FindingLine, name="Finding")
Rule = shape_of(rules.RuleLine, name="Rule")
RuleText = shape_of(rules.Revision, name="RuleText")
RuleChange = shape_of(rules.Change, name="RuleChange")
Coverage = shape_of(Answer, name="CoverageAnswer")
RunTimes = shape_of(coverage.RunTimes)


class FindingPage(BaseModel):
    items: list[Finding]  # type: ignore[valid-type]
    next: str | None


class OneFinding(BaseModel):
    """A finding with its rule's text and the samples' events by id."""

    finding: Finding  # type: ignore[valid-type]
    rule_text: str
    samples: list[dict[str, Any]]
    absorbed: list[str]
    documents: dict[str, dict[str, Any]]


class RulePage(BaseModel):
    """`total` counts all that the filters leave."""

    items: list[Rule]  # type: ignore[valid-type]
    total: int
    next: str | None


class OneRule(BaseModel):
    rule: Rule  # type: ignore[valid-type]
    revisions: list[RuleText]  # type: ignore[valid-type]
    changes: list[RuleChange]  # type: ignore[valid-type]


class Told(BaseModel):
    """`whole`: with nodes and sequences; who is held to some agencies gets spans of event time alone."""

    answer: Coverage  # type: ignore[valid-type]
    runs: dict[str, RunTimes]  # type: ignore[valid-type]
    whole: bool


class FindingsAsked(Asked):
    agency: Annotated[str, Query(max_length=64)] = ""
    rule: Annotated[str, Query(max_length=64, description="An id, or its beginning.")] = ""
    level: Annotated[str, Query(max_length=20)] = ""
    entity: Annotated[str, Query(max_length=200)] = ""
    run: Annotated[str, Query(max_length=64)] = ""
    since: Annotated[AwareDatetime | None, Query(description="Last event not before.")] = None
    until: Annotated[AwareDatetime | None, Query(description="Last event before.")] = None
    merged: Annotated[bool, Query(description="With those that others absorbed.")] = False


@route(router, "GET", "/findings", "finding.read", errors=(404,), response_model=FindingPage)
def list_of_findings(caller: Entered, asked: Annotated[FindingsAsked, Query()]) -> Any:
    """Findings, the newest first, whether they opened a ticket or not."""
    check_agency(caller.state, caller.actor, asked.agency)
    wanted = findings.Filters(
        agency=asked.agency, rule=asked.rule, level=asked.level, entity=asked.entity, run=asked.run,
        since=asked.since, until=asked.until, merged=asked.merged,
    )  # fmt: skip
    found = findings.list_findings(
        caller.state, caller.actor, wanted, limit=asked.limit, after=read_cursor(asked.cursor)
    )
    return {"items": found.items, "next": write_cursor(found.next)}


@route(
    router, "GET", "/findings/{finding}", "finding.read", errors=(404,), response_model=OneFinding
)
def one_finding(caller: Entered, finding: Ref) -> Any:
    """One finding by its id or the beginning of it. Raw events need `event.search`, too."""
    store = caller.store if may(caller.actor, "event.search") else None
    return findings.get_finding(caller.state, store, caller.actor, finding)


class RulesAsked(Asked):
    words: Annotated[str, Query(max_length=200, description="In titles, paths and ids.")] = ""
    level: Annotated[str, Query(max_length=20)] = ""
    state: Annotated[str, Query(max_length=20, description="`on` or `off`.")] = ""
    status: Annotated[str, Query(max_length=20)] = ""
    schedule: Annotated[str, Query(max_length=64)] = ""


@route(router, "GET", "/rules", "rule.read", response_model=RulePage)
def list_of_rules(caller: Entered, asked: Annotated[RulesAsked, Query()]) -> Any:
    """Rules at their revisions in force, those with findings first."""
    first = place_in(asked.cursor) - 1
    wanted = rules.Filters(asked.words, asked.level, asked.state, asked.status, asked.schedule)
    ids = rules.rule_ids(caller.state, caller.actor, wanted)
    last = first + asked.limit
    following = str(last + 1) if last < len(ids) else None
    lines = rules.lines_of(caller.state, caller.actor, ids[first:last])
    return {"items": lines, "total": len(ids), "next": write_cursor(following)}


@route(router, "GET", "/rules/{rule}", "rule.read", errors=(404,), response_model=OneRule)
def one_rule(caller: Entered, rule: Ref) -> Any:
    """One rule with its texts (the one in force first) and who changed it."""
    line, revisions, changes = rules.one_rule(caller.state, caller.actor, rule)
    return {"rule": line, "revisions": revisions, "changes": changes}


@route(router, "GET", "/coverage", "run.read", errors=(404,), response_model=Told)
def was_evaluated(
    caller: Entered,
    rule: Annotated[str, Query(min_length=1, max_length=64)],
    revision: Annotated[str, Query(max_length=64)] = "",
    agency: Annotated[str, Query(max_length=64)] = "",
    start: AwareDatetime | None = None,
    stop: AwareDatetime | None = None,
) -> Any:
    """Was the rule, at a revision, evaluated over the agency's events between two times?"""
    moments: tuple[datetime | None, datetime | None] = (start, stop)
    return coverage.ask(
        caller.state, caller.store, caller.actor, rules.full_id(caller.state, caller.actor, rule),
        revision=revision, agency=agency, start=moments[0], stop=moments[1], now=caller.now,
    )  # fmt: skip
