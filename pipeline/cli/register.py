"""``agency`` and ``source``: who sends what, and by which key or address."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import After, AgencyFilter, Home, Json, Limit, opened
from pipeline.cli.output import show_list, show_one, show_part
from pipeline.cli.paging import page_of
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.sources.health import SourceLine
    from pipeline.state.tables.register import Agency

WhichAgency = Annotated[str, typer.Argument(help="The agency's id.")]
WhichSource = Annotated[str, typer.Argument(help="The source's id.")]
_ASSEMBLE = "What of several lines is one record: audit, date, indent, java, bracket, json, priority, re2:PATTERN, lines."
_LAYOUT = (
    "Its lines' own layout: log_format or LogFormat, a CSV header, or #Fields; @FILE reads it."
)
_SOURCE_COLUMNS = ("id", "health", "last_received", "received", "failures", "name")
agency = typer.Typer(no_args_is_help=True, help="Departments, wards, communes, city companies.")
assets = typer.Typer(no_args_is_help=True, help="What agencies own, and how much hangs on it.")
agency.add_typer(assets, name="assets")
source = typer.Typer(no_args_is_help=True, help="Log sources of agencies.")


def attach(app: typer.Typer) -> None:
    app.add_typer(agency, name="agency")
    app.add_typer(source, name="source")


@agency.command("add")
def agency_add(
    which: Annotated[str, typer.Argument(help="Its id: small letters, digits, dots, dashes.")],
    name: Annotated[str, typer.Option(help="The Vietnamese name.")],
    name_en: Annotated[str, typer.Option(help="The English name.")] = "",
    kind: Annotated[str, typer.Option(help="department, ward, commune, company …")] = "",
    level: Annotated[int, typer.Option(help="The highest system level, 1 to 5.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Register an agency."""
    from pipeline.sources import register

    with opened(home, create=True) as here:
        register.add_agency(
            here.state, OPERATOR, agency=which, name_vi=name, name_en=name_en, kind=kind,
            level=level, now=utc_now(),
        )  # fmt: skip
    show_one({"agency": which}, as_json=as_json)


@agency.command("list")
def agency_list(
    limit: Limit = 200, after: After = None, home: Home = None, as_json: Json = False
) -> None:
    """All agencies, by id."""
    from pipeline.sources import register

    with opened(home) as here:
        rows = [_agency(row) for row in register.list_agencies(here.state, OPERATOR)]
    page, following = page_of(rows, limit, after)
    columns = ("id", "kind", "level", "drill", "name_vi")
    show_list(page, as_json=as_json, columns=columns, following=following)


@agency.command("show")
def agency_show(which: WhichAgency, home: Home = None, as_json: Json = False) -> None:
    """One agency, its sources, and how many of its tickets are open."""
    from pipeline.sources import health, register
    from pipeline.tickets.filters import Filters
    from pipeline.tickets.queue import count_tickets

    with opened(home) as here:
        row = register.get_agency(here.state, OPERATOR, which)
        lines = health.source_lines(here.state, OPERATOR, now=utc_now())
        tickets = count_tickets(here.state, OPERATOR, Filters(agency=which))
    item = _agency(row) | {"valid_from": row.valid_from, "valid_to": row.valid_to}
    item["open_tickets"] = tickets
    sources = [_source(line) for line in lines if line.agency.id == which]
    if as_json:
        show_one(item | {"sources": sources}, as_json=True)
        return
    show_one({k: v for k, v in item.items() if v not in ("", None)}, as_json=False)
    show_part("sources", sources, ("id", "product", "health", "last_received", "name"))


