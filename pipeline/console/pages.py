"""Every page of the console, with what it takes to see it; and the one way in to all of them.

In: a request. Out: the page, the sign-in page (200, for a visitor at any page), 401 for a visitor's
POST, 403 where the seal is missing or the permission table says no, 404 for what is not theirs or not
there, 409 where somebody else was first. Invariant: no handler runs before these checks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from pipeline.access import log, sessions
from pipeline.access.hashing import new_secret, same
from pipeline.access.permissions import require
from pipeline.api.uploads import read_files
from pipeline.console.cookies import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    VISITOR_COOKIE,
    cookie_name,
    set_cookie,
)
from pipeline.console.views import (
    account,
    assets,
    backtests,
    coverage,
    exceptions,
    figures,
    keeping,
    knocks,
    letters,
    live,
    notices,
    onboarding,
    outbox,
    people,
    products,
    queue,
    rules,
    runs,
    schedules,
    search,
    sign_in,
    source_means,
    sources,
    ticket_deeds,
    tickets,
    timeline,
    watchlists,
)
from pipeline.console.visit import Console, Visit
from pipeline.model.errors import ForbiddenError, NotFoundError, ThapCanhError, UsageError

logger = logging.getLogger("thapcanh.console")

PUBLIC: Final = "public"
"""Served without a session. Everything else needs one."""
SIGNED: Final = "signed"
"""Any signed-in person. Everything else is a key of the permission table."""


@dataclass(frozen=True, slots=True)
class Page:
    """`quiet`: asked for by a page itself, so it keeps no session alive. `files`: its form may carry some."""

    method: str
    path: str
    handler: Callable[[Visit], Response]
    permission: str
    quiet: bool = False
    files: bool = False


PAGES: Final = (
    Page("GET", "/sign-in", sign_in.page, PUBLIC),
    Page("POST", "/sign-in", sign_in.password, PUBLIC),
    Page("GET", "/link/{secret}", sign_in.link, PUBLIC),
    Page("POST", "/link/{secret}", sign_in.spend_link, PUBLIC),
    Page("POST", "/language", account.language, PUBLIC),
    Page("POST", "/sign-out", sign_in.out, SIGNED),
    Page("GET", "/account", account.page, SIGNED),
    Page("POST", "/account/password", account.password, SIGNED),
    Page("POST", "/account/notices", notices.wishes, SIGNED),
    Page("GET", "/notices", notices.page, SIGNED),
    Page("GET", "/notices/bell", notices.bell, SIGNED, quiet=True),
    Page("POST", "/notices/seen", notices.seen, SIGNED),
    Page("GET", "/", tickets.home, SIGNED),
    Page("GET", "/tickets", tickets.queue_page, "ticket.read"),
    Page("GET", "/tickets/rows", tickets.queue_rows, "ticket.read", quiet=True),
    Page("GET", "/tickets/{number}", tickets.ticket_page, "ticket.read"),
    Page("GET", "/tickets/{number}/timeline", timeline.page, "event.search"),
    Page("GET", "/tickets/{number}/evidence.json", tickets.export, "ticket.read"),
    Page("GET", "/tickets/{number}/print", tickets.printed, "ticket.read"),
    Page("POST", "/tickets/bulk", queue.bulk, "ticket.claim"),
    Page("POST", "/views", queue.save_view, "ticket.read"),
    Page("POST", "/views/drop", queue.drop_view, "ticket.read"),
    Page("GET", "/hand-over", queue.hand_over_page, "ticket.claim"),
    Page("POST", "/hand-over", queue.hand_over, "ticket.claim"),
    Page("POST", "/tickets/{number}/claim", ticket_deeds.claim, "ticket.claim"),
    Page("POST", "/tickets/{number}/release", ticket_deeds.release, "ticket.claim"),
    Page("POST", "/tickets/{number}/take-over", ticket_deeds.take_over, "ticket.claim"),
    Page("POST", "/tickets/{number}/assign", ticket_deeds.assign, "ticket.assign"),
    Page("POST", "/tickets/{number}/start", ticket_deeds.start, "ticket.claim"),
    Page("POST", "/tickets/{number}/wait", ticket_deeds.wait, "ticket.claim"),
    Page("POST", "/tickets/{number}/comment", ticket_deeds.comment, "ticket.comment", files=True),
    Page("GET", "/tickets/{number}/files/{file}", tickets.download, "ticket.read"),
    Page("POST", "/tickets/{number}/close", ticket_deeds.close, "ticket.close"),
    Page("POST", "/tickets/{number}/reopen", ticket_deeds.reopen, "ticket.reopen"),
    Page("POST", "/tickets/{number}/merge", ticket_deeds.merge, "ticket.merge"),
    Page("POST", "/tickets/{number}/unmerge", ticket_deeds.unmerge, "ticket.merge"),
    Page("POST", "/tickets/{number}/tag", ticket_deeds.tag, "ticket.claim"),
    Page("POST", "/tickets/{number}/tlp", ticket_deeds.tlp, "ticket.claim"),
    Page("POST", "/tickets/{number}/check", ticket_deeds.check, "ticket.claim"),
    Page("POST", "/tickets/{number}/severity", ticket_deeds.severity, "ticket.claim"),
    Page("POST", "/tickets/{number}/sign", ticket_deeds.sign, "ticket.claim"),
    Page("POST", "/tickets/{number}/notified", ticket_deeds.notified, "ticket.claim"),
    Page("GET", "/figures", figures.page, "ticket.read"),
    Page("GET", "/figures.csv", figures.table, "ticket.read"),
    Page("GET", "/search", search.page, "event.search"),
    Page("GET", "/events/{event}", search.event, "event.search"),
    Page("GET", "/assets", assets.page, "asset.read"),
    Page("POST", "/assets/preview", assets.preview, "asset.write", files=True),
    Page("POST", "/assets/import", assets.carry_out, "asset.write"),
    Page("GET", "/sources", sources.list_page, "source.read"),
    Page("GET", "/sources/{source}", sources.source_page, "source.read"),
    Page("POST", "/sources/{source}/keys", source_means.make_key, "source.write"),
    Page("POST", "/sources/{source}/revoke", source_means.revoke, "source.write"),
    Page("GET", "/knocks", knocks.list_page, "operation.read"),
    Page("GET", "/knocks/{knock}", knocks.one_page, "operation.read"),
    Page("POST", "/knocks/{knock}/admit", knocks.admit, "knock.settle"),
    Page("POST", "/knocks/{knock}/ignore", knocks.ignore, "knock.settle"),
    Page("GET", "/letters", letters.list_page, "dead.read"),
    Page("GET", "/letters/{letter}", letters.one_page, "dead.read"),
    Page("POST", "/letters/replay", letters.ask, "dead.replay"),
    Page("GET", "/sources/{source}/live", live.page, "source.read"),
    Page("GET", "/sources/{source}/live/steps", live.state, "source.read", quiet=True),
    Page("POST", "/sources/{source}/limits", live.set_limits, "source.write"),
    Page("GET", "/products", products.list_page, "source.read"),
    Page("POST", "/products", products.add, "product.write"),
    Page("GET", "/products/{product}", products.one_page, "source.read"),
    Page("GET", "/onboarding", onboarding.start_page, "source.write"),
    Page("POST", "/onboarding", onboarding.start, "source.write", files=True),
    Page("GET", "/onboarding/{draft}", onboarding.product_page, "source.write"),
    Page("POST", "/onboarding/{draft}", onboarding.choose, "source.write"),
    Page("GET", "/onboarding/{draft}/rules", onboarding.rules_page, "source.write"),
    Page("GET", "/onboarding/{draft}/sender", onboarding.sender_page, "source.write"),
    Page("POST", "/onboarding/{draft}/sender", onboarding.set_sender, "source.write"),
    Page("POST", "/onboarding/{draft}/publish", onboarding.publish_now, "source.write"),
    Page("POST", "/onboarding/{draft}/drop", onboarding.drop, "source.write"),
    Page("POST", "/onboarding/{draft}/product", onboarding.publish_product, "product.write"),
    Page("GET", "/onboarding/{draft}/product.yml", onboarding.drafted, "source.write"),
    Page("GET", "/runs", runs.page, "run.read"),
    Page("GET", "/runs/{run}", runs.one, "run.read"),
    Page("GET", "/mirrors", outbox.page, "operation.read"),
    Page("POST", "/mirrors/replay", outbox.send_again, "mirror.replay"),
    Page("GET", "/retention", keeping.page, "operation.read"),
    Page("GET", "/schedules", schedules.page, "operation.read"),
    Page("POST", "/schedules/{schedule}/pause", schedules.pause, "rule.write"),
    Page("POST", "/schedules/{schedule}/resume", schedules.resume, "rule.write"),
    Page("POST", "/maintenance", schedules.declare, "rule.write"),
    Page("POST", "/maintenance/{rest}/cancel", schedules.cancel, "rule.write"),
    Page("GET", "/coverage", coverage.page, "run.read"),
    Page("GET", "/coverage.csv", coverage.table, "run.read"),
    Page("GET", "/backtests", backtests.list_page, "rule.read"),
    Page("POST", "/backtests", backtests.ask, "rule.write"),
    Page("GET", "/jobs/{job}", backtests.one, "rule.read"),
    Page("GET", "/jobs/{job}/progress", backtests.progress, "rule.read", quiet=True),
    Page("POST", "/jobs/{job}/cancel", backtests.cancel, "rule.write"),
    Page("GET", "/exceptions", exceptions.list_page, "exception.read"),
    Page("POST", "/exceptions", exceptions.propose, "exception.write"),
    Page("GET", "/exceptions/new", exceptions.new, "exception.write"),
    Page("POST", "/exceptions/draft", exceptions.draft, "exception.write"),
    Page("GET", "/exceptions/{exception}", exceptions.one, "exception.read"),
    Page("POST", "/exceptions/{exception}/backtest", exceptions.backtest, "exception.write"),
    Page("POST", "/exceptions/{exception}/approve", exceptions.approve, "exception.approve"),
    Page("POST", "/exceptions/{exception}/end", exceptions.end, "exception.write"),
    Page("GET", "/watchlists", watchlists.list_page, "watchlist.read"),
    Page("POST", "/watchlists", watchlists.make, "watchlist.write"),
    Page("GET", "/watchlists/{name}", watchlists.one_page, "watchlist.read"),
    Page("POST", "/watchlists/{name}", watchlists.change, "watchlist.write"),
    Page("POST", "/watchlists/{name}/drop", watchlists.drop, "watchlist.write"),
    Page("GET", "/rules", rules.list_page, "rule.read"),
    Page("GET", "/rules/{rule}", rules.rule_page, "rule.read"),
    Page("POST", "/rules/{rule}/switch", rules.turn, "rule.write"),
    Page("POST", "/rules/{rule}/work", rules.ask, "rule.write"),
    Page("GET", "/people", people.page, "person.read"),
)


def endpoint(console: Console, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        form, fault = FormData(), None
        if request.method == "POST":
            if not request.headers.get("content-type", "").startswith("multipart/"):
                form = await request.form()
            elif await run_in_threadpool(_known, console, page, request):
                try:
                    form = await read_files(request, console.shelf)
                except UsageError as error:
                    fault = error
        try:
            return await run_in_threadpool(answer, console, page, request, form, fault)
        finally:
            await form.close()

    return serve


def not_served(console: Console) -> Callable[[Request], Awaitable[Response]]:
    """Any other address: the sign-in page for a visitor, 404 for who is signed in."""

    def nothing(visit: Visit) -> Response:
        raise NotFoundError("no such page", got=visit.request.url.path[:200])

    return endpoint(console, Page("GET", "/", nothing, SIGNED))


def _known(console: Console, page: Page, request: Request) -> bool:
    """Whether the sender of a form with files is one who may send it: nobody else's is read."""
    visit = _visit(console, page, request, FormData())
    return page.files and visit.may(page.permission)


