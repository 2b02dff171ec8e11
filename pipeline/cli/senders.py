"""``source key``, ``revoke``, ``certificate``, ``knocks``, ``admit``, ``ignore``: by what a source is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from pipeline.cli.options import After, Home, Json, Limit, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.paging import page_of
from pipeline.cli.register import WhichSource, source
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

WhichKnock = Annotated[int, typer.Argument(help="The knock's id, from `source knocks`.")]


def attach(_: typer.Typer) -> None:
    """The commands joined the group `source` when this file was read."""


@source.command("key")
def source_key(
    which: WhichSource,
    days: Annotated[int, typer.Option(help="How long it holds.")] = 730,
    overlap: Annotated[
        int | None,
        typer.Option(help="Days in which the old keys still hold; without it until revoked."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A further key for a source, shown once; the old ones go on until revoked, or for the overlap."""
    from pipeline.sources import senders

    with opened(home) as here:
        key = senders.new_source_key(
            here.state, OPERATOR, which, life=timedelta(days=days),
            overlap=None if overlap is None else timedelta(days=overlap), now=utc_now(),
        )  # fmt: skip
        show_one({"source": which, "key": key}, as_json=as_json)


@source.command("revoke")
def source_revoke(
    key: Annotated[
        str,
        typer.Argument(
            help="The key's public id: what stands before its colon; or a certificate's name."
        ),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Revoke a key by its public id, or a certificate by its name, at once."""
    from pipeline.sources import senders

    with opened(home) as here:
        if key.lower().startswith(("sha256", "sha-256", "san:")):
            name = senders.revoke_certificate(here.state, OPERATOR, key, now=utc_now())
            show_one({"certificate": name, "state": "revoked"}, as_json=as_json)
            return
        key = key.partition(":")[0]  # whoever pastes the whole key means it too
        senders.revoke_source_key(here.state, OPERATOR, key, now=utc_now())
    show_one({"key": key, "state": "revoked"}, as_json=as_json)


@source.command("certificate")
def source_certificate(
    which: WhichSource,
    certificate: Annotated[
        str, typer.Argument(help="sha256:<fingerprint> as openssl prints it, or san:<host name>")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Know a source by a client certificate, on listeners with a client_ca; several may hold at a time."""
    from pipeline.sources import senders

    with opened(home) as here:
        name = senders.add_certificate(here.state, OPERATOR, which, certificate, now=utc_now())
    show_one({"source": which, "certificate": name}, as_json=as_json)


@source.command("knocks")
def source_knocks(
    ignored: Annotated[bool, typer.Option("--ignored", help="Those too that are ignored.")] = False,
    limit: Limit = 200,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Senders that nobody knows: refused, counted, and waiting to be admitted."""
    from pipeline.sources import knocks

    with opened(home) as here:
        rows = knocks.list_knocks(here.state, OPERATOR, ignored=ignored)
    names = ("id", "listener", "address", "known_by", "first", "last", "count", "size")
    more = ("ignored",) if ignored else ()
    items = [{name: getattr(row, name) for name in names + more} for row in rows]
    page, following = page_of([{**one, "id": str(one["id"])} for one in items], limit, after)
    show_list(page, as_json=as_json, columns=names + more, following=following)


@source.command("admit")
def source_admit(
    knock: WhichKnock,
    which: WhichSource,
    agency: Annotated[
        str, typer.Option(help="Whose source it is: registers a new one, with --product.")
    ] = "",
    product: Annotated[str, typer.Option(help="What the new source runs.")] = "",
    name: Annotated[str, typer.Option(help="What people call the new source.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take an unknown sender for a source from now on: one that is there, or with --agency a new one."""
    from pipeline.normalise.additions import products_of
    from pipeline.sources import knocks

    if bool(agency) != bool(product) or (name and not agency):
        raise UsageError(
            "a new source has an agency and a product",
            expected="--agency and --product, or neither",
        )
    with opened(home) as here:
        if agency:
            made = knocks.admit_as_new(
                here.state, OPERATOR, knock, source=which, agency=agency, product=product,
                known_products=products_of(here.state.additions), name=name, now=utc_now(),
            )  # fmt: skip
        else:
            made = knocks.admit_knock(here.state, OPERATOR, knock, which, now=utc_now())
    key = {"key": made.key} if made.key else {}
    show_one({"source": which, "known_by": made.known_by} | key, as_json=as_json)


@source.command("ignore")
def source_ignore(
    knock: WhichKnock,
    undo: Annotated[bool, typer.Option("--undo", help="Show it again.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Leave an unknown sender refused, and list it no more."""
    from pipeline.sources import knocks

    with opened(home) as here:
        knocks.ignore_knock(here.state, OPERATOR, knock, ignore=not undo, now=utc_now())
    show_one({"knock": knock, "ignored": not undo}, as_json=as_json)