@assets.command("import")
def assets_import(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; - for standard input.")],
    agency_: Annotated[str, typer.Option("--agency", help="All assets are this agency's.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="What the file does not name goes.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take assets from a CSV file: agency,kind,pattern,name,system,criticality."""
    from pipeline.sources.assets import import_assets

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file cannot be read: {error}", where=str(path)) from None
    with opened(home) as here:
        plan = import_assets(
            here.state, OPERATOR, text, agency=agency_, replace=replace, dry_run=dry_run, now=utc_now()
        )  # fmt: skip
    found = {"added": plan.added, "changed": plan.changed, "removed": plan.removed}
    counts = {name: len(keys) for name, keys in found.items()} | {"unchanged": plan.unchanged}
    if as_json:
        show_one({"dry_run": dry_run, "unchanged": plan.unchanged} | found, as_json=True)
        return
    show_one(counts | ({"nothing": "written"} if dry_run else {}), as_json=False)
    lines = [{"what": name, "asset": key} for name, keys in found.items() for key in keys]
    if dry_run and lines:
        show_part("preview", lines[:200], ("what", "asset"))


@assets.command("list")
def assets_list(
    which: WhichAgency, limit: Limit = 200, after: After = None, home: Home = None, as_json: Json = False
) -> None:  # fmt: skip
    """An agency's assets, the most critical first."""
    from msgspec.structs import asdict

    from pipeline.sources.assets import list_assets

    with opened(home) as here:
        found = list_assets(here.state, OPERATOR, which)
    rows = [{"id": f"{one.kind}:{one.pattern}"} | asdict(one) for one in found]
    page, following = page_of(rows, limit, after)
    show_list(
        page, as_json=as_json, columns=("criticality", "kind", "pattern", "name", "system"), following=following
    )  # fmt: skip


@source.command("add")
def source_add(
    which: Annotated[str, typer.Argument(help="Its id: small letters, digits, dots, dashes.")],
    of: Annotated[str, typer.Option("--agency", help="Whose source it is.")],
    product: Annotated[str, typer.Option(help="What it runs, e.g. fortinet_fortigate.")],
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA zone of times without one.")] = "",
    encoding: Annotated[str, typer.Option(help="Of its text, UTF-8 if not given.")] = "",
    address: Annotated[
        list[str] | None, typer.Option(help="LISTENER=NETWORK, e.g. syslog-udp=10.1.2.3/32")
    ] = None,
    assemble: Annotated[str, typer.Option(help=_ASSEMBLE)] = "",
    layout: Annotated[str, typer.Option(help=_LAYOUT)] = "",
    key: Annotated[bool, typer.Option(help="Make an API key.")] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Register a source; print its key, once."""
    from pipeline.normalise.additions import products_of
    from pipeline.sources import register

    pairs = []
    for text in address or ():
        listener, sign, network = text.partition("=")
        if not sign:
            raise UsageError("an address is LISTENER=NETWORK", where="--address", got=text)
        pairs.append((listener, network))
    with opened(home, create=True) as here:
        kinds = {one.name: one.kind for one in here.settings.collect.listeners}
        register.refuse_unframed(encoding, [kinds.get(name, "") for name, _ in pairs])
        made = register.add_source(
            here.state, OPERATOR, source=which, agency=of, product=product,
            known_products=products_of(here.state.additions), name=name, timezone=timezone, encoding=encoding,
            addresses=pairs, assemble=assemble, layout=_read(layout), with_key=key, now=utc_now(),
        )  # fmt: skip
        show_one({"source": made.source, "key": made.key}, as_json=as_json)


def _read(layout: str) -> str:
    """``@FILE``: what stands in the file."""
    if not layout.startswith("@"):
        return layout
    try:
        return Path(layout[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the file cannot be read", where=layout[1:], got=str(error)) from None


@source.command("set")
def source_set(
    which: WhichSource,
    product: Annotated[str | None, typer.Option(help="What it runs.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone of times without one; '' for the city's.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of its text; '' for UTF-8.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    assemble: Annotated[str | None, typer.Option(help=_ASSEMBLE + " '' for the product's.")] = None,
    layout: Annotated[str | None, typer.Option(help=_LAYOUT + " '' for none.")] = None,
    state: Annotated[
        str | None, typer.Option(help="draft, published (received), paused or retired")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Change a source from now on; what it could not read before comes again by `deadletter replay`."""
    from pipeline.normalise.additions import products_of
    from pipeline.sources import register
    from pipeline.sources.health import source_line
    from pipeline.sources.senders import means_of

    with opened(home) as here:
        now = utc_now()
        kinds = {one.name: one.kind for one in here.settings.collect.listeners}
        heard = means_of(here.state, OPERATOR, which, now=now).addresses
        register.refuse_unframed(encoding or "", [kinds.get(name, "") for name, _ in heard])
        changed = register.set_source(
            here.state, OPERATOR, which, known_products=products_of(here.state.additions), product=product,
            timezone=timezone, encoding=encoding, name=name, standing=state, assemble=assemble,
            layout=None if layout is None else _read(layout), now=now,
        )  # fmt: skip
        letters = source_line(here.state, OPERATOR, which, now=now).failures
    news = {field: {"was": old, "is": new} for field, (old, new) in changed.items()}
    if as_json:
        show_one({"source": which, "changed": news, "letters": letters}, as_json=True)
        return
    show_one(
        {"source": which}
        | {field: f"{old or '-'} → {new or '-'}" for field, (old, new) in changed.items()},
        as_json=False,
    )
    if changed and letters:
        force = (
            "" if "product" in changed else " --force"
        )  # the mapping is the same: replay all the same
        sys.stderr.write(
            f"thapcanh: {letters:,} of its dead letters are open: "
            f"thapcanh deadletter replay --source {which}{force}\n"
        )


@source.command("list")
def source_list(
    agency: AgencyFilter = "",
    health: Annotated[
        str, typer.Option(help="failing, silent, ahead, never, ok or off (not published)")
    ] = "",
    limit: Limit = 200,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Sources and how they are, the worst first."""
    from pipeline.access.agencies import check_agency
    from pipeline.sources.health import HEALTH, source_lines

    if health and health not in HEALTH:
        raise UsageError("no such health", where="--health", got=health, expected=", ".join(HEALTH))
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        lines = source_lines(here.state, OPERATOR, now=utc_now())
    items = [
        _source(line)
        for line in lines
        if agency in {"", line.agency.id} and health in {"", line.health}
    ]
    page, following = page_of(items, limit, after)
    if not as_json:
        page = [
            item | {"name": f"{item['name']} — {item['product']}, {item['agency']}"}
            for item in page
        ]
    show_list(page, as_json=as_json, columns=_SOURCE_COLUMNS, following=following)


@source.command("show")
def source_show(which: WhichSource, home: Home = None, as_json: Json = False) -> None:
    """One source: health, counts, keys, addresses, and its newest dead letters."""
    from pipeline.sources.health import letters, source_line
    from pipeline.sources.register import get_source
    from pipeline.sources.senders import means_of

    with opened(home) as here:
        now = utc_now()
        row = get_source(here.state, OPERATOR, which)
        line = source_line(here.state, OPERATOR, which, now=now)
        means = means_of(here.state, OPERATOR, which, now=now)
        dead = letters(here.state, OPERATOR, which, limit=5)
    item = _source(line) | {
        "bytes": line.bytes, "drops": dict(line.drops), "timezone": row.timezone,
        "encoding": row.encoding, "options": row.options, "created": row.created,
    }  # fmt: skip
    keys = [dataclasses.asdict(key) for key in means.keys]
    addresses = [{"listener": one, "network": network} for one, network in means.addresses]
    certificates = [dataclasses.asdict(one) for one in means.certificates]
    dead_letters = [dataclasses.asdict(letter) for letter in dead]
    if as_json:
        parts = {"keys": keys, "addresses": addresses, "certificates": certificates}
        show_one(item | parts | {"dead_letters": dead_letters}, as_json=True)
        return
    show_one({k: v for k, v in item.items() if v not in ("", None, {})}, as_json=False)
    show_part("keys", keys)
    show_part("addresses", addresses)
    show_part("certificates", certificates)
    show_part("newest dead letters", dead_letters, ("received", "cause", "message"))


def _agency(row: Agency) -> dict[str, Any]:
    names = ("id", "name_vi", "name_en", "kind", "level", "drill")
    return {name: getattr(row, name) for name in names}


def _source(line: SourceLine) -> dict[str, Any]:
    names = ("id", "name", "product", "state", "health", "identity")
    item = {name: getattr(line, name) for name in names}
    item["agency"] = line.agency.id
    more = ("last_received", "last_event", "received", "failures")
    return item | {name: getattr(line, name) for name in more}
