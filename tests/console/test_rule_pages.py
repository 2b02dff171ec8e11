"""The rule list with its filters, one rule with all that is known of it, and the deeds on it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from support.console_client import Site

from pipeline.console.catalogues import load
from pipeline.console.reasons import reason
from pipeline.detect.register.rules import import_rules
from pipeline.model.scope import OPERATOR

RULE = "00000001-7c1e-4a5b-9d2f-000000000000"
WEB = "a0000000-0000-4000-8000-000000000000"
TEXT = f"""title: Web probe
id: {WEB}
status: stable
level: low
author: ours
description: Somebody asks for what is not there.
references: ['https://example.org/probe', 'javascript:alert(1)']
falsepositives: [crawlers]
logsource: {{category: webserver}}
detection: {{s: {{cs-method: POST}}, condition: s}}
---
title: Cookie
id: b0000000-0000-4000-8000-000000000000
status: test
level: high
logsource: {{product: nobody_has_it}}
detection: {{s: {{x: y}}, condition: s}}
"""


@pytest.fixture(autouse=True)
def rules(site: Site, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(TEXT, "utf-8")
    import_rules(site.state, OPERATOR, [tmp_path / "r.yml"], origin="ours", now=site.clock.now)


def listed(site: Site, query: str, person: str = "an") -> list[str]:
    html = site.signed(person).get(f"/rules?{query}").text
    return re.findall(r'<th scope="row"><a href="/rules/[^"]+">([^<]+)</a>', html)


def test_rules_are_filtered_by_where_they_run_product_status_and_agency(site: Site) -> None:
    assert listed(site, "state=runs&q=Web+probe") == ["Web probe"]
    assert listed(site, "state=runs&q=Web+probe&agency=so-tai-chinh") == []
    assert "Cookie" in listed(site, "state=unfit")
    assert listed(site, "product=nginx") == ["Web probe"]
    assert listed(site, "status=stable") == ["Web probe"]
    assert listed(site, "level=low&q=probe&status=test") == []
    assert "chưa biết loại nhật ký này" in site.signed("an").get("/rules?q=Cookie").text


def test_an_officer_s_list_judges_by_their_own_sources(site: Site) -> None:
    assert listed(site, "state=runs&q=Web+probe", "binh") == []  # nginx is another agency's
    html = site.signed("binh").get(f"/rules/{WEB}").text
    assert "Sở Tài chính" in html
    assert "phường Sài Gòn" not in html


def test_a_rule_s_page_tells_what_it_is_about_and_where_it_runs(site: Site) -> None:
    html = site.signed("an").get(f"/rules/{WEB}").text
    for words in ("Somebody asks", "crawlers", 'href="https://example.org/probe"', "ours"):
        assert words in html
    assert 'href="javascript' not in html
    assert "Ủy ban nhân dân phường Sài Gòn" in html
    assert "một trong các sản phẩm này sẽ cung cấp: apache, " in html


def test_findings_are_drawn_by_day_within_the_reader_s_agencies(site: Site) -> None:
    assert "24/11/2026: 1" in site.signed("an").get(f"/rules/{RULE}").text
    foreign = "00000003-7c1e-4a5b-9d2f-000000000000"
    assert "24/11/2026: 1" not in site.signed("binh").get(f"/rules/{foreign}").text


def test_a_revision_is_compared_with_another(site: Site, tmp_path: Path) -> None:
    later = site.clock.now + timedelta(days=1)
    (tmp_path / "r.yml").write_text(TEXT.replace("POST", "PUT"), "utf-8")
    import_rules(site.state, OPERATOR, [tmp_path / "r.yml"], origin="ours", now=later)
    browser = site.signed("an")
    link = re.search(
        rf'href="(/rules/{WEB}\?revision=[^"]+against=[^"]+)"', browser.get(f"/rules/{WEB}").text
    )
    assert link is not None
    html = browser.get(link[1].replace("&amp;", "&")).text
    assert "<ins>+ detection: {s: {cs-method: PUT}" in html
    assert "<del>- detection: {s: {cs-method: POST}" in html


def test_a_rule_is_switched_with_a_reason_each_way(site: Site) -> None:
    browser = site.signed("an")
    page, action = f"/rules/{WEB}", f"/rules/{WEB}/switch"
    assert browser.send(page, action, reason=" ").status_code == 422
    assert browser.send(page, action, reason="ồn ào").is_redirect
    html = browser.get(page).text
    assert "ồn ào" in html
    assert listed(site, "state=off") == ["Web probe"]
    assert browser.send(page, action, reason="đã sửa").is_redirect
    html = browser.get(page).text
    assert "đã sửa" in html
    assert "Nguyễn Hoài An" in html


def test_a_backtest_and_a_backfill_are_asked_for_from_the_rule(site: Site) -> None:
    browser = site.signed("an")
    page = f"/rules/{WEB}"
    for work, words in (("backtest", "Chạy thử luật"), ("backfill", "Chạy bù")):
        asked = browser.send(page, f"{page}/work", work=work, days="7")
        assert words in browser.get(asked.headers["location"]).text
        assert asked.headers["location"] in browser.get(page).text
    wrong = browser.send(page, f"{page}/work", work="backtest", days="8")
    assert wrong.status_code == 422


def test_an_auditor_reads_a_rule_and_is_shown_no_form(site: Site) -> None:
    for person in ("kiem", "binh"):
        html = site.signed(person).get(f"/rules/{RULE}").text
        forms = re.findall(r'<form method="post" action="([^"]+)"', html)
        assert set(forms) == {"/language", "/sign-out"}


def test_every_reason_that_detection_gives_is_said_in_vietnamese() -> None:
    say = load("vi").say
    for text in (
        "no published source feeds it; of these one would: windows",
        "nginx never fills url.query",
        "a placeholder without values: known_c2",
        "the taxonomy does not know such a log: product x",
        "a field without a column: X",
        "no product feeds it yet: a.b",
    ):
        assert not set(reason(text, say).split()) & {"the", "feeds", "never", "without", "would:"}
    assert reason("something new", say) == "something new"
