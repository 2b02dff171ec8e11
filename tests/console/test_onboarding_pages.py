"""A source is connected step by step in the console, survives a reload, and is published once."""

from __future__ import annotations

import gzip
import re
from html import unescape

import pytest
import sqlalchemy as sa
from support.console_client import Browser, Site
from support.seed_cast import DRAFT, DRAFT_FOREIGN, FOREIGN, HOSTILE, OWN

from pipeline.normalise.product import load_products
from pipeline.state.tables.register import Source, SourceDraft, SourceKey

NGINX = "\n".join(sample.raw.rstrip("\n") for sample in load_products()["nginx"].samples)


def begin(browser: Browser, sample: str = NGINX, agency: str = OWN, **more: str) -> str:
    """The path of the draft's page."""
    fields = {"seal": browser.seal(), "agency": agency, "sample": sample, **more}
    answer = browser.client.post("/onboarding", data=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_from_samples_to_a_published_source_and_its_key_once(site: Site) -> None:
    officer = site.signed("binh")
    draft = begin(officer)
    page = officer.get(draft).text
    assert "Các dòng này là của: nginx web server" in page
    assert "Hai sản phẩm khớp gần như nhau" not in page
    for path in ("", "/rules", "/sender"):
        assert officer.get(draft + path).status_code == 200
    fields = {
        "revision": "1",
        "name": "Cổng",
        "source": "stc-cong",
        "sender": "http",
        "door": "http",
    }
    assert officer.post(f"{draft}/sender", **fields).status_code == 303
    again = officer.get(f"{draft}/sender").text  # whatever was chosen is there after a reload
    assert 'value="stc-cong"' in again
    assert "BASE64-OF-KEY-ID" in again
    done = officer.post(f"{draft}/publish", revision="2")
    key = re.search(r'<code id="key"[^>]*>([0-9a-f]{20}:[\w-]{43})</code>', done.text)
    assert (done.status_code, bool(key)) == (200, True)
    assert "/ingest/stc-cong" in done.text
    with site.state.read() as session:
        source = session.get_one(Source, "stc-cong")
        kept = session.scalars(sa.select(SourceKey).where(SourceKey.source == "stc-cong")).one()
        assert session.get(SourceDraft, draft.rsplit("/", 1)[-1]) is None
    assert (source.agency, source.product, source.name, source.state) == (
        OWN,
        "nginx",
        "Cổng",
        "published",
    )
    assert key is not None
    assert key[1].split(":")[0] == kept.id
    twice = officer.post(f"{draft}/publish", revision="2", source="stc-cong")
    assert (twice.status_code, twice.headers["location"]) == (
        303,
        "/sources/stc-cong/live?notice=published",
    )
    assert key[1] not in officer.get("/sources/stc-cong").text


def test_a_file_is_taken_packed_and_in_its_encoding(site: Site) -> None:
    officer = site.signed("binh")
    body = gzip.compress(
        "<38>Nov 24 09:00:00 máy sshd[7]: Failed password for Trần from 203.0.113.9 port 5 ssh2".encode(
            "cp1258", "replace"
        )
    )
    answer = officer.client.post(
        "/onboarding", data={"seal": officer.seal(), "agency": OWN, "encoding": "cp1258", "sample": ""},
        files={"file": ("mẫu.log.gz", body)},
    )  # fmt: skip
    page = officer.get(answer.headers["location"]).text
    assert "Linux authentication" in page
    assert "203.0.113.9" in page


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"sample": " \n"}, 422, "không có dòng nào trong mẫu"),
        ({"agency": FOREIGN}, 404, "Không có"),
        ({"agency": ""}, 404, "Không có"),
    ],
)
def test_what_cannot_begin_is_told(
    site: Site, fields: dict[str, str], code: int, said: str
) -> None:
    officer = site.signed("binh")
    given = {"seal": officer.seal(), "agency": OWN, "sample": NGINX} | fields
    answer = officer.client.post("/onboarding", data=given)
    assert (answer.status_code, said.lower() in answer.text.lower()) == (code, True)


def test_hostile_samples_are_shown_and_never_obeyed(site: Site) -> None:
    officer = site.signed("binh")
    page = officer.get(
        begin(officer, f"{HOSTILE}\n" + '{"<img src=x>": "</pre><script>alert(2)</script>"}')
    ).text
    assert "<script>alert" not in page
    assert "<img" not in page.replace('<img src="/static', "")
    assert "&lt;script&gt;alert(1)" in page
    assert "⟦ESC⟧" in page


