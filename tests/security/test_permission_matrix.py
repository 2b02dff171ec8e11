"""Every page × four roles × own and foreign agency: the permission table gives the expected answer."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from support.console_client import Site
from support.seed_cast import (
    DRAFT,
    DRAFT_FOREIGN,
    EXCEPTION,
    EXCEPTION_FOREIGN,
    FOREIGN,
    OWN,
    PEOPLE,
)

from pipeline.access.permissions import PEOPLE_ROLES, reach
from pipeline.console.pages import PAGES, PUBLIC, SIGNED, Page
from pipeline.model.scope import OPERATOR
from pipeline.state.tables.desk import Attachment
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.tickets.attachments import Given, attach
from pipeline.tickets.deeds import Request

PERSON = {role: person for person, _, role, _ in PEOPLE}
FIELDS = {
    "/tickets/{number}/claim": {},
    "/tickets/{number}/start": {},
    "/tickets/{number}/release": {},
    "/tickets/{number}/take-over": {"note": "vì sao"},
    "/tickets/{number}/wait": {"whom": "agency", "note": "xin hỏi"},
    "/tickets/{number}/comment": {"text": "lời"},
    "/tickets/{number}/close": {"reason": "duplicate", "note": "lời"},
    "/tickets/{number}/reopen": {"note": "lời"},
    "/tickets/{number}/assign": {"to": "an"},
    "/tickets/{number}/merge": {"into": "4"},
    "/tickets/{number}/unmerge": {"note": "lời"},
    "/tickets/{number}/tag": {"tag": "x"},
    "/tickets/{number}/tlp": {"tlp": "red"},
    "/tickets/{number}/check": {"step": "0" * 16},
    "/tickets/{number}/severity": {"severity": "low", "note": "lời"},
    "/tickets/{number}/sign": {"sign": "serious", "note": "lời"},
    "/tickets/{number}/notified": {"clock": "initial_24h", "note": "lời"},
    "/tickets/bulk": {"deed": "claim", "t": "1:1"},
    "/views": {"name": "ca đêm", "at_least": "high"},
    "/views/drop": {"name": "ca đêm"},
    "/hand-over": {"text": "lời"},
    "/schedules/{schedule}/pause": {"reason": "lời"},
    "/schedules/{schedule}/resume": {},
    "/backtests": {"rule": "00000001-7c1e-4a5b-9d2f-000000000000"},
    "/jobs/{job}/cancel": {},
    "/exceptions": {"job": "j1"},
    "/exceptions/draft": {"rule": "00000001"},
    "/exceptions/{exception}/backtest": {"days": "7"},
    "/exceptions/{exception}/approve": {},
    "/exceptions/{exception}/end": {"reason": "lời"},
    "/rules/{rule}/switch": {"to": "off", "reason": "lời"},
    "/rules/{rule}/work": {"work": "backfill", "days": "7"},
    "/letters/replay": {"letter": "1"},
    "/products": {"text": "product: x"},
    "/onboarding/{draft}/product": {"name": "Không", "revision": "1"},
    "/mirrors/replay": {"mirror": "rt"},
    "/assets/preview": {},
    "/assets/import": {"text": "x"},
    "/maintenance": {"ends": "2026-11-25T10:00", "reason": "lời"},
    "/maintenance/{rest}/cancel": {},
    "/sources/{source}/keys": {"days": "30"},
    "/sources/{source}/revoke": {"means": "none"},
    "/knocks/{knock}/admit": {"source": f"{OWN}-windows"},
    "/knocks/{knock}/ignore": {},
    "/watchlists": {"name": "known_c2", "kind": "address", "values": "192.0.2.7"},
    "/watchlists/{name}": {"values": "192.0.2.7", "note": "lời"},
    "/watchlists/{name}/drop": {"note": "lời"},
    "/sources/{source}/limits": {"lag_minutes": "5"},
    "/onboarding": {"agency": OWN, "sample": "a=b c=d"},
    "/onboarding/{draft}": {"product": "nginx", "revision": "1"},
    "/onboarding/{draft}/sender": {"source": "x", "revision": "1"},
    "/onboarding/{draft}/publish": {"revision": "1"},
    "/onboarding/{draft}/drop": {},
}
# What the page answers when the deed is permitted but does not fit the ticket's state (a free ticket
# cannot be begun): it has passed every check that this test is about.
RULE = f"{1:08x}-7c1e-4a5b-9d2f-000000000000"
OUT_OF_STATE = (409, 422)
ABOUT = re.compile(r"\{(number|event|source|exception|job|draft|letter)\}")
GUARDED = [page for page in PAGES if page.permission not in (PUBLIC, SIGNED)]


def target(site: Site, page: Page, agency: str) -> str:
    """The page's address, about a record of the agency."""
    number = {OWN: "1", FOREIGN: "3"}[agency]
    place = {OWN: 0, FOREIGN: 1}[agency]
    event = [flat for _, flat in site.store.documents if flat["organization.id"] == agency][place]
    if "{file}" in page.path:
        request, given = Request(actor=OPERATOR, ticket=number), Given("a.txt", b"x")
        attach(site.state, request, site.shelf, [given], now=site.clock.now)
        with site.state.read() as session:
            (file,) = session.scalars(sa.select(Attachment.id))
    else:
        file = ""
    return (
        page.path.replace("{file}", file)
        .replace("{number}", number)
        .replace("{event}", event["event.id"])
        .replace("{source}", f"{agency}-{'windows' if agency == OWN else 'zimbra'}")
        .replace("/figures.csv", "/figures.csv?table=rules")
        .replace("/coverage.csv", f"/coverage.csv?rule={RULE}&agency={OWN}")
        .replace("{exception}", {OWN: EXCEPTION, FOREIGN: EXCEPTION_FOREIGN}[agency])
        .replace("{job}", "j1")
        .replace("{draft}", {OWN: DRAFT, FOREIGN: DRAFT_FOREIGN}[agency])
        .replace("{letter}", _letter(site, agency) if "{letter}" in page.path else "")
        .replace("{product}", "nginx")
        .replace("{run}", "r3")
        .replace("{schedule}", "main")
        .replace("{rest}", "m1")
        .replace("{knock}", "1")
        .replace("{name}", "scanners")
        .replace("{rule}", RULE)
    )


