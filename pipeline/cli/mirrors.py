"""``mirrors``: outside systems that are told of tickets; how they are, and what they would not take."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, Limit, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.errors import NotFoundError, RefusedError, UsageError
from pipeline.model.scope import OPERATOR

mirrors = typer.Typer(no_args_is_help=True, help="Outside ticket systems.")
Which = Annotated[str, typer.Option("--mirror", help="Only this mirror.")]
_STANDING = (
    "mirror", "kind", "proven", "links", "waiting", "unknown", "dead", "reached", "failing", "error",
)  # fmt: skip
_DEAD = ("id", "mirror", "ticket", "agency", "what", "made", "tries", "error")


def attach(app: typer.Typer) -> None:
    app.add_typer(mirrors, name="mirrors")


@mirrors.command("list")
def mirrors_list(home: Home = None, as_json: Json = False) -> None:
    """Every mirror: what waits for it, what it has refused, since when it fails and why."""
    from pipeline.tickets.mirrors.kinds import proven
    from pipeline.tickets.outbox.rows import standings

    with opened(home) as here:
        systems = here.settings.mirrors.systems
        found = standings(here.state, [one.name for one in systems])
        items = [
            dataclasses.asdict(standing) | {"kind": one.kind, "proven": proven(one.kind)}
            for one, standing in zip(systems, found, strict=True)
        ]
    show_list(items, as_json=as_json, columns=_STANDING)


@mirrors.command("check")
def mirrors_check(
    name: Annotated[str, typer.Argument(help="The mirror; else all of them.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Speak to mirrors: are they what they are said to be, and do they let us in? Sends no ticket."""
    from pipeline.tickets.mirrors.base import Trouble
    from pipeline.tickets.mirrors.kinds import proven
    from pipeline.tickets.mirrors.make import check_settings, make

    items: list[dict[str, object]] = []
    with opened(home) as here:
        settings = here.settings.mirrors
        check_settings(settings)
        wanted = [one for one in settings.systems if name in ("", one.name)]
        if name and not wanted:
            raise NotFoundError("there is no such mirror", got=name)
        for one in wanted:
            note = "" if proven(one.kind) else " (not yet run against the real system)"
            try:
                answer, ok = make(one, settings).check() + note, True
            except Trouble as trouble:
                answer, ok = trouble.answer.why, False
            items.append({"mirror": one.name, "ok": ok, "answer": answer})
    show_list(items, as_json=as_json)
    if bad := [str(item["mirror"]) for item in items if not item["ok"]]:
        raise RefusedError(f"mirrors that cannot be used: {', '.join(bad)}")


@mirrors.command("dead")
def mirrors_dead(
    mirror: Which = "",
    limit: Limit = 50,
    after: Annotated[int, typer.Option(help="The `next` of the page before.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Deeds that a mirror refused, or whose outcome stayed unknown for too long."""
    from pipeline.tickets.outbox.rows import dead_rows

    with opened(home) as here:
        rows = dead_rows(
            here.state,
            mirror=mirror,
            limit=limit + 1,
            after=after,
            agencies=OPERATOR.scope.agencies,
        )
    following = str(rows[limit - 1].id) if len(rows) > limit else None
    items = [dataclasses.asdict(row) for row in rows[:limit]]
    show_list(items, as_json=as_json, columns=_DEAD, following=following)


@mirrors.command("replay")
def mirrors_replay(
    which: Annotated[int | None, typer.Argument(help="The deed's id; else all dead ones.")] = None,
    mirror: Which = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Send dead deeds again, after what was wrong is mended; each is looked up over there first."""
    from pipeline.model.clock import utc_now
    from pipeline.tickets.outbox.rows import replay

    if which is None and not mirror:
        raise UsageError(
            "which deeds?", expected="an id or --mirror", remedy="thapcanh mirrors dead"
        )
    with opened(home) as here:
        count = replay(
            here.state, mirror=mirror, row=which, agencies=OPERATOR.scope.agencies, now=utc_now()
        )
    if which is not None and not count:
        raise NotFoundError("there is no such dead deed", got=str(which))
    show_one({"replayed": count}, as_json=as_json)