def test_two_that_fit_alike_stand_side_by_side_and_one_is_chosen(site: Site) -> None:
    officer = site.signed("binh")
    draft = begin(officer, NGINX.split("\n")[0])
    page = officer.get(draft).text
    assert "Hai sản phẩm khớp gần như nhau" in page
    other = (
        "nginx"
        if "apache" in page.split("Đã chọn")[0].rsplit("<section", 1)[1].lower()
        else "apache"
    )
    answer = officer.post(draft, revision="1", product=other, encoding="", timezone="UTC")
    assert answer.status_code == 303
    assert f'<option value="{other}" selected' in officer.get(draft).text


def test_what_nobody_recognises_can_be_drafted_and_downloaded(site: Site) -> None:
    officer = site.signed("binh")
    draft = begin(officer, "ai=lan viec=dang_nhap ip=10.0.0.9 ket_qua=deny\n")
    assert "Chưa có sản phẩm nào" in officer.get(draft).text
    answer = officer.get(f"{draft}/product.yml")
    assert answer.headers["content-disposition"] == 'attachment; filename="van_thu_log.yml"'
    assert "body: key_value" in answer.text


def test_a_wide_address_and_a_stale_form_leave_the_page_with_what_was_typed(site: Site) -> None:
    officer = site.signed("binh")
    path = f"/onboarding/{DRAFT}"
    fields = {
        "revision": "1",
        "source": "stc-fw",
        "sender": "fortigate",
        "door": "syslog-udp",
        "address": "10.0.0.0/8",
    }
    assert officer.post(f"{path}/sender", **fields).status_code == 303
    assert "dải địa chỉ quá rộng" in officer.get(f"{path}/sender").text
    refused = officer.post(f"{path}/publish", revision="2")
    assert (refused.status_code, "10.0.0.0/8" in refused.text) == (422, True)
    stale = officer.post(f"{path}/sender", **fields)
    assert (stale.status_code, "vừa sửa bản nháp" in unescape(stale.text)) == (409, True)
    assert (
        officer.post(
            f"{path}/sender", **fields | {"revision": "2", "address": "10.9.9.9"}
        ).status_code
        == 303
    )
    done = officer.post(f"{path}/publish", revision="3")
    assert (done.status_code, 'id="key"' in done.text, "set port 9714" in done.text) == (
        200,
        False,
        True,
    )


def test_another_agency_s_draft_is_not_there_and_a_dropped_one_is_gone(site: Site) -> None:
    officer, analyst = site.signed("binh"), site.signed("an")
    assert officer.get(f"/onboarding/{DRAFT_FOREIGN}").status_code == 404
    assert DRAFT_FOREIGN not in officer.get("/onboarding").text
    assert DRAFT_FOREIGN in analyst.get("/onboarding").text
    assert analyst.post(f"/onboarding/{DRAFT_FOREIGN}/drop").status_code == 303
    assert analyst.get(f"/onboarding/{DRAFT_FOREIGN}").status_code == 404


def test_the_live_check_turns_green_when_all_steps_are_done(site: Site) -> None:
    officer = site.signed("binh")
    waiting = officer.get(f"/sources/{OWN}-postgresql/live").text
    assert "every 2s" in waiting
    steps = officer.get(f"/sources/{OWN}-windows/live/steps", **{"hx-request": "true"}).text
    assert "Kho dữ liệu" not in steps
    assert officer.get(f"/sources/{FOREIGN}-zimbra/live/steps").status_code == 404


def test_thresholds_of_a_source_s_own_are_kept_and_told(site: Site) -> None:
    officer = site.signed("binh")
    path = f"/sources/{OWN}-windows"
    assert officer.post(f"{path}/limits", lag_minutes="90", failure_share="0,2").status_code == 303
    page = officer.get(path).text
    assert 'name="lag_minutes" inputmode="decimal" value="90"' in page
    wrong = officer.post(f"{path}/limits", failure_share="2")
    assert (wrong.status_code, "ngưỡng ngoài khoảng" in wrong.text) == (422, True)
    assert officer.post(f"{path}/limits", lag_minutes="", failure_share="").status_code == 303
    assert "ngưỡng riêng" not in officer.get(path).text


def test_products_say_whether_they_are_proven_and_what_they_feed(site: Site) -> None:
    auditor = site.signed("kiem")
    assert "nginx" in auditor.get("/products?q=nginx").text
    assert "Kiểm chứng?" in auditor.get("/products").text
    assert auditor.get("/products/nothing").status_code == 404
    assert "nginx.access" in auditor.get("/products/nginx").text
    assert auditor.get("/onboarding").status_code == 403
