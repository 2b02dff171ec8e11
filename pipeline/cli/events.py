"""``event``: what the store holds, by query or by id."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from pipeline.cli.options import After, AgencyFilter, Home, Json, Limit, Since, Until, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model import events
from pipeline.model.clock import utc_now
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import OPERATOR, Scope

event = typer.Typer(no_args_is_help=True, help="Events in the store.")
_COLUMNS = ("id", "time", "agency", "dataset", "text")
_HOST = ("host.name", "winlog.computer_name", "observer.name")
_TEXT = ("message", events.ORIGINAL)
_LONGEST = 300


def attach(app: typer.Typer) -> None:
    app.add_typer(event, name="event")


@event.command("search")
def event_search(
    query: Annotated[
        str, typer.Argument(help='Lucene: host.name:"SRV-01" AND NOT event.code:4624')
    ],
    since: Since = "24h",
    until: Until = "",
    agency: AgencyFilter = "",
    count: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    limit: Limit = 50,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Events of a query, the newest first; `--since 0` looks at all times."""
    from pipeline.access.agencies import check_agency
    from pipeline.access.permissions import scope_for
    from pipeline.cli.moments import moment
    from pipeline.store.base import TimeRange

    now = utc_now()
    start = None if since == "0" else moment(since, "--since", now=now)
    when = TimeRange(start, moment(until, "--until", now=now))
    if when.start is not None and when.stop is not None and when.start >= when.stop:
        raise UsageError("the time range is empty", where="--until", got=until)
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        scope = Scope.of(agency) if agency else scope_for(OPERATOR, "event.search")
        if count:
            number = here.store.count(query, scope=scope, when=when)
            show_one({"count": number}, as_json=as_json)
            return
        page = here.store.search(query, scope=scope, when=when, limit=limit, after=after)
    items = (
        list(page.documents) if as_json else [event_line(document) for document in page.documents]
    )
    show_list(items, as_json=as_json, columns=_COLUMNS, following=page.next)
    if page.missing:
        sys.stderr.write(f"({page.missing} events of this time were lost with damaged files)\n")
    if not items and since != "0" and not as_json:
        sys.stderr.write(f"(within {since or 'all time'}; --since 0 looks at all times)\n")


@event.command("show")
def event_show(
    which: Annotated[str, typer.Argument(help="The event's id, 32 hex digits.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One event: every field, and the line as it came."""
    from pipeline.access.permissions import scope_for
    from pipeline.model.documents import fields

    if len(which) != 32 or set(which.lower()) - set("0123456789abcdef"):
        raise UsageError("this is no event id", got=which[:40], expected="32 hex digits")
    with opened(home) as here:
        found = here.store.get([which.lower()], scope=scope_for(OPERATOR, "event.search"))
    if not found:
        raise NotFoundError("no such event", got=which)
    if as_json:
        show_one(found[0], as_json=True)
        return
    flat = {n: values[0] if len(values) == 1 else values for n, values in fields(found[0])}
    for name in (events.TIME, events.CREATED, events.INGESTED):
        flat[name] = _time(flat.get(name))
    original = found[0].get("event", {}).get("original", "")
    show_one({events.ID: which.lower(), **flat, events.ORIGINAL: original}, as_json=False)


def event_line(document: Mapping[str, Any]) -> dict[str, Any]:
    """An event as a line of a table."""
    from pipeline.model.documents import first_of, flatten

    flat = flatten(document)
    text = " ".join(first_of(flat, *_TEXT).split())
    who = (first_of(flat, *_HOST), first_of(flat, "user.name"), first_of(flat, "source.ip"))
    return {
        "id": first_of(flat, events.ID),
        "time": _time(first_of(flat, events.TIME)),
        "agency": first_of(flat, events.AGENCY),
        "dataset": first_of(flat, events.DATASET),
        "text": " · ".join(filter(None, (*who, text[:_LONGEST] + "…" * (len(text) > _LONGEST)))),
    }


def _time(text: Any) -> Any:
    """A time of a document, to be shown in the city's zone."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
