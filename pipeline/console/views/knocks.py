"""Senders that nobody knows: all of them, one with what it can become, and the forms that settle it."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access.agencies import agencies
from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.model.errors import ThapCanhError
from pipeline.sources import knocks, register

TYPED = ("source", "agency", "product", "name")
MOST = 500


def list_page(visit: Visit) -> Response:
    ignored = visit.query("ignored") == "1"
    lines = knocks.list_knocks(visit.state, visit.actor, ignored=ignored)
    return visit.render(
        "knocks.html", lines=lines[:MOST], found=len(lines), most=MOST, ignored=ignored
    )


def one_page(visit: Visit) -> Response:
    return _one(visit)


def _one(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    line = knocks.get_knock(visit.state, visit.actor, _number(visit))
    sources, names = [], {}
    if visit.may("knock.settle"):
        sources = register.list_sources(visit.state, visit.actor)
        with visit.state.read() as db:
            names = agencies(db, visit.actor)
    return visit.render(
        "knock.html", status, line=line, error=error, sources=sources, names=names,
        products=sorted(visit.products),
        typed={name: visit.field(name) for name in TYPED},
    )  # fmt: skip


def admit(visit: Visit) -> Response:
    """For a source that is there, or for a new one of an agency. A key that this makes is shown, once."""
    number, made = _number(visit), []

    def deed() -> str:
        source = visit.field("source").strip()
        if visit.field("new"):
            made.append(
                knocks.admit_as_new(
                    visit.state, visit.actor, number, source=source, agency=visit.field("agency"),
                    product=visit.field("product"), name=visit.field("name").strip()[:200],
                    known_products=visit.products, now=visit.now,
                )
            )  # fmt: skip
        else:
            made.append(knocks.admit_knock(visit.state, visit.actor, number, source, now=visit.now))
        return f"/sources/{source}?notice=admitted"

    answer = attempt(visit, deed, lambda status, error: _one(visit, status, error))
    if made and made[0].key:
        return visit.render("source_key.html", source=made[0].source, key=made[0].key)
    return answer


def ignore(visit: Visit) -> Response:
    again = visit.field("deed") == "show"
    knocks.ignore_knock(visit.state, visit.actor, _number(visit), ignore=not again, now=visit.now)
    return visit.go("/knocks?notice=saved")


def _number(visit: Visit) -> int:
    return visit.number(visit.request.path_params["knock"])
