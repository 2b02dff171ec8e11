"""``agency`` and ``source``: who sends what, and by which key or address."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

agency = typer.Typer(no_args_is_help=True, help="Departments, wards, communes, city companies.")
source = typer.Typer(no_args_is_help=True, help="Log sources of agencies.")


def attach(app: typer.Typer) -> None:
    app.add_typer(agency, name="agency")
    app.add_typer(source, name="source")


@agency.command("add")
def agency_add(
    which: str,
    name: Annotated[str, typer.Option(help="The Vietnamese name.")],
    name_en: Annotated[str, typer.Option()] = "",
    kind: Annotated[str, typer.Option(help="department, ward, commune, company …")] = "",
    level: Annotated[int, typer.Option(help="The highest system level, 1 to 5.")] = 0,
    home: Home = None,
) -> None:
    """Register an agency."""
    from pipeline.sources import register

    with opened(home, create=True) as here:
        register.add_agency(
            here.state, OPERATOR, agency=which, name_vi=name, name_en=name_en, kind=kind,
            level=level, now=utc_now(),
        )  # fmt: skip


@agency.command("list")
def agency_list(home: Home = None, as_json: Json = False) -> None:
    """All agencies."""
    from pipeline.sources import register

    with opened(home) as here:
        rows = register.list_agencies(here.state, OPERATOR)
        show_list(
            [
                {
                    "id": a.id,
                    "name_vi": a.name_vi,
                    "name_en": a.name_en,
                    "kind": a.kind,
                    "level": a.level,
                    "drill": a.drill,
                }
                for a in rows
            ],
            as_json=as_json,
        )


@source.command("add")
def source_add(
    which: str,
    of: Annotated[str, typer.Option("--agency")],
    product: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()] = "",
    timezone: Annotated[str, typer.Option(help="IANA zone of times without one.")] = "",
    encoding: Annotated[str, typer.Option()] = "",
    address: Annotated[
        list[str] | None, typer.Option(help="LISTENER=NETWORK, e.g. syslog-udp=10.1.2.3/32")
    ] = None,
    key: Annotated[bool, typer.Option(help="Make an API key.")] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Register a source; print its key, once."""
    from pipeline.normalise.product import load_products
    from pipeline.sources import register

    pairs = []
    for text in address or ():
        listener, sign, network = text.partition("=")
        if not sign:
            raise UsageError("an address is LISTENER=NETWORK", where="--address", got=text)
        pairs.append((listener, network))
    with opened(home, create=True) as here:
        made = register.add_source(
            here.state, OPERATOR, source=which, agency=of, product=product,
            known_products=load_products().keys(), name=name, timezone=timezone, encoding=encoding,
            addresses=pairs, with_key=key, now=utc_now(),
        )  # fmt: skip
        show_one({"source": made.source, "key": made.key}, as_json=as_json)


@source.command("list")
def source_list(home: Home = None, as_json: Json = False) -> None:
    """All sources."""
    from pipeline.sources import register

    with opened(home) as here:
        rows = register.list_sources(here.state, OPERATOR)
        show_list(
            [
                {
                    "id": s.id,
                    "agency": s.agency,
                    "product": s.product,
                    "state": s.state,
                    "name": s.name,
                }
                for s in rows
            ],
            as_json=as_json,
        )


@source.command("key")
def source_key(which: str, home: Home = None, as_json: Json = False) -> None:
    """A further key for a source, shown once; the old ones go on until revoked."""
    from pipeline.sources import register

    with opened(home) as here:
        key = register.new_source_key(here.state, OPERATOR, which, now=utc_now())
        show_one({"source": which, "key": key}, as_json=as_json)


@source.command("revoke")
def source_revoke(key: str, home: Home = None) -> None:
    """Revoke a key by its public id, at once."""
    from pipeline.sources import register

    with opened(home) as here:
        register.revoke_source_key(here.state, OPERATOR, key, now=utc_now())
