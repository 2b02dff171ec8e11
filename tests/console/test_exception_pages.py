"""From a false positive to an approved exception: drafted, backtested, proposed, approved by another, withdrawn."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from support.console_client import Site
from support.seed_cast import EXCEPTION
from support.seed_detection import FOUND

from pipeline.detect.register.exceptions import find_exception
from pipeline.model.clock import to_iso
from pipeline.model.scope import OPERATOR
from pipeline.state.tables.jobs import JobRow

RULE = "00000001-7c1e-4a5b-9d2f-000000000000"
FINDING = f"{1:032x}"
DRAFT = {
    "rule": RULE, "use": "0", "field_0": "CommandLine", "value_0": "m.exe *", "agency": "so-tai-chinh",
    "expires": "2026-12-24", "owner": "person:an", "reason": "máy quét", "days": "7",
}  # fmt: skip


def finished(site: Site, job: str) -> None:
    """What a worker would write."""
    found: dict[str, Any] = FOUND | {
        "since": to_iso(site.clock.now),
        "until": to_iso(site.clock.now),
    }
    with site.state.begin() as db:
        values = {"status": "done", "result": found, "ended": site.clock.now}
        db.execute(sa.update(JobRow).where(JobRow.id == job).values(**values))


def test_a_ticket_closed_as_false_positive_offers_an_exception_from_its_fields(site: Site) -> None:
    browser = site.signed("an")
    assert "Phiếu đã đóng vì cảnh báo sai" not in browser.get("/tickets/1").text
    browser.send("/tickets/1", "/tickets/1/close", reason="false_positive_logic", note="máy quét")
    html = browser.get("/tickets/1").text
    link = re.search(r'href="(/exceptions/new\?[^"]*)"', html)
    assert link is not None
    assert "Phiếu đã đóng vì cảnh báo sai" in html
    form = browser.get(link[1].replace("&amp;", "&")).text
    assert 'value="#1: "' not in form
    assert "#1: </textarea>" in form
    assert f'name="rule" value="{RULE}"' in form


def test_a_draft_is_backtested_then_proposed_then_approved_by_another(site: Site) -> None:
    an = site.signed("an")
    asked = an.send("/exceptions/new", "/exceptions/draft", **DRAFT)
    job = asked.headers["location"]
    assert job.startswith("/jobs/")
    waiting = an.get(job).text
    assert "Đang chờ xử lý" in waiting
    assert "Đề xuất ngoại lệ này" not in waiting
    assert r"m.exe \*" in waiting  # a value means itself, not a pattern
    with pytest.raises(Exception, match="no such exception"):
        find_exception(site.state, OPERATOR, "nothing")
    early = an.post("/exceptions", job=job.rpartition("/")[2])
    assert early.status_code == 409
    finished(site, job.rpartition("/")[2])
    assert "hx-refresh" in an.get(f"{job}/progress").headers
    made = an.send(job, "/exceptions")
    page = made.headers["location"].partition("?")[0]
    again = an.post("/exceptions", job=job.rpartition("/")[2])
    assert again.headers["location"] == made.headers["location"]
    own = an.get(page).text
    assert "không ai tự duyệt" in own
    assert f'action="{page}/approve"' not in own
    assert an.post(f"{page}/approve").status_code == 403
    quan = site.signed("quan")
    assert "41" in quan.get(page).text  # what it would hide is in sight
    assert quan.send(page, f"{page}/approve").headers["location"] == f"{page}?notice=approved"
    assert "Đang hiệu lực" in an.get("/exceptions?standing=in+force").text
    assert an.send(page, f"{page}/end", reason=" ").status_code == 422
    assert an.send(page, f"{page}/end", reason="hết cần").is_redirect
    assert "hết cần" in an.get(page).text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"use": ""}, "Hãy chọn ít nhất một trường"),
        ({"expires": ""}, "Ngoại lệ cần có ngày cuối"),
        ({"expires": "2020-01-01"}, "Ngoại lệ phải có ngày kết thúc"),
        ({"reason": ""}, "Ngoại lệ cần có lý do"),
        ({"rule": "ffffffff"}, "Không có luật này"),
        ({"text": "title: x"}, "Ngoại lệ là đúng một bộ lọc Sigma"),
    ],
)
def test_a_draft_that_cannot_be_says_why_and_keeps_what_was_typed(
    site: Site, change: dict[str, str], told: str
) -> None:
    browser = site.signed("an")
    answer = browser.send("/exceptions/new", "/exceptions/draft", **(DRAFT | change))
    assert answer.status_code == 422
    assert told in answer.text
    assert 'value="m.exe *"' in answer.text


def test_no_exception_is_approved_without_its_backtest(site: Site) -> None:
    with site.state.begin() as db:
        db.execute(sa.text("UPDATE exception SET backtest = '{}'"))
    browser = site.signed("an")
    page = f"/exceptions/{EXCEPTION}"
    assert f'action="{page}/approve"' not in browser.get(page).text
    refused = browser.post(f"{page}/approve")
    assert refused.status_code == 422
    assert "Không phê duyệt ngoại lệ khi chưa chạy thử" in refused.text
    assert browser.send(page, f"{page}/backtest", days="7").headers["location"].startswith("/jobs/")
    assert "Đang chạy thử" in browser.get(page).text


def test_an_exception_tells_what_it_hid_and_an_officer_sees_their_own_alone(site: Site) -> None:
    html = site.signed("binh").get(f"/exceptions/{EXCEPTION}").text
    assert "STC-PC09" in html
    assert "Kết quả chạy thử" not in html  # it counts all agencies
    lines = site.signed("binh").get("/exceptions").text
    assert "Máy quét của so-tai-chinh" in lines
    assert "phuong-sai-gon" not in lines


def test_an_expired_one_stands_as_expired(site: Site) -> None:
    site.clock.turn(timedelta(days=31))
    html = site.signed("kiem").get("/exceptions?standing=expired").text
    assert EXCEPTION in html


def test_a_backtest_is_asked_for_and_cancelled(site: Site) -> None:
    browser = site.signed("an")
    assert browser.send("/backtests", "/backtests", rule="").status_code == 422
    asked = browser.send("/backtests", "/backtests", rule=RULE[:8], days="30")
    job = asked.headers["location"]
    assert "Mimikatz Command Line" in browser.get("/backtests").text
    assert browser.send(job, f"{job}/cancel").is_redirect
    assert "Đã hủy" in browser.get(job).text


def test_a_finished_backtest_shows_days_agencies_tickets_and_difference(site: Site) -> None:
    html = site.signed("kiem").get("/jobs/j1").text
    for words in ("20/11/2026: 2", "Sở Tài chính", "nhiều nhất 2", "STC-DC01", "giữ nguyên 3"):
        assert words in html


def test_an_auditor_sees_no_form_of_exceptions_and_backtests(site: Site) -> None:
    auditor = site.signed("kiem")
    for path in ("/exceptions", f"/exceptions/{EXCEPTION}", "/backtests", "/jobs/j1", "/tickets/1"):
        html = auditor.get(path).text
        forms = re.findall(r'<form method="post" action="([^"]+)"', html)
        assert set(forms) == {"/language", "/sign-out"}, path
        assert "/exceptions/new" not in html
