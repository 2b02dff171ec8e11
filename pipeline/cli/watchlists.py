"""``watchlist``: the addresses, hashes, domains and words that rules ask by ``%name%``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

watchlist = typer.Typer(no_args_is_help=True, help="Values that rules ask by %name%.")
Name = Annotated[str, typer.Argument(help="The list's name, as rules write it between %.")]
Values = Annotated[list[str] | None, typer.Argument(help="Values, as people write them.")]
From = Annotated[
    Path | None, typer.Option("--from", help="A file of values, one a line; - is standard input.")
]
Note = Annotated[str, typer.Option(help="Why, and from whom; kept with the change.")]


def attach(app: typer.Typer) -> None:
    app.add_typer(watchlist, name="watchlist")


@watchlist.command("list")
def watchlist_list(home: Home = None, as_json: Json = False) -> None:
    """Every watch-list, with its kind and how many values it has."""
    from pipeline.detect.register.watchlists import list_lists

    with opened(home) as here:
        items = [msgspec.structs.asdict(line) for line in list_lists(here.state, OPERATOR)]
    show_list(items, as_json=as_json, columns=("name", "kind", "values", "changed", "note"))


@watchlist.command("show")
def watchlist_show(name: Name, home: Home = None, as_json: Json = False) -> None:
    """The values of a watch-list."""
    from pipeline.detect.register.watchlists import list_values

    with opened(home) as here:
        values = list_values(here.state, OPERATOR, name)
    items = [msgspec.structs.asdict(value) for value in values]
    show_list(items, as_json=as_json, columns=("value", "added", "by", "note"))


@watchlist.command("add")
def watchlist_add(
    name: Name,
    values: Values = None,
    kind: Annotated[
        str, typer.Option(help="address, hash, domain or text; needed to make the list.")
    ] = "",
    file: From = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make these the whole list.")] = False,
    note: Note = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Add values to a watch-list, or make one; all wrong values are named and nothing is changed."""
    change = {"add": _given(values, file), "kind": kind, "replace": replace}
    _change(name, change, note, home, as_json=as_json)


@watchlist.command("remove")
def watchlist_remove(
    name: Name,
    values: Values = None,
    file: From = None,
    note: Note = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take values out of a watch-list."""
    _change(name, {"remove": _given(values, file)}, note, home, as_json=as_json)


@watchlist.command("drop")
def watchlist_drop(name: Name, note: Note = "", home: Home = None, as_json: Json = False) -> None:
    """Take a whole watch-list away; rules that ask it cannot fire any more. Its history stays."""
    from pipeline.detect.register.watchlists import drop_list

    with opened(home) as here:
        drop_list(here.state, OPERATOR, name, note=note, now=utc_now())
    show_one({"name": name, "state": "dropped"}, as_json=as_json)


def _change(
    name: str, change: dict[str, Any], note: str, home: Path | None, *, as_json: bool
) -> None:
    from pipeline.detect.register.watchlists import change_list

    with opened(home, create=True) as here:
        added, removed = change_list(here.state, OPERATOR, name, **change, note=note, now=utc_now())
    show_one({"name": name, "added": added, "removed": removed}, as_json=as_json)


def _given(values: list[str] | None, file: Path | None) -> list[str]:
    from pipeline.detect.register.watchlists import read_values

    found = list(values or ())
    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the file cannot be read: {error}", where=str(file)) from None
        found += read_values(text)
    if not found:
        raise UsageError("no values", expected="values, or --from FILE")
    return found
