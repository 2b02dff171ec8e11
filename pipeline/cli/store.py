"""``store``: what a cluster needs before events go into it, events carried to the other store, whether a lake is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.progress import bar
from pipeline.model.clock import utc_now
from pipeline.model.errors import RefusedError, UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.store.lake.verify import Damage


class Kind(StrEnum):
    LAKE = "lake"
    ELASTICSEARCH = "elasticsearch"


store = typer.Typer(no_args_is_help=True, help="What keeps the events: a cluster, or the lake.")


def attach(app: typer.Typer) -> None:
    app.add_typer(store, name="store")


@store.command("init")
def init(
    yes: Annotated[
        bool, typer.Option("--yes", help="Change what is there already, as shown.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put the index template into the cluster, and widen the indices of an older one. Doing it again is safe."""
    with opened(home) as here:
        if here.settings.store.kind != "elasticsearch":
            raise UsageError(
                "the lake needs no preparation", where="store.kind", got=here.settings.store.kind,
                expected="elasticsearch",
            )  # fmt: skip
        from pipeline.store.elasticsearch.init import carry_out, plan

        wanted = plan(here.settings.store.elasticsearch)
        if wanted.difference and not as_json:
            typer.echo("\n".join(wanted.difference))
        if wanted.changes and not yes:
            raise RefusedError(
                "the cluster has another template than this program's: nothing was changed",
                remedy="thapcanh store init --yes changes it as shown",
            )
        carry_out(here.settings.store.elasticsearch, wanted)
        show_one(
            {
                "template": "made"
                if wanted.fresh
                else "changed"
                if wanted.changes
                else "as wanted",
                "indices_widened": len(wanted.indices),
                "difference": list(wanted.difference) if as_json else len(wanted.difference),
            },
            as_json=as_json,
        )


@store.command("copy")
def copy(
    to: Annotated[Kind, typer.Option(help="The store that the events are carried to.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Carry this home's events over to the other kind of store, and compare both. Doing it again goes on."""
    from pipeline.serve.keeping.moving import copy_store

    with opened(home) as here, bar(" receipts") as progress:
        copied = copy_store(here, to.value, progress, now=utc_now())
    rows = [asdict(one) for one in copied]
    if as_json:
        show_one({"nodes": rows, "events": sum(one.events for one in copied)}, as_json=True)
        return
    show_list(rows, as_json=False)
    sys.stderr.write(
        f"both are the same. Set store.kind to {to.value} before the next start; the other store stays as it was, "
        "until thapcanh store discard.\n"
    )


@store.command("discard")
def discard(
    kind: Annotated[Kind, typer.Argument(help="A store whose events are not in use.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete them.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Delete what the store that is not in use holds: after a copy, or of one that was given up."""
    from pipeline.serve.keeping.moving import discard_store

    with opened(home) as here:
        gone = discard_store(here, kind.value, now=utc_now(), yes=yes)
    show_one({"store": kind.value, "deleted": gone}, as_json=as_json)


@store.command("verify")
def verify(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Make damaged files anew from the spool, while it has them."),
    ] = False,
    backup: Annotated[
        Path | None, typer.Option(help="Put damaged files back out of this backup.")
    ] = None,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up", help="Go on without what cannot be mended; it stays listed as lost."
        ),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Read every file of the lake and compare it with its digest; exit code 3 if one stays damaged."""
    from pipeline.serve.keeping.mending import from_backup, from_spool
    from pipeline.store.lake import verify as lake_verify

    now = utc_now()
    with opened(home) as here:
        if here.settings.store.kind != "lake":
            raise UsageError(
                "a cluster verifies its own files", where="store.kind",
                got=here.settings.store.kind, expected="lake",
            )  # fmt: skip
        with bar("B") as progress:
            looked = lake_verify.verify(here.settings.lake, here.state, progress)
        found = looked.found
        fate = dict.fromkeys((one.id for one in found), "damaged")
        if backup is not None:
            fate |= {one.id: "put back" for one in from_backup(here, backup, found)}
        if repair:
            left = [one for one in found if fate[one.id] == "damaged"]
            fate |= {one.id: "made anew" for one in from_spool(here, left, now=now)}
        for one in found if give_up else ():
            if fate[one.id] == "damaged":
                lake_verify.give_up(here.state, one, by=OPERATOR.name, now=now)
                fate[one.id] = "given up"
    rows = [_damage(one, fate[one.id], whole=as_json) for one in found]
    said = {"files": looked.files, "events": looked.events, "bytes": looked.bytes}
    if as_json:
        show_one({**said, "items": rows}, as_json=True)
    else:
        if rows:
            show_list(rows, as_json=False)
        sys.stdout.write(
            f"read whole: {looked.files:,} files, {looked.events:,} events, {looked.bytes:,} bytes; "
            + (f"{len(found):,} not as written\n" if found else "all as they were written\n")
        )
    if any(now_ == "damaged" for now_ in fate.values()):
        raise RefusedError(
            "files of the lake are damaged: what needs their events stops until they are mended",
            remedy="thapcanh store verify --backup FILE, --repair, or at last --give-up",
        )


def _damage(one: Damage, fate: str, *, whole: bool) -> dict[str, Any]:
    if whole:
        return {"now": fate, **asdict(one)}
    return {
        "now": fate, "dataset": one.dataset, "events": one.rows, "from": one.first_time,
        "to": one.last_time,
        "held": "; ".join(
            [f"{agency}: {rows}" for agency, rows in one.agencies.items()]
            + [f"{node} {first}–{last}" for node, (first, last) in one.spans.items()]
        ),
        "what": f"{one.path}: {one.what}",
    }  # fmt: skip
