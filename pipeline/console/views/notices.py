"""One's own notices, and how one wants to be told."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.views.account import shown
from pipeline.console.visit import Visit
from pipeline.model.errors import UsageError
from pipeline.tickets import notices


def page(visit: Visit) -> Response:
    return visit.render("notices.html", found=notices.notices_of(visit.state, visit.actor))


def bell(visit: Visit) -> Response:
    """The count in the bar: what the page asks for again and again; with it the newest, for the browser's own."""
    newest = next(iter(notices.notices_of(visit.state, visit.actor, limit=1)), None)
    return visit.render("bell.html", newest=None if newest is None or newest.seen else newest)


def seen(visit: Visit) -> Response:
    upto = visit.number(visit.field("upto"))
    notices.mark_seen(visit.state, visit.actor, upto=upto, now=visit.now)
    return visit.go("/notices")


def wishes(visit: Visit) -> Response:
    ways = {kind: visit.field(f"way_{kind}") for kind in notices.USUAL}
    wish = notices.Wish(
        on_duty=visit.field("on_duty") == "1" and visit.may("ticket.claim"),
        mail=visit.field("mail").strip(),
        ways={kind: way for kind, way in ways.items() if way and way != notices.USUAL[kind]},
    )
    try:
        notices.set_wish(visit.state, visit.actor, wish)
    except UsageError as error:
        return shown(visit, 422, fault_of_notices=error.what)
    return visit.go("/account?notice=saved")
