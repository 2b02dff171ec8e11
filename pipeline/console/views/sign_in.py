"""Signing in by password or by one-time link, and signing out."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access import links, people, sessions
from pipeline.console.cookies import SESSION_COOKIE, VISITOR_COOKIE, drop_cookie, set_cookie
from pipeline.console.visit import Visit, local


def shown(visit: Visit, *, next_page: str, status: int = 200, fault: str = "") -> Response:
    """The sign-in page. It stands at every address for a visitor; `next_page` is where they wanted to be."""
    person = visit.field("person") if fault else ""
    return visit.render(
        "sign_in.html", status, next_page=local(next_page), fault=fault, person=person[:64]
    )


def page(visit: Visit) -> Response:
    return visit.go("/") if visit.signed else shown(visit, next_page="/")


def password(visit: Visit) -> Response:
    next_page = visit.field("next")
    if not _may_try(visit):
        return _too_many(visit, next_page)
    person = people.check_password(
        visit.state,
        visit.field("person").strip().lower(),
        visit.field("password"),
        now=visit.now,
    )
    if person is None:
        return shown(visit, next_page=next_page, status=403, fault="refused")
    return _let_in(visit, person, next_page)


def link(visit: Visit) -> Response:
    """The form that spends a link. Opening it spends nothing and tells nothing of the link."""
    return visit.render("link.html", fault="")


def spend_link(visit: Visit) -> Response:
    if not _may_try(visit):
        return _too_many(visit, "/")
    person = links.spend(visit.state, visit.request.path_params["secret"], now=visit.now)
    if person is None:
        return visit.render("link.html", 403, fault="refused")
    return _let_in(visit, person, "/")


def out(visit: Visit) -> Response:
    if visit.signed:
        sessions.end(visit.state, visit.signed, now=visit.now)
    response = visit.go("/sign-in")
    drop_cookie(visit.console, response, SESSION_COOKIE)
    return response


def _let_in(visit: Visit, person: people.Person, next_page: str) -> Response:
    if visit.signed:
        sessions.end(visit.state, visit.signed, now=visit.now)
    cookie = sessions.start(visit.state, person.id, now=visit.now)
    response = visit.go(next_page or "/")
    set_cookie(visit.console, response, SESSION_COOKIE, cookie)
    drop_cookie(visit.console, response, VISITOR_COOKIE)
    return response


def _may_try(visit: Visit) -> bool:
    client = visit.request.client
    return visit.console.sign_ins.allow(client.host if client else "", now=visit.now)


def _too_many(visit: Visit, next_page: str) -> Response:
    response = shown(visit, next_page=next_page, status=429, fault="too_many")
    response.headers["Retry-After"] = "300"
    return response
