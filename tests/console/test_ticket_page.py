"""A ticket: why it exists, what is done to it, and who was first."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.console_client import Site
from support.seed_cast import OWN

from pipeline.model.scope import Scope
from pipeline.state.tables.tickets import RulePrecision, Ticket


def history(html: str) -> list[str]:
    return [
        re.sub(r"<[^>]+>", "", line).strip()
        for line in re.findall(r"<li><p>(<b>.*?)<br>", html, re.DOTALL)
    ]


def test_it_shows_the_rule_what_matched_the_raw_lines_and_their_times(site: Site) -> None:
    html = site.signed("an").get("/tickets/1").text
    assert "title: Mimikatz Command Line" in html
    assert '<th scope="row" class="mono">process.command_line</th>' in html
    assert html.count('<pre class="raw"') == 3
    assert "<mark>STC-DC01</mark>" in html
    assert html.count("<circle") == 3
    assert "24/11/2026 15:53:00" in html  # the city's time: 08:53 UTC
    assert site.store.scopes == [Scope.of(OWN)]


def test_an_hour_s_work_from_claim_to_close(site: Site) -> None:
    browser = site.signed("an")
    page = "/tickets/1"
    assert browser.send(page, f"{page}/claim").headers["location"] == f"{page}?notice=claimed"
    assert browser.send(page, f"{page}/start").status_code == 303
    assert browser.send(page, f"{page}/comment", text="đã gọi cơ quan").status_code == 303
    answer = browser.send(page, f"{page}/close", reason="false_positive_logic", note="lịch bảo trì")
    assert answer.headers["location"] == f"{page}?notice=closed"
    html = browser.get(answer.headers["location"]).text
    assert history(html) == [
        "Nguyễn Hoài An đã đóng phiếu: Cảnh báo nhầm: do luật",
        "Nguyễn Hoài An đã bình luận",
        "Nguyễn Hoài An đã bắt đầu xử lý",
        "Nguyễn Hoài An đã nhận xử lý",
        "Hệ thống đã mở phiếu",
    ]
    assert "Phiếu đã đóng." in html
    assert browser.send(page, f"{page}/reopen", note="lại xảy ra").status_code == 303


def test_the_slower_of_two_is_told_who_was_first_and_changes_nothing(site: Site) -> None:
    fast, slow = site.signed("an"), site.signed("quan")
    page = "/tickets/1"
    stale = slow.fields(page, f"{page}/claim")
    fast.send(page, f"{page}/claim")
    answer = slow.client.post(f"{page}/claim", data=stale)
    assert answer.status_code == 409
    assert "Phiếu đã thay đổi từ khi bạn xem." in answer.text
    assert "held by person:an" in answer.text
    assert history(answer.text) == ["Nguyễn Hoài An đã nhận xử lý", "Hệ thống đã mở phiếu"]


def test_what_was_typed_survives_a_stale_close(site: Site) -> None:
    fast, slow = site.signed("an"), site.signed("quan")
    page = "/tickets/1"
    stale = slow.fields(page, f"{page}/close")
    fast.send(page, f"{page}/claim")
    fast.send(page, f"{page}/release")
    answer = slow.client.post(
        f"{page}/close", data=stale | {"reason": "duplicate", "note": "dài dòng <b>"}
    )
    assert answer.status_code == 409
    assert "dài dòng &lt;b&gt;</textarea>" in answer.text
    assert '<option value="duplicate" selected>' in answer.text


def test_a_form_sent_twice_does_its_deed_once(site: Site) -> None:
    browser = site.signed("an")
    fields = browser.fields("/tickets/1", "/tickets/1/comment") | {"text": "một lần"}
    for _ in range(3):
        assert browser.client.post("/tickets/1/comment", data=fields).status_code == 303
    assert browser.get("/tickets/1").text.count("<p>một lần</p>") == 1


@pytest.mark.parametrize(
    ("deed", "fields"),
    [
        ("close", {"reason": "", "note": "x"}),
        ("close", {"reason": "recovered", "note": "x"}),
        ("close", {"reason": "duplicate", "note": " "}),
        ("close", {"reason": "duplicate", "note": "x", "duplicate_of": "1"}),
        ("comment", {"text": "  "}),
        ("comment", {"text": "x" * 20_001}),
        ("take-over", {"note": ""}),
    ],
)
def test_half_a_form_is_refused_in_words(site: Site, deed: str, fields: dict[str, str]) -> None:
    browser = site.signed("an")
    hidden = browser.fields("/tickets/1", "/tickets/1/claim")
    answer = browser.client.post(f"/tickets/1/{deed}", data=hidden | fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert history(answer.text) == ["Hệ thống đã mở phiếu"]


def test_a_ticket_is_shown_without_raw_lines_while_the_store_is_away(site: Site) -> None:
    site.store.away = True
    answer = site.signed("an").get("/tickets/1")
    assert answer.status_code == 200
    assert "Kho sự kiện không trả lời" in answer.text
    assert "Nhận xử lý" in answer.text


def test_a_comment_is_text_whatever_it_holds(site: Site) -> None:
    browser = site.signed("an")
    text = '<img src=x onerror=alert(1)> [a](javascript:alert(1)) \u202e "'
    browser.send("/tickets/1", "/tickets/1/comment", text=text)
    html = browser.get("/tickets/1").text
    assert "<img src=x" not in html
    assert 'href="javascript' not in html
    assert "⟦202E⟧" in html


WORK = {"claim", "close", "comment", "assign", "merge", "severity", "tlp", "tag", "sign"}


def test_who_may_not_work_on_it_is_shown_no_form_for_it(site: Site) -> None:
    for person, deeds in (
        ("an", WORK),
        ("quan", WORK),
        ("binh", {"comment"}),
        ("kiem", set()),
    ):
        html = site.signed(person).get("/tickets/1").text
        assert set(re.findall(r'action="/tickets/1/(\w+)"', html)) == deeds


def test_a_claim_that_lapsed_is_another_s_to_take(site: Site) -> None:
    site.signed("an").send("/tickets/1", "/tickets/1/claim")
    site.clock.turn(timedelta(hours=13))
    other = site.signed("quan")
    html = other.get("/tickets/1").text
    assert "/tickets/1/take-over" in html


def test_the_precision_is_the_agency_s_with_what_the_others_found_before(site: Site) -> None:
    with site.state.begin() as session:
        rule = session.scalars(sa.select(Ticket.rule).where(Ticket.number == 1)).one()
        session.execute(sa.delete(RulePrecision))
        for agency, hits, misses in (("", 7, 5), ("so-tai-chinh", 1, 3)):
            session.add(
                RulePrecision(rule=rule, agency=agency, hits=hits, misses=misses, at=site.clock.now)
            )
    html = site.signed("an").get("/tickets/1").text
    # 6 right and 2 wrong elsewhere: (6 + 2) / (8 + 4) = 67 %; here (1 + 4 · 0.67) / (4 + 4) = 46 %
    told = "46 % (tại đơn vị này 1 đúng, 3 nhầm; tiên nghiệm 67 % theo các đơn vị khác: 6 đúng, 2 nhầm)"
    assert told in html
    officer = site.signed("binh").get("/tickets/1").text
    assert "46 % (tại đơn vị này 1 đúng, 3 nhầm)" in officer
    assert "theo các đơn vị khác:" not in officer