def answer(
    console: Console, page: Page, request: Request, form: FormData, fault: UsageError | None = None
) -> Response:
    """`fault`: why the form was not read, from one who may send it."""
    visit = _visit(console, page, request, form)
    try:
        response = _answer(page, visit, fault)
    except ThapCanhError as error:
        response = _told(page, visit, error)
    except Exception:
        logger.exception("a page broke: %s %s", request.method, page.path)
        response = visit.render("error.html", 500, message="something broke", error=None)
    if visit.signed is None and request.cookies.get(cookie_name(console, VISITOR_COOKIE)) is None:
        set_cookie(console, response, VISITOR_COOKIE, visit.visitor)
    return response


def _answer(page: Page, visit: Visit, fault: UsageError | None) -> Response:
    posted = visit.request.method == "POST"
    if page.permission != PUBLIC and visit.signed is None:
        if visit.request.headers.get("hx-request"):  # a fragment of a page whose session is over
            return Response(status_code=200, headers={"HX-Refresh": "true"})
        return sign_in.shown(
            visit, next_page="/" if posted else visit.here, status=401 if posted else 200
        )
    if fault is not None:
        raise fault
    if posted and not same(visit.field("seal"), visit.seal):
        raise ForbiddenError("the form has lost its seal")
    if page.permission not in (PUBLIC, SIGNED):
        require(visit.actor, page.permission, None)
    return page.handler(visit)


