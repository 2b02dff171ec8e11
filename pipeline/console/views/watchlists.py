"""Watch-lists: all of them, one with its values, and the forms that change it."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access.names import person_names
from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.detect.register import watchlists
from pipeline.model.errors import NotFoundError, ThapCanhError, UsageError

SIZE = 200


def list_page(visit: Visit) -> Response:
    return _list(visit)


def _list(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    return visit.render(
        "watchlists.html", status,
        lines=watchlists.list_lists(visit.state, visit.actor), error=error, kinds=watchlists.KINDS,
        typed={name: visit.field(name) for name in ("name", "kind", "values", "note")},
    )  # fmt: skip


def make(visit: Visit) -> Response:
    name = visit.field("name").strip()

    def deed() -> str:
        if any(one.name == name for one in watchlists.list_lists(visit.state, visit.actor)):
            raise UsageError("there is a watch-list of this name already", got=name)
        watchlists.change_list(
            visit.state, visit.actor, name, kind=visit.field("kind"), note=visit.field("note"),
            add=_values(visit), now=visit.now,
        )  # fmt: skip
        return f"/watchlists/{name}?notice=saved"

    return attempt(visit, deed, lambda status, error: _list(visit, status, error))


def one_page(visit: Visit) -> Response:
    return _one(visit)


def _one(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    name = visit.request.path_params["name"]
    line = next(
        (one for one in watchlists.list_lists(visit.state, visit.actor) if one.name == name), None
    )
    if line is None:
        raise NotFoundError("no such watch-list", got=name)
    word = visit.query("q").strip().casefold()
    every = watchlists.list_values(visit.state, visit.actor, name)
    values = [one for one in every if word in f"{one.value} {one.note}".casefold()]
    page = max(1, visit.number(visit.query("page", "1")))
    shown = values[(page - 1) * SIZE : page * SIZE]
    changes = watchlists.list_changes(visit.state, visit.actor, name)
    with visit.state.read() as db:
        people = person_names(db, {one.by for one in shown} | {one.by for one in changes})
    return visit.render(
        "watchlist.html", status,
        line=line, values=shown, found=len(values), page=page, pages=-(-len(values) // SIZE),
        asked=visit.query("q"), changes=changes, people=people, error=error,
        rules=watchlists.rules_asking(visit.state, visit.actor, name),
        typed={key: visit.field(key) for key in ("values", "note")},
    )  # fmt: skip


def change(visit: Visit) -> Response:
    """Add what is typed, or take it away; each with its reason."""
    name = visit.request.path_params["name"]

    def deed() -> str:
        note = visit.field("note").strip()
        if not note:
            raise UsageError("this deed needs a note", remedy="say in a sentence why")
        values, removing = _values(visit), visit.field("deed") == "remove"
        came, went = watchlists.change_list(
            visit.state, visit.actor, name, note=note[:2_000], now=visit.now,
            add=() if removing else values, remove=values if removing else (),
        )  # fmt: skip
        return f"/watchlists/{name}?notice={'saved' if came or went else 'unchanged'}"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))


def drop(visit: Visit) -> Response:
    name = visit.request.path_params["name"]

    def deed() -> str:
        note = visit.field("note").strip()
        if not note:
            raise UsageError("this deed needs a note", remedy="say in a sentence why")
        watchlists.drop_list(visit.state, visit.actor, name, note=note[:2_000], now=visit.now)
        return "/watchlists?notice=saved"

    return attempt(visit, deed, lambda status, error: _one(visit, status, error))


def _values(visit: Visit) -> list[str]:
    found = watchlists.read_values(visit.field("values"))
    if not found:
        raise UsageError("no value was given")
    return found
