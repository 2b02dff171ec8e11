"""``exception``: filters that somebody owns, another approved, and a date ends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one, show_part
from pipeline.cli.whole_ids import whole_exception, whole_rule
from pipeline.model.clock import CITY_ZONE, utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

exception = typer.Typer(
    no_args_is_help=True, help="Exceptions: approved, expiring filters of rules."
)
Which = Annotated[str, typer.Argument(help="The exception's id.")]


def attach(app: typer.Typer) -> None:
    app.add_typer(exception, name="exception")


@exception.command("add")
def exception_add(
    owner: Annotated[str, typer.Option(help="Who answers for it; somebody else approves.")],
    reason: Annotated[str, typer.Option(help="Why what it hides is harmless.")],
    expires: Annotated[str, typer.Option(help="Its last day, YYYY-MM-DD, in the city.")],
    file: Annotated[Path | None, typer.Argument(help="A Sigma filter.")] = None,
    rule: Annotated[str, typer.Option(help="Instead of a file: the rule …")] = "",
    where: Annotated[
        list[str] | None, typer.Option(help="… and what to hide of it, field=value; all must hold.")
    ] = None,
    agency: Annotated[list[str] | None, typer.Option(help="Only of these agencies.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Propose an exception. It hides nothing until it is approved."""
    from pipeline.detect.register.exception_text import write_filter
    from pipeline.detect.register.exceptions import Proposal, propose
    from pipeline.detect.register.rules import show_rule, sync_shipped
    from pipeline.detect.rulebook.rules import rules_from_texts

    if (file is None) == (not rule):
        raise UsageError("give a file, or --rule and --where", where="exception add")
    with opened(home) as here:
        sync_shipped(here.state, now=utc_now(), cache=here.settings.cache)
        if file is not None:
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot be read: {error}", where=str(file)) from None
        else:
            rule = whole_rule(here, rule)
            known = show_rule(here.state, OPERATOR, rule)
            found = rules_from_texts([(known["path"], known["text"])]).get(rule)
            if found is None or found.kind != "rule":
                raise UsageError("an exception is of a rule of single events", got=rule)
            text = write_filter(found, dict(_pair(each) for each in where or ()))
        wanted = Proposal(
            text=text, owner=owner, reason=reason, expires=_end_of(expires),
            agencies=tuple(agency or ()),
        )  # fmt: skip
        id_ = propose(here.state, OPERATOR, wanted, now=utc_now())
    show_one({"id": id_, "next": f"thapcanh rules backtest {id_}; thapcanh exception approve {id_}"},
             as_json=as_json)  # fmt: skip


@exception.command("draft")
def exception_draft(
    finding: Annotated[str, typer.Argument(help="A finding's id.")] = "",
    ticket: Annotated[str, typer.Option(help="Instead: the first finding of a ticket.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What a finding offers for an exception: its rule's fields and values. Saves nothing."""
    from shlex import join

    from pipeline.detect.reads.drafting import draft_of
    from pipeline.tickets.queue import get_ticket

    if bool(finding) == bool(ticket):
        raise UsageError("give a finding's id, or --ticket", where="exception draft")
    with opened(home) as here:
        if ticket:
            held = get_ticket(here.state, here.store, OPERATOR, ticket).findings
            if not held:
                raise UsageError("this ticket holds no finding", where="--ticket", got=ticket)
            finding = held[0].id
        draft = draft_of(here.state, here.store, OPERATOR, finding)
    likely = [c for c in draft.candidates if c.asked and c.shared] or draft.candidates[:1]
    words = ["thapcanh", "exception", "add", "--rule", draft.rule, "--agency", draft.agency]
    for one in likely:
        words += ["--where", f"{one.field}={one.value}"]
    following = join(words) + " --owner … --reason … --expires …"
    if as_json:
        show_one(msgspec.to_builtins(draft) | {"next": following}, as_json=True)
        return
    show_one({"rule": draft.rule, "title": draft.title, "agency": draft.agency}, as_json=False)
    fields = [msgspec.to_builtins(one) for one in draft.candidates]
    show_part("fields and values", fields, ("field", "value", "shared", "asked"))
    show_one({"next": following}, as_json=False)


@exception.command("list")
def exception_list(home: Home = None, as_json: Json = False) -> None:
    """Every exception, how it stands, and how many matches it hid."""
    from pipeline.detect.register.exceptions import list_exceptions

    with opened(home) as here:
        lines = list_exceptions(here.state, OPERATOR, now=utc_now())
    show_list([msgspec.to_builtins(e, builtin_types=(datetime,)) for e in lines], as_json=as_json)


@exception.command("show")
def exception_show(id: Which, home: Home = None, as_json: Json = False) -> None:
    """One exception: its text, its life, and samples of what it hid."""
    from pipeline.detect.register.exceptions import show_exception

    with opened(home) as here:
        found = show_exception(here.state, OPERATOR, whole_exception(here, id), now=utc_now())
    if as_json:
        show_one(found, as_json=True)
        return
    samples, tested = found.pop("samples"), found.pop("backtest")
    if tested:
        found["backtest"] = (
            f"{tested['now']['hidden']} hidden of {tested['against']['matches']} matches"
        )
    show_one(found, as_json=False)
    show_part("what it hid, samples", samples, ("time", "agency", "entity", "event", "fields"))


@exception.command("approve")
def exception_approve(id: Which, home: Home = None, as_json: Json = False) -> None:
    """Put it in force for what is received from now on."""
    from pipeline.detect.register.exceptions import approve

    with opened(home) as here:
        whole = whole_exception(here, id)
        approve(here.state, OPERATOR, whole, now=utc_now())
    show_one({"id": whole, "standing": "in force"}, as_json=as_json)


@exception.command("end")
def exception_end(
    id: Which,
    reason: Annotated[str, typer.Option(help="Why before its date.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Stop it before its date."""
    from pipeline.detect.register.exceptions import end

    with opened(home) as here:
        whole = whole_exception(here, id)
        end(here.state, OPERATOR, whole, reason=reason, now=utc_now())
    show_one({"id": whole, "standing": "ended"}, as_json=as_json)


def _pair(text: str) -> tuple[str, str]:
    field, mark, value = text.partition("=")
    if not mark or not field:
        raise UsageError("this is no field=value", where="--where", got=text)
    return field, value


def _end_of(text: str) -> datetime:
    """The end of that day in the city."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "this is no date", where="--expires", got=text, expected="YYYY-MM-DD"
        ) from None
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), CITY_ZONE)
