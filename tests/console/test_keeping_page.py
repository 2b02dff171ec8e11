"""What must not be deleted and what was: an auditor reads both, an officer neither."""

from __future__ import annotations

import html
from datetime import timedelta

from support.console_client import Site
from support.seed_cast import FOREIGN, OWN

from pipeline.model.scope import OPERATOR
from pipeline.state.tables.operation import Disposal
from pipeline.store.base import KeptWhole
from pipeline.store.holds import place_hold, release_hold


def test_an_auditor_reads_holds_and_deletions_and_an_officer_neither(site: Site) -> None:
    auditor = site.signed("kiem")
    empty = html.unescape(auditor.get("/retention").text)
    assert "Chưa có lệnh giữ nguyên hiện trạng nào." in empty
    assert "Chưa xóa sự kiện nào." in empty
    now = site.clock.now
    span = {"first": now - timedelta(days=9), "last": now, "now": now}
    gone = place_hold(site.state, OPERATOR, agency=OWN, reason="Lệnh 1", **span)
    place_hold(site.state, OPERATOR, agency=FOREIGN, reason="Lệnh <2>", **span)
    release_hold(site.state, OPERATOR, gone, now=now)
    with site.state.begin() as db:
        for key, events in (("a", 1204), ("b", None)):
            db.add(
                Disposal(id=key, agency=OWN, before=now, reason="age", by="system:pipeline", at=now, events=events)
            )  # fmt: skip
    page = html.unescape(auditor.get("/retention").text)
    assert [page.count(word) for word in ("Đang hiệu lực", "Đã thôi giữ", "Lệnh 1")] == [1, 1, 1]
    assert "Lệnh <2>" in page
    assert "1.204" in page
    assert "bị ngắt: lần xóa sau làm tiếp" in page
    assert page.count("Hết thời hạn lưu trữ") == 2
    assert site.signed("binh").get("/retention").status_code == 403


def test_what_the_store_keeps_whole_for_a_hold_is_shown_and_a_store_that_is_away_hides_no_hold(
    site: Site,
) -> None:
    auditor, now = site.signed("kiem"), site.clock.now
    site.store.whole = [KeptWhole("logs-thapcanh.windows-kept-2024.01", 91_204, 512)]
    assert "windows-kept" not in auditor.get("/retention").text  # nothing is held
    place_hold(site.state, OPERATOR, agency=OWN, reason="Lệnh 3", first=now, last=now, now=now)
    page = auditor.get("/retention").text
    assert all(word in page for word in ("logs-thapcanh.windows-kept-2024.01", "91.204", ">512<"))
    site.store.away = True
    page = auditor.get("/retention").text
    assert ("Lệnh 3" in page, 'role="alert"' in page) == (True, True)