def _visit(console: Console, page: Page, request: Request, form: FormData) -> Visit:
    now = console.clock()
    cookies = request.cookies
    cookie = cookies.get(cookie_name(console, SESSION_COOKIE), "")
    signed = sessions.resume(console.state, cookie, now=now, touch=not page.quiet)
    language = (
        signed.person.language
        if signed
        else cookies.get(cookie_name(console, LANGUAGE_COOKIE), "vi")
    )
    if language not in console.catalogues:
        language = "vi"
    visitor = cookies.get(cookie_name(console, VISITOR_COOKIE)) or new_secret()
    return Visit(console, request, form, signed, language, visitor, now)


def _told(page: Page, visit: Visit, error: ThapCanhError) -> Response:
    if isinstance(error, ForbiddenError):
        who = visit.signed.actor.name if visit.signed else "visitor"
        # A link that was refused is not spent: whoever reads the log must not be able to use it.
        path = page.path if "{secret}" in page.path else visit.request.url.path
        detail = f"{visit.request.method} {path}"
        if visit.signed is not None or _may_be_noted(visit):
            with visit.state.begin() as db:
                log.record(db, who, "refused", detail, now=visit.now)
    if visit.request.headers.get("hx-request"):
        return Response(str(error), error.http_status, media_type="text/plain")
    return visit.render("error.html", error.http_status, message=error.what, error=error)


def _may_be_noted(visit: Visit) -> bool:
    """A stranger's refused forms are noted up to a limit: nobody may fill the state by them."""
    client = visit.request.client
    return visit.console.refusals.allow(client.host if client else "", now=visit.now)
