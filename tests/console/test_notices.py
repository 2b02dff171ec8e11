"""The bell, one's own notices, and how one wants to be told."""

from __future__ import annotations

from support.console_client import Site

from pipeline.tickets.notices import notices_once


def test_a_notice_is_counted_read_and_gone_from_the_bell(site: Site) -> None:
    while notices_once(site.state, now=site.clock.now):
        pass
    an = site.signed("an")
    bell = an.get("/notices/bell").text
    assert 'class="count"' in bell
    assert "data-newest" in bell
    page = an.get("/notices").text
    assert "Phiếu nghiêm trọng mới" in page
    assert an.send("/notices", "/notices/seen").status_code == 303
    assert 'class="count"' not in an.get("/notices/bell").text
    assert "Chưa có thông báo nào." in site.signed("kiem").get("/notices").text


def test_an_analyst_says_how_and_that_they_are_on_duty(site: Site) -> None:
    an = site.signed("an")
    answer = an.post("/account/notices", on_duty="1", mail="an@cns.example", way_warned="both")
    assert answer.status_code == 303
    html = an.get("/account").text
    assert 'name="on_duty" value="1" checked' in html
    assert 'value="an@cns.example"' in html
    bad = an.post("/account/notices", mail="a b")
    assert (bad.status_code, "đây không phải địa chỉ thư" in bad.text) == (422, True)


def test_an_officer_chooses_among_the_officers_kinds_and_is_never_on_duty(site: Site) -> None:
    binh = site.signed("binh")
    html = binh.get("/account").text
    assert ("way_asked" in html, "way_critical" in html, "on_duty" in html) == (True, False, False)
    assert binh.post("/account/notices", on_duty="1").status_code == 303
    assert "on_duty" not in binh.get("/account").text