def _letter(site: Site, agency: str) -> str:
    with site.state.begin() as session:
        row = DeadLetterRow(
            node="collect-1", sequence=900, source=f"{agency}-windows", agency=agency, message="x",
            cause="parse_failure", received=site.clock.now, body=b"x",
        )  # fmt: skip
        session.add(row)
        session.flush()
        return str(row.id)


@pytest.mark.parametrize("agency", [OWN, FOREIGN], ids=["own", "foreign"])
@pytest.mark.parametrize("role", PEOPLE_ROLES)
@pytest.mark.parametrize("page", GUARDED, ids=[f"{p.method} {p.path}" for p in GUARDED])
def test_the_table_decides(site: Site, page: Page, role: str, agency: str) -> None:
    browser = site.signed(PERSON[role])
    path = target(site, page, agency)
    answer = browser.post(path, **FIELDS[page.path]) if page.method == "POST" else browser.get(path)
    right = reach(role, page.permission)
    if right == "-":
        expected = {403}
    elif page.path.startswith("/jobs/") and role == "officer":
        expected = {404}  # an officer has no jobs, and sees none of others
    elif right == "own" and agency == FOREIGN and ABOUT.search(page.path):
        expected = {404}
    else:
        expected = {200, 303, *OUT_OF_STATE} if page.method == "POST" else {200}
    assert answer.status_code in expected


def test_every_page_that_is_not_public_asks_for_a_session(site: Site) -> None:
    for page in PAGES:
        if page.permission == PUBLIC:
            continue
        path = target(site, page, OWN)
        browser = site.visitor()
        if page.method == "GET":
            answer = browser.get(path)
            assert (answer.status_code, 'action="/sign-in"' in answer.text) == (200, True), path
        else:
            answer = browser.post(path, seal_from="/sign-in", **FIELDS.get(page.path, {}))
            assert answer.status_code == 401, path


def test_the_public_pages_are_these() -> None:
    assert {f"{page.method} {page.path}" for page in PAGES if page.permission == PUBLIC} == {
        "GET /sign-in",
        "POST /sign-in",
        "GET /link/{secret}",
        "POST /link/{secret}",
        "POST /language",
    }


def test_lists_of_an_officer_hold_nothing_of_another_agency(site: Site) -> None:
    officer = site.signed("binh")
    for path in (
        "/tickets",
        "/tickets/rows",
        "/tickets?status=all",
        "/tickets?agency=phuong-sai-gon",
        "/search?q=nginx&range=30d",
        "/sources",
        "/letters",
        "/runs",
        "/runs/r3",
        "/exceptions",
        f"/exceptions/{EXCEPTION}",
        "/backtests",
        f"/coverage?rule={RULE}",
        f"/coverage.csv?rule={RULE}",
        "/rules",
        "/rules/00000003-7c1e-4a5b-9d2f-000000000000",
        "/account",
    ):
        html = officer.get(path).text
        bare = html.replace("agency=phuong-sai-gon", "").replace('value="phuong-sai-gon"', "")
        for name in ("phường Sài Gòn", "phuong-sai-gon", "psg.example", "Bến Ngọc", "collect-1"):
            assert name not in bare, (path, name)
    assert "<dd>0</dd>" in officer.get("/rules/00000003-7c1e-4a5b-9d2f-000000000000").text


def test_a_refusal_is_in_the_access_log(site: Site) -> None:
    site.signed("kiem").post("/tickets/1/claim")
    html = site.signed("quan").get("/people").text
    assert "POST /tickets/1/claim" in html
    assert "không được phép" in html
