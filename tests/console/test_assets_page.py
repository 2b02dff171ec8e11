"""The agency's assets from a CSV file: seen before it is carried out, of the own agency alone."""

from __future__ import annotations

import re
from datetime import timedelta

from httpx import Response
from support.console_client import Browser, Site
from support.seed_cast import FOREIGN, OWN

from pipeline.model.scope import OPERATOR
from pipeline.sources.assets import list_assets

HEADER = "agency,kind,pattern,name,system,criticality"
LINES = f"{HEADER}\n{OWN},host,STC-*,Máy trạm <b>,Kế toán,3\n{OWN},address,10.1.0.0/16,Mạng,,2\n"


def preview(browser: Browser, text: str | bytes, **fields: str) -> Response:
    data = {"seal": browser.seal(), **fields}
    body = text if isinstance(text, bytes) else text.encode()
    return browser.client.post("/assets/preview", data=data, files={"file": ("a.csv", body)})


def carry_out(browser: Browser, page: Response, **fields: str) -> Response:
    found = re.search(r'name="text" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return browser.post("/assets/import", text=found[1], **fields)


def names(site: Site, agency: str = OWN) -> list[str]:
    return [one.name for one in list_assets(site.state, OPERATOR, agency)]


def test_a_file_is_seen_then_carried_out_and_the_register_is_shown(site: Site) -> None:
    officer = site.signed("binh")
    page = preview(officer, LINES)
    assert (page.status_code, "so-tai-chinh host stc-*" in page.text) == (200, True)
    assert names(site) == []
    assert carry_out(officer, page).status_code == 303
    assert names(site) == ["Máy trạm <b>", "Mạng"]
    shown = officer.get(f"/assets?agency={OWN}").text
    assert "Máy trạm &lt;b&gt;" in shown
    again = preview(officer, LINES)
    assert "Tệp không khác gì sổ hiện có." in again.text
    less = preview(officer, LINES.partition("address")[0].rpartition("\n")[0], replace="1")
    assert "bị xóa" in less.text
    assert carry_out(officer, less, replace="1").status_code == 303
    assert names(site) == ["Máy trạm <b>"]


def test_every_line_that_is_wrong_is_told_and_nothing_is_changed(site: Site) -> None:
    officer = site.signed("binh")
    bad = preview(officer, f"{HEADER}\n{OWN},server,x,y,,3\n{OWN},host,x,y,,9\n")
    assert bad.status_code == 422
    for words in ("line 2", "không có loại tài sản này", "line 3", "mức quan trọng là từ 1 đến 5"):
        assert words in bad.text
    for body, status in ((b"\xff\xfe\x00", 422), (b"x" * 150_000, 422), (b"", 422)):
        assert preview(officer, body).status_code == status
    assert officer.post("/assets/preview").status_code == 422  # no file
    assert names(site) == []


def test_nobody_brings_in_assets_of_another_agency_or_by_another_s_preview(site: Site) -> None:
    officer, an = site.signed("binh"), site.signed("an")
    assert preview(officer, LINES.replace(OWN, FOREIGN)).status_code == 404
    assert officer.get(f"/assets?agency={FOREIGN}").status_code == 404
    assert preview(an, LINES).status_code == 403  # analysts read
    page = preview(officer, LINES)
    assert carry_out(site.signed("quan"), page).status_code == 422
    site.clock.turn(timedelta(minutes=10))
    late = carry_out(officer, page)
    assert (late.status_code, "bản xem trước đã quá cũ" in late.text) == (422, True)
    assert names(site) == names(site, FOREIGN) == []
