"""Many tickets at once, saved views, the end of a shift, and what stands on a ticket's page of its work."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from support.console_client import Browser, Site
from support.people import analyst

from pipeline.tickets import life
from pipeline.tickets.clocks import incident
from pipeline.tickets.clocks.clocks import clocks_once
from pipeline.tickets.deeds import Request
from pipeline.tickets.filters import Filters
from pipeline.tickets.queue import list_tickets


def outcomes(html: str) -> dict[str, str]:
    rows = re.findall(r'<th scope="row">.*?#(\w+)</a></th><td>(.*?)</td>', html, re.DOTALL)
    return {
        number: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", told)).strip() for number, told in rows
    }


def bulk(browser: Browser, chosen: list[str], **fields: str) -> str:
    hidden = browser.fields("/tickets", "/tickets/bulk")
    return browser.client.post("/tickets/bulk", data=hidden | fields | {"t": chosen}).text


def test_each_ticket_of_a_bulk_deed_has_an_outcome_of_its_own(site: Site) -> None:
    life.claim(site.state, Request(actor=analyst("quan"), ticket="2"), now=site.clock.now)
    html = bulk(site.signed("an"), ["1:1", "2:2", "3:9", "99:1", "x:1"], deed="claim")
    found = outcomes(html)
    assert found["1"] == "xong"
    assert found["2"].startswith("không thực hiện Người khác đang xử lý")
    assert "person:quan" in found["2"]
    assert found["3"].startswith("không thực hiện Phiếu đã thay đổi")
    assert found["99"].startswith("không thực hiện Không có phiếu này")
    assert "1 trên 5 phiếu" in html
    assert [
        t.number for t in list_tickets(site.state, analyst(), Filters(owner="person:an")).items
    ] == [1]


def test_a_bulk_form_sent_twice_does_its_deeds_once(site: Site) -> None:
    browser = site.signed("an")
    hidden = browser.fields("/tickets", "/tickets/bulk")
    data = hidden | {
        "deed": "close",
        "reason": "false_positive_logic",
        "note": "x",
        "t": ["4:1", "5:1"],
    }
    first, again = (browser.client.post("/tickets/bulk", data=data).text for _ in range(2))
    assert outcomes(first) == outcomes(again) == {"4": "xong", "5": "xong"}
    assert browser.get("/tickets/4").text.count("đã đóng phiếu: ") == 1


@pytest.mark.parametrize("fields", [{"deed": "burn", "t": "1:1"}, {"deed": "claim"}])
def test_half_a_bulk_form_is_refused(site: Site, fields: dict[str, str]) -> None:
    browser = site.signed("an")
    hidden = browser.fields("/tickets", "/tickets/bulk")
    assert browser.client.post("/tickets/bulk", data=hidden | fields).status_code == 400


def test_an_officer_is_shown_no_boxes_and_may_not_use_them(site: Site) -> None:
    browser = site.signed("binh")
    assert 'name="t"' not in browser.get("/tickets").text
    assert browser.post("/tickets/bulk", deed="claim", t="1:1").status_code == 403


def test_a_view_is_kept_under_a_name_for_its_owner_alone(site: Site) -> None:
    browser = site.signed("an")
    path = "/tickets?at_least=high&agency=so-tai-chinh"
    answer = browser.client.post(
        "/views", data=browser.fields(path, "/views") | {"name": "Nặng <b>"}
    )
    assert unescape(answer.headers["location"]) == "/tickets?agency=so-tai-chinh&at_least=high"
    html = browser.get("/tickets").text
    assert (
        '<a href="/tickets?agency=so-tai-chinh&amp;at_least=high" class="own">Nặng &lt;b&gt;</a>'
        in html
    )
    assert "Nặng" not in site.signed("quan").get("/tickets").text
    assert browser.post("/views/drop", name="Nặng <b>").status_code == 303
    assert "Nặng" not in browser.get("/tickets").text
    assert browser.post("/views", name="  ").status_code == 400


def test_a_shift_is_handed_over_and_the_next_one_reads_it(site: Site) -> None:
    browser = site.signed("an")
    browser.send("/tickets/1", "/tickets/1/claim")
    hidden = browser.fields("/hand-over", "/hand-over")
    data = hidden | {"text": "**Chú ý** <i>", "to": "quan", "t": "1"}
    assert browser.client.post("/hand-over", data=data).status_code == 303
    html = site.signed("quan").get("/tickets").text
    assert "<strong>Chú ý</strong> &lt;i&gt;" in html
    assert "Đã bàn giao" not in html
    assert '>Của tôi <b id="n-mine">1</b>' in html
    assert "Chú ý" not in site.signed("binh").get("/tickets").text  # it may speak of any agency
    assert browser.client.post("/hand-over", data=hidden | {"text": " "}).status_code == 422
    site.clock.turn(timedelta(hours=13))
    assert "Chú ý" not in site.signed("quan").get("/tickets").text


def test_clocks_are_told_in_words_and_colours(site: Site) -> None:
    browser = site.signed("an")
    assert '<span class="clock running"' in browser.get("/tickets").text
    asked = Request(actor=analyst(), ticket="1")
    incident.mark(site.state, asked, sign="serious", seen=True, reason="x", now=site.clock.now)
    site.clock.turn(timedelta(hours=25))
    while clocks_once(site.state, now=site.clock.now):
        pass
    browser = site.signed("an")
    html = browser.get("/tickets?alert=breached").text
    assert re.search(r'<span class="clock breached"[^>]*>[^<]*quá hạn', html)
    page = browser.get("/tickets/1").text
    assert "Báo cáo ban đầu trong 24 giờ" in page
    assert "báo: đã quá hạn: Báo cáo ban đầu trong 24 giờ → trưởng ca trực" in page
    answer = browser.send("/tickets/1", "/tickets/1/notified", note="A05, điện thoại")
    assert answer.headers["location"] == "/tickets/1?notice=notified"
    assert "(trễ)" in browser.get("/tickets/1").text


def test_a_priority_shows_its_factors_and_an_officer_no_verdicts_of_others(site: Site) -> None:
    html = site.signed("an").get("/tickets/1").text
    for shown in ("<b>87</b>", "<b>+80</b>", "<b>+7</b>", "<b>+0</b>", "0 đúng, 0 nhầm"):
        assert shown in html
    others = "theo các đơn vị khác: 0 đúng, 0 nhầm"
    assert (others in html, others in site.signed("binh").get("/tickets/1").text) == (True, False)
