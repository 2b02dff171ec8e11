"""Tickets that hold many findings: said in the queue and on their page, and every finding can be opened."""

from __future__ import annotations

import re

from support.console_client import Site
from support.findings import Given, take
from support.seed_cast import OWN

from pipeline.tickets.policy import Policy

WHEN = 29_800_000.0  # minutes since 1970, in August 2026


def test_a_ticket_of_several_rules_says_so_in_both_languages(site: Site) -> None:
    found = [
        Given(f"f{n}", rule=f"r{n}", agency=OWN, entity="STC-PC<9>", first=WHEN + n)
        for n in range(3)
    ]
    take(site.state, found)
    browser = site.signed("an")
    assert "và 2 luật nữa" in browser.get("/tickets").text
    page = browser.get("/tickets/9").text
    assert "và 2 luật nữa" in page
    assert page.count('<h2 id="f') == 3
    assert "STC-PC&lt;9&gt;" in page
    browser.post("/language", language="en")
    assert "and 2 more rules" in browser.get("/tickets/9").text


def test_every_finding_of_a_storm_can_be_opened_page_by_page(site: Site) -> None:
    found = [Given(f"s{n:02}", agency=OWN, entity=f"pc-{n:02}", first=WHEN) for n in range(48)]
    take(site.state, found, Policy(storm=3))
    browser = site.signed("an")
    assert "45 phát hiện" in browser.get("/tickets?words=Title").text
    path, seen = "/tickets/12", []
    while path:
        html = browser.get(path).text
        seen += re.findall(r'<h2 id="f\d+">[^<]*<span class="muted">(\d+)/45</span>', html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        path = following[1] if following else ""
    assert seen == [str(n) for n in range(1, 46)]
