"""A ticket comes into the open queue by itself; the focus, what is chosen and what is typed stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.console_client import Site
from support.findings import Given, take
from support.seed import cookie
from support.seed_cast import OWN

from pipeline.model.scope import Actor, Scope
from pipeline.tickets import life
from pipeline.tickets.deeds import Request

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OTHER = Actor("person", "quan", "administrator", Scope.everything())


def test_a_ticket_comes_live_and_what_is_chosen_stays(
    browser: Browser, site: Site, address: str
) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_cookies(
        [
            {
                "name": "thapcanh_session",
                "value": cookie(site.state, "an", site.clock()),
                "url": address,
            }
        ]
    )
    page = context.new_page()
    # Polling is put off, so that it is the stream that brings the news.
    page.route(
        "**/tickets",
        lambda route: route.fulfill(
            response=(was := route.fetch()), body=was.text().replace("every 10s, ", "")
        ),
    )
    with page.expect_response("**/tickets/rows*"):  # asked for as soon as the stream has begun
        page.goto(f"{address}/tickets")
    page.locator("#t2").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("x")
    held = page.evaluate("document.activeElement.id")
    before = [int(page.locator(f"#n-{tab}").inner_text()) for tab in ("open", "free")]
    take(site.state, [Given("live-1", entity="pc-live", agency=OWN, rule="live")])
    page.get_by_text("Title of live").wait_for(timeout=20_000)
    assert page.locator("tr.fresh").count() == 1
    assert page.evaluate("document.activeElement.id") == held
    assert page.locator("[data-rows] input:checked").count() == 1
    life.claim(site.state, Request(actor=OTHER, ticket="3"), now=site.clock())
    page.locator("tr:has(#t3)", has_text="Phạm Thu Quân").wait_for(timeout=20_000)
    assert page.evaluate("document.activeElement.id") == held
    after = [int(page.locator(f"#n-{tab}").inner_text()) for tab in ("open", "free")]
    assert after == [before[0] + 1, before[1]]  # one came, one was claimed
    context.close()
