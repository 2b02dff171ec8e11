"""Schedules, runs, the coverage question and watch-lists, as an analyst, an auditor and an officer meet them."""

from __future__ import annotations

import pytest
from support.console_client import Site
from support.seed_cast import FOREIGN, OWN

RULE = "00000001-7c1e-4a5b-9d2f-000000000000"


def test_a_schedule_is_paused_with_a_reason_and_goes_on(site: Site) -> None:
    browser = site.signed("an")
    refused = browser.send("/schedules", "/schedules/main/pause", reason=" ")
    assert (refused.status_code, "Cần nêu lý do" in refused.text) == (422, True)
    done = browser.send("/schedules", "/schedules/main/pause", reason="nâng cấp")
    assert done.headers["location"] == "/schedules?notice=paused"
    html = browser.get("/schedules").text
    assert "person:an: nâng cấp" in html
    assert "đang chờ đánh giá" in html  # 140 receipts wait, and the gap says so
    assert browser.send("/schedules", "/schedules/main/resume").status_code == 303
    assert "nâng cấp" not in browser.get("/schedules").text


def test_maintenance_is_declared_in_the_city_s_time_and_ended(site: Site) -> None:
    browser = site.signed("an")
    fields = {"starts": "2026-11-24T15:00", "ends": "2026-11-24T18:00", "reason": "thay đĩa"}
    assert browser.send("/schedules", "/maintenance", **fields).status_code == 303
    html = browser.get("/schedules").text
    assert "24/11/2026 15:00:00" in html
    assert "đang diễn ra" in html  # it is 16:00 in the city
    wrong = browser.send("/schedules", "/maintenance", ends="2026-11-01T00:00", reason="x")
    assert wrong.status_code == 422
    assert "Khoảng bảo trì không hợp lệ" in wrong.text
    assert 'value="2026-11-01T00:00"' in wrong.text  # what was typed is kept
    assert browser.send("/schedules", "/maintenance/m1/cancel").status_code == 303
    assert "đã hủy" in browser.get("/schedules").text


def test_a_run_shows_its_window_and_a_failed_one_why(site: Site) -> None:
    html = site.signed("an").get("/runs/r7").text
    assert "the lake&#39;s file 7f3a is damaged" in html
    assert "collect-1" in html
    assert "r7" in site.signed("an").get("/runs?status=failed").text
    assert "/runs/r3" not in site.signed("an").get("/runs?status=failed").text


def test_an_officer_s_run_has_no_window_and_no_count_of_others(site: Site) -> None:
    html = site.signed("binh").get("/runs/r3").text
    assert "collect-1" not in html
    assert "1.860" not in html  # its events


def test_the_coverage_question_is_answered_with_sequences_times_runs_and_gaps(site: Site) -> None:
    html = site.signed("kiem").get(f"/coverage?rule={RULE[:8]}&agency={OWN}").text
    for words in ("1 – 61.200", "20.400", "/runs/r11", "61.201 – 61.340", "đang chờ đánh giá"):
        assert words in html
    assert "Ủy ban nhân dân phường Sài Gòn</th>" not in html
    csv = site.signed("kiem").get(f"/coverage.csv?rule={RULE}&agency={OWN}").text
    lines = csv.splitlines()
    assert lines[1].split(",")[2:10] == [
        "evaluated", "", "", OWN, "20400", "2026-11-23T10:00:00.000Z", "2026-11-24T08:59:51.000Z",
        "collect-1",
    ]  # fmt: skip
    assert lines[2].split(",")[2:4] == ["gap", "pending"]


def test_a_time_before_all_events_has_nothing_evaluated(site: Site) -> None:
    path = f"/coverage?rule={RULE}&agency={OWN}&from=2026-11-01T00:00&to=2026-11-02T00:00"
    assert "Không có phần nào đã đánh giá" in site.signed("kiem").get(path).text
    empty = site.signed("kiem").get(f"/coverage?rule={RULE}&from=2026-11-02T00:00&to=2026-11-01")
    assert empty.status_code == 400


def test_an_officer_asks_of_their_own_agency_alone_and_sees_no_sequence(site: Site) -> None:
    officer = site.signed("binh")
    html = officer.get(f"/coverage?rule={RULE}").text
    assert "20.400" in html
    assert "61.2" not in html
    foreign = officer.get(f"/coverage?rule={RULE}&agency={FOREIGN}")
    assert foreign.status_code == 404
    assert "17.300" not in foreign.text


@pytest.mark.parametrize("query", ["rule=ffffffff", f"rule={RULE}&revision=nope"])
def test_a_question_about_nothing_says_so(site: Site, query: str) -> None:
    answer = site.signed("kiem").get(f"/coverage?{query}")
    assert answer.status_code == 404
    assert "Không có luật" in answer.text


def test_a_watch_list_is_made_changed_and_dropped_each_with_its_history(site: Site) -> None:
    browser = site.signed("an")
    wrong = browser.send(
        "/watchlists", "/watchlists", name="known_c2", kind="address", values="192.0.2.7\nevil"
    )
    assert wrong.status_code == 422
    assert "Không phải giá trị" in wrong.text
    assert ">192.0.2.7\nevil</textarea>" in wrong.text
    made = browser.send(
        "/watchlists", "/watchlists", name="known_c2", kind="address", values="192.0.2.7"
    )
    assert made.headers["location"] == "/watchlists/known_c2?notice=saved"
    page = "/watchlists/known_c2"
    assert browser.send(page, page, values="203.0.113.9", note="", deed="add").status_code == 422
    assert browser.send(page, page, values="203.0.113.9", note="báo cáo 12", deed="add").is_redirect
    html = browser.get(page).text
    assert "báo cáo 12" in html
    assert "Nguyễn Hoài An" in html
    assert browser.send(page, page, values="192.0.2.7", note="hết hạn", deed="remove").is_redirect
    assert "192.0.2.7</th>" not in browser.get(page).text
    assert browser.send(page, f"{page}/drop", note="không dùng nữa").is_redirect
    assert browser.get(page).status_code == 404


def test_an_auditor_reads_all_of_it_and_is_shown_no_form(site: Site) -> None:
    auditor = site.signed("kiem")
    for path in ("/schedules", "/watchlists", "/watchlists/scanners", "/runs/r3", "/coverage"):
        answer = auditor.get(path)
        assert answer.status_code == 200
        forms = [part for part in answer.text.split("<form ")[1:] if 'method="post"' in part[:40]]
        assert [
            part[:60] for part in forms if "/language" not in part and "/sign-out" not in part
        ] == []
