"""One's own account: language and password."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access import people
from pipeline.access.permissions import permissions_of
from pipeline.console.cookies import LANGUAGE_COOKIE, set_cookie
from pipeline.console.visit import Visit
from pipeline.model.errors import UsageError
from pipeline.tickets.notices import USUAL, WAYS, get_wish


def page(visit: Visit) -> Response:
    return shown(visit)


def password(visit: Visit) -> Response:
    first, second = visit.field("password"), visit.field("again")
    signed = visit.signed
    if signed is None:
        raise UsageError("nobody is signed in")
    if first != second:
        return shown(visit, 422, fault="the two passwords differ")
    try:
        people.set_password(
            visit.state, signed.person.id, first, keep_session=signed.session, now=visit.now
        )
    except UsageError as error:
        return shown(visit, 422, fault=error.what)
    return visit.go("/account?notice=password")


def language(visit: Visit) -> Response:
    """For anybody: a visitor's choice is kept in a cookie, a person's with the person."""
    chosen = visit.field("language")
    if chosen not in visit.console.catalogues:
        raise UsageError("no such language", got=repr(chosen[:20]))
    if visit.signed:
        people.set_language(visit.state, visit.signed.person.id, chosen)
    response = visit.go(visit.field("next") or "/")
    set_cookie(visit.console, response, LANGUAGE_COOKIE, chosen)
    return response


def shown(visit: Visit, status: int = 200, fault: str = "", fault_of_notices: str = "") -> Response:
    role = visit.actor.role
    kinds = [kind for kind in USUAL if (kind in ("asked", "health")) == (role == "officer")]
    return visit.render(
        "account.html", status, rights=sorted(permissions_of(role)), fault=fault,
        fault_of_notices=fault_of_notices, wish=get_wish(visit.state, visit.actor), ways=WAYS,
        kinds=kinds if visit.may("ticket.comment") else [],
    )  # fmt: skip
