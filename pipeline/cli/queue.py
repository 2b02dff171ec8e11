"""``ticket`` and ``finding``: the queue on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.clock import utc_now
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
    "title",
    "first",
    "last",
)
Which = Annotated[str, typer.Argument(help="The ticket's number.")]
Revision = Annotated[int | None, typer.Option(help="Refuse unless the ticket is at this revision.")]


def attach(app: typer.Typer) -> None:
    app.add_typer(ticket, name="ticket")


@ticket.command("list")
def ticket_list(
    status: Annotated[str, typer.Option(help="open, or one status")] = "open",
    agency: str = "",
    after: Annotated[str | None, typer.Option(help="The `next` of the page before.")] = None,
    limit: int = 50,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tickets, the gravest first."""
    from pipeline.tickets.queue import Filters, list_tickets

    with opened(home) as here:
        page = list_tickets(
            here.state, OPERATOR, Filters(status=status, agency=agency), limit=limit, after=after
        )
        lines: list[dict[str, Any]] = [msgspec.structs.asdict(line) for line in page.items]
        if not as_json:
            lines = [{name: line[name] for name in _SHOWN} for line in lines]
        show_list(lines, as_json=as_json, following=page.next)


@ticket.command("show")
def ticket_show(which: Which, home: Home = None, as_json: Json = False) -> None:
    """One ticket: why it exists, its events as they came, and what happened to it."""
    from pipeline.tickets.queue import get_ticket

    with opened(home) as here:
        view = get_ticket(here.state, here.store, OPERATOR, which)
        if as_json:
            show_one(_plain(view), as_json=True)
            return
        line = msgspec.structs.asdict(view.ticket)
        show_one({name: line[name] for name in (*_SHOWN, "reason", "revision")}, as_json=False)
        for finding in view.findings:
            typer.echo(f"\n— {finding.title} [{finding.level}] × {finding.count}")
            for sample in finding.samples[:5]:
                show_one(sample.get("fields") or {}, as_json=False)
                raw = (
                    (view.documents.get(sample["event"]) or {}).get("event", {}).get("original", "")
                )
                show_one({"original": raw[:2000]}, as_json=False)
        typer.echo("")
        show_list(list(view.history), as_json=False)


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
    note: Annotated[str, typer.Option()],
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
