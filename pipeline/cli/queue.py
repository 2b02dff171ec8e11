"""``ticket``: the queue on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli import queue_deeds, queue_evidence
from pipeline.cli.options import After, AgencyFilter, Home, Json, Limit, opened
from pipeline.cli.output import matched_fields, show_list, show_one, show_part, show_title
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

ticket = typer.Typer(no_args_is_help=True, help="The queue.")
_SHOWN = (
    "number",
    "severity",
    "status",
    "owner",
    "agency",
    "entity",
    "events",
    "rules",
    "last",
    "title",
)
_DRILLS = {"": None, "no": False, "only": True}
Which = Annotated[str, typer.Argument(help="The ticket's number.")]
Revision = Annotated[int | None, typer.Option(help="Refuse unless the ticket is at this revision.")]


def attach(app: typer.Typer) -> None:
    queue_deeds.attach(ticket)
    queue_evidence.attach(ticket)
    app.add_typer(ticket, name="ticket")


@ticket.command("list")
def ticket_list(
    status: Annotated[str, typer.Option(help="open, all, or one status")] = "open",
    agency: AgencyFilter = "",
    severity: Annotated[str, typer.Option(help="informational, low, medium, high, critical")] = "",
    at_least: Annotated[str, typer.Option(help="This severity and up.")] = "",
    owner: Annotated[
        str, typer.Option(help="person:ID, me (the operator), or none for free ones.")
    ] = "",
    rule: Annotated[str, typer.Option(help="A rule's id: of any of a ticket's findings.")] = "",
    entity: Annotated[
        str, typer.Option(help="A host, user or address, however its case is written.")
    ] = "",
    words: Annotated[str, typer.Option(help="Sought in title and entity.")] = "",
    tag: Annotated[str, typer.Option(help="Tickets with this word on them.")] = "",
    alert: Annotated[str, typer.Option(help="warned or breached: of the most pressing clock")] = "",
    drill: Annotated[str, typer.Option(help="no leaves drills out, only asks for them alone")] = "",
    limit: Limit = 50,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tickets, the gravest first."""
    from pipeline.access.agencies import check_agency
    from pipeline.tickets.filters import Filters
    from pipeline.tickets.queue import list_tickets

    if drill not in _DRILLS:
        raise UsageError("no such filter value", where="--drill", got=drill, expected="no or only")
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        filters = Filters(
            status="" if status == "all" else status, agency=agency, severity=severity,
            at_least=at_least, rule=rule, entity=entity, words=words, tag=tag, alert=alert,
            owner={"me": OPERATOR.name, "none": "-"}.get(owner, owner), drill=_DRILLS[drill],
        )  # fmt: skip
        page = list_tickets(here.state, OPERATOR, filters, limit=limit, after=after)
        lines: list[dict[str, Any]] = [msgspec.structs.asdict(line) for line in page.items]
        show_list(lines, as_json=as_json, columns=_SHOWN, following=page.next)


@ticket.command("show")
def ticket_show(which: Which, home: Home = None, as_json: Json = False) -> None:
    """One ticket: why it exists, its events as they came, and what happened to it."""
    from pipeline.detect.running.samples import places_shown
    from pipeline.tickets.queue import get_ticket

    with opened(home) as here:
        view = get_ticket(here.state, here.store, OPERATOR, which)
        if as_json:
            show_one(_plain(view), as_json=True)
            return
        line = msgspec.structs.asdict(view.ticket)
        names = (*_SHOWN, "first", "opened", "reason", "revision")
        show_one({n: line[n] for n in names if line[n] not in ("", None)}, as_json=False)
        for finding in view.findings:
            show_title(f"{finding.title} [{finding.level}] × {finding.count}")
            rules = [sample.get("rule", "") for sample in finding.samples]
            for sample in (finding.samples[place] for place in places_shown(rules, 5)):
                show_one(matched_fields(sample), as_json=False)
                raw = (
                    (view.documents.get(sample["event"]) or {}).get("event", {}).get("original", "")
                )
                show_one({"original": raw[:2000]}, as_json=False)
        show_part("history", list(view.history), ("at", "what", "by", "text"))


@ticket.command("claim")
def ticket_claim(
    which: Which, revision: Revision = None, home: Home = None, as_json: Json = False
) -> None:
    """Take a free ticket."""
    from pipeline.tickets import life
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        done = life.claim(
            here.state, Request(actor=OPERATOR, ticket=which, revision=revision), now=utc_now()
        )
        show_one(msgspec.structs.asdict(done), as_json=as_json)


@ticket.command("close")
def ticket_close(
    which: Which,
    reason: Annotated[str, typer.Option(help="One of the eight closing reasons.")],
    note: Annotated[str, typer.Option(help="What was found, for who reads it later.")],
    revision: Revision = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """End a ticket, with a reason and a note."""
    from pipeline.tickets import life
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        done = life.close(
            here.state, Request(actor=OPERATOR, ticket=which, revision=revision),
            reason=reason, note=note, now=utc_now(),
        )  # fmt: skip
        show_one(msgspec.structs.asdict(done), as_json=as_json)


def _plain(view: Any) -> dict[str, Any]:
    plain = msgspec.structs.asdict(view)
    plain["ticket"] = msgspec.structs.asdict(view.ticket)
    plain["findings"] = [msgspec.structs.asdict(finding) for finding in view.findings]
    return plain
