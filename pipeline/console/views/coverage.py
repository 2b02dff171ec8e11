"""The coverage question as a page (to print, too) and as CSV."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.console.csv_file import csv_file
from pipeline.console.spans import city_time
from pipeline.console.visit import Visit
from pipeline.detect.reads import rules
from pipeline.detect.reads.coverage import Told, ask
from pipeline.model.clock import from_micros, to_iso
from pipeline.model.errors import NotFoundError, ThapCanhError, UsageError
from pipeline.sources import health

NAMES: Final = ("rule", "revision", "agency", "from", "to")
MOST: Final = 500  # intervals that a page shows; the CSV has all


def page(visit: Visit) -> Response:
    asked = _asked(visit)
    told: Told | None = None
    fault: ThapCanhError | None = None
    line, revisions, sources = None, [], []
    if asked["rule"]:
        try:
            asked["rule"] = rules.full_id(visit.state, visit.actor, asked["rule"])
            line, known, _ = rules.one_rule(visit.state, visit.actor, asked["rule"])
            revisions = list(known)
            told = _ask(visit, asked)
        except (UsageError, NotFoundError) as error:
            fault = error
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    if told is not None and asked["agency"]:
        sources = [
            one
            for one in health.source_lines(visit.state, visit.actor, now=visit.now)
            if one.agency.id == asked["agency"]
        ]
    return visit.render(
        "coverage.html", fault.http_status if fault else 200,
        asked=asked, told=told, fault=fault, line=line, revisions=revisions, names=names,
        unknown=unknown, rows=_rows(told)[:MOST] if told else [], most=MOST,
        mine=visit.actor.scope.agencies, sources=sources,
    )  # fmt: skip


def table(visit: Visit) -> Response:
    asked = _asked(visit)
    asked["rule"] = rules.full_id(visit.state, visit.actor, asked["rule"])
    told = _ask(visit, asked)
    header = (
        "rule", "revision", "state", "reason", "detail", "agency", "events", "event_first", "event_last",
        "node", "first", "last", "first_run", "last_run",
    )  # fmt: skip
    head = (told.answer.rule, told.answer.revision)
    lines: list[tuple[Any, ...]] = [
        (
            *head, "evaluated", "", "", row["agency"], row["events"], _iso(row["first_event"]),
            _iso(row["last_event"]), row["node"], row["first"] or None, row["last"] or None,
            row["first_run"], row["last_run"],
        )
        for row in _rows(told)
    ]  # fmt: skip
    lines += [
        (
            *head, "gap", gap.reason, gap.detail, asked["agency"], None, None, None, gap.node,
            gap.first or None, gap.last or None, "", "",
        )
        for gap in told.answer.gaps
    ]  # fmt: skip
    return Response(
        csv_file(header, lines),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="coverage-{asked["rule"][:8]}.csv"'},
    )


def _asked(visit: Visit) -> dict[str, str]:
    asked = {name: visit.query(name)[:80].strip() for name in NAMES}
    mine = visit.actor.scope.agencies
    if mine is not None and len(mine) == 1 and not asked["agency"]:
        asked["agency"] = next(iter(mine))  # an officer's question is about their own
    return asked


def _ask(visit: Visit, asked: dict[str, str]) -> Told:
    start = city_time(asked["from"]) if asked["from"] else None
    stop = city_time(asked["to"]) if asked["to"] else None
    if start and stop and stop <= start:
        raise UsageError("the time range is empty", got=f"{asked['from']} to {asked['to']}")
    return ask(
        visit.state, visit.store, visit.actor, asked["rule"], revision=asked["revision"],
        agency=asked["agency"], start=start, stop=stop, now=visit.now,
    )  # fmt: skip


def _rows(told: Told) -> list[dict[str, Any]]:
    """One a line: an interval and an agency with events in it; an interval without any stands alone."""
    rows = []
    for each in told.answer.evaluated:
        base = {
            "node": each.node, "first": each.first, "last": each.last,
            "first_run": each.first_run, "last_run": each.last_run,
        }  # fmt: skip
        spans = each.agencies or {"": None}
        for agency, span in sorted(spans.items()):
            rows.append(
                base
                | {
                    "agency": agency,
                    "events": span["events"] if span else 0,
                    "first_event": from_micros(span["first"]) if span else None,
                    "last_event": from_micros(span["last"]) if span else None,
                }
            )
    return rows


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else to_iso(moment)
