"""The queue: what stands in it, how it is filtered, how it refreshes."""

from __future__ import annotations

import re

import pytest
from support.console_client import Browser, Site
from support.seed_cast import DRILL, STORIES

from pipeline.tickets import life
from pipeline.tickets.deeds import Request
from pipeline.tickets.queue import Filters, list_tickets


def titles(browser: Browser, query: str = "") -> list[str]:
    html = browser.get(f"/tickets{query}").text
    return re.findall(r'<a id="t\d+" href="/tickets/\d+">([^<]+)</a>', html)


def test_the_severest_stand_first_and_a_drill_is_marked(site: Site) -> None:
    browser = site.signed("an")
    assert len(titles(browser)) == len(STORIES)
    # of two critical ones that of the higher system level
    assert titles(browser)[:2] == [
        "Mimikatz Command Line",
        "Web Shell Written By Web Server Process",
    ]
    html = browser.get("/tickets").text
    assert html.count('class="drill"') == sum(story[3] == DRILL for story in STORIES)
    assert ">diễn tập</span>" in html


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?words=mimikatz", ["Mimikatz Command Line"]),
        ("?words=203.0.113.9", ["Failed Logon From Public Address"]),
        ("?agency=phuong-sai-gon&at_least=high", ["Password Spray Against The VPN"]),
        ("?drill=only&at_least=critical", ["Web Shell Written By Web Server Process"]),
        ("?status=closed", []),
        ("?owner=me", []),
        ("?entity=ketoan", ["Superuser Role Granted In PostgreSQL"]),
        ("?words=%3Cscript%3E", []),
    ],
)
def test_filters_are_addresses(site: Site, query: str, expected: list[str]) -> None:
    assert titles(site.signed("an"), query) == expected


def test_tabs_count_what_they_lead_to(site: Site) -> None:
    browser = site.signed("an")
    browser.send("/tickets/1", "/tickets/1/claim")
    tabs = dict(re.findall(r">([^<>]+) <b[^>]*>([\d.]+)</b></a>", browser.get("/tickets").text))
    assert tabs == {
        "Đang mở": "8",
        "Chưa ai nhận": "7",
        "Của tôi": "1",
        "Đang chờ": "0",
        "Quá hạn": "0",
    }
    assert titles(browser, "?owner=me") == ["Mimikatz Command Line"]


def test_the_live_list_is_the_list_alone_and_says_how_many(site: Site) -> None:
    rows = site.signed("an").get("/tickets/rows?at_least=high", **{"HX-Request": "true"})
    assert "<html" not in rows.text
    assert 'role="status">5 phiếu' in rows.text


def test_a_live_list_whose_session_is_over_asks_for_the_page(site: Site) -> None:
    answer = site.visitor().get("/tickets/rows", **{"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-refresh"], answer.text) == (200, "true", "")


def test_an_odd_filter_is_told_in_words(site: Site) -> None:
    for query in ("?status=burnt", "?at_least=huge", "?after=x"):
        answer = site.signed("an").get(f"/tickets{query}")
        assert answer.status_code == 400
        assert "<h1" in answer.text


def test_pages_follow_each_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.console.views import tickets

    monkeypatch.setattr(tickets, "SIZE", 3)
    browser = site.signed("an")
    seen, path = [], "/tickets"
    for _ in range(3):
        html = browser.get(path).text
        seen += re.findall(r'<a id="t(\d+)"', html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        path = following[1].replace("&amp;", "&") if following else ""
    assert path == ""
    assert sorted(map(int, seen)) == list(range(1, 9))


def test_closed_tickets_show_their_reason(site: Site) -> None:
    from support.people import analyst

    life.close(
        site.state,
        Request(actor=analyst(), ticket="4"),
        reason="duplicate",
        note="x",
        now=site.clock.now,
    )
    html = site.signed("an").get("/tickets?status=closed").text
    assert "<small>Trùng lặp</small>" in html
    assert len(list_tickets(site.state, analyst(), Filters()).items) == 7
